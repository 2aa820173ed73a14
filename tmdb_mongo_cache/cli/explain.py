"""``explain``: what the cache would do with a call, and why."""

from __future__ import annotations

import click

from .arguments import parse_url, same_path_hint
from .options import Settings, common, open_cache, pair, setting
from .output import echo_json, print_rows


@click.command()
@click.argument("url", nargs=-1, metavar="URL|KEY")
@click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="A query parameter of the call.")
@click.option("--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="A header of the call.")
@setting("expire-after", "How long responses are fresh: 36h, adaptive, …", metavar="TIME")
@common
def explain(
    url: tuple[str, ...],
    params: tuple[str, ...],
    headers: tuple[str, ...],
    as_json: bool,
    settings: Settings,
) -> None:
    """Explain what the cache would do with a call, without making it.

    Shows the key, the class of the endpoint, whether and for how long a response
    is cached and which setting says so, and whether there is one now. Settings are
    read from the environment: use those of your program.

    \b
    tmdb-mongo-cache explain https://api.themoviedb.org/3/movie/550 --param language=de
    """  # noqa: D301  click ends a paragraph that it must not fill with this character
    query = [pair(text, "--param", "=", "NAME=VALUE, like language=de") for text in params]
    given = dict(pair(text, "--header", ":", "'NAME: VALUE', like 'Cache-Control: no-cache'") for text in headers)
    with open_cache(settings) as cache:
        address = parse_url(cache, url)
        found = cache.explain(address, query, headers={name.strip(): value.strip() for name, value in given.items()})
        others = same_path_hint(cache, found.key) if found.key and found.found == "nothing" and not as_json else ""
    if as_json:
        echo_json(found)
    else:
        print_rows([(name, text + others if name == "found" else text) for name, text in found.rows()])
