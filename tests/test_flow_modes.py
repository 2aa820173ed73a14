"""Offline, switched off, and stale answers that are refreshed behind the caller."""

import logging
from datetime import timedelta
from types import SimpleNamespace

import pytest
import requests

import tmdb_mongo_cache
from tmdb_mongo_cache import CacheError, OfflineError, disabled, enabled, install
from tmdb_mongo_cache.runtime.background import Background

from .flowkit import MOVIE, expire, get, sent
from .soakkit import Faults

pytestmark = pytest.mark.any_database


class TestOffline:
    def test_hit(self, tmdb, make_cache, collection, stored):
        """Offline serves what is stored, fresh or not, without a call."""
        with enabled(make_cache(offline=True)):
            assert get(tmdb).content == stored["body"]
            expire(collection, since=600 * 60)
            response = get(tmdb)
        assert (response.from_cache, response.is_expired, tmdb.count) == (True, True, 1)

    def test_miss(self, tmdb, make_cache):
        """Offline makes a miss a clear error that programs take for a lost network."""
        with enabled(make_cache(offline=True)), pytest.raises(OfflineError, match=r"offline.*movie/550") as caught:
            get(tmdb)
        assert isinstance(caught.value, CacheError)
        assert isinstance(caught.value, requests.ConnectionError)
        assert caught.value.request.url.startswith(tmdb.url)
        assert tmdb.count == 0

    @pytest.mark.parametrize("path", ["/3/account", "/4/list/1"])
    def test_private(self, tmdb, make_cache, path):
        """Offline never calls TMDB, also not for what is never cached."""
        with enabled(make_cache(offline=True)):
            with pytest.raises(OfflineError):
                get(tmdb, path)
            with pytest.raises(OfflineError):
                requests.post(tmdb.url + MOVIE, timeout=5)
        assert tmdb.count == 0


class TestDisabled:
    def test_setting(self, tmdb, make_cache, collection):
        """disabled=True makes every call go straight through."""
        install(make_cache(disabled=True))
        with enabled(make_cache(disabled=True)):
            assert not hasattr(get(tmdb), "from_cache")
        get(tmdb)
        assert tmdb.count == 2
        assert collection.count_documents({}) == 0

    def test_environment(self, tmdb, make_cache, monkeypatch):
        """TMDB_CACHE_DISABLED=1 switches off without a change to the program."""
        monkeypatch.setenv("TMDB_CACHE_DISABLED", "1")
        install(make_cache())
        assert [hasattr(get(tmdb), "from_cache") for _ in range(2)] == [False, False]
        assert tmdb.count == 2

    def test_context(self, tmdb, cache):
        """disabled() caches nothing within and restores what was before."""
        install(cache)
        with disabled():
            get(tmdb)
            assert not hasattr(get(tmdb), "from_cache")
            with enabled(cache):
                get(tmdb)
                assert get(tmdb).from_cache
            assert not hasattr(get(tmdb), "from_cache")
        assert get(tmdb).from_cache
        assert tmdb_mongo_cache.is_installed()
        assert tmdb.count == 4


class TestStaleWhileRevalidate:
    def test_once_behind(self, tmdb, make_cache, collection, stored):
        """A stale answer is served at once, and refreshed once behind all who ask meanwhile."""
        expire(collection, since=10)
        tmdb.change(MOVIE)
        tmdb.latency = 1
        cache = make_cache(stale_while_revalidate=60)
        with enabled(cache):
            responses = [get(tmdb) for _ in range(10)]
            cache.close()  # waits for what is under way
        assert {response.content for response in responses} == {stored["body"]}
        assert all(response.from_cache and response.is_expired for response in responses)
        assert responses[0].elapsed < timedelta(seconds=tmdb.latency)
        assert tmdb.count == 2
        assert sent(tmdb)["if-none-match"] == stored["headers"]["ETag"]
        assert collection.find_one({})["body"] != stored["body"]

    def test_later(self, tmdb, make_cache, collection, stored):
        """Past its time a stale answer is validated before it is served."""
        expire(collection, since=120)
        tmdb.change(MOVIE)
        with enabled(make_cache(stale_while_revalidate=60)):
            assert get(tmdb).content != stored["body"]

    def test_fails_behind(self, tmdb, make_cache, collection, stored, caplog):
        """A refresh that fails harms nobody and leaves the entry."""
        before = expire(collection, since=10)
        tmdb.fail("reset")
        cache = make_cache(stale_while_revalidate=60)
        with enabled(cache):
            assert get(tmdb).content == stored["body"]
            cache.close()
        assert collection.find_one({}) == before
        assert [r for r in caplog.records if r.levelno >= logging.ERROR] == []

    def test_own_fault(self, caplog):
        """A fault in a refresh is one line that names the key, and a fault to the soak run's eyes."""
        caplog.set_level(logging.DEBUG, "tmdb_mongo_cache")
        behind = Background()
        assert behind.submit("GET a/key", lambda: 1 / 0, lambda: None)
        behind.close()
        assert caplog.messages == ["GET a/key: the refresh failed: ZeroDivisionError"]
        noted = []
        faults = Faults(SimpleNamespace(note=lambda kind, *_: noted.append(kind)))
        for record in caplog.records:
            faults.emit(record)
        assert noted == ["fault"]

    def test_session_closed(self, tmdb, make_cache, collection, stored):
        """A refresh ends well though the session of the call is closed by then."""
        expire(collection, since=10)
        tmdb.change(MOVIE)
        cache = make_cache(stale_while_revalidate=60)
        with enabled(cache), requests.Session() as session:
            get(tmdb, session=session)
        cache.close()
        assert collection.find_one({})["body"] != stored["body"]
