"""One call per key across processes, by leases in MongoDB; and refreshes behind stale hits, once, finished at exit."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import requests
from bson import Decimal128, MaxKey, MinKey, Regex, Timestamp

from tmdb_mongo_cache import TMDBCache, cached_tmdb, enabled
from tmdb_mongo_cache.mongo.embedded.server import EmbeddedServer
from tmdb_mongo_cache.standin import StandIn

from .flowkit import ANY_KEY, KEY, MOVIE, START, expire, get, status_of
from .processkit import ROOT
from .waitkit import eventually

# Makes the calls that it is told of, a line of JSON each, and says what came of them. Its clock may be wrong.
WORKER = """
import datetime, hashlib, json, sys, threading, time
settings = json.loads(sys.argv[1])
shift = settings.pop("clock", 0)
if shift:
    real, clock = datetime.datetime, time.time
    class Shifted(real):
        @classmethod
        def now(cls, tz=None):
            return real.now(tz) + datetime.timedelta(seconds=shift)
    datetime.datetime, time.time = Shifted, lambda: clock() + shift
import requests
import tmdb_mongo_cache
tmdb_mongo_cache.install(**settings)
def ask(order, found):
    began = time.monotonic()
    try:
        timeout = order.get("timeout")
        response = requests.get(order["url"], timeout=tuple(timeout) if isinstance(timeout, list) else timeout)
        found.append([response.status_code, hashlib.sha256(response.content).hexdigest(), time.monotonic() - began])
    except Exception as error:
        found.append([type(error).__name__, str(error), time.monotonic() - began])
print("ready", flush=True)
for line in sys.stdin:
    order, found = json.loads(line), []
    threads = [threading.Thread(target=ask, args=(order, found)) for _ in range(order["threads"])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps(found), flush=True)
"""


class Worker:
    """A process that makes calls with a cache installed."""

    def __init__(self, **settings: Any) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER, json.dumps(settings)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ready(self) -> None:
        assert self.process.stdout.readline() == "ready\n"

    def begin(self, url: str, threads: int = 1, timeout: Any = 30) -> None:
        """Let it make a call in so many threads at once."""
        self.process.stdin.write(json.dumps({"url": url, "threads": threads, "timeout": timeout}) + "\n")
        self.process.stdin.flush()

    def end(self) -> list[list[Any]]:
        """Return what came of the calls: status (or error), digest, seconds."""
        return json.loads(self.process.stdout.readline())

    def leave(self) -> float:
        """Let it end by itself; return the seconds that takes."""
        began = time.monotonic()
        self.process.stdin.close()
        self.process.wait(60)
        return time.monotonic() - began

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            with ExitStack() as stack:
                stack.callback(stream.close)


@pytest.fixture
def start(mongo_uri: str, database: str, tmdb: StandIn) -> Iterator[Callable[..., list[Worker]]]:
    """Start processes that have the connection to MongoDB already."""
    made: list[Worker] = []

    def start(*settings: dict[str, Any]) -> list[Worker]:
        usual = {"uri": mongo_uri, "database": database, "hosts": [tmdb.host]}
        found = [Worker(**{**usual, **one}) for one in settings]
        made.extend(found)
        for number, worker in enumerate(found):
            worker.ready()
            worker.begin(f"{tmdb.url}/3/movie/{1000 + number}?api_key=any")
        for worker in found:
            assert worker.end()[0][0] == 200
        tmdb.calls.clear()
        return found

    yield start
    tmdb.heal()
    for worker in made:
        worker.kill()


PATIENT = {"store_timeout": 10, "memory_ttl": 0}


class TestCold:
    # With the default settings a machine that is busy with other tests may be too slow for a lease.
    @pytest.mark.parametrize(
        "settings", [PATIENT, pytest.param({}, marks=pytest.mark.soak)], ids=["patient", "default"]
    )
    def test_many(self, tmdb, start, settings):
        """Four processes with 64 threads each make one call for a cold key, be it quick or slow, and get one answer."""
        workers = start(*[settings] * 4)
        for number, latency in ((1, 0.05), (2, 2.0)):
            tmdb.calls.clear()
            tmdb.latency = latency
            for worker in workers:
                worker.begin(f"{tmdb.url}/3/movie/{number}?api_key=any", 64)
            found = [answer for worker in workers for answer in worker.end()]
            assert len(found) == 256
            assert {(status, digest) for status, digest, _ in found} == {(200, found[0][1])}
            assert tmdb.count == 1

    def test_stale(self, tmdb, start, collection, film):
        """Processes that find a key stale validate it once."""
        first, second = start(PATIENT, PATIENT)
        first.begin(film + "?api_key=any")
        first.end()
        expire(collection)
        tmdb.calls.clear()
        tmdb.change(MOVIE)
        tmdb.latency = 1
        for worker in (first, second):
            worker.begin(film + "?api_key=any", 8)
        found = [*first.end(), *second.end()]
        assert ({status for status, _, _ in found}, len({digest for _, digest, _ in found})) == ({200}, 1)
        assert tmdb.count == 1

    def test_failing(self, tmdb, start, film):
        """Where one process's call fails the others do not wait for each other in turn."""
        workers = start(PATIENT, PATIENT)
        tmdb.latency = 0.5
        tmdb.fail("500")
        for worker in workers:
            worker.begin(film + "?api_key=any", 8)
        assert {status for worker in workers for status, _, _ in worker.end()} == {500}
        assert tmdb.count <= 2


class TestTaken:
    def test_killed(self, tmdb, start, film):
        """Where the process that fetches is killed, whatever its clock, another does it a lease later."""
        first, second = start({**PATIENT, "clock": 600}, PATIENT)
        tmdb.fail("timeout", times=1)
        first.begin(film + "?api_key=any", 8)
        assert eventually(lambda: tmdb.count == 1)
        time.sleep(1.5)  # and so the lease has been renewed
        second.begin(film + "?api_key=any", 8)
        time.sleep(0.5)
        first.process.kill()
        killed = time.monotonic()
        assert {status for status, _, _ in second.end()} == {200}
        assert time.monotonic() - killed < 3 + 2
        assert tmdb.count == 2

    @pytest.mark.soak
    def test_stopped(self, tmdb, start, film):
        """A process that fetches and is stopped, whatever its clock, delays the others by a lease and no more."""
        first, second = start({**PATIENT, "clock": -600}, PATIENT)
        tmdb.fail("timeout", times=1)
        first.begin(film + "?api_key=any")
        assert eventually(lambda: tmdb.count == 1)
        os.kill(first.process.pid, signal.SIGSTOP)
        second.begin(film + "?api_key=any")
        status, _, seconds = second.end()[0]
        assert (status, 1 < seconds < 3 + 2, tmdb.count) == (200, True, 2)

    def test_mongodb_killed(self, tmdb, start, tmp_path, film):
        """Who waits for another process's call makes its own as soon as MongoDB is gone."""
        with EmbeddedServer(tmp_path / "mongod") as server:
            first, second = start({"uri": server.uri}, {"uri": server.uri})
            tmdb.fail("timeout", times=1)
            first.begin(film + "?api_key=any")
            assert eventually(lambda: tmdb.count == 1)
            second.begin(film + "?api_key=any", 8)
            time.sleep(0.5)
            assert tmdb.count == 1
            os.kill(server.pid, signal.SIGKILL)
            killed = time.monotonic()
            assert {status for status, _, _ in second.end()} == {200}
            assert (time.monotonic() - killed < 2, tmdb.count) == (True, 2)

    def test_patience(self, tmdb, start, collection, stored, film):
        """Who waits for another process's call gets the stale answer when its own timeout is up."""
        first, second = start(PATIENT, PATIENT)
        expire(collection)
        tmdb.fail("timeout")
        first.begin(film + "?api_key=any", timeout=None)
        assert eventually(lambda: tmdb.count == 1)
        second.begin(film + "?api_key=any", timeout=1)
        status, _, seconds = second.end()[0]
        assert (status, 0.9 < seconds < 1.7) == (200, True)

    @pytest.mark.soak
    def test_clock_ahead(self, tmdb, start, film):
        """A process whose clock is ten minutes ahead waits for another's call, and takes its answer."""
        first, second = start(PATIENT, {**PATIENT, "clock": 600})
        tmdb.latency = 1.5
        first.begin(film + "?api_key=any")
        assert eventually(lambda: tmdb.count == 1)
        second.begin(film + "?api_key=any")
        assert (first.end()[0][:2], tmdb.count) == (second.end()[0][:2], 1)


FAR = datetime(9999, 12, 31, tzinfo=timezone.utc)
HOSTILE = [
    *(None, "x", "", 0, -1, 1e300, float("nan"), float("inf"), 2**62, True, [], [FAR], {}, {"$date": FAR}, b"\x00"),
    *(FAR, datetime(1, 1, 1, tzinfo=timezone.utc), Timestamp(2**32 - 1, 1), Regex("."), MinKey(), MaxKey()),
    *(Decimal128("NaN"), Decimal128("9E6144"), "$until", "$$NOW"),
]
FIELDS = ("owner", "until", "after", "rest_until", "open_until", "purge_at", "taken", "open", "rest")
READ = ("until", "rest_until", "open_until")


def test_said(tmdb, make_cache):
    """What another process has fetched meanwhile says that it was waited for, where it is from and how fresh it is."""
    # Two caches share nothing but MongoDB, as two processes do.
    one, other = make_cache(), make_cache()
    tmdb.latency = 0.5
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(cached_tmdb(cache=one)(get), tmdb)
        assert eventually(lambda: tmdb.count > 0 or first.done(), 10)
        second = pool.submit(cached_tmdb(cache=other)(get), tmdb)
        said = [status_of(future.result()) for future in (first, second)]
    assert tmdb.count == 1
    assert [one.pop("ttl").isdigit() for one in said] == [True, True]
    assert said == [
        {"fwd": "uri-miss", "stored": ""},
        {"fwd": "uri-miss", "collapsed": "", "detail": "mongodb"},
    ]


def test_short_patience(tmdb, make_cache):
    """Who has less patience than a lease lasts does not know that TMDB is slow, and asks it itself."""
    one, other = make_cache(), make_cache()
    tmdb.latency = 1.5
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(cached_tmdb(cache=one)(get), tmdb)
        assert eventually(lambda: tmdb.count > 0 or first.done(), 10)
        with pytest.raises(requests.ReadTimeout):
            cached_tmdb(cache=other)(get)(tmdb, timeout=0.4)
        assert tmdb.count == 2
        assert first.result().status_code == 200


class TestDocument:
    def test_index(self, tmdb, cache, collection):
        """MongoDB deletes a lease of its own accord when it has outlived its use."""
        with enabled(cache):
            get(tmdb)
        leases = collection.database["tmdb_cache_leases"]
        assert eventually(lambda: "purge_at" in leases.index_information())
        assert leases.index_information()["purge_at"]["expireAfterSeconds"] == 0
        document = leases.find_one({"_id": KEY})
        late = document["purge_at"].replace(tzinfo=timezone.utc) - datetime.now(timezone.utc)
        assert timedelta(0) < late < timedelta(minutes=5)

    @pytest.mark.parametrize("old", [pytest.param(False, marks=pytest.mark.soak), True])
    def test_hostile(self, tmdb, cache, collection, old):
        """Whatever somebody has written into a lease, nobody waits for it, and each key is fetched once."""
        leases = collection.database["tmdb_cache_leases"]
        hostile = [{field: value} for field in FIELDS for value in HOSTILE if field in READ or not old]
        hostile += [dict.fromkeys(FIELDS, value) for value in HOSTILE]
        keys = [f"{START}/3/movie/{number}" for number in range(1, len(hostile) + 1)]
        with enabled(cache):
            if old:
                for number in range(1, len(hostile) + 1):
                    get(tmdb, f"/3/movie/{number}")
                for key in keys:
                    expire(collection, key)
                leases.delete_many({})
                tmdb.calls.clear()
            leases.insert_many([{"_id": key, **one} for key, one in zip(keys, hostile, strict=True)])
            for number, one in enumerate(hostile, 1):
                began = time.monotonic()
                assert not get(tmdb, f"/3/movie/{number}").is_expired, one
                assert time.monotonic() - began < 2.5, one
        assert tmdb.count == len(hostile)


class TestBehind:
    def test_threads(self, tmdb, make_cache, collection, stored):
        """Fifty stale hits at once make one call in the background."""
        expire(collection)
        tmdb.latency = 0.4
        cache = make_cache(stale_while_revalidate=600)
        barrier = threading.Barrier(50)

        def one(_: int) -> Any:
            barrier.wait(30)
            return cached_tmdb(cache=cache)(get)(tmdb)

        with ThreadPoolExecutor(50) as pool:
            found = list(pool.map(one, range(50)))
        assert {(response.from_cache, response.is_expired, response.content) for response in found} == {
            (True, True, stored["body"])
        }
        cache.close()
        assert tmdb.count == 2

    def test_processes(self, tmdb, start, collection, film, stored):
        """Stale hits in two processes make one call in the background, which ends before a process does."""
        workers = start(*[{**PATIENT, "stale_while_revalidate": 600}] * 2)
        expire(collection)
        tmdb.change(MOVIE)
        tmdb.latency = 1
        for worker in workers:
            worker.begin(film + "?api_key=any", 25)
        found = [answer for worker in workers for answer in worker.end()]
        assert {status for status, _, _ in found} == {200}
        assert max(seconds for _, _, seconds in found) < 0.9
        for worker in workers:
            worker.leave()
        assert tmdb.count == 1
        assert collection.find_one({"_id": KEY})["body"] != stored["body"]


MOST = 13.0


@pytest.fixture(scope="module")
def exits(mongo_uri: str, mongo: Any) -> Iterator[dict[str, float]]:
    """Let processes end while their refreshes hang; return the seconds that each takes, MOST at most."""
    database, timeouts = "test_exits", {"none": None, "long": 60, "half": [3, None], "many": None, "short": 1}
    with StandIn() as tmdb, ExitStack() as stack:
        stack.callback(mongo.drop_database, database)
        cache = stack.enter_context(
            TMDBCache(uri=mongo_uri, database=database, hosts=[tmdb.host], expire_after=0, store_timeout=10)
        )
        films = {name: [100 * at + 1] for at, name in enumerate(timeouts)}
        films["many"] = list(range(1001, 1013))
        with enabled(cache):
            for numbers in films.values():
                for number in numbers:
                    get(tmdb, f"/3/movie/{number}", params=ANY_KEY)
        settings = {"uri": mongo_uri, "database": database, "hosts": [tmdb.host], "stale_while_revalidate": 600}
        workers = {name: Worker(**PATIENT, **settings) for name in timeouts}
        for worker in workers.values():
            stack.callback(worker.kill)
            worker.ready()
        tmdb.fail("timeout")
        for name, worker in workers.items():
            for number in films[name]:
                worker.begin(f"{tmdb.url}/3/movie/{number}?api_key=any", timeout=timeouts[name])
                assert worker.end()[0][0] == 200
        began = time.monotonic()
        for worker in workers.values():
            worker.process.stdin.close()
        took: dict[str, float] = {}
        while len(took) < len(workers) and time.monotonic() - began < MOST:
            for name, worker in workers.items():
                if name not in took and worker.process.poll() is not None:
                    took[name] = time.monotonic() - began
            time.sleep(0.02)
        yield {**dict.fromkeys(workers, MOST), **took}


@pytest.mark.soak
@pytest.mark.parametrize(
    ("name", "most"), [("none", MOST), ("long", MOST), ("half", MOST), ("many", MOST), ("short", 5)]
)
def test_exit(exits, name, most):
    """A TMDB that hangs holds up the end of a process for some ten seconds, whatever the timeouts of its calls."""
    assert exits[name] < most
