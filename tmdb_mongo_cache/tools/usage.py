"""What all processes and machines have saved: the sums of their counts, by day and by endpoint."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta, timezone
from typing import TYPE_CHECKING, NamedTuple

from ..errors import ConfigError
from ..stats import HITS, Count

if TYPE_CHECKING:
    from ..cache import TMDBCache


class Usage(NamedTuple):
    """Counts of calls, of all processes that share a cache.

    Attributes:
        memory: calls answered while fresh, from the memory of a process.
        mongodb: from MongoDB.
        reused: out of another answer that contained theirs.
        stale: after that, for TMDB failed or the settings allow it.
        revalidated: after TMDB said that nothing had changed (304).
        collapsed: by a call that another caller was just making.
        misses: by TMDB.
        failed: of those, where TMDB failed and there was nothing to stand in.
        straight: never the cache's business.
        unanswered: without an answer, for ``offline`` or ``only_if_cached`` forbade to call TMDB.
        background: calls that the cache made by itself; no part of ``calls``.
        bytes_saved: bodies (decoded) that did not have to be fetched.
        seconds_saved: what the calls saved would have taken, by the mean of those that were made to
            the same endpoint (to any, where there were none), less what their answers took; so it may be negative.
            0 as long as no call was made by whose time it could be told.
    """

    memory: int = 0
    mongodb: int = 0
    reused: int = 0
    stale: int = 0
    revalidated: int = 0
    collapsed: int = 0
    misses: int = 0
    failed: int = 0
    straight: int = 0
    unanswered: int = 0
    background: int = 0
    bytes_saved: int = 0
    seconds_saved: float = 0.0

    @property
    def hits(self) -> int:
        """Calls answered from the cache while fresh."""
        return self.memory + self.mongodb + self.reused

    @property
    def calls(self) -> int:
        """All calls to TMDB that programs made."""
        return self.hits + self.stale + self.revalidated + self.collapsed + self.misses + self.straight

    @property
    def calls_saved(self) -> int:
        """Calls that did not reach TMDB: hits, and those answered by another's call."""
        return self.hits + self.collapsed

    @property
    def hit_ratio(self) -> float:
        """The share of cacheable calls that did not need TMDB's answer, 0 to 1; 0 when there were none."""
        cacheable = self.calls - self.straight
        return (cacheable - self.misses) / cacheable if cacheable else 0.0


class UsageReport(NamedTuple):
    """What a cache was used for, and what it has saved.

    Attributes:
        total: everything in the time that was asked for.
        days: the same by day (UTC), every day from the first with a call to today, in order.
        endpoints: the same by endpoint (``/3/movie/{movie_id}``; ``other`` for what has none), most calls first.
    """

    total: Usage
    days: tuple[tuple[date, Usage], ...]
    endpoints: tuple[tuple[str, Usage], ...]

    def _repr_html_(self) -> str:
        """Return the report as tables, for notebooks."""
        from .html import of_report

        return of_report(self)


Key = tuple[date, str]
Counts = dict[Key, dict[str, Count]]


def usage(cache: TMDBCache, days: int) -> UsageReport:
    """Add up what all processes have counted; see :meth:`.methods.Tools.usage`."""
    if isinstance(days, bool) or not isinstance(days, int) or not 1 <= days <= 36500:
        raise ConfigError(f"days must be a number of days, from 1 to 36500, not {days!r}")
    if cache.recorder.summing is not None:
        cache.recorder.summing.add()
    today = datetime.now(timezone.utc).date()
    counts: Counts = {}
    # What a call takes is told by earlier days as well: a cache that is full makes hardly any.
    for day, endpoint, kind, count in cache._store.sums.since(date.fromordinal(1)):
        if day > today + timedelta(days=1):  # by no clock that is kept right
            continue
        kinds = counts.setdefault((day, endpoint), {})
        kinds[kind] = _sum((kinds.get(kind, _NONE), count))
    return report(counts, today, date.fromordinal(max(today.toordinal() - days + 1, 1)))


_NONE: Count = (0, 0, 0.0)


def report(counts: Counts, today: date, first: date = date.min) -> UsageReport:
    """Make the report of counts by day and endpoint, of the days from the first on."""
    mean = _mean_seconds(counts.values())
    means = {name: _mean_seconds(kinds for (_, other), kinds in counts.items() if other == name) for _, name in counts}
    rows = {key: _row(kinds, means[key[1]] or mean) for key, kinds in counts.items() if key[0] >= first}
    names = {name for _, name in rows}
    endpoints = [(name, _total(row for (_, other), row in rows.items() if other == name)) for name in names]
    endpoints.sort(key=lambda item: (-item[1].calls, item[0]))
    begin = min((day for day, _ in rows), default=None)
    days = []
    if begin is not None:
        for number in range((max(today, *(day for day, _ in rows)) - begin).days + 1):
            day = begin + timedelta(days=number)
            days.append((day, _total(row for (other, _), row in rows.items() if other == day)))
    return UsageReport(_total(rows.values()), tuple(days), tuple(item for item in endpoints if any(item[1])))


def _row(kinds: Mapping[str, Count], seconds_of_a_miss: float) -> Usage:
    count = {kind: number for kind, (number, _, _) in kinds.items()}
    saved = [kinds[kind] for kind in (*HITS, "collapsed") if kind in kinds]
    took = sum(seconds for _, _, seconds in saved)
    not_fetched = [kinds[kind] for kind in (*HITS, "collapsed", "stale", "revalidated") if kind in kinds]
    same = ("memory", "mongodb", "reused", "stale", "revalidated", "collapsed", "straight", "unanswered")
    return Usage(
        **{name: count.get(name, 0) for name in same},
        background=count.get("background", 0) + count.get("background_failed", 0),
        misses=count.get("miss", 0) + count.get("failed", 0),
        failed=count.get("failed", 0),
        bytes_saved=sum(size for _, size, _ in not_fetched),
        seconds_saved=sum(number for number, _, _ in saved) * seconds_of_a_miss - took if seconds_of_a_miss else 0.0,
    )


def _mean_seconds(found: Iterable[Mapping[str, Count]]) -> float:
    """Return what a call to TMDB took in the mean; 0 where there was none. Time-outs and the like do not count."""
    number, _, seconds = _sum(kinds.get(kind, _NONE) for kinds in found for kind in ("miss", "background"))
    return seconds / number if number else 0.0


def _sum(counts: Iterable[Count]) -> Count:
    number, size, seconds = 0, 0, 0.0
    for found in counts:
        number, size, seconds = number + found[0], size + found[1], seconds + found[2]
    return number, size, seconds


def _total(rows: Iterable[Usage]) -> Usage:
    columns = list(zip(*rows, strict=True))
    return Usage(*(sum(column) for column in columns)) if columns else Usage()
