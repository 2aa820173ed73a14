"""What the cache costs where it saves nothing: other hosts, misses, the import, memory; and a call that is new."""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count

import requests

import tmdb_mongo_cache
from tmdb_mongo_cache import TMDBCache, TMDBSession, cached_tmdb

from .bench import DATABASE, KEY, Bench, NoAdapter, body_of
from .documents import fill
from .measuring import Contender, Times, by_turns, more

BEFORE, AFTER = "before install()", "after install()"
MISS, MORE = "a miss", "more, round by round"
PARTS = "a find_one, the same call uncached and a replace_one, one after the other"
UNCACHED, READ, WRITE = "the call uncached alone", "find_one alone", "replace_one alone"
NEW, KNOWN = "a hit, each time another film", "a hit, the same film"


def _medians(found: dict[str, Times]) -> dict[str, float]:
    return {name: times.median for name, times in found.items()}


@contextmanager
def _installed(cache: TMDBCache) -> Iterator[None]:
    tmdb_mongo_cache.install(cache)
    try:
        yield
    finally:
        tmdb_mongo_cache.uninstall()


def other_host(bench: Bench, *, rounds: int, block: int) -> dict[str, float]:
    """Measure a call to another host, to which an adapter responds at once; medians in µs."""
    session = bench.session()
    session.mount("https://", NoAdapter(b"{}"))
    cache = bench.cache()

    def call() -> object:
        return session.get("https://example.org/3/movie/550", params=KEY).content

    # In short blocks, each compared with its neighbour: a µs is looked for in some hundred.
    found = by_turns(
        [Contender(BEFORE, call), Contender(AFTER, call, partial(_installed, cache))],
        rounds=rounds * 10,
        block=block // 5,
    )
    return {**_medians(found), MORE: more(found[AFTER], found[BEFORE])}


def miss(bench: Bench, *, rounds: int, block: int) -> dict[str, float]:
    """Measure calls that are not in the cache, and what they are made of; medians in µs."""
    session, direct, numbers = bench.session(), bench.session(), count(2_000_000)
    cache = bench.cache(collection="tmdb_cache_misses")
    collection = bench.client[DATABASE]["tmdb_cache_misses"]
    plain = bench.client[DATABASE]["plain_misses"]
    with tmdb_mongo_cache.enabled(cache):
        session.get(f"{bench.tmdb.url}/3/movie/1", params=KEY)
    document = collection.find_one({})
    assert document is not None

    def url() -> str:
        return f"{bench.tmdb.url}/3/movie/{next(numbers)}"

    def write() -> object:
        document["_id"] = str(next(numbers))
        return plain.replace_one({"_id": document["_id"]}, document, upsert=True)

    def parts() -> object:
        plain.find_one({"_id": str(next(numbers))}, {"data": 0})
        body = direct.get(url(), params=KEY).content
        write()
        return body

    found = by_turns(
        [
            Contender(PARTS, parts),
            Contender(MISS, lambda: session.get(url(), params=KEY).content, partial(tmdb_mongo_cache.enabled, cache)),
            Contender(UNCACHED, lambda: direct.get(url(), params=KEY).content),
            Contender(READ, lambda: plain.find_one({"_id": str(next(numbers))}, {"data": 0})),
            Contender(WRITE, write),
        ],
        rounds=rounds * 2,
        block=block // 2,
    )
    return {**_medians(found), MORE: more(found[MISS], found[PARTS])}


def ways_in(bench: Bench, *, rounds: int, block: int) -> dict[str, float]:
    """Measure a hit from memory by each of the ways in; medians in µs."""
    url = bench.answer(552, 2_000)
    cache, session = bench.cache(memory_ttl=3600), bench.session()
    ours = bench.stack.enter_context(TMDBSession(cache))
    decorated = cached_tmdb(cache=cache)(lambda: session.get(url, params=KEY).content)
    installed = partial(_installed, cache)
    found = by_turns(
        [
            Contender("session.get after install()", lambda: session.get(url, params=KEY).content, installed),
            Contender("requests.get after install()", lambda: requests.get(url, params=KEY).content, installed),
            Contender("TMDBSession.get", lambda: ours.get(url, params=KEY).content),
            Contender("session.get in a function with @cached_tmdb, called for each", decorated),
        ],
        rounds=rounds,
        block=block,
    )
    return _medians(found)


def new_calls(bench: Bench, *, rounds: int, block: int) -> dict[str, float]:
    """Measure hits of films that this process has not requested before, beside the same one; medians in µs."""
    session, films = bench.session(), 20_000
    name = "tmdb_cache_new"
    fill(bench, bench.client[DATABASE][name], range(films))
    cache, numbers = bench.cache(memory_ttl=0, collection=name), count(1)

    def get(number: int) -> object:
        response = session.get(f"{bench.tmdb.url}/3/movie/{number}", params=KEY)
        assert response.from_cache  # type: ignore[attr-defined]
        return response.content

    found = by_turns(
        [
            Contender(NEW, lambda: get(next(numbers) % films), partial(tmdb_mongo_cache.enabled, cache)),
            Contender(KNOWN, lambda: get(550), partial(tmdb_mongo_cache.enabled, cache)),
        ],
        rounds=rounds,
        block=block,
    )
    return _medians(found)


def importing(*, repeats: int) -> dict[str, float]:
    """Measure ``import requests`` and what our two lines add to it, in new processes by turns; medians in ms."""
    codes = {
        "import requests": "",
        "and import tmdb_mongo_cache; install()": "import tmdb_mongo_cache; tmdb_mongo_cache.install()",
    }
    times: dict[str, list[float]] = {name: [] for name in codes}
    for number in range(repeats + 1):
        for name, code in codes.items():
            program = f"from time import perf_counter as t; s = t(); import requests; {code}\nprint((t() - s) * 1000)"
            done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
            if number:  # the first only fills the disk's cache
                times[name].append(float(done.stdout))
    return {name: statistics.median(found) for name, found in times.items()}


_MEMORY = """
import gc, sys, psutil, requests, tmdb_mongo_cache
uri, host, films, limit, key, language = sys.argv[1:]
tmdb_mongo_cache.install(
    uri=uri, hosts=[host], collection="tmdb_cache_memory", memory_ttl=3600, memory_max_bytes=int(limit)
)
session, process = requests.Session(), psutil.Process()
get = lambda n: session.get(f"http://{host}/3/movie/{n}", params={"api_key": key, "language": language})
assert get(0).from_cache
gc.collect()
before = process.memory_info().rss
for n in range(int(films)):
    get(n).content
print(process.memory_info().rss - before)
"""


def memory(bench: Bench, *, films: int, limit: int) -> dict[str, float]:
    """Measure how much a process grows by hits of so many films, the memory tier bounded by ``limit`` bytes."""
    fill(bench, bench.client[DATABASE]["tmdb_cache_memory"], range(films))
    arguments = [bench.uri, bench.tmdb.host, str(films), str(limit), *KEY.values()]
    before = bench.tmdb.count
    done = subprocess.run([sys.executable, "-c", _MEMORY, *arguments], capture_output=True, text=True, check=True)
    assert bench.tmdb.count == before
    return {"hits": films, "memory_max_bytes": limit, "grown": float(done.stdout), "each": len(body_of(2_000))}
