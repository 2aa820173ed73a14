"""The last check before anything is stored, logged or shown: that it contains no credential.

A call whose key might contain one bypasses the cache, because everything stored
or logged of a call goes by its key. A response that repeats a credential of its
caller, in any spelling, is not stored. Texts for people are redacted by
:func:`.tmdb.redaction.redact`.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..httpcache.memoize import memoize, total_length
from ..httpcache.models import Hop, Reply
from .credentials import BY_NAME, BY_VALUE, looks_like_credential
from .redaction import mentions
from .secret_search import contains, decoded, needles_of

_MOST = 64
"""Credentials of one call: each is searched for in the whole response."""


def bypass_reason(path: str, rest: str, credentials: frozenset[str]) -> str:
    """Return why a call bypasses the cache; empty where its key cannot contain a credential.

    Args:
        path: its path.
        rest: names and values in its query other than TMDB's credentials.
        credentials: its credentials.
    """
    return _bypass_reason((path, rest, *credentials))


@memoize(256, size=total_length)
def _bypass_reason(texts: tuple[str, ...]) -> str:
    path, rest, *credentials = texts
    if looks_like_credential(path) or len(credentials) > _MOST:
        return BY_VALUE
    text, what = f"{path}\n{rest}", needles_of(credentials)
    low = decoded(text)  # full-width characters, too
    if decoded(low) != low:
        return BY_VALUE  # escaped too many times to be checked
    return BY_NAME if contains(text, what) or contains(low, what) else ""


def passes(reply: Reply, credentials: frozenset[str]) -> bool:
    """Return whether a response in its storable form contains none of the credentials.

    Args:
        reply: the response, redacted as far as possible.
        credentials: the caller's.
    """
    what = needles_of(credentials)
    parts: list[Reply | Hop] = [reply, *reply.history]
    if any(contains("\n".join(_texts(part)), what) or mentions(part.reason, ()) for part in parts):
        return False
    return not any(contains(part.body, what) for part in parts)


def _texts(part: Reply | Hop) -> Iterator[str]:
    yield part.url or ""
    yield part.reason
    yield from part.headers
    yield from part.headers.values()
