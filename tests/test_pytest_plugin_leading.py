"""The pytest plugin in projects of users: a test never touches the user's own cache, and leaves nothing behind."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from tmdb_mongo_cache.standin import StandIn

from .pluginkit import Project, Run, own_databases, project_fixture, run_fixture, said  # noqa: F401 - the fixtures are used by their names

pytest_plugins = ["pytester"]


OWN = """
import os, pymongo, requests_cache, tmdb_mongo_cache
from tmdb_mongo_cache import CacheConfig, MongoBackend, TMDBCache, TMDBSession
WHERE = {"uri": os.environ["OWN_URI"], "database": os.environ["OWN_DATABASE"]}
KEY = {"api_key": "any"}
"""


@pytest.fixture
def production(mongo: Any, mongo_uri: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A database that tested code names, with one document in it."""
    name = f"production_{uuid4().hex}"
    monkeypatch.setenv("OWN_URI", mongo_uri)
    monkeypatch.setenv("OWN_DATABASE", name)
    found = mongo[name]
    found["tmdb_cache"].insert_one({"_id": "mine"})
    yield found
    mongo.drop_database(name)


def is_untouched(production: Any) -> bool:
    return production.list_collection_names() == ["tmdb_cache"] and [*production["tmdb_cache"].find()] == [
        {"_id": "mine"}
    ]


def test_caches_that_tested_code_makes(run: Run, project: Project, production: Any, mongo: Any, tmdb: StandIn) -> None:
    """Whatever database the tested code names, by whatever way, it gets that of the test, and is cached there."""
    project(
        OWN
        + """
def ways(client):
    url = os.environ["TMDB"]
    yield lambda path: tmdb_mongo_cache.install(expire_after=60, **WHERE) and requests.get(url + path, KEY)
    yield lambda path: TMDBSession(**WHERE).get(url + path, params=KEY)
    hosts = os.environ["TMDB_CACHE_HOSTS"]
    yield lambda path: TMDBSession(TMDBCache(CacheConfig(hosts=hosts, **WHERE))).get(url + path, params=KEY)
    yield lambda path: TMDBSession(TMDBCache(CacheConfig(hosts=hosts))).get(url + path, params=KEY)
    yield lambda path: TMDBSession(client=client, database=WHERE["database"]).get(url + path, params=KEY)
    def with_backend(path, **options):
        with requests_cache.CachedSession(backend=MongoBackend(WHERE["database"], **options)) as session:
            return session.get(url + path, params=KEY)
    yield lambda path: with_backend(path, host=os.environ["OWN_URI"])
    yield lambda path: with_backend(path, connection=client)
    yield lambda path: tmdb_mongo_cache.cached_tmdb(cache=TMDBCache(**WHERE))(requests.get)(url + path, KEY)

def test_all(tmdb_cache):
    with pymongo.MongoClient(os.environ["OWN_URI"]) as client:
        for number, way in enumerate(ways(client), start=1):
            for _ in range(2):
                assert way(f"/3/movie/{number}").json()["id"] == number
            assert len(list(tmdb_cache.entries())) == number
    TMDBCache(**WHERE).clear()
    assert not list(tmdb_cache.entries())
"""
    )
    run().assert_outcomes(passed=1)
    assert tmdb.count == 8
    assert is_untouched(production)
    assert own_databases(mongo) == []


def test_caches_that_were_there_before(run: Run, project: Project, production: Any, mongo: Any, tmdb: StandIn) -> None:
    """Caches that are open before a test are led as well, without what they have in memory, and afterwards are back."""
    project(
        OWN
        + """
SESSION = TMDBSession(**WHERE)
BACKEND = requests_cache.CachedSession(backend=MongoBackend(WHERE["database"], host=os.environ["OWN_URI"]))
LATER = TMDBSession(**WHERE)

def get(session, number):
    found = session.get(os.environ["TMDB"] + f"/3/movie/{number}", params=KEY)
    return found.from_cache

def test_before():
    assert not get(SESSION, 1) and get(SESSION, 1)
    assert not get(BACKEND, 2) and get(BACKEND, 2)

@pytest.mark.parametrize("again", [0, 1])
def test_led(tmdb_cache, again):
    for number, session in enumerate([SESSION, BACKEND, LATER], start=1):
        assert not get(session, number) and get(session, number)
    assert len(list(tmdb_cache.entries())) == 3
    assert SESSION.cache.count_entries() == 3

def test_after():
    assert get(SESSION, 1) and get(BACKEND, 2)
    assert get(SESSION, 2)

def test_nothing_left():
    SESSION.cache.invalidate(media_type="movie", tmdb_id=1)
    BACKEND.cache.clear()
    for one in (SESSION, BACKEND, LATER):
        one.close()
"""
    )
    run().assert_outcomes(passed=5)
    assert tmdb.count == 8
    kinds = [kind for day in production["tmdb_cache_stats"].find() for kind in day["endpoints"].popitem()[1].values()]
    assert sum(kind["n"] for kind in kinds) <= 4
    assert own_databases(mongo) == []


def test_a_recording_is_offline_for_all(
    run: Run, project: Project, production: Any, tmdb: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a recording no cache calls TMDB, wherever its settings come from."""
    project(
        OWN
        + """
HOSTS = os.environ["TMDB_CACHE_HOSTS"]
BEFORE = TMDBSession(TMDBCache(CacheConfig(hosts=HOSTS, **WHERE)))

@pytest.mark.tmdb_cache_recording("films.jsonl")
def test_film(tmdb_cache_recording):
    ask()
    for session in (BEFORE, TMDBSession(TMDBCache(CacheConfig(hosts=HOSTS, offline=False, **WHERE)))):
        for number in (550, int(os.environ["SECOND"])):
            assert session.get(os.environ["TMDB"] + f"/3/movie/{number}", params=KEY).json()["id"] == number
"""
    )
    monkeypatch.setenv("SECOND", "603")
    run("--tmdb-cache-record").assert_outcomes(passed=1)
    run().assert_outcomes(passed=1)
    count = tmdb.count
    monkeypatch.setenv("SECOND", "13")
    result = run()
    result.assert_outcomes(failed=1)
    assert "it is not in films.jsonl; record it with pytest --tmdb-cache-record" in said(result)
    assert (tmdb.count, count) == (2, 2)
    assert is_untouched(production)


def test_a_recording_is_offline_for_what_was_there_before(
    run: Run, project: Project, production: Any, tmdb: StandIn
) -> None:
    """With a recording neither a scope that was entered before nor a requests-cache session nor a job calls TMDB."""
    project(
        OWN
        + """
from datetime import datetime
from tmdb_mongo_cache import ConfigError, OfflineError
from tmdb_mongo_cache.standin import StandIn
URL = os.environ["TMDB"]
BACKEND = requests_cache.CachedSession(backend=MongoBackend(WHERE["database"], host=os.environ["OWN_URI"]))

@pytest.fixture(scope="session", autouse=True)
def entered():
    with tmdb_mongo_cache.enabled(CacheConfig(hosts=os.environ["TMDB_CACHE_HOSTS"], **WHERE)) as cache:
        yield cache
    BACKEND.close()

def test_before():
    ask("/3/movie/9")
    BACKEND.get(URL + "/3/movie/10", params=KEY)

@pytest.mark.tmdb_cache_recording("films.jsonl")
def test_film(tmdb_cache_recording, entered, request):
    ask()
    assert BACKEND.get(URL + "/3/movie/550", params=KEY).json()["id"] == 550
    if request.config.option.tmdb_cache_record:
        return
    for call in (
        lambda: ask("/3/movie/13"),
        lambda: requests.get(URL + "/3/movie/13", params=KEY, stream=True),
        lambda: requests.post(URL + "/3/movie/13/rating", params=KEY, json={"value": 8}),
        lambda: BACKEND.get(URL + "/3/movie/13", params=KEY),
        lambda: BACKEND.get(URL + "/3/movie/550", params=KEY, force_refresh=True),
        lambda: BACKEND.post(URL + "/3/movie/13/rating", params=KEY, json={"value": 8}),
        lambda: requests_cache.CachedSession(backend=MongoBackend()).get(URL + "/3/movie/13", params=KEY),
    ):
        with pytest.raises(OfflineError, match="offline is set") as caught:
            call()
        assert "any" not in str(caught.value)
    with pytest.raises(OfflineError, match="it is not in films.jsonl; record it"):
        BACKEND.get(URL + "/3/movie/13", params=KEY)
    entered.collection.update_many({}, {"$set": {"expires_at": datetime(2020, 1, 1)}})
    assert BACKEND.get(URL + "/3/movie/550", params=KEY).json()["id"] == 550
    with pytest.raises(ConfigError, match="a test with a recording is offline"):
        entered.warm([13], api_key="any", base_url=URL)
    with StandIn() as other:
        assert BACKEND.get(other.url + "/3/movie/13", params=KEY).status_code == 200

def test_after():
    ask("/3/movie/12")
    BACKEND.get(URL + "/3/movie/11", params=KEY)
"""
    )
    run("--tmdb-cache-record").assert_outcomes(passed=3)
    assert tmdb.count == 5
    run().assert_outcomes(passed=3)
    assert tmdb.count == 5


def test_a_cache_from_before_calls_tmdb_again(run: Run, project: Project, production: Any, tmdb: StandIn) -> None:
    """What was installed before a test with a recording is not offline after it."""
    project(
        OWN
        + """
CACHE = tmdb_mongo_cache.install(**WHERE)

@pytest.mark.tmdb_cache_recording("films.jsonl")
def test_film(tmdb_cache_recording):
    ask()

def test_after():
    ask("/3/movie/12")
    tmdb_mongo_cache.uninstall()
    CACHE.clear()
    CACHE.close()
"""
    )
    run("--tmdb-cache-record").assert_outcomes(passed=2)
    run().assert_outcomes(passed=2)
    assert tmdb.count == 3


def test_nothing_comes_back(run: Run, project: Project, production: Any, mongo: Any) -> None:
    """Code that keeps its caches open, and counts what it does, leaves no database behind."""
    project(
        OWN
        + """
KEPT = []

@pytest.mark.parametrize("number", range(4))
def test_keeps(tmdb_cache, number):
    KEPT.append(tmdb_mongo_cache.install(expire_after=60))
    ask(); ask()
    KEPT.append(TMDBSession(TMDBCache(CacheConfig(hosts=os.environ["TMDB_CACHE_HOSTS"]))))
    KEPT[-1].get(os.environ["TMDB"] + "/3/movie/1", params=KEY)
    assert tmdb_cache.config.statistics is False

def test_still_there():
    for kept in KEPT[1::2]:
        kept.get(os.environ["TMDB"] + "/3/movie/2", params=KEY)
        kept.cache.close()
"""
    )
    run().assert_outcomes(passed=5)
    assert own_databases(mongo) == []


def test_counts_where_they_are_wanted(run: Run, project: Project, monkeypatch: pytest.MonkeyPatch, mongo: Any) -> None:
    """TMDB_CACHE_STATISTICS=1 holds in a test; what is counted is in its database alone."""
    monkeypatch.setenv("TMDB_CACHE_STATISTICS", "1")
    project("def test_it(tmdb_cache):\n    ask(); assert tmdb_cache.config.statistics is True\n")
    run().assert_outcomes(passed=1)
    assert own_databases(mongo) == []


def test_a_forked_child(run: Run, project: Project, production: Any, tmdb: StandIn) -> None:
    """A child of a fork is led as well, by a connection of its own."""
    project(
        OWN
        + """
SESSION = TMDBSession(**WHERE)
def test_child(tmdb_cache):
    import multiprocessing, warnings
    def child():
        warnings.simplefilter("error")
        assert SESSION.get(os.environ["TMDB"] + "/3/movie/1", params=KEY).json()["id"] == 1
    SESSION.get(os.environ["TMDB"] + "/3/movie/2", params=KEY)
    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(60)
    assert process.exitcode == 0
    assert [entry.tmdb_id for entry in tmdb_cache.entries()] == [1, 2]
    SESSION.close()
"""
    )
    run("-W", "ignore::DeprecationWarning").assert_outcomes(passed=1)
    assert tmdb.count == 2
    assert is_untouched(production)


OLD = """
import sys, pytest
del pytest.StashKey, pytest.version_tuple
sys.exit(pytest.main(sys.argv[1:]))
"""


def test_before_pytest_7(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under a pytest before version 7 the plugin is loaded all the same, and its fixtures say what they need."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyfile(test_it="def test_other(): open('passed', 'w').close()\ndef test_it(tmdb_cache): pass\n")
    command = [sys.executable, "-W", "error", "-c", OLD, "-q", "-p", "tmdb_mongo_cache.testing.pytest_plugin"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "tmdb_cache needs pytest 7" in done.stdout
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert (pytester.path / "passed").exists()
