"""Adding what this process has counted to what all have: now and then and at exit, never while a call waits."""

from __future__ import annotations

import _thread
import atexit
import logging
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from ..errors import CacheError
from ..fork import ForkSafeLock, RenewedAfterFork
from .counters import Bucket, Count, Counters

logger = logging.getLogger("tmdb_mongo_cache")

_FIRST, _LONGEST = 1.0, 30.0
"""Seconds from a call to its count being added: for the first ones, and for those of a process that goes on calling."""

_FIRST_OF_CHILDREN = 0.05
"""The same for a child of multiprocessing's: a pool that is left as a context manager kills its workers."""

_AT_EXIT = 1.0
"""Seconds that the end of a process may take for it, whatever MongoDB does."""


Write = Callable[[Mapping[Bucket, Count], float | None], bool]
"""Adds counts to those in MongoDB, within so many seconds; returns False where nothing can be written now."""


def _flush(counters: Counters, write: Write, within: float | None = None) -> None:
    try:
        counts = counters.unwritten()
        if counts and write(counts, within):
            counters.note_written(counts)
    except Exception as error:  # noqa: BLE001  nothing waits for it, and a thread of ours prints no traceback
        why = error if isinstance(error, CacheError) else type(error).__name__
        logger.debug("the counts of this process are not in MongoDB yet: %s", why)


class Flusher:
    """Adds the counts of one cache to those in MongoDB.

    What cannot be written stays counted and goes with the next round; after an
    operation that got no reply it may be counted twice. Nothing is raised, and
    no breaker opens: nothing waits for it.

    Args:
        counters: what is counted.
        write: adds counts to those in MongoDB.
        is_open: whether the database has been opened: it is not for the counts alone.
    """

    def __init__(self, counters: Counters, write: Write, is_open: Callable[[], bool]) -> None:
        self._counters = counters
        self._write = write
        self._is_open = is_open
        self._lock = ForkSafeLock()
        self._closed = False
        self.is_scheduled = False

    def schedule(self) -> None:
        """Have what was just counted added soon; costs next to nothing where that is scheduled already."""
        if not self.is_scheduled and not self._closed and self._is_open():
            self.is_scheduled = True
            _schedule.add(self)

    def flush(self, write: Write | None = None) -> None:
        """Add what was counted since the last time, by another function where that is given."""
        with self._lock:
            self.is_scheduled = False
            _flush(self._counters, write or self._write)

    def close(self, within: float = _AT_EXIT) -> None:
        """Add what is left, in so many seconds; idempotent."""
        with self._lock:
            if not self._closed:
                self._closed = True
                _flush(self._counters, self._write, within)
                _schedule.remove(self)

    # At exit, when names of modules are gone, everything has been added.
    def __del__(
        self,
        is_finalizing: Callable[[], bool] = sys.is_finalizing,
        start: Callable[..., Any] = _thread.start_new_thread,
        flush: Callable[..., None] = _flush,
    ) -> None:
        if is_finalizing() or self._closed or not self._is_open():
            return
        # In a thread: the garbage collector comes at any moment, perhaps while this one holds a lock of pymongo's.
        with suppress(Exception):
            start(flush, (self._counters, self._write, _AT_EXIT))


class _Schedule(RenewedAfterFork):
    """A thread that sleeps until counts are to be added; a process that makes no calls has none.

    The pauses grow, so that a process that is soon stopped from outside (a
    worker of a pool) loses little, and one that goes on costs little.
    """

    def __init__(self) -> None:
        # By weak references: a cache that is not used any more is not kept open by it.
        self._due: weakref.WeakSet[Flusher] = weakref.WeakSet()
        self._all: weakref.WeakSet[Flusher] = weakref.WeakSet()
        self._registered_by: set[int] = set()
        self._held: set[Flusher] | None = None
        self.after_fork()
        super().__init__()

    def after_fork(self) -> None:
        """Begin again, in a forked child: the thread stayed with the parent."""
        self._lock = threading.Lock()
        self._runs = False
        self._over = threading.Event()
        for flusher in list(self._all):
            flusher.is_scheduled = False
        self._due.clear()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Have what is counted within added before the end, also by caches that are dropped within; for tests."""
        held: set[Flusher] = set()
        self._held = held
        for flusher in list(self._all):
            flusher.is_scheduled = False  # each that counts within is added once more
        try:
            yield
        finally:
            self._held = None
            for flusher in held:
                flusher.flush()

    def add(self, flusher: Flusher) -> None:
        """Have counts added in the next round."""
        with self._lock:
            self._all.add(flusher)
            if self._held is not None:
                self._held.add(flusher)
            self._due.add(flusher)
            self._register()
            if not self._runs:
                try:
                    threading.Thread(target=self._run, name="tmdb-mongo-cache-stats", daemon=True).start()
                    self._runs = True
                except RuntimeError:  # no more threads, or the interpreter is on its way out
                    flusher.is_scheduled = False

    def remove(self, flusher: Flusher) -> None:
        """Expect nothing more of a cache that is closed; with the last one the thread ends."""
        with self._lock:
            self._due.discard(flusher)
            if not self._due:
                self._over.set()

    def _run(self) -> None:
        pause = _FIRST_OF_CHILDREN if _is_child() else _FIRST
        while True:
            self._over.wait(pause)
            pause = min(2 * pause, _LONGEST)
            with self._lock:
                self._over.clear()
                due = list(self._due)
                self._due.clear()
                if not due:
                    self._runs = False
                    return
            while due:
                due.pop().flush()

    def _register(self) -> None:
        """Have the rest added when this process ends: before connections are closed and the embedded server stops.

        What is registered last is done first, and the database has been opened by now.
        """
        atexit.unregister(self._close_all)
        atexit.register(self._close_all)
        # A child of multiprocessing's ends without atexit.
        if _is_child() and os.getpid() not in self._registered_by:
            from multiprocessing.util import Finalize

            self._registered_by.add(os.getpid())
            Finalize(None, self._close_all, exitpriority=10)

    def _close_all(self) -> None:
        end = time.monotonic() + _AT_EXIT
        for flusher in list(self._all):
            left = end - time.monotonic()
            if left > 0:
                flusher.close(left)


def _is_child() -> bool:
    processes = sys.modules.get("multiprocessing.process")
    return processes is not None and processes.parent_process() is not None


_schedule = _Schedule()
flushed_at_end = _schedule.held
