"""``demo``: an old script, twice."""

from __future__ import annotations

import click

from .options import as_json


@click.command()
@as_json
def demo(as_json: bool) -> None:
    """Run an old script twice and show what the second run saved.

    Uses a stand-in for TMDB on this machine; with TMDB_API_KEY set, TMDB itself.
    """
    from ...demo.show import demonstrate
    from ...store.client import check_uri, resolve_uri

    uri = resolve_uri(None)
    check_uri(uri)
    demonstrate(uri, as_json=as_json)
