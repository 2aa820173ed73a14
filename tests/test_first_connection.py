"""The first connection of a process, which all who come meanwhile wait for."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trustme

from tmdb_mongo_cache import TMDBCache, TMDBSession
from tmdb_mongo_cache.standin import StandIn

from .processkit import Runner


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


def test_an_opening_that_takes_long(
    make_cache: Callable[..., TMDBCache], tmdb: StandIn, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A call waits for a slow opening as long as store_timeout allows, and not a second alone."""
    pipe, ended, text = tmp_path / "ca.pem", threading.Event(), trustme.CA().cert_pem.bytes()
    os.mkfifo(pipe)

    def write_late() -> None:
        while not ended.wait(1.3):  # it is opened more than once
            with suppress(BrokenPipeError), pipe.open("wb") as stream:
                stream.write(text)

    threading.Thread(target=write_late, daemon=True).start()
    cache = make_cache(uri=f"mongodb://127.0.0.1:9/?tls=true&tlsCAFile={pipe}", store_timeout=60)
    with TMDBSession(cache) as session:
        assert session.get(f"{tmdb.url}/3/movie/550?api_key=0123456789abcdef", timeout=60).status_code == 200
    ended.set()
    os.close(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK))  # for who waits to write
    (said,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert "does not answer" in said  # and not: is still starting
