"""Counts of processes: added up when they end."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tmdb_mongo_cache import TMDBCache
from tmdb_mongo_cache.standin import StandIn

from .processkit import Runner

SCRIPT = """
import os, requests, sys
if "login" in sys.argv:
    requests.post("https://api.themoviedb.org/3/authentication/session/new?api_key=any", json={"request_token": "any"})
def ask(number):
    assert requests.get(f"https://api.themoviedb.org/3/movie/{number}?api_key=any").status_code == 200
ask(1); ask(1)
if "together" in sys.argv:
    import multiprocessing
    with multiprocessing.get_context("fork").Pool(2) as pool:
        pool.map(ask, [1] * 8, chunksize=1)
        import time; time.sleep(1)
if "fork" in sys.argv:
    child = os.fork()
    ask(2)
    if not child: sys.exit()
    os.waitpid(child, 0)
if "pool" in sys.argv:
    import multiprocessing
    process = multiprocessing.get_context("fork").Process(target=ask, args=(1,))
    process.start(); process.join()
"""


@pytest.mark.parametrize("how", [pytest.param("plain", marks=pytest.mark.soak), "fork", "pool", "together"])
def test_processes_add_up_when_they_end(runner: Runner, cache: TMDBCache, tmp_path: Any, how: str) -> None:
    """A script's calls are there when it has ended, those of forked children once each."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    runner.run(script, how)
    total = cache.usage().total
    assert total.calls == {"plain": 2, "fork": 4, "pool": 3, "together": 10}[how]
    # Parent and child make one call for the same film.
    assert total.misses == {"plain": 1, "fork": 2, "pool": 1, "together": 1}[how]


def test_with_the_embedded_server(tmp_path: Any, tls_tmdb: StandIn) -> None:
    """The last process adds its counts before it stops the embedded server, though its first call was a private one."""
    env = {**tls_tmdb.env, "XDG_DATA_HOME": str(tmp_path)}
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    Runner(env).run(script, "login")
    shown = Runner(env).start("-m", "tmdb_mongo_cache", "stats", "--json").stdout
    assert json.loads(shown)["total"]["calls"] == 3
