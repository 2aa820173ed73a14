"""Leading every cache of this process into one database, whatever its settings name: for tests.

The classes are patched while it holds, so that the way of a call costs nothing
for it otherwise, and so that caches that are open already are led as well.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from pymongo import MongoClient
from pymongo.collection import Collection

from ..config import CacheConfig
from . import memory
from .client import Connection, _Open, open_client
from .document import CODEC
from .mapping import MongoStorage

Client = MongoClient[dict[str, Any]]


class _Place:
    """A database; in a forked child by a client of its own, for pymongo's are not safe across a fork."""

    def __init__(self, uri: str, client: Client, database: str) -> None:
        self.uri, self.database = uri, database
        self._clients = {os.getpid(): client}
        self._collections: dict[tuple[int, str], Collection[dict[str, Any]]] = {}

    @property
    def client(self) -> Client:
        pid = os.getpid()
        if pid not in self._clients:
            self._clients[pid] = open_client(self.uri)
        return self._clients[pid]

    def collection(self, name: str) -> Collection[dict[str, Any]]:
        """Return a collection: the same object each time, as a store expects it."""
        key = (os.getpid(), name)
        if key not in self._collections:
            database = self.client.get_database(self.database)
            self._collections[key] = database.get_collection(name, codec_options=CODEC)
        return self._collections[key]


@contextmanager
def led(uri: str, client: Client, database: str) -> Iterator[None]:
    """Lead every cache to a database while this holds; those that are made meanwhile go there for good.

    A cache keeps the name of its collection, and its settings show what was given.

    Args:
        uri: of the MongoDB.
        client: the same, open.
        database: the name.
    """
    place = _Place(uri, client, database)
    memory.forget_everything()
    with ExitStack() as stack:
        for owner, name, replacement in (
            (Connection, "__init__", _made_there(Connection.__init__, place)),
            (Connection, "_open", _open_there(place)),
            (MongoStorage, "__init__", _stored_there(MongoStorage.__init__, place)),
            (MongoStorage, "collection", _collection_there(place)),
        ):
            stack.callback(_put_back, owner, name, vars(owner).get(name))
            setattr(owner, name, replacement)
        yield
    memory.forget_everything()


def _put_back(owner: type, name: str, before: Any) -> None:
    if before is None:
        delattr(owner, name)
    else:
        setattr(owner, name, before)


def _made_there(init: Callable[..., None], place: _Place) -> Callable[..., None]:
    def make(self: Connection, config: CacheConfig) -> None:
        init(self, config.changed(uri=place.uri, client=None, database=place.database))

    return make


def _open_there(place: _Place) -> property:
    """Return what stands for a connection's open client; as a property it goes before what the object itself has."""

    def get(self: Connection) -> _Open | None:
        own: _Open | None = vars(self).get("_open")
        if self._closed or self._config.database == place.database:
            return own
        return _Open(place.client, place.collection(self._config.collection))

    return property(get, lambda self, value: vars(self).update(_open=value))


def _stored_there(init: Callable[..., None], place: _Place) -> Callable[..., None]:
    def make(
        self: MongoStorage,
        db_name: str,
        collection_name: str = "tmdb_cache",
        connection: Client | None = None,
        *arguments: Any,
        **options: Any,
    ) -> None:
        init(self, place.database, collection_name, place.client, *arguments, **options)

    return make


def _collection_there(place: _Place) -> property:
    def get(self: MongoStorage) -> Collection[dict[str, Any]]:
        own: Collection[dict[str, Any]] = vars(self)["collection"]
        return own if own.database.name == place.database else place.collection(own.name)

    return property(get, lambda self, value: vars(self).update(collection=value))
