"""Adding what this process has counted to what all have: now and then and at exit, never on the way of a call."""

from __future__ import annotations

import _thread
import atexit
import logging
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from .errors import CacheError
from .forks import ForkSafeLock, RenewedAfterFork
from .stats import Counters
from .store.guard import GuardedStore

logger = logging.getLogger("tmdb_mongo_cache")

_FIRST, _LONGEST = 1.0, 30.0
"""Seconds from a call to its count being added: for the first ones, and for those of a process that goes on calling."""

_FIRST_OF_CHILDREN = 0.05
"""The same for a child of multiprocessing's: a pool that is left as a context manager kills its workers."""

_AT_EXIT = 1.0
"""Seconds that the end of a process may take for it, whatever MongoDB does."""


def _add(counters: Counters, guarded: GuardedStore, within: float | None = None) -> None:
    try:
        counts = counters.unwritten()
        if counts and guarded.is_open and guarded.takes_writes:
            guarded.store.sums.add(counts, within)
            counters.note_written(counts)
    except CacheError as error:
        logger.debug("the counts of this process are not in MongoDB yet: %s", error)
    except Exception as error:  # noqa: BLE001  nobody waits for it, and a thread of ours prints no traceback
        logger.debug("the counts of this process are not in MongoDB yet: %s", type(error).__name__)


class Summing:
    """Adds the counts of one cache to MongoDB.

    What cannot be written stays counted and goes with the next round; after an
    operation that got no answer it may be counted twice. Nothing is raised, and
    no breaker opens: nobody waits for it.

    Args:
        counters: what is counted.
        guarded: MongoDB.
    """

    def __init__(self, counters: Counters, guarded: GuardedStore) -> None:
        self._counters = counters
        self._guarded = guarded
        self._lock = ForkSafeLock()
        self._closed = False
        self.waiting = False

    def wake(self) -> None:
        """See to it that what was just counted is added soon; costs next to nothing where that is seen to."""
        # A database that was not opened for any call is not opened for their number.
        if not self.waiting and not self._closed and self._guarded.is_open:
            self.waiting = True
            _rounds.expect(self)

    def add(self, guarded: GuardedStore | None = None) -> None:
        """Add what was counted since the last time; ``guarded`` is a MongoDB that is open in any case."""
        with self._lock:
            self.waiting = False
            _add(self._counters, guarded or self._guarded)

    def close(self, within: float = _AT_EXIT) -> None:
        """Add what is left, in so many seconds; idempotent."""
        with self._lock:
            if not self._closed:
                self._closed = True
                _add(self._counters, self._guarded, within)
                _rounds.forget(self)

    # At exit, when names of modules are gone, everything has been added.
    def __del__(
        self,
        is_finalizing: Callable[[], bool] = sys.is_finalizing,
        start: Callable[..., Any] = _thread.start_new_thread,
        add: Callable[..., None] = _add,
    ) -> None:
        if is_finalizing() or self._closed or not self._guarded.is_open:
            return
        # In a thread: the garbage collector comes at any moment, perhaps while this one holds a lock of pymongo's.
        with suppress(Exception):
            start(add, (self._counters, self._guarded, _AT_EXIT))


class _Rounds(RenewedAfterFork):
    """A thread that sleeps while there is something to add, until it is time; a process that makes no calls has none.

    The pauses grow, so that a process that is soon stopped from outside (a
    worker of a pool) loses little, and one that goes on costs little.
    """

    def __init__(self) -> None:
        # By weak references: a cache that nobody has any more is not kept open by it.
        self._expected: weakref.WeakSet[Summing] = weakref.WeakSet()
        self._all: weakref.WeakSet[Summing] = weakref.WeakSet()
        self._registered_by: set[int] = set()
        self.after_fork()
        super().__init__()

    def after_fork(self) -> None:
        """Begin anew, in a forked child: the thread stayed with the parent."""
        self._lock = threading.Lock()
        self._runs = False
        self._over = threading.Event()
        for summing in list(self._all):
            summing.waiting = False
        self._expected.clear()

    def expect(self, summing: Summing) -> None:
        """Have counts added in the next round."""
        with self._lock:
            self._all.add(summing)
            self._expected.add(summing)
            self._register()
            if not self._runs:
                try:
                    threading.Thread(target=self._run, name="tmdb-mongo-cache-stats", daemon=True).start()
                    self._runs = True
                except RuntimeError:  # no more threads, or the interpreter is on its way out
                    summing.waiting = False

    def forget(self, summing: Summing) -> None:
        """Expect nothing more of a cache that is closed; with the last one the thread ends."""
        with self._lock:
            self._expected.discard(summing)
            if not self._expected:
                self._over.set()

    def _run(self) -> None:
        pause = _FIRST_OF_CHILDREN if _is_child() else _FIRST
        while True:
            self._over.wait(pause)
            pause = min(2 * pause, _LONGEST)
            with self._lock:
                self._over.clear()
                found = list(self._expected)
                self._expected.clear()
                if not found:
                    self._runs = False
                    return
            while found:
                found.pop().add()

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
        for summing in list(self._all):
            left = end - time.monotonic()
            if left > 0:
                summing.close(left)


def _is_child() -> bool:
    processes = sys.modules.get("multiprocessing.process")
    return processes is not None and processes.parent_process() is not None


_rounds = _Rounds()
