"""The status of the embedded server: whether it runs, since when, how much disk space it uses."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pymongo
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from ...errors import EmbeddedServerError
from .binary import find_mongod
from .pool_options import pool_options
from .server import EmbeddedServer

_TIMEOUT = 3.0  # seconds; it responds within milliseconds, or hangs


class ServerStatus(NamedTuple):
    """The embedded server as it is now; what is unknown while it does not run is None.

    ``state`` is ``silent`` where it runs and does not respond, as while it
    recovers its data; ``pid`` is 0 where it runs in another container.
    ``program`` is the mongod that would be started.
    """

    state: Literal["running", "silent", "stopped"]
    pid: int | None
    since: datetime | None
    version: str | None
    kept: bool
    in_use: bool
    folder: str
    bytes_on_disk: int
    log: str
    uri: str
    program: str | None


def status_of(server: EmbeddedServer) -> ServerStatus:
    """Return the status of a server; it is neither started nor kept from stopping.

    Raises:
        EmbeddedServerError: its folder cannot be read, or this is Windows.
    """
    lives = server.lives()
    said = _server_status(server.uri) if lives else None
    uptime = None if said is None else said.get("uptimeMillis")
    since = None
    if isinstance(uptime, int | float):
        since = (datetime.now(timezone.utc) - timedelta(milliseconds=float(uptime))).replace(microsecond=0)
    return ServerStatus(
        state="stopped" if not lives else "silent" if said is None else "running",
        pid=server.pid if lives else None,
        since=since,
        version=None if said is None else str(said.get("version")),
        kept=lives and server.is_kept,
        in_use=server.in_use(),
        folder=str(server.folder),
        bytes_on_disk=bytes_below(server.folder),
        log=str(server.log_path),
        uri=server.uri,
        program=_program(),
    )


def _server_status(uri: str) -> dict[str, Any] | None:
    options: dict[str, Any] = {"serverSelectionTimeoutMS": _TIMEOUT * 1000, "appname": "tmdb-mongo-cache server"}
    try:
        with MongoClient[dict[str, Any]](uri, **pool_options(), **options) as client, pymongo.timeout(_TIMEOUT):
            return client.admin.command("serverStatus")
    except PyMongoError:
        return None


def bytes_below(folder: Path) -> int:
    """Return the disk space that the files below a folder use."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):  # gone since it was listed
            total += path.lstat().st_blocks * 512
    return total


def _program() -> str | None:
    try:
        return str(find_mongod())
    except EmbeddedServerError:
        return None
