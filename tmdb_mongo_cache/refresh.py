"""Refreshing behind the caller's back: once per key at a time, by a few threads."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import monotonic

from .forks import RenewedAfterFork

logger = logging.getLogger("tmdb_mongo_cache")

_THREADS = 4

_WAITING = 100
"""Refreshes that may wait for a thread; one more is left to the next who asks."""

_TOO_LATE = 2.0
"""Seconds after which one that has waited is left to the next who asks: so a TMDB that hangs does not hold up exit."""


class Refresher(RenewedAfterFork):
    """Runs refreshes in the background; what is under way at exit is waited for."""

    def __init__(self) -> None:
        self.after_fork()
        super().__init__()

    def after_fork(self) -> None:
        """Begin anew, in a forked child: the pool's threads stayed with the parent."""
        self._lock = threading.Lock()
        self._closed = False
        self._under_way: set[str] = set()
        self._pool: ThreadPoolExecutor | None = None

    def submit(self, key: str, refresh: Callable[[], object]) -> None:
        """Run a refresh, unless one for the same key is under way."""
        with self._lock:
            if self._closed or key in self._under_way or len(self._under_way) >= _THREADS + _WAITING:
                return
            self._under_way.add(key)
            if self._pool is None:
                self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="tmdb-mongo-cache")
            pool = self._pool
        try:
            pool.submit(self._run, key, refresh, monotonic())
        except RuntimeError:  # the interpreter is on its way out
            self._done(key)

    def _run(self, key: str, refresh: Callable[[], object], since: float) -> None:
        try:
            if monotonic() - since < _TOO_LATE:
                refresh()
        except Exception as error:  # noqa: BLE001  nobody waits for it; the next call asks again
            logger.debug("%s: the refresh failed: %s", key, type(error).__name__)
        finally:
            self._done(key)

    def _done(self, key: str) -> None:
        with self._lock:
            self._under_way.discard(key)

    def close(self) -> None:
        """Wait for what is under way; idempotent."""
        with self._lock:
            pool, self._pool, self._closed = self._pool, None, True
        if pool is not None:
            pool.shutdown()
