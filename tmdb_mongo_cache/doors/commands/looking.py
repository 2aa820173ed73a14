"""``ls``, ``show`` and ``explain``: what is in the cache, and why."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, NoReturn

import click

from ...tmdb import names
from ...tmdb.endpoints import BY_ID
from ...tmdb.secrets import redact
from .naming import EndpointName, named_argument, near, pair, read, read_url, short
from .options import common, echo_json, open_cache, seconds
from .printing import pretty, print_entries, print_rows

if TYPE_CHECKING:
    from ...cache import TMDBCache
    from ...store.document import EntryInfo

_LIMIT = 50
_MOST = 10**9


@click.command()
@click.option("--type", "media_type", type=click.Choice(names.MEDIA_TYPES), metavar="TYPE", help="movie, tv, person, …")
@click.option("--id", "tmdb_id", help="About this id; with --type, or about all that have it.")
@click.option(
    "--endpoint", type=EndpointName(), metavar="NAME", help="Of this endpoint, or a part of its path: credits, …"
)
@click.option("--status", type=click.Choice(["200", "404"]), help="404: what TMDB does not know.")
@click.option("--older", metavar="TIME", help="Fetched longer ago than this: 90, 30m, 6h, 7d.")
@click.option("--newer", metavar="TIME", help="Fetched since then.")
@click.option("--stale/--fresh", "expired", default=None, help="What is no longer fresh, or what is.")
@click.option(
    "--sort",
    type=click.Choice(["key", "age", "expires", "size"]),
    default="key",
    show_default=True,
    help="By what, the smallest first.",
)
@click.option("--reverse", is_flag=True, help="The largest first.")
@click.option(
    "--limit",
    type=click.IntRange(0, _MOST),
    default=_LIMIT,
    show_default=True,
    help="Lines on a page; 0 for all there are.",
)
@click.option("--page", type=click.IntRange(1, _MOST), default=1, show_default=True, help="Which page.")
@common
def ls(
    media_type: str | None,
    tmdb_id: str | None,
    endpoint: str | None,
    status: str | None,
    older: str | None,
    newer: str | None,
    expired: bool | None,
    sort: str,
    reverse: bool,
    limit: int,
    page: int,
    as_json: bool,
    **settings: str | None,
) -> None:
    """List what is in the cache.

    A key is shown without "GET api.themoviedb.org" before it, one of another
    host without "GET"; show, explain and invalidate take it so.

    \b
    tmdb-mongo-cache ls --type movie --stale
    tmdb-mongo-cache ls --endpoint credits --sort size --reverse
    """  # noqa: D301  click ends a paragraph that it must not fill with this character
    from ...tools import showing

    if page > 1 and not limit:
        raise click.UsageError("--page goes with a --limit other than 0: without one there is one page.")
    filters: dict[str, Any] = {
        "media_type": media_type,
        "tmdb_id": tmdb_id,
        "endpoint": endpoint,
        "status": None if status is None else int(status),
        "expired": expired,
        "older_than": None if older is None else seconds(older, "--older"),
        "newer_than": None if newer is None else seconds(newer, "--newer"),
    }
    with open_cache(settings) as cache:
        total = cache.count_entries(**filters)
        place = showing.place(cache)
        skip = (page - 1) * limit
        found = list(cache.entries(**filters, sort=sort, reverse=reverse, skip=skip, limit=limit))
    pages = max(-(-total // limit) if limit else 1, 1)
    if as_json:
        listed = [asdict(entry) for entry in found]
        echo_json({"total": total, "page": page, "pages": pages, "entries": listed})
        return
    if found:
        print_entries(found)
    answers = f"{total} answer{'' if total == 1 else 's'}"
    if not total:
        is_filtered = any(value is not None for value in filters.values())
        click.echo(f"there is nothing {'of that kind ' if is_filtered else ''}in {place}", err=True)
    elif page > pages:
        click.echo(f"there is no page {page}, for {answers} are on {pages} page{'' if pages == 1 else 's'}", err=True)
    else:
        click.echo(f"page {page} of {pages}, {answers}", err=True)


@click.command()
@named_argument
@click.option("--body", "body_alone", is_flag=True, help="The answer alone, byte for byte.")
@common
def show(what: tuple[str, ...], body_alone: bool, as_json: bool, **settings: str | None) -> None:
    """Show an answer and what the cache knows of it; of a title all its entries, and its details.

    The exit code is 1 where there is nothing.

    \b
    tmdb-mongo-cache show movie 550
    tmdb-mongo-cache show '/3/movie/550/credits?language=de' --body
    """  # noqa: D301  click ends a paragraph that it must not fill with this character
    from ...tools import showing

    if body_alone and as_json:
        raise click.UsageError("Give either --body or --json.")
    now = datetime.now(timezone.utc)
    with open_cache(settings) as cache:
        named = read(cache, what)
        entries: list[EntryInfo] | None = None
        key = named.key
        if named.media_type is not None and named.tmdb_id is not None:
            entries = list(cache.entries(media_type=named.media_type, tmdb_id=named.tmdb_id))
            key = showing.details_key(entries, named.media_type, named.tmdb_id)
            if not entries:
                title = f"{named.media_type} {named.tmdb_id}"
                is_fetched = named.media_type in BY_ID and isinstance(named.tmdb_id, int) and named.tmdb_id > 0
                advice = f"to fetch it: tmdb-mongo-cache warm {title}" if is_fetched else "ls shows what there is"
                _end(f"there is nothing about {title}; {advice}")
        if named.straight:
            _end(f"such a call is never cached: {named.straight}")
        found = None if key is None else showing.kept(cache, key)
        entry = None if found is None else found.entry
        if key is not None and (found is None or entry is None):
            _end(_missing(cache, key, damaged=found is not None))
        if body_alone:
            if entry is None:
                _end("its details are not there; ls and show have the keys of the rest")
            sys.stdout.flush()
            sys.stdout.buffer.write(entry.body)
            sys.stdout.buffer.flush()
            return
        if as_json:
            whole = None if entry is None or found is None else showing.as_document(cache, found, entry, now)
            about = {"media_type": named.media_type, "tmdb_id": named.tmdb_id}
            listed = None if entries is None else [asdict(item) for item in entries]
            _echo_whole(
                whole, lambda whole: whole if listed is None else {**about, "entries": listed, "details": whole}
            )
            return
        if entries is not None:
            print_entries(entries)
        if entry is not None and found is not None:
            if entries is not None:
                click.echo()
            print_rows(showing.rows(cache, found, entry, now))
            click.echo()
            click.echo(pretty(entry.body))


@click.command()
@click.argument("url", nargs=-1, metavar="URL|KEY")
@click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="A param of the call.")
@click.option("--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="A header of the call.")
@click.option(
    "--expire-after",
    metavar="TIME",
    help="How long answers are fresh: 36h, adaptive, …  [env: TMDB_CACHE_EXPIRE_AFTER]",
)
@common
def explain(
    url: tuple[str, ...], params: tuple[str, ...], headers: tuple[str, ...], as_json: bool, **settings: str | None
) -> None:
    """Say what the cache would do with a call, and why, without making it.

    The key, the class of the endpoint, whether it is cached at all, for how long
    an answer is fresh and which setting says so, and whether there is one. The
    settings are those of the environment: give it those of your program.

    \b
    tmdb-mongo-cache explain https://api.themoviedb.org/3/movie/550 --param language=de
    """  # noqa: D301  click ends a paragraph that it must not fill with this character
    query = [pair(text, "--param", "=", "NAME=VALUE, like language=de") for text in params]
    given = dict(pair(text, "--header", ":", "'NAME: VALUE', like 'Cache-Control: no-cache'") for text in headers)
    with open_cache(settings) as cache:
        address = read_url(cache, url)
        found = cache.explain(address, query, headers={name.strip(): value.strip() for name, value in given.items()})
        others = near(cache, found.key) if found.key is not None and found.found == "nothing" and not as_json else ""
    if as_json:
        echo_json(found)
    else:
        rows = [(name, text + others if name == "found" else text) for name, text in found.rows()]
        print_rows(rows)


def _missing(cache: TMDBCache, key: str, *, damaged: bool) -> str:
    if damaged:
        remove = f"tmdb-mongo-cache invalidate '{short(key)}'"
        return f"what is kept under {short(key)} is damaged, or another program's; to remove it: {remove}"
    return f"there is nothing under {short(key)}{near(cache, key) or '; ls shows what there is'}"


def _echo_whole(whole: dict[str, Any] | None, around: Callable[[dict[str, Any] | None], Any]) -> None:
    try:
        echo_json(around(whole))
    except RecursionError:  # an answer of any depth
        echo_json(around(None if whole is None else {**whole, "data": None}))


def _end(text: str) -> NoReturn:
    click.echo(redact(f"tmdb-mongo-cache: {text}"), err=True)
    sys.exit(1)
