"""``warm``: fill the cache."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import click

from ..formatting import count_text
from ..tmdb.endpoints import BY_ID
from .exit_codes import resumable
from .options import Settings, calls_tmdb, open_cache, pair
from .output import echo_json, print_counts, print_failures, progress_bar

if TYPE_CHECKING:
    from ..maintenance.warm import WarmReport


@click.command()
@click.argument("media_type", required=False, type=click.Choice(list(BY_ID)))
@click.argument("ids", nargs=-1)
@click.option("--export", metavar="FILE", help="A daily id export of TMDB, like movie_ids_11_22_2026.json.gz.")
@click.option("--min-popularity", type=float, help="With --export: skip less popular ids.")
@click.option("--append", metavar="PARTS", default="", help="Also fetch sub-resources: credits,images,season/1.")
@click.option(
    "--separately",
    is_flag=True,
    help="Fetch each sub-resource by a call of its own, for programs that append nothing (and do not set "
    "reuse_appended).",
)
@click.option("--language", help="The language that your program requests: de, pt-BR.")
@click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="Any other parameter that it sends.")
@calls_tmdb
def warm(
    media_type: str | None,
    ids: tuple[str, ...],
    export: str | None,
    min_popularity: float | None,
    append: str,
    separately: bool,
    language: str | None,
    params: tuple[str, ...],
    as_json: bool,
    settings: Settings,
    **connection: Any,
) -> None:
    """Fetch titles or people that are missing from the cache or stale.

    Fresh responses cost no call, so after Ctrl-C the same command resumes. The
    API key is read from TMDB_API_KEY. Use the parameters and the settings of your
    program, or it will not find what was fetched.

    \b
    tmdb-mongo-cache warm movie 550 603 --append credits,images --language de
    tmdb-mongo-cache warm --export movie_ids_11_22_2026.json.gz --min-popularity 5
    """  # noqa: D301  click ends a paragraph that it must not fill with this character
    from ..maintenance.tmdb_client import Upstream
    from ..maintenance.warm import Warmer

    if bool(ids) == bool(export) or (ids and not media_type):
        raise click.UsageError(
            "Give a type and ids (movie 550 603), or --export FILE (with a type if its name does not tell)."
        )
    query = dict(pair(param, "--param", "=", "NAME=VALUE, like region=DE") for param in params)
    if language:
        query["language"] = language
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    warmer = None
    with (
        resumable() as run,
        open_cache(settings) as cache,
        Upstream(cache.engine, **connection) as upstream,
        progress_bar() as progress,
    ):
        warmer = Warmer(
            upstream,
            export if export is not None else ids,
            media_type=media_type,
            append=append.split(","),
            coalesce_appended=not separately,
            params=query,
            min_popularity=min_popularity,
            progress=progress,
        )
        warmer.run()
    report = None if warmer is None else warmer.report
    if report is not None and (run.failure is None or any(report[1:-1])):  # all but total and seconds
        if as_json:
            echo_json(report)
        else:
            _print_report(report)
    run.end(failed=report is not None and bool(report.failed))


def _print_report(report: WarmReport) -> None:
    print_counts(
        (report.fetched, "fetched"),
        (report.confirmed, "revalidated"),
        (report.fresh, "already fresh"),
        (report.missing, "not known to TMDB"),
        (len(report.failed), "failed"),
    )
    click.echo(f"{report.calls:>9} {count_text(report.calls, 'call').partition(' ')[2]} in {report.seconds:.1f} s")
    print_failures(report.failed)
