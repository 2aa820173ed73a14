"""What threads that call TMDB wait for together: its rate limit, and the end."""

from __future__ import annotations

import threading
from time import monotonic

from ..tmdb.limits import pause_at_limit


class Stopped(Exception):
    """Raised in a thread that is to begin no call any more."""


class Pause:
    """Until when TMDB limits the rate: one moment, for all threads; and whether somebody has stopped them."""

    def __init__(self) -> None:
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._until = 0.0
        self._limited = 0

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
        return monotonic() < self._until

    def wait(self, seconds: float) -> None:
        """Wait.

        Raises:
            Stopped: it was stopped, before or meanwhile.
        """
        if self._stopped.wait(max(seconds, 0.0)):
            raise Stopped

    def over(self) -> None:
        """Wait until TMDB allows calls again; raises as :meth:`wait` does."""
        while (left := self._until - monotonic()) > 0:
            self.wait(left)
        self.wait(0.0)

    def limit(self, said: float | None) -> None:
        """Note a 429: calls that meet the limit together meet it once.

        Args:
            said: the seconds that TMDB asks to wait, if it does.
        """
        with self._lock:
            now = monotonic()
            if now >= self._until or said is not None:
                self._limited += 1
                self._until = max(self._until, now + pause_at_limit(self._limited, said))

    def lift(self) -> None:
        """Note an answer that was not limited."""
        self._limited = 0
