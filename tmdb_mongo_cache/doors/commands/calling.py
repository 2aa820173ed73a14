"""What the commands that call TMDB share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from ...tmdb.hosts import BASE_URL
from ...tmdb.limits import MOST_CONNECTIONS, RATE
from .options import combined, common

MOST_LISTED = 50


def calling(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a command that calls TMDB, and those of every command."""
    command = combined(
        command,
        click.option("--rate", type=float, default=RATE, show_default=True, help="Calls a second at most."),
        click.option(
            "--connections",
            type=int,
            default=MOST_CONNECTIONS,
            show_default=True,
            help=f"How many at once; {MOST_CONNECTIONS} at most.",
        ),
        click.option(
            "--base-url",
            default=BASE_URL,
            show_default=True,
            help="Where TMDB is; a server of your own must be named in TMDB_CACHE_HOSTS.",
        ),
        click.option(
            "--expire-after",
            metavar="TIME",
            help="How long what is fetched is fresh: 36h, 30d, adaptive, …  [env: TMDB_CACHE_EXPIRE_AFTER]",
        ),
    )
    return common(command)


def say_failed(failed: tuple[tuple[str, str], ...]) -> None:
    """Say on standard error what could not be fetched, and why."""
    for name, why in failed[:MOST_LISTED]:
        click.echo(f"{name}: {why}", err=True)
    if len(failed) > MOST_LISTED:
        rest = " ".join(name.rpartition(" ")[2] for name, _ in failed[MOST_LISTED:])
        click.echo(f"and {len(failed) - MOST_LISTED} more: {rest}", err=True)
