"""The overrides of tests, where a cache is used from several threads, and a backend is dropped while it is read."""

from __future__ import annotations

import gc
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pymongo import MongoClient

from tmdb_mongo_cache import CacheConfig, MongoBackend
from tmdb_mongo_cache.config import overrides
from tmdb_mongo_cache.mongo.bounded_collection import BoundedCollection
from tmdb_mongo_cache.mongo.connection import Connection

THREADS = 8


@pytest.fixture
def redirected(monkeypatch: pytest.MonkeyPatch, mongo_uri: str, database: str) -> None:
    """Redirect to the database, by settings that take their time."""
    overridden = CacheConfig.overridden

    def slowly(self: CacheConfig) -> CacheConfig:
        time.sleep(0.05)
        return overridden(self)

    monkeypatch.setattr(CacheConfig, "overridden", slowly)
    monkeypatch.setattr(overrides, "uri", mongo_uri)
    monkeypatch.setattr(overrides, "database", database)


def by_threads(use: Any) -> int:
    with ThreadPoolExecutor(THREADS) as pool:
        return len({id(found) for found in pool.map(lambda _: use(), range(THREADS))})


def test_threads(redirected: None, monkeypatch: pytest.MonkeyPatch, mongo_uri: str) -> None:
    """Threads that come at once are redirected to the same client: another would be closed under one of them."""
    with monkeypatch.context() as patch:
        patch.setattr(overrides, "database", None)
        connection = Connection(CacheConfig(uri=mongo_uri))
    assert by_threads(lambda: connection._in_force) == 1
    connection.close()
    with MongoClient[Any](mongo_uri) as client:
        documents = BoundedCollection(client, "another", "films", "any", 10, looks=False)
        assert by_threads(lambda: documents.collection.database.client) == 1


def test_read_while_dropped(mongo_uri: str, database: str) -> None:
    """The keys of a backend that is not held by anything else can be read to the end."""
    keys = iter(MongoBackend(database, host=mongo_uri).responses)
    gc.collect()
    assert list(keys) == []
