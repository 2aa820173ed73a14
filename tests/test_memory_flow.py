"""The tier in memory under whole calls: what comes from it, what never does, and that nobody notices otherwise."""

from __future__ import annotations

import gc
import os
import pickle
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tmdb_mongo_cache import OfflineError, TMDBCache, TMDBSession, cached_tmdb, enabled, install
from tmdb_mongo_cache.core import memory
from tmdb_mongo_cache.mongo.embedded.server import EmbeddedServer

from .flowkit import ANY_KEY, API_KEY, KEY, MOVIE, STANDIN, expire, get, now, sent, status_of, warnings
from .waitkit import eventually

pytestmark = pytest.mark.any_database

HOUR = 3600
CREDITS, SEASON = f"{MOVIE}/credits", "/3/tv/1399/season/1"


@pytest.fixture
def warm(make_cache: Any, client: Any) -> TMDBCache:
    """A cache with memory, whose commands are seen."""
    return make_cache(uri=None, client=client, memory_ttl=HOUR)


@pytest.fixture
def other(make_cache: Any) -> TMDBCache:
    """A second cache with memory of the same process."""
    return make_cache(memory_ttl=HOUR)


def ask(tmdb: Any, cache: TMDBCache, path: str = MOVIE, **options: Any) -> Any:
    with enabled(cache):
        return get(tmdb, path, **options)


def where(response: Any) -> str | None:
    return status_of(response).get("detail")


def remember(tmdb: Any, *caches: TMDBCache, path: str = MOVIE) -> None:
    """Let caches have an answer in memory."""
    for cache in caches:
        ask(tmdb, cache, path)
        assert where(ask(tmdb, cache, path)) == "memory"


@contextmanager
def asking(tmdb: Any, cache: TMDBCache) -> Iterator[None]:
    """Let a call of another thread be waiting for TMDB's answer within, and have it afterwards."""
    tmdb.latency, before = 0.25, tmdb.count
    thread = threading.Thread(target=cached_tmdb(cache=cache)(get), args=(tmdb,))
    thread.start()
    while tmdb.count == before:
        time.sleep(0.002)
    tmdb.latency = 0
    yield
    assert thread.is_alive()
    thread.join()


class TestHits:
    def test_default_settings(self, tmdb, mongo, client, commands, database):
        """With the default settings a second call is answered from memory, without a command to MongoDB."""
        with TMDBCache(client=client, database=database, hosts=[tmdb.host]) as cache:
            first = ask(tmdb, cache)
            before = len(commands.names)
            second = ask(tmdb, cache)
            assert (second.from_cache, where(second), second.content) == (True, "memory", first.content)
            assert (len(commands.names), tmdb.count, cache.stats().hits) == (before, 1, 1)

    def test_from_mongodb(self, tmdb, warm, other, commands):
        """What was found in MongoDB is remembered, too."""
        ask(tmdb, other)
        assert [where(ask(tmdb, warm)) for _ in range(3)] == ["mongodb", "memory", "memory"]
        assert commands.names.count("find") == 1

    @pytest.mark.parametrize("setting", [{"memory_ttl": 0}, {"memory_max_bytes": 0}, {"memory_max_bytes": 500}])
    def test_off(self, tmdb, make_cache, client, commands, setting):
        """With memory_ttl=0, memory_max_bytes=0 or less than an entry takes, every hit is MongoDB's."""
        cache = make_cache(uri=None, client=client, **{"memory_ttl": HOUR, **setting})
        assert [where(ask(tmdb, cache)) for _ in range(3)] == [None, "mongodb", "mongodb"]
        assert (commands.names.count("find"), tmdb.count) == (3, 1)

    def test_memory_ttl(self, tmdb, make_cache, collection):
        """What others change in MongoDB is seen when memory_ttl is over, and not before."""
        cache = make_cache(memory_ttl=0.3)
        remember(tmdb, cache)
        collection.update_one({"_id": KEY}, {"$set": {"body": b'{"id": 1}'}})
        assert where(ask(tmdb, cache)) == "memory"
        time.sleep(0.35)
        response = ask(tmdb, cache)
        assert (where(response), response.json()) == ("mongodb", {"id": 1})

    def test_own_freshness(self, tmdb, make_cache):
        """Nothing is served as fresh from memory once its own time is up."""
        cache = make_cache(memory_ttl=HOUR, expire_after=0.4)
        remember(tmdb, cache)
        time.sleep(0.45)
        response = ask(tmdb, cache)
        assert (response.revalidated, tmdb.count) == (True, 2)
        assert "if-none-match" in sent(tmdb)
        assert where(ask(tmdb, cache)) == "memory"  # the confirmed entry

    @pytest.mark.parametrize(
        ("rules", "headers"),
        [({"offline": True}, {}), ({"only_if_cached": True}, {}), ({}, {"Cache-Control": "max-stale"})],
        ids=["offline", "only_if_cached", "max-stale"],
    )
    def test_who_takes_stale_ones(self, tmdb, warm, collection, rules, headers):
        """Who would take a stale answer gets the newer one that another process has stored in MongoDB."""
        ask(tmdb, warm)
        expire(collection)
        warm.engine.core.memory.forget_all()
        assert cached_tmdb(cache=warm, offline=True)(get)(tmdb).is_expired  # and so remembered
        expire(collection, since=-50, body=b'{"id": 1}')
        found = cached_tmdb(cache=warm, **rules)(get)(tmdb, headers=headers)
        assert (found.json(), where(found), tmdb.count) == ({"id": 1}, "mongodb", 1)

    def test_doors(self, tmdb, warm, commands):
        """Through every door a remembered answer needs no command, and is the same one."""
        remember(tmdb, warm)
        before, content = len(commands.names), ask(tmdb, warm).content
        found = [cached_tmdb(cache=warm)(get)(tmdb)]
        with TMDBSession(warm) as session:
            found += [get(tmdb, session=session), get(tmdb, session=session, stream=True)]
            prepared = session.prepare_request(requests.Request("GET", tmdb.url + MOVIE, params=ANY_KEY))
            found.append(session.send(prepared))
        install(warm)
        found += [get(tmdb), get(tmdb, hooks={"response": lambda *_, **__: None})]
        assert [(where(one), one.content) for one in found] == [("memory", content)] * 6
        assert len(commands.names) == before

    def test_redirects(self, tmdb, warm):
        """A redirected answer comes from memory with its history, and not to who does not follow redirects."""
        tmdb.answer("/3/movie/1", status=301, headers={"Location": f"{tmdb.url}{MOVIE}?api_key={API_KEY}"})
        live = ask(tmdb, warm, "/3/movie/1")
        found = ask(tmdb, warm, "/3/movie/1")
        assert (where(found), found.url, found.content) == ("memory", live.url, live.content)
        assert [hop.status_code for hop in found.history] == [301]
        found.history[0].headers.clear()
        assert ask(tmdb, warm, "/3/movie/1").history[0].headers["Location"] == live.history[0].headers["Location"]
        assert ask(tmdb, warm, "/3/movie/1", allow_redirects=False).status_code == 301

    def test_not_found(self, tmdb, make_cache, collection):
        """A remembered 404 ends with its own expiry, and the 200 that replaces it is what is remembered."""
        cache = make_cache(memory_ttl=HOUR, not_found_expire_after=0.4)
        tmdb.fail("404")
        assert [ask(tmdb, cache).status_code for _ in range(2)] == [404, 404]
        assert tmdb.count == 1
        tmdb.heal()
        time.sleep(0.45)
        assert [where(ask(tmdb, cache)) for _ in range(3)] == [None, "memory", "memory"]
        assert (ask(tmdb, cache).status_code, tmdb.count) == (200, 2)


class TestOwnCopy:
    def test_mutations(self, tmdb, warm):
        """Who changes the JSON, headers or history they were given changes nothing for the next caller."""
        live = ask(tmdb, warm)
        content, etag, wanted = live.content, live.headers["ETag"], live.json()
        for found in (live, ask(tmdb, warm), ask(tmdb, warm)):
            found.json().clear()
            found.json()["genres"] = "mine"
            found.headers.clear()
            found.headers["ETag"] = "mine"
            found.history.append("mine")
            found.cookies.set("a", "b")
        found = ask(tmdb, warm)
        assert (where(found), found.json(), found.content, found.history) == ("memory", wanted, content, [])
        assert (found.headers["ETag"], dict(found.cookies)) == (etag, {})

    def test_pickle(self, tmdb, warm):
        """An answer from memory pickles, and its copy says the same."""
        remember(tmdb, warm)
        found = ask(tmdb, warm)
        copy = pickle.loads(pickle.dumps(found))
        assert (copy.json(), copy.url, copy.headers) == (found.json(), found.url, found.headers)
        assert (copy.from_cache, copy.expires, copy.cache_key) == (True, found.expires, KEY)


_SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "refresh": st.just(True),
        "force_refresh": st.just(True),
        "only_if_cached": st.just(True),
        "offline": st.just(True),
        "cache_control": st.just(True),
        "expire_after": st.sampled_from([0, 60, 200, 100_000, -1]),
        "stale_if_error": st.sampled_from([0, 60, 10_000]),
    },
)
_DIRECTIVES = st.sampled_from(
    (
        *("", "no-cache", "no-store", "max-age=0", "max-age=60", "max-age=5000", "min-fresh=50", "min-fresh=90000"),
        *("max-stale", "max-stale=50", "only-if-cached", "max-age=5000, max-stale=5000", "stale-if-error=10000"),
    )
)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rules=_SETTINGS,
    directives=_DIRECTIVES,
    left=st.sampled_from([-50_000, -200, -20, 20, 80_000]),
    answer=st.sampled_from([{}, {"headers.Cache-Control": "no-cache"}, {"headers.ETag": "?"}, {"headers.Age": "900"}]),
    changed=st.booleans(),
    fault=st.sampled_from([None, "503", "404", "reset"]),
)
@pytest.mark.soak
def test_decisions_are_those_without_memory(
    tmdb, warm, cache, collection, rules, directives, left, answer, changed, fault
):
    """Whatever a call asks for, whatever state its answer is in, it gets the same with a warm memory as without one."""
    headers = {"Cache-Control": directives} if directives else {}
    results = []
    for tried in (cache, warm):
        tmdb.reset()
        for one in (warm, cache):
            one.clear()
            ask(tmdb, one)  # a success, so that what failed before keeps nobody from trying
        collection.database["tmdb_cache_leases"].delete_many({})  # where that is noted for other caches
        expire(collection, since=-left, **answer)
        warm.engine.core.memory.forget_all()
        if left == 80_000:
            collection.update_one({"_id": KEY}, {"$set": {"timestamp": now()}})
        assert cached_tmdb(cache=warm, offline=True)(get)(tmdb).from_cache  # and so remembered, whatever its state
        if changed:
            tmdb.change(MOVIE)
        if fault:
            tmdb.fail(fault)
        tmdb.calls.clear()
        found: list[Any] = []
        for more in ({"headers": headers}, {}):
            try:
                response = cached_tmdb(cache=tried, **rules)(get)(tmdb, **more)
                status = {k: v for k, v in status_of(response).items() if k not in ("ttl", "detail")}
                found.append((response.status_code, response.content, response.from_cache, response.is_expired, status))
            except (OfflineError, requests.ConnectionError) as error:
                found.append(type(error))
        document = collection.find_one({"_id": KEY}, {"body": True, "status": True})
        results.append((found, tmdb.count, ["if-none-match" in sent(tmdb, at) for at in range(tmdb.count)], document))
    assert results[0] == results[1]


class TestStale:
    def test_if_error(self, tmdb, make_cache, caplog):
        """A remembered answer whose time is up stands in for a failing TMDB, as long as stale_if_error lasts."""
        cache = make_cache(memory_ttl=HOUR, expire_after=0.4, stale_if_error=0.6)
        remember(tmdb, cache)
        time.sleep(0.45)
        tmdb.fail("503")
        found = ask(tmdb, cache)
        assert (found.status_code, found.from_cache, found.is_expired) == (200, True, True)
        assert len(warnings(caplog)) == 1
        time.sleep(0.6)
        assert ask(tmdb, cache).status_code == 503

    def test_while_revalidate(self, tmdb, make_cache, collection):
        """A stale answer is served at once, and the one that was fetched behind it is served from memory."""
        cache = make_cache(memory_ttl=HOUR, stale_while_revalidate=600)
        old = ask(tmdb, cache)
        expire(collection, since=10)
        cache.engine.core.memory.forget_all()
        tmdb.change(MOVIE)
        assert ask(tmdb, cache).content == old.content
        end = time.monotonic() + 20
        while time.monotonic() < end:  # memory has it a moment after MongoDB
            kept = cache.engine.core.memory.get(KEY)
            if kept is not None and kept.body != old.content:
                break
            time.sleep(0.01)
        found = ask(tmdb, cache)
        assert (found.content != old.content, where(found), found.is_expired, tmdb.count) == (True, "memory", False, 2)


class TestMongoAway:
    def test_killed(self, tmdb, make_cache, tmp_path, caplog):
        """With MongoDB gone, what was remembered is served, and what is fetched is remembered."""
        with EmbeddedServer(tmp_path / "mongod") as server:
            uri = f"{server.uri}&serverSelectionTimeoutMS=200"
            cache = make_cache(uri=uri, store_timeout=0.3, memory_ttl=HOUR)
            remember(tmdb, cache)
            before = tmdb.count
            os.kill(server.pid, signal.SIGKILL)
            assert where(ask(tmdb, cache)) == "memory"
            assert (tmdb.count, warnings(caplog)) == (before, [])
            assert not ask(tmdb, cache, CREDITS).from_cache
            assert (where(ask(tmdb, cache, CREDITS)), tmdb.count) == ("memory", before + 1)
            # Where TMDB has to be asked, it is asked with what is remembered, and that stands in for it.
            refresh = cached_tmdb(cache=cache, refresh=True)(get)
            assert refresh(tmdb).revalidated
            assert "if-none-match" in sent(tmdb)
            tmdb.fail("503")
            found = refresh(tmdb)
            assert (found.status_code, found.from_cache, where(found)) == (200, True, "memory")
            cache.close()


INVALIDATIONS = {
    "url": lambda cache: cache.invalidate(f"http://{STANDIN.host}{MOVIE}?api_key=x"),
    "title": lambda cache: cache.invalidate(media_type="movie", tmdb_id="550"),
    "clear": lambda cache: cache.clear(),
}
BACKEND = {
    "delete": lambda backend: backend.delete(KEY),
    "bulk_delete": lambda backend: backend.responses.bulk_delete([KEY]),
    "del": lambda backend: backend.responses.__delitem__(KEY),
    "pop": lambda backend: backend.responses.pop(KEY),
    "clear": lambda backend: backend.clear(),
}


class TestInvalidation:
    @pytest.mark.parametrize("by", ["warm", "other"])
    @pytest.mark.parametrize("name", INVALIDATIONS)
    def test_at_once(self, tmdb, warm, other, name, by):
        """invalidate() and clear() of any cache of the process empty the memory of all of them, at once."""
        remember(tmdb, warm, other)
        tmdb.change(MOVIE)
        INVALIDATIONS[name]({"warm": warm, "other": other}[by])
        first = ask(tmdb, warm)
        assert (first.from_cache, where(ask(tmdb, other)), tmdb.count) == (False, "mongodb", 2)
        assert ask(tmdb, other).content == first.content

    def test_all_of_a_title(self, tmdb, warm):
        """With a title go its seasons and credits, and nothing of another one."""
        paths = [MOVIE, CREDITS, "/3/movie/551", "/3/tv/1399", SEASON, "/3/tv/550"]
        for path in paths:
            remember(tmdb, warm, path=path)
        warm.invalidate(media_type="movie", tmdb_id=550)
        assert warm.engine.core.memory.get(KEY) is None
        warm.invalidate(media_type="tv", tmdb_id=1399)
        assert [where(ask(tmdb, warm, path)) for path in paths] == [None, None, "memory", None, None, "memory"]

    @pytest.mark.parametrize("name", BACKEND)
    def test_requests_cache(self, tmdb, warm, make_session, name):
        """What a requests-cache session of the process deletes or clears is forgotten at once."""
        remember(tmdb, warm)
        BACKEND[name](make_session().cache)
        assert not ask(tmdb, warm).from_cache

    def test_requests_cache_stores(self, tmdb, warm, make_session, monkeypatch):
        """A newer answer that a requests-cache session stores is what is served next."""
        monkeypatch.setenv("TMDB_CACHE_HOSTS", tmdb.host)
        remember(tmdb, warm)
        tmdb.change(MOVIE)
        new = get(tmdb, session=make_session(), force_refresh=True)
        found = ask(tmdb, warm)
        assert (found.content, where(found), tmdb.count) == (new.content, "mongodb", 2)

    def test_another_cache_stores(self, tmdb, warm, other):
        """A newer answer that a second cache of the process stores is what the first one serves next."""
        remember(tmdb, warm, other)
        tmdb.change(MOVIE)
        new = cached_tmdb(cache=other, force_refresh=True)(get)(tmdb)
        assert [ask(tmdb, warm).content, ask(tmdb, other).content] == [new.content] * 2
        assert tmdb.count == 2


class TestRaces:
    @pytest.mark.parametrize("name", INVALIDATIONS)
    def test_forgotten_during_a_look_up(self, tmdb, warm, other, commands, name):
        """What is invalidated between being read from MongoDB and being remembered is not remembered."""
        ask(tmdb, other)
        commands.after["find"] = lambda: INVALIDATIONS[name](other)
        assert ask(tmdb, warm).from_cache
        assert not ask(tmdb, warm).from_cache

    @pytest.mark.parametrize("name", INVALIDATIONS)
    def test_forgotten_during_a_fetch(self, tmdb, warm, other, collection, name):
        """An answer that was asked for before an invalidation is not in memory after it."""
        with asking(tmdb, warm):
            INVALIDATIONS[name](other)
        collection.delete_many({})
        assert not ask(tmdb, warm).from_cache

    def test_stored_during_a_look_up(self, tmdb, warm, other, commands):
        """An answer read from MongoDB does not take the place of a newer one that another thread stored meanwhile."""
        old = ask(tmdb, other)
        tmdb.change(MOVIE)
        commands.after["find"] = lambda: cached_tmdb(cache=warm, force_refresh=True)(get)(tmdb)
        assert ask(tmdb, warm).content == old.content
        assert (ask(tmdb, warm).content != old.content, tmdb.count) == (True, 2)

    def test_looked_up_during_a_write(self, tmdb, warm, other, commands):
        """What a second cache reads just before a newer answer is written is not what it serves afterwards."""
        remember(tmdb, other)
        tmdb.change(MOVIE)
        commands.before["update"] = lambda: ask(tmdb, other)
        new = cached_tmdb(cache=warm, force_refresh=True)(get)(tmdb)
        assert ask(tmdb, other).content == new.content

    def test_stored_during_a_validation(self, tmdb, warm, collection):
        """A 304 for an answer that another thread has replaced meanwhile does not bring the old one back."""
        old = ask(tmdb, warm)
        expire(collection)
        warm.engine.core.memory.forget_all()
        with asking(tmdb, warm):
            assert "if-none-match" in sent(tmdb)
            tmdb.change(MOVIE)
            new = cached_tmdb(cache=warm, force_refresh=True)(get)(tmdb)
        assert new.content != old.content
        assert collection.find_one({"_id": KEY})["body"] == new.content
        assert ask(tmdb, warm).content == new.content


class TestClosing:
    def test_closed(self, tmdb, warm):
        """A closed cache serves nothing from memory and holds nothing there: its calls go straight to TMDB."""
        remember(tmdb, warm)
        with enabled(warm):
            warm.close()
            assert [get(tmdb).from_cache for _ in range(2)] == [False, False]
        assert warm.engine.core.memory.bytes == 0

    def test_dropped(self, tmdb, mongo_uri, database):
        """Caches that are dropped leave no tier behind, whatever they were used for."""
        gc.collect()
        before = len(memory._all_tiers())
        for _ in range(3):
            cache = TMDBCache(uri=mongo_uri, database=database, hosts=[tmdb.host], store_timeout=10)
            remember(tmdb, cache)
            cache.clear()
        assert len(memory._all_tiers()) > before
        del cache
        gc.collect()
        eventually(lambda: len(memory._all_tiers()) == before)

    def test_offline(self, tmdb, warm):
        """Offline a remembered answer is served, a missing one is an OfflineError, and nothing is called."""
        remember(tmdb, warm)
        offline = cached_tmdb(cache=warm, offline=True)(get)
        assert where(offline(tmdb)) == "memory"
        with pytest.raises(OfflineError):
            offline(tmdb, CREDITS)
        assert tmdb.count == 1
