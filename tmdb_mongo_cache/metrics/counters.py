"""Counts of the calls of a process (``CacheStats``), and the event of a single one (``CacheEvent``)."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from time import time
from typing import NamedTuple

from ..fork import RenewedAfterFork
from ..formatting import bytes_text, html_table

HITS = ("memory", "mongodb", "reused")
"""The kinds of hits, by where the response was found."""

_FIELDS = {**dict.fromkeys(HITS, "hits"), "miss": "misses", "failed": "misses", "background_failed": "background"}
"""The kinds of counts that are not named as the field of :class:`CacheStats` that includes them."""

_SAVED = (*HITS, "stale", "revalidated", "collapsed")

OTHER = "other"
"""Replaces the endpoint of counts without one."""


class CacheStats(NamedTuple):
    """Counts of calls in this process since a cache was created.

    ``hits`` were served fresh from the cache (``memory_hits`` of them from the memory
    of this process), ``stale`` were served stale (TMDB failed, or the settings allow
    it), ``revalidated`` after a 304, ``misses`` by TMDB, ``collapsed`` by the
    concurrent call of another caller; ``straight`` bypassed the cache, ``unanswered``
    needed TMDB, which ``offline`` or ``only_if_cached`` forbid. ``background`` counts
    calls that the cache made by itself (refreshes in the background, ``warm``,
    ``refresh``), ``stored`` responses written, ``failures`` calls that failed at TMDB,
    ``store_errors`` operations that failed in MongoDB, ``bytes_saved`` the bodies
    (decoded) that were not fetched.
    """

    hits: int = 0
    stale: int = 0
    revalidated: int = 0
    misses: int = 0
    collapsed: int = 0
    straight: int = 0
    stored: int = 0
    failures: int = 0
    store_errors: int = 0
    memory_hits: int = 0
    unanswered: int = 0
    background: int = 0
    bytes_saved: int = 0

    @property
    def calls(self) -> int:
        """All calls to TMDB that the program made."""
        return self.hits + self.stale + self.revalidated + self.misses + self.collapsed + self.straight

    @property
    def hit_ratio(self) -> float:
        """The share of cacheable calls answered from the cache, 0 to 1; 0 if there were none."""
        cacheable = self.calls - self.straight
        return (cacheable - self.misses) / cacheable if cacheable else 0.0

    def rows(self) -> list[tuple[str, str]]:
        """Return the counts as names and texts, for display."""
        rows = [("calls", f"{self.calls}"), ("hit ratio", f"{self.hit_ratio:.0%}")]
        for name, value in self._asdict().items():
            rows.append((name.replace("_", " "), bytes_text(value) if name == "bytes_saved" else f"{value}"))
        return rows

    def _repr_html_(self) -> str:
        """Return the counts as a table, for notebooks."""
        return html_table("CacheStats", (), self.rows())


class CacheEvent(NamedTuple):
    """One call to TMDB and what the cache did with it; the argument of ``on_event``.

    Attributes:
        outcome: ``hit``, ``stale``, ``revalidated``, ``collapsed``, ``miss``, ``straight`` or
            ``unanswered``, with the meanings of :class:`CacheStats`.
        key: the key of the call, without credentials; empty for ``straight``.
        endpoint: like ``/3/movie/{movie_id}``; None for a path that is not in TMDB's API description.
        media_type: ``movie``, ``tv``, ``person``, …; None if the call is not about a single title or person.
        tmdb_id: the id of that.
        where: ``memory``, ``mongodb`` or ``reused`` for a response found in the cache, else empty.
        status: the HTTP status that the caller got; 0 if it got an exception.
        failed: whether TMDB failed (no connection, a timeout, 429, 5xx).
        background: whether the cache made the call by itself, without a waiting caller.
        seconds: the duration.
        size: bytes of the body (decoded), if known to the cache.
    """

    outcome: str
    key: str
    endpoint: str | None
    media_type: str | None
    tmdb_id: int | str | None
    where: str
    status: int
    failed: bool
    background: bool
    seconds: float
    size: int


Bucket = tuple[int, str, str]
"""A day (``date.toordinal()``, UTC), an endpoint, and a kind of count: what is counted together."""

Count = tuple[int, int, float]
"""The number of calls, their bytes and seconds."""

_EPOCH = 719163  # date(1970, 1, 1).toordinal()


class Counters(RenewedAfterFork):
    """The counts of one cache; thread-safe.

    A forked child continues from its parent's. Counts that were written to MongoDB
    are noted, so that each process writes its own counts, and only once.
    """

    def __init__(self) -> None:
        self._buckets: dict[Bucket, list[float]] = {}
        self._written: dict[Bucket, Count] = {}
        self._earlier: dict[str, list[float]] = {}
        self.after_fork()
        super().__init__()

    def after_fork(self) -> None:
        """Renew the lock in a forked child; the counts so far are written by the parent."""
        self._lock = threading.RLock()
        self._written = {bucket: _count(found) for bucket, found in self._buckets.items()}

    def add(self, kind: str) -> None:
        """Count one event without an endpoint; ``kind`` is a field of :class:`CacheStats`, or in :data:`_FIELDS`."""
        self.note(int(time() // 86400) + _EPOCH, OTHER, kind)

    def note(self, day: int, endpoint: str, kind: str, size: int = 0, seconds: float = 0.0) -> None:
        """Count one call; every hit does this."""
        with self._lock:
            found = self._buckets.get((day, endpoint, kind))
            if found is None:
                found = self._buckets[day, endpoint, kind] = [0, 0, 0.0]
            found[0] += 1
            found[1] += size
            found[2] += seconds

    def snapshot(self) -> CacheStats:
        """Return the current counts."""
        with self._lock:
            counts: dict[str, int] = {}
            for kind, (number, size, _) in self._all():
                field = _FIELDS.get(kind, kind)
                counts[field] = counts.get(field, 0) + int(number)
                if kind == "memory":
                    counts["memory_hits"] = counts.get("memory_hits", 0) + int(number)
                if kind in _SAVED:
                    counts["bytes_saved"] = counts.get("bytes_saved", 0) + int(size)
            return CacheStats(**counts)

    def _all(self) -> Iterator[tuple[str, list[float]]]:
        yield from self._earlier.items()
        for (_, _, kind), found in self._buckets.items():
            yield kind, found

    def unwritten(self) -> dict[Bucket, Count]:
        """Return the counts since the last :meth:`note_written`."""
        with self._lock:
            found = {}
            for bucket, (number, size, seconds) in self._buckets.items():
                before = self._written.get(bucket, (0, 0, 0.0))
                if number != before[0]:
                    found[bucket] = (int(number) - before[0], int(size) - before[1], seconds - before[2])
            return found

    def note_written(self, counts: Mapping[Bucket, Count]) -> None:
        """Note that these counts, as returned by :meth:`unwritten`, are in MongoDB."""
        with self._lock:
            for bucket, added in counts.items():
                before = self._written.get(bucket, (0, 0, 0.0))
                self._written[bucket] = (before[0] + added[0], before[1] + added[1], before[2] + added[2])
            self._merge_earlier_days()

    def _merge_earlier_days(self) -> None:
        """Merge earlier days, once written, into sums, because a process may run for years."""
        today = max((day for day, _, _ in self._buckets), default=0)
        for bucket in [bucket for bucket in self._buckets if bucket[0] < today - 1]:
            if self._written.get(bucket, (0,))[0] == self._buckets[bucket][0]:
                found, sums = self._buckets.pop(bucket), self._earlier.setdefault(bucket[2], [0, 0, 0.0])
                self._written.pop(bucket, None)
                for place, value in enumerate(found):
                    sums[place] += value


def _count(found: list[float]) -> Count:
    return int(found[0]), int(found[1]), found[2]
