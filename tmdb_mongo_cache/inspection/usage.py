"""What the cache has saved: the counts of all processes and machines, by day and by endpoint."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta, timezone
from typing import TYPE_CHECKING, NamedTuple

from ..errors import ConfigError
from ..formatting import bytes_text, html_table, time_text
from ..metrics.counters import HITS, Count

if TYPE_CHECKING:
    from ..engine import Engine

_MOST_ROWS = 30


class Usage(NamedTuple):
    """Counts of calls, of all processes that share a cache.

    Attributes:
        memory: fresh hits in the memory of a process.
        mongodb: fresh hits in MongoDB.
        reused: fresh hits in another response that contained the one requested.
        stale: calls served stale, because TMDB failed or the settings allow it.
        revalidated: calls served after TMDB had revalidated the response (304).
        collapsed: calls coalesced with one in flight.
        misses: calls served by TMDB.
        failed: of those, calls for which TMDB failed and nothing could be served stale.
        straight: calls that bypassed the cache.
        unanswered: calls without a response, because of ``offline`` or ``only_if_cached``.
        background: calls that the cache made by itself; not part of ``calls``.
        bytes_saved: size of the (decoded) bodies that did not have to be fetched.
        seconds_saved: the time that the saved calls would have taken, by the mean of the calls made
            to the same endpoint (to any, if there were none), minus the time that serving them took: may be
            negative. 0 as long as no call has been timed.
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
        """Fresh hits."""
        return self.memory + self.mongodb + self.reused

    @property
    def calls(self) -> int:
        """All calls of programs."""
        return self.hits + self.stale + self.revalidated + self.collapsed + self.misses + self.straight

    @property
    def calls_saved(self) -> int:
        """Calls that did not reach TMDB: hits and coalesced calls."""
        return self.hits + self.collapsed

    @property
    def hit_ratio(self) -> float:
        """The share of cacheable calls that were served from the cache, 0 to 1; 0 if there were none."""
        cacheable = self.calls - self.straight
        return (cacheable - self.misses) / cacheable if cacheable else 0.0


class UsageReport(NamedTuple):
    """How a cache was used, and what it has saved.

    Attributes:
        total: all calls of the period.
        days: the same by day (UTC), every day from the first with a call to today, in order.
        endpoints: the same by endpoint (``/3/movie/{movie_id}``; ``other`` if it has none), most calls first.
    """

    total: Usage
    days: tuple[tuple[date, Usage], ...]
    endpoints: tuple[tuple[str, Usage], ...]

    def _repr_html_(self) -> str:
        """Return the report as tables, for notebooks."""
        total = self.total
        text = (
            f"<p>{total.calls_saved} of {total.calls} calls saved, {bytes_text(total.bytes_saved)} and "
            f"{time_text(max(total.seconds_saved, 0))}</p>"
        )
        heads = ("", "calls", "hits", "stale", "misses", "saved")
        days = [(f"{day}", *_cells(row)) for day, row in self.days[-_MOST_ROWS:]]
        endpoints = [(name, *_cells(row)) for name, row in self.endpoints[:_MOST_ROWS]]
        return text + html_table("By day", heads, days) + html_table("By endpoint", heads, endpoints)


def _cells(row: Usage) -> tuple[str, ...]:
    return (*map(str, (row.calls, row.hits, row.stale, row.misses)), time_text(max(row.seconds_saved, 0)))


Key = tuple[date, str]
Counts = dict[Key, dict[str, Count]]


def usage(engine: Engine, days: int) -> UsageReport:
    """Add up the counts of all processes; see :meth:`~tmdb_mongo_cache.TMDBCache.usage`."""
    if isinstance(days, bool) or not isinstance(days, int) or not 1 <= days <= 36500:
        raise ConfigError(f"days must be a number of days, from 1 to 36500, not {days!r}")
    if engine.recorder.flusher is not None:
        engine.recorder.flusher.flush()
    today = datetime.now(timezone.utc).date()
    counts: Counts = {}
    # The duration of calls is known from earlier days as well: a warm cache makes hardly any.
    for day, endpoint, kind, count in engine.store.statistics.since(date.fromordinal(1)):
        if day > today + timedelta(days=1):  # from a clock that is wrong
            continue
        kinds = counts.setdefault((day, endpoint), {})
        kinds[kind] = _sum((kinds.get(kind, _NONE), count))
    return report(counts, today, date.fromordinal(max(today.toordinal() - days + 1, 1)))


_NONE: Count = (0, 0, 0.0)


def report(counts: Counts, today: date, first: date = date.min) -> UsageReport:
    """Make the report of counts by day and endpoint, from the first day on."""
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
    served = [kinds[kind] for kind in (*HITS, "collapsed", "stale", "revalidated") if kind in kinds]
    same = ("memory", "mongodb", "reused", "stale", "revalidated", "collapsed", "straight", "unanswered")
    return Usage(
        **{name: count.get(name, 0) for name in same},
        background=count.get("background", 0) + count.get("background_failed", 0),
        misses=count.get("miss", 0) + count.get("failed", 0),
        failed=count.get("failed", 0),
        bytes_saved=sum(size for _, size, _ in served),
        seconds_saved=sum(number for number, _, _ in saved) * seconds_of_a_miss - took if seconds_of_a_miss else 0.0,
    )


def _mean_seconds(found: Iterable[Mapping[str, Count]]) -> float:
    """Return the mean duration of calls to TMDB; 0 if there were none. Failures do not count."""
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
