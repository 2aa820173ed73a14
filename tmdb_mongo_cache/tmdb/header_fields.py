"""Which header fields of an answer are kept: not those that speak of one exchange (RFC 9111 section 3.1).

A live answer keeps all its fields; what is stored, exported, recorded or served
again has only what speaks of the answer. Kept, though an edge has written it, is
what stays true of an answer and what caches pass on: ``Date`` (section 4.2.3 counts
the age from it), ``Age`` and ``Expires``, ``Via``, ``X-Cache`` and ``Cache-Status``
(the way it came; RFC 9211 has a cache add to that and not replace it), ``Alt-Svc``
and ``Strict-Transport-Security`` (they speak of the host, with a term of their
own), ``Server``, ``Vary``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Final

from .entry import Entry, header

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
        # The id under which a CDN's support finds one request, and the site that took it: of a hit there was
        # none, and where the machine is that fetched is nobody's business who shares the answer.
        *("x-amz-cf-id", "x-amz-cf-pop", "x-amz-id-2", "cf-ray", "x-served-by", "x-timer"),
        # A trace that has ended (W3C Trace Context, B3).
        *("traceparent", "tracestate", "traceresponse", "b3", "x-amzn-trace-id"),
        # How long one answer took to make.
        *("server-timing", "x-runtime", "x-response-time"),
        # Where to report troubles of one connection; the address carries a token of that (W3C Network Error Logging).
        *("nel", "report-to", "reporting-endpoints"),
    }
)
"""Fields about one request by their names; :data:`_KINDS` has those that are spelt in many ways."""

_KINDS = re.compile(r"ratelimit|retryafter|throttl|quota|(?:request|trace|correlation)id$")
"""What is left to one caller and when it may come again, and ids, in names without punctuation."""

_PUNCTUATION = re.compile(r"[-_.]")
_NONE_LEFT = re.compile(r"(?:^|[,;\s])(?:r|remaining)\s*=\s*\"?-?0+(?![0-9.])")
_ZERO = re.compile(r"(?:^|,)\s*\"?(?:0+|-[0-9]+)(?![0-9.])")


def is_of_one_exchange(name: str) -> bool:
    """Say whether a field of this name speaks of one exchange, in any spelling of the name."""
    lower = name.strip().lower()
    return lower in HOP_BY_HOP or lower in OF_ONE_REQUEST or bool(_KINDS.search(_folded(name)))


def storable(headers: Mapping[str, str]) -> Mapping[str, str]:
    """Return the fields of an answer that may be kept and served again."""
    names = tuple(headers)
    is_known = sum(map(len, names)) <= _LONGEST_KNOWN
    gone = _of_one_exchange(names) if is_known else _of_one_exchange.__wrapped__(names)
    if not gone:
        return headers  # as nearly always when it is served: whoever reads the headers of a hit comes by here
    connection = header(headers, "connection")
    named = {item.strip().lower() for item in connection.split(",")} if connection else ()
    return {name: value for name, value in headers.items() if not (name in gone or name.strip().lower() in named)}


_LONGEST_KNOWN = 2048
"""Characters of names that are not looked at anew each time."""


@lru_cache(maxsize=64)  # answers of one host have the same names
def _of_one_exchange(names: tuple[str, ...]) -> frozenset[str]:
    return frozenset(filter(is_of_one_exchange, names))


def without_exchange(entry: Entry) -> Entry:
    """Return an entry, which an older version or somebody else has written, with what may be kept of its headers."""
    history = tuple(hop._replace(headers=storable(hop.headers)) for hop in entry.history)
    return entry._replace(headers=storable(entry.headers), history=history)


def leaves_nothing(headers: Mapping[str, str]) -> bool:
    """Say whether an answer tells its caller to wait: that of the calls within a rate none is left.

    A program that obeys waits, asks for the same once more and looks whether it
    may go on; an answer from the cache would never say so.
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
