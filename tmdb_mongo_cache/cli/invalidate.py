"""``invalidate``: delete the entries of a call or of a title."""

from __future__ import annotations

import click

from ..formatting import count_text
from ..tmdb.redaction import redact
from .arguments import parse_reference, reference_argument, same_path_hint, short
from .options import Settings, common, open_cache
from .output import echo_json, status


@click.command()
@reference_argument
@common
def invalidate(what: tuple[str, ...], as_json: bool, settings: Settings) -> None:
    """Delete a cached response, or everything about a title.

    The next call fetches it again.

    \b
    tmdb-mongo-cache invalidate movie 550
    tmdb-mongo-cache invalidate '/3/movie/550?language=de'
    """  # noqa: D301  click ends a paragraph that it must not fill with this character
    with open_cache(settings) as cache:
        reference = parse_reference(cache, what)
        if reference.bypass:
            count = 0
            click.echo(f"this call is never cached: {reference.bypass}", err=True)
        elif reference.key is not None:
            count = cache.invalidate(key=reference.key)
            others = "" if count else same_path_hint(cache, reference.key)
            if others:
                click.echo(redact(f"nothing is cached under {short(reference.key)}{others}"), err=True)
        else:
            with status("deleting"):
                media_type, tmdb_id = reference.title or (None, None)
                count = cache.invalidate(media_type=media_type, tmdb_id=tmdb_id)
    print_deleted(count, as_json)


def print_deleted(count: int, as_json: bool) -> None:
    """Print how many entries were deleted."""
    if as_json:
        echo_json({"deleted": count})
    else:
        click.echo(f"{count_text(count, 'response')} deleted")
