"""``on_event``: one event for each call, with what became of it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import requests

from tmdb_mongo_cache import CacheConfig, CacheEvent, ConfigError, OfflineError, TMDBCache, TMDBSession, enabled
from tmdb_mongo_cache.standin import StandIn

from .flowkit import MOVIE, expire, get
from .waitkit import eventually

pytestmark = pytest.mark.any_database


@pytest.fixture
def events() -> list[CacheEvent]:
    """What on_event was called with."""
    return []


@pytest.fixture
def watched(make_cache: Callable[..., TMDBCache], events: list[CacheEvent]) -> Callable[..., TMDBCache]:
    """Make caches that tell of each call."""
    return lambda **settings: make_cache(on_event=events.append, **settings)


def outcomes(events: list[CacheEvent]) -> list[str]:
    return [event.outcome for event in events]


def test_a_miss_and_a_hit(watched: Callable[..., TMDBCache], tmdb: StandIn, events: list[CacheEvent]) -> None:
    """A call that is fetched is a miss, the next one a hit, each with its key, endpoint, size and time."""
    with enabled(watched()):
        answer = get(tmdb)
        get(tmdb)
    assert outcomes(events) == ["miss", "hit"]
    for event in events:
        assert event.key == answer.cache_key
        assert event[2:5] == ("/3/movie/{movie_id}", "movie", 550)
        assert event.status == 200
        assert event.size == len(answer.content)
        assert 0 < event.seconds < 60
        assert not event.failed
        assert not event.background
    assert [event.where for event in events] == ["", "mongodb"]


def test_memory(watched: Callable[..., TMDBCache], tmdb: StandIn, events: list[CacheEvent]) -> None:
    """A hit from the memory of the process says so."""
    with enabled(watched(memory_ttl=60)):
        get(tmdb)
        get(tmdb)
    assert (events[-1].outcome, events[-1].where) == ("hit", "memory")


def test_both_ways_tell_the_same(
    watched: Callable[..., TMDBCache], tmdb: StandIn, events: list[CacheEvent], film: str
) -> None:
    """A hit on the fast way and one through Session.send give the same event but for the time."""
    cache = watched()
    with enabled(cache), requests.Session() as session:
        get(tmdb)
        session.get(film, params={"api_key": "any"})
        session.send(requests.Request("GET", film, params={"api_key": "any"}).prepare())
    assert outcomes(events) == ["miss", "hit", "hit"]
    assert events[1]._replace(seconds=0) == events[2]._replace(seconds=0)


def test_a_stale_answer(
    watched: Callable[..., TMDBCache], tmdb: StandIn, collection: Any, events: list[CacheEvent]
) -> None:
    """An older answer in place of a failing TMDB is stale and failed, and the status is the caller's."""
    with enabled(watched()):
        expire(collection, get(tmdb).cache_key)
        tmdb.fail("503")
        assert get(tmdb).status_code == 200
    assert outcomes(events) == ["miss", "stale"]
    assert events[-1].failed
    assert events[-1].status == 200


def test_a_failure(watched: Callable[..., TMDBCache], tmdb: StandIn, events: list[CacheEvent]) -> None:
    """A failing TMDB without an older answer is a miss that failed; an exception has status 0."""
    with enabled(watched()):
        tmdb.fail("503")
        assert get(tmdb).status_code == 503
        tmdb.heal()
        tmdb.fail("reset")
        with pytest.raises(requests.ConnectionError):
            get(tmdb)
    assert outcomes(events) == ["miss", "miss"]
    assert [event.failed for event in events] == [True, True]
    assert [event.status for event in events] == [503, 0]


def test_confirmed(watched: Callable[..., TMDBCache], tmdb: StandIn, collection: Any, events: list[CacheEvent]) -> None:
    """An expired answer that TMDB confirms is revalidated."""
    with enabled(watched()):
        expire(collection, get(tmdb).cache_key)
        get(tmdb)
    assert outcomes(events) == ["miss", "revalidated"]


def test_straight(watched: Callable[..., TMDBCache], tmdb: StandIn, events: list[CacheEvent]) -> None:
    """A private call is straight: without a key, with the endpoint's template and the status."""
    with enabled(watched()):
        requests.get(f"{tmdb.url}/3/account/7?api_key=any&session_id=secret")
    (event,) = events
    assert event.outcome == "straight"
    assert event.key == ""
    assert event.status in (200, 401, 404)
    assert "secret" not in repr(event)


def test_a_straight_call_that_fails(watched: Callable[..., TMDBCache], tmdb: StandIn, events: list[CacheEvent]) -> None:
    """A private call that ends in an exception is told of, too, with status 0."""
    tmdb.fail("reset")
    with enabled(watched()), pytest.raises(requests.ConnectionError):
        requests.get(f"{tmdb.url}/3/account/7?api_key=any")
    assert [(event.outcome, event.status) for event in events] == [("straight", 0)]


def test_offline(watched: Callable[..., TMDBCache], tmdb: StandIn, events: list[CacheEvent]) -> None:
    """What offline leaves without an answer is unanswered, and counted as no call."""
    cache = watched(offline=True)
    with enabled(cache), pytest.raises(OfflineError):
        get(tmdb)
    assert outcomes(events) == ["unanswered"]
    assert cache.stats().unanswered == 1
    assert cache.stats().calls == 0


def test_offline_and_private(watched: Callable[..., TMDBCache], tmdb: StandIn, events: list[CacheEvent]) -> None:
    """A private call that offline forbids is unanswered."""
    cache = watched(offline=True)
    with enabled(cache), pytest.raises(OfflineError):
        requests.get(f"{tmdb.url}/3/account/7?api_key=any")
    assert outcomes(events) == ["unanswered"]
    assert cache.stats().unanswered == 1


def test_a_call_that_ends_in_an_exception_of_its_own(
    watched: Callable[..., TMDBCache], tmdb: StandIn, events: list[CacheEvent], film: str
) -> None:
    """What an adapter raises, which is no failure of TMDB's, is told of and counted as well."""

    class Broken(requests.adapters.HTTPAdapter):
        def send(self, *_: Any, **__: Any) -> Any:
            raise LookupError

    cache = watched()
    with enabled(cache), requests.Session() as session:
        session.mount("http://", Broken())
        with pytest.raises(LookupError):
            session.get(film, params={"api_key": "any"})
    assert [(event.outcome, event.status, event.failed) for event in events] == [("miss", 0, True)]
    assert cache.stats().misses == 1


def test_collapsed(watched: Callable[..., TMDBCache], tmdb: StandIn, events: list[CacheEvent]) -> None:
    """Of threads that ask for the same at once one is a miss, the others are collapsed, or hits for who is late."""
    tmdb.latency = 0.3
    with enabled(watched()) as cache:
        threads = [threading.Thread(target=lambda: TMDBSession(cache).get(tmdb.url + MOVIE)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(outcomes(events)).count("miss") == 1
    assert "collapsed" in outcomes(events)
    assert set(outcomes(events)) <= {"miss", "collapsed", "hit"}


def test_a_refresh_behind_the_caller(
    watched: Callable[..., TMDBCache], tmdb: StandIn, collection: Any, events: list[CacheEvent]
) -> None:
    """stale_while_revalidate gives two events: the caller's stale answer, and a call in the background."""
    cache = watched(stale_while_revalidate=3600)
    with enabled(cache):
        expire(collection, get(tmdb).cache_key)
        tmdb.change(MOVIE)
        get(tmdb)
        eventually(lambda: len(events) == 3)
    assert [(event.outcome, event.background) for event in events] == [
        ("miss", False),
        ("stale", False),
        ("miss", True),
    ]
    stats = cache.stats()
    assert (stats.misses, stats.stale, stats.background, stats.calls) == (1, 1, 1, 2)


def test_warm_is_in_the_background(watched: Callable[..., TMDBCache], tmdb: StandIn, events: list[CacheEvent]) -> None:
    """What warm fetches is told as made in the background, and is no miss of the program's."""
    cache = watched()
    cache.warm([550, 603], api_key="0" * 32, base_url=tmdb.url)
    assert [(event.outcome, event.background) for event in events] == [("miss", True)] * 2
    assert cache.stats().background == 2
    assert cache.stats().calls == 0


def test_an_on_event_that_raises(
    make_cache: Callable[..., TMDBCache], tmdb: StandIn, caplog: pytest.LogCaptureFixture
) -> None:
    """What on_event raises fails no call, and is one warning without the error's text."""

    def fail(_: CacheEvent) -> None:
        raise RuntimeError("with a secret")

    with enabled(make_cache(on_event=fail)):
        assert get(tmdb).status_code == get(tmdb).status_code == 200
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warnings == ["on_event raised RuntimeError; the call goes on"]


def test_on_event_may_make_calls_of_its_own(make_cache: Callable[..., TMDBCache], tmdb: StandIn) -> None:
    """An on_event that itself asks TMDB does not go round in circles for ever, nor hang."""
    seen: list[str] = []

    def ask(event: CacheEvent) -> None:
        seen.append(event.outcome)
        if len(seen) < 3:
            get(tmdb, "/3/movie/603")

    with enabled(make_cache(on_event=ask)):
        get(tmdb)
    assert seen == ["miss", "miss", "hit"]


def test_on_event_must_be_callable() -> None:
    """Anything else is a ConfigError that says what it should be."""
    with pytest.raises(ConfigError, match="on_event must be a function of one argument, not 'print'"):
        CacheConfig(on_event="print")  # type: ignore[arg-type]
