"""The result of a call."""

from __future__ import annotations

import math
from datetime import datetime
from typing import NamedTuple

from .cache_status import cache_status
from .models import Entry, Reply


class Result(NamedTuple):
    """What a call gets: an entry of the cache, or TMDB's own reply, or neither (``None`` twice).

    ``stored`` is the entry made of the reply, or confirmed by it, where MongoDB has it. A reply
    without ``native`` is another caller's, to be made a response of. ``kind`` is what it is
    counted as (an ``outcome`` of ``CacheEvent``), ``where`` the entry was found, and ``failed``
    says whether TMDB failed. ``status`` is empty where the entry was served as it was found.
    """

    now: datetime
    kind: str
    entry: Entry | None = None
    reply: Reply | None = None
    status: str = ""
    stored: Entry | None = None
    revalidated: bool = False
    offline: bool = False
    where: str = ""
    failed: bool = False

    def cache_status(self) -> str:
        """Return its Cache-Status; made when it is read, because few programs do."""
        if self.status or self.entry is None:
            return self.status
        return cache_status(hit=True, ttl=seconds_left(self.entry, self.now), detail=self.where)


_new_tuple = tuple.__new__  # in a third of the time that the class takes


def hit(entry: Entry, now: datetime, where: str) -> Result:
    """Return the result of a call that is answered with a fresh entry."""
    return _new_tuple(Result, (now, "hit", entry, None, "", None, False, False, where, False))


def seconds_left(entry: Entry, now: datetime) -> int:
    """Return the freshness left in whole seconds, negative when stale (RFC 9211 section 2.4)."""
    return math.floor((entry.expires_at - now).total_seconds())
