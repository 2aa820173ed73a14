"""What a response says of the cache, and the methods of the cache itself."""

from datetime import timedelta, timezone

import pytest
import requests

from tmdb_mongo_cache import TMDBSession, cached_tmdb, enabled
from tmdb_mongo_cache.tmdb.freshness import with_jitter

from .flowkit import DAY, KEY, MOVIE, START, expire, get, near, now, recent, spread_time, status_of

pytestmark = pytest.mark.any_database


class TestAttributes:
    def test_live(self, tmdb, cache):
        """A live answer has requests-cache's attributes, too."""
        with enabled(cache):
            response = get(tmdb)
        assert (response.from_cache, response.is_expired, response.cache_key) == (False, False, KEY)
        assert recent(response.created_at)
        assert near(response.expires - response.created_at, spread_time(DAY))

    def test_cached(self, tmdb, cache, collection):
        """A cached answer says when it was made and until when it is fresh."""
        with enabled(cache):
            get(tmdb)
            moment = now().replace(microsecond=0) - timedelta(hours=5)
            collection.update_one({}, {"$set": {"timestamp": moment, "expires_at": moment + timedelta(hours=24)}})
            response = get(tmdb)
        assert (response.from_cache, response.is_expired, response.cache_key) == (True, False, KEY)
        assert response.created_at == moment.replace(tzinfo=timezone.utc)
        assert response.expires - response.created_at == timedelta(hours=24)

    def test_expires_later(self, tmdb, make_cache):
        """is_expired is worked out when it is read."""
        with enabled(make_cache(expire_after=0)):
            assert get(tmdb).is_expired

    @pytest.mark.parametrize(("path", "name"), [("/3/account", None), (MOVIE, "401"), (MOVIE, "503")])
    def test_not_stored(self, tmdb, cache, path, name):
        """An answer that is not stored has the attributes and no expiry."""
        if name:
            tmdb.fail(name)
        with enabled(cache):
            response = get(tmdb, path)
        assert (response.from_cache, response.is_expired, response.expires) == (False, False, None)
        assert recent(response.created_at)
        assert response.cache_key == (KEY if name else "")

    def test_still_requests(self, tmdb, cache):
        """Live or cached, it is a requests.Response."""
        with enabled(cache):
            assert all(isinstance(get(tmdb), requests.Response) for _ in range(2))


class TestHeaders:
    def test_miss(self, tmdb, cache):
        """A miss says why it was forwarded and that it was stored."""
        with enabled(cache):
            status = status_of(get(tmdb))
        assert status["fwd"] == "uri-miss"
        assert "stored" in status
        assert "hit" not in status
        assert -30 <= int(status["ttl"]) - with_jitter(DAY, KEY) <= 0

    def test_hit(self, tmdb, cache):
        """A hit says so, with the freshness left and where it came from; a hit is never forwarded."""
        with enabled(cache):
            get(tmdb)
            status = status_of(get(tmdb))
        assert "hit" in status
        assert "fwd" not in status
        assert -30 <= int(status["ttl"]) - with_jitter(DAY, KEY) <= 0
        assert status["detail"] in ("mongodb", "memory")

    def test_validated(self, tmdb, cache, collection):
        """A validated answer says what TMDB answered."""
        with enabled(cache):
            get(tmdb)
            expire(collection)
            status = status_of(get(tmdb))
        assert (status["fwd"], status["fwd-status"]) == ("stale", "304")
        assert "hit" not in status

    def test_stale(self, tmdb, cache, collection):
        """A stale answer has a negative ttl."""
        with enabled(cache):
            get(tmdb)
            expire(collection, since=60)
            tmdb.fail("503")
            status = status_of(get(tmdb))
        assert (status["fwd"], status["fwd-status"]) == ("stale", "503")
        assert -90 < int(status["ttl"]) <= -60

    @pytest.mark.parametrize("path", ["/3/account", "/4/list/1"])
    def test_private(self, tmdb, cache, path):
        """A call that goes straight through says bypass."""
        with enabled(cache):
            assert status_of(get(tmdb, path)) == {"fwd": "bypass"}

    def test_member_of_another(self, tmdb, cache):
        """Another cache's member of Cache-Status stays in front of ours (RFC 9211)."""
        tmdb.answer(MOVIE, headers={"Cache-Status": "CDN; hit"}, body=b'{"id": 550}')
        with enabled(cache):
            for _ in range(3):
                members = get(tmdb).headers["Cache-Status"].split(", ")
                assert members[0] == "CDN; hit"
                assert [member.split(";")[0] for member in members] == ["CDN", "tmdb-mongo-cache"]

    def test_age(self, tmdb, cache, collection):
        """Age counts from the fetch, what it was at TMDB's own cache included (RFC 9111)."""
        tmdb.answer(MOVIE, headers={"Age": "100", "ETag": '"1"'}, body=b'{"id": 550}')
        with enabled(cache):
            get(tmdb)
            assert 100 <= int(get(tmdb).headers["Age"]) < 130
            collection.update_one({}, {"$set": {"timestamp": now() - timedelta(seconds=1000)}})
            assert 1100 <= int(get(tmdb).headers["Age"]) < 1130


class TestCallSettings:
    def test_one_call(self, tmdb, cache, collection):
        """A setting for one call is forgotten with the next."""
        with TMDBSession(cache) as session:
            get(tmdb, session=session, expire_after=60)
            get(tmdb, "/3/movie/1", session=session)
        lives = {d["_id"]: d["expires_at"] - d["timestamp"] for d in collection.find()}
        assert lives.pop(KEY) == timedelta(seconds=60)
        ((other, life),) = lives.items()
        assert other == f"{START}/3/movie/1"
        assert near(life, spread_time(DAY, other))

    def test_refresh(self, tmdb, cache):
        """Refresh asks TMDB whether an answer has changed, force_refresh fetches it anew, once."""
        with TMDBSession(cache) as session:
            get(tmdb, session=session)
            get(tmdb, session=session, refresh=True)
            get(tmdb, session=session)
            get(tmdb, session=session, force_refresh=True)
            get(tmdb, session=session)
            assert get(tmdb, "/3/movie/1", session=session, only_if_cached=True).status_code == 504
        assert [call.status for call in tmdb.calls] == [200, 304, 200]

    def test_two_caches(self, tmdb, make_cache, collection):
        """The settings of one cache do not change another's on the same collection."""
        one, two = make_cache(expire_after=60), make_cache(expire_after=120)
        for cache, path, seconds in ((one, MOVIE, 60), (two, "/3/tv/1", 120), (one, "/3/tv/2", 60)):
            with enabled(cache):
                key = get(tmdb, path).cache_key
            document = collection.find_one({"_id": key})
            assert (document["expires_at"] - document["timestamp"]).total_seconds() == seconds

    def test_decorated(self, tmdb, cache, collection):
        """The settings of a decorated function end with it."""

        @cached_tmdb(cache=cache, expire_after=60)
        def function():
            return get(tmdb)

        with enabled(cache):
            function()
            get(tmdb, "/3/movie/1")
        other, own = [(d["_id"], d["expires_at"] - d["timestamp"]) for d in collection.find().sort("_id")]
        assert own == (KEY, timedelta(seconds=60))
        assert near(other[1], spread_time(DAY, other[0]))

    def test_nothing_on_the_wire(self, tmdb, cache):
        """The settings of a call do not go out as headers."""
        with TMDBSession(cache) as session:
            get(tmdb, session=session)
            get(tmdb, session=session, expire_after=60, force_refresh=True)
        assert set(tmdb.calls[1].headers) == set(tmdb.calls[0].headers)
