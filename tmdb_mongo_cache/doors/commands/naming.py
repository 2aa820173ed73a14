"""What people name on a command line: an entry by its key or URL, or a title by its type and id."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import click
from click.shell_completion import CompletionItem

from ...errors import ConfigError
from ...tmdb import names, urls
from ...tmdb.hosts import BASE_URL, HOST, OWN_HOSTS
from ...tmdb.keys import KEY_LENGTH, START, is_of_tmdb

if TYPE_CHECKING:
    from ...cache import TMDBCache

HOW_URL = (
    "Give one URL (in quotes), like 'https://api.themoviedb.org/3/movie/550?language=de', or a key as ls prints it."
)
HOW = "Give a key as ls prints it (/3/movie/550?language=de), an URL of TMDB, or a type and an id (movie 550)."

_DIGEST = re.compile("#[0-9a-f]{64}")
# As requests-cache makes keys for sessions with rules of their own.
_OTHER_KEY = re.compile("[0-9a-f]{16,128}")


class Named(NamedTuple):
    """An entry's key, or a title; ``straight`` says why there is never an entry for it."""

    key: str | None = None
    media_type: str | None = None
    tmdb_id: int | str | None = None
    straight: str = ""


class EndpointName(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic in newer versions alone
    """A path template, or a part of one."""

    name = "endpoint"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check that there is such an endpoint."""
        if not names.templates_with(value):
            self.fail("there is no such endpoint: give a part of its path, like credits or tv/popular.", param, ctx)
        return str(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Complete it by the table of endpoints."""
        return [CompletionItem(name) for name in names.parts() if name.startswith(incomplete)]


def complete_named(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the first word of what is named: a type."""
    if ctx.params.get(param.name or ""):
        return []
    return [CompletionItem(name) for name in names.MEDIA_TYPES if name.startswith(incomplete)]


named_argument = click.argument("what", nargs=-1, metavar="KEY|URL|TYPE ID", shell_complete=complete_named)


def read(cache: TMDBCache, words: tuple[str, ...]) -> Named:
    """Read what is named. No error repeats it: an URL may carry a credential.

    Raises:
        click.UsageError: it names nothing.
        ConfigError: the URL is not TMDB's.
    """
    if len(words) == 2 and words[0] in names.MEDIA_TYPES and words[1] and names.is_text(words[1]):
        return Named(media_type=words[0], tmdb_id=names.as_kept(words[1]))
    word = _one_word(words, HOW)
    if _OTHER_KEY.fullmatch(word):
        return Named(key=word)
    digest = _digest_key(word)
    if digest is not None:
        return Named(key=digest)
    url = _with_scheme(cache, word)
    if not re.match("https?://", url, re.IGNORECASE):
        raise click.UsageError(HOW)
    return _by_url(cache, url)


def read_url(cache: TMDBCache, words: tuple[str, ...]) -> str:
    """Read an URL, or the key of an answer as the URL that it stands for. No error repeats it.

    Raises:
        click.UsageError: it is neither, or a key whose URL nobody knows.
        StoreError: MongoDB failed, which alone has the URL of a key that ends in a digest.
    """
    word = _one_word(words, HOW_URL)
    digest = _digest_key(word)
    if digest is None:
        url = _with_scheme(cache, word)
        if not re.match("[a-z][a-z0-9+.-]*://", url, re.IGNORECASE):
            raise click.UsageError(HOW_URL)
        return url
    from ...tools import showing

    kept = showing.kept(cache, digest)
    found = None if kept is None or kept.entry is None else showing.url_of(kept.entry)
    if found is None:
        raise click.UsageError(
            "Such a key is only the beginning of its URL, and the answer is not there: give the URL."
        )
    return found


def _one_word(words: tuple[str, ...], how: str) -> str:
    if len(words) == 2 and words[0] == "GET":
        words = words[1:]
    if len(words) != 1 or not names.is_text(words[0]):
        raise click.UsageError(how)
    return words[0].removeprefix("GET ")


def _digest_key(word: str) -> str | None:
    """Return the key that a word is, as it is kept or as ls prints it, where that is one that ends in a digest."""
    key = _key_of(word)
    return key if len(key) == KEY_LENGTH and is_of_tmdb(key) and _DIGEST.search(key, KEY_LENGTH - 65) else None


def _key_of(word: str) -> str:
    """Return the key that a word is, if it is one: of TMDB itself where no host is named."""
    return f"GET {HOST}{word}" if word.startswith("/") else f"GET {word}"


def _with_scheme(cache: TMDBCache, word: str) -> str:
    """Return what was typed without a scheme, or without a host, as an URL; all else as it is."""
    if word.startswith("/"):
        return f"{BASE_URL}{word}"
    target = urls.split(f"https://{word}")
    if target is None or not urls.is_tmdb(target, cache.hosts):
        return word
    return f"{'https' if urls.is_own(target) else 'http'}://{word}"  # as keys have it


def _by_url(cache: TMDBCache, url: str) -> Named:
    from ...tmdb.keys import key_of_url

    key = key_of_url(url, hosts=cache.hosts)
    if key is None:
        known = ", ".join(sorted({*OWN_HOSTS, *cache.hosts}))
        raise ConfigError(f"the URL is not one of TMDB's hosts ({known}); others are named by TMDB_CACHE_HOSTS")
    from ...tmdb.calls import classify

    target = urls.split_arguments(url)
    call = None if target is None else classify("GET", target.url, {}, hosts=cache.hosts)
    return Named(key=key, straight="" if call is None else call.straight)


def short(key: str) -> str:
    """Return a key as tables have it: TMDB's without its host."""
    return key.removeprefix(START if key.startswith(f"{START}/") else "GET ")


def pair(text: str, option: str, separator: str, example: str) -> tuple[str, str]:
    """Read a name and a value.

    Raises:
        click.UsageError: it is none. What was given is not repeated.
    """
    name, found, value = text.partition(separator)
    if not found or not name.strip():
        raise click.UsageError(f"{option} takes {example}.")
    return name, value


def near(cache: TMDBCache, key: str) -> str:
    """Name what is kept of the same path with another query, as the end of a sentence; empty where nothing is."""
    from ...tools import showing

    found = [short(other) for other in showing.near(cache, key)]
    return f"; of the same path there is: {', '.join(found)}" if found else ""
