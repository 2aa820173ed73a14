"""Reads and writes many entries at once, for export and import."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, NamedTuple
from uuid import UUID

import bson
from bson.raw_bson import RawBSONDocument
from pymongo import InsertOne, ReplaceOne
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError, DocumentTooLarge, OperationFailure

from ..httpcache.models import Entry
from ..httpcache.storable_headers import with_storable_headers
from ..tmdb.cache_key import END, FIRST
from .document import CODEC, LARGEST, RAW, SCHEMA, UNREADABLE, checksum, from_document, to_bson
from .executor import execute
from .store import MongoStore

_DUPLICATE_KEY = 11000
_UNAUTHORIZED = 13
_CODEC: Any = CODEC
_TIMES = {"timestamp": 1, "validated_at": 1, "schema": 1, "purge_at": 1}


class Copy(NamedTuple):
    """An entry, and when the change feed made it stale."""

    entry: Entry
    changed_at: datetime | None = None

    @property
    def fetched(self) -> datetime:
        """When TMDB sent or last confirmed the response."""
        return max(self.entry.validated_at or self.entry.timestamp, self.entry.timestamp)


class Seen(NamedTuple):
    """What is there under a key: its times exactly as they are, and when TMDB sent or confirmed the response."""

    times: Mapping[str, Any]
    fetched: datetime | None
    purge_at: datetime | None


class Item(NamedTuple):
    """A document to write: in full, without ``data``, and in place of what."""

    key: str
    raw: RawBSONDocument
    bare: RawBSONDocument
    seen: Seen | None

    def operation(self, raw: RawBSONDocument) -> Any:
        """Write it, unless another process has written since it was seen."""
        if self.seen is None:
            return InsertOne(raw)
        return ReplaceOne({"_id": self.key, **self.seen.times}, raw)


class BulkAccess:
    """Reads and writes many entries of one collection; every method may raise ``StoreError``."""

    def __init__(self, store: MongoStore) -> None:
        self._operation = store.connection.operation
        self._indexes = store.operations.indexes

    def read(self, after: str | None = None, media_type: str | None = None) -> Iterator[Copy]:
        """Read TMDB's responses in the order of their keys, without those that cannot be read.

        Args:
            after: the key behind which to begin.
            media_type: only of this type.
        """
        query: dict[str, Any] = {**_between(after), "schema": SCHEMA}
        if media_type is not None:
            query["media_type"] = media_type
        with self._operation(bounded=False) as collection:
            # By this index: with another one MongoDB would sort the responses in memory.
            found = collection.with_options(codec_options=RAW).find(query, {"data": 0})
            for raw in found.sort("_id", 1).hint("_id_"):
                copy = _copy_of(raw)
                if copy is not None:
                    yield copy

    def count(self, media_type: str | None = None) -> int:
        """Return about how many :meth:`read` gives."""
        query = _between(None) if media_type is None else {"media_type": media_type}
        with self._operation(bounded=False) as collection:
            return collection.count_documents(query)

    def identity(self) -> str | None:
        """Return what MongoDB calls the collection, unlike any other on any server: a UUID, until it is dropped.

        None where there is no collection yet, and where MongoDB does not tell.
        """
        with self._operation(bounded=False) as collection:
            try:
                found = next(iter(collection.database.list_collections(filter={"name": collection.name})), {})
            except OperationFailure as error:
                if error.timeout or error.code != _UNAUTHORIZED:
                    raise
                return None
        named = found.get("info", {}).get("uuid")
        return UUID(bytes=bytes(named)).hex if isinstance(named, bytes) else getattr(named, "hex", None)

    def seen(self, keys: Sequence[str]) -> dict[str, Seen]:
        """Say what is there under some keys."""
        with self._operation(bounded=False) as collection:
            raw = collection.with_options(codec_options=RAW).find({"_id": {"$in": list(keys)}}, _TIMES)
            return {key: seen for key, seen in map(_seen_of, raw) if key is not None}

    def write(self, items: Sequence[Item]) -> int:
        """Write documents; return how many. Nothing is written where another process has written since."""
        if not items:
            return 0
        with self._operation(bounded=False, writing=True) as collection:
            execute(self._indexes.make(), collection)
            count, again = 0, items
            try:
                done = collection.bulk_write([item.operation(item.raw) for item in items], ordered=False)
                return done.inserted_count + done.matched_count
            except BulkWriteError as error:
                details = error.details
                if details.get("writeConcernErrors"):
                    raise
                count = int(details["nInserted"]) + int(details["nMatched"])
                failed = [one for one in details["writeErrors"] if one["code"] != _DUPLICATE_KEY]
                again = [items[one["index"]] for one in failed]
            except (DocumentTooLarge, OperationFailure) as error:
                if isinstance(error, OperationFailure) and (error.timeout or error.code == _UNAUTHORIZED):
                    raise
            return count + sum(_write_one(collection, item) for item in again)


def _write_one(collection: Collection[dict[str, Any]], item: Item) -> int:
    """Write one document, as the flow does: without ``data`` where MongoDB does not take it with it."""
    try:
        return _write_as(collection, item, item.raw)
    except OperationFailure as error:
        # Of many writes, which have a code each, or of the command.
        codes = {one["code"] for one in (error.details or {}).get("writeErrors", [{"code": error.code}])}
        if item.bare is item.raw or error.timeout or not codes or _UNAUTHORIZED in codes:
            raise
    return _write_as(collection, item, item.bare)


def _write_as(collection: Collection[dict[str, Any]], item: Item, raw: RawBSONDocument) -> int:
    """Write one document in one of its forms; 0 where another process has been faster."""
    try:
        done = collection.bulk_write([item.operation(raw)])
    except BulkWriteError as error:
        if [one["code"] for one in error.details["writeErrors"]] == [_DUPLICATE_KEY]:
            return 0
        raise
    return done.inserted_count + done.matched_count


def _between(after: str | None) -> dict[str, Any]:
    first = {"$gte": FIRST} if after is None else {"$gt": after}
    return {"_id": {**first, "$lt": END}}


def _copy_of(raw: RawBSONDocument) -> Copy | None:
    try:
        document: Mapping[str, Any] = bson.decode(bytes(raw.raw), _CODEC)
        return _copy(document, document["_id"])
    except UNREADABLE:
        return None


def _copy(document: Mapping[str, Any], key: str) -> Copy | None:
    entry, changed = from_document(document, key), document.get("changed_at")
    if entry is None:
        return None
    return Copy(with_storable_headers(entry), changed if isinstance(changed, datetime) else None)


def _seen_of(raw: RawBSONDocument) -> tuple[str | None, Seen]:
    try:
        document: Mapping[str, Any] = bson.decode(bytes(raw.raw), _CODEC)
    except UNREADABLE:
        return None, Seen({}, None, None)
    times = {name: document.get(name) for name in ("timestamp", "validated_at")}
    moments = [value for value in times.values() if isinstance(value, datetime)]
    is_entry = document.get("schema") == SCHEMA and isinstance(times["timestamp"], datetime)
    purge = document.get("purge_at")
    fetched = max(moments) if is_entry else None
    return document["_id"], Seen(times, fetched, purge if isinstance(purge, datetime) else None)


def entry_of(document: Mapping[str, Any]) -> Copy | None:
    """Return what a document without ``checksum`` and ``schema`` holds; None when that is no entry."""
    key, status, body = document.get("_id"), document.get("status"), document.get("body")
    if not (isinstance(key, str) and isinstance(status, int) and isinstance(body, bytes)):
        return None
    return _copy({**document, "schema": SCHEMA, "checksum": checksum(key, status, body)}, key)


def item_of(copy: Copy, data: Any, seen: Seen | None) -> Item | None:
    """Encode an entry as the flow does; None where MongoDB cannot hold it."""
    raw, with_data = to_bson(copy.entry, data)
    bare = to_bson(copy.entry, None)[0] if with_data else raw
    if raw is None or bare is None:
        return None
    if copy.changed_at is not None:
        raw, bare = (_with_time(one, "changed_at", copy.changed_at) for one in (raw, bare))
    return Item(copy.entry.key, raw, bare if with_data else raw, seen) if len(raw.raw) <= LARGEST else None


def _with_time(raw: RawBSONDocument, name: str, moment: datetime) -> RawBSONDocument:
    """Append a field, as an update does: nothing that is there is encoded again."""
    elements = bytes(raw.raw)[4:-1] + bson.encode({name: moment.astimezone(timezone.utc)})[4:]
    return RawBSONDocument(struct.pack("<i", len(elements) + 4) + elements, RAW)
