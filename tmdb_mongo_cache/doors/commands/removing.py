"""``invalidate``, ``clear`` and ``purge``: getting rid of answers."""

from __future__ import annotations

import click

from ...tmdb.secrets import redact
from .naming import named_argument, near, read, short
from .options import common, echo_json, open_cache, say_no_more, waiting


def say_deleted(count: int, as_json: bool) -> None:
    """Say how many answers are gone."""
    if as_json:
        echo_json({"deleted": count})
    else:
        click.echo(f"{_answers(count)} deleted")


def _answers(count: int) -> str:
    return f"{count} answer{'' if count == 1 else 's'}"


_ADVICE = "{} asks before it deletes; where nobody can answer, give --yes."


def _ask(question: str, command: str) -> None:
    try:
        click.confirm(question, abort=True, err=True)
    except click.Abort as error:
        say_no_more(error, _ADVICE.format(command))


@click.command()
@named_argument
@common
def invalidate(what: tuple[str, ...], as_json: bool, **settings: str | None) -> None:
    """Forget one answer, or all about a title: the next call fetches it anew.

    \b
    tmdb-mongo-cache invalidate movie 550
    tmdb-mongo-cache invalidate '/3/movie/550?language=de'
    """  # noqa: D301  click ends a paragraph that it must not fill with this character
    with open_cache(settings) as cache:
        named = read(cache, what)
        if named.straight:
            count = 0
            click.echo(f"such a call is never cached: {named.straight}", err=True)
        elif named.key is not None:
            count = cache.invalidate(key=named.key)
            if not count:
                others = near(cache, named.key)
                if others:
                    click.echo(redact(f"nothing is kept under {short(named.key)}{others}"), err=True)
        else:
            with waiting("deleting"):
                count = cache.invalidate(media_type=named.media_type, tmdb_id=named.tmdb_id)
    say_deleted(count, as_json)


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@common
def clear(yes: bool, as_json: bool, **settings: str | None) -> None:
    """Empty the cache: every answer, after asking.

    The collection is emptied, with what MongoBackend has stored there of other
    hosts; purge --all leaves that.
    """
    from ...tools import showing

    with open_cache(settings) as cache:
        if not yes:
            count = showing.count_documents(cache)
            _ask(f"Delete {_answers(count)} in {showing.place(cache)}?", "clear")
        with waiting("deleting"):
            count = cache.clear()
    say_deleted(count, as_json)


@click.command()
@click.option("--all", "everything", is_flag=True, help="All of TMDB's answers: for the end of your access to TMDB.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@common
def purge(everything: bool, yes: bool, as_json: bool, **settings: str | None) -> None:
    """Delete answers that are older than TMDB's terms allow (six months), or all of them.

    MongoDB deletes what is too old by itself; this is for where it does not.
    """
    from ...tools import showing

    with open_cache(settings) as cache:
        if everything and not yes:
            count = cache.count_entries()
            _ask(f"Delete all of TMDB's answers, {count} of them, in {showing.place(cache)}?", "purge --all")
        with waiting("deleting"):
            count = cache.purge(everything=everything)
    say_deleted(count, as_json)
