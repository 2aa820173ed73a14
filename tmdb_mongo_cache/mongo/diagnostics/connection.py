"""The connection to MongoDB: whether the server can be reached and used, and why not."""

from __future__ import annotations

import errno
import socket
import time
from datetime import datetime, timezone
from typing import Any, Literal, NamedTuple

import pymongo
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.errors import ConfigurationError, ConnectionFailure, NetworkTimeout, OperationFailure, ProtocolError

from ...config import CacheConfig
from ...errors import CacheError, ConfigError, EmbeddedServerError, StoreError
from ..background_open import BackgroundOpen
from ..client import check_uri
from ..connection import Connection
from ..document import CODEC
from ..embedded.peer_credentials import last_refusal

TIMEOUT = 8.0
"""Seconds in which a server has to be found and to respond."""

_APPEARS = 5.0
_ONE = 5.0  # seconds for one operation on a server that has responded before
_SAMPLING = 2.0  # seconds of look-ups: enough of a distant server
_AUTHENTICATION_FAILED = (18, 8000)  # 8000 is Atlas' own


class Trouble(NamedTuple):
    """Why MongoDB cannot be used: a kind, which the doctor's texts are keyed by, and the error text, redacted."""

    kind: str
    said: str


class Server(NamedTuple):
    """The server as it describes itself.

    ``ahead`` is by how many seconds its clock is ahead of ours; ``compresses``
    is False where it is known to take no messages that are compressed by zlib.
    """

    version: tuple[int, ...]
    kind: Literal["standalone", "replica set", "sharded"]
    set_name: str | None
    members: dict[str, str]
    ahead: float
    compresses: bool


class Health:
    """Measures one cache's MongoDB; every method but :meth:`contact` may raise ``StoreError``."""

    def __init__(self, connection: Connection, config: CacheConfig) -> None:
        self._connection = connection
        self._config = config

    def contact(self) -> Trouble | None:
        """Reach the server within :data:`TIMEOUT`; return what is wrong where that fails."""

        def check() -> tuple[Trouble | None]:
            try:
                if self._config.client is None:
                    check_uri(self._config.uri)
                with self._connection.operation(bounded=False) as collection, pymongo.timeout(_ONE):
                    _wait_for_servers(collection.database.client)
                    _command(collection, "hello")
            except EmbeddedServerError as error:
                return (Trouble("embedded", str(error)),)
            except ConfigError as error:
                return (Trouble("settings", str(error)),)
            except StoreError as error:
                return (self._trouble(error),)
            return (None,)

        try:
            return BackgroundOpen(check).result(timeout=TIMEOUT)[0]
        except CacheError:
            return Trouble("timeout", f"no response within {TIMEOUT:.0f} s")

    def _trouble(self, error: StoreError) -> Trouble:
        cause = error.__cause__
        if cause is None:
            return Trouble("other", str(error))
        if isinstance(cause, OperationFailure):
            return Trouble("password" if cause.code in _AUTHENTICATION_FAILED else "other", str(error))
        if isinstance(cause, ConfigurationError):
            return Trouble("old", str(error))  # the URI itself was checked before
        with self._connection.operation(bounded=False) as collection:
            topology = collection.database.client.topology_description
        servers = topology.server_descriptions()
        if topology.replica_set_name and not servers:
            return Trouble("replica-set", str(error))
        kinds = {_kind(address, server.error) for address, server in servers.items() if server.error}
        return Trouble(next((kind for kind in _ORDER if kind in kinds), "timeout"), str(error))

    def server(self) -> Server:
        """Query what the server is."""
        with self._connection.operation(bounded=False) as collection:
            began, before = datetime.now(timezone.utc), time.monotonic()
            hello = _command(collection, "hello")
            middle = began.timestamp() + (time.monotonic() - before) / 2
            said = _command(collection, "buildInfo")
            compresses = _compresses(collection)
            topology = collection.database.client.topology_description
        local = hello.get("localTime")
        is_router, name = hello.get("msg") == "isdbgrid", hello.get("setName")
        return Server(
            version=tuple(int(number) for number in said.get("versionArray", [0])[:3]),
            kind="sharded" if is_router else "replica set" if name else "standalone",
            set_name=name,
            members={
                f"{address[0]}:{address[1]}": server.server_type_name
                for address, server in topology.server_descriptions().items()
            },
            ahead=local.timestamp() - middle if isinstance(local, datetime) else 0.0,
            compresses=compresses,
        )

    def round_trips(self, times: int = 20) -> list[float]:
        """Return the seconds that look-ups by ``_id`` take, one by one; fewer of them where they are slow."""
        taken: list[float] = []
        with self._connection.operation(bounded=False) as collection:
            _look_up(collection)
            while len(taken) < times and sum(taken) < _SAMPLING:
                taken.append(_look_up(collection))
        return taken

    def deletes_by_time(self) -> bool | None:
        """Say whether the server deletes what is past its ``purge_at``; None where that is unknown."""
        with self._connection.operation(bounded=False) as collection, pymongo.timeout(_ONE):
            try:
                said = collection.database.client.admin.command({"getParameter": 1, "ttlMonitorEnabled": 1})
            except OperationFailure:
                return None
        found = said.get("ttlMonitorEnabled")
        return found if isinstance(found, bool) else None


def _command(collection: Collection[dict[str, Any]], name: str) -> dict[str, Any]:
    with pymongo.timeout(_ONE):
        return collection.database.client.admin.command(
            name, read_preference=collection.read_preference, codec_options=CODEC
        )


def _compresses(collection: Collection[dict[str, Any]]) -> bool:
    try:
        options = _command(collection, "getCmdLineOpts")["parsed"]
        return "zlib" in str(options["net"]["compression"]["compressors"])
    except (OperationFailure, LookupError, TypeError):  # forbidden, or nothing is set: zlib is in the default
        return True


def _look_up(collection: Collection[dict[str, Any]]) -> float:
    began = time.perf_counter()
    with pymongo.timeout(_ONE):
        collection.find_one({"_id": "doctor"}, {"_id": 1})
    return time.perf_counter() - began


def _wait_for_servers(client: MongoClient[dict[str, Any]]) -> None:
    """Wait until one responds or each has refused: pymongo itself keeps trying until its timeout."""
    end = time.monotonic() + _APPEARS
    while time.monotonic() < end:
        found = client.topology_description
        if found.has_readable_server(client.read_preference):
            return
        servers = found.server_descriptions().values()
        if found.replica_set_name and not servers:  # those that are not members are dropped
            raise ConnectionFailure("no server is a member of the replica set")
        if servers and all(server.error for server in servers):
            raise ConnectionFailure("no server can be used")
        time.sleep(0.01)


def _kind(address: tuple[str, int | None], error: BaseException) -> str:
    """Classify why a server cannot be used, by the error's class and a connection of our own.

    pymongo drops the causes of its errors, and their texts change between its versions.
    """
    if str(error) == last_refusal():
        return "embedded"
    if isinstance(error, ConfigurationError):
        return "replica-set"  # the server is a member of another one than the URI names, or of none
    if isinstance(error, ProtocolError):
        return "no-mongodb"
    if isinstance(error, NetworkTimeout) or not isinstance(error, ConnectionFailure):
        return "timeout" if isinstance(error, NetworkTimeout) else "other"
    host, port = address
    try:
        if port is None:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(_ONE)
                connection.connect(host)
        else:
            socket.create_connection((host, port), _ONE).close()
    except OSError as refusal:
        return kind_of(refusal)
    return "tls"  # it accepts a connection and closes it: one of the two speaks TLS, or TLS fails


def kind_of(error: OSError) -> str:
    """Classify an error of the operating system for an address."""
    if isinstance(error, socket.gaierror):
        return "unknown-host"
    if isinstance(error, TimeoutError):
        return "timeout"
    return _NUMBERS.get(error.errno, "other")


_NUMBERS: dict[int | None, str] = {
    **dict.fromkeys((errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN), "unreachable"),
    **dict.fromkeys((errno.ECONNREFUSED, errno.ENOENT), "refused"),
}

# Of several servers' kinds the first says most; a time-out may result from any of the others.
_ORDER = ("embedded", "unknown-host", "unreachable", "replica-set", "no-mongodb", "tls", "refused", "timeout", "other")
