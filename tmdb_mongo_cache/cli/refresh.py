"""``refresh``: follow TMDB's change feed."""

from __future__ import annotations

import signal
import sys
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from ..errors import CacheError, ConfigError
from ..formatting import count_text
from .exit_codes import INTERRUPTED
from .options import Settings, calls_tmdb, open_cache, seconds
from .output import echo_json, print_failures, progress_bar

if TYPE_CHECKING:
    from ..maintenance.change_feed import ChangesReport


@click.command()
@click.option("--prefetch", is_flag=True, help="Fetch again what changes have made stale.")
@click.option("--watch", is_flag=True, help="Repeat until Ctrl-C.")
@click.option("--every", metavar="TIME", help="With --watch: the interval.  [default: 6h]")
@calls_tmdb
def refresh(
    prefetch: bool,
    watch: bool,
    every: str | None,
    as_json: bool,
    settings: Settings,
    **upstream: Any,
) -> None:
    """Follow TMDB's change feed: what has changed there becomes stale here.

    With it titles and people can stay fresh for weeks, if your programs set
    TMDB_CACHE_EXPIRE_AFTER='{"details": "30d"}'. Use the same settings here. The
    position in the feed is stored in MongoDB: any machine can continue, one at a
    time, and after an error it is enough to run the command again. The API key is
    read from TMDB_API_KEY.

    \b
    tmdb-mongo-cache refresh                      every few hours, from cron
    tmdb-mongo-cache refresh --prefetch --watch   or as a service
    """  # noqa: D301  click ends a paragraph that it must not fill with this character
    from ..maintenance.tmdb_client import KeyRefused

    if every and not watch:
        raise click.UsageError("--every needs --watch.")
    interval = seconds(every or "6h", "--every")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a service that is stopped releases its lease
    with open_cache(settings) as cache:
        while True:
            wait = interval
            try:
                with progress_bar() as progress:
                    report = cache.refresh_changes(prefetch=prefetch, progress=progress, **upstream)
                if as_json:
                    echo_json(report, in_a_line=watch)
                else:
                    _print_report(report, _now() if watch else "")
                failed = bool(report.failed)
                # The lease may be that of a process that was killed: it ends within a minute.
                wait = interval if report.followed else min(interval, 60.0)
            except (ConfigError, KeyRefused):
                raise  # trying again does not help
            except CacheError as error:
                if not watch:
                    raise
                click.echo(f"{_now()}tmdb-mongo-cache: {error}", err=True)
                failed = True
            except KeyboardInterrupt:
                click.echo("interrupted; the next run resumes from here", err=True)
                sys.exit(0 if watch else INTERRUPTED)
            if not watch:
                sys.exit(1 if failed else 0)
            try:
                time.sleep(wait)
            except KeyboardInterrupt:
                sys.exit(0)


def _now() -> str:
    return f"{datetime.now():%Y-%m-%d %H:%M} "


def _print_report(report: ChangesReport, when: str) -> None:
    if not report.followed:
        click.echo(f"{when}another process is following the change feed; nothing to do")
        return
    # A day that is not over is read again in every run, and lists again what it has listed.
    text = f"{when}{report.changed} titles and people changed "
    text += f"({count_text(report.pages, 'page')} read, those of today in every run), "
    text += f"{count_text(report.stale, 'response')} became stale"
    if report.unknown:
        text += f", {report.unknown} of them because the feed was not read for longer than it goes back"
    click.echo(text + (f"; {report.fetched} fetched again" if report.fetched or report.failed else ""))
    print_failures(report.failed)
