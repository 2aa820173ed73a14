"""The end: of a cache (close), and of a program, with work under way, by itself or by a signal."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pymongo
import pytest
import requests

from tmdb_mongo_cache import StoreError, TMDBCache, TMDBSession, cached_tmdb, enabled, install
from tmdb_mongo_cache.mongo.embedded.server import EmbeddedServer
from tmdb_mongo_cache.standin import StandIn

from .flowkit import START, expire, get
from .processkit import Program, Programs

KEY_1 = f"{START}/3/movie/1"


@pytest.fixture
def closed(cache: TMDBCache, tmdb: StandIn) -> TMDBCache:
    """A cache that was used, and then closed."""
    with enabled(cache):
        get(tmdb)
        assert get(tmdb).from_cache
    cache.close()
    return cache


DOORS: dict[str, Callable[[TMDBCache, StandIn], Any]] = {
    "enabled": lambda cache, tmdb: cached(enabled(cache), tmdb),
    "install": lambda cache, tmdb: install(cache) and get(tmdb),
    "decorator": lambda cache, tmdb: cached_tmdb(cache=cache)(get)(tmdb),
    "session": lambda cache, tmdb: get(tmdb, session=TMDBSession(cache)),
}


def cached(context: Any, tmdb: StandIn) -> requests.Response:
    with context:
        return get(tmdb)


class TestClosed:
    @pytest.mark.parametrize(
        "method",
        [
            lambda cache: cache.clear(),
            lambda cache: cache.invalidate("https://api.themoviedb.org/3/movie/550"),
            lambda cache: cache.invalidate(media_type="movie", tmdb_id=550),
            lambda cache: list(cache.entries()),
        ],
        ids=["clear", "invalidate-url", "invalidate-title", "entries"],
    )
    def test_by_hand(self, closed: TMDBCache, method: Callable[[TMDBCache], object]) -> None:
        """What is asked of a closed cache by hand is a StoreError of one sentence, however often."""
        for _ in range(2):
            with pytest.raises(StoreError, match=r"^this cache is closed; make a new one$") as caught:
                method(closed)
            assert type(caught.value) is StoreError

    def test_needs_no_database(self, closed: TMDBCache) -> None:
        """stats(), key(), repr and close() work on a closed cache."""
        assert closed.stats().hits == 1
        assert closed.key("https://api.themoviedb.org/3/movie/550") == "GET api.themoviedb.org/3/movie/550"
        assert "TMDBCache(" in repr(closed)
        closed.close()
        assert closed.closed

    def test_under_way(self, cache: TMDBCache, tmdb: StandIn) -> None:
        """Calls through a cache that is closed while it is in force go straight to TMDB, and every answer is right."""
        install(cache)
        get(tmdb)
        cache.close()
        for _ in range(3):
            response = get(tmdb)
            assert (response.status_code, response.json()["id"], response.from_cache) == (200, 550, False)
        assert tmdb.count == 4

    @pytest.mark.parametrize("door", DOORS)
    def test_taken_anew(self, closed: TMDBCache, tmdb: StandIn, door: str) -> None:
        """Whoever hands a closed cache to a door is told so by a StoreError."""
        with pytest.raises(StoreError, match="closed"):
            DOORS[door](closed, tmdb)

    def test_installed_again(self, closed: TMDBCache, mongo_uri: str, database: str, tmdb: StandIn) -> None:
        """install() in place of a cache that was closed makes a new one, which has what was stored."""
        settings = {"uri": mongo_uri, "database": database, "hosts": [tmdb.host], "store_timeout": 10}
        first = install(**settings)
        first.close()
        with install(**settings) as second:
            assert second is not first
            assert get(tmdb).from_cache

    def test_session(self, mongo_uri: str, database: str, tmdb: StandIn) -> None:
        """A session that is used after its close() works as one of requests does, uncached."""
        with TMDBSession(uri=mongo_uri, database=database, hosts=[tmdb.host], store_timeout=10) as session:
            get(tmdb, session=session)
        response = get(tmdb, session=session)
        assert (response.json()["id"], response.from_cache) == (550, False)


@pytest.fixture(scope="module")
def hanging(mongo_uri: str) -> Iterator[Callable[[str], int | None]]:
    """Begin programs with refreshes that TMDB does not answer; give the code of one, None if it takes too long."""
    with StandIn() as tmdb, pymongo.MongoClient(mongo_uri) as client:
        name = f"test_{uuid4().hex}"
        with Programs(mongo_uri, name, tmdb.host) as programs:
            programs.run("for number in range(1, 13): get(number)")
            for number in range(1, 13):
                expire(client[name]["tmdb_cache"], f"GET {tmdb.host}/3/movie/{number}")
            tmdb.fail("timeout")
            ends: dict[str, Program] = {}
            for options in ("", "timeout=1", "timeout=60"):
                program = f"for number in range(1, 13): assert get(number, {options})\nprint('now', flush=True)"
                ends[options] = programs.start(program, stale_while_revalidate=3600)
            assert [each.line() for each in ends.values()] == ["now"] * 3
            began = time.monotonic()

            def took(options: str) -> int | None:
                process = ends[options].process
                while process.poll() is None and time.monotonic() - began < 16:
                    time.sleep(0.05)
                return process.returncode

            yield took
            tmdb.heal()
        client.drop_database(name)


class TestExit:
    def test_refreshes_end(self, programs: Programs, tmdb: StandIn, collection: Any) -> None:
        """A refresh behind a stale answer is finished before a program ends."""
        programs.run("get(1)")
        old = expire(collection, KEY_1)
        tmdb.change("/3/movie/1")
        tmdb.latency = 0.7
        assert programs.run("print(get(1))", stale_while_revalidate=3600).strip() == "True"
        assert tmdb.count == 2
        new = collection.find_one({"_id": KEY_1})
        assert new["timestamp"] > old["timestamp"]
        assert new["body"] != old["body"]

    def test_daemon_threads(self, programs: Programs, tmdb: StandIn) -> None:
        """Calls of daemon threads that are under way hold up no exit, and print nothing at it."""
        tmdb.fail("timeout", path="/3/movie/7")
        started = programs.start(
            """
get(1)
def work(me):
    while True:
        get(1) if me < 3 else get(2000 + me) if me < 5 else get(7, timeout=30)
for me in range(7): threading.Thread(target=work, args=(me,), daemon=True).start()
time.sleep(0.3)
print("now", flush=True)
"""
        )
        assert started.line() == "now"
        code, _, err, took = started.end()
        assert (code, err) == (0, "")
        assert took < 5

    @pytest.mark.parametrize("how", [pytest.param("idle", marks=pytest.mark.soak), "asking"])
    def test_a_database_that_hangs(self, tmdb: StandIn, tmp_path: Path, how: str) -> None:
        """A MongoDB that hangs holds up a program's exit by about a second at most."""
        with EmbeddedServer(tmp_path / "mongod") as server, Programs(server.uri, "hangs", tmdb.host) as programs:
            # One that hangs, and one that does not.
            program = "get(1); print('now', flush=True); sys.stdin.readline(); "
            program += "get(2); get(3)" if how == "asking" else "pass"
            both = [programs.start(program, store_timeout=0.25) for _ in range(2)]
            for each in both:
                assert each.line() == "now"
            took = []
            try:
                for each in both:
                    each.go_on()
                    code, _, err, seconds = each.end()
                    assert code == 0
                    assert "Traceback" not in err
                    took.append(seconds)
                    os.kill(server.pid, signal.SIGSTOP)
            finally:
                os.kill(server.pid, signal.SIGCONT)
        calls = 2 * 0.25 if how == "asking" else 0
        assert took[1] - took[0] < 1.2 + calls

    @pytest.mark.soak
    def test_tmdb_hangs_for_a_second(self, hanging: Callable[[str], int | None]) -> None:
        """Refreshes that TMDB does not answer are given up after the timeout of the caller, if that is shorter."""
        began = time.monotonic()
        assert hanging("timeout=1") == 0
        assert time.monotonic() - began < 8

    @pytest.mark.soak
    def test_tmdb_hangs(self, hanging: Callable[[str], int | None]) -> None:
        """Refreshes that TMDB does not answer hold up an exit by some ten seconds, however many there are."""
        assert hanging("") == 0

    @pytest.mark.soak
    def test_tmdb_hangs_and_the_caller_is_patient(self, hanging: Callable[[str], int | None]) -> None:
        """So do they where the program's own timeout is a minute."""
        assert hanging("timeout=60") == 0


BUSY = """
get(1)
def work():
    while True: get(1); get(os.getpid())
for _ in range(3): threading.Thread(target=work, daemon=True).start()
time.sleep(0.2)
print("now", flush=True)
"""
WAYS = {
    "in-a-loop": "while True: assert get(1)",
    "asleep": "time.sleep(60)",
    "in-a-call": "get(7, timeout=60)",
}


class TestSignals:
    @pytest.mark.parametrize("way", ["in-a-loop", pytest.param("asleep", marks=pytest.mark.soak), "in-a-call"])
    @pytest.mark.parametrize("handler", ["", pytest.param("sys.exit(3)", marks=pytest.mark.soak)])
    def test_sigterm(self, programs: Programs, tmdb: StandIn, way: str, handler: str) -> None:
        """SIGTERM ends a program that uses the cache at once, with the code it has without; nothing is printed."""
        tmdb.fail("timeout", path="/3/movie/7")
        with_handler = f"signal.signal(signal.SIGTERM, lambda *_: {handler})\n" if handler else ""
        started = programs.start(f"{with_handler}{BUSY}{WAYS[way]}")
        assert started.line() == "now"
        time.sleep(0.2)
        started.process.terminate()
        code, _, err, took = started.end()
        assert (code, err) == (3 if handler else -signal.SIGTERM, "")
        assert took < 4

    def test_a_lease_is_given_back(self, programs: Programs, tmdb: StandIn) -> None:
        """A program that exits in a handler, amid a call, leaves its key to others: they do not wait for its lease."""
        tmdb.fail("timeout", path="/3/movie/7")
        started = programs.start(
            "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n"
            "get(1)\nprint('now', flush=True)\nget(7, timeout=60)"
        )
        assert started.line() == "now"
        other = programs.start(
            "get(1)\nprint('now', flush=True)\nsys.stdin.readline()\n"
            "began = time.monotonic(); get(7); print(time.monotonic() - began)"
        )
        assert other.line() == "now"
        while tmdb.count < 2:
            time.sleep(0.01)
        tmdb._faults.clear()
        started.process.terminate()
        assert started.end()[0] == 0
        other.go_on()
        assert float(other.end()[1]) < 1.5

    def test_keyboard_interrupt(self, programs: Programs, tmdb: StandIn) -> None:
        """Ctrl-C amid a call is the program's own KeyboardInterrupt, and the cache works on after it."""
        tmdb.fail("timeout", times=1, path="/3/movie/7")
        started = programs.start(
            "get(1)\nprint('now', flush=True)\n"
            "try: get(7, timeout=60)\n"
            "except KeyboardInterrupt: print('interrupted', get(1), get(7), get(7))\n"
        )
        assert started.line() == "now"
        while tmdb.count < 2:
            time.sleep(0.01)
        time.sleep(0.1)
        started.process.send_signal(signal.SIGINT)
        code, out, err, _ = started.end()
        assert (code, out, err) == (0, "interrupted True False True\n", "")
