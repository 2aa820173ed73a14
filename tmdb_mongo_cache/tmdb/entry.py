"""The values that the rules speak of: what is kept, and what has just come in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, NamedTuple

# RFC 9110 section 8.8.3, its quotes not insisted on: entries come from a database that others may write to.
_SENDABLE = re.compile(r"[\x21-\x7e\x80-\xff]{1,1000}")


class Hop(NamedTuple):
    """One redirect on the way to an answer: an URL free of credentials, and what it said."""

    url: str
    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes


class Entry(NamedTuple):
    """An answer of TMDB as it is kept.

    All times are aware and in UTC. ``body`` holds the decoded bytes exactly as
    they came. ``validated_at`` is when TMDB last said that nothing had changed.
    ``url``, free of credentials, is there where the key does not tell it: after
    redirects, and when the key ends in a digest.
    """

    key: str
    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes
    timestamp: datetime
    expires_at: datetime
    purge_at: datetime
    tmdb_id: int | str | None = None
    media_type: str | None = None
    endpoint: str | None = None
    validated_at: datetime | None = None
    url: str | None = None
    history: tuple[Hop, ...] = ()

    @property
    def etag(self) -> str | None:
        """The validator TMDB sent along, if there is one that can be sent back."""
        found = header(self.headers, "etag")
        return found if found and _SENDABLE.fullmatch(found) else None

    def age(self, now: datetime) -> timedelta:
        """Return the time since TMDB sent or confirmed this answer; never negative."""
        return max(now - (self.validated_at or self.timestamp), timedelta(0))


class Reply(NamedTuple):
    """What came of a call to TMDB: an answer, or the error it ended in.

    ``native`` is the answer in the caller's own form (a ``requests.Response``).
    ``keepable`` is False for what is the caller's alone: an answer that must not
    be kept, a failure of its own proxy. ``of_a_user`` where something was sent
    on the way to it that may say who asks (a cookie that a redirect has set).
    ``verified`` where it came by https from who has the certificate for that
    host, ``led_verified`` where each redirect on the way to it did.
    ``credentials`` are what was sent in the end, by an adapter or after a redirect.
    """

    status: int = 0
    reason: str = ""
    headers: Mapping[str, str] = MappingProxyType({})
    body: bytes = b""
    native: Any = None
    url: str | None = None
    history: tuple[Hop, ...] = ()
    error: BaseException | None = None
    keepable: bool = True
    of_a_user: bool = False
    verified: bool = True
    led_verified: bool = True
    credentials: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return f"Reply(status={self.status}, keepable={self.keepable})"  # the rest is the caller's own


def header(headers: Mapping[str, str], name: str) -> str | None:
    """Return a header's value by its name in lower case, whatever case it came in."""
    value = headers.get(name)
    if value is not None:
        return value
    return next((item for key, item in headers.items() if key.lower() == name), None)
