"""Where MongoDB tells of changes, what others change is forgotten in memory at once; elsewhere no thread is started."""

from __future__ import annotations

import threading
import time

import pymongo
import pytest
import requests

from tmdb_mongo_cache import TMDBCache, enabled

from .flowkit import KEY, get, status_of
from .replicakit import replica_set
from .test_odd_ids import ODD, unreadable
from .waitkit import until


def watchers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "tmdb-mongo-cache-watch"]


@pytest.fixture(scope="module")
def replicas(tmp_path_factory):
    with replica_set(tmp_path_factory.mktemp("replicas")) as found:
        yield found


@pytest.fixture
def watched(replicas, tmdb):
    """A cache on a replica set whose memory holds a response for an hour, and is being told of changes."""
    with TMDBCache(uri=replicas.uri, hosts=[tmdb.host], memory_ttl=3600, store_timeout=10) as cache:
        with enabled(cache):
            get(tmdb)
            until(watchers, "a watcher")
            # It empties the tier when it begins: from then on nothing is missed.
            until(lambda: remembered(tmdb) and not time.sleep(0.3) and remembered(tmdb), "a hit from memory")
            yield cache
        cache.clear()
    until(lambda: not watchers(), "the watcher ended with the cache")


def remembered(tmdb) -> bool:
    return status_of(get(tmdb)).get("detail") == "memory"


@pytest.mark.parametrize("change", ["delete", "replace", "update", "drop"])
def test_what_others_change_is_forgotten_at_once(replicas, tmdb, watched, change):
    """A document that another process deletes or changes, or a collection it drops, is looked for in MongoDB again."""
    with pymongo.MongoClient(replicas.uri) as client:
        collection = client["tmdb_cache_db"]["tmdb_cache"]
        document = collection.find_one({"_id": KEY})
        if change == "delete":
            collection.delete_one({"_id": KEY})
        elif change == "replace":
            collection.replace_one({"_id": KEY}, {**document, "body": b'{"id": 1}'})
        elif change == "update":
            collection.update_one({"_id": KEY}, {"$set": {"body": b'{"id": 1}'}})
        else:
            collection.drop()
        before = tmdb.count
        until(lambda: watched.engine.core.memory.get(KEY) is None, "forgotten")
    response = get(tmdb)
    assert (response.json() == {"id": 1}) is (change in ("replace", "update"))
    assert tmdb.count - before == (change in ("delete", "drop"))


def test_among_keys_of_any_kind(replicas, tmdb, watched):
    """What others change is forgotten at once, whatever documents were changed before it."""
    with pymongo.MongoClient(replicas.uri) as client:
        collection = client["tmdb_cache_db"]["tmdb_cache"]
        for odd in ODD:
            collection.insert_one({"_id": odd})
            collection.delete_one({"_id": odd})
        broken = unreadable({}, "MARKED")
        collection.insert_one(broken)
        collection.delete_many({"_id": {"$gt": "y"}})
        collection.update_one({"_id": KEY}, {"$set": {"body": b'{"id": 1}'}})
        until(lambda: not remembered(tmdb), "forgotten")
    # Behind a change that could not be read the next ones are told again.
    until(lambda: remembered(tmdb) and not time.sleep(0.3) and remembered(tmdb), "a hit from memory")


def test_another_caches_invalidate(replicas, tmdb, watched):
    """invalidate() in another process empties the memory of this one, long before memory_ttl."""
    import subprocess
    import sys

    code = (
        "import sys, tmdb_mongo_cache as t\n"
        "with t.TMDBCache(uri=sys.argv[1]) as cache: print(cache.invalidate(media_type='movie', tmdb_id=550))"
    )
    done = subprocess.run([sys.executable, "-c", code, replicas.uri], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "1", done.stderr
    until(lambda: watched.engine.core.memory.get(KEY) is None, "forgotten")
    before = tmdb.count
    get(tmdb)
    assert tmdb.count == before + 1


@pytest.mark.parametrize("option", ["maxPoolSize=1", "readConcernLevel=local"])
def test_what_the_uri_says(replicas, tmdb, option):
    """A pool of one connection is left to the calls, and a read concern of the user's does not keep changes from us."""
    settings = {"uri": f"{replicas.uri}&{option}", "hosts": [tmdb.host], "memory_ttl": 3600, "store_timeout": 10}
    with TMDBCache(**settings) as cache, enabled(cache):
        for number in range(600, 610):
            assert "stored" in status_of(get(tmdb, f"/3/movie/{number}"))
        assert cache.stats().store_errors == 0
        if option == "maxPoolSize=1":
            assert not watchers()
        else:
            until(watchers, "a watcher")
            until(lambda: remembered(tmdb) and not time.sleep(0.3) and remembered(tmdb), "a hit from memory")
            with TMDBCache(uri=replicas.uri) as other:
                other.engine.store.delete({"_id": KEY})
            until(lambda: cache.engine.core.memory.get(KEY) is None, "forgotten")
        cache.clear()
    until(lambda: not watchers(), "the watcher ended with the cache")


def test_no_thread_without_change_streams(tmdb, make_cache):
    """On a single server no thread is started, and responses come from memory all the same."""
    with enabled(make_cache(memory_ttl=3600)):
        get(tmdb)
        assert remembered(tmdb)
    assert not watchers()


def test_no_thread_without_memory(replicas, tmdb):
    """With the tier switched off nothing is watched."""
    with TMDBCache(uri=replicas.uri, hosts=[tmdb.host], memory_ttl=0, store_timeout=10) as cache, enabled(cache):
        assert requests.get(f"{tmdb.url}/3/movie/551?api_key=any").ok
        assert requests.get(f"{tmdb.url}/3/movie/551?api_key=any").from_cache
        assert not watchers()
        cache.clear()
