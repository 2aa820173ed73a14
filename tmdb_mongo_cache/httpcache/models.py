"""Stored entries, and the outcome of a request."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, NamedTuple

# RFC 9110 section 8.8.3, without requiring the quotes: others may write to the database.
_SENDABLE = re.compile(r"[\x21-\x7e\x80-\xff]{1,1000}")


class Hop(NamedTuple):
    """A redirect on the way to a response; its URL is redacted."""

    url: str
    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes


class Entry(NamedTuple):
    """A stored response.

    All times are aware and in UTC. ``body`` holds the decoded bytes exactly as
    they came. ``validated_at`` is when TMDB last confirmed it with a 304.
    ``url``, redacted, is set where it cannot be told from the key: after
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
        """The response's ETag, if it can be sent in ``If-None-Match``."""
        found = header(self.headers, "etag")
        return found if found and _SENDABLE.fullmatch(found) else None

    def age(self, now: datetime) -> timedelta:
        """Return the time since TMDB sent or confirmed this response; never negative."""
        return max(now - (self.validated_at or self.timestamp), timedelta(0))


class Reply(NamedTuple):
    """The outcome of a request to TMDB: a response, or an error.

    ``native`` is the response in the caller's own form (a ``requests.Response``).
    ``storable`` is False for what concerns this caller only: a response that must not
    be stored, a failure of the caller's proxy. ``identifies_user`` is set where the
    request that was sent may identify a user (a cookie that a redirect has set).
    ``verified`` is set where the response came over https with a verified certificate,
    ``redirects_verified`` where each redirect did. ``credentials`` are those of the
    request as it was sent, by an adapter or after a redirect.
    """

    status: int = 0
    reason: str = ""
    headers: Mapping[str, str] = MappingProxyType({})
    body: bytes = b""
    native: Any = None
    url: str | None = None
    history: tuple[Hop, ...] = ()
    error: BaseException | None = None
    storable: bool = True
    identifies_user: bool = False
    verified: bool = True
    redirects_verified: bool = True
    credentials: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return f"Reply(status={self.status}, storable={self.storable})"  # the rest may be private


def header(headers: Mapping[str, str], name: str) -> str | None:
    """Return a header's value by its name in lower case, whatever case it came in."""
    value = headers.get(name)
    if value is not None:
        return value
    return next((item for key, item in headers.items() if key.lower() == name), None)
