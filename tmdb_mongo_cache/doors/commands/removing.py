"""``invalidate``, ``clear`` and ``purge``: getting rid of answers."""

from __future__ import annotations

import click

from .options import common, echo_json, open_cache


def say_deleted(count: int, as_json: bool) -> None:
    """Say how many answers are gone."""
    if as_json:
        echo_json({"deleted": count})
    else:
        click.echo(f"{count} answer{'' if count == 1 else 's'} deleted")


@click.command()
@click.option("--all", "everything", is_flag=True, help="All of TMDB's answers: for the end of your access to TMDB.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@common
def purge(everything: bool, yes: bool, as_json: bool, **settings: str | None) -> None:
    """Delete answers that are older than TMDB's terms allow (six months), or all of them.

    MongoDB deletes what is too old by itself; this is for where it does not.
    """
    with open_cache(settings) as cache:
        if everything and not yes:
            click.confirm(f"Delete all of TMDB's answers in {cache.config.database}?", abort=True, err=True)
        count = cache.purge(everything=everything)
    say_deleted(count, as_json)
