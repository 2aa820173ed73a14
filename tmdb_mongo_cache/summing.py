"""Adding what this process has counted to what all have: now and then and at exit, never on the way of a call."""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress

from .errors import CacheError
from .forks import RenewedAfterFork
from .stats import Counters
from .store.guard import GuardedStore

logger = logging.getLogger("tmdb_mongo_cache")

EVERY = 30.0
"""Seconds after a call in which its count is to be in MongoDB."""

_LAST = 1.0  # second that is waited for a round under way when a process ends


class Summing(RenewedAfterFork):
    """Adds the counts of one cache to MongoDB.

    While there is something to add, a thread sleeps until it is time; a process
    that makes no calls has none. What cannot be written stays counted and goes
    with the next round; after an operation that got no answer it may be counted
    twice. Nothing is raised, and no breaker opens: nobody waits for it.

    Args:
        counters: what is counted.
        guarded: MongoDB.
    """

    def __init__(self, counters: Counters, guarded: GuardedStore) -> None:
        self._counters = counters
        self._guarded = guarded
        self.after_fork()
        super().__init__()

    def after_fork(self) -> None:
        """Begin anew, in a forked child: the thread stayed with the parent."""
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._waiting = False

    def wake(self) -> None:
        """See to it that what was just counted is added soon; costs next to nothing where that is seen to."""
        if self._waiting or self._over.is_set():
            return
        self._waiting = True
        _all.add(self)
        _at_exit()
        # It knows this object by a weak reference: a cache that nobody has any more is not kept open by it.
        known = (weakref.ref(self), self._over)
        with suppress(RuntimeError):  # no more threads, or the interpreter is on its way out
            threading.Thread(target=_wait, args=known, name="tmdb-mongo-cache-stats", daemon=True).start()

    def add(self, *, patience: float = -1) -> None:
        """Add what was counted since the last time.

        Args:
            patience: seconds to wait for a round under way; -1: until it is over.
        """
        if not self._lock.acquire(timeout=patience):
            return
        try:
            self._waiting = False
            counts = self._counters.unwritten()
            if counts and self._guarded.takes_writes:
                self._guarded.store.sums.add(counts)
                self._counters.note_written(counts)
        except CacheError as error:
            logger.debug("the counts of this process are not in MongoDB yet: %s", error)
        except Exception as error:  # noqa: BLE001  nobody waits for it, and a thread of ours prints no traceback
            logger.debug("the counts of this process are not in MongoDB yet: %s", type(error).__name__)
        finally:
            self._lock.release()

    def close(self) -> None:
        """Add what is left; idempotent."""
        if not self._over.is_set():
            self._over.set()
            self.add(patience=_LAST)

    def __del__(self, is_finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
        if not is_finalizing():  # at exit, when even "sys" may be gone, it has been done already
            with suppress(Exception):
                self.close()


def _wait(found: weakref.ref[Summing], over: threading.Event) -> None:
    if over.wait(EVERY):
        return  # who has ended it adds the rest; a reference from here would keep open what is just being dropped
    summing = found()
    if summing is not None:
        summing.add()


_all: weakref.WeakSet[Summing] = weakref.WeakSet()
_registered = False


def _at_exit() -> None:
    """Have the rest added when this process ends: before the connections are closed and the embedded server stops.

    Those have been opened by now, and what is registered last is done first.
    """
    global _registered
    if not _registered:
        _registered = True
        atexit.register(_close_all)
    # A child of multiprocessing's ends without that.
    processes = sys.modules.get("multiprocessing.process")
    if processes is not None and processes.parent_process() is not None and os.getpid() not in _children:
        from multiprocessing.util import Finalize

        _children.add(os.getpid())
        Finalize(None, _close_all, exitpriority=10)


_children: set[int] = set()


def _close_all() -> None:
    for summing in list(_all):
        summing.close()
