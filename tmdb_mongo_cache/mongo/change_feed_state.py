"""How far the change feed was followed: stored in MongoDB, so that any machine can go on, and one at a time does.

A collection of its own, ``tmdb_cache_changes``::

    _id         "movie"                 done_until  every UTC day before this one is done
    _id         "movie 2026-11-22"      seen        a day that is not: [{at, ids, settled}, …]
    _id         "lease"                 owner       the cache that follows it now
                                        until       the lease's end, by the server's clock
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timezone
from typing import Any

from pymongo.errors import DuplicateKeyError

from ..tmdb.change_feed import Seen
from .command import Command, Commands, delete, find_one, runs, update

BESIDE = "_changes"
LEASE = 60.0
"""Seconds after which another process may go on for one that was killed."""

_LONG_AGO = datetime(1970, 1, 1, tzinfo=timezone.utc)


class FeedState:
    """How far the feed was followed; every method may raise ``StoreError``.

    Args:
        run: runs an operation; see :meth:`.mongo.connection.Connection.run`.
        owner: returns the name of this cache, unique among all processes.
    """

    def __init__(self, run: Callable[..., Any], owner: Callable[[], str]) -> None:
        self._run = run
        self._owner = owner

    @runs(bounded=False, writing=True)
    def acquire(self) -> Commands[bool]:
        """Acquire the lease, or go on having it; False where another process has it."""
        owner = self._owner()
        # $expr may not stand in the query of an upsert, so the document comes first.
        until = {"$ifNull": ["$until", _LONG_AGO]}
        # A lease never ends later than that: not written by a cache.
        is_free = [{"$lte": [until, "$$NOW"]}, {"$gt": [until, {"$add": ["$$NOW", int(2000 * LEASE)]}]}]
        query = {"_id": "lease", "$expr": {"$or": [*is_free, {"$eq": ["$owner", owner]}]}}
        longer = {"$set": {"owner": owner, "until": {"$add": ["$$NOW", int(LEASE * 1000)]}}}
        take = update(query, [longer], beside=BESIDE)
        if (yield take).get("n"):
            return True
        try:
            yield Command("insert", {"documents": [{"_id": "lease"}]}, BESIDE)
        except DuplicateKeyError:
            return False
        return bool((yield take).get("n"))

    @runs(bounded=False, writing=True)
    def release(self) -> Commands[None]:
        """Let the next process follow the feed at once."""
        yield update({"_id": "lease", "owner": self._owner()}, {"$unset": {"until": ""}}, beside=BESIDE)

    @runs(bounded=False)
    def done_until(self, kind: str) -> Commands[date | None]:
        """Return the day before which every day of a kind is done; None where its feed was never followed."""
        found = yield from find_one({"_id": kind}, beside=BESIDE)
        moment = (found or {}).get("done_until")
        return moment.date() if isinstance(moment, datetime) else None

    @runs(bounded=False)
    def seen(self, kind: str, day: date) -> Commands[tuple[Seen, ...]]:
        """Return what earlier readings of a day have noted down."""
        found = yield from find_one({"_id": f"{kind} {day.isoformat()}"}, beside=BESIDE)
        batches = (found or {}).get("seen")
        return tuple(filter(None, map(_seen_of, batches))) if isinstance(batches, list) else ()

    @runs(bounded=False, writing=True)
    def note(self, kind: str, day: date, seen: Sequence[Seen]) -> Commands[None]:
        """Note down what was seen of a day that is not done."""
        batches = [{"at": batch.at, "ids": list(batch.ids), "settled": batch.settled} for batch in seen]
        yield update({"_id": f"{kind} {day.isoformat()}"}, {"seen": batches}, upsert=True, beside=BESIDE)

    @runs(bounded=False, writing=True)
    def finish(self, kind: str, done_until: date) -> Commands[None]:
        """Note down that every day before this one is done."""
        moment = datetime(done_until.year, done_until.month, done_until.day, tzinfo=timezone.utc)
        yield update({"_id": kind}, {"done_until": moment}, upsert=True, beside=BESIDE)
        # ISO dates sort as days do.
        yield delete({"_id": {"$gte": f"{kind} ", "$lt": f"{kind} {done_until.isoformat()}"}}, beside=BESIDE)


def _seen_of(item: Any) -> Seen | None:
    """Return a note; None where it is malformed, and its ids are then seen again."""
    at, ids = (item.get("at"), item.get("ids")) if isinstance(item, Mapping) else (None, None)
    if not isinstance(at, datetime) or not isinstance(ids, list):
        return None
    return Seen(at, tuple(number for number in ids if isinstance(number, int)), bool(item.get("settled")))
