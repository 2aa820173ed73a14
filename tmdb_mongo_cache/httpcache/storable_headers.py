"""Which header fields of a response are stored: not those about one exchange (RFC 9111 section 3.1).

A live response has all its fields; stored, exported, recorded and served entries have
only those about the response. Fields of an edge server are stored where they stay true
and caches pass them on: ``Date`` (the age is counted from it, section 4.2.3), ``Age``
and ``Expires``, ``Via``, ``X-Cache`` and ``Cache-Status`` (RFC 9211: a cache appends to
it), ``Alt-Svc`` and ``Strict-Transport-Security`` (about the host, with an expiry of
their own), ``Server``, ``Vary``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from .memoize import memoize, total_length
from .models import Entry, header

HOP_BY_HOP: Final = frozenset(
    {
        # Of one connection (RFC 9110 section 7.6.1), besides what Connection itself names.
        *("connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"),
        # Of the way through one proxy (RFC 9111 section 3.1).
        *("proxy-authenticate", "proxy-authentication-info"),
    }
)

OF_ONE_REQUEST: Final = frozenset(
    {
        # The id of a request at a CDN, and its site: a hit has none, and the location of the machine that
        # fetched the response is private to that machine.
        *("x-amz-cf-id", "x-amz-cf-pop", "x-amz-id-2", "cf-ray", "x-served-by", "x-timer"),
        # A trace that has ended (W3C Trace Context, B3).
        *("traceparent", "tracestate", "traceresponse", "b3", "x-amzn-trace-id"),
        # How long the response took.
        *("server-timing", "x-runtime", "x-response-time"),
        # Where to report errors of one connection, with a token of it (W3C Network Error Logging).
        *("nel", "report-to", "reporting-endpoints"),
    }
)
"""Fields about one request, by name; :data:`_KINDS` matches those with many spellings."""

_KINDS = re.compile(r"ratelimit|retryafter|throttl|quota|(?:request|trace|correlation)id$")
"""Rate limits of one caller, and ids of one request, in names without punctuation."""

_PUNCTUATION = re.compile(r"[-_.]")
_NONE_LEFT = re.compile(r"(?:^|[,;\s])(?:r|remaining)\s*=\s*\"?-?0+(?![0-9.])")
_ZERO = re.compile(r"(?:^|,)\s*\"?(?:0+|-[0-9]+)(?![0-9.])")


def is_per_exchange(name: str) -> bool:
    """Return whether a field of this name, in any spelling, is about one exchange."""
    lower = name.strip().lower()
    return lower in HOP_BY_HOP or lower in OF_ONE_REQUEST or bool(_KINDS.search(_folded(name)))


def storable(headers: Mapping[str, str]) -> Mapping[str, str]:
    """Return the header fields of a response that may be stored."""
    gone = _per_exchange(tuple(headers))
    if not gone:
        return headers  # usual for an entry; a program that reads the headers of a hit calls this
    connection = header(headers, "connection")
    named = {item.strip().lower() for item in connection.split(",")} if connection else ()
    return {name: value for name, value in headers.items() if not (name in gone or name.strip().lower() in named)}


@memoize(64, size=total_length)  # responses of one host have the same names
def _per_exchange(names: tuple[str, ...]) -> frozenset[str]:
    return frozenset(filter(is_per_exchange, names))


def with_storable_headers(entry: Entry) -> Entry:
    """Return an entry, which an older version may have written, with its storable headers only."""
    history = tuple(hop._replace(headers=storable(hop.headers)) for hop in entry.history)
    return entry._replace(headers=storable(entry.headers), history=history)


def exhausts_rate_limit(headers: Mapping[str, str]) -> bool:
    """Return whether a response tells its caller that no requests are left within its rate limit.

    Such a caller waits, sends the same request again and reads the limit from the
    response; with a cached one it would wait for ever.
    """
    return any(
        _NONE_LEFT.search(value) or ("remaining" in name and _ZERO.search(value)) for name, value in _rates(headers)
    )


def _rates(headers: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, value in headers.items():
        folded = _folded(name)
        if "ratelimit" in folded:
            yield folded, value.lower()


def _folded(name: str) -> str:
    return _PUNCTUATION.sub("", name.lower())
