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
"""Bytes: who asks with more goes straight."""

# RFC 3986: what may stand in a path unescaped, besides letters, digits and "-._~".
_PATH_SAFE = "/!$&'()*+,;=:@"
_ANY = "".join(map(chr, range(128)))
_ESCAPE = re.compile("%[0-9A-Fa-f]{2}")
_NOT_SENT_AS_IT_IS = re.compile(r"[^A-Za-z0-9._~/!$&'()*+,;=:@-]")

# An URL that requests sends as it stands: nothing in it is escaped, resolved
# or refused on the way. Everything else is left to requests' own code.
_PLAIN_URL = re.compile(
    r"(https?)://([A-Za-z0-9.-]+)(?::([1-9][0-9]{0,4}))?"
    r"((?:/(?!\.)[A-Za-z0-9._~!$&'()*+,;=:@-]*)+)"
    r"(?:\?((?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*))?"
)
_PLAIN_QUERY = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*")

Params = Mapping[Any, Any] | Iterable[tuple[Any, Any]] | str | bytes | None
"""What requests takes for ``params``."""


class Target(NamedTuple):
    """The parts of an URL that decide anything here; path and query as they are sent, the port never None."""

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
    """Take a prepared URL apart; None when it has no host that could be TMDB's."""
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
    """Return a path as urllib3 writes it into the request line: escapes in capitals, and no more than there must be.

    A program may have given a prepared request any URL. Only where it is sent
    whole, to a proxy over http, dot segments are resolved there.
    """
    if _NOT_SENT_AS_IT_IS.search(path) is None:
        return path
    if path.count("%") != len(_ESCAPE.findall(path)):  # then none is one
        return escaped(path, _PATH_SAFE)
    return escaped(_ESCAPE.sub(lambda found: found[0].upper(), path), _PATH_SAFE + "%")


def escaped(text: str, safe: str) -> str:
    """Escape a text but for what is safe, bytes that were no UTF-8 as they were."""
    try:
        return quote(text, safe, errors="surrogateescape")
    except UnicodeEncodeError:  # half of a pair, which urllib3 sends nevertheless
        return quote(text, safe, errors="surrogatepass")


def split_arguments(url: str | bytes, params: Params = None) -> Target | None:
    """Take ``(url, params)`` apart as requests would send them, without preparing a request where it can.

    None when requests would refuse them.
    """
    extra = _plain_query(params)
    plain = None if extra is None else plain_url(url, extra)
    if plain is not None:
        return plain[1]
    prepared = PreparedRequest()
    try:
        # requests takes more than its type stubs say: bytes, None, lists of pairs.
        prepared.prepare_url(url, params)
    except (ValueError, TypeError, OSError):  # requests' own errors are OSErrors
        return None
    return split(prepared.url)


def why_straight(url: str) -> str:
    """Say why a call of an URL, as a prepared request has it, goes straight through; empty when it may be cached."""
    if not url.isprintable():  # of what stands there raw, requests leaves some out, and urllib3 escapes the rest
        return "characters in the URL that could mean another one"
    # What is no ASCII is escaped: three letters for a byte.
    is_long = len(url if url.isascii() else quote(url, _ANY, errors="surrogatepass")) > LONGEST_URL
    return f"its URL is longer than {LONGEST_URL} bytes" if is_long else ""


def encode(pairs: Iterable[tuple[str, str]]) -> str:
    """Write names and values as a query, as requests does.

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
    """Encode params as requests does; None when that is better left to requests."""
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
    """Say whether a call goes to TMDB: to a host of its own, or to one of ``hosts``.

    ``hosts`` holds ``host`` (any port) and ``host:port``, in lower case.
    """
    return is_own(target) or is_listed(target, hosts)


def is_own(target: Target) -> bool:
    """Say whether a call goes to TMDB itself: to a host of its own, at a port where those are."""
    return target.host in OWN_HOSTS and target.port in _OWN_PORTS


def is_listed(target: Target, hosts: frozenset[str]) -> bool:
    """Say whether a call goes to one of ``hosts``, as :func:`is_tmdb` has them."""
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
