"""``import``: read an exported file into the cache."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from .exit_codes import resumable
from .options import Settings, common, open_cache
from .output import MOST_LISTED, echo_json, print_counts, progress_bar

if TYPE_CHECKING:
    from ..transfer.importer import ImportReport

_STREAM = "-"


@click.command("import")
@click.argument("file", type=click.Path(allow_dash=True))
@common
def import_(file: str, as_json: bool, settings: Settings) -> None:
    """Import the responses in FILE, written by "export".

    A cached response that was fetched at the same time or later is not replaced,
    so after Ctrl-C the same command resumes. Invalid lines are reported and left
    out, and the exit code is then 1. FILE need not be trusted: a line is limited to
    50 MiB, and reading it takes at most ten times as much memory. "-" is standard
    input.

    \b
    tmdb-mongo-cache import films.jsonl
    zcat cache.jsonl.gz | tmdb-mongo-cache import -
    """  # noqa: D301  click ends a paragraph that it must not fill with this character
    from ..transfer.importer import Importer

    importer = None
    with resumable() as run, open_cache(settings) as cache, progress_bar() as progress:
        importer = Importer(cache.engine, progress=progress)
        if file == _STREAM:
            importer.from_stream(sys.stdin.buffer, "standard input")
        else:
            importer.from_file(file)
    report = None if importer is None else importer.report
    if report is not None and (run.failure is None or any(report)):
        _print_report(report, as_json)
    run.end(failed=report is not None and bool(report.refused))


def _print_report(report: ImportReport, as_json: bool) -> None:
    if as_json:
        refused = [{"line": number, "why": why} for number, why in report.refused]
        echo_json({**report._asdict(), "refused": refused})
        return
    print_counts(
        (report.imported, "imported"),
        (report.kept, "already cached"),
        (report.skipped, "past their time (stale_if_error, or six months)"),
        (len(report.refused) + report.unlisted, "refused"),
    )
    for number, why in report.refused[:MOST_LISTED]:
        click.echo(f"line {number}: {why}", err=True)
    more = len(report.refused) - MOST_LISTED + report.unlisted
    if more > 0:
        listed = "the first ten thousand" if report.unlisted else "all of them"
        click.echo(f"and {more} more lines (--json lists {listed})", err=True)
