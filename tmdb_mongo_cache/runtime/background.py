"""Flows that nobody waits for, run by a few threads."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import monotonic

from ..fork import RenewedAfterFork

logger = logging.getLogger("tmdb_mongo_cache")

_THREADS = 4

_WAITING = 100
"""Refreshes that may wait for a thread; one more is left to the next caller."""

_TOO_LATE = 2.0
"""Seconds after which one that has waited is left to the next caller: so a TMDB that hangs does not hold up exit."""


class Background(RenewedAfterFork):
    """Runs functions in the background; what is running at exit is waited for."""

    def __init__(self) -> None:
        self.after_fork()
        super().__init__()

    def after_fork(self) -> None:
        """Start empty in a forked child: the pool's threads stayed with the parent."""
        self._lock = threading.Lock()
        self._closed = False
        self._accepted = 0
        self._pool: ThreadPoolExecutor | None = None

    def submit(self, key: str, run: Callable[[], object], drop: Callable[[], object]) -> bool:
        """Run a function soon, and say so; False where too many wait.

        Args:
            key: what the function refreshes, for the log.
            run: the function.
            drop: is called instead where it is too late.
        """
        with self._lock:
            if self._closed or self._accepted >= _THREADS + _WAITING:
                return False
            self._accepted += 1
            if self._pool is None:
                self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="tmdb-mongo-cache")
            pool = self._pool
        try:
            pool.submit(self._run, key, run, drop, monotonic())
        except RuntimeError:  # the interpreter is on its way out
            self._end()
            return False
        return True

    def _run(self, key: str, run: Callable[[], object], drop: Callable[[], object], since: float) -> None:
        try:
            if monotonic() - since < _TOO_LATE:
                run()
            else:
                drop()
        except Exception as error:  # noqa: BLE001  nobody waits for it; the next caller tries again
            logger.debug("%s: the refresh failed: %s", key, type(error).__name__)
        finally:
            self._end()

    def _end(self) -> None:
        with self._lock:
            self._accepted -= 1

    def close(self) -> None:
        """Wait for what is running; idempotent."""
        with self._lock:
            pool, self._pool, self._closed = self._pool, None, True
        if pool is not None:
            pool.shutdown()
