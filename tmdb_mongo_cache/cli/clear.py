"""``clear``: empty the collection."""

from __future__ import annotations

import click

from ..formatting import count_text
from .invalidate import print_deleted
from .options import Settings, common, open_cache, yes
from .output import confirm, status


@click.command()
@yes
@common
def clear(yes: bool, as_json: bool, settings: Settings) -> None:
    """Delete everything in the cache, after confirmation.

    Empties the collection, including responses of other hosts that MongoBackend
    has stored there; "purge --all" keeps those.
    """
    from ..inspection import entry_details

    with open_cache(settings) as cache:
        if not yes:
            count = count_text(cache.engine.store.queries.count({}), "response")
            confirm(f"Delete {count} in {entry_details.place(cache.engine)}?", "clear")
        with status("deleting"):
            count_deleted = cache.clear()
    print_deleted(count_deleted, as_json)
