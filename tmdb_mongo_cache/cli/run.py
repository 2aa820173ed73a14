"""``run``: run a program with its TMDB calls cached."""

from __future__ import annotations

import sys

import click

from . import options
from .options import read_settings, variables


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@options.uri
@options.database
@options.setting(
    "expire-after",
    "How long responses are fresh: 90, 30m, 36h, 7d, adaptive, or -1 for as long as TMDB's terms allow.",
    metavar="TIME",
)
@click.option("--stale-if-error", metavar="TIME", help="How much longer they are served if TMDB fails.")
@click.option("--offline", is_flag=True, help="Never call TMDB.")
@click.argument("program", nargs=-1, type=click.UNPROCESSED, required=True)
def run(offline: bool, program: tuple[str, ...], **settings: str | None) -> None:
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

    settings["offline"] = "1" if offline else None
    config = read_settings(settings)  # a mistake is reported before the program starts
    if config.uri and config.uri != "embedded":
        from ..mongo.client import check_uri

        check_uri(config.uri)
    sys.exit(run_program(program, variables(settings)))
