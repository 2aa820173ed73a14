"""TMDB's feed of changes: which days to read, and which entries a change makes stale. Pure.

``/movie/changes``, ``/tv/changes`` and ``/person/changes`` list what was changed
on a UTC day, without the time, and each id once however often it was changed.
After a change TMDB's own caches may give the old answer for some eight hours
more. So an entry about a changed title is made stale

1. as soon as the id is seen, whenever it was fetched;
2. once more eight hours after that, if it was fetched in between: it may have
   come out of TMDB's caches;
3. once more when its day is over for eight hours, if it was fetched before
   that: the id may have been changed again, which the list does not show.

After that the day is done, and not read again.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, time, timedelta, timezone
from typing import Any, Final, NamedTuple

from .expiration import LONGEST

KINDS: Final = ("movie", "tv", "person")
"""The media types that have a feed."""

LAG: Final = timedelta(hours=8)
"""How long after a change TMDB's own caches may still give the answer of before."""

DAYS: Final = 14
"""How many whole days back, today among them, the feed is read."""

LAST_PAGE: Final = 500

_DOUBT = timedelta(days=3)


class Seen(NamedTuple):
    """Ids of a day that one reading of the feed saw first; ``settled`` once the second look at them is over."""

    at: datetime
    ids: tuple[int, ...]
    settled: bool = False


class Mark(NamedTuple):
    """Make stale what is known of these ids and was fetched before a moment."""

    ids: tuple[int, ...]
    before: datetime


class Marks(NamedTuple):
    """What a reading of one day comes to: what to make stale, and what to note down after that.

    ``seen`` is what the day's note is to be; None where the day is done.
    """

    marks: tuple[Mark, ...]
    seen: tuple[Seen, ...] | None


class Window(NamedTuple):
    """The days to read, and since when nothing is known.

    Entries that were fetched before ``unknown_before`` may have been changed
    while nobody read the feed: they are stale. None where there is no such gap.
    """

    days: tuple[date, ...]
    unknown_before: datetime | None


def window(done_until: date | None, oldest: datetime | None, now: datetime) -> Window:
    """Return which days to read.

    Args:
        done_until: every day before this one is done; None where the feed was never read.
        oldest: when the oldest entry was fetched; only asked for where the feed was never read. None where
            there is no entry.
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
    """Return the first day whose changes an answer that was fetched at a moment, or later, may not have."""
    return (moment - LAG).date()


def is_over(day: date, now: datetime) -> bool:
    """Say whether a day is over for so long that TMDB's caches have nothing of it any more."""
    return now >= _end(day) + LAG


def known_after(day: date, now: datetime) -> datetime:
    """Return since when an answer that was fetched is sure to have all changes of a day that are known by now."""
    return _end(day) + LAG if is_over(day, now) else now


def marks(day: date, ids: Iterable[int], seen: tuple[Seen, ...], now: datetime, *, complete: bool = True) -> Marks:
    """Return what to make stale after a day of the feed was read.

    Args:
        day: the day.
        ids: what its feed lists.
        seen: what earlier readings noted down of it.
        now: when it was read.
        complete: False where reading ended half-way: the day is not done then.
    """
    known = {number for batch in seen for number in batch.ids}
    listed = dict.fromkeys(ids)
    if complete and is_over(day, now):
        everything = tuple(dict.fromkeys([*listed, *known]))
        # A day on which nothing was changed is more likely a list that TMDB has got wrong.
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
    """Return the ids on a page of the feed, and how many pages there are, if it says so.

    Rows without an id are left out.

    Raises:
        ValueError: it is no page of a feed.
    """
    rows = page.get("results") if isinstance(page, dict) else None
    if not isinstance(rows, list):
        raise ValueError("not a page of changes")
    total = page.get("total_pages")
    ids = [row.get("id") for row in rows if isinstance(row, dict)]
    found = [number for number in ids if isinstance(number, int) and number is not True and 0 < number < 2**63]
    return found, total if isinstance(total, int) and not isinstance(total, bool) else None


def params(day: date, page: int, *, alone: bool = False) -> dict[str, str]:
    """Return the params that ask for a page of one day.

    To the next day: whether TMDB's ``end_date`` counts itself is not known, and
    too much is read twice rather than too little once. ``alone`` ends with the
    day itself, should TMDB take no tomorrow.
    """
    last = day if alone else day + timedelta(days=1)
    return {"start_date": day.isoformat(), "end_date": last.isoformat(), "page": str(page)}


def _start(day: date) -> datetime:
    return datetime.combine(day, time(), timezone.utc)


def _end(day: date) -> datetime:
    return _start(day + timedelta(days=1))
