"""What threads that call TMDB wait for together: its rate limit, and the end."""

from __future__ import annotations

import threading
from time import monotonic

from ..backoff import Limit


class Stopped(Exception):
    """Raised in a thread that is to begin no call any more."""


class Pause:
    """Until when TMDB limits the rate: one moment, for all threads; and whether somebody has stopped them."""

    def __init__(self) -> None:
        self._stopped = threading.Event()
        self.limit = Limit()

    def stop(self) -> None:
        """Let nobody wait any more, nor go on."""
        self._stopped.set()

    @property
    def stopped(self) -> bool:
        """Whether :meth:`stop` was called."""
        return self._stopped.is_set()

    @property
    def is_on(self) -> bool:
        """Whether TMDB allows no calls now."""
        return monotonic() < self.limit.until

    def wait(self, seconds: float) -> None:
        """Wait.

        Raises:
            Stopped: it was stopped, before or meanwhile.
        """
        if self._stopped.wait(max(seconds, 0.0)):
            raise Stopped

    def over(self) -> None:
        """Wait until TMDB allows calls again; raises as :meth:`wait` does."""
        while (left := self.limit.until - monotonic()) > 0:
            self.wait(left)
        self.wait(0.0)
