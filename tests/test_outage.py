"""A MongoDB that dies, hangs, is slow or takes no responses under traffic is never why a call fails or is late."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
import requests_cache

from tmdb_mongo_cache import MongoBackend, TMDBSession
from tmdb_mongo_cache.mongo.embedded.server import EmbeddedServer
from tmdb_mongo_cache.standin import StandIn

from .flowkit import ANY_KEY
from .processkit import ROOT
from .waitkit import eventually

TIMEOUT = 0.5
"""The store_timeout of most caches here: long enough to be told from what a loaded machine loses."""


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(tmp_path_factory.mktemp("outage") / "mongod") as server:
        try:
            yield server
        finally:
            if server.pid:  # a stopped one would be waited for
                os.kill(server.pid, signal.SIGKILL)


@pytest.fixture(name="server")
def server_fixture(started: EmbeddedServer) -> Iterator[EmbeddedServer]:
    """A mongod of these tests' own, to be stopped and killed; it runs when a test begins."""
    if started.pid is None:
        started.start()
    yield started
    if started.pid:
        go_on(started)


@pytest.fixture(name="lines")
def lines_fixture(caplog: pytest.LogCaptureFixture) -> Callable[[int], list[str]]:
    """Return what the package has logged at a level."""
    caplog.set_level(logging.INFO, "tmdb_mongo_cache")

    def lines(level: int) -> list[str]:
        records = [record for record in caplog.records if record.name == "tmdb_mongo_cache"]
        return [record.getMessage() for record in records if record.levelno == level]

    return lines


def halt(server: EmbeddedServer) -> None:
    os.kill(server.pid, signal.SIGSTOP)


def go_on(server: EmbeddedServer) -> None:
    os.kill(server.pid, signal.SIGCONT)


def ask(session: requests.Session, tmdb: StandIn, number: int) -> requests.Response:
    """Ask for a film, and see that this is what came."""
    response = session.get(f"{tmdb.url}/3/movie/{number}", params=ANY_KEY, timeout=10)
    assert response.json()["id"] == number
    return response


def timed(function: Callable[..., object], *args: object) -> float:
    began = time.perf_counter()
    function(*args)
    return time.perf_counter() - began


class Compared:
    """Calls with a cache, each beside the same call without."""

    def __init__(self, session: requests.Session, tmdb: StandIn) -> None:
        self.session, self.tmdb = session, tmdb
        self.cached: list[float] = []
        self.direct: list[float] = []
        self.new = itertools.count(1000)

    def run(self, seconds: float, *, old: tuple[int, ...] = ()) -> Compared:
        """Ask for some old and as many new films for some time."""
        end = time.monotonic() + seconds
        with requests.Session() as plain:
            while time.monotonic() < end:
                for number in (*old, next(self.new)):
                    self.cached.append(timed(ask, self.session, self.tmdb, number))
                    self.direct.append(timed(ask, plain, self.tmdb, number))
                time.sleep(0.005)
        return self

    @property
    def lost(self) -> float:
        """Seconds that the cache held calls up for, in all; what a loaded machine does to direct calls is taken off."""
        usual = statistics.median(self.direct)
        late = [sum(one - usual for one in times if one > usual + 0.05) for times in (self.cached, self.direct)]
        return late[0] - late[1]


def hits_again(session: requests.Session, tmdb: StandIn, number: int = 1, seconds: float = 5) -> bool:
    return eventually(lambda: "; hit" in ask(session, tmdb, number).headers["Cache-Status"], seconds)


class Proxy:
    """A way to a mongod by TCP.

    ``hold`` says how long a message to it waits, and whether it goes on or the connection ends.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.hold = path, lambda message: (0.0, True)
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.uri = f"mongodb://127.0.0.1:{self.listening.getsockname()[1]}/?directConnection=true"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listening.accept()
                far = socket.socket(socket.AF_UNIX)
                far.connect(str(self.path))
                for ends in ((near, far), (far, near)):
                    threading.Thread(target=self.carry, args=(*ends, ends[0] is near), daemon=True).start()

    def carry(self, source: socket.socket, target: socket.socket, inward: bool) -> None:
        with contextlib.suppress(OSError):
            while message := source.recv(2**20):
                seconds, more = self.hold(message) if inward else (0.0, True)
                time.sleep(seconds)
                if not more:
                    break
                target.sendall(message)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        source.close()

    def close(self) -> None:
        self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()


class TestKilled:
    def test_under_traffic(self, tmdb, make_cache, server, lines):
        """A kill -9 under 32 threads of old and new films raises nothing, mixes nothing up and ends by itself."""
        with requests.Session() as plain:
            right = {number: ask(plain, tmdb, number).content for number in range(1, 41)}
        cache = make_cache(uri=server.uri, store_timeout=2)  # as long as 32 busy threads may starve one
        wrong: list[object] = []
        over, back = threading.Event(), threading.Event()
        hits = [0.0]
        new = itertools.count(1000)

        def call(seed: int) -> None:
            chosen = random.Random(seed)
            with TMDBSession(cache) as session:
                while not over.wait(0.06):
                    number = chosen.randint(1, 40) if chosen.random() < 0.7 else next(new)
                    try:
                        response = ask(session, tmdb, number)
                    except BaseException as error:
                        wrong.append(error)
                        continue
                    if number in right and response.content != right[number]:
                        wrong.append(number)
                    if back.is_set() and "; hit" in response.headers["Cache-Status"] and not hits[0]:
                        hits[0] = time.monotonic()

        threads = [threading.Thread(target=call, args=(seed,)) for seed in range(32)]
        for thread in threads:
            thread.start()
        try:
            assert eventually(lambda: cache.stats().hits > 100, 20)
            os.kill(server.pid, signal.SIGKILL)
            time.sleep(0.5)
            server.start()
            restarted = time.monotonic()
            back.set()
            assert eventually(lambda: hits[0] > 0, 10)
            assert eventually(lambda: len(lines(logging.INFO)) >= 1)
        finally:
            over.set()
            for thread in threads:
                thread.join(20)
        assert wrong == []
        assert hits[0] - restarted < 5
        assert len(lines(logging.WARNING)) <= 2


class TestHung:
    def test_stopped(self, tmdb, make_cache, server, lines):
        """A mongod that hangs delays one call by store_timeout and then none, and is used again when it goes on."""
        with TMDBSession(make_cache(uri=server.uri, store_timeout=TIMEOUT)) as session:
            Compared(session, tmdb).run(0.3, old=(1, 2, 3))
            halt(server)
            found = Compared(session, tmdb).run(0.1, old=(1, 2, 3))
            assert max(found.cached) < max(found.direct) + TIMEOUT + 0.05 + 0.2
            assert 0.5 * TIMEOUT < found.lost < TIMEOUT + 0.3
            later = Compared(session, tmdb).run(1.5, old=(1, 2, 3))
            assert later.lost < 0.5 * TIMEOUT
            assert statistics.median(later.cached) < 2 * statistics.median(later.direct) + 0.01
            go_on(server)
            assert hits_again(session, tmdb)
        assert (len(lines(logging.WARNING)), len(lines(logging.INFO))) == (1, 1)

    def test_threads(self, tmdb, make_cache, server):
        """Of 16 threads at once none is delayed by more than store_timeout by a mongod that begins to hang."""
        cache = make_cache(uri=server.uri, store_timeout=TIMEOUT)
        longest: list[float] = []

        def call(start: int) -> None:
            with TMDBSession(cache) as session:
                ask(session, tmdb, start)
                ready.wait(10)
                stopped.wait(10)
                longest.append(max(timed(ask, session, tmdb, number) for number in (start, start + 1000, 5, start)))

        ready, stopped = threading.Barrier(17), threading.Event()
        threads = [threading.Thread(target=call, args=(number,)) for number in range(1, 17)]
        for thread in threads:
            thread.start()
        ready.wait(10)
        halt(server)
        stopped.set()
        for thread in threads:
            thread.join(20)
        assert len(longest) == 16
        assert max(longest) < TIMEOUT + 0.05 + 0.35

    @pytest.mark.parametrize(
        ("integration", "before"),
        [
            ("session", "nothing"),
            pytest.param("session", "written", marks=pytest.mark.soak),
            pytest.param("backend", "nothing", marks=pytest.mark.soak),
            ("backend", "written"),
        ],
    )
    def test_between(self, tmdb, make_cache, server, database, monkeypatch, integration, before):
        """A mongod that hangs between the look-up and the write delays that call by one store_timeout, not by two."""
        if integration == "session":
            session: requests.Session = TMDBSession(make_cache(uri=server.uri, store_timeout=TIMEOUT))
        else:
            monkeypatch.setenv("TMDB_CACHE_HOSTS", tmdb.host)
            monkeypatch.setenv("TMDB_CACHE_STORE_TIMEOUT", str(TIMEOUT))
            session = requests_cache.CachedSession(backend=MongoBackend(database, host=server.uri))

        def stop() -> None:
            assert eventually(lambda: tmdb.count == count + 1)
            halt(server)

        with session:
            if before == "nothing":  # connected, with nothing written in this process
                make = TMDBSession(make_cache(uri=server.uri, database=database))
                with make:
                    ask(make, tmdb, 1)
                assert ask(session, tmdb, 1).from_cache
            else:
                ask(session, tmdb, 1)
            tmdb.latency, count = 0.4, tmdb.count
            stopping = threading.Thread(target=stop)
            stopping.start()
            took = timed(ask, session, tmdb, 2)
            stopping.join()
            assert 0.4 + 0.5 * TIMEOUT < took < 0.4 + TIMEOUT + 0.05 + 0.3
            tmdb.latency = 0
            go_on(server)
            assert eventually(lambda: ask(session, tmdb, 1).from_cache)
            if integration == "backend":
                session.cache.responses.close()

    def test_one_warning(self, tmdb, make_cache, server, lines):
        """A mongod that hangs while 8 responses are being stored is one warning, and its end one line."""
        cache = make_cache(uri=server.uri, store_timeout=0.25)
        with TMDBSession(cache) as session, ThreadPoolExecutor(8) as pool:
            ask(session, tmdb, 1)
            tmdb.latency = 0.4
            calls = [pool.submit(ask, session, tmdb, number) for number in range(2, 10)]
            assert eventually(lambda: tmdb.count == 9)
            halt(server)
            for call in calls:
                call.result()
            tmdb.latency = 0
            go_on(server)
            assert hits_again(session, tmdb)
            for number in range(100, 110):  # a probe of writes, if there is one, has something to write
                ask(session, tmdb, number)
        assert (len(lines(logging.WARNING)), len(lines(logging.INFO))) == (1, 1)

    def test_memory(self, tmdb, make_cache, server):
        """What is fetched while MongoDB hangs is served from the process's memory afterwards."""
        with TMDBSession(make_cache(uri=server.uri, store_timeout=0.25, memory_ttl=30)) as session:
            ask(session, tmdb, 1)
            halt(server)
            assert not ask(session, tmdb, 2).from_cache
            count = tmdb.count
            for number in (1, 2, 2):
                response = ask(session, tmdb, number)
                assert "detail=memory" in response.headers["Cache-Status"]
            assert tmdb.count == count


class TestSlow:
    @pytest.fixture
    def proxy(self, server: EmbeddedServer) -> Iterator[Proxy]:
        """A way to the mongod that may be slow."""
        proxy = Proxy(server.socket_path)
        yield proxy
        proxy.close()

    @pytest.mark.soak
    def test_now_and_then(self, tmdb, make_cache, proxy, lines):
        """A MongoDB that is too slow for every third look-up costs a second at most."""
        count = itertools.count(1)
        with TMDBSession(make_cache(uri=proxy.uri, store_timeout=0.25)) as session:
            ask(session, tmdb, 1)
            proxy.hold = lambda message: (0.4 * (b"find\0" in message and next(count) % 3 == 0), True)
            lost = Compared(session, tmdb).run(3.5, old=(1, 2)).lost
            assert 0.2 < lost < 1 + 0.3
        assert 1 <= len(lines(logging.WARNING)) <= 4

    def test_writes_alone(self, tmdb, make_cache, proxy):
        """Where writes alone are too slow now and then, stored responses are still served."""
        count = itertools.count(1)
        with TMDBSession(make_cache(uri=proxy.uri, store_timeout=0.25)) as session:
            ask(session, tmdb, 1)
            proxy.hold = lambda message: (0.4 * (b"findAndModify" in message and next(count) % 2 == 0), True)
            assert Compared(session, tmdb).run(2).lost > 0.2
            assert hits_again(session, tmdb, seconds=2)


FORK = """
import json, os, sys, time
import requests
from tmdb_mongo_cache import TMDBCache, TMDBSession

uri, database, url, host = sys.argv[1:]
cache = TMDBCache(uri=uri, database=database, hosts=[host], store_timeout=0.25, memory_ttl=0)
session = TMDBSession(cache)

def ask(number):
    began = time.perf_counter()
    response = session.get(f"{url}/3/movie/{number}", params={"api_key": "any"}, timeout=10)
    assert response.json()["id"] == number
    return time.perf_counter() - began, "; hit" in response.headers["Cache-Status"]

def tell(line):
    os.write(1, (line + "\\n").encode())

def back():
    end = time.monotonic() + 5
    while time.monotonic() < end:
        if ask(1)[1]:
            return True
        time.sleep(0.02)
    return False

assert not ask(1)[1] and ask(1)[1]
tell("stop")
sys.stdin.readline()
lost = sum(ask(1)[0] for _ in range(5))
child = os.fork()
lost = sum(ask(1)[0] for _ in range(5))
if child == 0:
    tell(f"child {lost}")
    os._exit(0 if back() else 7)
tell(f"parent {lost}")
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) or (0 if back() else 8))
"""


class TestForked:
    def test_while_open(self, tmdb, server, database):
        """A child forked while MongoDB hangs loses a second at most, and finds it again as its parent does."""
        arguments = [server.uri, database, tmdb.url, tmdb.host]
        with subprocess.Popen(
            [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", "-c", FORK, *arguments],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                assert process.stdout.readline() == "stop\n"
                halt(server)
                process.stdin.write("\n")
                process.stdin.flush()
                told = dict(process.stdout.readline().split() for _ in range(2))
                go_on(server)
                assert process.wait(20) == 0
            finally:
                process.kill()
        assert float(told["parent"]) < 0.3
        assert float(told["child"]) < 1 + 0.3
