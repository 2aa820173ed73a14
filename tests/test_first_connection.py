"""The first connection of a process, which all who come meanwhile wait for."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tmdb_mongo_cache import TMDBCache, TMDBSession
from tmdb_mongo_cache.standin import StandIn

from .running import Runner


def test_many_threads_at_once(
    make_cache: Callable[..., TMDBCache], tmdb: StandIn, collection: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Threads that all make their first call at once are all answered through the cache, without a warning."""
    url = f"{tmdb.url}/3/movie/550?api_key=0123456789abcdef"
    with TMDBSession(make_cache()) as session:
        session.get(url)
    for _ in range(5):
        with TMDBSession(make_cache(store_timeout=0.25)) as session, ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda _: session.get(url).from_cache, range(8)))
        assert found == [True] * 8
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


SCRIPT = """
import threading, requests
threading.stack_size(1 << 46)  # more than there is: from here on no thread can be started
for _ in range(2):
    found = requests.get("https://api.themoviedb.org/3/movie/550?api_key=0123456789abcdef", timeout=10)
    print(found.status_code)
"""


def test_no_thread_can_be_started(runner: Runner, tls_tmdb: StandIn) -> None:
    """Where no thread can be started (too many, a subinterpreter), calls are answered, and one line says it."""
    done = runner.run("-c", SCRIPT, TMDB_CACHE_MEMORY_TTL="0")
    assert done.stdout == "200\n200\n"
    assert len(done.stderr.splitlines()) == 1
    assert "no thread can be started" in done.stderr
