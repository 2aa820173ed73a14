"""The cache key of a call: readable, without credentials, the same for every spelling of the same request.

``GET api.themoviedb.org/3/movie/343611?language=de``

It starts with the destination. The sender of a response over an unverified
connection (plain http, or https with ``verify=False``) is not known, and a host
in ``hosts`` is not TMDB: each has entries of its own.

===================================  =================================================
``GET api.themoviedb.org/3/…``       TMDB, by either name of its host, verified
``GET http://api.themoviedb.org/…``  TMDB, not verified
``GET 127.0.0.1:4000/3/…``           a host in ``hosts``, not verified, as usual there
``GET https://127.0.0.1:4000/3/…``   such a host, verified
===================================  =================================================
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from . import urls
from .credentials import is_credential
from .hosts import HOST
from .normalization import folded

START = f"GET {HOST}"
"""The start of the keys of TMDB itself, verified; the path follows."""

UNVERIFIED_START = f"GET http://{HOST}"
"""The start of the keys of TMDB itself, not verified."""

FIRST, END = "GET ", "GET!"
"""All keys are between these, the second excluded: "!" follows the blank."""

OF_TMDB_ITSELF = tuple((f"{start}/", f"{start}0") for start in (START, UNVERIFIED_START))
"""Ranges, the end excluded, of all keys of TMDB itself: "0" follows "/"."""

KEY_LENGTH = 512
"""Characters; a longer key is truncated and ends in ``#`` and the SHA-256 digest of the whole."""

APPEND = "append_to_response"

_VALUE_SAFE = "/:,|!*()'$;@~?"
_START = re.compile(r"GET (?:(https?)://)?((?:\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]{1,5})?)(?=/+3/)")


class Parts(NamedTuple):
    """The parts of a key.

    Attributes:
        start: the start with the destination, as :func:`start_of` returns it.
        scheme: the scheme in it; empty where there is none.
        place: host and port.
        path: the path.
        query: the rest, with its question mark.
    """

    start: str
    scheme: str
    place: str
    path: str
    query: str

    @property
    def url(self) -> str:
        """The URL of the key, unless it ends in a digest."""
        scheme = self.scheme or ("https" if self.place == HOST else "http")
        return f"{scheme}://{self.place}{self.path}{self.query}"


def is_of_tmdb(key: object) -> bool:
    """Return whether an ``_id``, of any type, is the key of a response of TMDB or of any other host."""
    return type(key) is str and _START.match(key) is not None


def is_key_at(key: object, hosts: frozenset[str]) -> bool:
    """Return whether an ``_id``, of any type, is the key of a response of TMDB or of one of ``hosts``."""
    parts = parts_of(key) if type(key) is str else None
    target = None if parts is None else urls.split(parts.url)
    return target is not None and urls.is_tmdb(target, hosts)


def parts_of(key: str) -> Parts | None:
    """Split a key; None where it is not one."""
    found = _START.match(key)
    if found is None:
        return None
    rest = key[found.end() :]
    path = rest.partition("?")[0].partition("#")[0]
    return Parts(found[0], found[1] or "", found[2], path, rest[len(path) :])


def start_of(target: urls.Target, *, verified: bool) -> str:
    """Return the start of a call's key: its destination, and how it is connected where that is not the usual way.

    Args:
        target: the destination: TMDB, or one of ``hosts``.
        verified: whether the caller verifies certificates.
    """
    is_verified = verified and target.scheme == "https"
    if urls.is_own(target):
        return START if is_verified else UNVERIFIED_START
    scheme = "https" if is_verified else "http"
    port = "" if target.port == urls.DEFAULT_PORTS[scheme] else f":{target.port}"
    return f"GET {'https://' if is_verified else ''}{target.host}{port}"


def starts_of(target: urls.Target) -> tuple[str, ...]:
    """Return the starts of the keys of a host, over any kind of connection."""
    usual = tuple(urls.DEFAULT_PORTS.values())
    ports = usual if target.port in usual else (target.port,)
    found = [target._replace(scheme=scheme, port=port) for scheme in ("https", "http") for port in ports]
    return tuple(dict.fromkeys(start_of(one, verified=True) for one in found))


def key_of_url(
    url: str | bytes, params: urls.Params = None, hosts: frozenset[str] = frozenset(), *, verified: bool = True
) -> str | None:
    """Return the key of a GET with these arguments of ``requests.get``; None if it is not TMDB's."""
    return _key_of(urls.split_arguments(url, params), hosts, verified)


def key_of_prepared(
    url: str | bytes | None, hosts: frozenset[str] = frozenset(), *, verified: bool = True
) -> str | None:
    """Return the key of a prepared GET request's URL; None if it is not TMDB's."""
    return _key_of(urls.split(url), hosts, verified)


def keys_of_prepared(url: str | bytes | None, hosts: frozenset[str]) -> frozenset[str | None]:
    """Return the keys of a prepared GET request's URL, verified and not; of None if it is not TMDB's."""
    return frozenset(key_of_prepared(url, hosts, verified=verified) for verified in (True, False))


def keys_of_url(url: str | bytes, params: urls.Params, hosts: frozenset[str]) -> tuple[str, ...]:
    """Return the keys of a GET with these arguments over any kind of connection; none if it is not TMDB's."""
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
    """Return the key from the results of :func:`start_of` and :func:`query_part` and the path."""
    key = f"{start}{path}{query}"
    if len(key) <= KEY_LENGTH:
        return key
    digest = hashlib.sha256(key.encode()).hexdigest()
    return f"{key[: KEY_LENGTH - len(digest) - 1]}#{digest}"


def query_part(query: str) -> str:
    """Return the part of the key that comes from the query, with its question mark; empty without params.

    Params are sorted by name, repeats keep their order, and so do names that some
    servers treat as one. Credentials are left out, and ``page=1``, which gets the same
    response as no page. An empty param stays, because no language is not an empty one,
    and so does the difference between ``language=`` and ``language``. The order of
    ``append_to_response`` only changes the order of members in the response.
    ``language`` is neither dropped nor defaulted: of ``/images`` it is a filter.
    """
    items = [
        (
            place_of(name),
            f"{quoted(name)}={quoted(_appended(value) if name == APPEND else value)}" if mark else quoted(name),
        )
        for name, mark, value in _items(query)
        if not is_credential(name)
    ]
    if all(item == "page=1" for place, item in items if place == "page"):
        items = [(place, item) for place, item in items if place != "page"]
    items.sort(key=lambda pair: pair[0])
    return "?" + "&".join(item for _, item in items) if items else ""


def place_of(name: str) -> str:
    """Return the sort key of a param."""
    return folded(name) or name


def appended_parts(query: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Return the parts that a query appends: sorted, without repeats, blanks stripped as in the response."""
    parts = {part.strip() for name, value in query if name == APPEND for part in value.split(",")}
    return tuple(sorted(parts - {""}))


def _appended(value: str) -> str:
    """Return a value of ``append_to_response`` sorted and without repeats, blanks kept: not every server strips them.

    A value with an empty part stays as it is: servers differ in what they make of it.
    """
    parts = set(value.split(","))
    return value if "" in parts else ",".join(sorted(parts))


def _items(query: str) -> Iterator[tuple[str, str, str]]:
    """Yield the names of a query, "=" where there is one, and the values, decoded."""
    for item in query.split("&"):
        if item:
            name, mark, value = item.partition("=")
            yield urls.decode(name), mark, urls.decode(value)


def quoted(text: str) -> str:
    """Return a name or a value as it is written in keys."""
    if text.isascii() and text.replace("_", "").isalnum():
        return text
    return urls.escaped(text, _VALUE_SAFE)
