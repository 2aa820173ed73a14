"""``run``: run a program with its TMDB calls cached."""

from __future__ import annotations

import sys

import click

from . import options
from .options import read_settings, variables

_PASSED_ON = {"ignore_unknown_options": True, "allow_interspersed_args": False}


@click.command(context_settings=_PASSED_ON)
@options.uri
@options.database
@click.option(
    "--expire-after",
    metavar="TIME",
    help="How long responses are fresh: 90, 30m, 36h, 7d, adaptive, or -1 for as long as TMDB's terms allow.  "
    "[env: TMDB_CACHE_EXPIRE_AFTER]",
)
@click.option("--stale-if-error", metavar="TIME", help="How much longer they are served if TMDB fails.")
@click.option("--offline", is_flag=True, help="Never call TMDB.")
@click.argument("program", nargs=-1, type=click.UNPROCESSED, required=True)
def run(
    uri: str | None,
    database: str | None,
    expire_after: str | None,
    stale_if_error: str | None,
    offline: bool,
    program: tuple[str, ...],
) -> None:
    """Run a program, unchanged, with its TMDB calls cached.

    PROGRAM is a script, "-m" and a module, or any command, with its arguments.
    Calls of the Python processes that it starts are cached as well.

    \b
    tmdb-mongo-cache run old_script.py --its --own options
    tmdb-mongo-cache run -m package.module
    tmdb-mongo-cache run gunicorn app:app

    Any setting can be given in the environment as TMDB_CACHE_<NAME>.
    """  # noqa: D301  click ends a paragraph that it must not fill with this character
    from ..activation.run import run as run_program

    given = {
        "uri": uri,
        "database": database,
        "expire_after": expire_after,
        "stale_if_error": stale_if_error,
        "offline": "1" if offline else None,
    }
    config = read_settings(given)  # a mistake is reported before the program starts
    if config.uri and config.uri != "embedded":
        from ..mongo.client import check_uri

        check_uri(config.uri)
    sys.exit(run_program(program, variables(given)))
