"""What the caller's headers and the settings change."""

import re
from datetime import datetime, timedelta, timezone

import pytest

from tmdb_mongo_cache import enabled
from tmdb_mongo_cache.tmdb.freshness import with_jitter

from .flowkit import DAY, KEY, MOVIE, expire, get, now, sent, status_of

pytestmark = pytest.mark.any_database


def says(text):
    return {"headers": {"Cache-Control": text}}


def about(seconds):
    return pytest.approx(seconds, abs=0.002)  # MongoDB cuts the milliseconds


def lifetime(collection, key=KEY):
    document = collection.find_one({"_id": key})
    return (document["expires_at"] - document["timestamp"]).total_seconds()


class TestCallersHeaders:
    def test_no_store(self, tmdb, cache, collection, stored):
        """no-store is neither looked up nor stored."""
        with enabled(cache):
            tmdb.change(MOVIE)
            assert not get(tmdb, **says("no-store")).from_cache
            get(tmdb, "/3/movie/551", **says("no-store"))
        assert "if-none-match" not in sent(tmdb, 1)
        assert list(collection.find({})) == [stored]

    @pytest.mark.parametrize("headers", [{"Cache-Control": "no-cache"}, {"Pragma": "no-cache"}])
    def test_no_cache(self, tmdb, cache, collection, stored, headers):
        """no-cache validates also what is fresh, and keeps what comes of it."""
        with enabled(cache):
            assert get(tmdb, headers=headers).content == stored["body"]
            assert tmdb.calls[-1].status == 304
            assert collection.find_one({})["validated_at"] is not None
            tmdb.change(MOVIE)
            assert get(tmdb, headers=headers).content != stored["body"]
            assert get(tmdb).from_cache
        assert tmdb.count == 3

    def test_no_cache_fails(self, tmdb, cache, stored):
        """A caller who asks for no-cache gets TMDB's failure, not an old answer."""
        tmdb.fail("503")
        with enabled(cache):
            assert get(tmdb, **says("no-cache")).status_code == 503

    def test_only_if_cached(self, tmdb, cache, stored):
        """only-if-cached is served from the cache, or answered 504 without a call."""
        with enabled(cache):
            assert get(tmdb, **says("only-if-cached")).content == stored["body"]
            miss = get(tmdb, "/3/movie/551", **says("only-if-cached"))
        assert (miss.status_code, miss.from_cache, miss.content) == (504, False, b"")
        assert miss.request.url == miss.url
        assert tmdb.count == 1

    def test_max_age(self, tmdb, cache, collection, stored):
        """max-age bounds the age of what is served."""
        collection.update_one({}, {"$set": {"timestamp": now() - timedelta(seconds=30)}})
        with enabled(cache):
            assert "hit" in status_of(get(tmdb, **says("max-age=60")))
            assert tmdb.count == 1
            assert "hit" not in status_of(get(tmdb, **says("max-age=20")))
            assert tmdb.calls[-1].status == 304
            get(tmdb, **says("max-age=0"))
        assert tmdb.count == 3

    def test_min_fresh(self, tmdb, cache, stored):
        """min-fresh wants an answer that stays fresh for so long."""
        with enabled(cache):
            assert "hit" in status_of(get(tmdb, **says("min-fresh=3600")))
            assert "hit" not in status_of(get(tmdb, **says("min-fresh=100000")))

    def test_max_stale(self, tmdb, cache, collection, stored):
        """max-stale takes an answer that has expired by less."""
        expire(collection, since=60)
        with enabled(cache):
            response = get(tmdb, **says("max-stale=120"))
            assert (response.from_cache, response.is_expired, tmdb.count) == (True, True, 1)
            get(tmdb, **says("max-stale=30"))
        assert tmdb.count == 2

    @pytest.mark.parametrize("text", ["", "max-age=soon", "max-age=-1", "max-age=", "=", ",,", "x" * 5000, "é"])
    def test_nonsense(self, tmdb, cache, text):
        """A Cache-Control that makes no sense disturbs nobody."""
        with enabled(cache):
            for _ in range(2):
                assert get(tmdb, headers={"Cache-Control": text.encode("latin-1")}).status_code == 200

    @pytest.mark.parametrize("name", ["If-None-Match", "If-Modified-Since", "Range"])
    def test_callers_condition(self, tmdb, cache, stored, name):
        """A caller's own condition or range goes to TMDB as it is, and its answer to the caller."""
        tag = stored["headers"]["ETag"]
        value = {"If-None-Match": tag, "Range": "bytes=0-1"}.get(name, "Tue, 01 Jan 2030 00:00:00 GMT")
        with enabled(cache):
            response = get(tmdb, headers={name: value})
        assert sent(tmdb)[name.lower()] == value
        assert response.status_code == (304 if name == "If-None-Match" else 200)
        assert not response.from_cache


class TestExpiration:
    @pytest.mark.parametrize(
        ("value", "seconds"),
        [
            (60, 60),
            (1.5, 1.5),
            (3600, 3600),
            (timedelta(days=30), with_jitter(30 * DAY, KEY)),
            (0, 0),
            (-1, 180 * DAY),
            (None, with_jitter(DAY, KEY)),
        ],
        ids=["60", "1.5", "3600", "30 days", "0", "-1", "None"],
    )
    def test_one_value(self, tmdb, make_cache, collection, value, seconds):
        """One expire_after is for everything; None is 24 hours for a film; more than an hour is spread by the key."""
        with enabled(make_cache(expire_after=value)):
            get(tmdb)
        assert lifetime(collection) == about(seconds)

    def test_moment(self, tmdb, make_cache, collection):
        """A datetime is the moment of expiry."""
        moment = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(hours=2)
        with enabled(make_cache(expire_after=moment)):
            get(tmdb)
        assert collection.find_one({})["expires_at"] == moment.replace(tzinfo=None)

    def test_immediately(self, tmdb, make_cache):
        """expire_after=0 stores, and validates at each call."""
        with enabled(make_cache(expire_after=0)):
            for _ in range(3):
                get(tmdb)
        assert [call.status for call in tmdb.calls] == [200, 304, 304]

    def test_mapping(self, tmdb, make_cache, collection):
        """A mapping changes single classes of endpoints and leaves the others as they are."""
        with enabled(make_cache(expire_after={"details": timedelta(days=30), "search": 60})):
            found = get(tmdb, "/3/search/movie", params={"query": "x"})
            get(tmdb)
            other = get(tmdb, "/3/configuration")
        assert lifetime(collection) == about(with_jitter(30 * DAY, KEY))
        assert lifetime(collection, found.cache_key) == 60
        assert lifetime(collection, other.cache_key) == about(with_jitter(7 * DAY, other.cache_key))

    def test_urls(self, tmdb, make_cache, collection):
        """urls_expire_after beats expire_after for the URLs it matches, by patterns as in requests-cache."""
        patterns = {f"{tmdb.host}/3/movie/*": 60, re.compile(r"/3/tv/\d+"): timedelta(hours=1), "*.example.com": 1}
        with enabled(make_cache(expire_after=7, urls_expire_after=patterns)):
            tv, person = get(tmdb, "/3/tv/1"), get(tmdb, "/3/person/1")
            get(tmdb)
        assert lifetime(collection) == 60
        assert lifetime(collection, tv.cache_key) == 3600
        assert lifetime(collection, person.cache_key) == 7

    def test_urls_never_stored(self, tmdb, make_cache, collection):
        """requests-cache's DO_NOT_CACHE keeps the URLs it is given for out of the cache."""
        from requests_cache import DO_NOT_CACHE

        with enabled(make_cache(urls_expire_after={"*/movie/*": DO_NOT_CACHE})):
            get(tmdb)
            get(tmdb)
        assert tmdb.count == 2
        assert collection.count_documents({}) == 0

    @pytest.mark.parametrize(
        ("headers", "seconds"),
        [
            ({"Cache-Control": "public, max-age=500"}, 500),
            ({"Cache-Control": "public, max-age=500", "Age": "200"}, 300),
            ({"Cache-Control": "max-age=1, s-maxage=500"}, 500),
            ({"Cache-Control": "max-age=5", "Age": "10"}, 0),
            ({"Cache-Control": "max-age=86400"}, DAY),
            ({"Cache-Control": "max-age=soon"}, with_jitter(DAY, KEY)),
            ({}, with_jitter(DAY, KEY)),
        ],
        ids=["max-age", "Age", "s-maxage", "past", "a day", "soon", "none"],
    )
    def test_cache_control(self, tmdb, make_cache, collection, headers, seconds):
        """cache_control=True lets TMDB's own Cache-Control decide; without one our own table does."""
        tmdb.answer(MOVIE, headers=headers, body=b'{"id": 550}')
        with enabled(make_cache(cache_control=True)):
            get(tmdb)
        assert lifetime(collection) == about(seconds)

    def test_cache_control_no_cache(self, tmdb, make_cache):
        """cache_control=True validates each time what TMDB marks no-cache."""
        tmdb.answer(MOVIE, headers={"Cache-Control": "no-cache, max-age=60", "ETag": '"1"'}, body=b'{"id": 550}')
        with enabled(make_cache(cache_control=True)):
            get(tmdb)
            get(tmdb)
        assert sent(tmdb)["if-none-match"] == '"1"'
        assert tmdb.count == 2
