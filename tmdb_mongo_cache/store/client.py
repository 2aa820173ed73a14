"""Which MongoDB, one client per process, and the one place where its errors are translated."""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.errors import (
    ConfigurationError,
    ConnectionFailure,
    ExecutionTimeout,
    InvalidURI,
    OperationFailure,
    PyMongoError,
)
from pymongo.write_concern import WriteConcern

from ..config import PREFIX, CacheConfig, mask
from ..errors import ConfigError, StoreError, StoreUnavailable
from .deadline import Deadline
from .document import CODEC
from .embedded import shared_server
from .mongod import embedded_available

DEFAULT_URI = "mongodb://localhost:27017"

# pymongo's own defaults (30 s to find a server, no end for an operation) would
# hang a program for a cache. What the URI says goes before these.
_DEFAULTS = {"serverSelectionTimeoutMS": 2000, "connectTimeoutMS": 2000, "appname": "tmdb-mongo-cache"}

_AUTHENTICATION_FAILED = (18, 8000, 13)


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
    address = shared_server().start() if uri == "embedded" else uri
    given = {name.lower() for name in options}
    for one in [address] if isinstance(address, str) else address:
        given.update(option.partition("=")[0].lower() for option in one.partition("?")[2].split("&"))
    defaults = {name: value for name, value in _DEFAULTS.items() if name.lower() not in given}
    try:
        return MongoClient(address, **{**defaults, **options})
    except (InvalidURI, ConfigurationError, ValueError, TypeError):
        # Not "from" it: pymongo's text may repeat a part of the password.
        raise ConfigError(
            f"MongoDB cannot be used with the URI {mask(uri if isinstance(uri, str) else ','.join(uri))} "
            "and its options; "
            "it should look like mongodb://user:password@host:27017, with '@', ':' and '/' in a password escaped"
        ) from None


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Turn pymongo's errors into this package's.

    Args:
        where: the database as people may see it, without a password.

    Raises:
        StoreUnavailable: it cannot be reached, or does not answer in time.
        StoreError: it refuses or fails.
    """
    try:
        yield
    except (ConnectionFailure, ExecutionTimeout) as error:
        raise _unavailable(where) from error
    except OperationFailure as error:
        if error.timeout:
            raise _unavailable(where) from error
        if error.code in _AUTHENTICATION_FAILED:
            raise StoreError(f"MongoDB at {where} refused: check the user, the password and the rights") from error
        raise StoreError(f"MongoDB at {where} failed an operation (code {error.code})") from error
    except PyMongoError as error:
        if error.timeout:
            raise _unavailable(where) from error
        raise StoreError(f"MongoDB at {where} failed an operation: {type(error).__name__}") from error


def _unavailable(where: str) -> StoreUnavailable:
    return StoreUnavailable(f"MongoDB at {where} does not answer: start it, or set {PREFIX}URI to one that runs")


_connections: weakref.WeakSet[Connection] = weakref.WeakSet()


def _after_fork() -> None:
    for connection in list(_connections):
        connection.after_fork()


def _at_exit() -> None:
    # Clients that nobody closed, as those of install().
    for connection in list(_connections):
        connection.close()


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class Connection:
    """One client per process, opened when it is first needed, and the collection in it.

    A fork makes a new client: pymongo's are not safe across one.
    """

    def __init__(self, config: CacheConfig) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._opened: tuple[int, MongoClient[dict[str, Any]], Collection[dict[str, Any]]] | None = None
        self._closed = False
        self._deadline = Deadline(float(config.store_timeout))  # type: ignore[arg-type]
        self.where = "the client given" if config.client is not None else mask(config.uri or "the default URI")
        _connections.add(self)

    def after_fork(self) -> None:
        """Make this usable in a forked child: the parent may have held the lock."""
        self._lock = threading.Lock()
        self._deadline.forget()

    @contextmanager
    def operation(self, *, bounded: bool = True) -> Iterator[Collection[dict[str, Any]]]:
        """Give the collection for one operation, its errors translated.

        Args:
            bounded: by ``store_timeout``; False for what somebody waits for.
        """
        collection = self._collection()
        client = collection.database.client
        with translated(self.where), self._deadline.applied(client) if bounded else nullcontext():
            yield collection

    def _collection(self) -> Collection[dict[str, Any]]:
        opened = self._opened
        if opened is not None and opened[0] == os.getpid():
            return opened[2]
        with self._lock:
            opened = self._opened
            if opened is not None and opened[0] == os.getpid():
                return opened[2]
            if self._closed:
                raise StoreError("this cache is closed; make a new one")
            client = self._config.client
            if client is None:
                uri = resolve_uri(self._config.uri)
                self.where = mask(uri)
                client = open_client(uri)
            database = client.get_database(self._config.database)
            # One member's word is enough for a cache, unless the URI or the client asks for more.
            concern = WriteConcern(1) if client.write_concern.is_server_default else client.write_concern
            collection = database.get_collection(self._config.collection, codec_options=CODEC, write_concern=concern)
            self._opened = (os.getpid(), client, collection)
            return collection

    def close(self) -> None:
        """Close the client, unless it was given; idempotent."""
        with self._lock:
            opened, self._opened, self._closed = self._opened, None, True
        if opened is not None and opened[0] == os.getpid() and self._config.client is None:
            opened[1].close()


def check_uri(uri: str | None) -> None:
    """Check that a URI can be used at all, without connecting.

    Raises:
        ConfigError: it cannot.
    """
    found = resolve_uri(uri)
    if found != "embedded":
        open_client(found, connect=False).close()


def client_options(options: Mapping[str, Any]) -> list[str]:
    """Return the names among ``options`` that ``MongoClient`` does not know."""
    from pymongo.common import VALIDATORS

    own = {"host", "port", "document_class", "tz_aware", "connect", "type_registry"}
    return sorted(name for name in options if name not in own and name.lower() not in VALIDATORS)
