"""Which URLs are TMDB's, and how they are spelt when they are sent."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, quote_plus, unquote_plus, urlsplit

from requests import PreparedRequest

from .hosts import OWN_HOSTS

DEFAULT_PORTS = {"http": 80, "https": 443}
_OWN_PORTS = frozenset(DEFAULT_PORTS.values())

LONGEST_URL = 8192
"""Bytes: calls with longer URLs bypass the cache."""

# RFC 3986: what is allowed in a path unescaped, besides letters, digits and "-._~".
_PATH_SAFE = "/!$&'()*+,;=:@"
_ANY = "".join(map(chr, range(128)))
_ESCAPE = re.compile("%[0-9A-Fa-f]{2}")
_NOT_SENT_AS_IT_IS = re.compile(r"[^A-Za-z0-9._~/!$&'()*+,;=:@-]")

# An URL that requests sends unchanged: nothing is escaped, resolved or refused.
# Everything else is left to requests' own code.
_PLAIN_URL = re.compile(
    r"(https?)://([A-Za-z0-9.-]+)(?::([1-9][0-9]{0,4}))?"
    r"((?:/(?!\.)[A-Za-z0-9._~!$&'()*+,;=:@-]*)+)"
    r"(?:\?((?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*))?"
)
_PLAIN_QUERY = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*")

Params = Mapping[Any, Any] | Iterable[tuple[Any, Any]] | str | bytes | None
"""What requests accepts as ``params``."""


class Target(NamedTuple):
    """The parts of an URL; path and query as they are sent, the port never None."""

    scheme: str
    host: str
    port: int
    path: str
    query: str

    @property
    def url(self) -> str:
        """The URL, without user and fragment."""
        query = f"?{self.query}" if self.query else ""
        return f"{self.scheme}://{self.host}:{self.port}{self.path}{query}"


def split(url: str | bytes | None) -> Target | None:
    """Split a prepared URL; None where its host cannot be TMDB's."""
    if not url:
        return None
    text = url.decode("utf-8", "surrogateescape") if isinstance(url, bytes) else url
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname.rstrip(".")
    port = DEFAULT_PORTS[parts.scheme] if port is None else port
    return Target(parts.scheme, host, port, _sent_path(parts.path), parts.query)


def _sent_path(path: str) -> str:
    """Return a path as urllib3 sends it: escapes in capitals, and no more than necessary.

    A program may set any URL on a prepared request. urllib3 resolves dot segments only
    where it sends the whole URL, to a proxy over http.
    """
    if _NOT_SENT_AS_IT_IS.search(path) is None:
        return path
    if path.count("%") != len(_ESCAPE.findall(path)):  # then urllib3 escapes all of them
        return escaped(path, _PATH_SAFE)
    return escaped(_ESCAPE.sub(lambda found: found[0].upper(), path), _PATH_SAFE + "%")


def escaped(text: str, safe: str) -> str:
    """Escape a text except for safe characters; bytes that were not UTF-8 stay as they were."""
    try:
        return quote(text, safe, errors="surrogateescape")
    except UnicodeEncodeError:  # a lone surrogate, which urllib3 sends nevertheless
        return quote(text, safe, errors="surrogatepass")


def split_arguments(url: str | bytes, params: Params = None) -> Target | None:
    """Split the URL that requests sends for ``(url, params)``, without preparing a request where possible.

    None where requests would refuse them.
    """
    extra = _plain_query(params)
    plain = None if extra is None else plain_url(url, extra)
    if plain is not None:
        return plain[1]
    prepared = PreparedRequest()
    try:
        # requests accepts more than its type stubs say: bytes, None, lists of pairs.
        prepared.prepare_url(url, params)
    except (ValueError, TypeError, OSError):  # requests' errors are OSErrors
        return None
    return split(prepared.url)


def bypass_reason(url: str) -> str:
    """Return why a call bypasses the cache, by its prepared URL; empty where it may be cached."""
    if not url.isprintable():  # requests drops some of these, and urllib3 escapes the others
        return "characters in the URL that could mean another one"
    # Non-ASCII characters are escaped: three characters a byte.
    is_long = len(url if url.isascii() else quote(url, _ANY, errors="surrogatepass")) > LONGEST_URL
    return f"its URL is longer than {LONGEST_URL} bytes" if is_long else ""


def encode(pairs: Iterable[tuple[str, str]]) -> str:
    """Encode names and values as a query, as requests does.

    Raises:
        UnicodeEncodeError: a lone surrogate, which requests refuses too.
    """
    return "&".join([f"{quote_plus(name)}={quote_plus(value)}" for name, value in pairs])


def plain_url(url: str | bytes, extra: str) -> tuple[str, Target] | None:
    """Return the URL that requests sends for this one and an encoded query, and its parts.

    None where only requests itself can tell.
    """
    plain = _PLAIN_URL.fullmatch(url) if isinstance(url, str) else None
    if plain is None:
        return None
    scheme, host, port, path, query = plain.groups("")
    if extra:
        query = f"{query}&{extra}" if query else extra
    host = host.lower()  # as requests writes it
    sent = f"{scheme}://{host}:{port}{path}" if port else f"{scheme}://{host}{path}"
    target = Target(scheme, host.rstrip("."), int(port) if port else DEFAULT_PORTS[scheme], path, query)
    return (f"{sent}?{query}" if query else sent), target


def _plain_query(params: Params) -> str | None:
    """Encode params as requests does; None where that is better left to requests."""
    if params is None:
        return ""
    if isinstance(params, str):
        return params if _PLAIN_QUERY.fullmatch(params) else None
    try:
        encoded = PreparedRequest._encode_params(params)
    except (ValueError, TypeError, AttributeError):
        return None
    return encoded if isinstance(encoded, str) else None


def is_tmdb(target: Target, hosts: frozenset[str] = frozenset()) -> bool:
    """Return whether a target is TMDB: one of its own hosts, or one of ``hosts``.

    ``hosts`` has ``host`` (any port) and ``host:port``, in lower case.
    """
    return is_own(target) or is_listed(target, hosts)


def is_own(target: Target) -> bool:
    """Return whether a target is TMDB itself: one of its own hosts, at a default port."""
    return target.host in OWN_HOSTS and target.port in _OWN_PORTS


def is_listed(target: Target, hosts: frozenset[str]) -> bool:
    """Return whether a target is one of ``hosts``, see :func:`is_tmdb`."""
    return bool(hosts) and (target.host in hosts or f"{target.host}:{target.port}" in hosts)


def pairs(query: str) -> list[tuple[str, str]]:
    """Decode a query into names and values, in order; names without a value get an empty one.

    Bytes that are not UTF-8 survive as lone surrogates, so that two different
    queries never become one.
    """
    found = []
    for part in query.split("&"):
        if part:
            name, _, value = part.partition("=")
            found.append((decode(name), decode(value)))
    return found


def decode(text: str) -> str:
    """Decode a name or a value of a query."""
    if "%" not in text and "+" not in text:
        return text
    return unquote_plus(text, errors="surrogateescape")
