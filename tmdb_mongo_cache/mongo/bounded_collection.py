"""A collection of a client that is open already: operations on it are bounded, and their errors translated."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import pymongo
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.errors import PyMongoError

from ..config import CacheConfig, overrides
from ..core import memory, recent_writes
from ..fork import ForkSafeLock
from ..httpcache.models import Entry
from ..tmdb.invalidation import Touched
from .connection import Connection
from .deadline import Deadline, has_secondaries_alone
from .document import CODEC, RAW, UNREADABLE, readable
from .errors import failed
from .executor import execute
from .operations import Operations


class BoundedCollection:
    """The documents of one collection; every method may raise ``StoreError``.

    Args:
        client: the client, which is left open.
        database: name of the database.
        name: name of the collection.
        where: the client's database as people may see it.
        timeout: seconds that :meth:`bounded` allows.
        looks: whether the client looks for servers by itself; see :class:`.mongo.deadline.Deadline`.
    """

    def __init__(
        self, client: MongoClient[dict[str, Any]], database: str, name: str, where: str, timeout: float, *, looks: bool
    ) -> None:
        self._client, self._where = client, where
        self._own = client[database].get_collection(name, codec_options=CODEC)
        self._elsewhere: Connection | None = None
        self._lock = ForkSafeLock()
        self._deadline = Deadline(timeout, looks=looks)
        self._operations = Operations()

    @property
    def collection(self) -> Collection[dict[str, Any]]:
        """The collection; while :data:`.config.overrides` name another database, the one there."""
        if not overrides.redirects(self._own.database.name):
            return self._own
        with self._lock:
            if self._elsewhere is None or overrides.redirects(self._elsewhere.database):
                self._elsewhere = Connection(CacheConfig(collection=self._own.name))
            elsewhere = self._elsewhere
        with elsewhere.operation(bounded=False) as found:
            return found

    @property
    def has_secondaries_alone(self) -> bool:
        """Whether there are servers to read from, and none that takes writes."""
        return has_secondaries_alone(self._client)

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Translate errors."""
        try:
            yield
        except PyMongoError as error:
            raise failed(error, self._where, self._deadline) from error

    @contextmanager
    def bounded(self, *, writing: bool = False, probing: bool = False) -> Iterator[None]:
        """Bound operations by what one call may cost; probing when no call waits for them."""
        with self.translated(), pymongo.timeout(self._deadline.limit(self._client, writing=writing, probing=probing)):
            yield
        self._deadline.has_reached = True

    def find(self, key: str, *, with_data: bool) -> Any:
        """Return the document with a key; None where there is none, or none that can be read."""
        with self.translated():
            try:
                return self.collection.find_one({"_id": key}, None if with_data else {"data": 0})
            except PyMongoError:
                raise
            except UNREADABLE:
                return None

    def keys(self) -> Iterator[str]:
        """Give all keys."""
        with self.translated():
            found = list(self.collection.with_options(codec_options=RAW).find({}, {"_id": True}))
        for document in readable(found):
            yield document["_id"]

    def present(self, keys: Iterable[str]) -> set[str]:
        """Return those of the keys that exist, in one query."""
        with self.translated():
            found = self.collection.find({"_id": {"$in": list(keys)}}, {"_id": True})
            return {document["_id"] for document in found}

    def store(self, entry: Entry, data: Any) -> None:
        """Store an entry, unless it is too large, in place of whatever its key held."""
        try:
            with self.translated():
                execute(self._operations.store(entry, data), self.collection)
        finally:
            memory.forget_key(entry.key)

    def mark_stale(self, touched: Sequence[Touched], now: datetime, *, probing: bool) -> None:
        """Make stale what a write has touched, within what one call may cost."""
        recent_writes.note(touched)
        try:
            with self.bounded(writing=True, probing=probing):
                execute(self._operations.mark_stale(touched, now), self.collection)
        finally:
            memory.forget_touched(touched)

    def clear(self) -> None:
        """Delete all documents; indexes stay."""
        try:
            with self.translated():
                self.collection.delete_many({})
        finally:
            memory.forget_everything()
