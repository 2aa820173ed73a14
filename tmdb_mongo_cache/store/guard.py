"""The store as the flow uses it: whatever the database does, nothing is raised."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..config import CacheConfig
from ..errors import CacheError, StoreError
from ..forks import RenewedAfterFork
from ..stats import Counters
from ..tmdb.entry import Entry
from .memory import Memory
from .opening import CLOSED

if TYPE_CHECKING:
    from .mongo import MongoStore

logger = logging.getLogger("tmdb_mongo_cache")


class LossLog:
    """One warning when MongoDB is lost, one line when it is back, nothing in between."""

    def __init__(self) -> None:
        self._lost = False

    def lost(self, what: str, why: str) -> None:
        """Note that it failed: what that means for calls, and why it did."""
        if not self._lost:
            self._lost = True
            logger.warning("%s: %s", what, why)

    def back(self) -> None:
        """Note that it answered."""
        if self._lost:
            self._lost = False
            logger.info("MongoDB answers again")


class GuardedStore(RenewedAfterFork):
    """A store that never raises, and says in the log when MongoDB is lost and when it is back."""

    def __init__(self, config: CacheConfig, counters: Counters, memory: Memory | None = None) -> None:
        self._config = config
        self._memory = memory
        self._counters = counters
        self._store: MongoStore | None = None
        self.closed = False
        self.after_fork()
        super().__init__()

    def after_fork(self) -> None:
        """Begin anew, in a forked child."""
        self._lock = threading.Lock()
        self._losses = LossLog()

    @property
    def store(self) -> MongoStore:
        """The store itself, for those who want its errors."""
        if self.closed:
            raise StoreError(CLOSED)
        if self._store is None:
            # pymongo takes longer to import than all the rest: not before there is something to look up.
            from .mongo import MongoStore

            with self._lock:
                if self._store is None:
                    self._store = MongoStore(self._config, self._memory)
        return self._store

    def close(self) -> None:
        """Close the store; idempotent."""
        with self._lock:
            self.closed = True
            store = self._store
        if store is not None:
            store.close()

    def get(self, key: str) -> tuple[Entry | None, bool]:
        """Look up an entry; return it, if there is one, and whether the database answered at all."""
        try:
            entry = self.store.get(key)
        except Exception as error:  # noqa: BLE001  the cache is never why a program fails
            self._note_loss(error)
            return None, False
        self._losses.back()
        return entry, True

    def put(self, entry: Entry, data: Any) -> bool:
        """Store an entry; say whether it was stored."""
        return self._write(lambda: self.store.put(entry, data))

    def renew(self, entry: Entry) -> bool:
        """Write the times and headers of a confirmed entry; say whether they were written."""
        return self._write(lambda: self.store.renew(entry))

    def _write(self, write: Callable[[], bool | None]) -> bool:
        try:
            return write() is not False
        except Exception as error:  # noqa: BLE001  the cache is never why a program fails
            self._note_loss(error)
            return False

    def _note_loss(self, error: Exception) -> None:
        self._counters.add("store_errors")
        text = str(error) if isinstance(error, CacheError | ImportError) else type(error).__name__
        self._losses.lost("calls go straight to TMDB for now", text)
