"""How far the feed of changes was followed: kept in MongoDB, so that any machine may go on, and one at a time does.

A collection of its own, ``tmdb_cache_changes``::

    _id         "movie"                 done_until  every UTC day before this one is done
    _id         "movie 2026-11-22"      seen        a day that is not: [{at, ids, settled}, …]
    _id         "lease"                 owner       who is following it now
                                        until       the lease's end, by the server's clock
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timezone
from typing import Any

from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError

from ..tmdb.changes import Seen
from .indexes import Operation

LEASE = 60.0
"""Seconds after which another process may go on for one that was killed."""

_LONG_AGO = datetime(1970, 1, 1, tzinfo=timezone.utc)


class FeedState:
    """How far the feed was followed; every method may raise ``StoreError``.

    Args:
        operation: gives the collection of the entries for one operation.
        owner: says who follows it, unlike every other process and cache.
    """

    def __init__(self, operation: Operation, owner: Callable[[], str]) -> None:
        self._operation = operation
        self._owner = owner

    @contextmanager
    def _collection(self, *, writing: bool = False) -> Iterator[Collection[dict[str, Any]]]:
        with self._operation(bounded=False, writing=writing) as entries:
            yield beside(entries)

    def take(self) -> bool:
        """Take the lease, or go on having it; False where another process has it."""
        owner = self._owner()
        # $expr may not stand in the query of an upsert, so the document comes first.
        until = {"$ifNull": ["$until", _LONG_AGO]}
        # What ends later than any lease can is somebody's nonsense.
        is_free = [{"$lte": [until, "$$NOW"]}, {"$gt": [until, {"$add": ["$$NOW", int(2000 * LEASE)]}]}]
        query = {"_id": "lease", "$expr": {"$or": [*is_free, {"$eq": ["$owner", owner]}]}}
        longer = {"$set": {"owner": owner, "until": {"$add": ["$$NOW", int(LEASE * 1000)]}}}
        with self._collection(writing=True) as state:
            if state.update_one(query, [longer]).matched_count:
                return True
            try:
                state.insert_one({"_id": "lease"})
            except DuplicateKeyError:
                return False
            return state.update_one(query, [longer]).matched_count == 1

    def give_back(self) -> None:
        """Let the next process follow the feed at once."""
        with self._collection(writing=True) as state:
            state.update_one({"_id": "lease", "owner": self._owner()}, {"$unset": {"until": ""}})

    def done_until(self, kind: str) -> date | None:
        """Return the day before which every day of a kind is done; None where its feed was never followed."""
        with self._collection() as state:
            found = state.find_one({"_id": kind}) or {}
        moment = found.get("done_until")
        return moment.date() if isinstance(moment, datetime) else None

    def seen(self, kind: str, day: date) -> tuple[Seen, ...]:
        """Return what earlier readings of a day have noted down."""
        with self._collection() as state:
            found = state.find_one({"_id": f"{kind} {day.isoformat()}"}) or {}
        batches = found.get("seen")
        return tuple(filter(None, map(_seen_of, batches))) if isinstance(batches, list) else ()

    def note(self, kind: str, day: date, seen: Sequence[Seen]) -> None:
        """Note down what was seen of a day that is not done."""
        batches = [{"at": batch.at, "ids": list(batch.ids), "settled": batch.settled} for batch in seen]
        with self._collection(writing=True) as state:
            state.replace_one({"_id": f"{kind} {day.isoformat()}"}, {"seen": batches}, upsert=True)

    def finish(self, kind: str, done_until: date) -> None:
        """Note down that every day before this one is done."""
        moment = datetime(done_until.year, done_until.month, done_until.day, tzinfo=timezone.utc)
        with self._collection(writing=True) as state:
            state.replace_one({"_id": kind}, {"done_until": moment}, upsert=True)
            # ISO dates sort as days do.
            state.delete_many({"_id": {"$gte": f"{kind} ", "$lt": f"{kind} {done_until.isoformat()}"}})


def _seen_of(item: Any) -> Seen | None:
    """Return a note as it was written; None for what somebody else has made of it: its ids are then seen anew."""
    at, ids = (item.get("at"), item.get("ids")) if isinstance(item, Mapping) else (None, None)
    if not isinstance(at, datetime) or not isinstance(ids, list):
        return None
    return Seen(at, tuple(number for number in ids if isinstance(number, int)), bool(item.get("settled")))


def beside(entries: Collection[dict[str, Any]]) -> Collection[dict[str, Any]]:
    """Return the collection of the feed's state beside one of entries."""
    return entries.database.get_collection(f"{entries.name}_changes", codec_options=entries.codec_options)
