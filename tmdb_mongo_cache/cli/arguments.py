"""Arguments that select an entry by its key or URL, or a title by its type and id."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import click
from click.shell_completion import CompletionItem

from ..errors import ConfigError
from ..tmdb import endpoint_names, urls
from ..tmdb.cache_key import KEY_LENGTH, START, is_of_tmdb, key_of_url
from ..tmdb.hosts import BASE_URL, HOST, OWN_HOSTS

if TYPE_CHECKING:
    from ..cache import TMDBCache

_URL_EXPECTED = (
    "Give one URL (in quotes), like 'https://api.themoviedb.org/3/movie/550?language=de', or a key as ls prints it."
)
_REFERENCE_EXPECTED = (
    "Give a key as ls prints it (/3/movie/550?language=de), a TMDB URL, or a type and an id (movie 550)."
)

_DIGEST = re.compile("#[0-9a-f]{64}")
# As requests-cache makes keys for sessions with matching rules of their own.
_OTHER_KEY = re.compile("[0-9a-f]{16,128}")


class Reference(NamedTuple):
    """An entry's key, or a title by its type and id; ``bypass`` says why there is never an entry for it."""

    key: str | None = None
    title: tuple[str, int | str] | None = None
    bypass: str = ""


class EndpointName(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic in newer versions alone
    """A path template, or a part of one."""

    name = "endpoint"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check that there is such an endpoint."""
        if not endpoint_names.templates_with(value):
            self.fail("no such endpoint; give part of its path, like credits or tv/popular.", param, ctx)
        return str(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Complete it from the table of endpoints."""
        return [CompletionItem(name) for name in endpoint_names.parts() if name.startswith(incomplete)]


def complete_reference(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the first word of a reference: a type."""
    if ctx.params.get(param.name or ""):
        return []
    return [CompletionItem(name) for name in endpoint_names.MEDIA_TYPES if name.startswith(incomplete)]


reference_argument = click.argument("what", nargs=-1, metavar="KEY|URL|TYPE ID", shell_complete=complete_reference)


def parse_reference(cache: TMDBCache, words: tuple[str, ...]) -> Reference:
    """Parse a reference. No error repeats it, as a URL may contain a credential.

    Raises:
        click.UsageError: it is not a reference.
        ConfigError: the URL is not TMDB's.
    """
    if len(words) == 2 and words[0] in endpoint_names.MEDIA_TYPES and words[1] and endpoint_names.is_text(words[1]):
        return Reference(title=(words[0], endpoint_names.normalise_id(words[1])))
    word = _one_word(words, _REFERENCE_EXPECTED)
    key = word if _OTHER_KEY.fullmatch(word) else _digest_key(word)
    if key is not None:
        return Reference(key=key)
    url = _with_scheme(cache, word)
    if not re.match("https?://", url, re.IGNORECASE):
        raise click.UsageError(_REFERENCE_EXPECTED)
    return _by_url(cache, url)


def parse_url(cache: TMDBCache, words: tuple[str, ...]) -> str:
    """Parse a URL, or the key of an entry as the URL that it stands for. No error repeats it.

    Raises:
        click.UsageError: it is neither, or a key whose URL is not known.
        StoreError: MongoDB failed; only MongoDB has the URL of a key that ends in a digest.
    """
    word = _one_word(words, _URL_EXPECTED)
    digest = _digest_key(word)
    if digest is None:
        url = _with_scheme(cache, word)
        if not re.match("[a-z][a-z0-9+.-]*://", url, re.IGNORECASE):
            raise click.UsageError(_URL_EXPECTED)
        return url
    from ..inspection import entry_details

    stored = cache.engine.store.queries.get(digest, bounded=False)
    call = None if stored is None or stored.entry is None else entry_details.call_of(stored.entry)
    if call is None:
        raise click.UsageError("This key has only the beginning of its URL, and there is no such entry: give the URL.")
    return call.url


def _one_word(words: tuple[str, ...], expected: str) -> str:
    if len(words) == 2 and words[0] == "GET":
        words = words[1:]
    if len(words) != 1 or not endpoint_names.is_text(words[0]):
        raise click.UsageError(expected)
    return words[0].removeprefix("GET ")


def _digest_key(word: str) -> str | None:
    """Return the key that a word is, as stored or as ls prints it, if it is one that ends in a digest."""
    # Without a host it is a key of TMDB itself.
    key = f"GET {HOST}{word}" if word.startswith("/") else f"GET {word}"
    return key if len(key) == KEY_LENGTH and is_of_tmdb(key) and _DIGEST.search(key, KEY_LENGTH - 65) else None


def _with_scheme(cache: TMDBCache, word: str) -> str:
    """Complete a URL typed without a scheme or without a host; return anything else as it is."""
    if word.startswith("/"):
        return f"{BASE_URL}{word}"
    target = urls.split(f"https://{word}")
    if target is None or not urls.is_tmdb(target, cache.engine.hosts):
        return word
    return f"{'https' if urls.is_own(target) else 'http'}://{word}"  # as keys have it


def _by_url(cache: TMDBCache, url: str) -> Reference:
    key = key_of_url(url, hosts=cache.engine.hosts)
    if key is None:
        known = ", ".join(sorted({*OWN_HOSTS, *cache.engine.hosts}))
        raise ConfigError(f"the URL is not on a TMDB host ({known}); list other hosts in TMDB_CACHE_HOSTS")
    from ..tmdb.call import classify

    target = urls.split_arguments(url)
    call = None if target is None else classify("GET", target.url, {}, hosts=cache.engine.hosts)
    return Reference(key=key, bypass="" if call is None else call.bypass)


def short(key: str) -> str:
    """Return a key as tables show it: TMDB's without its host."""
    return key.removeprefix(START if key.startswith(f"{START}/") else "GET ")


def same_path_hint(cache: TMDBCache, key: str) -> str:
    """Name the entries with the same path and another query, as the end of a sentence; empty if there are none."""
    from ..inspection import entry_details

    found = [short(other) for other in entry_details.same_path(cache.engine, key)]
    return f"; entries with the same path: {', '.join(found)}" if found else ""
