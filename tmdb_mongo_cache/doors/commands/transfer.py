"""``export`` and ``import``: a cache as a file."""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING, Any

import click

from ...errors import CacheError
from ...tmdb.endpoints import BY_ID
from .options import INTERRUPTED, common, echo_json, end_of_job, open_cache, progress_bar

if TYPE_CHECKING:
    from ...tools.exporting import Exporting

_STREAM = "-"
_MOST_LISTED = 50


@click.command("export")
@click.argument("file", type=click.Path(allow_dash=True))
@click.option("--type", "media_type", type=click.Choice(list(BY_ID)), help="Only answers about these.")
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@common
def export_entries(file: str, media_type: str | None, force: bool, as_json: bool, **settings: str | None) -> None:
    """Write TMDB's answers to FILE: a copy for another machine, or a recording for tests.

    JSON, an entry a line, byte for byte; "import" reads it. What is written is
    FILE.part until it is whole: after Ctrl-C or a power cut the same command
    goes on, for a day; later it begins anew. "-" is standard output. Answers that
    "import" would refuse are left out, and that is said: with a TMDB at another
    address, set TMDB_CACHE_HOSTS as your program does.

    \b
    tmdb-mongo-cache export films.jsonl --type movie
    tmdb-mongo-cache export - | gzip > cache.jsonl.gz
    """  # noqa: D301  click ends a paragraph that it must not fill with this character
    from ...tools.exporting import Exporting

    if file == _STREAM and as_json:
        raise click.UsageError("--json goes with a file: on standard output are the entries.")
    try:
        with open_cache(settings) as cache, progress_bar() as progress:
            exporting = Exporting(
                cache, media_type=media_type, progress=progress, notice=lambda text: click.echo(text, err=True)
            )
            if file == _STREAM:
                _to_standard_output(exporting)
            else:
                exporting.to_file(file, force=force)
    except KeyboardInterrupt:
        click.echo("interrupted" + ("" if file == _STREAM else "; the same command goes on from here"), err=True)
        sys.exit(INTERRUPTED)
    if as_json:
        echo_json({"file": file, "exported": exporting.count, "left_out": exporting.left_out})
    else:
        click.echo(f"{_answers(exporting.count)} exported", err=file == _STREAM)


def _to_standard_output(exporting: Exporting) -> None:
    try:
        exporting.to_stream(sys.stdout.buffer)
    except OSError as error:
        # What is left of it would be tried once more when the process ends, and fail with Python's own words.
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
        if isinstance(error, BrokenPipeError):  # who reads it has enough, as "head" has
            sys.exit(1)
        why = "it is closed" if isinstance(error, io.UnsupportedOperation) else error.strerror or error
        raise click.ClickException(f"standard output cannot be written: {why}") from None


@click.command("import")
@click.argument("file", type=click.Path(allow_dash=True))
@common
def import_entries(file: str, as_json: bool, **settings: str | None) -> None:
    """Take the answers in FILE, which "export" has written.

    What is there already, and was fetched at the same time or later, stays; so
    after Ctrl-C the same command goes on. A line that is no entry which may be
    kept is named and left out, and the exit code is then 1. A line has 50 MiB at
    most, and reading it takes no more than ten times as much memory, so the file
    may be a stranger's. "-" is standard input.

    \b
    tmdb-mongo-cache import films.jsonl
    zcat cache.jsonl.gz | tmdb-mongo-cache import -
    """  # noqa: D301  click ends a paragraph that it must not fill with this character
    from ...tools.importing import Importing

    importing, failure, interrupted = None, None, False
    try:
        with open_cache(settings) as cache, progress_bar() as progress:
            importing = Importing(cache, progress=progress)
            if file == _STREAM:
                importing.from_stream(sys.stdin.buffer, "standard input")
            else:
                importing.from_file(file)
    except KeyboardInterrupt:
        interrupted = True
    except CacheError as error:
        failure = error
    has_begun = importing is not None and (failure is None or any(importing.report))
    if importing is not None and has_begun:
        _say_imported(importing.report, as_json)
    end_of_job(failure, interrupted=interrupted, failed=importing is not None and bool(importing.report.refused))


def _say_imported(report: Any, as_json: bool) -> None:
    if as_json:
        refused = [{"line": number, "why": why} for number, why in report.refused]
        echo_json({**report._asdict(), "refused": refused})
        return
    for number, text in (
        (report.imported, "imported"),
        (report.kept, "there already"),
        (report.skipped, "past the time they may be kept (stale_if_error, or six months)"),
        (len(report.refused) + report.unlisted, "refused"),
    ):
        click.echo(f"{number:>9} {text}")
    for number, why in report.refused[:_MOST_LISTED]:
        click.echo(f"line {number}: {why}", err=True)
    more = len(report.refused) - _MOST_LISTED + report.unlisted
    if more > 0:
        click.echo(
            f"and {more} more lines (--json lists {'ten thousand' if report.unlisted else 'them all'})", err=True
        )


def _answers(count: int) -> str:
    return f"{count} answer{'' if count == 1 else 's'}"
