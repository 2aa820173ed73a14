"""An address behind which no MongoDB responds, or one that takes nothing, costs a process a second at most, once."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import pymongo
import pytest
import requests
import requests_cache

from tmdb_mongo_cache import MongoBackend, TMDBCache, TMDBSession
from tmdb_mongo_cache.mongo.embedded.binary import find_mongod

from .replicakit import free_ports
from .test_outage import Compared, ask, lines_fixture, timed
from .waitkit import eventually

__all__ = ["lines_fixture"]

FAULTS = "enableTestCommands=1"


@pytest.fixture(name="guarded", scope="module")
def guarded_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a mongod with users, whose commands may be told to fail."""
    folder, port = tmp_path_factory.mktemp("guarded"), free_ports(1)[0]
    options = ["--bind_ip", "127.0.0.1", "--port", str(port), "--nounixsocket", "--auth", "--setParameter", FAULTS]
    options += ["--dbpath", str(folder), "--logpath", str(folder / "log"), "--wiredTigerCacheSizeGB", "0.25"]
    with subprocess.Popen([find_mongod(), *options], stdout=subprocess.DEVNULL) as process:
        try:
            with pymongo.MongoClient("127.0.0.1", port, serverSelectionTimeoutMS=30_000) as client:
                client.admin.command("createUser", "root", pwd="pw", roles=["root"])
            with pymongo.MongoClient(f"mongodb://root:pw@127.0.0.1:{port}") as client:
                client.admin.command("createUser", "writer", pwd="pw", roles=["readWriteAnyDatabase"])
                client.admin.command("createUser", "reader", pwd="pw", roles=["readAnyDatabase"])
            yield f"127.0.0.1:{port}"
        finally:
            process.kill()


@pytest.fixture
def failing(guarded: str) -> Iterator[Callable[..., None]]:
    """Let commands that the cache sends to that mongod fail from now on, as the mongod itself would let them."""
    with pymongo.MongoClient(f"mongodb://root:pw@{guarded}") as client:

        def fail(*commands: str, mode: Any = "alwaysOn", **how: Any) -> None:
            data = {"failCommands": list(commands), "appName": "tmdb-mongo-cache", **how}
            client.admin.command({"configureFailPoint": "failCommand", "mode": mode, "data": data})

        yield fail
        client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})


@contextmanager
def listening(backlog: int) -> Iterator[socket.socket]:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        found.listen(backlog)
        yield found


@pytest.fixture(params=["blackholed", "silent", "refused", "unknown", "password", "no-users"])
def away(request: pytest.FixtureRequest) -> Iterator[str]:
    """A URI behind which there is no MongoDB for us, in one way or another."""
    with ExitStack() as stack:
        if request.param == "blackholed":  # with its backlog full nothing answers a SYN
            address = stack.enter_context(listening(0)).getsockname()
            for _ in range(3):
                waiting = stack.enter_context(socket.socket())
                waiting.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    waiting.connect(address)
            yield f"mongodb://127.0.0.1:{address[1]}"
        elif request.param == "silent":
            yield f"mongodb://127.0.0.1:{stack.enter_context(listening(500)).getsockname()[1]}"
        elif request.param == "refused":
            yield f"mongodb://127.0.0.1:{free_ports(1)[0]}"
        elif request.param == "unknown":
            yield "mongodb://no-such-host.invalid"
        elif request.param == "password":
            yield f"mongodb://writer:wrong@{request.getfixturevalue('guarded')}"
        else:
            yield request.getfixturevalue("mongo_uri").replace("://", "://somebody:wrong@")


class TestAway:
    def test_cost(self, tmdb, make_cache, away, lines):
        """Whatever is wrong with the address, it costs less than a second once, nothing later, and one warning."""
        cache = make_cache(uri=away, store_timeout=0.25, memory_ttl=30)
        with TMDBSession(cache) as session:
            with requests.Session() as plain:
                direct = max(timed(ask, plain, tmdb, number) for number in range(1, 20))
            first = timed(ask, session, tmdb, 1)
            assert first < direct + 1 + 0.2
            later = Compared(session, tmdb).run(0.4)
            assert later.lost < 0.4
            assert statistics.median(later.cached) < 2 * statistics.median(later.direct) + 0.01
            assert "detail=memory" in ask(session, tmdb, 1).headers["Cache-Status"]
        assert (len(lines(logging.WARNING)), lines(logging.INFO)) == (1, [])
        assert "wrong" not in lines(logging.WARNING)[0]

    @pytest.mark.parametrize("away", ["blackholed", "password"], indirect=True)
    def test_threads(self, tmdb, make_cache, away, lines):
        """Sixteen threads whose first calls come at once all get their responses within the same second."""
        cache = make_cache(uri=away, store_timeout=0.25)

        def call(number: int) -> list[int]:
            with TMDBSession(cache) as session:
                return [ask(session, tmdb, number + more).status_code for more in (0, 100, 200)]

        with ThreadPoolExecutor(16) as pool:
            began = time.perf_counter()
            assert list(pool.map(call, range(1, 17))) == [[200] * 3] * 16
            assert time.perf_counter() - began < 1 + 0.6
        assert len(lines(logging.WARNING)) == 1

    @pytest.mark.parametrize(
        ("integration", "away"),
        [
            pytest.param("options", "blackholed", marks=pytest.mark.soak),
            ("options", "refused"),
            ("connection", "blackholed"),
            ("client", "blackholed"),
        ],
        indirect=["away"],
    )
    def test_integrations(self, tmdb, make_cache, monkeypatch, away, integration, lines):
        """MongoBackend and a client with pymongo's own 30 s cost a second in all as well."""
        monkeypatch.setenv("TMDB_CACHE_HOSTS", tmdb.host)
        with ExitStack() as stack:
            if integration == "options":
                backend = MongoBackend("any", host=away)
                stack.callback(backend.responses.close)
                session: requests.Session = requests_cache.CachedSession(backend=backend)
            else:
                client = stack.enter_context(pymongo.MongoClient(away))
                if integration == "client":
                    session = TMDBSession(make_cache(uri=None, client=client, store_timeout=0.25))
                else:
                    session = requests_cache.CachedSession(backend=MongoBackend("any", connection=client))
            stack.enter_context(session)
            assert timed(ask, session, tmdb, 1) < 1 + 0.3
            assert Compared(session, tmdb).run(0.3).lost < 0.4
        assert len(lines(logging.WARNING)) == 1


class TestTakesNothing:
    @pytest.fixture
    def make(self, make_cache, guarded, database) -> Iterator[Callable[..., TMDBCache]]:
        """Make a cache for a user of the mongod with users."""
        yield lambda user, **settings: make_cache(uri=f"mongodb://{user}:pw@{guarded}", **settings)
        with pymongo.MongoClient(f"mongodb://root:pw@{guarded}") as client:
            client.drop_database(database)

    def test_read_only(self, tmdb, make, lines):
        """A user that may only read gets hits all the time, stores nothing, and gets one warning."""
        with TMDBSession(make("writer")) as session:
            for number in (1, 2, 3):
                ask(session, tmdb, number)
        with TMDBSession(make("reader", store_timeout=0.25)) as session:
            for number in range(1, 25):
                assert ask(session, tmdb, number % 3 + 1).from_cache
                assert not ask(session, tmdb, 100 + number % 5).from_cache
                time.sleep(0.02)
        assert (len(lines(logging.WARNING)), lines(logging.INFO)) == (1, [])

    def test_broken_connection(self, make, failing):
        """What is read without a deadline is read again after a connection broke, as pymongo's methods do."""
        with make("writer", store_timeout=0.25) as cache:
            feed = cache.engine.store.feed
            assert feed.done_until("movie") is None
            failing("find", mode={"times": 1}, closeConnection=True)
            assert feed.done_until("movie") is None

    def test_full(self, tmdb, make, failing, lines):
        """Where MongoDB takes leases but no responses (a full disk), hits go on, and there is one warning."""
        with TMDBSession(make("writer", store_timeout=0.25)) as session:
            ask(session, tmdb, 1)
            failing("update", errorCode=14031, namespace=self.namespace(session))
            for number in range(100, 110):
                assert ask(session, tmdb, 1).from_cache
                assert not ask(session, tmdb, number).from_cache
                time.sleep(0.02)
        assert len(lines(logging.WARNING)) == 1

    @staticmethod
    def namespace(session: Any) -> str:
        config = session.cache.config
        return f"{config.database}.{config.collection}"

    def test_all_writes(self, tmdb, make, failing, lines):
        """Where MongoDB refuses every write, hits go on, there is one warning, and an end when it takes them again."""
        with TMDBSession(make("writer", store_timeout=0.25)) as session:
            ask(session, tmdb, 1)
            failing("update", "findAndModify", errorCode=14031)
            for number in range(100, 110):
                assert ask(session, tmdb, 1).from_cache
                assert not ask(session, tmdb, number).from_cache
            assert (len(lines(logging.WARNING)), lines(logging.INFO)) == (1, [])
            failing(mode="off")
            assert eventually(lambda: ask(session, tmdb, 2).from_cache)
        assert (len(lines(logging.WARNING)), len(lines(logging.INFO))) == (1, 1)

    def test_hanging_writes(self, tmdb, make, failing, lines):
        """Where writes alone hang, hits go on, and all of it costs a second at most."""
        with TMDBSession(make("writer", store_timeout=0.25)) as session:
            ask(session, tmdb, 1)
            failing("update", "findAndModify", blockConnection=True, blockTimeMS=600)
            assert Compared(session, tmdb).run(1.2, old=(1,)).lost < 1 + 0.1
            assert eventually(lambda: ask(session, tmdb, 1).from_cache)
        assert 1 <= len(lines(logging.WARNING)) <= 2

    def now_and_then(self, session: Any, tmdb: Any, fail: Callable[[], None], times: int) -> float:
        """Let single operations fail, each when MongoDB is in use again; return what that cost the calls."""
        lost = 0.0
        for _ in range(times):
            fail()
            lost += timed(ask, session, tmdb, 1) - timed(ask, requests, tmdb, 1)
            eventually(lambda: "; hit" in ask(session, tmdb, 1).headers["Cache-Status"], 0.2)
        return lost

    def test_now_and_then(self, tmdb, make, failing, lines):
        """Where MongoDB refuses an operation now and then, the log has a few warnings, not one for each."""
        with TMDBSession(make("writer", store_timeout=0.25)) as session:
            ask(session, tmdb, 1)
            self.now_and_then(session, tmdb, lambda: failing("find", errorCode=96, mode={"times": 1}), 10)
        assert 1 <= len(lines(logging.WARNING)) <= 5

    @pytest.mark.soak
    def test_a_little_slow(self, tmdb, make, failing):
        """Where an operation fails after 90 ms now and then, all of it costs a second at most."""
        how = {"errorCode": 96, "blockConnection": True, "blockTimeMS": 90, "mode": {"times": 1}}
        with TMDBSession(make("writer", store_timeout=0.25)) as session:
            ask(session, tmdb, 1)
            assert self.now_and_then(session, tmdb, lambda: failing("find", **how), 20) < 1 + 0.2

    def test_too_large(self, tmdb, make_cache, lines):
        """A response too large for a document is not stored, and the others are none the worse for it."""
        for number, size in ((1, 9), (2, 17)):
            body = json.dumps({"id": number, "overview": "x" * size * 2**20}).encode()
            tmdb.answer(f"/3/movie/{number}", body=body)
        with TMDBSession(make_cache(store_timeout=2)) as session:
            for number in (1, 2, 3):
                assert not ask(session, tmdb, number).from_cache
            assert [ask(session, tmdb, number).from_cache for number in (1, 2, 3)] == [True, False, True]
        assert lines(logging.WARNING) == []
