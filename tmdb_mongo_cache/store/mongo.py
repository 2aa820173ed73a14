"""Entries in MongoDB: look up, put, renew, invalidate."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from functools import partial
from typing import Any

from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.errors import (
    AutoReconnect,
    ConfigurationError,
    DocumentTooLarge,
    OperationFailure,
    PyMongoError,
    WriteError,
)

from ..config import CacheConfig
from ..tmdb.entry import Entry
from ..tmdb.expiration import LONGEST
from ..tmdb.keys import OF_TMDB_ITSELF
from ..tmdb.policy import SAME_TIME
from . import feed
from .client import Connection
from .copying import Copying
from .document import CODEC_OF_HITS, RAW, SCHEMA, UNREADABLE, from_document, readable, to_bson
from .indexes import INDEXES, Indexes
from .leases import Leases
from .leases import of as leases_of
from .listing import Listing
from .memory import Memory
from .staleness import Staleness
from .sums import Sums
from .watching import Watcher

logger = logging.getLogger("tmdb_mongo_cache")

_WITHOUT_DATA = {"data": 0}

# The retryable reads of MongoDB's specification: the server steps down, shuts down or is in between.
_REPEATED = frozenset({6, 7, 89, 91, 134, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436})
_SEVERAL = 50
"""Variants of one call that are looked at for an answer within an answer: more than any program makes."""


class MongoStore:
    """The entries of one collection.

    Every method may raise :class:`~tmdb_mongo_cache.errors.StoreError`; a
    document that is not what it should be is no error, it is no entry. A tier
    in memory, if there is one, is told of what others change.
    """

    def __init__(self, config: CacheConfig, memory: Memory | None = None) -> None:
        self.connection = Connection(config)
        self._writing = partial(self.connection.operation, writing=True)
        self.leases = Leases(self._writing)
        self._watcher = None if memory is None else Watcher(memory)
        self._indexes = Indexes(*INDEXES)
        self.listing = Listing(self.connection.operation)
        self.staleness = Staleness(self.connection.operation, self._indexes)
        self.copying = Copying(self.connection.operation, self._indexes)
        leases = self.leases  # not self: the store would keep itself alive
        self.sums = Sums(self.connection.operation)
        self.feed = feed.FeedState(self.connection.operation, lambda: leases.owner)
        self._find: _Finder | None = None

    def get(self, key: str, *, probing: bool = False) -> Entry | None:
        """Look up one entry by its key; probing when no call waits for it."""
        with self.connection.operation(probing=probing) as collection:
            try:
                find = self._find
                if find is None or find.collection is not collection:
                    find = self._find = _Finder(collection, self.connection)
                document = find(key)
            except PyMongoError:
                raise
            except UNREADABLE:
                return None
        if self._watcher is not None and not self._watcher.begun:
            self._watcher.begin(collection)
        return None if document is None else from_document(document, key)

    def put(self, entry: Entry, data: Any, *, probing: bool = False) -> bool:
        """Store an entry in place of whatever its key held; False when it is too large for MongoDB."""
        raw, with_data = to_bson(entry, data)
        if raw is None:
            return False
        with self._writing(probing=probing) as collection:
            self._indexes.make(collection)
            try:
                collection.replace_one({"_id": entry.key}, raw, upsert=True)
            except DocumentTooLarge:
                return False
            except (WriteError, OperationFailure) as error:
                # The server nests less deeply than BSON, and older ones refuse "$" in names.
                bare, _ = to_bson(entry, None)
                if not with_data or bare is None or error.timeout or error.code == 13:
                    raise
                collection.replace_one({"_id": entry.key}, bare, upsert=True)
        return True

    def renew(self, entry: Entry, *, probing: bool = False) -> None:
        """Write the times and headers of an entry that TMDB has confirmed; its answer stays."""
        changes = {
            "expires_at": entry.expires_at,
            "purge_at": entry.purge_at,
            "validated_at": entry.validated_at,
            "headers": dict(entry.headers),
        }
        with self._writing(probing=probing) as collection:
            # Not onto an answer that somebody has fetched meanwhile.
            query = {"_id": entry.key, "timestamp": entry.timestamp}
            collection.update_one(query, {"$set": changes, "$unset": {"changed_at": ""}})

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
        """Find out whether MongoDB takes answers at all, by an update of nothing; raises where it does not."""
        with self._writing(bounded=False) as collection:
            collection.update_one({"_id": ""}, {"$set": {"schema": SCHEMA}})

    def purge(self, now: datetime, *, everything: bool) -> int:
        """Delete TMDB's answers that are past their time, or all of them; return how many that were."""
        ours: list[dict[str, Any]] = [{"_id": {"$gte": first, "$lt": end}} for first, end in OF_TMDB_ITSELF]
        ours.append({"schema": {"$exists": True}})
        query: dict[str, Any] = {"$or": ours}
        if not everything:
            late = [{"purge_at": {"$lte": now}}, {"timestamp": {"$lte": now - LONGEST}}]
            query = {"$and": [query, {"$or": [*late, {"timestamp": {"$not": {"$type": "date"}}}]}]}
        with self.connection.operation(bounded=False, writing=True) as collection:
            deleted = collection.delete_many(query).deleted_count
            if everything:
                leases_of(collection).delete_many({})
                feed.beside(collection).delete_many({})
        return deleted

    def oldest(self, media_type: str, now: datetime) -> datetime | None:
        """Return when the oldest entry about a kind of title was fetched; None where there is none."""
        lasting = {"$gt": now - LONGEST, "$lte": now}  # all others are gone, or nonsense
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

    def keys_between(self, first: str, end: str, pattern: str, now: datetime) -> list[str]:
        """Return keys from one to before another that match a pattern and have a fresh entry.

        Those that are fresh longest come first; there are not more than fifty.
        """
        query = {"_id": {"$gte": first, "$lt": end, "$regex": pattern}, "expires_at": {"$gt": now}}
        with self.connection.operation() as collection:
            found = collection.with_options(codec_options=RAW).find(query, {"_id": 1})
            return [document["_id"] for document in readable(found.sort("expires_at", -1).limit(_SEVERAL))]

    def close(self) -> None:
        """Close the connection; idempotent."""
        if self._watcher is not None:
            self._watcher.close()
        self.leases.close()
        self.connection.close()


class _Finder:
    """``find_one`` by a key in one collection, by the command itself and with sessions that are used again.

    Without a cursor and a new session each time it takes a sixth less.
    """

    def __init__(self, collection: Collection[dict[str, Any]], connection: Connection) -> None:
        self.collection = collection
        self._connection = connection
        self._run: Any = collection.database.command
        self._options = {"codec_options": CODEC_OF_HITS, "read_preference": collection.read_preference}
        self._command: dict[str, Any] = {"find": collection.name, "filter": {}, "projection": _WITHOUT_DATA}
        self._command |= {"limit": 1, "singleBatch": True}
        if collection.read_concern.level is not None:
            self._command["readConcern"] = collection.read_concern.document
        self._idle: deque[ClientSession] = deque()
        self._has_sessions = True

    def __call__(self, key: str) -> Any:
        session = self._session()
        try:
            answer = self._run({**self._command, "filter": {"_id": key}}, session=session, **self._options)
        except (AutoReconnect, OperationFailure) as error:
            if error.timeout or (isinstance(error, OperationFailure) and error.code not in _REPEATED):
                raise
            # Unlike find_one a command is not repeated when a connection breaks or a server steps down.
            if not self._connection.is_back():
                raise
            return self.collection.find_one({"_id": key}, _WITHOUT_DATA)
        else:
            if session is not None:
                self._idle.append(session)
                session = None  # nothing is to be ended
        finally:
            if session is not None:
                session.end_session()
        batch = answer["cursor"]["firstBatch"]
        return batch[0] if batch else None

    def _session(self) -> ClientSession | None:
        """Return a session that nobody uses; None where the server has none."""
        try:
            return self._idle.pop()
        except IndexError:
            if not self._has_sessions:
                return None
        try:
            return self.collection.database.client.start_session(causal_consistency=False)
        except ConfigurationError:
            self._has_sessions = False
            return None
