"""``run``: a program with its TMDB calls cached."""

from __future__ import annotations

import sys

import click

from .options import read_settings, variables

_PASSED_ON = {"ignore_unknown_options": True, "allow_interspersed_args": False}


@click.command(context_settings=_PASSED_ON)
@click.option("--uri", help="MongoDB URI, or 'embedded'.  [env: TMDB_CACHE_URI]")
@click.option("--database", help="Name of the database.  [env: TMDB_CACHE_DATABASE]")
@click.option(
    "--expire-after",
    metavar="TIME",
    help="How long answers are fresh: 90, 30m, 36h, 7d, adaptive, or -1 for as long as TMDB's terms allow.  "
    "[env: TMDB_CACHE_EXPIRE_AFTER]",
)
@click.option("--stale-if-error", metavar="TIME", help="How long past that they serve when TMDB fails.")
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
    """Run a program with its TMDB calls cached, and nothing in it changed.

    PROGRAM is a script, "-m" and a module, or any command, with its arguments;
    the Pythons it starts are cached as well.

    \b
    tmdb-mongo-cache run old_script.py --its --own options
    tmdb-mongo-cache run -m package.module
    tmdb-mongo-cache run gunicorn app:app

    All settings can be given in the environment as TMDB_CACHE_<NAME>.
    """  # noqa: D301  click ends a paragraph that it must not fill with this character
    from ..runner import run as run_program

    given = {
        "uri": uri,
        "database": database,
        "expire_after": expire_after,
        "stale_if_error": stale_if_error,
        "offline": "1" if offline else None,
    }
    _check(given)
    sys.exit(run_program(program, variables(given)))


def _check(settings: dict[str, str | None]) -> None:
    """Check the settings before the program begins, where a mistake can still be answered."""
    config = read_settings(settings)
    if config.uri and config.uri != "embedded":
        from ...store.client import check_uri

        check_uri(config.uri)
