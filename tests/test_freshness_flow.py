"""Freshness by endpoint under whole calls, through every door."""

import json
import re
from datetime import timedelta
from itertools import pairwise

import pytest

from tmdb_mongo_cache import TMDBSession, cached_tmdb, enabled
from tmdb_mongo_cache.tmdb.freshness import with_jitter

from .flowkit import ANY_KEY, DAY, KEY, MOVIE, START, expire, get, near, now, spread_time, status_of

pytestmark = pytest.mark.any_database

HOUR, WEEK = 3600, 7 * 86400
OLD = {"id": 550, "status": "Released", "release_date": "1999-10-15"}


def answer(tmdb, data, path=MOVIE):
    tmdb.answer(path, headers={"ETag": '"1"', "Content-Type": "application/json"}, body=json.dumps(data).encode())


def life(collection, key=KEY):
    """Return for how long what is stored is fresh."""
    document = collection.find_one({"_id": key})
    return document["expires_at"] - document.get("validated_at", document["timestamp"])


CLASSES = [
    ("/3/movie/550/credits", DAY),
    ("/3/tv/1399/season/1", DAY),
    ("/3/person/287", DAY),
    ("/3/search/movie?query=x", 6 * HOUR),
    ("/3/discover/tv", 6 * HOUR),
    ("/3/movie/popular?page=2", 6 * HOUR),
    ("/3/trending/all/day", 900),
    ("/3/movie/changes", 600),
    ("/3/tv/1399/changes", 600),
    ("/3/movie/latest", 60),
    ("/3/configuration", WEEK),
    ("/3/genre/tv/list?language=de", WEEK),
    ("/3/certification/movie/list", WEEK),
    ("/3/watch/providers/regions", WEEK),
]


class TestClasses:
    @pytest.mark.parametrize(("path", "seconds"), CLASSES)
    @pytest.mark.parametrize("door", ["enabled", "requests-cache"])
    def test_each(self, tmdb, cache, collection, make_tmdb_session, door, path, seconds):
        """An answer is stored, and served, for the time of its class, to the second up to an hour."""
        if door == "enabled":
            with enabled(cache):
                live, found = get(tmdb, path), get(tmdb, path)
        else:
            session = make_tmdb_session()
            live, found = get(tmdb, path, session=session), get(tmdb, path, session=session)
        assert (live.from_cache, found.from_cache, tmdb.count) == (False, True, 1)
        document = collection.find_one({})
        assert near(life(collection, document["_id"]), spread_time(seconds, document["_id"]))
        if door == "enabled":
            assert -30 <= int(status_of(found)["ttl"]) - with_jitter(seconds, document["_id"]) <= 0
        assert near(document["purge_at"] - document["expires_at"], timedelta(days=7))

    @pytest.mark.parametrize(("path", "seconds"), CLASSES)
    def test_expires(self, tmdb, cache, collection, path, seconds):
        """A moment before its time is up an answer is served, a moment after that TMDB is asked."""
        with enabled(cache):
            key = get(tmdb, path).cache_key
            for since, calls in ((with_jitter(seconds, key) - 20, 1), (with_jitter(seconds, key) + 1, 2)):
                fetched = now() - timedelta(seconds=since)
                times = {"timestamp": fetched, "expires_at": fetched + spread_time(seconds, key)}
                collection.update_one({"_id": key}, {"$set": times})
                get(tmdb, path)
                assert tmdb.count == calls

    def test_unknown(self, tmdb, make_cache, collection):
        """A path that TMDB gains later is kept for 24 hours, or as expire_after says."""
        path, key = "/3/something/new", f"{START}/3/something/new"
        answer(tmdb, {"id": 1}, path)
        with enabled(make_cache()):
            get(tmdb, path)
        assert near(life(collection, key), spread_time(DAY, key))
        collection.delete_many({})
        with enabled(make_cache(expire_after=60)):
            get(tmdb, path)
        assert life(collection, key) == timedelta(seconds=60)

    def test_who_says_so(self, tmdb, make_cache, collection):
        """A pattern for URLs beats a mapping, a decorator's or a call's own value beats both, and is exact."""
        latest = "/3/movie/latest"
        patterns = {re.compile(r"/movie/550\b"): 90}
        cache = make_cache(expire_after={"details": 70, "latest": 30 * DAY}, urls_expire_after=patterns)
        with enabled(cache):
            get(tmdb)
            get(tmdb, "/3/movie/551")
            key = get(tmdb, latest).cache_key
            trending = get(tmdb, "/3/trending/all/day").cache_key
        lives = [life(collection), life(collection, KEY.replace("550", "551")), life(collection, trending)]
        assert lives == [timedelta(seconds=found) for found in (90, 70, 900)]
        assert near(life(collection, key), spread_time(30 * DAY, key))
        collection.delete_many({})
        cached_tmdb(cache=cache, expire_after=2 * DAY)(get)(tmdb)
        with TMDBSession(cache) as session:
            get(tmdb, latest, session=session, expire_after=timedelta(days=3))
        assert life(collection) == timedelta(days=2)
        assert life(collection, key) == timedelta(days=3)

    def test_environment(self, tmdb, make_cache, collection, make_tmdb_session, monkeypatch):
        """requests-cache sessions without an expire_after of their own go by the environment's, class by class."""
        monkeypatch.setenv("TMDB_CACHE_EXPIRE_AFTER", '{"latest": "2m", "details": "adaptive"}')
        answer(tmdb, OLD)
        session = make_tmdb_session()
        get(tmdb, session=session)
        latest = get(tmdb, "/3/movie/latest", session=session).cache_key
        found = get(tmdb, "/3/search/movie", session=session, params={"query": "x"}).cache_key
        assert near(life(collection), spread_time(30 * DAY))
        assert life(collection, latest) == timedelta(minutes=2)
        assert near(life(collection, found), spread_time(6 * HOUR, found))

    def test_a_sessions_own(self, tmdb, collection, make_tmdb_session):
        """A requests-cache session's own expire_after is for all that it stores."""
        key = get(tmdb, "/3/movie/latest", session=make_tmdb_session(expire_after=5000)).cache_key
        assert abs(life(collection, key) - timedelta(seconds=5000)) < timedelta(seconds=5)

    def test_a_library(self, tmdb, cache, collection):
        """What was filled in one go does not expire in one go."""
        with enabled(cache):
            for number in range(1, 81):
                get(tmdb, f"/3/movie/{number}")
        ends = sorted(document["expires_at"] for document in collection.find())
        assert len(ends) == 80
        assert ends[-1] - ends[0] > timedelta(hours=3)
        assert all(later - sooner < timedelta(hours=1) for sooner, later in pairwise(ends))


class TestAdaptive:
    def test_by_age(self, tmdb, make_cache, collection):
        """An old film is kept for 30 days, one that is in the making for a day, and search as ever."""
        answer(tmdb, OLD)
        answer(tmdb, {**OLD, "id": 551, "status": "Post Production"}, "/3/movie/551")
        with enabled(make_cache(expire_after="adaptive")):
            keys = [get(tmdb, path).cache_key for path in (MOVIE, "/3/movie/551", "/3/search/movie?query=x")]
        for key, seconds in zip(keys, (30 * DAY, DAY, 6 * HOUR), strict=True):
            assert near(life(collection, key), spread_time(seconds, key))

    def test_304(self, tmdb, make_cache, collection):
        """A 304 makes an old film fresh for as long again."""
        answer(tmdb, OLD)
        with enabled(make_cache(expire_after="adaptive")):
            get(tmdb)
            expire(collection)
            tmdb.answer(MOVIE, status=304, headers={"ETag": '"1"'})
            assert get(tmdb).revalidated
            assert get(tmdb).from_cache
        assert near(life(collection), spread_time(30 * DAY))
        assert tmdb.count == 2

    def test_single_calls(self, tmdb, make_cache, collection):
        """A single call, or a decorated function, may ask for it too."""
        answer(tmdb, OLD)
        cache = make_cache(expire_after=60)
        with TMDBSession(cache) as session:
            get(tmdb, session=session, expire_after="adaptive")
            assert get(tmdb, session=session, expire_after="adaptive").from_cache
        assert near(life(collection), spread_time(30 * DAY))
        collection.delete_many({})
        cached_tmdb(cache=cache, expire_after="adaptive")(get)(tmdb)
        assert near(life(collection), spread_time(30 * DAY))

    def test_nonsense(self, tmdb, make_cache, collection):
        """An answer whose status is no text is kept as any other."""
        answer(tmdb, {**OLD, "status": ["Released"]})
        with enabled(make_cache(expire_after="adaptive")):
            get(tmdb)
            assert get(tmdb).from_cache
        assert near(life(collection), spread_time(30 * DAY))


@pytest.mark.parametrize(("path", "seconds"), [(MOVIE, DAY), ("/3/trending/all/day", 900)])
def test_a_304_under_requests_cache(tmdb, collection, make_tmdb_session, path, seconds):
    """A session without an expire_after of its own has a confirmed answer fresh for the time of its class again."""
    session = make_tmdb_session()
    session.get(tmdb.url + path, params=ANY_KEY)
    key = collection.find_one({})["_id"]
    expire(collection, key)
    for _ in range(3):
        assert session.get(tmdb.url + path, params=ANY_KEY).from_cache
    assert [call.status for call in tmdb.calls] == [200, 304]
    left = collection.find_one({"_id": key})["expires_at"] - now()
    assert abs(left - spread_time(seconds, key)) < timedelta(seconds=60)
