"""Back-off: which keys are not tried again for a while because TMDB failed, and until when TMDB limits the rate."""

from __future__ import annotations

import threading
from typing import NamedTuple

from cachetools import TTLCache

from ..fork import RenewedAfterFork
from ..httpcache.models import Reply
from ..httpcache.retry_after import pause_after, pause_at_limit, retry_after
from .clock import SYSTEM, Clock

_KEYS = 4096
_FORGOTTEN_AFTER = 300.0


class _Failing(NamedTuple):
    failures: int
    until: float


class Backoff(RenewedAfterFork):
    """Keys with which TMDB has failed, and until when they are not tried again; usable from many threads."""

    def __init__(self, clock: Clock = SYSTEM) -> None:
        self._clock = clock
        self.after_fork()
        super().__init__()

    def after_fork(self) -> None:
        """Start empty in a forked child: another thread may have been in the middle of a change."""
        self._lock = threading.Lock()
        self._keys: TTLCache[str, _Failing] = TTLCache(_KEYS, _FORGOTTEN_AFTER, self._clock.monotonic)
        self._used = False  # not its length, which is no business of several threads

    def forget(self) -> None:
        """Back off from no key any more."""
        with self._lock:
            self._keys.clear()

    def is_on(self, key: str) -> bool:
        """Say whether TMDB is not to be called for a key just now."""
        if not self._used:
            return False
        with self._lock:
            found = self._keys.get(key)
        return found is not None and self._clock.monotonic() < found.until

    def failed(self, key: str, reply: Reply, took: float) -> float:
        """Note that TMDB failed for a key after so many seconds; return those for which it is not called again."""
        said = retry_after(reply.headers, self._clock.now()) if reply.status in (429, 503) else None
        with self._lock:
            before = self._keys.get(key)
            failures = 1 if before is None else before.failures + 1
            pause = pause_after(failures, took, said)
            self._used = True
            self._keys[key] = _Failing(failures, self._clock.monotonic() + pause)
        return pause

    def back_off(self, key: str, seconds: float) -> None:
        """Back off from a key, because another process has just failed with it."""
        with self._lock:
            before = self._keys.get(key)
            failures = 1 if before is None else before.failures
            self._used = True
            self._keys[key] = _Failing(failures, self._clock.monotonic() + seconds)

    def succeeded(self, key: str) -> None:
        """Note that TMDB has responded for a key."""
        if self._used:
            with self._lock:
                self._keys.pop(key, None)


class Limit:
    """Until when TMDB limits the rate: one moment, which all who wait for it share."""

    def __init__(self, clock: Clock = SYSTEM) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._limited = 0
        self.until = 0.0

    def met(self, said: float | None) -> None:
        """Note a 429: calls that meet the limit together meet it once.

        Args:
            said: the seconds of its ``Retry-After``, if it has one.
        """
        with self._lock:
            now = self._clock.monotonic()
            if now >= self.until or said is not None:
                self._limited += 1
                self.until = max(self.until, now + pause_at_limit(self._limited, said))

    def passed(self) -> None:
        """Note a response that was not limited."""
        self._limited = 0


class RateLimit(Limit, RenewedAfterFork):
    """The limit as one process has met it; a forked child has met none."""

    def __init__(self, clock: Clock = SYSTEM) -> None:
        Limit.__init__(self, clock)
        RenewedAfterFork.__init__(self)

    def after_fork(self) -> None:
        """Start without a limit, in a forked child."""
        Limit.__init__(self, self._clock)
