"""The commands ``warm`` and ``purge``, as a user runs them, and what ``purge()`` deletes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tmdb_mongo_cache import StoreError, TMDBCache, enabled
from tmdb_mongo_cache.standin import StandIn

from .flowkit import API_KEY, KEY, TMDBS_KEY, get, now, paths
from .processkit import Runner

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJhdWQiOiJzZWNyZXQiLCJzdWIiOiIxIn0.c2VjcmV0LXNpZ25hdHVyZQ"
DAYS = timedelta(days=1)


class Commands:
    """Starts ``tmdb-mongo-cache`` in processes of their own; kills those that still run at the end."""

    def __init__(self, env: dict[str, str], base_url: str) -> None:
        self._env = env
        self._base_url = base_url
        self.started: list[subprocess.Popen[str]] = []

    def start(self, *arguments: Any, **env: str) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        line = [sys.executable, "-W", "error", "-m", "tmdb_mongo_cache", *map(str, arguments)]
        process = subprocess.Popen(
            line, env={**os.environ, **self._env, **env}, stdin=pipe, stdout=pipe, stderr=pipe, text=True
        )
        self.started.append(process)
        return process

    def warm(self, *arguments: Any, **env: str) -> subprocess.Popen[str]:
        return self.start("warm", *arguments, "--base-url", self._base_url, **env)

    def run(self, *arguments: Any, given: str = "", **env: str) -> tuple[int, str, str]:
        """Run a command in this process; return its code and what it wrote."""
        done = Runner(self._env).here(*arguments, given=given, check=False, **env)
        return clean(done.returncode, done.stdout, done.stderr)

    def run_warm(self, *arguments: Any, **env: str) -> tuple[int, str, str]:
        return self.run("warm", *arguments, "--base-url", self._base_url, **env)


def clean(code: int, out: str, err: str) -> tuple[int, str, str]:
    """Return the code of a command and what it wrote. It never shows a traceback or the key."""
    assert "Traceback" not in out + err
    assert API_KEY not in out + err
    assert TOKEN not in out + err
    return code, out, err


def ended(process: subprocess.Popen[str], answer: str = "") -> tuple[int, str, str]:
    """Wait for the end of a command; return its code and what it wrote."""
    out, err = process.communicate(answer, timeout=60)
    return clean(process.returncode, out, err)


def summary(out: str) -> dict[str, int]:
    """Return the numbers of a summary by their words."""
    return {
        name: int(number) for number, name in re.findall(r"^ *([0-9]+) ([A-Za-z ]+?)(?: in .*)?$", out, re.MULTILINE)
    }


@pytest.fixture
def commands(env: dict[str, str], tmdb: StandIn) -> Iterator[Commands]:
    """Commands on this test's database and stand-in."""
    made = Commands({**env, "TMDB_API_KEY": API_KEY, "COLUMNS": "200"}, tmdb.url)
    yield made
    for process in made.started:
        process.kill()
        process.communicate()


# warm


def test_warm(commands: Commands, tmdb: StandIn, cache: TMDBCache) -> None:
    """The command fetches what a program then finds, says what it did, and costs nothing the second time."""
    line = ("movie", 550, 603, "--append", "credits, images", "--language", "de", "--param", "region=DE")
    code, out, err = commands.run_warm(*line)
    assert (code, err) == (0, "")
    assert summary(out) == {
        "fetched": 2,
        "revalidated": 0,
        "already fresh": 0,
        "not known to TMDB": 0,
        "failed": 0,
        "calls": 2,
    }
    with enabled(cache):
        params = {"append_to_response": "credits,images", "language": "de", "region": "DE"}
        assert get(tmdb, "/3/movie/603", params=params).from_cache
    code, out, _ = commands.run_warm(*line, TMDB_API_KEY=TOKEN)
    assert (code, summary(out)["already fresh"], tmdb.count) == (0, 2, 2)


def test_warm_by_an_export(commands: Commands, tmdb: StandIn, tmp_path: Path) -> None:
    """The command takes one of TMDB's exports, to a popularity, and each part by a call of its own."""
    tmdb.export_rows = 40
    path = tmp_path / "movie_ids_11_22_2026.json.gz"
    path.write_bytes(tmdb.export(path.name))
    line = ("--export", path, "--min-popularity", 5, "--append", "credits", "--separately", "--rate", 5000)
    code, out, err = commands.run_warm(*line)
    assert (code, err) == (0, "")
    assert 0 < summary(out)["fetched"] == tmdb.count < 80
    assert sum(path.endswith("/credits") for path in paths(tmdb)) * 2 == tmdb.count


def test_warm_lists_what_failed(commands: Commands, tmdb: StandIn) -> None:
    """What could not be fetched is listed by its id, and the code is 1."""
    tmdb.fail("503", path="/3/movie/7")
    tmdb.fail("404", path="/3/movie/8")
    code, out, err = commands.run_warm("movie", 6, 7, 8)
    assert (code, err) == (1, "movie 7: status 503\n")
    counted = summary(out)
    assert (counted["fetched"], counted["not known to TMDB"], counted["failed"]) == (1, 1, 1)


SLOW = partial(pytest.param, marks=pytest.mark.soak)


@pytest.mark.parametrize(
    ("line", "variables", "code", "says"),
    [
        ([], {}, 2, "--export FILE"),
        (["movie", "abc"], {}, 2, "'abc' is not a TMDB id"),
        SLOW(["film", "1"], {}, 2, "film"),
        SLOW(["movie", "1", "--param", "x"], {}, 2, "NAME=VALUE"),
        SLOW(["movie", "1", "--connections", "21"], {}, 2, "connections"),
        (["movie", "1"], {"TMDB_API_KEY": ""}, 2, "TMDB_API_KEY"),
        (["movie", "1"], {"TMDB_API_KEY": "invalid"}, 1, "rejects the API key"),
        SLOW(["movie", "1"], {"TMDB_CACHE_URI": "mongodb://127.0.0.1:9/"}, 1, "does not answer"),
        SLOW(["--export", "/none/movie_ids_.json"], {}, 2, "cannot read /none/movie_ids_.json"),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, list) else None,
)
def test_warm_wrong(
    commands: Commands, tmdb: StandIn, line: list[str], variables: dict[str, str], code: int, says: str
) -> None:
    """What goes wrong is one sentence and a code: 2 for what was given, 1 for everything else."""
    found, _, err = commands.run_warm(*line, **variables)
    assert (found, says.lower() in err.lower()) == (code, True), err
    assert sum(line.startswith(("tmdb-mongo-cache: ", "Error: ")) for line in err.splitlines()) == 1
    assert tmdb.count <= 1


def test_ctrl_c(commands: Commands, tmdb: StandIn, collection: Any) -> None:
    """Ctrl-C at any moment: what was under way is stored, and run after run fetches the rest, nothing twice."""
    tmdb.latency = 0.03
    total, connections, runs = 44, 4, 0
    while True:
        began, asked = tmdb.count, iter(range(1000))
        process: list[subprocess.Popen[str]] = []
        at_signal: list[int] = []

        def on_call(_: Any, asked: Any = asked, process: Any = process, at_signal: Any = at_signal) -> None:
            if next(asked) == 13:
                process[0].send_signal(signal.SIGINT)
                at_signal.append(tmdb.count)

        tmdb.on_call = on_call
        process.append(commands.warm("movie", *range(1, total + 1), "--rate", 1000, "--connections", connections))
        code, out, err = ended(process[0])
        counted = summary(out)
        runs += 1
        assert (counted["fetched"], counted["failed"]) == (tmdb.count - began, 0)
        assert counted.get("calls", counted.get("call")) == tmdb.count - began
        assert collection.count_documents({}) == tmdb.count
        assert counted["already fresh"] == began
        if code == 0:
            break
        assert (code, err) == (130, "interrupted; run the same command again to resume\n")
        # Those that were under way, and as many again on a loaded machine.
        assert tmdb.count - at_signal[0] <= 2 * connections
    assert runs > 2
    assert sorted(paths(tmdb)) == sorted(f"/3/movie/{number}" for number in range(1, total + 1))


def test_ctrl_c_at_a_low_rate(commands: Commands, tmdb: StandIn) -> None:
    """After Ctrl-C no call is begun any more, also where calls are waiting for the rate to allow them."""
    begun = threading.Semaphore(0)
    tmdb.on_call = lambda _: begun.release()
    process = commands.warm("movie", *range(1, 40), "--rate", 4, "--connections", 12)
    for _ in range(4):
        assert begun.acquire(timeout=30)
    process.send_signal(signal.SIGINT)
    code, out, _ = ended(process)
    assert code == 130
    assert summary(out)["fetched"] == tmdb.count
    assert tmdb.count <= 8  # four more, if the second was just over


@pytest.mark.soak
def test_ctrl_c_while_limited(commands: Commands, tmdb: StandIn) -> None:
    """After Ctrl-C nobody waits for what TMDB's Retry-After asks for, and then calls it."""
    tmdb.fail("429", times=1, retry_after=3)
    begun = threading.Event()
    tmdb.on_call = lambda _: begun.set()
    process = commands.warm("movie", 1, 2)
    assert begun.wait(30)
    time.sleep(0.5)
    before = tmdb.count
    process.send_signal(signal.SIGINT)
    assert ended(process)[0] == 130
    assert tmdb.count == before


def test_ctrl_c_before_the_first_call(commands: Commands, tmp_path: Path) -> None:
    """Ctrl-C while an export is read has the same code."""
    path = tmp_path / "movie_ids_11_22_2026.json"
    os.mkfifo(path)
    process = commands.warm("--export", path)
    with path.open("wb"):  # opened when the other side is
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130


@pytest.mark.soak
def test_limited_for_longer(commands: Commands, tmdb: StandIn) -> None:
    """No call is made while TMDB asks to wait, also where that is a minute."""
    tmdb.fail("429", times=1, retry_after=60)
    begun = threading.Event()
    tmdb.on_call = lambda _: begun.set()
    process = commands.warm("movie", *range(1, 10), "--connections", 1)
    assert begun.wait(30)
    time.sleep(1)
    assert tmdb.count == 1
    process.kill()


def test_two_at_once(commands: Commands, tmdb: StandIn) -> None:
    """Two processes that fill the cache with the same ids at once fetch each of them once."""
    tmdb.latency = 0.02
    line = ("movie", *range(1, 121), "--rate", 1000, "--connections", 5)
    both = [summary(ended(process)[1]) for process in [commands.warm(*line), commands.warm(*line)]]
    assert max(Counter(paths(tmdb)).values()) == 1
    assert sum(counted["fetched"] for counted in both) == tmdb.count == 120
    assert [counted["fetched"] + counted["already fresh"] for counted in both] == [120, 120]


# purge


def document(key: str, **changes: Any) -> dict[str, Any]:
    made = {"_id": key, "schema": 1, "timestamp": now(), "expires_at": now() + DAYS, "purge_at": now() + 8 * DAYS}
    return {name: value for name, value in {**made, **changes}.items() if value is not None}


def test_purge_deletes_what_is_too_old(cache: TMDBCache, collection: Any) -> None:
    """What is older than six months, past its time or of no known age is deleted, and nothing else."""
    late, kept = (
        [
            document(f"{KEY}1", timestamp=now() - 180 * DAYS - timedelta(seconds=5)),
            document(f"{KEY}2", purge_at=now() - timedelta(seconds=5)),
            document(f"{KEY}3", timestamp=None),
            document(f"{KEY}4", timestamp="2026-11-22"),
            document(f"{TMDBS_KEY}5", timestamp=1.5, schema=None),
            document("of-a-session-with-keys-of-its-own", timestamp=now() - 181 * DAYS),
        ],
        [
            document(f"{KEY}6"),
            document(f"{KEY}7", timestamp=now() - 180 * DAYS + timedelta(minutes=5)),
            document(f"{KEY}8", expires_at=now() - 100 * DAYS),
            document("GET example.com/3/movie/550", schema=None, timestamp=now() - 181 * DAYS),
            document("other", schema=None, purge_at=now() - DAYS, timestamp=None),
            document("GET api.themoviedb.org.example.com/", schema=None, timestamp=None),
        ],
    )
    collection.insert_many(late + kept)
    assert cache.purge() == len(late)
    assert {found["_id"] for found in collection.find()} == {found["_id"] for found in kept}
    assert cache.purge() == 0


@pytest.fixture
def filled(cache: TMDBCache, tmdb: StandIn, make_session: Callable[..., Any], mongo: Any, database: str) -> Any:
    """All that the cache keeps, and another host's answers; return the other host's documents."""
    with make_session() as session:
        session.get(f"{tmdb.url}/elsewhere?x=1")
        session.get(f"{tmdb.url}/3/movie/9?api_key=any")
    others = list(mongo[database]["tmdb_cache"].find())
    assert others
    cache.warm([550, 551], api_key="any", base_url=tmdb.url, rate=5000)
    cache.refresh_changes(api_key="any", base_url=tmdb.url, rate=5000)
    with enabled(cache):
        get(tmdb, "/3/search/movie", params={"query": "x" * 2000})
    assert {"tmdb_cache", "tmdb_cache_leases", "tmdb_cache_changes"} <= set(mongo[database].list_collection_names())
    return others


def test_purge_everything(cache: TMDBCache, mongo: Any, database: str, filled: Any) -> None:
    """Everything of TMDB's goes, with leases and the feed's state; other hosts' answers stay as they were."""
    assert cache.purge(everything=True) == 3
    assert list(mongo[database]["tmdb_cache"].find()) == filled
    for name in mongo[database].list_collection_names():
        if name in ("tmdb_cache_leases", "tmdb_cache_changes"):
            assert mongo[database][name].count_documents({}) == 0


def test_purge_leaves_what_is_good(cache: TMDBCache, collection: Any, filled: Any) -> None:
    """Without everything nothing that may be kept is deleted, by whatever door it came."""
    assert cache.purge() == 0
    assert collection.count_documents({}) == len(filled) + 3


def test_purge_forgets(make_cache: Any, tmdb: StandIn) -> None:
    """What was purged is not served from memory either."""
    with enabled(make_cache(memory_ttl=60)) as cache:
        get(tmdb)
        assert get(tmdb).from_cache
        cache.purge(everything=True)
        assert not get(tmdb).from_cache


@pytest.mark.soak
def test_purge_without_mongodb(make_cache: Any) -> None:
    """A MongoDB that is away is a StoreError."""
    with pytest.raises(StoreError, match="does not answer"):
        make_cache(uri="mongodb://127.0.0.1:9/", store_timeout=0.5).purge(everything=True)


def test_purge_command(commands: Commands, collection: Any, filled: Any) -> None:
    """The command deletes what is too old without asking, and all of it only after a yes."""
    collection.insert_one(document(f"{KEY}1", timestamp=now() - 181 * DAYS))
    assert commands.run("purge") == (0, "1 response deleted\n", "")
    for answer, wanted, said in (("\n", 1, "aborted"), ("", 2, "pass --yes")):
        code, out, err = commands.run("purge", "--all", given=answer)
        assert (code, out, said in err) == (wanted, "", True)
        assert collection.count_documents({}) == len(filled) + 3
    code, out, err = ended(commands.start("purge", "--all"), "y\n")
    assert (code, out, err.startswith("Delete")) == (0, "3 responses deleted\n", True)
    assert commands.run("purge", "--all", "--yes") == (0, "0 responses deleted\n", "")


def test_purge_wrong(commands: Commands) -> None:
    """A mistake in what is given is one sentence and 2."""
    found, out, err = commands.run("purge", "--everything")
    assert (found, out, "--everything" in err) == (2, "", True), err
