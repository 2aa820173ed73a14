"""What the doctor says to users who may not do everything."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pymongo
import pytest
from pymongo.errors import OperationFailure

from tmdb_mongo_cache import TMDBCache, Verdict
from tmdb_mongo_cache.mongo.diagnostics.permissions import is_forbidden
from tmdb_mongo_cache.mongo.embedded.binary import find_mongod
from tmdb_mongo_cache.mongo.indexes import INDEXES

from .replicakit import free_ports
from .test_doctor import named

FILMS = "films"
LEASES, STATS, CHANGES = (f"{FILMS}_{name}" for name in ("leases", "stats", "changes"))
WRITING = ("find", "insert", "update", "remove", "createIndex")


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
            yield f"127.0.0.1:{port}"
        finally:
            process.kill()


@pytest.fixture
def doctor(make_cache: Callable[..., TMDBCache], guarded: str, database: str) -> Iterator[Callable[..., Any]]:
    """Have a cache with a response and its indexes examined, for a user with some rights by collection."""
    with pymongo.MongoClient(f"mongodb://root:pw@{guarded}") as root:
        root[database][FILMS].insert_one({"_id": "somebody else's"})
        root[database][FILMS].create_indexes([*INDEXES])

        def doctor(user: str = "", **rights: tuple[str, ...]) -> dict[str, Verdict]:
            if not user:
                user = f"user{len(rights)}{abs(hash(str(rights)))}"
                where = [{"db": database, "collection": name} for name in rights]
                held = [
                    {"resource": place, "actions": [*may]} for place, may in zip(where, rights.values(), strict=True)
                ]
                root.admin.command("createRole", user, privileges=held, roles=[])
                root.admin.command("createUser", user, pwd="pw", roles=[user])
            uri = f"mongodb://{user}:pw@{guarded}" if user != "anonymous" else f"mongodb://{guarded}"
            return named(make_cache(uri=uri, collection=FILMS).doctor())

        yield doctor
        root.drop_database(database)


def test_all_rights(doctor: Callable[..., Any]) -> None:
    """A user who may do everything has no note; this server was told not to delete, and that is all."""
    found = doctor("root")
    assert {name for name, verdict in found.items() if verdict.level != "ok"} - {"server"} == {"expiry"}
    assert (found["expiry"].level, "standalone" in found["server"].text) == ("problem", True)


def test_a_user_who_may_only_read(doctor: Callable[..., Any]) -> None:
    """For a machine that shall only read there is no problem: what is served and what is not stored is a note."""
    found = doctor("reader")
    assert found["rights"].level == "note"
    assert found["rights"].text.startswith("the user may not store, change, delete, make indexes, take leases, ")
    assert "responses are not stored by this user" in found["rights"].text
    assert "readWrite" in found["rights"].advice
    assert "problem" not in {verdict.level for verdict in found.values()}
    assert {"indexes", "size", "six-months"} <= set(found)


def test_half_the_rights(doctor: Callable[..., Any]) -> None:
    """A user who may write a part of what a response wants is a mistake, and a problem."""
    found = doctor(**{FILMS: ("find", "update")})["rights"]
    assert (found.level, "may not store, delete" in found.text) == ("problem", True)


def test_no_rights(doctor: Callable[..., Any]) -> None:
    """Who may not even read is told the role to have, and nothing that follows from that."""
    found = doctor("nobody")
    assert (found["rights"].level, "may not read, store" in found["rights"].text) == ("problem", True)
    assert "readWrite" in found["rights"].advice
    assert "indexes" not in found


def test_no_user(doctor: Callable[..., Any]) -> None:
    """Where the URI has no user a role is no help: it has to name one."""
    found = doctor("anonymous")["rights"]
    assert (found.level, "readWrite" in found.advice) == ("problem", False)
    assert "mongodb://user:password@" in found.advice


def test_rights_for_the_doctor_alone(doctor: Callable[..., Any]) -> None:
    """To list indexes and to ask for sizes the cache does not need: notes that name the rights, in Atlas' words too."""
    found = doctor(**dict.fromkeys((FILMS, LEASES, STATS, CHANGES), WRITING))
    assert found["rights"].level == "ok"
    for name, right in (("indexes", "LIST_INDEXES"), ("size", "COLL_STATS")):
        assert found[name].level == "note"
        assert re.search(rf"{right}@\w+\.{FILMS}\b", found[name].advice)
    assert found["six-months"].level == "ok"
    found = doctor(**dict.fromkeys((FILMS, LEASES, STATS, CHANGES), (*WRITING, "listIndexes", "collStats")))
    assert (found["indexes"].level, found["size"].level) == ("ok", "ok")


@pytest.mark.parametrize(
    ("left_out", "text"), [(STATS, "stats' fails"), (CHANGES, "refresh' fails"), (LEASES, "twice|at once")]
)
def test_rights_beside_the_answers(doctor: Callable[..., Any], left_out: str, text: str) -> None:
    """Rights that are missing on one of the other collections are a note that says what does not work."""
    allowed = [name for name in (FILMS, LEASES, STATS, CHANGES) if name != left_out]
    found = doctor(**dict.fromkeys(allowed, WRITING))["rights"]
    assert found.level == "note"
    assert re.search(text, found.text)
    assert found.text.count(";") == (2 if left_out == STATS else 1)


def test_indexes_that_may_not_be_made(doctor: Callable[..., Any], guarded: str, database: str) -> None:
    """Where an index is missing that this user may not make, somebody else has to."""
    with pymongo.MongoClient(f"mongodb://root:pw@{guarded}") as root:
        root[database][FILMS].drop_index("title")
        found = doctor("reader")["indexes"]
        assert (found.level, "run this as a user" in found.advice) == ("note", True)
        root[database][FILMS].drop_index("purge_at")
        assert doctor("reader")["indexes"].level == "problem"


def test_an_index_that_may_not_be_changed(doctor: Callable[..., Any], guarded: str, database: str) -> None:
    """The role readWrite may not change an index in place, but drop and make it; without dropIndex, neither."""
    with pymongo.MongoClient(f"mongodb://root:pw@{guarded}") as root:
        films = root[database][FILMS]
        films.drop_index("purge_at")
        films.create_index("purge_at", name="purge_at")
        may = (*WRITING, "listIndexes", "collStats")
        found = doctor(**{FILMS: may, LEASES: may})["indexes"]
        assert (found.level, "run this as a user" in found.advice) == ("problem", True)
        assert "expireAfterSeconds" not in films.index_information()["purge_at"]
        found = doctor(**{FILMS: (*may, "dropIndex"), LEASES: may, STATS: may})["indexes"]
        assert (found.level, "now dropped and made" in found.text) == ("ok", True)
        assert films.index_information()["purge_at"]["expireAfterSeconds"] == 0


def test_atlas() -> None:
    """Atlas' shared tiers have one code for whatever they do not want; the words tell which it is."""
    for text, code, forbidden in (
        ("not authorized on films to execute command", 13, True),
        ("user is not allowed to do action [insert] on [films.films]", 8000, True),
        ("(Unauthorized) not authorized on films", 8000, True),
        ("bad auth : authentication failed", 8000, False),
        ("you are over your space quota", 8000, False),
        ("not allowed", 72, False),
    ):
        assert is_forbidden(OperationFailure(text, code)) is forbidden, text
