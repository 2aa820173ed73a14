"""``refresh``: following TMDB's feed of changes."""

from __future__ import annotations

import signal
import sys
import time
from datetime import datetime
from typing import Any

import click

from ...errors import CacheError, ConfigError
from .calling import calling, say_failed
from .options import INTERRUPTED, echo_json, open_cache, progress_bar, seconds


@click.command()
@click.option("--prefetch", is_flag=True, help="Fetch again what changes have made stale.")
@click.option("--watch", is_flag=True, help="Go on, one round after the other, until Ctrl-C.")
@click.option("--every", metavar="TIME", help="With --watch: from round to round.  [default: 6h]")
@calling
def refresh(
    prefetch: bool,
    watch: bool,
    every: str | None,
    rate: float,
    connections: int,
    base_url: str,
    as_json: bool,
    **settings: str | None,
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
    from ...jobs.upstream import KeyRefused

    if every and not watch:
        raise click.UsageError("--every goes with --watch.")
    pause = seconds(every or "6h", "--every")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a service that is stopped gives its lease back
    with open_cache(settings) as cache:
        while True:
            wait = pause
            try:
                with progress_bar() as progress:
                    report = cache.refresh_changes(
                        prefetch=prefetch, rate=rate, connections=connections, base_url=base_url, progress=progress
                    )
                if as_json:
                    echo_json(report, in_a_line=watch)
                else:
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
                sys.exit(0 if watch else INTERRUPTED)
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
    # A day that is not over is read again in every round, and names again what it has named.
    text = f"{when}{report.changed} titles and people changed "
    text += f"({report.pages} pages read, those of today in every round), "
    text += f"{report.stale} answers became stale"
    if report.unknown:
        text += f", {report.unknown} of them because nobody had read the feed for longer than it goes back"
    click.echo(text + (f"; {report.fetched} fetched again" if report.fetched or report.failed else ""))
    say_failed(report.failed)
