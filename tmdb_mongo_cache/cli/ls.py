"""``ls``: list the entries."""

from __future__ import annotations

from typing import Any

import click

from ..formatting import count_text
from ..tmdb import endpoint_names
from .arguments import EndpointName
from .options import Settings, common, open_cache, seconds
from .output import echo_json, print_entries

_MOST = 10**9


@click.command()
@click.option(
    "--type", "media_type", type=click.Choice(endpoint_names.MEDIA_TYPES), metavar="TYPE", help="movie, tv, person, …"
)
@click.option("--id", "tmdb_id", help="About this id, of the --type or of any.")
@click.option(
    "--endpoint", type=EndpointName(), metavar="NAME", help="Of this endpoint, or part of its path: credits, …"
)
@click.option("--status", type=click.Choice([200, 404]), help="404: not known to TMDB.")
@click.option("--older", "older_than", metavar="TIME", help="Fetched longer ago than this: 90, 30m, 6h, 7d.")
@click.option("--newer", "newer_than", metavar="TIME", help="Fetched more recently than this.")
@click.option("--stale/--fresh", "expired", default=None, help="Only stale, or only fresh responses.")
@click.option(
    "--sort",
    type=click.Choice(["key", "age", "expires", "size"]),
    default="key",
    show_default=True,
    help="Sort by this, in ascending order.",
)
@click.option("--reverse", is_flag=True, help="Reverse the order.")
@click.option(
    "--limit",
    type=click.IntRange(0, _MOST),
    default=50,
    show_default=True,
    help="Responses per page; 0 for all.",
)
@click.option("--page", type=click.IntRange(1, _MOST), default=1, show_default=True, help="Page number.")
@common
def ls(sort: str, reverse: bool, limit: int, page: int, as_json: bool, settings: Settings, **filters: Any) -> None:
    """List cached responses.

    Keys are shown without the leading "GET api.themoviedb.org" (those of other
    hosts without "GET"); show, explain and invalidate accept them in this form.

    \b
    tmdb-mongo-cache ls --type movie --stale
    tmdb-mongo-cache ls --endpoint credits --sort size --reverse
    """  # noqa: D301  click ends a paragraph that it must not fill with this character
    from ..inspection import entry_details

    if page > 1 and not limit:
        raise click.UsageError("--page cannot be used with --limit 0.")
    for name, option in (("older_than", "--older"), ("newer_than", "--newer")):
        if filters[name] is not None:
            filters[name] = seconds(filters[name], option)
    with open_cache(settings) as cache:
        total = cache.count_entries(**filters)
        place = entry_details.place(cache.engine)
        skip = (page - 1) * limit
        found = list(cache.entries(**filters, sort=sort, reverse=reverse, skip=skip, limit=limit))
    pages = max(-(-total // limit) if limit else 1, 1)
    if as_json:
        echo_json({"total": total, "page": page, "pages": pages, "entries": found})
        return
    if found:
        print_entries(found)
    responses = count_text(total, "response")
    if not total:
        is_filtered = any(value is not None for value in filters.values())
        click.echo(f"nothing {'that matches ' if is_filtered else ''}is cached in {place}", err=True)
    elif page > pages:
        click.echo(f"there is no page {page}: {responses} on {count_text(pages, 'page')}", err=True)
    else:
        click.echo(f"page {page} of {pages}, {responses}", err=True)
