"""TMDB's change feed: which days to read, and which entries a change makes stale.

``/movie/changes``, ``/tv/changes`` and ``/person/changes`` list what was changed
on a UTC day, without the time, and each id once however often it was changed.
For some eight hours after a change TMDB's own caches may still send the old
response. So the entries about a changed title are made stale

1. as soon as the id is listed, whenever they were fetched;
2. again eight hours later, if they were fetched in between, possibly from TMDB's
   caches;
3. again eight hours after the end of the day, if they were fetched before that:
   the id may have been changed again, which the list does not show.

After that the day is done, and not read again.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, time, timedelta, timezone
from typing import Any, Final, NamedTuple

from ..httpcache.expiration import LONGEST

KINDS: Final = ("movie", "tv", "person")
"""The media types that have a feed."""

LAG: Final = timedelta(hours=8)
"""How long after a change TMDB's own caches may still send the old response."""

DAYS: Final = 14
"""How many days the feed is read back, including today."""

LAST_PAGE: Final = 500

_DOUBT = timedelta(days=3)


class Seen(NamedTuple):
    """Ids of a day that one reading listed first; ``settled`` once they were made stale for the second time."""

    at: datetime
    ids: tuple[int, ...]
    settled: bool = False


class Mark(NamedTuple):
    """Make entries about these ids stale that were fetched before a moment."""

    ids: tuple[int, ...]
    before: datetime


class Marks(NamedTuple):
    """The outcome of reading one day: what to make stale, and what to note after that.

    ``seen`` is the new note of the day; None where the day is done.
    """

    marks: tuple[Mark, ...]
    seen: tuple[Seen, ...] | None


class Window(NamedTuple):
    """The days to read, and the end of a gap.

    Entries that were fetched before ``unknown_before`` may have changed while the
    feed was not read: they are stale. None without such a gap.
    """

    days: tuple[date, ...]
    unknown_before: datetime | None


def window(done_until: date | None, oldest: datetime | None, now: datetime) -> Window:
    """Return the days to read.

    Args:
        done_until: every day before this one is done; None where the feed was never read.
        oldest: when the oldest entry was fetched; only used where the feed was never read. None without entries.
        now: the time, in UTC.
    """
    today = now.date()
    earliest = today - timedelta(days=DAYS - 1)
    begin = min(done_until or today, today)
    if done_until is None:
        begin = quiet_until(now if oldest is None else min(max(oldest, now - LONGEST), now))
    gap = begin < earliest
    first = max(begin, earliest)
    days = tuple(first + timedelta(days=number) for number in range((today - first).days + 1))
    return Window(days, _start(earliest) + LAG if gap else None)


def quiet_until(moment: datetime) -> date:
    """Return the first day whose changes a response fetched at a moment, or later, may not contain."""
    return (moment - LAG).date()


def is_over(day: date, now: datetime) -> bool:
    """Return whether a day ended so long ago that TMDB's caches have nothing from it."""
    return now >= _end(day) + LAG


def known_after(day: date, now: datetime) -> datetime:
    """Return since when a fetched response is sure to contain the changes of a day that are listed by now."""
    return _end(day) + LAG if is_over(day, now) else now


def marks(day: date, ids: Iterable[int], seen: tuple[Seen, ...], now: datetime, *, complete: bool = True) -> Marks:
    """Return what to make stale after reading a day of the feed.

    Args:
        day: the day.
        ids: the ids that its feed lists.
        seen: the note of earlier readings.
        now: when it was read.
        complete: False where reading ended half-way: the day is not done then.
    """
    known = {number for batch in seen for number in batch.ids}
    listed = dict.fromkeys(ids)
    if complete and is_over(day, now):
        everything = tuple(dict.fromkeys([*listed, *known]))
        # A day without changes is more likely an error of TMDB's list.
        trusted = bool(listed) or now >= _end(day) + _DOUBT
        return Marks((Mark(everything, known_after(day, now)),) if everything else (), None if trusted else seen)
    new = tuple(number for number in listed if number not in known)
    found = [Mark(new, known_after(day, now))] if new else []
    notes = []
    for batch in seen:
        due = not batch.settled and batch.at <= now - LAG
        if due:
            found.append(Mark(batch.ids, batch.at + LAG))
        notes.append(batch._replace(settled=batch.settled or due))
    if new:
        notes.append(Seen(now, new))
    return Marks(tuple(found), tuple(notes))


def ids_of(page: Any) -> tuple[list[int], int | None]:
    """Return the ids on a page of the feed, and the number of pages, if given.

    Rows without an id are skipped.

    Raises:
        ValueError: it is not a page of a feed.
    """
    rows = page.get("results") if isinstance(page, dict) else None
    if not isinstance(rows, list):
        raise ValueError("not a page of changes")
    total = page.get("total_pages")
    ids = [row.get("id") for row in rows if isinstance(row, dict)]
    found = [number for number in ids if isinstance(number, int) and number is not True and 0 < number < 2**63]
    return found, total if isinstance(total, int) and not isinstance(total, bool) else None


def params(day: date, page: int, *, alone: bool = False) -> dict[str, str]:
    """Return the params of a page of one day.

    ``end_date`` is the next day: whether TMDB includes it is not known, and reading
    too much is harmless. With ``alone`` it is the day itself, in case TMDB rejects a
    date in the future.
    """
    last = day if alone else day + timedelta(days=1)
    return {"start_date": day.isoformat(), "end_date": last.isoformat(), "page": str(page)}


def _start(day: date) -> datetime:
    return datetime.combine(day, time(), timezone.utc)


def _end(day: date) -> datetime:
    return _start(day + timedelta(days=1))
