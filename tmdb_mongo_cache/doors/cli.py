"""The command line: ``tmdb-mongo-cache``."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import click

from .._version import __version__
from ..config import CacheConfig
from ..environment import PREFIX
from ..errors import CacheError, ConfigError
from .commands import purge, refresh, warm

_PASSED_ON = {"ignore_unknown_options": True, "allow_interspersed_args": False}


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tmdb-mongo-cache")
def cli() -> None:
    """Put a MongoDB cache under every program that calls TMDB with requests.

    \b
    tmdb-mongo-cache demo                    see it work
    tmdb-mongo-cache run old_script.py       run a program with it, unchanged
    tmdb-mongo-cache warm movie 550 603      fill it
    tmdb-mongo-cache refresh                 follow what changes at TMDB
    tmdb-mongo-cache purge --all             delete all that came from TMDB
    """  # noqa: D301  click ends a paragraph that it must not fill with this character


@cli.command(context_settings=_PASSED_ON)
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
    """  # noqa: D301  as above
    from .runner import run as run_program

    given = {
        "URI": uri,
        "DATABASE": database,
        "EXPIRE_AFTER": expire_after,
        "STALE_IF_ERROR": stale_if_error,
        "OFFLINE": "1" if offline else None,
    }
    settings = {f"{PREFIX}{name}": value for name, value in given.items() if value is not None}
    _check(settings)
    sys.exit(run_program(program, settings))


@cli.command()
def demo() -> None:
    """Run an old script twice and show what the second run saved.

    Uses a stand-in for TMDB on this machine; with TMDB_API_KEY set, TMDB itself.
    """
    from ..demo.show import demonstrate
    from ..store.client import check_uri, resolve_uri

    uri = resolve_uri(None)
    check_uri(uri)
    demonstrate(uri)


for command in (refresh, warm, purge):
    cli.add_command(command)


def _check(settings: dict[str, str]) -> None:
    """Check the settings before the program begins, where a mistake can still be answered."""
    os.environ.update(settings)
    config = CacheConfig.from_env()
    if config.uri and config.uri != "embedded":
        from ..store.client import check_uri

        check_uri(config.uri)


def main() -> NoReturn:
    """Run the command line; whatever a user can cause ends in one sentence and an exit code.

    2 for a mistake in what was given, 1 for everything else.
    """
    try:
        cli.main(prog_name="tmdb-mongo-cache", standalone_mode=True)
    except ConfigError as error:
        click.echo(f"tmdb-mongo-cache: {error}", err=True)
        sys.exit(2)
    except CacheError as error:
        click.echo(f"tmdb-mongo-cache: {error}", err=True)
        sys.exit(1)
    sys.exit(0)
