"""What is remembered of TMDB's failures: which keys are left alone for a while, and until when TMDB limits the rate."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime, timezone
from typing import TYPE_CHECKING, NamedTuple

from cachetools import TTLCache

from .forks import RenewedAfterFork
from .tmdb.entry import Reply
from .tmdb.limits import pause_after, pause_at_limit, retry_after

if TYPE_CHECKING:
    from .asking import Send

_KEYS = 4096
_FORGOTTEN_AFTER = 300.0

PATIENCE = 60.0
"""Seconds that a call without a ``timeout`` waits for TMDB's limit to pass, in all."""


class _Failing(NamedTuple):
    failures: int
    until: float


class Backoff(RenewedAfterFork):
    """Keys whose refresh has failed, and until when they are not tried again; usable from many threads."""

    def __init__(self) -> None:
        self.after_fork()
        super().__init__()

    def after_fork(self) -> None:
        """Begin anew, in a forked child: another thread may have been in the middle of a change."""
        self._lock = threading.Lock()
        self._keys: TTLCache[str, _Failing] = TTLCache(_KEYS, _FORGOTTEN_AFTER)
        self._used = False  # not its length, which is no business of several threads

    def forget(self) -> None:
        """Leave no key alone any more."""
        with self._lock:
            self._keys.clear()

    def is_on(self, key: str) -> bool:
        """Say whether a key is to be left alone just now."""
        if not self._used:
            return False
        with self._lock:
            found = self._keys.get(key)
        return found is not None and time.monotonic() < found.until

    def failed(self, key: str, reply: Reply, took: float) -> float:
        """Note that asking TMDB for a key has failed, after so many seconds; return those that it is left alone."""
        said = retry_after(reply.headers, datetime.now(timezone.utc)) if reply.status in (429, 503) else None
        with self._lock:
            before = self._keys.get(key)
            failures = 1 if before is None else before.failures + 1
            pause = pause_after(failures, took, said)
            self._used = True
            self._keys[key] = _Failing(failures, time.monotonic() + pause)
        return pause

    def leave(self, key: str, seconds: float) -> None:
        """Leave a key alone, for another process has just failed with it."""
        with self._lock:
            before = self._keys.get(key)
            failures = 1 if before is None else before.failures
            self._used = True
            self._keys[key] = _Failing(failures, time.monotonic() + seconds)

    def succeeded(self, key: str) -> None:
        """Note that TMDB has answered for a key."""
        if self._used:
            with self._lock:
                self._keys.pop(key, None)


class Limit:
    """Until when TMDB limits the rate: one moment, which all who wait for it share."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._limited = 0
        self.until = 0.0

    def met(self, said: float | None) -> None:
        """Note a 429: calls that meet the limit together meet it once.

        Args:
            said: the seconds that TMDB asks to wait, if it does.
        """
        with self._lock:
            now = time.monotonic()
            if now >= self.until or said is not None:
                self._limited += 1
                self.until = max(self.until, now + pause_at_limit(self._limited, said))

    def passed(self) -> None:
        """Note an answer that was not limited."""
        self._limited = 0


class RateLimit(RenewedAfterFork):
    """The limit of this process, waited for within the patience of each caller."""

    def __init__(self) -> None:
        self.after_fork()
        super().__init__()

    def after_fork(self) -> None:
        """Begin anew, in a forked child."""
        self._limit = Limit()

    def send(self, once: Callable[[], Reply], send: Send, *, has_other: bool) -> Reply:
        """Send when the limit allows it, and again after a 429.

        Args:
            once: sends a call once.
            send: who waits, no longer in all than its patience; :data:`PATIENCE` where it has none.
            has_other: whether there is another answer, so that a 429 need not be waited for.
        """
        end = time.monotonic() + (PATIENCE if send.patience is None else send.patience)
        while True:
            until = self._limit.until
            if not has_other and time.monotonic() < until <= end:
                send.wait(time.sleep, max(until - time.monotonic(), 0.0))
            reply = once()
            if reply.error is not None or reply.status != 429:
                self._limit.passed()
                return reply
            self._limit.met(retry_after(reply.headers, datetime.now(timezone.utc)))
            if has_other or self._limit.until > end:
                return reply
