"""The doctor's verdicts, each on something that is really so."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pymongo
import pytest

from tmdb_mongo_cache import TMDBCache, Verdict
from tmdb_mongo_cache.store.health import kind_of
from tmdb_mongo_cache.store.indexes import INDEXES
from tmdb_mongo_cache.store.mongod import find_mongod

from .flowkit import KEY, now
from .replicakit import ReplicaSet, free_ports

DAYS = timedelta(days=1)
LOCAL = {"settings", "uri", "packages", "requests"}


def named(found: Sequence[Verdict]) -> dict[str, Verdict]:
    """Return verdicts by their names, which are different; whatever is not well says what to do."""
    by_name = {verdict.name: verdict for verdict in found}
    assert len(by_name) == len(found)
    assert all(verdict.level == "ok" or verdict.advice for verdict in found)
    return by_name


@pytest.fixture
def examine(cache: TMDBCache) -> Callable[..., dict[str, Verdict]]:
    """Examine this test's cache."""
    return lambda **options: named(cache.doctor(**options))


def test_all_is_well(stored: Any, examine: Callable[..., dict[str, Verdict]], mongo: Any, database: str) -> None:
    """A cache that works has no problem, and looking at it leaves nothing behind."""
    before = {name: list(mongo[database][name].find()) for name in mongo[database].list_collection_names()}
    found = examine()
    assert {verdict.level for verdict in found.values()} == {"ok"}
    assert set(found) >= LOCAL | {"connection", "server", "rights", "latency", "clock", "indexes", "expiry", "size"}
    assert found["size"].text.startswith("1 documents: ")
    after = {name: list(mongo[database][name].find()) for name in mongo[database].list_collection_names()}
    assert after == before


def test_an_empty_database(examine: Callable[..., dict[str, Verdict]], mongo: Any, database: str) -> None:
    """Before anything was stored all is well, too, and no collection is made."""
    assert {verdict.level for verdict in examine().values()} == {"ok"}
    assert mongo[database].list_collection_names() == []


# where MongoDB is away


@pytest.mark.parametrize(
    ("uri", "text"),
    [
        ("mongodb://somebody:s3cr3t@127.0.0.1:{closed}", "nobody listens at"),
        ("mongodb://%2Ftmp%2Fno-such-mongod.sock", "nobody listens at"),
        ("mongodb://no-such-host.invalid", "no host of that name"),
        ("mongodb://127.0.0.1:{closed}/?serverSelectionTimeoutMS=30000", "nobody listens at"),
        pytest.param("mongodb://127.0.0.1:{silent}", "does not answer", marks=pytest.mark.soak),
    ],
)
def test_away(make_cache: Callable[..., TMDBCache], uri: str, text: str) -> None:
    """Each way of not being there has its own verdict; it is the last one, comes in time, and shows no password."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        cache = make_cache(uri=uri.format(closed=free_ports(1)[0], silent=silent.getsockname()[1]))
        began = time.monotonic()
        found = named(cache.doctor())
        assert time.monotonic() - began < 10
    assert set(found) == LOCAL | {"connection"}
    assert found["connection"].level == "problem"
    assert text in found["connection"].text
    assert "s3cr3t" not in str(found)


def test_wrong_password(make_cache: Callable[..., TMDBCache], mongo_uri: str) -> None:
    """A server that does not take the password says so, and the password is shown nowhere."""
    cache = make_cache(uri=mongo_uri.replace("://", "://somebody:s3cr3t@"))
    found = named(cache.doctor())["connection"]
    assert "does not accept the user and the password" in found.text
    assert "s3cr3t" not in str(found)


def test_tls_where_there_is_none(make_cache: Callable[..., TMDBCache], mongo_uri: str) -> None:
    """A URI that wants TLS of a server without it is told apart from one where nobody listens."""
    assert "TLS" in named(make_cache(uri=f"{mongo_uri}&tls=true").doctor())["connection"].text


def test_an_embedded_server_that_does_not_start(
    make_cache: Callable[..., TMDBCache], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where the embedded server is the one, its own sentence is the verdict."""
    monkeypatch.setenv("TMDB_CACHE_MONGOD", str(tmp_path / "none"))
    found = named(make_cache(uri="embedded").doctor())["connection"]
    assert (found.level, "TMDB_CACHE_MONGOD" in found.text) == ("problem", True)


def test_other_refusals() -> None:
    """What pymongo says of an old server, and of a name on another platform, is understood."""
    assert kind_of("Server at x reports wire version 6, but this version of PyMongo requires at least 8") == "old"
    assert kind_of("x:27017: [Errno 8] nodename nor servname provided, or not known") == "unknown-host"
    assert kind_of("x:27017: connection closed") == "tls"
    assert kind_of("something else") == "other"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a mongod that asks for a password, on a port of this machine."""
    folder, port = tmp_path_factory.mktemp("guarded"), free_ports(1)[0]
    options = ["--bind_ip", "127.0.0.1", "--port", str(port), "--nounixsocket", "--auth", "--dbpath", str(folder)]
    options += ["--setParameter", "ttlMonitorEnabled=false", "--logpath", str(folder / "log")]
    options += ["--wiredTigerCacheSizeGB", "0.25", "--setParameter", "diagnosticDataCollectionEnabled=false"]
    with subprocess.Popen([find_mongod(), *options], stdout=subprocess.DEVNULL) as process:
        try:
            with pymongo.MongoClient("127.0.0.1", port, serverSelectionTimeoutMS=30_000) as client:
                client.admin.command("createUser", "root", pwd="pw", roles=["root"])
            with pymongo.MongoClient(f"mongodb://root:pw@127.0.0.1:{port}") as client:
                client.admin.command("createUser", "reader", pwd="pw", roles=["readAnyDatabase"])
                client.admin.command("createUser", "nobody", pwd="pw", roles=[])
                rights = [{"resource": {"db": "", "collection": ""}, "actions": ["find", "update"]}]
                client.admin.command("createRole", "changer", privileges=rights, roles=[])
                client.admin.command("createUser", "changer", pwd="pw", roles=["changer"])
            yield f"127.0.0.1:{port}"
        finally:
            process.kill()


def test_rights(make_cache: Callable[..., TMDBCache], guarded: str) -> None:
    """What the user may not do is named, with the role to give; nobody's rights end the examination."""
    root = named(make_cache(uri=f"mongodb://root:pw@{guarded}").doctor())
    assert (root["rights"].level, root["server"].text.split(", ")[1]) == ("ok", "standalone")
    assert root["expiry"].level == "problem"  # this server was told not to delete
    reader = named(make_cache(uri=f"mongodb://reader:pw@{guarded}").doctor())
    assert reader["rights"].text == "the user may not store, change, delete, make indexes, take leases"
    assert "readWrite" in reader["rights"].advice
    assert "six-months" in reader
    changer = named(make_cache(uri=f"mongodb://changer:pw@{guarded}").doctor())
    assert changer["rights"].text == "the user may not store, delete, make indexes, take leases"
    assert changer["latency"].level == "ok"
    assert (changer["size"].level, "rights" in changer["size"].text) == ("problem", True)  # nor ask for sizes
    nobody = named(make_cache(uri=f"mongodb://nobody:pw@{guarded}").doctor())
    assert "may not read, store" in nobody["rights"].text


@pytest.mark.soak
def test_replica_set(make_cache: Callable[..., TMDBCache], tmp_path: Path) -> None:
    """A replica set is named with its members."""
    replicas = ReplicaSet(tmp_path, 1)
    try:
        replicas.start(replicas.ports[0])
        replicas.initiate()
        found = named(make_cache(uri=replicas.uri).doctor())["server"]
        assert (found.level, found.text.partition(", ")[2]) == (
            "ok",
            f"replica set test: 127.0.0.1:{replicas.ports[0]} (primary)",
        )
    finally:
        for process in replicas.members.values():
            process.kill()
            process.wait()


# what is in it


def options_of(collection: Any) -> dict[str, Any]:
    return {
        name: {k: v for k, v in found.items() if k != "v"} for name, found in collection.index_information().items()
    }


def test_indexes(stored: Any, collection: Any, examine: Callable[..., dict[str, Verdict]]) -> None:
    """What is missing, or is another under the same name, is named and mended; with mend=False it is only named."""
    right = options_of(collection)
    leases = collection.database[f"{collection.name}_leases"]
    leases.drop_index("purge_at")
    collection.drop_index("title")
    collection.drop_index("purge_at")
    collection.create_index([("purge_at", 1)], name="purge_at")  # it deletes nothing
    collection.create_index([("changed_at", -1)], name="somebodys")
    wrong = options_of(collection)
    for _ in range(2):
        found = examine(mend=False)["indexes"]
        assert found.level == "problem"
        assert "tmdb_cache.purge_at is different" in found.text
        assert "tmdb_cache.title is missing" in found.text
        assert "tmdb_cache_leases.purge_at is missing" in found.text
        assert options_of(collection) == wrong
    found = examine()["indexes"]
    assert (found.level, found.text.count("now made")) == ("ok", 3)
    assert options_of(collection) == {**right, "somebodys": {"key": [("changed_at", -1)]}}
    assert leases.index_information()["purge_at"]["expireAfterSeconds"] == 0
    assert "now made" not in examine()["indexes"].text


def test_an_index_by_another_name(stored: Any, collection: Any, examine: Callable[..., dict[str, Verdict]]) -> None:
    """One that does the same under another name is as good; one with other options in the way of ours is replaced."""
    collection.drop_indexes()
    for model in INDEXES:
        options = {name: value for name, value in model.document.items() if name not in ("name", "key")}
        collection.create_index(list(model.document["key"].items()), name=f"my_{model.document['name']}", **options)
    assert "now made" not in examine()["indexes"].text
    collection.drop_index("my_purge_at")
    collection.create_index([("purge_at", 1)], name="mine", expireAfterSeconds=3600)
    assert "purge_at was different, now made" in examine()["indexes"].text
    assert collection.index_information()["purge_at"]["expireAfterSeconds"] == 0


@pytest.mark.parametrize(
    ("changes", "name", "level", "text"),
    [
        ({"timestamp": -181 * DAYS}, "six-months", "problem", "1 answer is older than"),
        ({"timestamp": None}, "six-months", "problem", "of no known age"),
        ({"timestamp": -179 * DAYS, "purge_at": DAYS / 2}, "six-months", "ok", ""),
        ({"purge_at": None}, "six-months", "problem", "1 answer is not deleted by MongoDB"),
        ({"purge_at": 200 * DAYS}, "six-months", "problem", "1 answer is not deleted by MongoDB"),
        ({"purge_at": -DAYS / 24}, "six-months", "note", "1 answer is past purge_at"),
        ({"schema": 7}, "schema", "note", "1 answer is of another version"),
        ({"_id": "of-a-session", "timestamp": -181 * DAYS}, "six-months", "problem", "1 answer is older than"),
        ({"_id": "GET example.org/", "schema": None, "timestamp": None}, "size", "ok", "1 of them not TMDB's"),
        ({"_id": 5, "schema": None, "timestamp": None}, "size", "ok", "1 of them not TMDB's"),
    ],
)
def test_documents(
    collection: Any, examine: Callable[..., dict[str, Verdict]], changes: Any, name: str, level: str, text: str
) -> None:
    """Documents that break the six months, or are none of ours, are counted; a good one beside them is not."""
    # No index: MongoDB would delete while the test looks.
    for each in ({"_id": f"{KEY}1"}, changes):
        made = {"_id": KEY, "schema": 1, "timestamp": timedelta(), "purge_at": 8 * DAYS, **each}
        times = {key: now() + value for key, value in made.items() if isinstance(value, timedelta)}
        collection.insert_one({key: value for key, value in {**made, **times}.items() if value is not None})
    found = examine(mend=False)
    assert (found[name].level, text in found[name].text) == (level, True), found[name]
    assert ("schema" in found) == (name == "schema")
