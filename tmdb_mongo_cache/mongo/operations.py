"""What the flow does with stored entries, each operation once, as a generator of MongoDB commands."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from bson.raw_bson import RawBSONDocument
from pymongo.errors import DocumentTooLarge, OperationFailure

from ..httpcache.models import Entry
from ..tmdb.invalidation import Touched
from .command import Command, Commands, update
from .document import RAW, readable, to_bson
from .indexes import INDEXES, Indexes
from .invalidation import about, expire

_SEVERAL = 50
"""Keys that are returned at most: more variants of one call than any program makes."""

_UNAUTHORIZED = 13
_TOO_LARGE = 10334


class Operations:
    """The operations on the entries of one collection."""

    def __init__(self) -> None:
        self.indexes = Indexes(*INDEXES)

    def find_containing(self, first: str, end: str, pattern: str, now: datetime) -> Commands[list[str]]:
        """Find keys from one to before another that match a pattern and have a fresh entry.

        Those that are fresh longest come first; there are not more than fifty.
        """
        query = {"_id": {"$gte": first, "$lt": end, "$regex": pattern}, "expires_at": {"$gt": now}}
        fields = {"filter": query, "projection": {"_id": 1}, "sort": {"expires_at": -1}, "limit": _SEVERAL}
        reply = yield Command("find", {**fields, "singleBatch": True}, codec=RAW)
        return [document["_id"] for document in readable(reply["cursor"]["firstBatch"])]

    def store(self, entry: Entry, data: Any) -> Commands[bool]:
        """Store an entry in place of whatever its key held; False when it is too large for MongoDB."""
        # Encoded here, before the operation and its deadline begin.
        return self._store(entry, *to_bson(entry, data))

    def _store(self, entry: Entry, raw: RawBSONDocument | None, with_data: bool) -> Commands[bool]:
        if raw is None:
            return False
        yield from self.indexes.make()
        try:
            yield update({"_id": entry.key}, raw, upsert=True)
        except DocumentTooLarge:
            return False
        except OperationFailure as error:
            if error.code == _TOO_LARGE and not with_data:
                return False
            # The server nests less deeply than BSON, and older ones refuse "$" in names.
            bare, _ = to_bson(entry, None)
            if not with_data or bare is None or error.timeout or error.code == _UNAUTHORIZED:
                raise
            yield update({"_id": entry.key}, bare, upsert=True)
        return True

    def renew(self, entry: Entry) -> Commands[None]:
        """Write the times and headers of an entry that TMDB has confirmed; its body stays."""
        changes = {
            "expires_at": entry.expires_at,
            "purge_at": entry.purge_at,
            "validated_at": entry.validated_at,
            "headers": dict(entry.headers),
        }
        # Not onto a response that has been stored meanwhile.
        query = {"_id": entry.key, "timestamp": entry.timestamp}
        yield update(query, {"$set": changes, "$unset": {"changed_at": ""}})

    def mark_stale(self, touched: Sequence[Touched], now: datetime) -> Commands[int]:
        """Make stale what a write has touched; return how many entries that were."""
        return expire(self.indexes, about(touched), now)
