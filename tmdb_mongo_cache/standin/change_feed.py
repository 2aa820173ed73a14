"""The feed of changes: which ids of a kind changed on which days (UTC).

A day has ids of its own: first what was changed here, the latest change first, then made-up ones, the same
in every range that is requested.
"""

import datetime as dt
import re
from functools import lru_cache
from typing import Any

from .catalog import SPAN, mix, scattered
from .messages import APIError

FEED = re.compile(r"/3/(movie|tv|person)/changes")
CHANGED = re.compile(r"/3/(movie|tv|person)/([0-9]{1,18})(/.*)?")
PAGES = {"movie": 68, "tv": 28, "person": 60}
ROWS = 100
LONGEST = 14
STRIDE = round(SPAN * 0.618034)  # keeps the rows of 15 days in a row apart, for up to 400 pages a day


def today() -> dt.date:
    """Return the day it is in UTC."""
    return dt.datetime.now(dt.timezone.utc).date()


class Feed:
    """The changes of each day; `pages` is how many pages of made-up ids a day has, by kind."""

    def __init__(self) -> None:
        self.pages = dict(PAGES)
        self._changed: dict[tuple[str, int], dict[int, None]] = {}

    def add(self, path: str, day: dt.date | None = None) -> None:
        """Enter what a path is about as changed on a day, today when it is None."""
        if match := CHANGED.fullmatch(path):
            ids = self._changed.setdefault((match[1], (day or today()).toordinal()), {})
            number = int(match[2])
            ids.pop(number, None)  # entered again, it becomes the latest
            ids[number] = None

    def reset(self) -> None:
        """Forget the changes, and have as many pages as at the start."""
        self.pages = dict(PAGES)
        self._changed.clear()

    def state(self, kind: str) -> tuple[int, int]:
        """Return what a response depends on besides its arguments and the changes: the day and the pages."""
        return today().toordinal(), self._size(kind)

    def content(self, kind: str, page: int, arguments: dict[str, str]) -> dict[str, Any]:
        """Return a page of the feed of a kind.

        Both days of a range are in it. Its made-up ids are those of its days up to `end_date`, which is counted
        in when it is today or the only day; without dates, for the last 24 hours, there is one day's worth.
        """
        now = today().toordinal()
        start, end = _range(arguments, now)
        changed = [self._changed.get((kind, day), {}) for day in range(end, start - 1, -1)]
        own = dict.fromkeys(number for ids in changed for number in reversed(ids))
        first = start if arguments.get("start_date") or arguments.get("end_date") else now
        last = min(end, now) if end >= now or start == end else end - 1
        days = range(first, last + 1)
        made_up = [number for day in days for number in ids_of(kind, day, self._size(kind)) if number not in own]
        ids = [*own, *made_up]
        shown = range(ROWS * (page - 1), min(ROWS * page, len(ids)))
        results = [_row(kind, ids[n], made_up=n >= len(own)) for n in shown]
        return {
            "results": results,
            "page": page,
            "total_pages": max(1, -(-len(ids) // ROWS)),
            "total_results": len(ids),
        }

    def _size(self, kind: str) -> int:
        """Return how many made-up ids a day has."""
        return ROWS * self.pages.get(kind, PAGES[kind])


def _range(arguments: dict[str, str], now: int) -> tuple[int, int]:
    """Return the first and the last requested day, as ordinals; TMDB reads no time of day."""
    try:
        end, start = (
            dt.date.fromisoformat(arguments[name][:10]).toordinal() if arguments.get(name) else None
            for name in ("end_date", "start_date")
        )
    except ValueError:
        raise APIError(5) from None
    end = now if end is None else end
    start = end - 1 if start is None else start
    if not 0 <= end - start <= LONGEST:
        raise APIError(20)
    return start, end


@lru_cache(maxsize=128)
def ids_of(kind: str, day: int, size: int) -> tuple[int, ...]:
    """Return the made-up ids of a day, given as an ordinal."""
    place = mix(kind, "changes") + day * STRIDE
    return tuple(99_999 + scattered(place + row) for row in range(size))


def _row(kind: str, number: int, made_up: bool) -> dict[str, Any]:
    """Return a row of the feed; as with TMDB some values are null, but never the id of what was changed here."""
    row: dict[str, Any] = {"id": number, "adult": False, "softcore": False}
    for name, seldom in (("id", 150), ("adult", 40), ("softcore", 60)):
        if mix(kind, number, name, "null") % seldom == 0 and (made_up or name != "id"):
            row[name] = None
    return row
