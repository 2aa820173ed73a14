"""Which MongoDB, one client per process, and the one place where its errors are translated."""

from __future__ import annotations

import os
import threading
import warnings
import weakref
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from types import TracebackType
from typing import Any, NamedTuple

import pymongo
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.errors import (
    ConfigurationError,
    InvalidURI,
    PyMongoError,
)
from pymongo.write_concern import WriteConcern

from .. import greenlets
from ..config import CacheConfig, mask
from ..environment import PREFIX
from ..errors import CLOSED, ConfigError, StoreError
from ..forks import RenewedAfterFork
from .deadline import CONNECT_TIMEOUT, Deadline, has_secondaries_alone
from .document import CODEC
from .embedded import shared_server
from .failures import EMBEDDED, failed
from .leaving import is_ours
from .mongod import embedded_available
from .opening import PATIENCE, Opening
from .peers import pool_options
from .uris import why_refused, why_warned

DEFAULT_URI = "mongodb://localhost:27017"

# pymongo's own defaults (30 s to find a server, no end for an operation) would
# hang a program for a cache. What the URI says goes before these.
# While a replica set has no primary a secondary is read: what it does not have yet is a miss.
# A write that fails is not repeated: that waits for a new primary, in steps of half a second.
_DEFAULTS = {
    "serverSelectionTimeoutMS": 2000,
    "connectTimeoutMS": 2000,
    "readPreference": "primaryPreferred",
    "retryWrites": False,
    "appname": "tmdb-mongo-cache",
}

# For greenlets that share a thread: who waits there for a connection stops those that have it.
_UNLIMITED = {"maxConnecting": 1000, "maxPoolSize": 0}

_GOODBYE = 0.25  # seconds


def resolve_uri(uri: str | None) -> str:
    """Return the URI to use: the one given, ``TMDB_CACHE_URI``, ``"embedded"``, or MongoDB's default.

    ``"embedded"`` only where its extra is installed.
    """
    if uri:
        return uri
    from_env = os.environ.get(f"{PREFIX}URI", "").strip()
    if from_env:
        return CacheConfig(uri=from_env).uri or from_env
    return "embedded" if embedded_available() else DEFAULT_URI


def open_client(uri: str | Sequence[str], **options: Any) -> MongoClient[dict[str, Any]]:
    """Make a client for a URI (or a list of hosts), or for the embedded server, which is started if need be.

    Raises:
        ConfigError: the URI or an option cannot be used.
        EmbeddedServerError: there is no mongod, or it does not start.
    """
    address = uri
    if uri == "embedded":
        options = {**options, **pool_options()}
        address = shared_server().start()
    given = {name.lower() for name in options}
    for one in [address] if isinstance(address, str) else address:
        given.update(option.partition("=")[0].lower() for option in one.partition("?")[2].split("&"))
    usual = {**_DEFAULTS, **_UNLIMITED} if greenlets.share_threads() else _DEFAULTS
    defaults = {name: value for name, value in usual.items() if name.lower() not in given}
    try:
        return MongoClient(address, **{**defaults, **options})
    except UserWarning:  # where warnings are errors
        raise ConfigError(why_warned(address, options)) from None
    except (InvalidURI, ConfigurationError, OSError, ValueError, TypeError):
        # Not "from" it: pymongo's text may repeat a part of the password.
        raise ConfigError(why_refused(address, options)) from None


class _Open(NamedTuple):
    """What is open: a client, and the collection in it."""

    client: MongoClient[dict[str, Any]]
    collection: Collection[dict[str, Any]]


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
            self._deadline.reached()


class Connection(RenewedAfterFork):
    """One client per process, opened when it is first needed, and the collection in it.

    A fork makes a new client: pymongo's are not safe across one. A client that
    nobody closes is closed with this object, or at exit.
    """

    def __init__(self, config: CacheConfig) -> None:
        self._config = config
        self._closed = False
        self._deadline = Deadline(float(config.store_timeout), looks=config.client is None)  # type: ignore[arg-type]
        self.where = "the client given" if config.client is not None else mask(config.uri or "the default URI")
        self.after_fork()
        super().__init__()

    def after_fork(self) -> None:
        """Begin anew, in a forked child: the parent may have held the lock, and its client is its own."""
        self._lock = threading.Lock()
        self._open: _Open | None = None
        self._close: weakref.finalize[[], Any] | None = None
        self._opening: Opening[_Open] | None = None
        self._gone = threading.Event()
        self._deadline.forget()

    def operation(self, *, bounded: bool = True, writing: bool = False, probing: bool = False) -> _Operation:
        """Give the collection for one operation (``with … as collection``), its errors translated.

        Args:
            bounded: by ``store_timeout``; False for what somebody waits for.
            writing: that it needs a server which takes writes.
            probing: that no call waits for it.

        Raises:
            StoreError: it cannot be opened, or the operation failed.
        """
        found = self._open or self._opened(to_the_end=not bounded)
        return _Operation(self, found, self._deadline if bounded else None, writing=writing, probing=probing)

    @property
    def is_open(self) -> bool:
        """Whether there is a client."""
        return self._open is not None

    def is_back(self) -> bool:
        """Say whether there is a server to ask, for a connection to one has just broken."""
        found = self._open
        return found is not None and self._deadline.is_back(found.client)

    @property
    def has_secondaries_alone(self) -> bool:
        """Whether there are servers to read from, and none that takes writes."""
        found = self._open
        return found is not None and has_secondaries_alone(found.client)

    def failed(self, error: PyMongoError) -> StoreError:
        """Return this package's error for one of pymongo's."""
        if self._gone.is_set():  # at exit, for threads that are still at work
            return StoreError(CLOSED)
        return failed(error, self.where, self._deadline)

    def _opened(self, *, to_the_end: bool) -> _Open:
        with self._lock:
            if self._closed:
                raise StoreError(CLOSED)
            opening = self._opening
            # Who asks by hand does not want to hear of an attempt of a minute ago.
            if opening is None or opening.is_worth_repeating or (to_the_end and opening.has_failed):
                opening = self._opening = Opening(self._make)
        found = opening.result(patience=None if to_the_end else self._patience)
        with self._lock:
            if self._closed:
                raise StoreError(CLOSED)
            self._open = found
        return found

    @property
    def _patience(self) -> float:
        # A server that has to be started may take longer than one that is there, or is not.
        embedded = self._config.client is None and resolve_uri(self._config.uri) == "embedded"
        return max(float(self._config.store_timeout), PATIENCE if embedded else CONNECT_TIMEOUT)  # type: ignore[arg-type]

    def _make(self) -> _Open:
        client, close = self._config.client, None
        if client is None:
            uri = resolve_uri(self._config.uri)
            self.where = EMBEDDED if uri == "embedded" else mask(uri)
            client = open_client(uri)
            is_ours(client)
            close = close_with(self, client, self._gone)
        database = client.get_database(self._config.database)
        # One member's word is enough for a cache, unless the URI or the client asks for more.
        concern = WriteConcern(1) if client.write_concern.is_server_default else client.write_concern
        collection = database.get_collection(self._config.collection, codec_options=CODEC, write_concern=concern)
        with self._lock:
            self._close = close
            closed = self._closed
        if closed and close is not None:
            close()
        return _Open(client, collection)

    def close(self) -> None:
        """Close the client, unless it was given; idempotent."""
        with self._lock:
            close, self._close, self._open, self._closed = self._close, None, None, True
        if close is not None:
            close()


def close_with(owner: object, client: MongoClient[dict[str, Any]], gone: threading.Event) -> weakref.finalize[[], Any]:
    """Have a client closed when its owner goes, or at exit; not in a forked child, whose it is not.

    Args:
        owner: who uses it.
        client: the client.
        gone: is set before it is closed.

    Returns:
        what closes it now, and only once.
    """

    def close(pid: int = os.getpid()) -> None:
        gone.set()
        if os.getpid() == pid:
            # It says goodbye to the server, which may not be there.
            with suppress(PyMongoError), pymongo.timeout(_GOODBYE):
                client.close()

    return weakref.finalize(owner, close)


def check_uri(uri: str | None) -> None:
    """Check that a URI can be used at all, without connecting.

    Raises:
        ConfigError: it cannot, or it has an option that pymongo does not know.
    """
    found = resolve_uri(uri)
    if found == "embedded":
        return
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        open_client(found, connect=False).close()


def client_options(options: Mapping[str, Any]) -> list[str]:
    """Return the names among ``options`` that ``MongoClient`` does not know."""
    from pymongo.common import VALIDATORS

    own = {"host", "port", "document_class", "tz_aware", "connect", "type_registry"}
    return sorted(name for name in options if name not in own and name.lower() not in VALIDATORS)
