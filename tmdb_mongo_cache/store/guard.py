"""The store as the flow uses it: whatever the database does, nothing is raised, and little time is lost."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any

from ..config import CacheConfig
from ..errors import StoreError, StoreUnavailable
from ..forks import RenewedAfterFork
from ..stats import Counters
from ..tmdb.entry import Entry
from .breaker import Breaker
from .memory import Memory
from .opening import CLOSED

if TYPE_CHECKING:
    from .leases import Taken
    from .mongo import MongoStore


class Guard:
    """Two breakers, for reads and for writes: a database that takes no writes is still read.

    Args:
        counters: where failures are counted.
        lost: what it means for calls that reads fail.
    """

    def __init__(self, counters: Counters, lost: str = "calls go straight to TMDB for now") -> None:
        self.reads = Breaker(counters, lost, "MongoDB answers again")
        self.writes = Breaker(counters, "answers are not stored for now", "MongoDB takes answers again")
        self._unanswered = False

    def write(
        self, write: Callable[..., Any], *args: Any, read: Callable[[], Any], read_only: Callable[[], bool]
    ) -> tuple[Any, bool]:
        """Write, where reads work; return what ``write`` gave, and whether it was done. Nothing is raised.

        Args:
            write: what raises a ``CacheError`` when it fails; told by ``probing=True`` that no call waits for it.
            args: for it.
            read: what finds out whether reads work.
            read_only: says whether it is just that no server takes writes.
        """
        if self.reads.is_open:
            return None, False
        if self.writes.is_open:
            self.writes.probe(lambda: write(*args, probing=True))
            return None, False
        began = monotonic()
        try:
            done = write(*args)
        except Exception as error:  # noqa: BLE001  the cache is never why a program fails
            if self.writes.is_failure(error):
                # The first write without an answer tells nothing of reads: one outage, one warning.
                alone = self._unanswered or not isinstance(error, StoreUnavailable) or read_only()
                self._unanswered = True
                if alone:
                    self.writes.open(error, began)
                else:
                    self.reads.open(error, began)
                    self.reads.probe(read)
            return None, False
        self._unanswered = False
        return done, True


class GuardedStore(RenewedAfterFork):
    """A store that never raises, and that is left alone while MongoDB is lost."""

    def __init__(self, config: CacheConfig, counters: Counters, memory: Memory | None = None) -> None:
        self._config = config
        self._memory = memory
        self._guard = Guard(counters)
        self._store: MongoStore | None = None
        self.closed = False
        self.after_fork()
        super().__init__()

    def after_fork(self) -> None:
        """Begin anew, in a forked child."""
        self._lock = threading.Lock()

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
        return self._guard.reads.run(self._get, key, probe=self._probe)

    def put(self, entry: Entry, data: Any) -> bool:
        """Store an entry; say whether it was stored."""
        done, reached = self._write(self._put, entry.key, entry, data)
        return reached and done is not False

    def renew(self, entry: Entry) -> bool:
        """Write the times and headers of a confirmed entry; say whether they were written."""
        return self._write(self._renew, entry.key, entry)[1]

    def _write(self, write: Callable[..., Any], key: str, *args: Any) -> tuple[Any, bool]:
        return self._guard.write(
            write,
            *args,
            read=lambda: self._probe(key),
            read_only=lambda: self.store.connection.has_secondaries_alone,
        )

    def take(self, key: str, refreshing: bool) -> Taken | None:
        """Take the lease of a key, unless another has it; None where the database has nothing to say."""
        taken, _ = self._write(self._take, key, key, refreshing)
        return taken  # type: ignore[no-any-return]

    def give_back(self, key: str, failed: bool, rest: float) -> None:
        """Give a lease back; see :meth:`.leases.Leases.give_back`."""
        if self._store is not None:
            self._store.leases.drop(key)
        self._write(self._give_back, key, key, failed, rest)

    # The store may have to be made first, which may fail as well.

    def _take(self, key: str, refreshing: bool, *, probing: bool = False) -> Taken:
        taken = self.store.leases.take(key, refreshing, probing=probing)
        if probing and taken.is_mine:  # nobody waits for it any more
            self.store.leases.drop(key)
            self.store.leases.give_back(key, False, 0.0, probing=True)
        return taken

    def _give_back(self, key: str, failed: bool, rest: float, *, probing: bool = False) -> None:
        self.store.leases.give_back(key, failed, rest, probing=probing)

    def _get(self, key: str) -> Entry | None:
        return self.store.get(key)

    def _probe(self, key: str) -> Entry | None:
        return self.store.get(key, probing=True)

    def _put(self, entry: Entry, data: Any, *, probing: bool = False) -> bool:
        return self.store.put(entry, data, probing=probing)

    def _renew(self, entry: Entry, *, probing: bool = False) -> None:
        self.store.renew(entry, probing=probing)
