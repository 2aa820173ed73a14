"""What a reviewer found: each of these once went wrong."""

from __future__ import annotations

import gc
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import requests

import tmdb_mongo_cache
from tmdb_mongo_cache import CacheConfig, TMDBCache, TMDBSession, cached_tmdb
from tmdb_mongo_cache.standin import StandIn
from tmdb_mongo_cache.tmdb import credentials

from .flowkit import API_KEY, get
from .waitkit import eventually

pytestmark = pytest.mark.any_database


def test_a_client_that_nobody_closed_is_closed(mongo_uri: str, database: str, tmdb: StandIn) -> None:
    """A cache that goes without being closed leaves no open client behind, and no warning."""
    cache = TMDBCache(uri=mongo_uri, database=database, hosts=[tmdb.host], store_timeout=10)
    with tmdb_mongo_cache.enabled(cache):
        assert get(tmdb).status_code == 200
    del cache
    gc.collect()


@pytest.mark.parametrize("asked", ["season/1", "changes", "nonsense", "nonsense,trailers"])
def test_nothing_of_what_was_appended(cache: TMDBCache, tmdb: StandIn, collection: Any, asked: str) -> None:
    """An answer that has nothing of what was appended is passed on and not stored, whatever that was."""
    tmdb.fail("no-append")
    with tmdb_mongo_cache.enabled(cache):
        get(tmdb, "/3/tv/1399", params={"append_to_response": asked})
    assert collection.count_documents({}) == 0


@pytest.mark.parametrize("field", ["timestamp", "validated_at"])
@pytest.mark.parametrize("ahead", [timedelta(days=400), timedelta(hours=1), None])
def test_an_answer_from_the_future(
    cache: TMDBCache, tmdb: StandIn, collection: Any, field: str, ahead: timedelta | None
) -> None:
    """An entry that says it was fetched in the future is a miss that the next answer replaces."""
    with tmdb_mongo_cache.enabled(cache):
        get(tmdb)
        far = datetime(9999, 12, 31, tzinfo=timezone.utc)
        moment = far if ahead is None else datetime.now(timezone.utc) + ahead
        collection.update_one({}, {"$set": {field: moment, "purge_at": far, "expires_at": far}})
        assert get(tmdb, headers={"Cache-Control": "no-cache"}).status_code == 200
        collection.update_one({}, {"$set": {field: moment, "purge_at": far, "expires_at": far}})
        assert not get(tmdb).from_cache
        assert get(tmdb).from_cache


def test_the_word_bearer_is_no_secret(cache: TMDBCache, tmdb: StandIn) -> None:
    """With a Bearer token a search for "Bearer", and an answer that says it, are cached."""
    headers = {"Authorization": f"Bearer {API_KEY}", "Cookie": "language=german; theme=darkest"}
    assert credentials.of_headers(headers) == {API_KEY, "german", "darkest"}
    with tmdb_mongo_cache.enabled(cache):
        for _ in range(2):
            found = get(tmdb, "/3/search/movie", params={"query": "Bearer language"}, headers=headers)
    assert found.from_cache


def test_a_closed_cache_is_not_handed_out_again(
    mongo_uri: str, database: str, tmdb: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After close() the next install(), enabled() and decorator take a new cache."""
    monkeypatch.setenv("TMDB_CACHE_URI", mongo_uri)
    monkeypatch.setenv("TMDB_CACHE_DATABASE", database)
    monkeypatch.setenv("TMDB_CACHE_HOSTS", tmdb.host)
    monkeypatch.setenv("TMDB_CACHE_STORE_TIMEOUT", "10")
    with tmdb_mongo_cache.enabled() as first:
        get(tmdb)
    first.close()
    assert first.closed
    with tmdb_mongo_cache.enabled() as second:
        assert get(tmdb).from_cache
    second.close()
    assert cached_tmdb(get)(tmdb).from_cache
    tmdb_mongo_cache.install().close()
    third = tmdb_mongo_cache.install()
    assert get(tmdb).from_cache
    third.close()


def test_a_mongod_that_starts_slowly_and_fails_is_tried_once(
    tmdb: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An embedded server that takes its time and then fails costs one call, not every one."""
    mongod = tmp_path / "mongod"
    mongod.write_text("#!/bin/sh\nsleep 0.3\nexit 1\n", encoding="utf-8")
    mongod.chmod(0o755)
    monkeypatch.setenv("TMDB_CACHE_MONGOD", str(mongod))
    with TMDBSession(uri="embedded", hosts=[tmdb.host]) as session:
        get(tmdb, session=session)
        started = time.monotonic()
        for _ in range(5):
            assert get(tmdb, session=session).status_code == 200
        assert time.monotonic() - started < 1
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) == 1


def test_an_embedded_server_that_was_killed_is_started_again(tmp_path: Path, tmdb: StandIn) -> None:
    """When the embedded mongod is killed under a running program, its answers are there again soon."""
    code = (
        "import os, signal, sys, time, tmdb_mongo_cache as t\n"
        "from tmdb_mongo_cache.mongo.embedded.server import shared_server\n"
        "with t.TMDBSession(uri='embedded', hosts=[sys.argv[1]]) as session:\n"
        "    url = f'http://{sys.argv[1]}/3/movie/550?api_key=abcdef0123456789'\n"
        "    session.get(url)\n"
        "    assert session.get(url).from_cache\n"
        "    os.kill(shared_server().pid, signal.SIGKILL)\n"
        "    end = time.monotonic() + 20\n"
        "    while not session.get(url).from_cache and time.monotonic() < end: time.sleep(0.1)\n"
        "    print(session.get(url).from_cache)\n"
    )
    env = {**os.environ, "XDG_DATA_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code, tmdb.host], env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "True\n", done.stderr


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # Python 3.12 and newer, of any fork with threads
def test_refreshing_goes_on_in_a_forked_child(make_cache: Callable[..., TMDBCache], tmdb: StandIn) -> None:
    """stale_while_revalidate refreshes in a child that was forked from a process that had refreshed."""
    cache = make_cache(expire_after=0, stale_while_revalidate=60)
    with TMDBSession(cache) as session:
        get(tmdb, session=session)
        get(tmdb, session=session)
        assert eventually(lambda: tmdb.count == 2, 10)
        pid = os.fork()
        if pid == 0:
            try:
                get(tmdb, session=session)
                time.sleep(1.5)
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
    assert tmdb.count == 3


def test_many_threads_make_one_store(make_cache: Callable[..., TMDBCache], tmdb: StandIn) -> None:
    """Threads that come at once to a new cache open one client between them."""
    cache = make_cache()
    with ThreadPoolExecutor(8) as pool:
        stores = {id(store) for store in pool.map(lambda _: cache.engine.store, range(8))}
    assert len(stores) == 1


def test_settings_as_a_key_and_in_a_decorator(mongo_uri: str, database: str, tmdb: StandIn) -> None:
    """Settings can be hashed, and given to the decorator in place of a cache."""
    config = CacheConfig(uri=mongo_uri, database=database, hosts=[tmdb.host], store_timeout=10)
    assert {config: 1}[config.changed()] == 1
    cached = cached_tmdb(cache=config)(get)
    cached(tmdb)
    assert cached(tmdb).from_cache


def test_an_unknown_setting_is_named() -> None:
    """An unknown setting is a TypeError that names it and what there is."""
    for make in (tmdb_mongo_cache.install, TMDBCache, TMDBSession):
        with pytest.raises(TypeError, match=r"expire.*expire_after"):
            make(expire=3)


def test_a_fault_of_the_cache_is_no_fault_of_the_program(
    cache: TMDBCache, tmdb: StandIn, collection: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the cache itself fails on an answer, the program has TMDB's, and the log one line."""

    class Adapter(requests.adapters.HTTPAdapter):
        def send(self, *args: Any, **kwargs: Any) -> requests.Response:
            response = super().send(*args, **kwargs)
            response.headers["X-Odd"] = 7  # type: ignore[assignment]
            return response

    with requests.Session() as session, tmdb_mongo_cache.enabled(cache):
        session.mount("http://", Adapter())
        assert get(tmdb, session=session).json()["id"] == 550
    assert tmdb.count == 1
    assert collection.count_documents({}) == 0
    assert [record.levelname for record in caplog.records if "the cache failed" in record.message] == ["WARNING"]
