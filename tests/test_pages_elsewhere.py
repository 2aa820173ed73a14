"""What docs/ shows and cannot be run here: as much of it as can be, on parts that are real."""

from __future__ import annotations

import configparser
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pymongo
import pytest
import requests

from tmdb_mongo_cache import CacheConfig, TMDBCache, enabled
from tmdb_mongo_cache.mongo.embedded.binary import find_mongod
from tmdb_mongo_cache.mongo.indexes import INDEXES
from tmdb_mongo_cache.standin import StandIn

from .pageskit import DOCS, Block, blocks_of, commands_of
from .replicakit import free_ports


def not_run(page: str, start: str) -> Block:
    """Return the one block of a page that is not run and begins like this."""
    (found,) = (block for block in blocks_of(DOCS / page) if block.reason and block.text.startswith(start))
    return found


def test_few_blocks_are_not_run() -> None:
    """Those that are not run are looked at by the tests below."""
    left_out = [block.place for page in DOCS.glob("*.md") for block in blocks_of(page) if block.reason]
    assert len(left_out) == 5, left_out


def test_what_is_installed_exists() -> None:
    """The distribution has the name that pip is told, and the extra."""
    setup = configparser.ConfigParser()
    setup.read(DOCS.parent / "setup.cfg", encoding="utf-8")
    (install,) = commands_of(not_run("first-steps.md", "$ pip install").text)
    (uninstall,) = commands_of(not_run("first-steps.md", "$ pip uninstall").text)
    name, extra = re.fullmatch(r"pip install '([\w-]+)\[(\w+)\]'\n", install[0]).groups()  # type: ignore[union-attr]
    assert name == setup["metadata"]["name"] == uninstall[0].split()[-1]
    assert extra in setup["options.extras_require"]


def test_uris_of_atlas_are_accepted() -> None:
    """The URIs are settings that can be used, their options are pymongo's, and the password is not shown."""
    text = (DOCS / "atlas.md").read_text(encoding="utf-8")
    found = re.findall(r"mongodb\+srv://[^\s']+", text)
    assert len(found) == 3
    assert f"TMDB_CACHE_URI='{found[2]}'" in not_run("atlas.md", "$ export").text
    for uri in found:
        assert "PASSWORD" in uri
        assert "PASSWORD" not in repr(CacheConfig(uri=uri))
        # "+srv" would ask the DNS; the rest of it is the same.
        with pymongo.MongoClient(uri.replace("+srv", ""), connect=False) as client:
            assert client.options.pool_options.appname in (None, "Cluster0")


def test_shard_command() -> None:
    """The shard key is one by which MongoDB can index the collection, and no index of the cache forbids it."""
    text = not_run("clusters.md", "sh.").text
    assert 'sh.shardCollection("tmdb_cache_db.tmdb_cache", {_id: "hashed"})' in text
    assert (CacheConfig().database, CacheConfig().collection) == ("tmdb_cache_db", "tmdb_cache")
    # A unique index that does not begin with the shard key cannot be on a sharded collection.
    assert not [index.document["name"] for index in INDEXES if index.document.get("unique")]


def test_hashed_ids(stored: dict[str, Any], collection: Any, cache: Any, tmdb: StandIn) -> None:
    """A collection with a hashed index on _id, as sharding makes one, answers as before."""
    assert collection.create_index([("_id", "hashed")]) == "_id_hashed"
    with enabled(cache):
        assert requests.get(f"{tmdb.url}/3/movie/550", params={"api_key": "any"}).from_cache
    plan = collection.find({"_id": stored["_id"]}).explain()
    assert plan["executionStats"]["totalDocsExamined"] == 1


def rights() -> list[dict[str, Any]]:
    """Return the privileges of the role on the page, as MongoDB has them."""
    text = not_run("atlas.md", "$ atlas customDbRoles create").text
    actions = []
    for privilege in text.split("--privilege ")[1].strip().split(","):
        name, where = privilege.split("@")
        assert where == "tmdb_cache_db.tmdb_cache"
        first, *rest = name.lower().split("_")
        actions.append(first + "".join(word.capitalize() for word in rest))
    page = (DOCS / "atlas.md").read_text(encoding="utf-8")
    others = re.findall(r"`(tmdb_cache(?:_\w+)?)` \(", page)
    assert {"tmdb_cache", "tmdb_cache_leases", "tmdb_cache_changes", "tmdb_cache_stats"} <= set(others)
    found = []
    for name in [*others, "tmdb_cache_redirects"]:
        allowed = actions if name == "tmdb_cache" else [action for action in actions if action != "changeStream"]
        found.append({"resource": {"db": "tmdb_cache_db", "collection": name}, "actions": allowed})
    return found


def more_for_the_doctor() -> dict[str, list[str]]:
    """Return the rights that the page names for the doctor, as MongoDB has them, with their collections."""
    page = (DOCS / "atlas.md").read_text(encoding="utf-8")
    said = page.partition("needs two more to check everything: ")[2].partition(". ")[0]
    listing, sizes = said.split(", and ")
    assert ("`LIST_INDEXES` on" in listing, "`COLL_STATS` on" in sizes) == (True, True)
    return {"listIndexes": re.findall(r"`(tmdb\w+)`", listing), "collStats": re.findall(r"`(tmdb\w+)`", sizes)}


@pytest.fixture
def users(tmp_path: Path) -> Iterator[Users]:
    """A MongoDB that wants to know who comes."""
    with mongod_with_users(tmp_path) as port:
        with pymongo.MongoClient("127.0.0.1", port) as first:
            first.admin.command("createUser", "root", pwd="root", roles=["root"])
        with pymongo.MongoClient("127.0.0.1", port, username="root", password="root") as root:
            yield Users(root.tmdb_cache_db, port)


def test_rights_are_enough(
    users: Users, tmdb: StandIn, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A user with exactly the rights on the page has a cache that works whole, with its indexes."""
    monkeypatch.setenv("TMDB_API_KEY", "0123456789abcdef0123456789abcdef")
    tmdb.feed_pages = {"movie": 1, "tv": 1, "person": 1}
    with users.cache(tmdb, rights()) as cache:
        with enabled(cache):
            for number in (550, 550, 603):
                requests.get(f"{tmdb.url}/3/movie/{number}?api_key=any")
        assert (cache.stats().hits, cache.stats().stored) == (1, 2)
        cache.refresh_changes(base_url=tmdb.url, rate=1000)
        cache.warm([680], base_url=tmdb.url)
        assert cache.invalidate(media_type="movie", tmdb_id=550) == 1
        assert len(list(cache.entries())) == 2
        assert cache.purge(everything=True) == 2
        assert cache.clear() == 0
        assert cache.stats().store_errors == 0
        found = {verdict.name: verdict for verdict in cache.doctor()}
        # The server of the tests may be past its end of life.
        assert {name for name, verdict in found.items() if verdict.level != "ok"} - {"server"} == {"indexes", "size"}
        assert {found["indexes"].level, found["size"].level} == {"note"}
        cache.usage()
    allowed = rights()
    for right, names in more_for_the_doctor().items():
        for privilege in allowed:
            if privilege["resource"]["collection"] in names:
                privilege["actions"].append(right)
    with users.cache(tmdb, allowed) as cache:
        assert {verdict.level for verdict in cache.doctor() if verdict.name != "server"} == {"ok"}
    made = set(users.database.tmdb_cache.index_information())
    assert {index.document["name"] for index in INDEXES} < made
    assert [record.getMessage() for record in caplog.records if record.levelname != "DEBUG"] == []


def test_fewer_rights(users: Users, tmdb: StandIn, caplog: pytest.LogCaptureFixture) -> None:
    """Without the right to make indexes it works; with that to read alone there are hits, and one line of the log."""
    for right, served in (("createIndex", [False, True]), ("insert update remove createIndex", [True, False])):
        allowed = rights()
        for privilege in allowed:
            privilege["actions"] = [action for action in privilege["actions"] if action not in right.split()]
        with users.cache(tmdb, allowed) as cache, enabled(cache):
            found = [requests.get(f"{tmdb.url}/3/movie/{number}?api_key=any") for number in (1, 1 if served[1] else 2)]
            assert [response.from_cache for response in found] == served  # type: ignore[attr-defined]
        assert len([record for record in caplog.records if record.levelname == "WARNING"]) == (not served[1])
    assert set(users.database.tmdb_cache.index_information()) == {"_id_"}


class Users:
    """A database whose users have what rights they are given."""

    def __init__(self, database: Any, port: int) -> None:
        self.database = database
        self._port = port

    def cache(self, tmdb: StandIn, privileges: list[dict[str, Any]]) -> TMDBCache:
        """Return a cache of a user with exactly these rights."""
        name = f"user{uuid4().hex}"
        self.database.command("createRole", name, privileges=privileges, roles=[])
        self.database.command("createUser", name, pwd="secret", roles=[name])
        uri = f"mongodb://{name}:secret@127.0.0.1:{self._port}/tmdb_cache_db"
        return TMDBCache(uri=uri, hosts=[tmdb.host], store_timeout=10, memory_ttl=0)


@contextmanager
def mongod_with_users(folder: Path) -> Iterator[int]:
    """Run a mongod on loopback that wants to know who comes; give its port."""
    (port,) = free_ports(1)
    options = ["--auth", "--bind_ip", "127.0.0.1", "--port", str(port), "--nounixsocket"]
    log = ["--dbpath", folder, "--logpath", folder / "log", "--wiredTigerCacheSizeGB", "0.25"]
    with subprocess.Popen([find_mongod(), *options, *log], stdout=subprocess.DEVNULL) as process:
        try:
            with pymongo.MongoClient("127.0.0.1", port, serverSelectionTimeoutMS=60_000) as client:
                client.admin.command("ping")
            yield port
        finally:
            process.kill()
