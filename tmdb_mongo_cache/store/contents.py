"""What is in the collection, as far as it matters for its health: indexes, sizes, times, other people's documents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import pymongo
from pymongo import IndexModel
from pymongo.collection import Collection
from pymongo.errors import OperationFailure

from ..tmdb.expiration import LONGEST
from ..tmdb.keys import START
from .client import Connection
from .document import SCHEMA
from .indexes import INDEXES
from .leases import INDEX as LEASE_INDEX
from .leases import of as leases_of

_SCAN = 30.0
"""Seconds for what reads every document: a million of them takes some."""

_ONE = 5.0
_SLACK = timedelta(minutes=5)  # MongoDB deletes once a minute, and not at once where that is much
_CONFLICTS = (85, 86)  # IndexOptionsConflict, IndexKeySpecsConflict


class IndexCheck(NamedTuple):
    """One of our indexes that is not as it should be: ``missing`` or ``different``, and whether it is mended now."""

    collection: str
    name: str
    state: str
    mended: bool


class Sizes(NamedTuple):
    """A collection in numbers of documents and bytes."""

    documents: int
    data: int
    storage: int
    indexes: int


class Ages(NamedTuple):
    """Documents by what is wrong with their times and their schema; ``foreign`` ones are not TMDB's."""

    foreign: int
    too_old: int
    without_end: int
    overdue: int
    other_schema: int


class Contents:
    """Looks at what one cache has stored; every method may raise ``StoreError``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def check_indexes(self, *, mend: bool) -> tuple[IndexCheck, ...]:
        """Compare the indexes with ours, in the collections that exist, and make those that are not right."""
        found = []
        with self._connection.operation(bounded=False) as entries, pymongo.timeout(_SCAN):
            names = set(entries.database.list_collection_names(authorizedCollections=True))
            for collection, models in ((entries, INDEXES), (leases_of(entries), (LEASE_INDEX,))):
                if collection.name in names:
                    found += [*_wrong_indexes(collection, models, mend)]
        return tuple(found)

    def sizes(self) -> Sizes:
        """Return how much there is."""
        with self._connection.operation(bounded=False) as collection, pymongo.timeout(_ONE):
            said = collection.database.command("collStats", collection.name)
        fields = ("count", "size", "storageSize", "totalIndexSize")
        return Sizes(*(int(said.get(name, 0)) for name in fields))

    def ages(self, now: datetime) -> Ages | None:
        """Look at the times of all documents; None where that takes too long."""
        is_date = {name: {"$eq": [{"$type": f"${name}"}, "date"]} for name in ("timestamp", "purge_at")}
        has_key = {"$and": [{"$gte": ["$_id", f"{START}/"]}, {"$lt": ["$_id", f"{START}0"]}]}  # "0" follows "/"
        ours = {"$or": [{"$ne": [{"$type": "$schema"}, "missing"]}, has_key]}
        too_old = {"$or": [{"$not": [is_date["timestamp"]]}, {"$lte": ["$timestamp", now - LONGEST - _SLACK]}]}
        longest = int((LONGEST + _SLACK).total_seconds() * 1000)
        too_late = {"$gt": [{"$subtract": ["$purge_at", "$timestamp"]}, longest]}
        endless = {"$cond": [too_old, False, {"$cond": [is_date["purge_at"], too_late, True]}]}
        overdue = {"$and": [is_date["purge_at"], {"$lte": ["$purge_at", now - _SLACK]}]}
        other = {"$ne": ["$schema", SCHEMA]}
        counts = {"too_old": too_old, "without_end": endless, "overdue": overdue, "other_schema": other}
        group: dict[str, Any] = {"_id": None, "foreign": {"$sum": {"$cond": [ours, 0, 1]}}}
        group |= {name: {"$sum": {"$cond": [ours, {"$cond": [what, 1, 0]}, 0]}} for name, what in counts.items()}
        fields = {"timestamp": 1, "purge_at": 1, "schema": 1}
        with self._connection.operation(bounded=False) as collection, pymongo.timeout(_SCAN):
            try:
                said = next(iter(collection.aggregate([{"$project": fields}, {"$group": group}])), {})
            except OperationFailure as error:
                if error.timeout:
                    return None
                raise
        return Ages(*(int(said.get(name, 0)) for name in Ages._fields))


def _wrong_indexes(
    collection: Collection[dict[str, Any]], models: tuple[IndexModel, ...], mend: bool
) -> Iterator[IndexCheck]:
    there = [*collection.list_indexes()]
    for model in models:
        wanted = model.document
        if any(_works_as(wanted, one) for one in there):
            continue
        name = wanted["name"]
        # One with the same fields and other options cannot stand beside ours, mostly.
        in_the_way = [one["name"] for one in there if one["name"] == name or _key(one) == _key(wanted)]
        mended = mend and _make(collection, model, in_the_way)
        yield IndexCheck(collection.name, name, "different" if in_the_way else "missing", mended)


def _make(collection: Collection[dict[str, Any]], model: IndexModel, in_the_way: list[str]) -> bool:
    for attempt in range(2):
        try:
            collection.create_indexes([model])
        except OperationFailure as error:
            if error.timeout:
                raise
            if attempt or error.code not in _CONFLICTS:
                return False
            for name in in_the_way:
                collection.drop_index(name)
        else:
            return True
    return False


def _key(index: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(name, int(way) if isinstance(way, int | float) else way) for name, way in index["key"].items()]


def _works_as(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    return _key(wanted) == _key(found) and _options(wanted) == _options(found)


def _options(index: Mapping[str, Any]) -> dict[str, Any]:
    names = ("sparse", "unique", "expireAfterSeconds", "partialFilterExpression", "collation", "hidden")
    return {name: index[name] for name in names if index.get(name) is not None and index[name] is not False}
