"""``tmdb-mongo-cache refresh``: its exit codes and what it says, and ``--watch`` as a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import bson
import pytest

from tmdb_mongo_cache import enabled

from .flowkit import get, now
from .processkit import Runner
from .waitkit import eventually

COMMAND = ("-m", "tmdb_mongo_cache", "refresh")
SECRET = "5ecre7" * 5
TOKEN = f"ey{SECRET}.{SECRET}.{SECRET}"


@pytest.fixture
def runner(mongo_uri: str, database: str, tmdb: Any) -> Runner:
    """Run the command on this test's database and its stand-in, with a key."""
    tmdb.feed_pages = {"movie": 0, "tv": 0, "person": 0}
    env = {"URI": mongo_uri, "DATABASE": database, "STORE_TIMEOUT": "10", "HOSTS": tmdb.host}
    return Runner({"TMDB_API_KEY": SECRET, **{f"TMDB_CACHE_{name}": value for name, value in env.items()}})


@pytest.fixture
def refresh(runner: Runner, tmdb: Any) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run ``refresh`` against the stand-in."""

    def refresh(*options: str, **env: str) -> subprocess.CompletedProcess[str]:
        return runner.here("refresh", "--base-url", tmdb.url, "--rate", "5000", *options, check=False, **env)

    return refresh


@pytest.fixture
def changed(tmdb: Any, cache: Any, collection: Any) -> Callable[[int], str]:
    """Keep a film that was fetched an hour ago and has changed since; return its key."""

    def changed(number: int) -> str:
        with enabled(cache):
            key = get(tmdb, f"/3/movie/{number}").cache_key
        collection.update_one({"_id": key}, {"$set": {"timestamp": now() - timedelta(hours=1)}})
        tmdb.change(f"/3/movie/{number}")
        return key

    return changed


@pytest.fixture
def watching(runner: Runner, tmdb: Any) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start ``refresh --watch``; what still runs at the end is killed."""
    started = []

    def start(*options: str) -> subprocess.Popen[str]:
        line = [sys.executable, *COMMAND, "--base-url", tmdb.url, "--rate", "5000", "--watch", *options]
        env = {**os.environ, **runner.env, "PYTHONUNBUFFERED": "1"}
        pipe = subprocess.PIPE
        started.append(subprocess.Popen(line, env=env, stdout=pipe, stderr=pipe, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def interrupt(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    return process.returncode, out, err


def test_a_round(refresh, changed, collection):
    """A round says what it came to, and ends with 0; another one has nothing to do."""
    key = changed(550)
    done = refresh()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("1 titles and people changed (")
    assert done.stdout.endswith("pages read, those of today in every run), 1 response became stale\n")
    assert collection.find_one({"_id": key})["expires_at"] <= now()
    assert "0 responses became stale" in refresh().stdout


def test_prefetch_and_a_failure(refresh, changed, tmdb, collection):
    """--prefetch fetches again what changed; what it could not get is listed, and the code is 1."""
    keys = [changed(1), changed(2)]
    tmdb.fail("503", path="/3/movie/2")
    done = refresh("--prefetch")
    assert (done.returncode, done.stdout.rpartition(";")[2]) == (1, " 1 fetched again\n")
    assert done.stderr.splitlines()[-1] == f"{keys[1]}: TMDB failed; the stale response is kept"
    tmdb.heal()
    done = refresh("--prefetch")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("0 responses became stale; 1 fetched again\n")


def test_another_is_following(refresh, changed, collection):
    """Where another process is following the feed, that is said, and is no failure."""
    changed(550)
    state = collection.database["tmdb_cache_changes"]
    state.insert_one({"_id": "lease", "owner": "another", "until": now() + timedelta(seconds=50)})
    done = refresh()
    assert (done.returncode, done.stderr) == (0, "")
    assert "another process is following" in done.stdout


@pytest.mark.parametrize(
    ("options", "variables", "said"),
    [
        ([], {"TMDB_API_KEY": ""}, "TMDB needs an API key: set TMDB_API_KEY"),
        (["--watch", "--every", "soon"], {}, "--every takes a duration like"),
        (["--rate", "0"], {}, "rate must be"),
        (["--watch"], {"TMDB_CACHE_OFFLINE": "1"}, "offline and disabled must not be set"),
    ],
    ids=str,
)
def test_bad_input(refresh, tmdb, options, variables, said):
    """What cannot be used is one sentence and the code 2, with --watch too, and TMDB is not called."""
    done = refresh(*options, **variables)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("tmdb-mongo-cache: ")
    assert said in done.stderr
    assert tmdb.count == 0


def test_a_wrong_key_and_no_database(refresh, changed):
    """A key that TMDB refuses, and a MongoDB that is away, are one sentence each and the code 1."""
    changed(550)
    for env, said in (
        ({"TMDB_API_KEY": "invalid"}, "TMDB rejects the API key (status 401)"),
        ({"TMDB_CACHE_URI": "mongodb://a:pa55word@127.0.0.1:9/?serverSelectionTimeoutMS=200"}, "does not answer"),
    ):
        done = refresh(**env)
        assert (done.returncode, done.stdout) == (1, "")
        assert len(done.stderr.splitlines()) == 1
        assert said in done.stderr
        assert "pa55word" not in done.stderr


@pytest.mark.parametrize(
    "key", [SECRET, pytest.param(f"ey{SECRET}.{SECRET}.{SECRET}", marks=pytest.mark.soak)], ids=["key", "token"]
)
def test_the_key_is_nowhere(refresh, changed, mongo, database, tmdb, key):
    """Neither a v3 key nor a token is in the output or the database, after failures too, and TMDB gets it."""
    changed(550)
    changed(551)
    tmdb.fail("503", path="/3/movie/551")
    tmdb.fail("404", 1, "/3/movie/changes")
    done = [refresh("--prefetch", TMDB_API_KEY=key) for _ in range(2)]
    assert [item.returncode for item in done] == [1, 1]
    assert all(SECRET not in item.stdout + item.stderr for item in done)
    for name in mongo[database].list_collection_names():
        for document in mongo[database][name].find():
            assert SECRET.encode() not in bson.encode(document)
    call = tmdb.calls[-1]
    assert key in (call.arguments.get("api_key"), call.header("authorization").removeprefix("Bearer "))


def test_watch(watching, changed, tmdb, collection):
    """--watch goes on round after round, over failures, until Ctrl-C, which ends it with 0 between rounds."""
    key = changed(550)
    tmdb.fail("404", 1, "/3/movie/changes")
    process = watching("--every", "0.2")
    assert eventually(lambda: collection.find_one({"_id": key})["expires_at"] <= now(), 30)
    later = changed(551)
    assert eventually(lambda: collection.find_one({"_id": later})["expires_at"] <= now(), 30)
    code, out, err = interrupt(process)
    assert code in (0, 130)
    assert "1 titles and people changed" in out
    assert [line for line in err.splitlines() if "(status 404)" in line] == err.splitlines()[:1]
    assert "Traceback" not in err


def test_watch_ends_between_rounds(watching, changed, collection):
    """Ctrl-C between two rounds ends --watch at once, with 0 and nothing more to say."""
    changed(550)
    process = watching("--every", "1h")
    assert "1 response became stale" in process.stdout.readline()
    time.sleep(1)  # from its last word to its sleep
    assert interrupt(process) == (0, "", "")


def test_ctrl_c_in_a_round(watching, changed, tmdb, collection):
    """Ctrl-C in the middle of a round ends it without a traceback, and the lease is free again."""
    changed(550)
    tmdb.latency = 0.2
    tmdb.feed_pages = {"movie": 400, "tv": 0, "person": 0}
    process = watching()
    assert eventually(lambda: tmdb.count > 2, 30)
    code, out, err = interrupt(process)
    assert (code, out) == (0, "")
    assert "Traceback" not in err
    assert "until" not in collection.database["tmdb_cache_changes"].find_one({"_id": "lease"})
