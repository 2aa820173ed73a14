"""What threads that call TMDB wait for together: its rate limit, and being stopped."""

from __future__ import annotations

import threading
from time import monotonic

from ..core.backoff import Limit


class Stopped(Exception):
    """Raised in a thread that must not start another call."""


class Throttle:
    """TMDB's rate limit, shared by all threads, and whether they have been stopped."""

    def __init__(self) -> None:
        self._stopped = threading.Event()
        self.limit = Limit()

    def stop(self) -> None:
        """End every wait, and start no call."""
        self._stopped.set()

    @property
    def is_limited(self) -> bool:
        """Whether TMDB accepts no calls now."""
        return monotonic() < self.limit.until

    def sleep(self, seconds: float) -> None:
        """Sleep.

        Raises:
            Stopped: :meth:`stop` was called, before or meanwhile.
        """
        if self._stopped.wait(max(seconds, 0.0)):
            raise Stopped

    def wait_for_limit(self) -> None:
        """Sleep until TMDB accepts calls again; raises as :meth:`sleep` does."""
        while (remaining := self.limit.until - monotonic()) > 0:
            self.sleep(remaining)
        self.sleep(0.0)
