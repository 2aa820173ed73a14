"""One client per process, and the collection in it: each operation bounded, its errors translated."""

from __future__ import annotations

import threading
import weakref
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, NamedTuple

import pymongo
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.errors import PyMongoError
from pymongo.write_concern import WriteConcern

from ..config import CacheConfig, mask, overrides
from ..errors import CLOSED, StoreError
from ..fork import RenewedAfterFork
from .background_open import STARTUP_TIMEOUT, BackgroundOpen
from .client import close_with, open_client, resolve_uri
from .command import Commands, Result
from .deadline import CONNECT_TIMEOUT, Deadline, has_secondaries_alone
from .document import CODEC, UNREADABLE
from .errors import EMBEDDED, failed
from .executor import Finder, execute
from .shutdown import is_ours


class _Open(NamedTuple):
    """What is open: a client, and the collection in it."""

    client: MongoClient[dict[str, Any]]
    collection: Collection[dict[str, Any]]
    find: Finder


class _Operation:
    """One operation, its deadline and its errors; a class, for every hit goes through it."""

    __slots__ = ("_connection", "_deadline", "_open", "_probing", "_timeout", "_writing")

    def __init__(
        self, connection: Connection, opened: _Open, deadline: Deadline | None, *, writing: bool, probing: bool
    ) -> None:
        self._connection, self._open, self._deadline = connection, opened, deadline
        self._writing, self._probing = writing, probing
        self._timeout: AbstractContextManager[None] | None = None

    def __enter__(self) -> Collection[dict[str, Any]]:
        if self._deadline is not None:
            try:
                limit = self._deadline.limit(self._open.client, writing=self._writing, probing=self._probing)
            except PyMongoError as error:
                raise self._connection.failed(error) from error
            self._timeout = pymongo.timeout(limit)
            self._timeout.__enter__()
        return self._open.collection

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._timeout is not None:
            self._timeout.__exit__(kind, error, traceback)
        if isinstance(error, PyMongoError):
            raise self._connection.failed(error) from error
        if error is None and self._deadline is not None:
            self._deadline.has_reached = True


class Connection(RenewedAfterFork):
    """One client per process, opened when it is first needed, and the collection in it.

    A forked child makes a new client, because pymongo's are not fork-safe. A client
    that is not closed is closed with this object, or at exit.
    """

    def __init__(self, config: CacheConfig) -> None:
        self._config = config = config.overridden()  # for as long as this lives
        self._closed = False
        self._elsewhere: Connection | None = None
        self._deadline = Deadline(float(config.store_timeout), looks=config.client is None)  # type: ignore[arg-type]
        self.where = "the client given" if config.client is not None else mask(config.uri or "the default URI")
        self.after_fork()
        super().__init__()

    def after_fork(self) -> None:
        """Start again in a forked child: the parent may have held the lock, and its client is not usable here."""
        self._lock = threading.Lock()
        self._open: _Open | None = None
        self._close: weakref.finalize[[], Any] | None = None
        self._opening: BackgroundOpen[_Open] | None = None
        self._gone = threading.Event()
        self._deadline.forget()

    def operation(self, *, bounded: bool = True, writing: bool = False, probing: bool = False) -> _Operation:
        """Give the collection for one operation (``with … as collection``), its errors translated.

        Args:
            bounded: by ``store_timeout``; False for operations that a person or a program waits for.
            writing: whether it needs a server that accepts writes.
            probing: whether no call waits for it.

        Raises:
            StoreError: it cannot be opened, or the operation failed.
        """
        to = self._in_force
        found = to._open or to._opened(to_the_end=not bounded)
        return _Operation(to, found, to._deadline if bounded else None, writing=writing, probing=probing)

    def find(self, key: str, *, probing: bool = False) -> Any:
        """Return the document with a key, without ``data``; None where there is none, or none that can be read.

        What :meth:`operation` does is written out, because every hit passes here.
        """
        to = self if overrides.database is None else self._in_force
        opened, deadline = to._open or to._opened(to_the_end=False), to._deadline
        try:
            with pymongo.timeout(deadline.limit(opened.client, probing=probing)):
                document = opened.find(key, to.is_back)
        except PyMongoError as error:
            raise to.failed(error) from error
        except UNREADABLE:
            document = None
        deadline.has_reached = True
        return document

    @property
    def database(self) -> str:
        """The name of the database."""
        return self._config.database

    @property
    def _in_force(self) -> Connection:
        """This one; while :data:`.config.overrides` name another database, a connection to that."""
        if overrides.database is None or self._closed or not overrides.redirects(self._config.database):
            return self
        with self._lock:
            if self._elsewhere is None or overrides.redirects(self._elsewhere._config.database):
                self._elsewhere = Connection(self._config)
            return self._elsewhere

    def run(self, commands: Commands[Result], **how: bool) -> Result:
        """Run an operation as :meth:`operation` gives the collection for one; the arguments are the same."""
        # Without a deadline a repetition may take as long as pymongo's server selection does.
        is_back = self.is_back if how.get("bounded", True) else lambda: True
        with self.operation(**how) as entries:
            return execute(commands, entries, is_back)

    @property
    def is_open(self) -> bool:
        """Whether there is a client."""
        return self._in_force._open is not None

    def is_back(self) -> bool:
        """Say whether a server is available, after a connection has broken."""
        to = self._in_force
        return to._open is not None and to._deadline.is_back(to._open.client)

    @property
    def has_secondaries_alone(self) -> bool:
        """Whether there are servers to read from, and none that takes writes."""
        found = self._in_force._open
        return found is not None and has_secondaries_alone(found.client)

    def failed(self, error: PyMongoError) -> StoreError:
        """Return this package's error for one of pymongo's."""
        if self._gone.is_set():  # at exit, in threads that are still running
            return StoreError(CLOSED)
        return failed(error, self.where, self._deadline)

    def _opened(self, *, to_the_end: bool) -> _Open:
        with self._lock:
            if self._closed:
                raise StoreError(CLOSED)
            opening = self._opening
            # Operations without a deadline are not failed by an attempt of a minute ago.
            if opening is None or opening.is_worth_repeating or (to_the_end and opening.has_failed):
                opening = self._opening = BackgroundOpen(self._make)
        found = opening.result(timeout=None if to_the_end else self._open_timeout)
        with self._lock:
            if self._closed:
                raise StoreError(CLOSED)
            self._open = found
        return found

    @property
    def _open_timeout(self) -> float:
        # A server that has to be started may take longer than one that is there, or is not.
        embedded = self._config.client is None and resolve_uri(self._config.uri) == "embedded"
        return max(float(self._config.store_timeout), STARTUP_TIMEOUT if embedded else CONNECT_TIMEOUT)  # type: ignore[arg-type]

    def _make(self) -> _Open:
        client, close = self._config.client, None
        if client is None:
            uri = resolve_uri(self._config.uri)
            self.where = EMBEDDED if uri == "embedded" else mask(uri)
            client = open_client(uri)
            is_ours(client)
            close = close_with(self, client, self._gone)
        database = client.get_database(self._config.database)
        # The acknowledgement of one member is enough for a cache, unless the URI or the client asks for more.
        concern = WriteConcern(1) if client.write_concern.is_server_default else client.write_concern
        collection = database.get_collection(self._config.collection, codec_options=CODEC, write_concern=concern)
        with self._lock:
            self._close = close
            closed = self._closed
        if closed and close is not None:
            close()
        return _Open(client, collection, Finder(collection))

    def close(self) -> None:
        """Close the client, unless it was given; idempotent."""
        with self._lock:
            close, self._close, self._open, self._closed = self._close, None, None, True
            elsewhere, self._elsewhere = self._elsewhere, None
        if close is not None:
            close()
        if elsewhere is not None:
            elsewhere.close()
