"""What all processes have counted, added up in a collection beside the answers.

A document per day (UTC)::

    _id         "2026-11-22"
    endpoints   {"/3/movie/{movie_id}": {"memory": {n, bytes, seconds}, "miss": {…}, …}, …}
    updated_at  when somebody last added to it, by the server's clock
    schema      1
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from math import isfinite
from typing import Any

import pymongo
from bson.int64 import Int64
from pymongo.collection import Collection

from ..stats import Bucket, Count
from .document import CODEC
from .indexes import Operation

SCHEMA = 1


class Sums:
    """The sums of one cache's collection; every method may raise ``StoreError``.

    Args:
        operation: gives the collection of the entries, for one operation.
    """

    def __init__(self, operation: Operation) -> None:
        self._operation = operation

    def add(self, counts: Mapping[Bucket, Count], within: float | None = None) -> None:
        """Add counts: one ``$inc`` for each day.

        Args:
            counts: as :class:`~..stats.Counters` has them.
            within: seconds that it may take at most; None: ``store_timeout`` each.
        """
        days: dict[int, dict[str, float]] = {}
        for (day, endpoint, kind), (number, size, seconds) in counts.items():
            path, changes = f"endpoints.{endpoint}.{kind}", days.setdefault(day, {})
            for name, value in (("n", Int64(number)), ("bytes", Int64(size)), ("seconds", seconds)):
                changes[f"{path}.{name}"] = value
        with pymongo.timeout(within), self._operation(writing=True) as collection:
            for day, changes in sorted(days.items()):
                update = {"$inc": changes, "$set": {"schema": SCHEMA}, "$currentDate": {"updated_at": True}}
                beside(collection).update_one({"_id": date.fromordinal(day).isoformat()}, update, upsert=True)

    def since(self, first: date) -> Iterator[tuple[date, str, str, Count]]:
        """Give the sums from a day on: the day, the endpoint, the kind, and how many, bytes and seconds.

        What somebody else has written there and is no count is left out.
        """
        with self._operation(bounded=False) as collection:
            for document in beside(collection).find({"_id": {"$gte": first.isoformat()}}).sort("_id", 1):
                yield from _read(document)


def beside(collection: Collection[dict[str, Any]]) -> Collection[dict[str, Any]]:
    """Return the collection of the sums, beside that of the entries."""
    return collection.database.get_collection(f"{collection.name}_stats", codec_options=CODEC)


def _read(document: Mapping[str, Any]) -> Iterator[tuple[date, str, str, Count]]:
    try:
        day = date.fromisoformat(document["_id"])
    except (TypeError, ValueError):
        return
    for endpoint, kinds in _mapping(document.get("endpoints")):
        for kind, found in _mapping(kinds):
            count = dict(_mapping(found))
            number, size, seconds = (_number(count.get(name)) for name in ("n", "bytes", "seconds"))
            yield day, endpoint, kind, (int(number), int(size), seconds)


def _number(found: Any) -> float:
    return found if isinstance(found, int | float) and isfinite(found) and found > 0 else 0


def _mapping(found: Any) -> list[tuple[str, Any]]:
    return list(found.items()) if isinstance(found, Mapping) else []
