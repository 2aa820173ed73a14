"""The soak: processes that call through the cache, faults on both sides, and a model of what may be served.

``python -m tests.soakkit SETTINGS`` is one worker. It writes what it saw, a line of JSON for each call, and
the model in ``test_soak.py`` looks at it when all is over. All processes are on one machine, so
``time.time()`` is the same for all.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import hashlib
import json
import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pymongo
import requests
from pymongo.errors import PyMongoError

from tmdb_mongo_cache import CacheError, TMDBCache, TMDBSession, install, uninstall
from tmdb_mongo_cache.mongo.embedded.server import EmbeddedServer
from tmdb_mongo_cache.standin import StandIn
from tmdb_mongo_cache.standin.faults import NAMES

FILMS = [550, 603, 680, 155, 238, 424, 497, 278, 122, 769, 311, 637, 807, 274, 346]
MISSING = 999_000_001
LANGUAGES = ["en-US", "de-DE", "fr-FR"]
EXPIRE, NOT_FOUND_EXPIRE, CALLS_OWN = 3.0, 1.0, 1.0
TIMEOUTS = [1.0, 1.5]
LATENCY = 0.3
# What the workers differ in; the first is never killed.
KINDS: list[dict[str, Any]] = [
    {"expire_after": 2, "stale_if_error": 2},
    {"expire_after": 1, "stale_if_error": 3, "stale_while_revalidate": 2},
    {"expire_after": 3, "stale_if_error": 1.5, "wait_on_rate_limit": True},
]
MODES = [None] * 15 + ["refresh", "refresh", "own", "own", "only", "force"]


def path_of(film: int) -> str:
    return f"/3/movie/{film}"


def params_of(language: str, append: bool) -> dict[str, str]:
    return {"api_key": "any", "language": language, **({"append_to_response": "credits"} if append else {})}


def digest(body: bytes) -> str:
    return hashlib.md5(body).hexdigest()[:16]


def heartbeat(note: Any, ended: threading.Event) -> None:
    """Note when this process was held up by the machine: that is nobody's fault."""
    while not ended.is_set():
        before = time.time()
        time.sleep(0.02)
        late = time.time() - before - 0.02
        if late > 0.03:
            note("stall", before, late)


# A worker


class Worker:
    """Threads that call through the cache, in rounds; each round has a cache of its own."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.random = random.Random(settings["seed"])
        self.folder = Path(settings["folder"])
        self.lock = threading.Lock()
        self.stopped = threading.Event()
        self.seen: set[str] = set()
        self.cache: Any = None
        self.begin()

    def begin(self) -> None:
        """Write to a file of this process's own."""
        self.file = (self.folder / f"{self.settings['number']}-{os.getpid()}.calls").open("a", buffering=1)

    def note(self, *what: Any) -> None:
        with self.lock:
            self.file.write(json.dumps(what) + "\n")

    def keep(self, body: bytes) -> str:
        """Keep every body once, for the model to look at those it does not know."""
        name = digest(body)
        if name not in self.seen:
            self.seen.add(name)
            (self.folder / "bodies" / name).write_bytes(body)
        return name

    def call(self, session: Any, door: str, rng: random.Random) -> None:
        film = MISSING if rng.random() < 0.03 else rng.choice(FILMS)
        language, append, timeout = rng.choice(LANGUAGES), rng.random() < 0.3, rng.choice(TIMEOUTS)
        mode = rng.choice(MODES) if door == "session" else None
        extra = {"refresh": {"refresh": True}, "own": {"expire_after": CALLS_OWN}}.get(mode or "", {})
        extra |= {"only": {"only_if_cached": True}, "force": {"force_refresh": True}}.get(mode or "", {})
        given = {"number": self.settings["number"], "film": film, "language": language, "append": append}
        given |= {"timeout": timeout, "mode": mode, "door": door, "cache": f"{os.getpid()}.{id(self.cache)}"}
        began = time.time()
        try:
            url = self.settings["url"] + path_of(film)
            response = session.get(url, params=params_of(language, append), timeout=timeout, **extra)
            ended = time.time()
            given |= {"status": response.status_code, "body": self.keep(response.content)}
            given["said"] = response.headers["Cache-Status"].split(",")[-1]
            expires = getattr(response, "expires", None)
            given["expires"] = None if expires is None else expires.timestamp()
            given["cached"] = response.from_cache
        except Exception as error:
            ended = time.time()
            given |= {"error": type(error).__name__, "text": str(error)[:200]}
            given["tmdbs"] = isinstance(error, requests.RequestException) and not isinstance(error, CacheError)
        given["store_errors"] = self.cache.stats().store_errors
        self.note("call", began, ended, given)

    def traffic(self, number: int, end: float) -> None:
        rng = random.Random(f"{self.settings['seed']} {number} {end}")
        door = "session" if number % 2 else "install"
        with TMDBSession(self.cache) if door == "session" else requests.Session() as session:
            while time.monotonic() < end and not self.stopped.is_set():
                # Every other way of install() is without a session.
                self.call(requests if door == "install" and rng.random() < 0.3 else session, door, rng)
                time.sleep(rng.random() * 0.03)

    def fork(self) -> None:
        """Let a forked child make some calls, by both doors, while the threads go on here."""
        with self.lock:
            child = os.fork()
        if not child:
            code = 1
            try:
                self.lock = threading.Lock()
                self.begin()
                rng = random.Random(os.getpid())
                with TMDBSession(self.cache) as session:
                    for number in range(8):
                        door = "session" if number % 2 else "install"
                        self.call(session if number % 2 else requests, door, rng)
                code = 0
            finally:
                os._exit(code)
        end = time.monotonic() + 60
        while (waited := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < end:
            time.sleep(0.01)
        if waited == (0, 0):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        self.note("fork", time.time(), waited[1] if waited[0] else "hangs")

    def round(self, seconds: float) -> None:
        """Run one cache's life, and measure what is left of it."""
        self.cache = TMDBCache(**self.settings["cache"])
        install(self.cache)
        end = time.monotonic() + seconds
        threads = [threading.Thread(target=self.traffic, args=(n, end)) for n in range(self.settings["threads"])]
        for thread in threads:
            thread.start()
        time.sleep(seconds / 2)
        if not self.stopped.is_set() and self.random.random() < self.settings["forks"]:
            self.fork()
        for thread in threads:
            thread.join()
        opened = self.measure()
        stats = self.cache.stats()._asdict()
        uninstall()
        self.cache.close()
        self.cache = None
        # pymongo's threads end by themselves, when the server that they look at answers or is lost.
        wait = time.monotonic() + 15
        while threading.active_count() > 3 and time.monotonic() < wait and not self.settings["short"]:
            time.sleep(0.05)
        left = [thread.name for thread in threading.enumerate() if thread.name not in ("MainThread", "beat", "end")]
        self.note("round", time.time(), stats, opened, self.measure(), left)

    @staticmethod
    def measure() -> dict[str, int]:
        gc.collect()
        with contextlib.suppress(AttributeError, OSError):  # what is free is given back where this is glibc
            ctypes.CDLL(None).malloc_trim(0)
        me = psutil.Process()
        found = {"rss": me.memory_info().rss, "threads": me.num_threads(), "fds": me.num_fds()}
        return {**found, "sockets": len(me.net_connections("all"))}

    def run(self) -> None:
        log = logging.getLogger("tmdb_mongo_cache")
        log.addHandler(Faults(self))
        log.setLevel(logging.DEBUG)
        log.propagate = False
        threading.Thread(target=heartbeat, args=(self.note, self.stopped), daemon=True, name="beat").start()
        threading.Thread(target=self._wait, daemon=True, name="end").start()
        while not self.stopped.is_set():
            self.round(self.settings["round"])

    def _wait(self) -> None:
        os.read(0, 1)  # the end of the file, when the parent closes its end
        self.stopped.set()


class Faults(logging.Handler):
    """Notes what the log says of the cache's own faults."""

    def __init__(self, worker: Worker) -> None:
        super().__init__()
        self.worker = worker
        self.after = 0

    def emit(self, record: logging.LogRecord) -> None:
        text = str(record.msg)
        own = "the cache failed" in text or "an operation failed" in text or "the refresh failed" in text
        self.after = 1 if own else self.after - 1
        if own or (self.after == 0 and text == "%s: %s"):  # the places come in the next line
            self.worker.note("fault", time.time(), record.getMessage())


# The parent


@dataclass
class Timeline:
    """What was done to both sides, and when; written by the injectors, read by the model."""

    changes: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    bodies: dict[tuple[int, str, bool], dict[str, list[int]]] = field(default_factory=dict)
    tmdb: list[tuple[str, str | None, float, float]] = field(default_factory=list)
    mongo: list[tuple[str, float, float, list[int]]] = field(default_factory=list)
    stalls: list[tuple[float, float]] = field(default_factory=list)
    upstream: int = 0


class Injector:
    """Injects faults at random: on TMDB's side and on MongoDB's, each in a thread of its own."""

    def __init__(self, seed: int, tmdb: StandIn, twin: StandIn, server: EmbeddedServer, workers: Any) -> None:
        self.seed, self.tmdb, self.twin, self.server, self.workers = seed, tmdb, twin, server, workers
        self.line = Timeline()
        self.ended = threading.Event()
        self.errors: list[BaseException] = []
        for film in [*FILMS, MISSING]:
            self.learn(film, 0)

    def learn(self, film: int, version: int) -> None:
        """Have the answers of a version from the stand-in's faultless twin."""
        for language in LANGUAGES:
            for append in (False, True):
                body = requests.get(self.twin.url + path_of(film), params=params_of(language, append), timeout=30)
                known = self.line.bodies.setdefault((film, language, append), {})
                known.setdefault(digest(body.content), []).append(version)

    def change(self, rng: random.Random) -> None:
        film = rng.choice(FILMS)
        done = self.line.changes.setdefault(path_of(film), [])
        self.twin.change(path_of(film))
        self.learn(film, len(done) + 1)
        before = time.time()
        self.tmdb.change(path_of(film))
        done.append((before, time.time()))

    def fail_tmdb(self, rng: random.Random) -> None:
        while not self.ended.is_set():
            for what in shuffled(rng, [*NAMES, *["latency"] * 4, *["peace"] * 8]):
                if self.ended.is_set():
                    break
                began, path = time.time(), rng.choice([None, path_of(rng.choice(FILMS))])
                if what == "latency":
                    self.tmdb.latency = rng.uniform(0.05, LATENCY)
                elif what == "refuse":
                    path = None
                    self.tmdb.fail(what)
                elif what != "peace":
                    after = rng.choice([None, 1]) if what in ("429", "503") else None
                    self.tmdb.fail(what, path=path, retry_after=after)
                # Now and then for longer than an answer may be stale.
                lasts = 30 if what != "peace" and rng.random() < 0.3 and path is not None else rng.randrange(1, 4)
                for _ in range(lasts):
                    self.ended.wait(rng.uniform(0.02, 0.25))
                    if rng.random() < 0.4:  # each costs the stand-in all that it has made
                        self.change(rng)
                self.tmdb.heal()
                self.tmdb.latency = 0.0
                if what not in ("latency", "peace"):
                    self.line.tmdb.append((what, path, began, time.time()))
                calls, self.tmdb.calls = self.tmdb.calls, []
                self.line.upstream += len(calls)

    def fail_mongo(self, rng: random.Random) -> None:
        kinds = ["pause", "pause", "stop", "kill", "delete", "drop", "lease", "worker", *["edit"] * 5, *["peace"] * 4]
        with pymongo.MongoClient(self.server.uri, serverSelectionTimeoutMS=2000, socketTimeoutMS=5000) as client:
            collection = client["soak"]["tmdb_cache"]
            while not self.ended.is_set():
                for what in shuffled(rng, kinds):
                    if self.ended.wait(rng.uniform(0.5, 2.5) if what == "peace" else rng.uniform(0.05, 0.4)):
                        break
                    if what == "peace":
                        continue
                    began = time.time()
                    films = rng.sample(FILMS, 4) if what in ("edit", "delete") else [*FILMS, MISSING]
                    with contextlib.suppress(PyMongoError):
                        self.harm(what, rng, collection, films)
                    self.line.mongo.append((what, began, time.time(), films))

    def harm(self, what: str, rng: random.Random, collection: Any, films: list[int]) -> None:
        pid = self.server.pid
        if what in ("pause", "stop"):
            os.kill(pid, signal.SIGSTOP)
            try:
                self.ended.wait(rng.uniform(0.02, 0.15) if what == "pause" else rng.uniform(0.4, 1.5))
            finally:
                os.kill(pid, signal.SIGCONT)
        elif what == "kill":
            os.kill(pid, signal.SIGKILL)
            self.ended.wait(rng.uniform(0, 0.5))
            self.server.start()
        elif what == "worker":
            self.workers.replace(rng.randrange(1, max(len(self.workers.running), 2)))
        elif what == "drop":
            collection.drop()
        elif what == "delete":
            collection.delete_many({"tmdb_id": {"$in": films}})
        elif what == "lease":
            until = rng.choice([{"$add": ["$$NOW", 5000]}, "x", None, {"a": 1}])
            leases = collection.database["tmdb_cache_leases"]
            leases.update_many({}, [{"$set": {"until": until, "owner": 7}}])
        elif what == "edit":
            collection.update_many({"tmdb_id": {"$in": films}}, rng.choice(EDITS))

    def run(self, seconds: float) -> None:
        """Inject for so long; then everything works again."""

        def guarded(inject: Any, name: str) -> None:
            try:
                inject(random.Random(f"{self.seed} {name}"))
            except BaseException as error:
                self.errors.append(error)

        sides = [(self.fail_tmdb, "tmdb"), (self.fail_mongo, "mongo")]
        threads = [threading.Thread(target=guarded, args=side) for side in sides]
        beat = threading.Event()
        watch = threading.Thread(target=heartbeat, args=(lambda _, *what: self.line.stalls.append(what), beat))
        for thread in [*threads, watch]:
            thread.start()
        time.sleep(seconds)
        self.ended.set()
        for thread in threads:
            thread.join()
        time.sleep(0.5)
        beat.set()
        watch.join()
        assert not self.errors, self.errors


def shuffled(rng: random.Random, deck: list[str]) -> list[str]:
    return rng.sample(deck, len(deck))


# What makes a document none that could be served; what is edited so that it could be, is served.
EDITS: list[Any] = [
    {"$set": {"body": "text"}},
    {"$set": {"body": b'{"id": 550, "title": "cut o'}},
    {"$set": {"body": b"x" * 1_000_000}},
    {"$set": {"body": None, "headers": None}},
    {"$set": {"headers": {"Content-Type": 7}}},
    {"$set": {"headers.ETag": 'W/"of nothing"'}},
    {"$set": {"status": "200"}},
    {"$set": {"status": 500}},
    {"$set": {"schema": 2}},
    {"$set": {"expires_at": "tomorrow"}},
    {"$set": {"timestamp": 2**70 * 1.0}},
    {"$unset": {"purge_at": 1}},
    {"$set": {"validated_at": []}},
    {"$set": {"history": [{"url": "http://[", "status": 301}]}},
    {"$set": {"checksum": None, "body": b"[" * 100_000}},
    [{"$set": {"expires_at": {"$add": ["$$NOW", -500]}}}],
    [{"$set": {"timestamp": {"$add": ["$$NOW", 86_400_000]}}}],
    [{"$replaceWith": {"_id": "$_id", "tmdb_id": "$tmdb_id"}}],
]


class Workers:
    """The processes, by number; all but the first may be killed and replaced."""

    def __init__(self, settings: list[dict[str, Any]]) -> None:
        self.settings, self.replaced = settings, 0
        self.running = [self.start(number) for number in range(len(settings))]

    def start(self, number: int) -> subprocess.Popen[bytes]:
        settings = {**self.settings[number], "seed": self.settings[number]["seed"] + 1000 * self.replaced}
        errors = (Path(settings["folder"]) / f"{number}.stderr").open("ab")
        command = [sys.executable, "-m", "tests.soakkit", json.dumps(settings)]
        with errors:
            root = Path(__file__).parents[1]
            return subprocess.Popen(command, stdin=subprocess.PIPE, stderr=errors, cwd=root)

    def replace(self, number: int) -> None:
        if number < len(self.running):
            self.running[number].kill()
            self.running[number].communicate()
            self.replaced += 1
            self.running[number] = self.start(number)

    def stop(self) -> list[int]:
        """Let all end; return how they did."""
        for process in self.running:
            process.stdin.close()
        return [process.wait(60) for process in self.running]

    def kill(self) -> None:
        for process in self.running:
            process.kill()
            process.wait()


if __name__ == "__main__":
    Worker(json.loads(sys.argv[1])).run()
