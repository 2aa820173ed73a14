"""The collection: indexes, sizes, times, documents of other programs; every function may raise ``StoreError``."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, NamedTuple

import pymongo
from pymongo.errors import OperationFailure

from ...httpcache.expiration import LONGEST
from ...tmdb.cache_key import OF_TMDB_ITSELF
from .. import leases
from ..connection import Connection
from ..document import SCHEMA
from ..executor import beside
from ..indexes import INDEXES
from .index_repair import IndexCheck, check
from .permissions import is_forbidden

_SCAN = 30.0
"""Seconds for queries that read every document."""

_ONE = 5.0
_SLACK = timedelta(minutes=5)  # MongoDB deletes once a minute, and not at once where that is much


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


def check_indexes(connection: Connection, *, repair: bool) -> tuple[IndexCheck, ...]:
    """Compare the indexes with ours, in the collections that exist, and make those that are not right."""
    found: list[IndexCheck] = []
    with connection.operation(bounded=False) as entries:
        with pymongo.timeout(_ONE):
            names = set(entries.database.list_collection_names(authorizedCollections=True))
        for collection, models in ((entries, INDEXES), (beside(entries, leases.BESIDE), (leases.INDEX,))):
            if collection.name in names:
                found += check(collection, models, repair=repair)
    return tuple(found)


def sizes(connection: Connection) -> Sizes | None:
    """Return how much there is; None where the user lacks the right."""
    with connection.operation(bounded=False) as collection, pymongo.timeout(_ONE):
        try:
            said = collection.database.command("collStats", collection.name)
        except OperationFailure as error:
            if not is_forbidden(error):
                raise
            return None
    fields = ("count", "size", "storageSize", "totalIndexSize")
    return Sizes(*(int(said.get(name, 0)) for name in fields))


def ages(connection: Connection, now: datetime) -> Ages | None:
    """Count documents with wrong times; None where that takes too long."""
    is_date = {name: {"$eq": [{"$type": f"${name}"}, "date"]} for name in ("timestamp", "purge_at")}
    has_key = [{"$and": [{"$gte": ["$_id", first]}, {"$lt": ["$_id", end]}]} for first, end in OF_TMDB_ITSELF]
    ours = {"$or": [{"$ne": [{"$type": "$schema"}, "missing"]}, *has_key]}
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
    with connection.operation(bounded=False) as collection, pymongo.timeout(_SCAN):
        try:
            said = next(iter(collection.aggregate([{"$project": fields}, {"$group": group}])), {})
        except OperationFailure as error:
            if error.timeout:
                return None
            raise
    return Ages(*(int(said.get(name, 0)) for name in Ages._fields))
