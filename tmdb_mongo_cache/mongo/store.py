"""The store: the entries of one collection, and everything beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from ..config import CacheConfig
from ..core import memory, recent_writes
from ..core.memory import Memory
from ..core.policy import SAME_TIME
from ..httpcache.expiration import LONGEST
from ..httpcache.models import Entry
from ..tmdb.cache_key import OF_TMDB_ITSELF
from ..tmdb.invalidation import Touched
from . import change_feed_state, leases
from .change_stream import Watcher
from .connection import Connection
from .document import SCHEMA, from_document
from .executor import beside
from .invalidation import Invalidation
from .operations import Operations
from .queries import Queries
from .stats import Statistics


class MongoStore:
    """The entries of one collection.

    Every method may raise :class:`~tmdb_mongo_cache.errors.StoreError`; a
    document that cannot be read as an entry is none, and no error. The memory tier,
    if there is one, forgets what other processes change.
    """

    def __init__(self, config: CacheConfig, tier: Memory | None = None) -> None:
        self.connection = Connection(config)
        self.run = run = self.connection.run
        self.operations = Operations()
        self.leases = own = leases.Leases(run)
        self._watcher = None if tier is None else Watcher(tier)
        self.queries = Queries(self.connection)
        self.invalidation = Invalidation(self.connection, self.operations.indexes)
        self.statistics = Statistics(self.connection)
        self.feed = change_feed_state.FeedState(run, lambda: own.owner)  # not self: the store would keep itself alive

    def find(self, key: str, *, probing: bool = False) -> Entry | None:
        """Look up one entry by its key; probing when no call waits for it."""
        document = self.connection.find(key, probing=probing)
        if self._watcher is not None and not self._watcher.begun:
            with self.connection.operation(bounded=False) as collection:
                self._watcher.begin(collection)
        return None if document is None else from_document(document, key)

    def mark_stale(self, touched: Sequence[Touched], now: datetime, *, probing: bool = False) -> int:
        """Make stale what a write has touched, in memory also where MongoDB fails; return how many entries were."""
        recent_writes.note(touched)
        try:
            return self.run(self.operations.mark_stale(touched, now), writing=True, probing=probing)
        finally:
            memory.forget_touched(touched)

    def delete(self, query: Mapping[str, Any]) -> int:
        """Delete what the query matches; return how many documents that were."""
        with self.connection.operation(bounded=False) as collection:
            return collection.delete_many(query).deleted_count

    def now(self) -> datetime:
        """Return the time by MongoDB's clock, which is the same for all machines."""
        with self.connection.operation(bounded=False) as collection:
            said = collection.database.command("hello").get("localTime")
        found: datetime = said if isinstance(said, datetime) else datetime.now(timezone.utc)
        return found if found.tzinfo else found.replace(tzinfo=timezone.utc)

    def fresh(self, keys: Sequence[str], now: datetime) -> set[str]:
        """Return those of the keys that have a fresh entry, in one query."""
        fetched = {"$gt": now - LONGEST, "$lte": now + SAME_TIME}
        query = {"_id": {"$in": list(keys)}, "expires_at": {"$gt": now}, "timestamp": fetched, "schema": SCHEMA}
        with self.connection.operation(bounded=False) as collection:
            return {document["_id"] for document in collection.find(query, {"_id": 1})}

    def check_writing(self) -> None:
        """Check that MongoDB accepts writes, by an update that matches nothing."""
        with self.connection.operation(bounded=False, writing=True) as collection:
            collection.update_one({"_id": ""}, {"$set": {"schema": SCHEMA}})

    def purge(self, now: datetime, *, everything: bool) -> int:
        """Delete TMDB's responses that are past ``purge_at``, or all of them; return how many that were."""
        ours: list[dict[str, Any]] = [{"_id": {"$gte": first, "$lt": end}} for first, end in OF_TMDB_ITSELF]
        ours.append({"schema": {"$exists": True}})
        query: dict[str, Any] = {"$or": ours}
        if not everything:
            late = [{"purge_at": {"$lte": now}}, {"timestamp": {"$lte": now - LONGEST}}]
            query = {"$and": [query, {"$or": [*late, {"timestamp": {"$not": {"$type": "date"}}}]}]}
        with self.connection.operation(bounded=False, writing=True) as collection:
            deleted = collection.delete_many(query).deleted_count
            if everything:
                for suffix in (leases.BESIDE, change_feed_state.BESIDE):
                    beside(collection, suffix).delete_many({})
        return deleted

    def oldest(self, media_type: str, now: datetime) -> datetime | None:
        """Return when the oldest entry about a kind of title was fetched; None where there is none."""
        lasting = {"$gt": now - LONGEST, "$lte": now}  # all others are expired, or invalid
        pipeline: list[Mapping[str, Any]] = [
            {"$match": {"media_type": media_type, "timestamp": lasting}},
            {"$group": {"_id": None, "at": {"$min": "$timestamp"}}},
        ]
        with self.connection.operation(bounded=False) as collection:
            found = next(iter(collection.aggregate(pipeline)), {}).get("at")
        return found if isinstance(found, datetime) else None

    def has(self, media_type: str) -> bool:
        """Say whether there is an entry about a kind of title."""
        with self.connection.operation(bounded=False) as collection:
            return collection.find_one({"media_type": media_type}, {"_id": 1}) is not None

    def close(self) -> None:
        """Close the connection; idempotent."""
        if self._watcher is not None:
            self._watcher.close()
        self.leases.close()
        self.connection.close()
