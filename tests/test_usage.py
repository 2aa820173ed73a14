"""Sums of the counts of all processes: collected, added up, reported."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import bson
import pytest
import requests

from tmdb_mongo_cache import ConfigError, StoreError, TMDBCache, UsageReport, enabled
from tmdb_mongo_cache.inspection.usage import Usage, report
from tmdb_mongo_cache.metrics import flush
from tmdb_mongo_cache.metrics.counters import Counters
from tmdb_mongo_cache.standin import StandIn
from tmdb_mongo_cache.tmdb.endpoints import ENDPOINTS

from .flowkit import expire, get, now
from .waitkit import eventually

TODAY = date(2026, 11, 22)
DETAILS, CREDITS = "/3/movie/{movie_id}", "/3/movie/{movie_id}/credits"


@pytest.fixture
def sums(mongo: Any, database: str) -> Any:
    """The collection of the sums, by a plain client."""
    return mongo[database]["tmdb_cache_stats"]


def test_what_a_process_counts_is_summed_up(cache: TMDBCache, tmdb: StandIn, sums: Any) -> None:
    """usage() has this process's calls at once, by day and by endpoint, and they are in MongoDB then."""
    with enabled(cache):
        answer = get(tmdb)
        get(tmdb)
        requests.get(f"{tmdb.url}/3/account/7?api_key=any")
    found = cache.usage()
    total = found.total
    assert (total.memory, total.mongodb, total.misses, total.straight, total.calls) == (0, 1, 1, 1, 3)
    assert found.total.bytes_saved == len(answer.content)
    assert [(name, row.calls) for name, row in found.endpoints] == [(DETAILS, 2), ("other", 1)]
    assert [day for day, _ in found.days] == [now().date()]
    (document,) = sums.find()
    assert document["_id"] == now().date().isoformat()
    assert document["endpoints"][DETAILS]["mongodb"]["n"] == 1
    assert document["schema"] == 1
    assert abs((document["updated_at"].replace(tzinfo=None) - now().replace(tzinfo=None)).total_seconds()) < 60


def test_nothing_is_added_twice(make_cache: Callable[..., TMDBCache], tmdb: StandIn) -> None:
    """Asking again and closing add only what is new; two caches add up."""
    for _ in range(2):
        cache = make_cache()
        with enabled(cache):
            get(tmdb)
            assert cache.usage() == cache.usage()
            get(tmdb)
        cache.close()
    total = make_cache().usage().total
    assert (total.misses, total.mongodb) == (1, 3)


def test_no_thread_outlives_the_cache(cache: TMDBCache, tmdb: StandIn) -> None:
    """The thread that adds counts is there after a call, and gone when the cache is closed."""

    def names() -> list[str]:
        return [thread.name for thread in threading.enumerate() if thread.name == "tmdb-mongo-cache-stats"]

    with enabled(cache):
        get(tmdb)
    assert names() != []
    cache.close()
    eventually(lambda: names() == [])


def test_closing_adds_the_rest(cache: TMDBCache, tmdb: StandIn, sums: Any) -> None:
    """close() leaves nothing uncounted."""
    with enabled(cache):
        get(tmdb)
    assert sums.count_documents({}) == 0
    cache.close()
    assert sums.find_one({})["endpoints"][DETAILS]["miss"]["n"] == 1


def test_a_cache_that_nobody_closes(
    make_cache: Callable[..., TMDBCache], tmdb: StandIn, sums: Any, mongo_uri: str, database: str
) -> None:
    """A cache that is dropped adds its counts when it goes."""
    cache = TMDBCache(uri=mongo_uri, database=database, hosts=[tmdb.host], memory_ttl=0, store_timeout=10)
    with enabled(cache):
        get(tmdb)
    del cache
    gc.collect()
    eventually(lambda: sums.find_one({}) is not None)
    assert sums.find_one({})["endpoints"][DETAILS]["miss"]["n"] == 1


def test_garbage_collected_while_pymongo_holds_a_lock(tmdb: StandIn, mongo: Any, database: str, sums: Any) -> None:
    """A cache in a cycle may be collected at any moment, also in the middle of an operation of the same client."""
    cache = TMDBCache(client=mongo, database=database, hosts=[tmdb.host], memory_ttl=0, store_timeout=10)
    cache.itself = cache  # type: ignore[attr-defined]
    with enabled(cache):
        get(tmdb)
    del cache
    (server,) = mongo._topology._servers.values()
    with server.pool.lock:
        gc.collect()
    eventually(lambda: sums.find_one({}) is not None)


def test_turned_off(make_cache: Callable[..., TMDBCache], tmdb: StandIn, sums: Any) -> None:
    """With statistics=False nothing is added; the process's own counts are there."""
    cache = make_cache(statistics=False)
    with enabled(cache):
        get(tmdb)
    assert cache.stats().misses == 1
    assert {day for day, _, kind in cache.engine.recorder.counters._buckets if kind == "miss"} == {0}
    assert cache.usage() == UsageReport(Usage(), (), ())
    cache.close()
    assert sums.count_documents({}) == 0


def test_counts_that_cannot_be_added_are_kept(
    mongo: Any, make_cache: Callable[..., TMDBCache], tmdb: StandIn, sums: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A collection that takes nothing costs no warning, opens no breaker, and what was counted is added later."""
    sums.insert_one({"_id": now().date().isoformat(), "endpoints": "not what it should be"})
    cache = make_cache()
    with enabled(cache):
        get(tmdb)
        cache.engine.recorder.flusher.flush()  # type: ignore[union-attr]
        assert get(tmdb).from_cache
        assert get(tmdb, "/3/movie/603").from_cache is False
        assert get(tmdb, "/3/movie/603").from_cache
    assert not [record for record in caplog.records if record.levelname != "DEBUG"]
    sums.delete_many({})
    total = cache.usage().total
    assert (total.misses, total.mongodb) == (2, 2)


def test_counts_from_before_a_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a cache has counted before a test goes to the test's database only with what it counts there."""
    monkeypatch.setattr(flush, "_schedule", flush._Schedule())
    monkeypatch.setattr(flush, "_FIRST", 60)
    added: list[int] = []

    def write(counts: Any, _: float | None) -> bool:
        added.append(sum(number for number, *_ in counts.values()))
        return True

    idle, busy = Counters(), Counters()
    flushers = {counters: flush.Flusher(counters, write, lambda: True) for counters in (idle, busy)}
    for counters in (idle, busy):
        counters.add("miss")
        flushers[counters].schedule()
    with flush._schedule.held():
        for _ in range(2):
            busy.add("miss")
            flushers[busy].schedule()
        assert added == []
    assert added == [3]
    flushers[idle].close()
    assert added == [3, 1]


def test_foreign_documents_hide_nothing(cache: TMDBCache, tmdb: StandIn, sums: Any) -> None:
    """What another program has written among the counts is no count, and no error."""
    with enabled(cache):
        get(tmdb)
    before = cache.usage()
    sums.insert_many(
        [
            {"_id": "9999-99-99"},
            {"_id": "zzz"},
            {"_id": bson.ObjectId()},
            {"_id": "9000-01-01", "endpoints": [1, 2]},
            {"_id": "9000-01-02", "endpoints": {"x": 5, "y": {"miss": "many"}, "z": {"miss": {"n": "many"}}}},
            {"_id": "2020-01-01", "endpoints": {"[/x]": {"miss": {"n": float("inf"), "seconds": float("nan")}}}},
            {"_id": "2020-01-02", "endpoints": {"y": {"miss": {"n": -5}, "nonsense": {"n": 5}}}},
        ]
    )
    assert cache.usage().total == before.total
    assert dict(cache.usage().endpoints)[DETAILS] == dict(before.endpoints)[DETAILS]


def test_days(cache: TMDBCache, sums: Any) -> None:
    """Only the days that are requested are added up."""
    today = now().date()
    for back in (0, 1, 29, 30, 400):
        count = {"n": 10**back if back < 3 else back, "bytes": 0, "seconds": 0.0}
        sums.insert_one({"_id": (today - timedelta(days=back)).isoformat(), "endpoints": {DETAILS: {"miss": count}}})
    assert cache.usage(days=1).total.misses == 1
    assert cache.usage(days=2).total.misses == 11
    assert cache.usage().total.misses == 40
    assert cache.usage(days=36500).total.misses == 11 + 29 + 30 + 400
    assert len(cache.usage().days) == 30


@pytest.mark.parametrize("days", [0, -1, 1.5, "7", True, None, 10**9])
def test_days_must_be_a_number(cache: TMDBCache, days: Any) -> None:
    """Anything else is a ConfigError."""
    with pytest.raises(ConfigError, match="days must be a number of days"):
        cache.usage(days=days)


def test_without_mongodb() -> None:
    """usage() raises a StoreError where MongoDB cannot be reached."""
    with TMDBCache(uri="mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=100") as cache, pytest.raises(StoreError):
        cache.usage()


def test_time_saved() -> None:
    """A hit saves what a call to the same endpoint takes in the mean, less what it took; else that of all endpoints."""
    found = report(
        {
            (TODAY, DETAILS): {"miss": (2, 10, 0.4), "memory": (10, 50, 0.001), "failed": (1, 0, 30.0)},
            (TODAY, CREDITS): {"mongodb": (3, 9, 0.03), "stale": (1, 3, 5.0)},
        },
        TODAY,
    )
    rows = dict(found.endpoints)
    assert rows[DETAILS].seconds_saved == pytest.approx(10 * 0.2 - 0.001)
    assert rows[CREDITS].seconds_saved == pytest.approx(3 * 0.2 - 0.03)
    assert found.total.seconds_saved == pytest.approx(2.569)
    assert found.total.bytes_saved == 50 + 9 + 3
    assert rows[DETAILS].misses == 3
    assert rows[DETAILS].failed == 1
    assert found.total.calls_saved == 13
    assert found.total.calls == 17
    assert found.total.hit_ratio == pytest.approx(14 / 17)


def test_slower_than_tmdb_saves_no_time() -> None:
    """Where the cache was slower than TMDB the time saved is negative, and the rows add up to the total."""
    counts = {(TODAY, DETAILS): {"miss": (1, 1, 0.01), "mongodb": (1, 1, 5.0)}, (TODAY, CREDITS): {"memory": (9, 1, 0)}}
    found = report(counts, TODAY)
    assert found.total.seconds_saved == pytest.approx(10 * 0.01 - 5.0)
    assert sum(row.seconds_saved for _, row in found.endpoints) == pytest.approx(found.total.seconds_saved)


@pytest.mark.parametrize("kind", ["miss", "background"])
def test_what_a_call_takes_is_told_by_earlier_days(kind: str) -> None:
    """A cache that was filled before the days that are requested has saved the time that filling it took."""
    before = TODAY - timedelta(days=40)
    counts = {(before, DETAILS): {kind: (2, 1, 0.2)}, (TODAY, DETAILS): {"memory": (10, 1, 0.0)}}
    found = report(counts, TODAY, TODAY)
    assert found.total.seconds_saved == pytest.approx(1.0)
    assert (found.total.calls, len(found.days)) == (10, 1)
    assert report({(TODAY, DETAILS): {"memory": (10, 1, 0.5)}}, TODAY).total.seconds_saved == 0


def test_days_without_calls_are_there() -> None:
    """Between the first day with calls and today every day has its row."""
    found = report({(TODAY - timedelta(days=3), DETAILS): {"miss": (1, 1, 1.0)}}, TODAY)
    assert [(day.day, row.calls) for day, row in found.days] == [(19, 1), (20, 0), (21, 0), (22, 0)]


def test_no_endpoint_breaks_the_path_of_a_count() -> None:
    """MongoDB would read a dot or a dollar in an endpoint's name as something else; there is none."""
    assert not [name for name in ENDPOINTS if "." in name or "$" in name]


def test_earlier_days_do_not_pile_up() -> None:
    """Of days that are over and written the sums alone are kept; the counts of the process stay what they were."""
    counters = Counters()
    for day in range(100, 400):
        counters.note(day, DETAILS, "memory", 5, 0.1)
        counters.note_written(counters.unwritten())
    assert counters.snapshot().hits == 300
    assert counters.snapshot().bytes_saved == 1500
    assert len(counters._buckets) <= 3
    assert counters.unwritten() == {}


def test_what_warm_and_refresh_do_is_added_up(make_cache: Callable[..., TMDBCache], tmdb: StandIn, sums: Any) -> None:
    """What the cache fetches by itself is among the sums, the feed's pages too, though no program has called."""
    tmdb.feed_pages = {"movie": 1, "tv": 0, "person": 0}
    with make_cache() as cache:
        cache.warm([550, 603], api_key="0" * 32, base_url=tmdb.url)
    assert sums.find_one({})["endpoints"][DETAILS]["background"]["n"] == 2
    with make_cache() as cache:
        pages = cache.refresh_changes(api_key="0" * 32, base_url=tmdb.url).pages
    assert sums.find_one({})["endpoints"]["/3/movie/changes"]["background"]["n"] == pages > 0
    assert make_cache().usage().total.calls == 0


def test_a_background_call_that_failed_is_no_measure(
    make_cache: Callable[..., TMDBCache], tmdb: StandIn, collection: Any, sums: Any
) -> None:
    """A refresh behind a caller that TMDB fails is counted, but not among those that tell what a call takes."""
    cache = make_cache(stale_while_revalidate=3600)
    with enabled(cache):
        expire(collection, get(tmdb).cache_key)
        tmdb.fail("503")
        get(tmdb)
    cache.close()
    kinds = sums.find_one({})["endpoints"][DETAILS]
    assert sorted(kinds) == ["background_failed", "miss", "stale"]
    assert cache.stats().background == 1


def test_a_refresh_under_way_is_added_up(
    make_cache: Callable[..., TMDBCache], tmdb: StandIn, collection: Any, sums: Any
) -> None:
    """close() waits for what is being refreshed behind callers, and counts it."""
    cache = make_cache(stale_while_revalidate=3600)
    with enabled(cache):
        expire(collection, get(tmdb).cache_key)
        tmdb.latency = 0.3
        get(tmdb)
    cache.close()
    assert sums.find_one({})["endpoints"][DETAILS]["background"]["n"] == 1
