"""Hits per second against the number of threads."""

from __future__ import annotations

import random
import statistics
import threading
from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Any

import requests
import requests_cache

import tmdb_mongo_cache

from .bench import KEY, MEMORY, OURS, PEER_MEMORY, PEER_MONGODB, Bench

SIZE = 2_000
COUNTS = (1, 2, 4, 8, 16)
NUMBER = 551


def threads(bench: Bench, *, seconds: float, repeats: int) -> dict[str, dict[int, float]]:
    """Measure the calls per second of some threads, each with a session of its own, by turns; medians."""
    url = bench.answer(NUMBER, SIZE)
    caches = {OURS: bench.cache(memory_ttl=0), MEMORY: bench.cache(memory_ttl=3600)}
    backends: dict[str, Any] = {
        PEER_MONGODB: requests_cache.MongoCache("peer_threads", host=bench.uri),
        PEER_MEMORY: requests_cache.BaseCache(),
    }
    found: dict[str, dict[int, list[float]]] = {name: {n: [] for n in COUNTS} for name in (*caches, *backends)}
    order, shuffled = list(found), random.Random(3)
    for _ in range(repeats):
        for count in COUNTS:
            shuffled.shuffle(order)
            for name in order:
                if name in caches:
                    tmdb_mongo_cache.install(caches[name])
                    found[name][count].append(_per_second(url, requests.Session, count, seconds))
                    tmdb_mongo_cache.uninstall()
                else:
                    make = partial(requests_cache.CachedSession, backend=backends[name])
                    found[name][count].append(_per_second(url, make, count, seconds))
    return {name: {n: statistics.median(values) for n, values in by.items()} for name, by in found.items()}


def _per_second(url: str, make: Callable[[], requests.Session], count: int, seconds: float) -> float:
    """Let threads call for some seconds; return what all of them made in one."""
    calls = [0] * count
    ready, go, end = threading.Barrier(count + 1, timeout=60), threading.Event(), threading.Event()

    def run(index: int) -> None:
        session = make()
        for _ in range(10):
            session.get(url, params=KEY)
        ready.wait()
        go.wait()
        while not end.is_set():
            assert session.get(url, params=KEY).content
            calls[index] += 1

    workers = [threading.Thread(target=run, args=(index,)) for index in range(count)]
    for worker in workers:
        worker.start()
    ready.wait()
    start = perf_counter()
    go.set()
    end.wait(seconds)
    end.set()
    taken = perf_counter() - start
    made = sum(calls)
    for worker in workers:
        worker.join()
    return made / taken
