"""Programs whose sessions run in greenlets: gevent patched early, late and without threads, grequests, and run."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tmdb_mongo_cache.standin import StandIn

PATCH = "import gevent.monkey; gevent.monkey.patch_all({})\n"
BEGIN = {
    "patched first": PATCH.format(""),
    "patched after the import": "import requests, tmdb_mongo_cache, tmdb_mongo_cache.cache\n" + PATCH.format(""),
    "patched after install()": "import tmdb_mongo_cache; tmdb_mongo_cache.install()\n" + PATCH.format(""),
    "without threads": PATCH.format("thread=False"),
}

PROGRAM = """
import json, os, time, gevent, requests, tmdb_mongo_cache
if not os.environ.get("UNDER_RUN"):
    tmdb_mongo_cache.install(memory_ttl=float(os.environ["MEMORY_TTL"]))
lags = []

def tick():
    while True:
        started = time.perf_counter()
        gevent.sleep(0.01)
        lags.append(time.perf_counter() - started)

def get(number):
    response = requests.get(f"http://{os.environ['TMDB_CACHE_HOSTS']}/3/movie/{number}?api_key=any", timeout=30)
    return response.json()["id"] == number and response.from_cache

def all_at_once(*numbers):
    lags.clear()
    started = time.perf_counter()
    jobs = [gevent.spawn(get, number) for number in numbers]
    gevent.joinall(jobs, timeout=30)
    found = [job.value for job in jobs]
    return {"hits": found.count(True), "misses": found.count(False), "lag": max(lags, default=0),
            "seconds": time.perf_counter() - started}

gevent.spawn(tick)
get(1000)
"""

RUN = """
cold, hits = all_at_once(*[1] * 50), all_at_once(*[1] * 50)
misses, again = all_at_once(*range(10, 40)), all_at_once(*range(10, 40))
print(json.dumps([cold, hits, misses, again]), flush=True)
os._exit(0)
"""

Run = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def run(mongo_uri: str, database: str, tmdb: StandIn) -> Run:
    """Run a program; what it writes to standard error but gevent's own warning is an error."""

    def run(code: str, *before: str, **env: str) -> list[dict[str, Any]]:
        settings = {"URI": mongo_uri, "DATABASE": database, "HOSTS": tmdb.host, "STORE_TIMEOUT": "10"}
        variables = {**os.environ, **{f"TMDB_CACHE_{name}": value for name, value in settings.items()}, **env}
        line = [sys.executable, "-W", "ignore", *before, "-c", code]
        done = subprocess.run(line, env={"MEMORY_TTL": "0", **variables}, capture_output=True, text=True, timeout=90)
        assert done.returncode == 0, done.stderr
        assert "does not answer" in done.stderr or done.stderr == "", done.stderr
        found: list[dict[str, Any]] = json.loads(done.stdout)
        return found

    return run


def judge(found: list[dict[str, Any]], tmdb: StandIn) -> None:
    _, hits, misses, again = found
    assert tmdb.count <= 1 + 3 + 30  # who looked just before the answer came may ask once more
    assert (hits["hits"], hits["misses"]) == (50, 0)
    assert (misses["hits"], misses["misses"]) == (0, 30)
    assert (again["hits"], again["misses"]) == (30, 0)
    assert max(one["lag"] for one in (hits, again)) < 1
    assert all(one["seconds"] < 10 for one in found)


@pytest.mark.parametrize("begin", BEGIN)
@pytest.mark.parametrize("memory", ["0", "30"])
def test_greenlets(run: Run, tmdb: StandIn, begin: str, memory: str) -> None:
    """Greenlets get hits, share the call for a cold key, and none stops the others, however gevent is patched."""
    judge(run(BEGIN[begin] + PROGRAM + RUN, MEMORY_TTL=memory), tmdb)


def test_under_run(run: Run, tmdb: StandIn) -> None:
    """A program that patches itself with gevent is cached by run."""
    found = run(
        BEGIN["patched first"] + PROGRAM + RUN,
        "-m",
        "tmdb_mongo_cache",
        "run",
        UNDER_RUN="1",
        TMDB_CACHE_MEMORY_TTL="0",
    )
    judge(found, tmdb)


@pytest.fixture
def hung() -> Iterator[str]:
    """The URI of a MongoDB that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=500) as server:
        yield f"mongodb://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("begin", BEGIN)
def test_mongodb_hangs(run: Run, tmdb: StandIn, hung: str, begin: str) -> None:
    """A MongoDB that hangs delays greenlets as it delays threads: at the start, once."""
    code = BEGIN[begin] + PROGRAM + "print(json.dumps([all_at_once(*range(1, 51))]), flush=True); os._exit(0)"
    (found,) = run(code, TMDB_CACHE_URI=hung, TMDB_CACHE_STORE_TIMEOUT="0.25")
    assert found["misses"] == 50
    assert found["seconds"] < 5


def test_grequests(run: Run, tmdb: StandIn) -> None:
    """grequests, which patches when it is imported, gets hits for what it has asked for before."""
    code = """
import grequests, json, os, tmdb_mongo_cache
tmdb_mongo_cache.install()
urls = [f"http://{os.environ['TMDB_CACHE_HOSTS']}/3/movie/{number}?api_key=any" for number in range(1, 21)]
found = [grequests.map([grequests.get(url) for url in urls], size=10) for _ in range(2)]
print(json.dumps([[response.from_cache for response in responses] for responses in found]), flush=True)
os._exit(0)
"""
    assert run(code) == [[False] * 20, [True] * 20]
    assert tmdb.count == 20


def test_within(run: Run, tmdb: StandIn) -> None:
    """A call that an adapter makes while it sends the same one does not wait for itself in a greenlet."""
    code = """
from requests.adapters import HTTPAdapter

class Nested(HTTPAdapter):
    def send(self, *args, **options):
        get(1)
        return super().send(*args, **options)

def outer():
    started = time.perf_counter()
    with requests.Session() as session:
        session.mount("http://", Nested())
        session.get(f"http://{os.environ['TMDB_CACHE_HOSTS']}/3/movie/1?api_key=any", timeout=20)
    return time.perf_counter() - started

job = gevent.spawn(outer)
job.join(60)
print(json.dumps([{"seconds": job.value}]), flush=True)
os._exit(0)
"""
    (found,) = run(BEGIN["without threads"] + PROGRAM + code)
    assert found["seconds"] < 10
    assert tmdb.count == 3
