"""The store as the flow uses it: whatever the database does, nothing is raised, and little time is lost."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

from ..config import CacheConfig
from ..errors import CLOSED, StoreError, StoreUnavailable
from ..forks import RenewedAfterFork, importing
from ..stats import Counters
from ..tmdb.entry import Entry
from ..tmdb.writes import Touched
from .breaker import Allowance, Breaker
from .memory import Memory

if TYPE_CHECKING:
    from .leases import Taken
    from .mongo import MongoStore


class Guard(RenewedAfterFork):
    """Breakers for reads, for writes and for leases: a database that takes no writes is still read.

    Where reads fail, writes are not tried. One outage is one warning: a write
    that gets no answer says nothing until a look has shown whether reads do.

    Args:
        counters: where failures are counted.
        timeout: seconds that one operation may take.
        lost: what it means for calls that reads fail.
    """

    def __init__(self, counters: Counters, timeout: float, lost: str = "calls go straight to TMDB for now") -> None:
        self.reads = Breaker(counters, Allowance(timeout), lost, "MongoDB answers again", closed=self._reads_closed)
        allowed = Allowance(timeout)
        self.writes = Breaker(counters, allowed, "answers are not stored for now", "MongoDB takes answers again")
        self.leases = Breaker(counters, allowed, "there are no leases for now", "there are leases again", silent=True)
        self.after_fork()
        super().__init__()

    def after_fork(self) -> None:
        """Begin anew, in a forked child."""
        self._asking = False

    def write(
        self, write: Callable[..., Any], *args: Any, read: Callable[[], Any], read_only: Callable[[], bool]
    ) -> tuple[Any, bool]:
        """Write, where that works; return what ``write`` gave, and whether it was done. Nothing is raised.

        Args:
            write: what raises a ``CacheError`` when it fails; told by ``probing=True`` that no call waits for it.
            args: for it.
            read: what finds out whether reads work.
            read_only: says whether it is just that no server takes writes.
        """
        return self._run(self.writes, write, *args, read=read, read_only=read_only)

    def lease(
        self, take: Callable[..., Any], *args: Any, read: Callable[[], Any], read_only: Callable[[], bool]
    ) -> tuple[Any, bool]:
        """Take or give back a lease, as :meth:`write` writes; without one nothing is lost but a call to TMDB."""
        return self._run(self.leases, take, *args, read=read, read_only=read_only)

    def _run(
        self,
        breaker: Breaker,
        write: Callable[..., Any],
        *args: Any,
        read: Callable[[], Any],
        read_only: Callable[[], bool],
    ) -> tuple[Any, bool]:
        if self.reads.is_open:
            return None, False
        if breaker.is_open:
            breaker.probe(lambda: write(*args, probing=True))
            return None, False
        began = monotonic()
        try:
            return write(*args), True
        except Exception as error:  # noqa: BLE001  the cache is never why a program fails
            if breaker.is_failure(error):
                unanswered = isinstance(error, StoreUnavailable)
                breaker.open(error, began, quietly=unanswered)
                if unanswered:
                    # The same call is not to wait for the other kind as well.
                    other = self.leases if breaker is self.writes else self.writes
                    other.open(error, monotonic(), quietly=True)
                    if _holds(read_only):
                        self.writes.say()
                    else:
                        self._ask(read)
            return None, False

    def _ask(self, read: Callable[[], Any]) -> None:
        """Find out in a thread whether reads work, and say what is lost."""
        if self._asking:
            return
        self._asking = True

        def ask() -> None:
            began = monotonic()
            try:
                read()
            except Exception as error:  # noqa: BLE001  a thread of ours prints no traceback
                self.reads.open(error, began)
            else:
                self.writes.say()
            finally:
                self._asking = False

        try:
            threading.Thread(target=ask, name="tmdb-mongo-cache-probe", daemon=True).start()
        except RuntimeError:  # no more threads, or the interpreter is on its way out
            self._asking = False

    def _reads_closed(self) -> None:
        """Try writes again, too, where they were lost with reads."""
        for breaker in (self.writes, self.leases):
            breaker.close_if_quiet()


def _holds(condition: Callable[[], bool]) -> bool:
    try:
        return condition()
    except StoreError:  # closed just now
        return False


class GuardedStore(RenewedAfterFork):
    """A store that never raises, and that is left alone while MongoDB is lost."""

    def __init__(self, config: CacheConfig, counters: Counters, memory: Memory | None = None) -> None:
        self._config = config
        self._memory = memory
        self._guard = Guard(counters, float(config.store_timeout))  # type: ignore[arg-type]
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
            with importing():
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

    @property
    def is_open(self) -> bool:
        """Whether the database has been opened, and not closed again."""
        return self._store is not None and not self.closed and self._store.connection.is_open

    @property
    def takes_writes(self) -> bool:
        """Whether answers are being stored, as far as is known."""
        return not (self._guard.reads.is_open or self._guard.writes.is_open)

    def get(self, key: str) -> tuple[Entry | None, bool]:
        """Look up an entry; return it, if there is one, and whether the database answered at all."""
        return self._guard.reads.run(self._get, key, probe=self._probe)

    def keys_between(self, first: str, end: str, pattern: str, now: datetime) -> list[str]:
        """Return keys in a range that have a fresh entry; none where the database does not answer."""
        run, probe = self._guard.reads.run, lambda *_: self._probe(first)
        return run(self._keys_between, first, end, pattern, now, probe=probe)[0] or []

    def put(self, entry: Entry, data: Any) -> bool:
        """Store an entry; say whether it was stored."""
        done, reached = self._write(self._put, entry.key, entry, data)
        return reached and done is not False

    def renew(self, entry: Entry) -> bool:
        """Write the times and headers of a confirmed entry; say whether they were written."""
        return self._write(self._renew, entry.key, entry)[1]

    def make_stale(self, touched: Sequence[Touched], now: datetime) -> None:
        """Make stale what a write has touched, as far as the database lets it."""
        self._write(self._make_stale, touched[0].keys[0], touched, now)

    def _write(self, write: Callable[..., Any], key: str, *args: Any) -> tuple[Any, bool]:
        return self._guard.write(write, *args, read=lambda: self._probe(key), read_only=self._is_read_only)

    def _is_read_only(self) -> bool:
        return self.store.connection.has_secondaries_alone

    def _lease(self, operation: Callable[..., Any], key: str, *args: Any) -> Any:
        read = partial(self._probe, key)
        return self._guard.lease(operation, key, *args, read=read, read_only=self._is_read_only)[0]

    def take(self, key: str, refreshing: bool) -> Taken | None:
        """Take the lease of a key, unless another has it; None where the database has nothing to say."""
        return self._lease(self._take, key, refreshing)  # type: ignore[no-any-return]

    def let_go(self, key: str) -> None:
        """Renew the lease of a key no more."""
        if self._store is not None:
            self._store.leases.drop(key)

    # What is not waited for is no probe of anything: not while the breaker is open.

    def open_lease(self, key: str) -> None:
        """Let nobody wait for who has the lease of a key; see :meth:`.leases.Leases.open`."""
        if not self._guard.leases.is_open:
            self._lease(self._open_lease, key)

    def give_back(self, key: str, failed: bool, rest: float) -> None:
        """Give a lease back; see :meth:`.leases.Leases.give_back`."""
        self.let_go(key)
        if not self._guard.leases.is_open:
            self._lease(self._give_back, key, failed, rest)

    # The store may have to be made first, which may fail as well.

    def _take(self, key: str, refreshing: bool, *, probing: bool = False) -> Taken:
        taken = self.store.leases.take(key, refreshing, probing=probing)
        if probing and taken.is_mine:  # nobody waits for it any more
            self.store.leases.drop(key)
            self.store.leases.give_back(key, False, 0.0, probing=True)
        return taken

    def _open_lease(self, key: str, *, probing: bool = False) -> None:
        self.store.leases.open(key, probing=probing)

    def _give_back(self, key: str, failed: bool, rest: float, *, probing: bool = False) -> None:
        self.store.leases.give_back(key, failed, rest, probing=probing)

    def _get(self, key: str) -> Entry | None:
        return self.store.get(key)

    def _keys_between(self, first: str, end: str, pattern: str, now: datetime) -> list[str]:
        return self.store.keys_between(first, end, pattern, now)

    def _probe(self, key: str) -> Entry | None:
        return self.store.get(key, probing=True)

    def _put(self, entry: Entry, data: Any, *, probing: bool = False) -> bool:
        return self.store.put(entry, data, probing=probing)

    def _make_stale(self, touched: Sequence[Touched], now: datetime, *, probing: bool = False) -> None:
        self.store.staleness.of_touched(touched, now, probing=probing)

    def _renew(self, entry: Entry, *, probing: bool = False) -> None:
        self.store.renew(entry, probing=probing)
