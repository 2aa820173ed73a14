"""MongoDB being away never breaks a program's call; a program that uses it by name gets one sentence."""

import logging
import os
import signal
import socket
import threading
import time
import traceback

import pytest
import requests

from tmdb_mongo_cache import (
    CacheConfig,
    ConfigError,
    OfflineError,
    StoreError,
    StoreUnavailable,
    TMDBCache,
    TMDBSession,
    cached_tmdb,
    enabled,
    install,
)
from tmdb_mongo_cache.mongo.embedded.server import EmbeddedServer

from .flowkit import API_KEY, MOVIE, get, warnings

pytestmark = pytest.mark.versions

PASSWORD = "hunter2-passw0rd"


@pytest.fixture
def refused():
    """Return the address of a port on which nothing listens, and nothing else may."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{bound.getsockname()[1]}"


@pytest.fixture
def silent():
    """Return the address of a server that takes connections and never responds."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(50)
        yield f"127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture
def garbage():
    """Return the address of a server that speaks something else than MongoDB."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"127.0.0.1:{listening.getsockname()[1]}"
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()
    thread.join(5)


@pytest.fixture(params=["refused", "silent", "garbage"])
def away(request):
    """Return the address of a MongoDB that is away in one way or another."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def cache_at(make_cache, database):
    """Make caches on an address, which wait no longer than a test can."""

    def make(address, **settings):
        options = "serverSelectionTimeoutMS=100&connectTimeoutMS=100"
        return make_cache(uri=f"mongodb://{address}/?{options}", store_timeout=0.1, **settings)

    return make


def one_sentence(error):
    text = str(error)
    assert "\n" not in text
    assert "Traceback" not in text
    assert "topology" not in text.lower()
    assert 20 < len(text) < 250
    return True


class TestCalls:
    def test_answered(self, tmdb, cache_at, away, caplog):
        """With MongoDB away every response is TMDB's, with one warning and no exception."""
        cache = cache_at(away)
        with enabled(cache):
            responses = [get(tmdb) for _ in range(3)]
        assert [response.status_code for response in responses] == [200, 200, 200]
        assert not any(response.from_cache for response in responses)
        assert [response.expires for response in responses] == [None, None, None]
        assert tmdb.count == 3
        assert len(warnings(caplog)) == 1
        assert cache.stats().misses == 3
        assert cache.stats().store_errors >= 1

    def test_failing_tmdb(self, tmdb, cache_at, refused):
        """With both away the exception is the one without the cache."""
        tmdb.fail("refuse")
        with enabled(cache_at(refused)), pytest.raises(requests.ConnectionError) as caught:
            get(tmdb)
        assert type(caught.value) is requests.ConnectionError

    def test_doors(self, tmdb, cache_at, refused):
        """Through every integration a call gets its response."""
        cache = cache_at(refused)
        assert cached_tmdb(cache=cache)(get)(tmdb).status_code == 200
        with TMDBSession(cache) as session:
            assert get(tmdb, session=session).status_code == 200
        install(cache)
        assert get(tmdb, "/3/account").status_code == 200

    def test_offline(self, tmdb, cache_at, refused):
        """Offline with MongoDB away is an OfflineError."""
        with enabled(cache_at(refused, offline=True)), pytest.raises(OfflineError):
            get(tmdb)
        assert tmdb.count == 0

    def test_time(self, tmdb, make_cache, database, silent):
        """A MongoDB that never responds costs a call no more than store_timeout, once it has been tried."""
        cache = make_cache(uri=f"mongodb://{silent}", store_timeout=0.1)
        with enabled(cache):
            get(tmdb)
            started = time.monotonic()
            for _ in range(3):
                assert get(tmdb).status_code == 200
        assert time.monotonic() - started < 3 * 0.1 + 0.6

    def test_returns(self, tmdb, cache_at, mongo_uri, make_cache, caplog):
        """A new cache on a MongoDB that runs caches again; nothing of the failure stays behind."""
        with socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))
            with enabled(cache_at(f"127.0.0.1:{bound.getsockname()[1]}")):
                get(tmdb)
        with enabled(make_cache()):
            get(tmdb)
            assert get(tmdb).from_cache


class TestKilled:
    def test_under_way(self, tmdb, make_cache, tmp_path, caplog):
        """A MongoDB that is killed under way costs no call its response, and one warning."""
        with EmbeddedServer(tmp_path / "mongod") as server:
            cache = make_cache(uri=f"{server.uri}&serverSelectionTimeoutMS=200", store_timeout=1)
            with enabled(cache):
                get(tmdb)
                assert get(tmdb).from_cache
                os.kill(server.pid, signal.SIGKILL)
                for _ in range(2):
                    response = get(tmdb)
                    assert (response.status_code, response.from_cache) == (200, False)
                assert len(warnings(caplog)) == 1
                with pytest.raises(StoreUnavailable):
                    cache.clear()
            cache.close()


class TestByName:
    @pytest.mark.parametrize(
        "method",
        [
            lambda cache: cache.clear(),
            lambda cache: cache.invalidate(f"https://api.themoviedb.org{MOVIE}"),
            lambda cache: cache.invalidate(media_type="movie", tmdb_id=1),
            lambda cache: list(cache.entries()),
        ],
        ids=["clear", "invalidate-url", "invalidate-title", "entries"],
    )
    def test_one_sentence(self, cache_at, refused, method):
        """A method of the cache raises StoreUnavailable with one sentence that says where and what to do."""
        with pytest.raises(StoreUnavailable, match=refused) as caught:
            method(cache_at(refused))
        assert one_sentence(caught.value)
        assert isinstance(caught.value, StoreError)

    def test_away(self, cache_at, away):
        """In whatever way MongoDB is away, the error is StoreUnavailable."""
        with pytest.raises(StoreUnavailable) as caught:
            cache_at(away).clear()
        assert one_sentence(caught.value)

    def test_harmless(self, cache_at, refused):
        """stats(), key(), repr and close() need no MongoDB."""
        cache = cache_at(refused)
        assert cache.stats().calls == 0
        assert cache.key(f"https://api.themoviedb.org{MOVIE}")
        assert refused in repr(cache)
        cache.close()


class TestWrongUri:
    @pytest.mark.parametrize(
        "uri", ["", "localhost", "http://localhost", "mongodb//x", "mongodb://", "mongo://x", 7, "mongodb:// x", b"x"]
    )
    def test_config(self, uri):
        """A URI that is none is a ConfigError of one sentence."""
        with pytest.raises(ConfigError, match="mongodb://") as caught:
            CacheConfig(uri=uri)
        assert one_sentence(caught.value)

    @pytest.mark.parametrize("tail", ["127.0.0.1:port", "127.0.0.1:99999", "[::1", "p@127.0.0.1"])
    def test_found_out_later(self, tmdb, make_cache, tail, caplog):
        """A URI that pymongo refuses is a ConfigError by name, and costs no call its response."""
        cache = make_cache(uri=f"mongodb://somebody:{PASSWORD}@{tail}")
        with pytest.raises(ConfigError) as caught:
            cache.clear()
        assert one_sentence(caught.value)
        with enabled(cache):
            assert get(tmdb).status_code == 200
        assert len(warnings(caplog)) == 1
        assert PASSWORD not in caplog.text + "".join(traceback.format_exception(caught.value))

    def test_environment(self, monkeypatch):
        """A wrong TMDB_CACHE_URI is a ConfigError, too."""
        monkeypatch.setenv("TMDB_CACHE_URI", f"http://x:{PASSWORD}@y")
        with pytest.raises(ConfigError) as caught:
            TMDBCache()
        assert PASSWORD not in str(caught.value)


class TestPassword:
    def leaked(self, cache, tmdb, caplog):
        """Return all that a user may get to see when MongoDB fails."""
        caplog.set_level(logging.DEBUG, "tmdb_mongo_cache")
        texts = [repr(cache), repr(cache.config)]
        with enabled(cache):
            assert get(tmdb).status_code == 200
        for method in (cache.clear, lambda: list(cache.entries())):
            with pytest.raises(StoreError) as caught:
                method()
            texts += [str(caught.value), *traceback.format_exception(caught.value)]
        texts += [record.getMessage() for record in caplog.records if record.name.startswith("tmdb_mongo_cache")]
        assert len(warnings(caplog)) == 1
        return "\n".join(texts)

    def test_unreachable(self, tmdb, cache_at, refused, caplog):
        """The password of the URI is in no log line, repr or error when MongoDB is away."""
        text = self.leaked(cache_at(f"somebody:{PASSWORD}@{refused}"), tmdb, caplog)
        assert PASSWORD not in text
        assert API_KEY not in text
        assert refused in text

    def test_refusing(self, tmdb, make_cache, mongo_uri, caplog):
        """A MongoDB that refuses user and password costs no call its response, and shows neither."""
        uri = mongo_uri.replace("://", f"://somebody:{PASSWORD}@") + "&serverSelectionTimeoutMS=100"
        cache = make_cache(uri=uri, store_timeout=0.1)
        text = self.leaked(cache, tmdb, caplog)
        assert PASSWORD not in text
        assert "check the user" in text
