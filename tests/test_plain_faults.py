"""What can go wrong around the fast way does not reach the program, nor the log with a credential in it."""

from __future__ import annotations

import logging

import pymongo
import pytest
import requests
from pymongo.errors import ConfigurationError

from tmdb_mongo_cache import enabled, install, uninstall

from .flowkit import MOVIE, get

SECRET = "5ecre7c0ffee5ecre7c0ffee"


class WithoutSessions(pymongo.MongoClient):
    """A client of a deployment that has no sessions."""

    def start_session(self, *args, **kwargs):
        raise ConfigurationError("Sessions are not supported by this MongoDB deployment")


def test_without_sessions(mongo_uri, make_cache, tmdb):
    """Look-ups go on where MongoDB has no sessions."""
    with WithoutSessions(mongo_uri) as client, enabled(make_cache(uri=None, client=client)) as cache:
        assert [get(tmdb).from_cache for _ in range(3)] == [False, True, True]
        assert cache.stats().store_errors == 0


def test_a_broken_connection(make_cache, tmdb):
    """A look-up on a connection that the server has closed is repeated, and is a hit."""
    with enabled(make_cache()) as cache:
        assert [get(tmdb).from_cache for _ in range(2)] == [False, True]
        for found in cache.engine.store.connection.operation()._open.client._topology._servers.values():
            for connection in found.pool.conns:
                connection.conn.sock.shutdown(2)
        assert get(tmdb).from_cache
        assert cache.stats().store_errors == 0


@pytest.mark.parametrize("headers", [{"Authorization": f"Bearer {SECRET}\n"}, {f"x{SECRET}:": "1"}])
def test_the_log(cache, tmdb, caplog, headers):
    """A header that requests refuses, with its credential, is not in the log."""
    caplog.set_level(logging.DEBUG, "tmdb_mongo_cache")
    with enabled(cache), pytest.raises(requests.exceptions.InvalidHeader):
        get(tmdb, headers=headers)
    ours = [record for record in caplog.records if record.name.startswith("tmdb_mongo_cache")]
    assert ours
    assert not any(SECRET in record.getMessage() + str(record.exc_text) for record in ours)


def test_representations(cache, tmdb):
    """What a debugger or an error reporter prints of a response's insides has no credential in it."""
    with enabled(cache):
        get(tmdb, params={"api_key": SECRET})
        response = get(tmdb, params={"api_key": SECRET})
        assert SECRET in response.url
        assert SECRET not in repr(response._source) + repr(response)


def test_known_calls_are_forgotten(make_cache, tmdb):
    """After uninstall() nothing is left of the callers' credentials in the tables of known calls."""
    from tmdb_mongo_cache.integrations.requests import known_calls

    install(make_cache())
    for _ in range(2):
        get(tmdb)
    assert known_calls.known_call.cache_info().currsize
    uninstall()
    assert not known_calls.known_call.cache_info().currsize
    assert not known_calls._merged.cache_info().currsize


PROGRAM = """
import sys, requests, tmdb_mongo_cache
tmdb_mongo_cache.install()
sys.modules["cachetools"] = None
for _ in range(2):
    print(requests.get("https://api.themoviedb.org/3/movie/550", params={"api_key": "any"}).status_code)
"""


def test_a_library_that_is_gone(runner, tls_tmdb, tmp_path):
    """A library that cannot be imported at the first call is a warning, once, and the calls go on without the cache."""
    script = tmp_path / "script.py"
    script.write_text(PROGRAM, encoding="utf-8")
    done = runner.start(script)
    assert done.stdout.split() == ["200", "200"]
    assert done.stderr.count("TMDB calls are not cached") == 1


def test_an_unknown_host_in_the_settings(make_cache, tmdb):
    """The quick look at an URL knows all that is in hosts, in any case and with its port."""
    cache = make_cache(hosts=[tmdb.host, "Proxy.Example:8080", "[::1]:9"])
    for url in (tmdb.url + MOVIE, "http://PROXY.example:8080/3/x", "http://[::1]:9/3/x", "https://API.tmdb.org/3/x"):
        assert cache.engine.may_be_tmdb(url)
    assert not cache.engine.may_be_tmdb("https://example.org/3/movie/550")
