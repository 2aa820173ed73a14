"""The latency of a hit: ours, requests-cache on the same MongoDB, the bare read, and requests doing nothing.

All contenders take turns within one run, on the embedded MongoDB, so that a
drift of the machine hits them alike; only the ratios travel. A call is timed
from ``session.get`` to the body's bytes.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import pymongo
import requests
import requests_cache
from requests.adapters import BaseAdapter
from rich.console import Console
from rich.table import Table
from urllib3 import HTTPResponse

import tmdb_mongo_cache
from tmdb_mongo_cache import TMDBCache
from tmdb_mongo_cache.standin import StandIn
from tmdb_mongo_cache.store.embedded import EmbeddedServer

CALLS = (
    "/3/movie/550?api_key=0123456789abcdef",
    "/3/movie/550?api_key=0123456789abcdef&append_to_response=credits,images,keywords,videos,similar,recommendations",
)


class NoAdapter(BaseAdapter):
    """An adapter that has the answer already: what requests itself costs."""

    def __init__(self, body: bytes) -> None:
        super().__init__()
        self._body = body

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """Answer at once."""
        response = requests.Response()
        response.status_code, response.request, response.url = 200, request, request.url or ""
        response._content, response.raw = self._body, HTTPResponse(b"")
        return response

    def close(self) -> None:
        """Do nothing."""


def main() -> None:
    """Run the benchmark and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=2000, help="calls per contender and size")
    rounds = parser.parse_args().rounds
    table = Table(title=f"a hit, {rounds} rounds")
    for column in ("size", "contender", "p50 µs", "p99 µs", "÷ find_one"):
        table.add_column(column, justify="left" if column in ("size", "contender") else "right")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        uri = stack.enter_context(EmbeddedServer(folder)).uri
        tmdb = stack.enter_context(StandIn())
        for call in CALLS:
            size = f"{len(requests.get(tmdb.url + call, timeout=10).content) / 1000:.1f} kB"
            times = measure(contenders(stack, uri, tmdb, call), rounds)
            base = statistics.median(times["bare find_one"])
            for name, found in times.items():
                p50, p99 = statistics.median(found), statistics.quantiles(found, n=100)[98]
                table.add_row(size, name, f"{p50:.0f}", f"{p99:.0f}", f"{p50 / base:.2f}")
            table.add_section()
    Console().print(table)


def contenders(stack: ExitStack, uri: str, tmdb: StandIn, call: str) -> dict[str, Callable[[], object]]:
    """Make the contenders for one call, each with the answer already in its cache."""
    url = tmdb.url + call
    client: pymongo.MongoClient[dict[str, Any]] = stack.enter_context(pymongo.MongoClient(uri))
    cache = stack.enter_context(TMDBCache(uri=uri, hosts=[tmdb.host]))
    session = requests.Session()
    peer = requests_cache.CachedSession(backend=requests_cache.MongoCache("peer", host=uri))
    stack.callback(session.close)
    stack.callback(peer.close)

    def ours() -> object:
        with tmdb_mongo_cache.enabled(cache):
            return session.get(url).content

    body = ours()
    peer.get(url)
    collection, key = client["tmdb_cache_db"]["tmdb_cache"], cache.key(url)
    nothing = requests.Session()
    nothing.mount("http://", NoAdapter(bytes(body)))  # type: ignore[call-overload]
    stack.enter_context(tmdb_mongo_cache.enabled(cache))
    stack.callback(nothing.close)

    def alone() -> object:
        with tmdb_mongo_cache.disabled():
            return nothing.get(url).content

    return {
        "bare find_one": lambda: collection.find_one({"_id": key}, {"data": 0}),
        "tmdb-mongo-cache": lambda: session.get(url).content,
        "requests-cache, MongoDB": lambda: peer.get(url).content,
        "requests, doing nothing": alone,
    }


def measure(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Time every contender in turn, in µs; the first tenth is for warming up."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    gc.disable()
    try:
        for number in range(rounds + rounds // 10):
            for name, call in calls.items():
                start = perf_counter_ns()
                call()
                taken = perf_counter_ns() - start
                if number >= rounds // 10:
                    times[name].append(taken / 1000)
    finally:
        gc.enable()
    return times


if __name__ == "__main__":
    main()
