"""The store as the flow uses it: it never raises, and it is not used while MongoDB is away."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from ..config import CacheConfig
from ..core.circuit_breaker import Breaker, State
from ..core.lease import Lease
from ..core.memory import Memory
from ..errors import CLOSED, StoreError
from ..fork import RenewedAfterFork, importing
from ..httpcache.models import Entry
from ..metrics.counters import Bucket, Count
from ..tmdb.invalidation import Touched
from .breakers import Breakers

if TYPE_CHECKING:
    from .command import Commands
    from .store import MongoStore

Result = TypeVar("Result")


class GuardedStore(RenewedAfterFork):
    """A store that never raises, and that is not used while its breakers are open."""

    def __init__(self, config: CacheConfig, on_failure: Callable[[], object], memory: Memory | None = None) -> None:
        self._config = config
        self._memory = memory
        self._breakers = Breakers(on_failure, float(config.store_timeout))  # type: ignore[arg-type]
        self._store: MongoStore | None = None
        self.closed = False
        self.after_fork()
        super().__init__()

    def after_fork(self) -> None:
        """Start again, in a forked child."""
        self._lock = threading.Lock()

    @property
    def unguarded(self) -> MongoStore:
        """The store itself, which raises."""
        if self.closed:
            raise StoreError(CLOSED)
        if self._store is None:
            # pymongo takes longer to import than everything else: not before it is needed.
            with importing():
                from .store import MongoStore

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

    @property
    def is_open(self) -> bool:
        """Whether the database has been opened, and not closed again."""
        return self._store is not None and not self.closed and self._store.connection.is_open

    @property
    def takes_writes(self) -> bool:
        """Whether responses are stored, as far as is known."""
        return not (self._breakers.reads.is_open or self._breakers.writes.is_open)

    def add_counts(self, counts: Mapping[Bucket, Count], within: float | None) -> bool:
        """Add counts to those of all processes; False where the database is not open, or takes no writes.

        Raises:
            StoreError: that failed. No breaker opens, because no call waits for it.
        """
        if not (self.is_open and self.takes_writes):
            return False
        self.unguarded.statistics.add(counts, within)
        return True

    def find(self, key: str) -> tuple[Entry | None, bool]:
        """Look up an entry; return it, if there is one, and whether the database replied at all."""
        # What Breaker.run() does is written out, because every hit passes here.
        reads = self._breakers.reads
        if reads.state is State.CLOSED:
            began = reads.clock()
            try:
                return self.unguarded.find(key), True
            except Exception as error:  # noqa: BLE001  the cache is never why a program fails
                reads.fail(error, began, self._probe, key)
        else:
            reads.probe(self._probe, key)
        return None, False

    def find_containing(self, first: str, end: str, pattern: str, now: datetime) -> list[str]:
        """Return keys in a range that have a fresh entry; none where the database does not reply."""

        def find() -> list[str]:
            store = self.unguarded
            return store.run(store.operations.find_containing(first, end, pattern, now))

        return self._breakers.reads.run(find, probe=lambda: self._probe(first))[0] or []

    def store(self, entry: Entry, data: Any) -> bool:
        """Store an entry; say whether it was stored."""
        done, reached = self._run(self._breakers.writes, entry.key, lambda store: store.operations.store(entry, data))
        return reached and done is not False

    def renew(self, entry: Entry) -> bool:
        """Write the times and headers of a confirmed entry; say whether they were written."""
        return self._run(self._breakers.writes, entry.key, lambda store: store.operations.renew(entry))[1]

    def mark_stale(self, touched: Sequence[Touched], now: datetime) -> None:
        """Make stale what a write has touched, as far as the database lets it."""
        self._breakers.run(
            self._breakers.writes,
            lambda probing: self.unguarded.mark_stale(touched, now, probing=probing),
            partial(self._probe, touched[0].keys[0]),
            self._is_read_only,
        )

    def acquire_lease(self, key: str, refreshing: bool) -> Lease | None:
        """Acquire the lease of a key, unless another process has it; None where the database does not reply."""
        found, _ = self._run(
            self._breakers.leases,
            key,
            lambda store: store.leases.acquire(key, refreshing),
            lambda store: store.leases.probe(key, refreshing),
        )
        return found  # type: ignore[no-any-return]

    def abandon_lease(self, key: str) -> None:
        """Stop renewing the lease of a key."""
        if self._store is not None:
            self._store.leases.abandon(key)

    # A write without a reply says nothing about MongoDB, so it is no probe: it is not sent while the breaker is open.

    def open_lease(self, key: str) -> None:
        """Let no process wait for the lease of a key; see :meth:`.mongo.leases.Leases.open`."""
        if self._breakers.leases.state is State.CLOSED:
            self._run(self._breakers.leases, key, lambda store: store.leases.open(key))

    def release_lease(self, key: str, failed: bool, backoff: float) -> None:
        """Release a lease; see :meth:`.mongo.leases.Leases.release`."""
        self.abandon_lease(key)
        if self._breakers.leases.state is State.CLOSED:
            self._run(self._breakers.leases, key, lambda store: store.leases.release(key, failed, backoff))

    # Inside the breakers, because the store may have to be made first, which may fail as well.

    def _probe(self, key: str) -> Entry | None:
        return self.unguarded.find(key, probing=True)

    def _run(
        self,
        breaker: Breaker,
        key: str,
        make: Callable[[MongoStore], Commands[Any]],
        probe: Callable[[MongoStore], Commands[Any]] | None = None,
    ) -> tuple[Any, bool]:
        def run(probing: bool) -> Any:
            store = self.unguarded
            return store.run(((probing and probe) or make)(store), writing=True, probing=probing)

        return self._breakers.run(breaker, run, partial(self._probe, key), self._is_read_only)

    def _is_read_only(self) -> bool:
        return self.unguarded.connection.has_secondaries_alone
