"""The key of a call: readable, without a credential, one for every spelling of the same request.

``GET api.themoviedb.org/3/movie/343611?language=de``

It begins with where the call goes. Who answers over a channel that nobody has
verified (plain http, or https with ``verify=False``) may be anybody, and a host
in ``hosts`` is another than TMDB: each has entries of its own.

===================================  =================================================
``GET api.themoviedb.org/3/…``       TMDB, by either name of its host, verified
``GET http://api.themoviedb.org/…``  TMDB over a channel that nobody has verified
``GET 127.0.0.1:4000/3/…``           a host in ``hosts``, not verified, as most of them
``GET https://127.0.0.1:4000/3/…``   such a host, verified
===================================  =================================================
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from . import secrets, urls
from .folding import folded
from .hosts import HOST

START = f"GET {HOST}"
"""How the keys of TMDB itself begin, of what came by a verified channel; the path follows."""

UNVERIFIED_START = f"GET http://{HOST}"
"""How they begin of what came by a channel that nobody has verified."""

FIRST, END = "GET ", "GET!"
"""Between these, the second left out, are all keys: "!" follows the blank."""

OF_TMDB_ITSELF = tuple((f"{start}/", f"{start}0") for start in (START, UNVERIFIED_START))
"""Ranges, each without its end, of keys that nothing else than TMDB's own answers can have: "0" follows "/"."""

KEY_LENGTH = 512
"""Characters; a longer key keeps its beginning and ends in ``#`` and a SHA-256 digest of the whole."""

APPEND = "append_to_response"

_VALUE_SAFE = "/:,|!*()'$;@~?"
_START = re.compile(r"GET (?:(https?)://)?((?:\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]{1,5})?)(?=/+3/)")


class Parts(NamedTuple):
    """A key taken apart.

    Attributes:
        start: where the call goes, as :func:`start_of` gives it.
        scheme: the scheme that is in it; empty where there is none.
        place: host and port.
        path: the path.
        query: all that follows, with its question mark.
    """

    start: str
    scheme: str
    place: str
    path: str
    query: str

    @property
    def url(self) -> str:
        """The URL that has the key, where this does not end in a digest."""
        scheme = self.scheme or ("https" if self.place == HOST else "http")
        return f"{scheme}://{self.place}{self.path}{self.query}"


def is_of_tmdb(key: object) -> bool:
    """Say whether an ``_id``, which may be of any type, is the key of an answer of TMDB or of one of ``hosts``."""
    return type(key) is str and _START.match(key) is not None


def is_key_at(key: object, hosts: frozenset[str]) -> bool:
    """Say whether an ``_id``, which may be of any type, is the key of an answer of TMDB or of one of these hosts."""
    parts = parts_of(key) if type(key) is str else None
    target = None if parts is None else urls.split(parts.url)
    return target is not None and urls.is_tmdb(target, hosts)


def parts_of(key: str) -> Parts | None:
    """Take a key apart; None where it is none of ours."""
    found = _START.match(key)
    if found is None:
        return None
    rest = key[found.end() :]
    path = rest.partition("?")[0].partition("#")[0]
    return Parts(found[0], found[1] or "", found[2], path, rest[len(path) :])


def start_of(target: urls.Target, *, verified: bool) -> str:
    """Return how the key of a call begins: where it goes, and by which channel where that is not the usual one.

    Args:
        target: where it goes: to TMDB, or to one of ``hosts``.
        verified: whether the caller verifies the certificate of a server that has one.
    """
    is_verified = verified and target.scheme == "https"
    if urls.is_own(target):
        return START if is_verified else UNVERIFIED_START
    scheme = "https" if is_verified else "http"
    port = "" if target.port == urls.DEFAULT_PORTS[scheme] else f":{target.port}"
    return f"GET {'https://' if is_verified else ''}{target.host}{port}"


def starts_of(target: urls.Target) -> tuple[str, ...]:
    """Return how the keys of a host begin, by whatever channel its answers came."""
    usual = tuple(urls.DEFAULT_PORTS.values())
    ports = usual if target.port in usual else (target.port,)
    found = [target._replace(scheme=scheme, port=port) for scheme in ("https", "http") for port in ports]
    return tuple(dict.fromkeys(start_of(one, verified=True) for one in found))


def key_of_url(
    url: str | bytes, params: urls.Params = None, hosts: frozenset[str] = frozenset(), *, verified: bool = True
) -> str | None:
    """Return the key of a GET with these arguments, as given to ``requests.get``; None if it is not TMDB's."""
    return _key_of(urls.split_arguments(url, params), hosts, verified)


def key_of_prepared(
    url: str | bytes | None, hosts: frozenset[str] = frozenset(), *, verified: bool = True
) -> str | None:
    """Return the key of a prepared GET request's URL; None if it is not TMDB's."""
    return _key_of(urls.split(url), hosts, verified)


def keys_of_prepared(url: str | bytes | None, hosts: frozenset[str]) -> frozenset[str | None]:
    """Return the keys of a prepared GET request's URL for who verifies and for who does not; of None if not TMDB's."""
    return frozenset(key_of_prepared(url, hosts, verified=verified) for verified in (True, False))


def keys_of_url(url: str | bytes, params: urls.Params, hosts: frozenset[str]) -> tuple[str, ...]:
    """Return the keys of a GET with these arguments by every channel; none if it is not TMDB's."""
    target = urls.split_arguments(url, params)
    if target is None or not urls.is_tmdb(target, hosts):
        return ()
    return tuple(_key_at(start, target) for start in starts_of(target))


def _key_of(target: urls.Target | None, hosts: frozenset[str], verified: bool) -> str | None:
    if target is None or not urls.is_tmdb(target, hosts):
        return None
    return _key_at(start_of(target, verified=verified), target)


def _key_at(start: str, target: urls.Target) -> str:
    return make_key(start, target.path, query_part(target.query))


def make_key(start: str, path: str, query: str) -> str:
    """Make the key from what :func:`start_of` and :func:`query_part` give, and the path between them."""
    key = f"{start}{path}{query}"
    if len(key) <= KEY_LENGTH:
        return key
    digest = hashlib.sha256(key.encode()).hexdigest()
    return f"{key[: KEY_LENGTH - len(digest) - 1]}#{digest}"


def query_part(query: str) -> str:
    """Make the part of the key that comes from the query, as it is sent; with its question mark, unless it is empty.

    Params are sorted by name, repeats keep their order, and so do names that
    some server takes for one. Credentials are left out, and ``page=1``, which is
    the same answer as no page. An empty param
    stays, for no language is not an empty one, and so does the difference
    between ``language=`` and ``language``. The order of ``append_to_response``
    only changes the order of keys in the answer. ``language`` is neither
    dropped nor defaulted: on ``/images`` it filters.
    """
    kept = [
        (
            place_of(name),
            f"{quoted(name)}={quoted(_appended(value) if name == APPEND else value)}" if mark else quoted(name),
        )
        for name, mark, value in _items(query)
        if not secrets.is_credential(name)
    ]
    if all(item == "page=1" for place, item in kept if place == "page"):
        kept = [(place, item) for place, item in kept if place != "page"]
    kept.sort(key=lambda pair: pair[0])
    return "?" + "&".join(item for _, item in kept) if kept else ""


def place_of(name: str) -> str:
    """Return by what a param is put in its place among the others."""
    return folded(name) or name


def appended_parts(query: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Return what the query asks to append, sorted, without repeats, and without the blanks that no answer has."""
    parts = {part.strip() for name, value in query if name == APPEND for part in value.split(",")}
    return tuple(sorted(parts - {""}))


def _appended(value: str) -> str:
    """Write what is to be appended in one order and without repeats; blanks are part of a name for who does not trim.

    A value with an empty part stays as it is: of those some servers make no
    part, some a wrong one, and some drop them at the end alone.
    """
    parts = set(value.split(","))
    return value if "" in parts else ",".join(sorted(parts))


def _items(query: str) -> Iterator[tuple[str, str, str]]:
    """Give the names of a query, "=" where there is one, and the values, decoded."""
    for item in query.split("&"):
        if item:
            name, mark, value = item.partition("=")
            yield urls.decode(name), mark, urls.decode(value)


def quoted(text: str) -> str:
    """Write a name or a value as it is in keys."""
    if text.isascii() and text.replace("_", "").isalnum():
        return text
    return urls.escaped(text, _VALUE_SAFE)
