"""``export``: write the cache to a file."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from ..formatting import count_text
from ..tmdb.endpoints import BY_ID
from .exit_codes import INTERRUPTED
from .options import Settings, common, open_cache
from .output import echo_json, progress_bar
from .streams import why_unwritable

if TYPE_CHECKING:
    from ..transfer.exporter import Exporter

_STREAM = "-"


@click.command()
@click.argument("file", type=click.Path(allow_dash=True))
@click.option("--type", "media_type", type=click.Choice(list(BY_ID)), help="Only responses of this type.")
@click.option("--force", is_flag=True, help="Overwrite FILE if it exists.")
@common
def export(file: str, media_type: str | None, force: bool, as_json: bool, settings: Settings) -> None:
    """Export TMDB's responses to FILE, for another machine or as a recording for tests.

    Writes JSON Lines, one entry per line, byte for byte; "import" reads it. Until
    the export is complete the file is FILE.part: after Ctrl-C or a power cut the
    same command resumes, for a day; later it starts again. "-" is standard output.
    Responses that "import" would refuse are left out and reported: with a TMDB at
    another address, set TMDB_CACHE_HOSTS as your program does.

    \b
    tmdb-mongo-cache export films.jsonl --type movie
    tmdb-mongo-cache export - | gzip > cache.jsonl.gz
    """  # noqa: D301  click ends a paragraph that it must not fill with this character
    from ..transfer.exporter import Exporter

    if file == _STREAM and as_json:
        raise click.UsageError("--json needs a file: standard output has the entries.")
    try:
        with open_cache(settings) as cache, progress_bar() as progress:
            exporter = Exporter(
                cache.engine, media_type=media_type, progress=progress, notice=lambda text: click.echo(text, err=True)
            )
            if file == _STREAM:
                _to_standard_output(exporter)
            else:
                exporter.to_file(file, force=force)
    except KeyboardInterrupt:
        click.echo("interrupted" + ("" if file == _STREAM else "; run the same command again to resume"), err=True)
        sys.exit(INTERRUPTED)
    if as_json:
        echo_json({"file": file, "exported": exporter.count, "left_out": exporter.left_out})
    else:
        click.echo(f"{count_text(exporter.count, 'response')} exported", err=file == _STREAM)


def _to_standard_output(exporter: Exporter) -> None:
    try:
        exporter.to_stream(sys.stdout.buffer)
    except OSError as error:
        why = why_unwritable(error) or error.strerror or error
        if isinstance(error, BrokenPipeError):  # the reader has enough, as "head" has
            sys.exit(1)
        raise click.ClickException(f"cannot write to standard output: {why}") from None
