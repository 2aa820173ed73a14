"""The last gate: nothing is written, logged or told that has somebody's credential in it. Pure.

Three things come to it. A call: what is kept of one or said of one goes by its
key, so a call that may have a credential in it has none, and is made as if there
were no cache. An answer: what repeats a credential of the caller's, in whatever
spelling, is the caller's alone. A text for people: what looks like a credential
in it is left out (:func:`.secrets.redact`).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from .credentials import BY_NAME, BY_VALUE, looks_like_one
from .entry import Hop, Reply
from .secrets import mentions
from .spellings import LONGEST_KNOWN, contains, decoded, forget, sought

_MOST = 64
"""Credentials of one call: each is looked for in all of an answer, and nobody has as many cookies for TMDB."""


def why_straight(path: str, rest: str, credentials: frozenset[str]) -> str:
    """Say why nothing may be kept of a call; empty where its key can have no credential in it.

    Args:
        path: its path.
        rest: the names and values in its query that are no credentials of TMDB's.
        credentials: what it carries elsewhere.
    """
    is_known = len(path) + len(rest) + sum(map(len, credentials)) <= LONGEST_KNOWN
    return (_why_known if is_known else _why)(path, rest, credentials)


def _why(path: str, rest: str, credentials: frozenset[str]) -> str:
    if looks_like_one(path) or len(credentials) > _MOST:
        return BY_VALUE
    text, what = f"{path}\n{rest}", sought(credentials)
    low = decoded(text)  # letters of full width, too
    if decoded(low) != low:
        return BY_VALUE  # escaped more often than anybody does, so that nobody can tell
    return BY_NAME if contains(text, what) or contains(low, what) else ""


_why_known = lru_cache(maxsize=256)(_why)


def forget_calls() -> None:
    """Drop what is known of calls, and with it their credentials."""
    _why_known.cache_clear()
    forget()


def passes(reply: Reply, credentials: frozenset[str]) -> bool:
    """Say whether an answer, in the form in which it is to be kept, may be.

    Args:
        reply: the answer; what can be left out of it has been.
        credentials: the caller's.
    """
    what = sought(credentials)
    parts: list[Reply | Hop] = [reply, *reply.history]
    if any(contains("\n".join(_texts(part)), what) or mentions(part.reason, ()) for part in parts):
        return False
    return not any(contains(part.body, what) for part in parts)


def _texts(part: Reply | Hop) -> Iterator[str]:
    yield part.url or ""
    yield part.reason
    yield from part.headers
    yield from part.headers.values()
