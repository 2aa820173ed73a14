"""``warm``: filling the cache."""

from __future__ import annotations

import signal
from typing import Any

import click

from ...errors import CacheError
from ...tmdb.endpoints import BY_ID
from .calling import calling, say_failed
from .naming import pair
from .options import echo_json, end_of_job, open_cache, progress_bar


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
@calling
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
    as_json: bool,
    **settings: str | None,
) -> None:
    """Fetch titles or people into the cache: what is missing or stale.

    What is there costs nothing, so after Ctrl-C the same command goes on.
    TMDB's key is taken from TMDB_API_KEY. Ask with the params your program
    uses, or it will not find what was fetched, and run it with its settings.

    \b
    tmdb-mongo-cache warm movie 550 603 --append credits,images --language de
    tmdb-mongo-cache warm --export movie_ids_11_22_2026.json.gz --min-popularity 5
    """  # noqa: D301  click ends a paragraph that it must not fill with this character
    from ...jobs.upstream import Upstream
    from ...jobs.warming import Warming

    if bool(ids) == bool(export) or (ids and not media_type):
        raise click.UsageError(
            "Give a type and ids (movie 550 603), or --export FILE (with a type where its name does not say it)."
        )
    query = dict(pair(param, "--param", "=", "NAME=VALUE, like region=DE") for param in params)
    if language:
        query["language"] = language
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    warming, failure, interrupted = None, None, False
    try:
        with (
            open_cache(settings) as cache,
            Upstream(cache, rate=rate, connections=connections, base_url=base_url) as upstream,
            progress_bar() as progress,
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
    if warming is not None and (failure is None or _has_begun(warming.report)):
        if as_json:
            echo_json(warming.report)
        else:
            _say_warmed(warming.report)
    end_of_job(failure, interrupted=interrupted, failed=warming is not None and bool(warming.report.failed))


def _has_begun(report: Any) -> bool:
    return any((report.fetched, report.confirmed, report.fresh, report.missing, report.failed, report.calls))


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
    say_failed(report.failed)
