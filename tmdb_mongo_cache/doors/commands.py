"""The commands that have the cache call TMDB by itself, or that clean it up: ``refresh``, ``warm``, ``purge``."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import click

from ..cache import TMDBCache
from ..config import CacheConfig
from ..environment import PREFIX, read_seconds
from ..errors import CacheError, ConfigError
from ..tmdb.endpoints import BY_ID
from ..tmdb.hosts import BASE_URL
from ..tmdb.limits import MOST_CONNECTIONS, RATE

_INTERRUPTED = 130
_MOST_LISTED = 50


def _with(command: Callable[..., Any], *options: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(options):
        command = option(command)
    return command


def _common(command: Callable[..., Any]) -> Callable[..., Any]:
    return _with(
        command,
        click.option("--uri", help="MongoDB URI, or 'embedded'.  [env: TMDB_CACHE_URI]"),
        click.option("--database", help="Name of the database.  [env: TMDB_CACHE_DATABASE]"),
        click.option("--collection", help="Name of the collection.  [env: TMDB_CACHE_COLLECTION]"),
    )


def _calling(command: Callable[..., Any]) -> Callable[..., Any]:
    command = _with(
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
    return _common(command)


def _open(settings: dict[str, str | None]) -> TMDBCache:
    """Open the cache that the options name, as ``run`` names it to a program: by the environment."""
    given = {f"{PREFIX}{name.upper()}": value for name, value in settings.items() if value is not None}
    os.environ.update(given)
    # What fails is listed at the end, once, and not in the log as well.
    logging.getLogger("tmdb_mongo_cache").setLevel(logging.ERROR)
    return TMDBCache(CacheConfig.from_env())


@click.command()
@click.option("--prefetch", is_flag=True, help="Fetch again what changes have made stale.")
@click.option("--watch", is_flag=True, help="Go on, one round after the other, until Ctrl-C.")
@click.option("--every", metavar="TIME", help="With --watch: from round to round.  [default: 6h]")
@_calling
def refresh(
    prefetch: bool, watch: bool, every: str | None, rate: float, connections: int, base_url: str, **settings: str | None
) -> None:
    """Follow TMDB's feed of changes: what was changed there becomes stale here.

    With it titles and people may be kept for weeks, where your programs say so:
    TMDB_CACHE_EXPIRE_AFTER='{"details": "30d"}'. Run it with the same settings.
    How far it is, is kept in MongoDB: any machine may go on, one at a time does,
    and after an error it is enough to run it again. TMDB's key is taken from
    TMDB_API_KEY.

    \b
    tmdb-mongo-cache refresh                      every few hours, by cron
    tmdb-mongo-cache refresh --prefetch --watch   or as a service
    """  # noqa: D301  click ends a paragraph that it must not fill with this character
    from ..jobs.upstream import KeyRefused

    if every and not watch:
        raise click.UsageError("--every goes with --watch.")
    pause = _seconds(every or "6h", "--every")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a service that is stopped gives its lease back
    with _open(settings) as cache:
        while True:
            wait = pause
            try:
                with _bar() as progress:
                    report = cache.refresh_changes(
                        prefetch=prefetch, rate=rate, connections=connections, base_url=base_url, progress=progress
                    )
                _say_changes(report, _now() if watch else "")
                failed = bool(report.failed)
                # Perhaps that of a process that was killed: its lease ends within a minute.
                wait = pause if report.followed else min(pause, 60.0)
            except (ConfigError, KeyRefused):
                raise  # it will not mend itself
            except CacheError as error:
                if not watch:
                    raise
                click.echo(f"{_now()}tmdb-mongo-cache: {error}", err=True)
                failed = True
            except KeyboardInterrupt:
                click.echo("interrupted; the next round goes on from here", err=True)
                sys.exit(0 if watch else _INTERRUPTED)
            if not watch:
                sys.exit(1 if failed else 0)
            try:
                time.sleep(wait)
            except KeyboardInterrupt:
                sys.exit(0)


def _now() -> str:
    return f"{datetime.now():%Y-%m-%d %H:%M} "


def _say_changes(report: Any, when: str) -> None:
    if not report.followed:
        click.echo(f"{when}another process is just following the feed of changes; nothing to do")
        return
    text = f"{when}{report.changed} titles and people changed ({report.pages} pages read), "
    text += f"{report.stale} answers became stale"
    if report.unknown:
        text += f", {report.unknown} of them because nobody had read the feed for longer than it goes back"
    click.echo(text + (f"; {report.fetched} fetched again" if report.fetched or report.failed else ""))
    _say_failed(report.failed)


@click.command()
@click.argument("media_type", required=False, type=click.Choice(list(BY_ID)))
@click.argument("ids", nargs=-1)
@click.option("--export", metavar="FILE", help="One of TMDB's daily id exports, like movie_ids_11_22_2026.json.gz.")
@click.option("--min-popularity", type=float, help="Of the export, what is at least as popular.")
@click.option("--append", metavar="PARTS", default="", help="Sub-resources as well: credits,images,season/1.")
@click.option(
    "--separately",
    is_flag=True,
    help="Each of them by a call of its own, as programs ask that append nothing (and do not set reuse_appended).",
)
@click.option("--language", help="As your program asks for it: de, pt-BR.")
@click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="Any other param of your program's.")
@_calling
def warm(
    media_type: str | None,
    ids: tuple[str, ...],
    export: str | None,
    min_popularity: float | None,
    append: str,
    separately: bool,
    language: str | None,
    params: tuple[str, ...],
    rate: float,
    connections: int,
    base_url: str,
    **settings: str | None,
) -> None:
    """Fetch titles or people into the cache: what is missing or stale.

    What is there costs nothing, so after Ctrl-C the same command goes on.
    TMDB's key is taken from TMDB_API_KEY. Ask with the params your program
    uses, or it will not find what was fetched, and run it with its settings.

    \b
    tmdb-mongo-cache warm movie 550 603 --append credits,images --language de
    tmdb-mongo-cache warm --export movie_ids_11_22_2026.json.gz --min-popularity 5
    """  # noqa: D301  as above
    from ..jobs.upstream import Upstream
    from ..jobs.warming import Warming

    if bool(ids) == bool(export) or (ids and not media_type):
        raise click.UsageError(
            "Give a type and ids (movie 550 603), or --export FILE (with a type where its name does not say it)."
        )
    query = dict(_pair(param) for param in params)
    if language:
        query["language"] = language
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    warming, failure, interrupted = None, None, False
    try:
        with (
            _open(settings) as cache,
            Upstream(cache, rate=rate, connections=connections, base_url=base_url) as upstream,
            _bar() as progress,
        ):
            warming = Warming(
                upstream,
                export if export is not None else ids,
                media_type=media_type,
                append=append.split(","),
                coalesce_appended=not separately,
                params=query,
                min_popularity=min_popularity,
                progress=progress,
            )
            warming.run(connections)
    except KeyboardInterrupt:
        interrupted = True
    except CacheError as error:
        failure = error
    if warming is not None:
        _say_warmed(warming.report)
    if failure is not None:
        raise failure
    if interrupted:
        click.echo("interrupted; the same command goes on from here", err=True)
        sys.exit(_INTERRUPTED)
    sys.exit(1 if warming is not None and warming.report.failed else 0)


def _pair(param: str) -> tuple[str, str]:
    name, equals, value = param.partition("=")
    if not (name and equals):
        raise click.UsageError(f"--param takes NAME=VALUE, like region=DE, not {param!r}.")
    return name, value


def _say_warmed(report: Any) -> None:
    for number, text in (
        (report.fetched, "fetched"),
        (report.confirmed, "confirmed unchanged"),
        (report.fresh, "fresh already"),
        (report.missing, "unknown to TMDB"),
        (len(report.failed), "failed"),
    ):
        click.echo(f"{number:>9} {text}")
    click.echo(f"{report.calls:>9} call{'' if report.calls == 1 else 's'} in {report.seconds:.1f} s")
    _say_failed(report.failed)


def _say_failed(failed: tuple[tuple[str, str], ...]) -> None:
    for name, why in failed[:_MOST_LISTED]:
        click.echo(f"{name}: {why}", err=True)
    if len(failed) > _MOST_LISTED:
        rest = " ".join(name.rpartition(" ")[2] for name, _ in failed[_MOST_LISTED:])
        click.echo(f"and {len(failed) - _MOST_LISTED} more: {rest}", err=True)


@click.command()
@click.option("--all", "everything", is_flag=True, help="All of TMDB's answers: for the end of your access to TMDB.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@_common
def purge(everything: bool, yes: bool, **settings: str | None) -> None:
    """Delete answers that are older than TMDB's terms allow (six months), or all of them.

    MongoDB deletes what is too old by itself; this is for where it does not.
    """
    with _open(settings) as cache:
        if everything and not yes:
            click.confirm(f"Delete all of TMDB's answers in {cache.config.database}?", abort=True)
        count = cache.purge(everything=everything)
    click.echo(f"{count} answers deleted")


def _seconds(text: str, name: str) -> float:
    try:
        seconds = read_seconds(text)
    except ValueError:
        seconds = 0.0
    if seconds <= 0:
        raise ConfigError(f"{name} is a time like 90, 30m, 6h or 1d, not {text!r}")
    return seconds


@contextmanager
def _bar() -> Iterator[Callable[[str, int, int], None]]:
    """Show a progress bar where somebody looks on."""
    # "run" comes through this module, too, and is not to pay for it.
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True, highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None)
        yield lambda text, done, total: bar.update(task, description=text, completed=done, total=total or None)
