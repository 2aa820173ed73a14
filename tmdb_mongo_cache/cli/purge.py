"""``purge``: delete what TMDB's terms no longer allow to be stored."""

from __future__ import annotations

import click

from ..formatting import count_text
from .invalidate import print_deleted
from .options import Settings, common, open_cache, yes
from .output import confirm, status


@click.command()
@click.option("--all", "everything", is_flag=True, help="Delete all TMDB responses, when your access to TMDB ends.")
@yes
@common
def purge(everything: bool, yes: bool, as_json: bool, settings: Settings) -> None:
    """Delete responses older than TMDB's terms allow (six months), or all of them.

    MongoDB deletes what is too old by itself; use this where it does not.
    """
    from ..inspection import entry_details

    with open_cache(settings) as cache:
        if everything and not yes:
            count = count_text(cache.count_entries(), "response")
            confirm(f"Delete all TMDB data ({count}) in {entry_details.place(cache.engine)}?", "purge --all")
        with status("deleting"):
            deleted = cache.purge(everything=everything)
    print_deleted(deleted, as_json)
