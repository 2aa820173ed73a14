"""Queries for inspection: pages of entries, one document, keys of the same path."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

from ..httpcache.models import Entry
from .connection import Connection
from .document import CODEC, RAW, SCHEMA, UNREADABLE, EntryInfo, from_document, info_of, readable

SORTS: Mapping[str, tuple[str, int]] = {
    "key": ("_id", 1),
    "age": ("timestamp", -1),
    "expires": ("expires_at", 1),
    "size": ("size", 1),
}
"""By what entries may be sorted, the smallest first: the field, and its direction."""

MOST_NEAR = 20

# As much of a date as Python can hold; what is no date matches neither.
_A_DATE = {
    "$gte": datetime(1, 1, 2, tzinfo=timezone.utc),
    "$lt": datetime(9999, 12, 31, tzinfo=timezone.utc),
}
_ENTRIES: Mapping[str, Any] = {
    "schema": SCHEMA,
    "status": {"$in": [200, 404], "$type": ["int", "long"]},
    "timestamp": _A_DATE,
    "expires_at": _A_DATE,
    "purge_at": _A_DATE,
}
_SHOWN = dict.fromkeys((*_ENTRIES, "tmdb_id", "media_type", "endpoint"), 1)
# An error in one document would be one of the whole query: what is no body has no size.
_SIZE = {"$cond": [{"$eq": [{"$type": "$body"}, "binData"]}, {"$binarySize": "$body"}, None]}


class Stored(NamedTuple):
    """A document: the entry it holds (None where that cannot be read), and when the change feed made it stale."""

    entry: Entry | None
    changed_at: datetime | None


class Queries:
    """Queries one collection; every method may raise ``StoreError``.

    Documents that are no entries are passed over, before they are counted and
    before they are paged.

    Args:
        connection: to MongoDB.
    """

    def __init__(self, connection: Connection) -> None:
        self._operation = connection.operation

    def entries(
        self, query: Mapping[str, Any], *, sort: str = "key", reverse: bool = False, skip: int = 0, limit: int = 0
    ) -> Iterator[EntryInfo]:
        """List entries.

        Args:
            query: as :func:`matching` gives it.
            sort: one of :data:`SORTS`; what is equal is in the order of the keys.
            reverse: the other way round.
            skip: so many are passed over.
            limit: at most so many; 0 for all.
        """
        field, direction = SORTS[sort]
        order = {field: -direction if reverse else direction}
        by_size: list[Mapping[str, Any]] = [{"$match": query}, {"$project": {**_SHOWN, "size": _SIZE}}]
        stages: list[Mapping[str, Any]] = [*by_size, {"$sort": {**order, **({} if "_id" in order else {"_id": 1})}}]
        stages += [{"$skip": skip}] if skip else []
        stages += [{"$limit": limit}] if limit else []
        if field == "_id":
            stages = [stages[0], *stages[2:], stages[1]]  # by the index, and sizes of what is listed alone
        with self._operation(bounded=False) as collection:
            # Decoded one by one: a document that cannot be read is no entry, and hides no other.
            for raw in collection.with_options(codec_options=RAW).aggregate(stages, allowDiskUse=not limit):
                info = info_of(raw)
                if info is not None:
                    yield info

    def count(self, query: Mapping[str, Any]) -> int:
        """Return how many entries (or, of ``{}``, documents) there are."""
        with self._operation(bounded=False) as collection:
            return collection.count_documents(query)

    def get(self, key: str, *, bounded: bool = True) -> Stored | None:
        """Return what is stored under a key; bounded as the look-up of a call is."""
        with self._operation(bounded=bounded) as collection:
            try:
                found = collection.with_options(codec_options=CODEC).find_one({"_id": key}, {"data": 0})
            except UNREADABLE:
                return Stored(None, None)
        if found is None:
            return None
        changed = found.get("changed_at")
        return Stored(from_document(found, key), changed if isinstance(changed, datetime) else None)

    def same_path(self, path: str) -> list[str]:
        """Return keys that are equal up to their query; not more than :data:`MOST_NEAR`."""
        # "$" comes after "#", "@" after "?".
        ranges = [{"_id": path}, *({"_id": {"$gte": path + a, "$lt": path + b}} for a, b in (("#", "$"), ("?", "@")))]
        with self._operation(bounded=False) as collection:
            plain = collection.with_options(codec_options=RAW)
            found = plain.find({"$or": ranges, **_ENTRIES}, {"_id": 1}).sort("_id", 1).limit(MOST_NEAR)
            return [document["_id"] for document in readable(found)]


def matching(
    *,
    media_type: str | None = None,
    tmdb_id: int | str | None = None,
    endpoints: Iterable[str] | None = None,
    status: int | None = None,
    expired: bool | None = None,
    older_than: timedelta | None = None,
    newer_than: timedelta | None = None,
    now: datetime,
) -> dict[str, Any]:
    """Match entries by what is given; None matches all. Endpoints are templates, of which one is to be it."""
    wanted = {"media_type": media_type, "tmdb_id": tmdb_id}
    query: dict[str, Any] = {**_ENTRIES, **{name: value for name, value in wanted.items() if value is not None}}
    if endpoints is not None:
        query["endpoint"] = {"$in": list(endpoints)}
    if status is not None:
        query["status"] = {**_ENTRIES["status"], "$eq": status}
    if expired is not None:
        query["expires_at"] = {**_A_DATE, "$lte" if expired else "$gt": now}
    ages = [("$lte", older_than), ("$gt", newer_than)]
    query["timestamp"] = {**_A_DATE, **{sign: _before(now, age) for sign, age in ages if age is not None}}
    # By MongoDB's order of types this matches strings alone.
    query["_id"] = {"$gte": ""}
    return query


def _before(now: datetime, age: timedelta) -> datetime:
    try:
        return now - age
    except OverflowError:
        return _A_DATE["$gte"]
