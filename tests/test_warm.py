"""Filling the cache: only what is missing or stale is fetched, within TMDB's limits, and every end has its sentence."""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import count, pairwise
from typing import Any

import pymongo
import pytest
from pymongo.monitoring import CommandListener

from tmdb_mongo_cache import ConfigError, StoreError, TMDBCache, UpstreamError, enabled, install
from tmdb_mongo_cache.maintenance.tmdb_client import Upstream
from tmdb_mongo_cache.maintenance.warm import Warmer
from tmdb_mongo_cache.mongo.embedded.server import EmbeddedServer
from tmdb_mongo_cache.standin import StandIn

from .flowkit import API_KEY, START, expire, get, now, paths

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJhdWQiOiJzZWNyZXQiLCJzdWIiOiIxIn0.c2VjcmV0LXNpZ25hdHVyZQ"
KEYED = f"{START}/3"


@pytest.fixture
def fill(cache: TMDBCache, tmdb: StandIn) -> Callable[..., Any]:
    """Warm this test's cache, or another, from the stand-in; its numbers always add up."""

    def fill(ids: Any, *, of: TMDBCache = cache, **options: Any) -> Any:
        report = of.warm(ids, **{"api_key": "any", "base_url": tmdb.url, "rate": 5000, **options})
        parts = report.fetched + report.confirmed + report.fresh + report.missing + len(report.failed)
        assert parts == report.total
        return report

    return fill


def age(collection: Any) -> None:
    for document in collection.find({}, {"_id": 1}):
        expire(collection, document["_id"])


# What is fetched


def test_only_what_is_missing(fill: Any, tmdb: StandIn, collection: Any) -> None:
    """What is fresh costs no call, and the rest is fetched and stored."""
    fill([1, 2, 3])
    report = fill(range(1, 8))
    assert (report.fetched, report.fresh, report.calls, report.total) == (4, 3, 4, 7)
    assert sorted(paths(tmdb)) == [f"/3/movie/{number}" for number in range(1, 8)]
    assert collection.count_documents({}) == 7


def test_a_second_run_makes_no_call(fill: Any, tmdb: StandIn) -> None:
    """Whoever fills the cache again makes no call, whatever is asked for."""
    options: dict[str, Any] = {"append": ("credits",), "params": {"language": "de"}, "coalesce_appended": False}
    fill([1, 2], **options)
    before = tmdb.count
    report = fill([1, 2], **options)
    assert (tmdb.count - before, report.calls, report.fresh) == (0, 0, 4)


def test_repeated_ids(fill: Any, tmdb: StandIn) -> None:
    """An id that is given twice, in whatever spelling, is fetched and counted once."""
    report = fill([5, "5", 6, 5, "05"])
    assert (report.total, report.fetched, tmdb.count) == (2, 2, 2)


@pytest.mark.parametrize("one", [550, "550"])
def test_one_id(fill: Any, tmdb: StandIn, one: Any) -> None:
    """A single id needs no list around it."""
    assert fill(one).fetched == 1
    assert paths(tmdb) == ["/3/movie/550"]


def test_no_ids(fill: Any, tmdb: StandIn) -> None:
    """Nothing to fetch is no error."""
    assert fill(iter([])).total == tmdb.count == 0


@pytest.mark.parametrize("kind", ["movie", "tv", "person", "collection", "company", "network", "keyword"])
def test_types(fill: Any, tmdb: StandIn, cache: TMDBCache, kind: str) -> None:
    """Each type is fetched from its own path, and found there by a program."""
    assert fill([7], media_type=kind).fetched == 1
    with enabled(cache):
        assert get(tmdb, f"/3/{kind}/7").from_cache
    assert paths(tmdb) == [f"/3/{kind}/7"]


def test_stale_ones_are_validated(fill: Any, tmdb: StandIn, collection: Any) -> None:
    """A stale answer with an ETag is asked for by it, and fetched again only where it has changed."""
    fill([1, 2, 3])
    age(collection)
    tmdb.change("/3/movie/2")
    report = fill([1, 2, 3])
    assert (report.confirmed, report.fetched, report.calls) == (2, 1, 3)
    assert all("if-none-match" in {name.lower() for name in call.headers} for call in tmdb.calls[3:])
    assert collection.count_documents({"expires_at": {"$gt": now()}}) == 3


@pytest.mark.parametrize("odd", [{"schema": 99}, {"timestamp": now() + timedelta(days=1)}], ids=["schema", "tomorrow"])
def test_what_every_call_misses(fill: Any, tmdb: StandIn, cache: TMDBCache, collection: Any, odd: Any) -> None:
    """An entry that no program's call can use (another schema, fetched tomorrow) is missing, and is fetched."""
    fill([1])
    collection.update_one({}, {"$set": odd})
    fill([1])
    with enabled(cache):
        assert get(tmdb, "/3/movie/1").from_cache


def test_one_query_for_500(
    fill: Any, make_cache: Any, mongo_uri: str, collection: Any, tmdb: StandIn, cache: TMDBCache
) -> None:
    """A thousand fresh ones are found by two queries, and nothing else is asked of MongoDB."""
    fill([1])
    document = collection.find_one({}, {"data": 0, "body": 0})
    collection.insert_many({**document, "_id": f"{KEYED}/movie/{number}"} for number in range(2, 1001))
    asked: Counter[str] = Counter()

    class Listener(CommandListener):
        def started(self, event: Any) -> None:
            asked[event.command_name] += 1

        def succeeded(self, event: Any) -> None: ...

        def failed(self, event: Any) -> None: ...

    with pymongo.MongoClient(mongo_uri, event_listeners=[Listener()]) as client:
        watched = make_cache(uri=None, client=client)
        assert fill(range(1, 1001), of=watched).fresh == 1000
    del asked["hello"], asked["endSessions"], asked["ping"]
    # getMore: 500 keys of this length come in several batches.
    del asked["getMore"]
    assert asked == {"find": 2}
    assert tmdb.count == 1


# Parts and params


def test_appended_by_one_call(fill: Any, tmdb: StandIn, cache: TMDBCache) -> None:
    """Parts come with the title by one call, which a program that appends the same finds in any order."""
    report = fill([1, 2], append=["credits", "images", "credits"], params={"language": "de"})
    assert (report.calls, report.total) == (2, 2)
    with enabled(cache):
        params = {"append_to_response": "images,credits", "language": "de"}
        found = get(tmdb, "/3/movie/2", params=params)
        assert not get(tmdb, "/3/movie/2", params={**params, "language": "fr"}).from_cache
    assert found.from_cache
    assert {"credits", "images"} <= set(found.json())


def test_parts_of_what_was_appended(fill: Any, tmdb: StandIn, make_cache: Any) -> None:
    """With reuse_appended a program's calls for the parts, and for the title alone, are answered as well."""
    cache = make_cache(reuse_appended=True)
    fill([1], of=cache, append=("credits", "keywords"))
    with enabled(cache):
        for path in ("/3/movie/1", "/3/movie/1/credits", "/3/movie/1/keywords"):
            assert get(tmdb, path).from_cache, path
        assert get(tmdb, "/3/movie/1", params={"append_to_response": "credits"}).from_cache
    assert tmdb.count == 1


def test_more_than_twenty_parts(fill: Any, tmdb: StandIn, make_cache: Any) -> None:
    """Over twenty parts come in several calls of twenty at most, and each part in one of them."""
    cache = make_cache(reuse_appended=True)
    seasons = [f"season/{number}" for number in range(1, 43)]
    assert fill([7], of=cache, media_type="tv", append=seasons).calls == 3
    sent = [dict(call.query)["append_to_response"].split(",") for call in tmdb.calls]
    assert sorted(map(len, sent)) == [2, 20, 20]
    assert sorted(part for parts in sent for part in parts) == sorted(seasons)


def test_separately(fill: Any, tmdb: StandIn, cache: TMDBCache) -> None:
    """Parts by themselves are what programs find that ask for them by themselves."""
    fill([7], media_type="tv", append="credits, season/1", coalesce_appended=False, params={"language": "de"})
    with enabled(cache):
        for path in ("/3/tv/7", "/3/tv/7/credits", "/3/tv/7/season/1"):
            assert get(tmdb, path, params={"language": "de"}).from_cache, path
    assert tmdb.count == 3


# Limits


def test_connections(fill: Any, tmdb: StandIn) -> None:
    """There are never more calls under way than connections, and as many as that."""
    lock, under_way, most = threading.Lock(), 0, 0

    def on_call(_: Any) -> None:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.05)
        with lock:
            under_way -= 1

    tmdb.on_call = on_call
    fill(range(1, 31), connections=3)
    assert most == 3


@pytest.mark.parametrize(
    ("rate", "most", "seconds", "calls"), [(10, 10, 1.0, 21), pytest.param(2.5, 2, 0.8, 5, marks=pytest.mark.soak)]
)
def test_rate(fill: Any, tmdb: StandIn, rate: float, most: int, seconds: float, calls: int) -> None:
    """Calls go out at the rate and not faster, whatever the number of connections."""
    arrived: list[float] = []
    tmdb.on_call = lambda _: arrived.append(time.monotonic())
    began = time.monotonic()
    fill(range(1, calls + 1), rate=rate)
    for number, moment in enumerate(sorted(arrived), 1):
        # A call may come late, never early.
        assert number <= most * (math.floor((moment - began) / seconds + 0.01) + 1)
    assert tmdb.count == calls


def test_programs_do_not_wait_for_the_rate(fill: Any, tmdb: StandIn, make_cache: Any) -> None:
    """A program that asks for what is only waiting for its turn does not wait with it, and nothing is fetched twice."""
    begun = threading.Event()
    tmdb.on_call = lambda _: begun.set()
    filling = threading.Thread(target=fill, args=([1, 2],), kwargs={"rate": 0.3, "connections": 2})
    filling.start()
    try:
        assert begun.wait(30)
        time.sleep(0.1)
        tmdb.on_call = None
        other = 3 - int(paths(tmdb)[0].rpartition("/")[2])
        began = time.monotonic()
        with enabled(make_cache()):
            get(tmdb, f"/3/movie/{other}", timeout=30)
        took = time.monotonic() - began
    finally:
        filling.join()
    assert took < 2.5
    assert tmdb.count == 2


def test_rate_limit(fill: Any, tmdb: StandIn) -> None:
    """A 429's Retry-After is waited for by all, and nothing fails."""
    arrived: list[float] = []
    tmdb.on_call = lambda _: arrived.append(time.monotonic())
    tmdb.fail("429", times=3, retry_after=1)
    report = fill(range(1, 21), connections=4)
    assert (report.failed, report.fetched, report.calls) == ((), 20, 23)
    assert max(later - earlier for earlier, later in pairwise(sorted(arrived))) > 0.9


def test_rate_limit_over_stale_ones(fill: Any, tmdb: StandIn, collection: Any) -> None:
    """A 429 is waited for where there is an older answer, too."""
    fill([1, 2, 3])
    age(collection)
    tmdb.fail("429", times=2, retry_after=1)
    report = fill([1, 2, 3])
    assert (report.failed, report.confirmed) == ((), 3)


# What fails


def test_failures_are_listed(fill: Any, tmdb: StandIn) -> None:
    """What could not be fetched is listed by its id and why, and a later run fetches it alone."""
    tmdb.fail("503", path="/3/movie/7")
    tmdb.fail("not-json", path="/3/movie/8")
    tmdb.fail("reset", path="/3/movie/9")
    report = fill([5, 6, 7, 8, 9])
    assert {name for name, _ in report.failed} == {"movie 7", "movie 8", "movie 9"}
    assert dict(report.failed)["movie 7"] == "status 503"
    assert report.fetched == 2
    tmdb.heal()
    report = fill([5, 6, 7, 8, 9])
    assert (report.fetched, report.fresh, report.failed) == (3, 2, ())


def test_failing_parts_are_named(fill: Any, tmdb: StandIn) -> None:
    """A part that could not be fetched by itself is named after its title."""
    tmdb.fail("503", path="/credits")
    report = fill([5], append=["credits"], coalesce_appended=False)
    assert report.failed == (("movie 5/credits", "status 503"),)


def test_unknown_ids(fill: Any, tmdb: StandIn) -> None:
    """What TMDB does not know is counted as such, and not asked for again within the hour."""
    tmdb.fail("404", path="/3/movie/4")
    report = fill([3, 4])
    assert (report.missing, report.fetched, report.failed) == (1, 1, ())
    assert fill([3, 4]).calls == 0


def test_failures_here_and_there(fill: Any, tmdb: StandIn) -> None:
    """Failures that are not in a row do not end it, however many they are."""
    tmdb.fail("503", path="/3/movie/9")
    report = fill([number for pair in range(1, 31) for number in (900 + pair, 100 + pair)], connections=1)
    assert (len(report.failed), report.fetched) == (30, 30)


@pytest.mark.parametrize("fault", ["503", "refuse", "success-false"])
def test_tmdb_down(fill: Any, tmdb: StandIn, fault: str) -> None:
    """A TMDB that is down ends it after twenty failures in a row, with one sentence."""
    tmdb.fail(fault)
    with pytest.raises(
        UpstreamError, match=r"^TMDB fails repeatedly \(.+\); run the command again to resume$"
    ) as raised:
        fill(range(1, 100_000), connections=5)
    assert tmdb.count <= 20 + 2 * 5
    assert "any" not in str(raised.value).replace("again", "")


@pytest.mark.parametrize("status", ["401", "403"])
def test_wrong_key(fill: Any, tmdb: StandIn, collection: Any, caplog: pytest.LogCaptureFixture, status: str) -> None:
    """A key that TMDB refuses ends it at once, and is neither told, logged nor stored."""
    caplog.set_level("DEBUG", logger="tmdb_mongo_cache")
    fill([1], api_key=API_KEY)
    tmdb.fail(status) if status == "401" else tmdb.answer("/3/movie/2", status=403, body=b"{}")
    with pytest.raises(UpstreamError, match=f"rejects the API key.*{status}") as raised:
        fill([2, *range(10, 1000)] if status == "401" else [2], api_key=API_KEY, connections=3)
    assert tmdb.count <= 1 + 2 * 3
    ours = "".join(record.getMessage() for record in caplog.records if record.name.startswith("tmdb_mongo_cache"))
    for text in (str(raised.value), repr(raised.value.__context__), repr(list(collection.find())), ours):
        assert API_KEY not in text


def test_bearer_token(fill: Any, tmdb: StandIn, collection: Any) -> None:
    """A token goes as TMDB wants it: in the Authorization header alone; and is not stored."""
    fill([1], api_key=TOKEN)
    call = tmdb.calls[0]
    assert {name.lower(): value for name, value in call.headers.items()}["authorization"] == f"Bearer {TOKEN}"
    assert "api_key" not in dict(call.query)
    assert TOKEN not in repr(list(collection.find()))


def test_key_from_the_environment(fill: Any, tmdb: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without api_key it is TMDB_API_KEY's; without that one sentence."""
    with pytest.raises(ConfigError, match="TMDB_API_KEY"):
        fill([1], api_key=None)
    monkeypatch.setenv("TMDB_API_KEY", API_KEY)
    fill([1], api_key=None)
    assert dict(tmdb.calls[0].query)["api_key"] == API_KEY


def test_beside_another_cache(fill: Any, make_cache: Any, mongo: Any, database: str) -> None:
    """An installed cache neither stores nor holds up what another is filled with."""
    other = make_cache(collection="other", offline=True)
    install(other)
    assert fill([1, 2]).fetched == 2
    assert sum(value for value in other.stats() if isinstance(value, int)) == 0
    assert "other" not in mongo[database].list_collection_names()


def test_progress(fill: Any, tmdb: StandIn) -> None:
    """Progress rises to the total, whatever becomes of each."""
    fill([1, 2])
    tmdb.fail("404", path="/3/movie/5")
    tmdb.fail("503", path="/3/movie/6")
    told: list[tuple[str, int, int]] = []
    fill(range(1, 9), progress=lambda *what: told.append(what))
    assert all(isinstance(what, str) and what for what, _, _ in told)
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)
    assert told[-1][1:] == (8, 8)
    assert {total for _, _, total in told} == {8}


# MongoDB


@pytest.fixture
def own(tmp_path: Any, make_cache: Any) -> Iterator[tuple[EmbeddedServer, TMDBCache]]:
    """A mongod of this test's own, and a cache on it."""
    with EmbeddedServer(tmp_path / "mongod") as server:
        yield server, make_cache(uri=server.uri, store_timeout=1)


def test_mongodb_killed(fill: Any, tmdb: StandIn, own: Any) -> None:
    """A MongoDB that goes away in the middle ends it soon, and the error says that it was MongoDB."""
    server, cache = own
    fill([1], of=cache)

    calls = count()

    def on_call(_: Any) -> None:
        if next(calls) == 30:
            os.kill(server.pid, signal.SIGKILL)

    tmdb.on_call = on_call
    with pytest.raises(StoreError):
        fill(range(2, 400), of=cache)
    assert tmdb.count < 350


def test_mongodb_read_only(fill: Any, tmdb: StandIn, mongo: Any, database: str) -> None:
    """Where MongoDB stores nothing, hundreds of calls are not made for nothing: the error says that it was MongoDB."""
    mongo[database].create_collection("tmdb_cache", viewOn="elsewhere")
    with pytest.raises(StoreError):
        fill(range(1, 200))
    assert tmdb.count < 100


def test_mongodb_slow_for_a_moment(fill: Any, tmdb: StandIn, own: Any) -> None:
    """A MongoDB that does not answer for half a second costs no answer: nobody waits for these calls."""
    server, _ = own
    with TMDBCache(uri=server.uri, hosts=tmdb.host) as cache:
        fill([1], of=cache)
        calls, waking = count(), threading.Timer(0.7, os.kill, (server.pid, signal.SIGCONT))

        def on_call(_: Any) -> None:
            if next(calls) == 30:
                os.kill(server.pid, signal.SIGSTOP)
                waking.start()

        tmdb.on_call = on_call
        try:
            report = fill(range(2, 200), of=cache)
        finally:
            waking.cancel()
            os.kill(server.pid, signal.SIGCONT)
        assert (report.failed, report.fetched) == ((), 198)


# Interrupted


def test_interrupted_at_the_start(cache: TMDBCache, tmdb: StandIn, collection: Any) -> None:
    """What is under way when it is interrupted at the very start is stored, and counted."""
    begun = threading.Event()
    tmdb.on_call = lambda _: begun.set()

    def interrupt(*_: Any) -> None:
        assert begun.wait(30)
        raise KeyboardInterrupt

    with Upstream(cache.engine, api_key="any", base_url=tmdb.url, rate=5000, connections=4) as upstream:
        warmer = Warmer(upstream, range(1, 30), progress=interrupt)
        with pytest.raises(KeyboardInterrupt):
            warmer.run()
    assert 0 < tmdb.count == collection.count_documents({})
    assert (warmer.report.fetched, warmer.report.calls) == (tmdb.count, tmdb.count)


# What was given


@pytest.mark.parametrize(
    "given",
    [
        {"ids": ["abc"]},
        {"ids": [0]},
        {"ids": [-5]},
        {"ids": -5},
        {"ids": [True]},
        {"ids": [1.5]},
        {"ids": [2**63]},
        {"ids": [""]},
        {"ids": ["٣"]},
        {"ids": ["550/credits"]},
        {"ids": ""},
        {"media_type": "film"},
        {"media_type": 5},
        {"append": ["account_states"]},
        {"append": ["season/1"]},
        {"append": ["nonsense"]},
        {"append": ["season/1/credits"], "media_type": "tv"},
        {"append": ["credits"], "media_type": "keyword"},
        {"rate": 0},
        {"rate": -1},
        {"rate": math.nan},
        {"rate": math.inf},
        {"rate": "20"},
        {"rate": True},
        {"connections": 0},
        {"connections": 21},
        {"connections": 2.0},
        {"connections": True},
        {"params": {"api_key": "secret"}},
        {"params": {"session_id": "secret"}},
        {"params": {"append_to_response": "credits"}},
        {"min_popularity": 5.0},
        {"base_url": "https://example.com"},
        {"base_url": "ftp://api.themoviedb.org"},
        {"base_url": "https://api.themoviedb.org/3/movie"},
        {"base_url": "https://api.themoviedb.org/4"},
        {"base_url": ""},
        {"base_url": None},
        {"api_key": "two words"},
        {"api_key": "ключ"},
        {"api_key": "  "},
    ],
    ids=lambda given: f"{next(iter(given))}={next(iter(given.values()))!r}"[:40],
)
def test_what_cannot_be_used(fill: Any, tmdb: StandIn, given: dict[str, Any]) -> None:
    """What cannot be used is one sentence that repeats no secret, before any call."""
    given = dict(given)
    with pytest.raises(ConfigError) as raised:
        fill(given.pop("ids", [1]), **given)
    text = str(raised.value)
    assert text
    assert "\n" not in text
    assert "secret" not in text
    assert len(text) < 1000
    assert tmdb.count == 0


@pytest.mark.parametrize(
    "given",
    [
        {"ids": ["9" * 5000]},
        {"ids": None},
        {"ids": 1.5},
        {"media_type": ["movie"]},
        {"append": [1]},
        {"append": None},
        {"rate": 5e-324},
        {"params": {"callback": "f"}},
        {"params": "language=de"},
        {"params": [("language", "de")]},
    ],
    ids=lambda given: f"{next(iter(given))}={next(iter(given.values()))!r}"[:40],
)
def test_what_cannot_be_used_either(fill: Any, tmdb: StandIn, given: dict[str, Any]) -> None:
    """What is of another kind altogether is one sentence, too, before any call."""
    given = dict(given)
    with pytest.raises(ConfigError):
        fill(given.pop("ids", [1]), **given)
    assert tmdb.count == 0


def test_base_url_with_a_password(fill: Any, tmdb: StandIn) -> None:
    """A name and a password in base_url are one sentence that does not repeat them."""
    with pytest.raises(ConfigError) as raised:
        fill([1], base_url=f"http://user:secret@{tmdb.host}")
    assert "secret" not in str(raised.value)
    assert tmdb.count == 0


@pytest.mark.parametrize("setting", ["offline", "disabled"])
def test_settings_that_forbid_it(fill: Any, make_cache: Any, tmdb: StandIn, setting: str) -> None:
    """A cache that never calls TMDB, or is off, cannot be filled, and says so."""
    with pytest.raises(ConfigError, match=setting):
        fill([1], of=make_cache(**{setting: True}))
    assert tmdb.count == 0


def test_closed(fill: Any, cache: TMDBCache, tmdb: StandIn) -> None:
    """A closed cache cannot be filled, and says so."""
    cache.close()
    with pytest.raises(StoreError, match="closed"):
        fill([1])
    assert tmdb.count == 0
