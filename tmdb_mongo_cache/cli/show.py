"""``show``: an entry and its response, or all entries of a title."""

from __future__ import annotations

import sys
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, NoReturn

import click

from ..tmdb.endpoints import BY_ID
from ..tmdb.redaction import redact
from .arguments import parse_reference, reference_argument, same_path_hint, short
from .options import Settings, common, open_cache
from .output import echo_json, pretty, print_entries, print_rows

if TYPE_CHECKING:
    from ..cache import TMDBCache
    from ..mongo.document import EntryInfo


@click.command()
@reference_argument
@click.option("--body", "body_alone", is_flag=True, help="Only the body of the response, byte for byte.")
@common
def show(what: tuple[str, ...], body_alone: bool, as_json: bool, settings: Settings) -> None:
    """Show a cached response and its metadata, or all entries of a title with its details.

    The exit code is 1 if there is none.

    \b
    tmdb-mongo-cache show movie 550
    tmdb-mongo-cache show '/3/movie/550/credits?language=de' --body
    """  # noqa: D301  click ends a paragraph that it must not fill with this character
    from ..inspection import entry_details

    if body_alone and as_json:
        raise click.UsageError("--body and --json cannot be combined.")
    now = datetime.now(timezone.utc)
    with open_cache(settings) as cache:
        reference = parse_reference(cache, what)
        if reference.bypass:
            _fail(f"this call is never cached: {reference.bypass}")
        key, entries = reference.key, []
        if reference.title is not None:
            entries = _entries_of_title(cache, *reference.title)
            key = entry_details.details_key(entries, *reference.title)
        stored = None if key is None else cache.engine.store.queries.get(key, bounded=False)
        entry = None if stored is None else stored.entry
        if key is not None and entry is None:
            _fail(_why_missing(cache, key, damaged=stored is not None))
        if body_alone:
            if entry is None:
                _fail("its details are not cached; ls and show list the keys of its other entries")
            sys.stdout.flush()
            sys.stdout.buffer.write(entry.body)
            sys.stdout.buffer.flush()
            return
        found = None if stored is None or entry is None else (cache.engine, stored, entry, now)
        if as_json:
            _print_json(None if found is None else entry_details.as_document(*found), reference.title, entries)
            return
        if entries:
            print_entries(entries)
        if found is not None and entry is not None:
            if entries:
                click.echo()
            print_rows(entry_details.rows(*found))
            click.echo()
            click.echo(pretty(entry.body))


def _entries_of_title(cache: TMDBCache, media_type: str, tmdb_id: int | str) -> list[EntryInfo]:
    entries = list(cache.entries(media_type=media_type, tmdb_id=tmdb_id))
    if not entries:
        title = f"{media_type} {tmdb_id}"
        can_be_warmed = media_type in BY_ID and isinstance(tmdb_id, int) and tmdb_id > 0
        advice = f"to fetch it: tmdb-mongo-cache warm {title}" if can_be_warmed else "ls lists what there is"
        _fail(f"nothing is cached about {title}; {advice}")
    return entries


def _why_missing(cache: TMDBCache, key: str, *, damaged: bool) -> str:
    if damaged:
        remove = f"tmdb-mongo-cache invalidate '{short(key)}'"
        return f"the document of {short(key)} is damaged, or another program's; to remove it: {remove}"
    return f"nothing is cached under {short(key)}{same_path_hint(cache, key) or '; ls lists what there is'}"


def _print_json(document: dict[str, Any] | None, title: tuple[str, int | str] | None, entries: list[EntryInfo]) -> None:
    shown = document
    if title is not None:
        shown = {"media_type": title[0], "tmdb_id": title[1], "entries": entries, "details": document}
    try:
        echo_json(shown)
    except RecursionError:  # the response nests too deeply
        if document is not None:
            document["data"] = None
        echo_json(shown)


def _fail(text: str) -> NoReturn:
    click.echo(redact(f"tmdb-mongo-cache: {text}"), err=True)
    sys.exit(1)
