"""The doctor's verdicts, each on something that is really so."""

from __future__ import annotations

import errno
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tmdb_mongo_cache import TMDBCache, Verdict
from tmdb_mongo_cache.mongo.diagnostics.connection import kind_of

from .flowkit import KEY, now
from .replicakit import ReplicaSet, free_ports

pytestmark = pytest.mark.versions

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

    def kept() -> dict[str, Any]:
        """Return all documents but what the call that stored one sends when it comes to it: counts, its lease's end."""
        names = set(mongo[database].list_collection_names()) - {"tmdb_cache_stats", "tmdb_cache_leases"}
        return {name: list(mongo[database][name].find()) for name in names}

    before = kept()
    found = examine()
    assert {verdict.level for name, verdict in found.items() if name != "server"} == {"ok"}
    assert found["server"].level != "problem"  # it may be past its end of life
    assert set(found) >= LOCAL | {"connection", "server", "rights", "latency", "clock", "indexes", "expiry", "size"}
    assert found["size"].text.startswith("1 document: ")
    assert kept() == before


def test_an_empty_database(examine: Callable[..., dict[str, Verdict]], mongo: Any, database: str) -> None:
    """Before anything was stored all is well, too, and no collection is made."""
    assert {verdict.level for name, verdict in examine().items() if name != "server"} == {"ok"}
    assert mongo[database].list_collection_names() == []


# where MongoDB is away


@pytest.mark.parametrize(
    ("uri", "text"),
    [
        ("mongodb://somebody:s3cr3t@127.0.0.1:{closed}", "nothing listens at"),
        ("mongodb://%2Ftmp%2Fno-such-mongod.sock", "nothing listens at"),
        ("mongodb://no-such-host.invalid", "the host does not exist"),
        ("mongodb://127.0.0.1:{closed}/?serverSelectionTimeoutMS=30000", "nothing listens at"),
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


def test_a_web_server(make_cache: Callable[..., TMDBCache]) -> None:
    """What speaks HTTP is no MongoDB; to look into MongoDB's log would not help."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def refuse() -> None:
            with suppress(OSError):
                while True:
                    with listening.accept()[0] as connection:
                        connection.recv(1000)
                        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=refuse)
        thread.start()
        cache = make_cache(uri=f"mongodb://127.0.0.1:{listening.getsockname()[1]}")
        found = named(cache.doctor())["connection"]
        cache.close()
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()
    assert "is not MongoDB" in found.text
    assert "port" in found.advice


def test_a_replica_set_that_is_none(make_cache: Callable[..., TMDBCache], mongo_uri: str) -> None:
    """A server that is not in the set that the URI names is told apart from one that a firewall hides, at once."""
    began = time.monotonic()
    found = named(make_cache(uri=f"{mongo_uri.partition('?')[0]}?replicaSet=films").doctor())["connection"]
    assert time.monotonic() - began < 4
    assert "no member of the replica set" in found.text
    assert "replicaSet=" in found.advice


def test_an_option_that_is_none(make_cache: Callable[..., TMDBCache], mongo_uri: str) -> None:
    """An option that pymongo does not know is a verdict that names it, and no warning of Python."""
    found = named(make_cache(uri=f"{mongo_uri}&conectTimeoutMS=5").doctor())["connection"]
    assert (found.level, "conectTimeoutMS" in found.text) == ("problem", True)


def test_an_embedded_server_that_does_not_start(
    make_cache: Callable[..., TMDBCache], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where the embedded server is the one, its own sentence is the verdict."""
    monkeypatch.setenv("TMDB_CACHE_MONGOD", str(tmp_path / "none"))
    found = named(make_cache(uri="embedded").doctor())["connection"]
    assert (found.level, "TMDB_CACHE_MONGOD" in found.text) == ("problem", True)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (socket.gaierror(socket.EAI_NONAME, ""), "unknown-host"),
        (OSError(errno.ENETUNREACH, ""), "unreachable"),
        (OSError(errno.EHOSTUNREACH, ""), "unreachable"),
        (OSError(errno.ECONNREFUSED, ""), "refused"),
        (OSError(errno.ENOENT, ""), "refused"),
        (TimeoutError(), "timeout"),
        (OSError(errno.ETIMEDOUT, ""), "timeout"),
        (OSError(errno.EACCES, ""), "other"),
    ],
)
def test_refusals(error: OSError, kind: str) -> None:
    """Why nothing can be reached is told by the class and the number of an error, whatever its text says."""
    assert kind_of(error) == kind


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


@pytest.mark.parametrize(
    ("changes", "name", "level", "text"),
    [
        ({"timestamp": -181 * DAYS}, "six-months", "problem", "1 response is older than"),
        ({"timestamp": None}, "six-months", "problem", "of no known age"),
        ({"timestamp": -179 * DAYS, "purge_at": DAYS / 2}, "six-months", "ok", ""),
        ({"purge_at": None}, "six-months", "problem", "1 response is not deleted by MongoDB"),
        ({"purge_at": 200 * DAYS}, "six-months", "problem", "1 response is not deleted by MongoDB"),
        ({"purge_at": -DAYS / 24}, "six-months", "note", "1 response is past purge_at"),
        ({"schema": 7}, "schema", "note", "1 response is of another version"),
        ({"_id": "of-a-session", "timestamp": -181 * DAYS}, "six-months", "problem", "1 response is older than"),
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
