"""The key of a call: readable, without a credential, one for every spelling of the same request.

``GET api.themoviedb.org/3/movie/343611?language=de``
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from urllib.parse import quote

from . import secrets, urls
from .hosts import HOST

START = f"GET {HOST}"
"""How every key begins; the path follows."""

FIRST, END = f"{START}/", f"{START}0"
"""Between these, the second left out, are all keys of TMDB's answers: "0" follows "/"."""

KEY_LENGTH = 512
"""Characters; a longer key keeps its beginning and ends in ``#`` and a SHA-256 digest of the whole."""

_VALUE_SAFE = "/:,|!*()'$;@~?"


def is_of_tmdb(key: object) -> bool:
    """Say whether an ``_id``, which may be of any type, is the key of one of TMDB's answers."""
    return type(key) is str and key.startswith(FIRST)


def key_of_url(url: str | bytes, params: urls.Params = None, hosts: frozenset[str] = frozenset()) -> str | None:
    """Return the key of a GET with these arguments, as given to ``requests.get``; None if it is not TMDB's."""
    return _key_of(urls.split_arguments(url, params), hosts)


def key_of_prepared(url: str | bytes | None, hosts: frozenset[str] = frozenset()) -> str | None:
    """Return the key of a prepared GET request's URL; None if it is not TMDB's."""
    return _key_of(urls.split(url), hosts)


def _key_of(target: urls.Target | None, hosts: frozenset[str]) -> str | None:
    if target is None or not urls.is_tmdb(target, hosts):
        return None
    return make_key(urls.canonical_path(target.path), query_part(urls.pairs(target.query)))


def make_key(path: str, query: str) -> str:
    """Make the key from a canonical path and what :func:`query_part` made of the query."""
    key = f"{START}{path}{query}"
    if len(key) <= KEY_LENGTH:
        return key
    digest = hashlib.sha256(key.encode()).hexdigest()
    return f"{key[: KEY_LENGTH - len(digest) - 1]}#{digest}"


def query_part(query: Iterable[tuple[str, str]]) -> str:
    """Make the part of the key that comes from the decoded query, with its question mark; empty when there is none.

    Params are sorted by name, repeats keep their order; empty ones, credentials
    and ``page=1`` (the same answer as no page) are left out. The order of
    ``append_to_response`` only changes the order of keys in the answer.
    ``language`` is neither dropped nor defaulted: on ``/images`` it filters.
    """
    kept = [(name, value) for name, value in query if value and not secrets.is_credential(name)]
    kept = [(name, _appended(value) if name == "append_to_response" else value) for name, value in kept]
    kept = [(name, value) for name, value in kept if value]
    if all(value == "1" for name, value in kept if name == "page"):
        kept = [(name, value) for name, value in kept if name != "page"]
    kept.sort(key=lambda pair: pair[0])
    return "?" + "&".join(f"{_quote(name)}={_quote(value)}" for name, value in kept) if kept else ""


def appended_parts(query: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Return what the query asks to append, sorted, without repeats."""
    parts: set[str] = set()
    for name, value in query:
        if name == "append_to_response":
            parts.update(_parts(value))
    return tuple(sorted(parts))


def _appended(value: str) -> str:
    return ",".join(sorted(_parts(value)))


def _parts(value: str) -> set[str]:
    return {part.strip() for part in value.split(",") if part.strip()}


def _quote(text: str) -> str:
    if text.isascii() and text.replace("_", "").isalnum():
        return text
    return quote(text, _VALUE_SAFE, errors="surrogateescape")
