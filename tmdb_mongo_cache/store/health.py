"""How it is with the connection to MongoDB: can it be reached and used, and why not."""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Callable
from datetime import datetime, timezone
from statistics import median
from typing import Any, Literal, NamedTuple
from uuid import uuid4

import pymongo
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.errors import OperationFailure, ServerSelectionTimeoutError

from ..errors import CacheError, ConfigError, EmbeddedServerError, StoreError
from .client import Connection
from .document import CODEC
from .leases import of as leases_of
from .opening import Opening

PATIENCE = 8.0
"""Seconds in which a server has to be found and to answer."""

_APPEARS = 5.0
_ONE = 5.0  # seconds for one operation on a server that has answered before
_UNAUTHORISED = 13

Kind = Literal["refused", "unknown-host", "password", "tls", "timeout", "embedded", "settings", "old", "other"]


class Trouble(NamedTuple):
    """Why there is no MongoDB for us: a kind, and what was said, without a credential."""

    kind: Kind
    said: str


class Server(NamedTuple):
    """The server as it describes itself; ``ahead`` is by how many seconds its clock is ahead of ours."""

    version: tuple[int, ...]
    kind: Literal["standalone", "replica set", "sharded"]
    set_name: str | None
    members: dict[str, str]
    ahead: float


class Health:
    """Looks at one cache's MongoDB; every method but :meth:`contact` may raise ``StoreError``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def contact(self) -> Trouble | None:
        """Find the server and have it answer; None where it does, within :data:`PATIENCE` in any case."""

        def ask() -> tuple[Trouble | None]:
            try:
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
            return Opening(ask).result(patience=PATIENCE)[0]
        except CacheError:
            return Trouble("timeout", f"no answer within {PATIENCE:.0f} s")

    def _trouble(self, error: StoreError) -> Trouble:
        cause = error.__cause__
        if cause is None:
            return Trouble("other", str(error))
        if isinstance(cause, OperationFailure):
            return Trouble("password" if cause.code in (18, 8000) else "other", str(error))
        with self._connection.operation(bounded=False) as collection:
            servers = collection.database.client.topology_description.server_descriptions().values()
        said = [str(server.error) for server in servers if server.error]
        return Trouble(kind_of(" ".join([str(cause), *said])), str(error))

    def server(self) -> Server:
        """Ask the server what it is."""
        with self._connection.operation(bounded=False) as collection, pymongo.timeout(_ONE):
            began, before = datetime.now(timezone.utc), time.monotonic()
            hello = _command(collection, "hello")
            middle = began.timestamp() + (time.monotonic() - before) / 2
            said = _command(collection, "buildInfo")
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
        )

    def round_trip(self, times: int = 20) -> float:
        """Return the median of the seconds that a look-up by ``_id`` takes."""
        taken = []
        with self._connection.operation(bounded=False) as collection, pymongo.timeout(_ONE):
            collection.find_one({"_id": "doctor"}, {"_id": 1})
            for _ in range(times):
                began = time.perf_counter()
                collection.find_one({"_id": "doctor"}, {"_id": 1})
                taken.append(time.perf_counter() - began)
        return median(taken)

    def missing_rights(self) -> list[str]:
        """Try what a cache does, without leaving anything; return what it may not do."""
        nobody = {"_id": f"doctor {uuid4().hex}"}
        update: Any = [{"$set": {"doctor": "$$NOW"}}]
        # No document may have such an _id, and no index such a key: rights are looked at before that.
        refused: dict[str, Any] = {"_id": []}
        index = [{"key": {}, "name": "doctor"}]
        with self._connection.operation(bounded=False) as collection, pymongo.timeout(_ONE):
            leases = leases_of(collection)
            modify = {"findAndModify": leases.name, "query": nobody, "update": update}
            tries: dict[str, Callable[[], Any]] = {
                "read": lambda: collection.find_one(nobody),
                "store": lambda: collection.insert_one(dict(refused)),
                "change": lambda: collection.update_one(nobody, update),
                "delete": lambda: collection.delete_one(nobody),
                "make indexes": lambda: collection.database.command("createIndexes", collection.name, indexes=index),
                "take leases": lambda: (leases.database.command(modify), leases.insert_one(dict(refused))),
            }
            return [name for name, attempt in tries.items() if _is_forbidden(attempt)]

    def deletes_by_time(self) -> bool | None:
        """Say whether the server deletes what is past its ``purge_at``; None where that cannot be learnt."""
        with self._connection.operation(bounded=False) as collection, pymongo.timeout(_ONE):
            try:
                said = collection.database.client.admin.command({"getParameter": 1, "ttlMonitorEnabled": 1})
            except OperationFailure:
                return None
        found = said.get("ttlMonitorEnabled")
        return found if isinstance(found, bool) else None


def _command(collection: Collection[dict[str, Any]], name: str) -> dict[str, Any]:
    return collection.database.client.admin.command(
        name, read_preference=collection.read_preference, codec_options=CODEC
    )


def _is_forbidden(attempt: Callable[[], Any]) -> bool:
    try:
        attempt()
    except OperationFailure as error:
        if error.timeout or error.code in (10107, 13435):  # no primary: that is no question of rights
            raise
        return error.code == _UNAUTHORISED
    return False


def _wait_for_servers(client: MongoClient[dict[str, Any]]) -> None:
    """Wait until one answers or each has refused: pymongo itself goes on trying to the end of the time."""
    end = time.monotonic() + _APPEARS
    while time.monotonic() < end:
        found = client.topology_description
        if found.has_readable_server(client.read_preference):
            return
        servers = found.server_descriptions().values()
        if servers and all(server.error for server in servers):
            raise ServerSelectionTimeoutError(" ".join(str(server.error) for server in servers))
        time.sleep(0.01)


def kind_of(said: str) -> Kind:
    """Tell by what pymongo says of each server why none of them can be used."""
    lower = said.lower()
    resolving = {getattr(socket, name, None) for name in ("EAI_NONAME", "EAI_AGAIN", "EAI_FAIL", "EAI_NODATA")}
    words = ("name or service not known", "name resolution", "nodename nor servname", "getaddrinfo")
    if any(f"[errno {code}]" in lower for code in resolving - {None}) or any(word in lower for word in words):
        return "unknown-host"
    if "ssl" in lower or "tls" in lower or "certificate" in lower or "connection closed" in lower:
        return "tls"
    if f"[errno {errno.ECONNREFUSED}]" in lower or f"[errno {errno.ENOENT}]" in lower:
        return "refused"
    if "wire version" in lower:
        return "old"
    if "timed out" in lower or "timeout" in lower:
        return "timeout"
    return "other"
