"""What happens to a program when something fails, with this package's cache and with requests-cache's on MongoDB."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import monotonic, perf_counter, sleep
from typing import Any, NamedTuple

import pymongo
import requests
import requests_cache

from tmdb_mongo_cache import TMDBSession
from tmdb_mongo_cache.mongo.embedded.server import EmbeddedServer
from tmdb_mongo_cache.standin import StandIn

KEY = {"api_key": "0123456789abcdef0123456789abcdef"}
OURS, THEIRS = "tmdb-mongo-cache", "requests-cache"
ENOUGH = 40.0
"""Seconds after which a call that has not come back is given up."""

Figures = dict[str, float | str]


class Tried(NamedTuple):
    """What came of a call: a status, an exception's name, or that it did not come back."""

    what: str
    seconds: float
    from_cache: bool = False


@dataclass
class Program:
    """A program with one of the caches under it, as it comes; ours without its memory tier, so that MongoDB is used."""

    name: str
    tmdb: StandIn

    def session(self, uri: str, **settings: Any) -> requests.Session:
        """Make the session that the program uses."""
        if self.name == OURS:
            return TMDBSession(uri=uri, hosts=[self.tmdb.host], memory_ttl=0, **settings)
        backend = requests_cache.MongoCache("tmdb_cache_db", host=uri)
        return requests_cache.CachedSession(backend=backend, expire_after=86400, stale_if_error=True, **settings)

    def get(self, session: requests.Session, number: int = 1, *, wait: float = ENOUGH) -> Tried:
        """Request a film, in a thread that can be given up."""
        found: list[Tried] = []
        url, start = f"{self.tmdb.url}/3/movie/{number}", perf_counter()

        def call() -> None:
            try:
                response = session.get(url, params=KEY)
            except Exception as error:  # noqa: BLE001  that is what is looked for
                found.append(Tried(type(error).__name__, perf_counter() - start))
            else:
                cached = bool(getattr(response, "from_cache", False))
                found.append(Tried(str(response.status_code), perf_counter() - start, cached))

        thread = threading.Thread(target=call, daemon=True)
        thread.start()
        thread.join(wait)
        return found[0] if found else Tried(f"no answer in {wait:.0f} s", wait)


@contextmanager
def mongod() -> Iterator[EmbeddedServer]:
    """Run a mongod that may be killed."""
    with tempfile.TemporaryDirectory() as folder, EmbeddedServer(Path(folder) / "db") as server:
        yield server


def away(program: Program, uri: str, calls: int) -> Figures:
    """Call with a MongoDB that is not there from the beginning."""
    session = program.session(uri)
    first = program.get(session)
    figures: Figures = {"first call": f"{first.what}, {first.seconds:.2f} s"}
    if first.what != "200":
        return figures
    with requests.Session() as direct:
        program.get(direct)
        both = [(program.get(direct, n).seconds, program.get(session, n).seconds) for n in range(1, calls)]
    without, with_it = zip(*both, strict=True)
    figures["median of the next, more than without a cache"] = f"{1e3 * (median(with_it) - median(without)):.1f} ms"
    figures["longest of the next"] = f"{1e3 * max(with_it):.0f} ms"
    return figures


def refused(program: Program, calls: int) -> Figures:
    """Nothing listens on MongoDB's port."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return away(program, f"mongodb://127.0.0.1:{bound.getsockname()[1]}", calls)


def silent(program: Program, calls: int) -> Figures:
    """MongoDB's port takes connections and never answers."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        bound.listen(100)
        return away(program, f"mongodb://127.0.0.1:{bound.getsockname()[1]}", calls)


def unknown_host(program: Program, calls: int) -> Figures:
    """MongoDB's host has no address."""
    return away(program, "mongodb://mongodb.invalid:27017", calls)


def wrong_password(program: Program, calls: int) -> Figures:
    """MongoDB refuses the user."""
    with mongod() as server:
        return away(program, server.uri.replace("://", "://somebody:wrong@"), calls)


def stopped(program: Program, calls: int) -> Figures:
    """MongoDB hangs under way (SIGSTOP): it takes connections and never answers."""
    with mongod() as server:
        session = program.session(server.uri)
        program.get(session)
        pid = server.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        try:
            found = [program.get(session)]
            if found[0].what == "200":
                found += [program.get(session) for _ in range(calls)]
        finally:
            os.kill(pid, signal.SIGCONT)
        figures: Figures = {"first call": f"{found[0].what}, {found[0].seconds:.2f} s"}
        if len(found) > 1:
            figures["median of the next"] = f"{1e3 * median(one.seconds for one in found[1:]):.1f} ms"
            figures["longest of the next"] = f"{1e3 * max(one.seconds for one in found[1:]):.0f} ms"
        return figures


def killed(program: Program, calls: int) -> Figures:
    """MongoDB is killed under the traffic of 8 threads and started again after 3 s."""
    with mongod() as server:
        session = program.session(server.uri)
        program.get(session)
        over, tried, lock = threading.Event(), [], threading.Lock()

        def traffic() -> None:
            while not over.is_set():
                one = program.get(session)
                with lock:
                    tried.append((monotonic(), one))
                sleep(0.005)

        threads = [threading.Thread(target=traffic, daemon=True) for _ in range(8)]
        for thread in threads:
            thread.start()
        sleep(0.5)
        pid = server.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        sleep(3)
        folder = Path(server.uri.partition("://")[2].partition("/?")[0].replace("%2F", "/")).parent
        with EmbeddedServer(folder):
            back = monotonic()
            sleep(6)
            over.set()
            for thread in threads:
                thread.join(ENOUGH)
            hits = [when for when, one in tried if one.from_cache and when > back]
        bad = sum(one.what != "200" for _, one in tried)
        return {
            "calls that failed": f"{bad} of {len(tried)}",
            "longest call": f"{max(one.seconds for _, one in tried):.2f} s",
            "hits again after": f"{hits[0] - back:.1f} s" if hits else "more than 6 s",
        }


def spoilt(program: Program, calls: int) -> Figures:
    """A document in the collection is not what it should be."""
    with mongod() as server:
        program.get(program.session(server.uri))
        with pymongo.MongoClient[dict[str, Any]](server.uri) as client:
            database = client["tmdb_cache_db"]
            for name in ("tmdb_cache", "responses"):
                fields = {"status": "?", "status_code": "?", "headers": 7, "body": [], "data": 1}
                database[name].update_many({}, {"$set": fields})
        return {"the call": program.get(program.session(server.uri)).what}


def cold(program: Program, calls: int) -> Figures:
    """50 threads ask for the same film, which is not in the cache."""
    with mongod() as server:
        session = program.session(server.uri)
        program.get(session, 2)
        return {"calls to TMDB": _at_once(program, session, 50)}


def stale(program: Program, calls: int) -> Figures:
    """50 threads ask for the same film, which is stale, with `stale_while_revalidate`."""
    with mongod() as server:
        program.get(program.session(server.uri))
        session = program.session(server.uri, stale_while_revalidate=True)
        with pymongo.MongoClient[dict[str, Any]](server.uri) as client:
            _age(client["tmdb_cache_db"])
        return {"calls to TMDB": _at_once(program, session, 50)}


def _age(database: Any) -> None:
    for name in ("tmdb_cache", "responses"):
        for document in database[name].find():
            old = {"$subtract": [f"${'expires_at' if 'expires_at' in document else 'expires'}", 2 * 86400 * 1000]}
            target = "expires_at" if "expires_at" in document else "expires"
            database[name].update_one({"_id": document["_id"]}, [{"$set": {target: old}}])


def _at_once(program: Program, session: requests.Session, number: int) -> float:
    program.tmdb.latency = 0.2
    before, start = program.tmdb.count, threading.Barrier(number)

    def call() -> None:
        start.wait()
        program.get(session)

    threads = [threading.Thread(target=call) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sleep(1)
    program.tmdb.latency = 0
    return program.tmdb.count - before


def processes(program: Program, calls: int) -> Figures:
    """64 threads in each of 4 processes ask for the same film, which is not in the cache."""
    context = multiprocessing.get_context("spawn")
    with mongod() as server, ExitStack() as stack:
        program.tmdb.latency = 0.2
        before, start = program.tmdb.count, context.Event()
        results: Any = context.Queue()
        given = (program.name, program.tmdb.url, program.tmdb.host, server.uri, start, results)
        running = [context.Process(target=_process, args=given) for _ in range(4)]
        for process in running:
            process.start()
            stack.callback(process.join)
        for _ in running:
            results.get(timeout=60)
        start.set()
        statuses = [status for _ in running for status in results.get(timeout=60)]
        program.tmdb.latency = 0
        return {"calls to TMDB": program.tmdb.count - before, "answers": statuses.count("200")}


class _Elsewhere(NamedTuple):
    """The stand-in as another process sees it."""

    url: str
    host: str


def _process(name: str, url: str, host: str, uri: str, start: Any, results: Any) -> None:
    program = Program(name, _Elsewhere(url, host))  # type: ignore[arg-type]
    session = program.session(uri)
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(program.get(session).what)) for _ in range(64)]
    results.put("ready")
    start.wait()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    results.put(found)


SCENARIOS: dict[str, Callable[[Program, int], Figures]] = {
    "refused": refused,
    "silent": silent,
    "unknown-host": unknown_host,
    "wrong-password": wrong_password,
    "stopped": stopped,
    "killed": killed,
    "spoilt": spoilt,
    "cold": cold,
    "processes": processes,
    "stale": stale,
}
