"""What all processes have counted, added up in a collection beside the entries.

A document per day (UTC)::

    _id         "2026-11-22"
    endpoints   {"/3/movie/{movie_id}": {"memory": {n, bytes, seconds}, "miss": {…}, …}, …}
    updated_at  when it was last added to, by the server's clock
    schema      1
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from math import isfinite
from typing import Any

import pymongo
from bson.int64 import Int64

from ..metrics.counters import Bucket, Count
from .command import Commands, update
from .connection import Connection
from .executor import beside

SCHEMA = 1
BESIDE = "_stats"


class Statistics:
    """The counts beside one cache's collection; every method may raise ``StoreError``.

    Args:
        connection: to MongoDB.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, counts: Mapping[Bucket, Count], within: float | None = None) -> None:
        """Add counts: one ``$inc`` for each day.

        Args:
            counts: as :class:`~.metrics.counters.Counters` has them.
            within: seconds that it may take at most; None: ``store_timeout`` each.
        """
        with pymongo.timeout(within):
            self._connection.run(_add(counts), writing=True)

    def since(self, first: date) -> Iterator[tuple[date, str, str, Count]]:
        """Yield the counts from a day on: the day, the endpoint, the kind, and how many, bytes and seconds.

        What is no count, because another program wrote it, is left out.
        """
        with self._connection.operation(bounded=False) as collection:
            for document in beside(collection, BESIDE).find({"_id": {"$gte": first.isoformat()}}).sort("_id", 1):
                yield from _read(document)


def _add(counts: Mapping[Bucket, Count]) -> Commands[None]:
    days: dict[int, dict[str, float]] = {}
    for (day, endpoint, kind), (number, size, seconds) in counts.items():
        path, changes = f"endpoints.{endpoint}.{kind}", days.setdefault(day, {})
        for name, value in (("n", Int64(number)), ("bytes", Int64(size)), ("seconds", seconds)):
            changes[f"{path}.{name}"] = value
    for day, changes in sorted(days.items()):
        added = {"$inc": changes, "$set": {"schema": SCHEMA}, "$currentDate": {"updated_at": True}}
        yield update({"_id": date.fromordinal(day).isoformat()}, added, upsert=True, beside=BESIDE)


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
