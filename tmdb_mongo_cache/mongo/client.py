"""Clients: which MongoDB, made with this package's defaults, and closed when nothing uses them any more."""

from __future__ import annotations

import os
import threading
import warnings
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import pymongo
from pymongo import MongoClient
from pymongo.errors import ConfigurationError, InvalidURI, PyMongoError

from ..config import CacheConfig, mask
from ..core import greenlets
from ..environment import PREFIX
from ..errors import ConfigError
from .embedded.binary import embedded_available
from .embedded.pool_options import pool_options
from .embedded.server import shared_server
from .errors import EMBEDDED
from .uri import why_refused, why_warned

DEFAULT_URI = "mongodb://localhost:27017"

# pymongo's own defaults (30 s for server selection, no limit for an operation) would
# hang a program because of its cache. Options in the URI take precedence.
# While a replica set has no primary, secondaries are read: what they do not have yet is a miss.
# Writes are not retried: a retry waits for a new primary, in steps of half a second.
_DEFAULTS = {
    "serverSelectionTimeoutMS": 2000,
    "connectTimeoutMS": 2000,
    "readPreference": "primaryPreferred",
    "retryWrites": False,
    "appname": "tmdb-mongo-cache",
}

# For greenlets that share a thread: one that waits for a connection blocks those that have it.
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


def where(config: CacheConfig) -> str:
    """Return the MongoDB that the settings name, without a password."""
    if config.client is not None:
        return "the client given"
    found = resolve_uri(config.uri)
    return EMBEDDED if found == "embedded" else mask(found)


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


def close_with(owner: object, client: MongoClient[dict[str, Any]], gone: threading.Event) -> weakref.finalize[[], Any]:
    """Close a client when its owner is garbage-collected, or at exit; not in a forked child.

    Args:
        owner: the object that uses it.
        client: the client.
        gone: is set before it is closed.

    Returns:
        a function that closes it now, and only once.
    """

    def close(pid: int = os.getpid()) -> None:
        gone.set()
        if os.getpid() == pid:
            # It ends its sessions on the server, which may be gone.
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


def connect(options: Mapping[str, Any]) -> tuple[MongoClient[dict[str, Any]], str]:
    """Make a client of options; return it, and where that is, without a password."""
    given = {name: value for name, value in options.items() if value is not None}
    host = given.pop("host", None)
    if host is None:
        uri = resolve_uri(None) if "port" not in given else "localhost"
        return open_client(uri, **given), EMBEDDED if uri == "embedded" else mask(uri)
    if not isinstance(host, str) and not (isinstance(host, Sequence) and all(isinstance(one, str) for one in host)):
        raise ConfigError("host must be a MongoDB URI, a host, or a list of hosts")
    return open_client(host, **given), mask(host) if isinstance(host, str) else ", ".join(map(mask, host))
