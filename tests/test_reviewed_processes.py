"""What a reviewer found about forks, threads, slow starts and exits: each of these once went wrong."""

from __future__ import annotations

import contextlib
import gc
import os
import subprocess
import sys
import threading
import time
import traceback
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tmdb_mongo_cache import CacheError, ConfigError, MongoBackend, TMDBCache, cached_tmdb, enabled
from tmdb_mongo_cache.standin import StandIn

from .flowkit import get
from .processkit import Runner
from .waitkit import eventually


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # Python 3.12 and newer, of any fork with threads
def test_a_fork_amid_decorated_calls(mongo_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child forked while other threads are in decorated functions can call them, too."""
    monkeypatch.setenv("TMDB_CACHE_URI", mongo_uri)
    busy = threading.Event()

    @cached_tmdb
    def nothing() -> None:
        pass

    def work() -> None:
        while not busy.is_set():
            nothing()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(15):
            pid = os.fork()
            if pid == 0:
                nothing()
                os._exit(0)
            end = time.monotonic() + 10
            while os.waitpid(pid, os.WNOHANG) == (0, 0):
                if time.monotonic() > end:
                    os.kill(pid, 9)
                    os.waitpid(pid, 0)
                    pytest.fail("the child hangs")
                time.sleep(0.002)
    finally:
        busy.set()
        for thread in threads:
            thread.join()


def test_other_threads_import_meanwhile(runner: Runner, tmp_path: Path) -> None:
    """Under run a thread can import the program's own modules while another imports requests."""
    for number in range(150):
        (tmp_path / f"own{number}.py").write_text("", encoding="utf-8")
    (tmp_path / "prog.py").write_text(
        "import importlib, threading\n"
        "failed = []\n"
        "def work():\n"
        "    for number in range(150):\n"
        "        try: importlib.import_module(f'own{number}')\n"
        "        except ImportError as error: failed.append(error)\n"
        "thread = threading.Thread(target=work)\n"
        "thread.start()\n"
        "import requests\n"
        "thread.join()\n"
        "print(failed)\n",
        encoding="utf-8",
    )
    assert runner.run(tmp_path / "prog.py").stdout == "[]\n"


@pytest.mark.soak
def test_a_mongod_that_hangs_at_its_start(tmp_path: Path, tmdb: StandIn) -> None:
    """An embedded server that hangs at its start costs a program five seconds once, and no more at its end."""
    mongod = tmp_path / "mongod"
    mongod.write_text("#!/bin/sh\nexec sleep 60\n", encoding="utf-8")
    mongod.chmod(0o755)
    code = (
        "import sys, time, requests, tmdb_mongo_cache\n"
        "tmdb_mongo_cache.install(hosts=sys.argv[1], uri='embedded')\n"
        "for _ in range(4):\n"
        "    start = time.monotonic()\n"
        "    requests.get(f'http://{sys.argv[1]}/3/movie/1?api_key=k')\n"
        "    print(time.monotonic() - start)\n"
    )
    env = {**os.environ, "TMDB_CACHE_MONGOD": str(mongod), "XDG_DATA_HOME": str(tmp_path)}
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code, tmdb.host], env=env, capture_output=True, text=True, timeout=60, check=False
    )
    taken = time.monotonic() - started
    first, *others = map(float, done.stdout.split())
    subprocess.run(["pkill", "-f", str(tmp_path)], check=False)
    assert first < 7
    assert max(others) < 1
    assert taken < first + 5
    assert done.stderr.count("still starting") == 1


def test_a_dropped_cache_is_closed(mongo_uri: str, database: str, tmdb: StandIn) -> None:
    """A cache that nobody holds any more goes without waiting for the collector, and its client when it has counted."""
    cache = TMDBCache(uri=mongo_uri, database=database, hosts=[tmdb.host], store_timeout=10)
    with enabled(cache):
        get(tmdb)
    gc.collect()
    gc.disable()
    try:
        gone = weakref.ref(cache.engine.store.connection)
        del cache
        eventually(lambda: gone() is None)
    finally:
        gc.enable()


def test_closed_while_it_opens(mongo_uri: str, database: str) -> None:
    """A cache that is closed while its database is being opened leaves no client open."""
    for _ in range(10):
        cache = TMDBCache(uri=mongo_uri, database=database)
        thread = threading.Thread(target=lambda cache=cache: _quietly(cache.clear))
        thread.start()
        cache.close()
        thread.join()
        with pytest.raises(CacheError, match="closed"):
            cache.clear()


def test_an_opening_that_failed_collects_nothing(
    tmp_path: Path, tmdb: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often a failed opening is met, the error is no longer than the first time."""
    monkeypatch.setenv("TMDB_CACHE_MONGOD", str(tmp_path / "none"))
    cache = TMDBCache(uri="embedded", hosts=[tmdb.host])
    lengths = []
    for _ in range(30):
        try:
            cache.engine.store.find("GET x")
        except CacheError as error:
            lengths.append(len(list(traceback.walk_tb(error.__traceback__))))
    assert len(set(lengths)) == 1
    cache.close()


def test_closing_without_a_server_is_prompt() -> None:
    """Closing a cache whose MongoDB is away takes no longer than a moment."""
    cache = TMDBCache(uri="mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=15000", store_timeout=0.1)
    _quietly(lambda: cache.engine.store.find("GET x"))
    started = time.monotonic()
    cache.close()
    assert time.monotonic() - started < 1


def test_a_bson_of_the_programs_own(runner: Runner, tls_tmdb: StandIn, tmp_path: Path) -> None:
    """A bson.py beside the script turns the cache off with one warning, and breaks nothing, closing included."""
    (tmp_path / "bson.py").write_text("", encoding="utf-8")
    (tmp_path / "prog.py").write_text(
        "import tmdb_mongo_cache\n"
        "with tmdb_mongo_cache.TMDBSession() as session:\n"
        "    print(session.get('https://api.themoviedb.org/3/movie/1?api_key=abcdef0123456789').json()['id'])\n"
        "session.cache.close()\n",
        encoding="utf-8",
    )
    done = runner.start(tmp_path / "prog.py")
    assert done.stdout == "1\n"
    assert len(done.stderr.splitlines()) == 1
    assert "bson" in done.stderr


@pytest.mark.parametrize(
    "options",
    [
        {"host": "user:geheim@localhost:x"},
        {"host": ["h1:1", "mongodb://user:geheim@h:x"]},
        {"host": "mongodb://user:geheim@localhost/?tls=true&tlsCAFile=/not/there"},
        {"host": 5},
    ],
)
def test_bad_hosts_of_the_backend(options: dict[str, Any]) -> None:
    """A host that cannot be used is a ConfigError in one sentence, without the password."""
    with pytest.raises(ConfigError) as caught:
        MongoBackend(**options)
    assert "geheim" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_on_the_command_line() -> None:
    """A TLS file that is not there is one sentence, which names it and the option."""
    uri = "mongodb://u:p4ssw0rd@localhost/?tls=true&tlsCAFile=/not/there.pem"
    done = Runner({"TMDB_CACHE_URI": uri}).start("-m", "tmdb_mongo_cache", "demo", check=False)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "/not/there.pem" in done.stderr
    assert "tlsCAFile" in done.stderr
    assert "p4ssw0rd" not in done.stderr


def test_the_backend_makes_the_indexes_and_believes_no_time(
    make_session: Callable[..., Any], tmdb: StandIn, collection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through MongoBackend alone entries are purged as through every door, and not served past that."""
    monkeypatch.setenv("TMDB_CACHE_HOSTS", tmdb.host)
    session = make_session()
    get(tmdb, session=session)
    assert collection.index_information()["purge_at"]["expireAfterSeconds"] == 0
    document = collection.find_one()
    collection.update_one({}, {"$set": {"purge_at": document["timestamp"]}})
    assert not get(tmdb, session=session).from_cache
    assert get(tmdb, session=session).from_cache


def _quietly(call: Callable[[], object]) -> None:
    with contextlib.suppress(CacheError):
        call()
