"""Fixtures: a real mongod shared by the whole run, a stand-in TMDB for each test, and nothing of the user's."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pymongo
import pytest
import requests

import tmdb_mongo_cache
from tmdb_mongo_cache import TMDBCache
from tmdb_mongo_cache.standin import StandIn
from tmdb_mongo_cache.store.embedded import EmbeddedServer

from .running import Runner


@pytest.fixture(scope="session")
def mongo_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URI of one mongod for all workers of a run; the last to leave stops it."""
    base = tmp_path_factory.getbasetemp()
    root = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    with EmbeddedServer(root / "mongod") as server:
        yield server.uri


@pytest.fixture(scope="session")
def mongo(mongo_uri: str) -> Iterator[pymongo.MongoClient[dict[str, Any]]]:
    """A plain client, to look at what is in the database."""
    with pymongo.MongoClient(mongo_uri) as client:
        yield client


@pytest.fixture
def database(mongo: pymongo.MongoClient[dict[str, Any]]) -> Iterator[str]:
    """The name of a database that is this test's own."""
    name = f"test_{uuid4().hex}"
    yield name
    mongo.drop_database(name)


@pytest.fixture
def collection(mongo: pymongo.MongoClient[dict[str, Any]], database: str) -> Any:
    """The collection that this test's caches use, by a plain client."""
    return mongo[database]["tmdb_cache"]


@pytest.fixture
def tmdb() -> Iterator[StandIn]:
    """A stand-in TMDB over plain HTTP."""
    with StandIn() as standin:
        yield standin


@pytest.fixture(scope="session")
def shared_tls() -> Iterator[StandIn]:
    with StandIn(tls=True) as standin:
        yield standin


@pytest.fixture
def tls_tmdb(shared_tls: StandIn) -> StandIn:
    """A stand-in TMDB behind a proxy, to be reached as https://api.themoviedb.org with its ``env``."""
    shared_tls.reset()
    return shared_tls


@pytest.fixture
def make_cache(mongo_uri: str, database: str, tmdb: StandIn) -> Iterator[Callable[..., TMDBCache]]:
    """Make caches on this test's database which take the stand-in for TMDB."""
    made: list[TMDBCache] = []

    def make(**settings: Any) -> TMDBCache:
        settings = {"uri": mongo_uri, "database": database, "hosts": [tmdb.host], "store_timeout": 10, **settings}
        cache = TMDBCache(**settings)
        made.append(cache)
        return cache

    yield make
    for cache in made:
        cache.close()


@pytest.fixture
def cache(make_cache: Callable[..., TMDBCache]) -> TMDBCache:
    """A cache with the default settings."""
    return make_cache()


@pytest.fixture
def runner(mongo_uri: str, database: str, tls_tmdb: StandIn) -> Runner:
    """Run programs in processes of their own, on this test's database and the stand-in behind its proxy."""
    return Runner(
        {
            **tls_tmdb.env,
            "TMDB_CACHE_URI": mongo_uri,
            "TMDB_CACHE_DATABASE": database,
            "TMDB_CACHE_STORE_TIMEOUT": "10",
        }
    )


@pytest.fixture(autouse=True)
def _nothing_of_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No setting, no server and no patch comes into a test from outside or leaves it."""
    for name in list(os.environ):
        if name.startswith("TMDB_") or name.lower() in ("http_proxy", "https_proxy", "no_proxy", "requests_ca_bundle"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    before = (vars(requests.Session)["send"], vars(requests.Session)["request"])
    yield
    tmdb_mongo_cache.uninstall()
    assert (vars(requests.Session)["send"], vars(requests.Session)["request"]) == before
