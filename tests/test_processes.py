"""Forks, pools of processes and threads, pickles, a real gunicorn: the cache goes where a program takes it."""

from __future__ import annotations

import contextlib
import http.client
import os
import pickle
import shutil
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tmdb_mongo_cache import TMDBCache, TMDBSession, enabled
from tmdb_mongo_cache.standin import StandIn

from .flowkit import ANY_KEY, KEY, get
from .processkit import Programs, Runner

EVERYTHING = "many = range(1, 6)\nassert not any(get(number) for number in many)\n"

WAIT_FOR_CHILDREN = """
def wait_for(children, seconds=30):
    end = time.monotonic() + seconds
    for pid in children:
        while True:
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                assert os.waitstatus_to_exitcode(status) == 0, os.waitstatus_to_exitcode(status)
                break
            assert time.monotonic() < end, "a child hangs"
            time.sleep(0.01)

def fork(work):
    pid = os.fork()
    if pid:
        return pid
    try:
        work()
        sys.stdout.flush()
        os._exit(0)
    except BaseException:
        import traceback
        traceback.print_exc()
        os._exit(1)
"""


class TestForks:
    def test_under_load(self, programs: Programs, tmdb: StandIn) -> None:
        """Children forked several at once, while threads are calling, have hits at once and store what they fetch."""
        programs.run(
            f"""
{WAIT_FOR_CHILDREN}
{EVERYTHING}
ended = threading.Event()
raised = []
def load(me):
    number = 1000 * me
    try:
        while not ended.is_set():
            assert all(get(known) for known in many)
            number += 1
            get(number)
    except BaseException as error:
        raised.append(error)
threads = [threading.Thread(target=load, args=(me,)) for me in range(1, 5)]
for thread in threads: thread.start()
time.sleep(0.1)
def child():
    mine = os.getpid() * 10 + 1_000_000
    assert all(get(known) for known in many)
    assert not get(mine)
    assert get(mine)
for _ in range(3):
    wait_for([fork(child) for _ in range(4)])
ended.set()
for thread in threads: thread.join()
assert not raised, raised
"""
        )
        assert sum(call.path == "/3/movie/3" for call in tmdb.calls) == 1

    def test_amid_a_call(self, programs: Programs, tmdb: StandIn) -> None:
        """A child that asks for what a thread of its parent is just fetching gets that answer: one call to TMDB."""
        programs.run(
            f"""
{WAIT_FOR_CHILDREN}
assert not get(1)
def slow():
    assert not get(2)
thread = threading.Thread(target=slow)
print("slower", flush=True); sys.stdin.readline()
thread.start()
time.sleep(0.4)
wait_for([fork(lambda: get(2)) for _ in range(3)])
thread.join()
""",
            at_line=lambda: setattr(tmdb, "latency", 1.0),
        )
        assert [call.path for call in tmdb.calls] == ["/3/movie/1", "/3/movie/2"]

    def test_amid_the_imports_of_a_first_call(self, programs: Programs) -> None:
        """A child forked while a thread makes the first call, which imports the rest of this package, does not hang."""
        programs.run(
            f"""
{WAIT_FOR_CHILDREN}
thread = threading.Thread(target=get, args=(1,))
thread.start()
children = []
while thread.is_alive() and len(children) < 10:
    children.append(fork(lambda: get(2)))
    time.sleep(0.02)
try:
    wait_for(children, 15)
finally:
    for pid in children:
        try: os.kill(pid, 9)
        except ProcessLookupError: pass
thread.join()
"""
        )

    def test_amid_the_import_for_a_setting(self) -> None:
        """A child forked while a thread imports the endpoints, which settings by class need, does not hang either."""
        code = f"""
import os, sys, threading, time
from importlib.machinery import PathFinder, SourceFileLoader
{WAIT_FOR_CHILDREN}
from tmdb_mongo_cache import CacheConfig
begun = threading.Event()
class Slow(SourceFileLoader):
    def exec_module(self, module):
        begun.set()
        time.sleep(0.5)
        super().exec_module(module)
class Finder:
    def find_spec(self, name, path, target=None):
        if name == "tmdb_mongo_cache.tmdb.freshness":
            found = PathFinder.find_spec(name, path)
            found.loader = Slow(name, found.origin)
            return found
sys.meta_path.insert(0, Finder())
def make():
    CacheConfig(expire_after={{"details": 60}})
thread = threading.Thread(target=make)
thread.start()
assert begun.wait(10)
child = fork(make)
try:
    wait_for([child], 15)
finally:
    try: os.kill(child, 9)
    except ProcessLookupError: pass
"""
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, "")

    def test_whatever_is_locked(self, programs: Programs) -> None:
        """A child forked while other threads hold every lock that this package has makes its calls all the same."""
        out = programs.run(
            f"""
{WAIT_FOR_CHILDREN}
import gc
{EVERYTHING}
# A fork waits for their locks, by design.
waiting = [sys.modules[f"tmdb_mongo_cache.{{name}}"] for name in ("fork", "mongo.embedded.locks")]
kinds = (type(threading.Lock()), type(threading.RLock()))
def ours():
    for found in gc.get_objects():
        if str(type(found).__module__).startswith("tmdb_mongo_cache"):
            yield from getattr(found, "__dict__", {{}}).values()
        elif isinstance(found, type(sys)) and found.__name__.startswith("tmdb_mongo_cache") and found not in waiting:
            yield from vars(found).values()
locks = list({{id(one): one for one in ours() if isinstance(one, kinds)}}.values())
held, ended = threading.Event(), threading.Event()
def hold():
    taken = [lock for lock in locks if lock.acquire(timeout=1)]
    print(len(taken), flush=True)
    held.set()
    ended.wait()
    for lock in taken: lock.release()
thread = threading.Thread(target=hold)
thread.start()
held.wait()
def child():
    assert all(get(known) for known in many)
    assert not get(77)
    assert cache.invalidate(media_type="movie", tmdb_id=77) == 1
    cache.close()
pid = fork(child)
try:
    wait_for([pid], 15)
finally:
    ended.set()
    thread.join()
    try: os.kill(pid, 9)
    except ProcessLookupError: pass
assert all(get(known) for known in many)
"""
        )
        assert int(out) >= 8

    def test_twice(self, programs: Programs, tmdb: StandIn) -> None:
        """A grandchild has the cache, too, and a parent that closes its cache does not close its children's."""
        programs.run(
            f"""
{WAIT_FOR_CHILDREN}
{EVERYTHING}
def child():
    assert get(1)
    wait_for([fork(lambda: time.sleep(0.2) or (not get(2) and sys.exit(1)))])
pid = fork(lambda: time.sleep(0.3) or child())
cache.close()
wait_for([pid])
"""
        )
        assert tmdb.count == 5


POOL = """
import multiprocessing, sys, os
from concurrent.futures import ProcessPoolExecutor
{prologue}

def work(number):
    return get(number), os.getpid()

if __name__ == "__main__":
    context = multiprocessing.get_context("{method}")
    assert not get(1)
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        found = list(executor.map(work, [1, 2, 3, 1, 2, 3]))
        assert sum(not hit for hit, _ in found) <= 2 + 2  # two may ask for the same at once
    if "{method}" == "fork":
        with context.Pool(2) as pool:
            assert all(hit for hit, _ in pool.map(work, [1, 2, 3]))
    process = context.Process(target=work, args=(4,))
    process.start(); process.join()
    assert process.exitcode == 0
    assert get(4)
    assert os.getpid() not in {{pid for _, pid in found}}
"""


@pytest.mark.parametrize(
    "method", ["fork", *(pytest.param(name, marks=pytest.mark.soak) for name in ("spawn", "forkserver"))]
)
def test_multiprocessing(programs: Programs, tmdb: StandIn, tmp_path: Path, method: str) -> None:
    """Pools and processes of multiprocessing, however started, share what is cached: one call for each film."""
    script = tmp_path / "pools.py"
    script.write_text(POOL.format(prologue=programs.prologue, method=method), encoding="utf-8")
    programs.run(script)
    assert sorted(call.path for call in tmdb.calls) == [f"/3/movie/{number}" for number in (1, 2, 3, 4)]


def test_thread_pool(installed: TMDBCache, tmdb: StandIn) -> None:
    """A pool of threads that asks for 10 films 200 times makes 10 calls, and every answer is right."""
    tmdb.latency = 0.05
    with ThreadPoolExecutor(20) as pool:
        found = list(pool.map(lambda number: get(tmdb, f"/3/movie/{number % 10 + 1}").json()["id"], range(200)))
    assert found == [number % 10 + 1 for number in range(200)]
    assert tmdb.count == 10


class TestPickles:
    def test_session(self, programs: Programs, mongo_uri: str, database: str, tmdb: StandIn) -> None:
        """A TMDBSession goes to another process by pickle, and has the same cache, params and headers there."""
        settings = {"uri": mongo_uri, "database": database, "hosts": [tmdb.host], "store_timeout": 10}
        with TMDBSession(**settings, memory_ttl=0) as session:
            session.params, session.headers["X-Mine"] = dict(ANY_KEY), "mine"
            assert not session.get(f"{tmdb.url}/3/movie/1").from_cache
            program = f"""
import pickle
with pickle.loads({pickle.dumps(session)!r}) as session:
    assert session.get(f"http://{{HOST}}/3/movie/1").from_cache
    assert session.headers["X-Mine"] == "mine" and session.params == {ANY_KEY}
    assert not session.get(f"http://{{HOST}}/3/movie/2").from_cache
    print(len(pickle.dumps(session.get(f"http://{{HOST}}/3/movie/2"))))
"""
            assert int(programs.run(program)) > 100
            assert session.get(f"{tmdb.url}/3/movie/2").from_cache

    def test_response(self, programs: Programs, cache: TMDBCache, tmdb: StandIn) -> None:
        """A response, live or cached, says the same in another process."""
        program = "import pickle\n"
        with enabled(cache):
            for response in (get(tmdb), get(tmdb)):
                program += f"""
found = pickle.loads({pickle.dumps(response)!r})
assert found.content == {response.content!r} and found.from_cache is {response.from_cache}
print(found.json()["id"], found.cache_key)
"""
        assert programs.run(program) == f"550 {KEY}\n" * 2

    def test_amid_a_call(self, session: TMDBSession, film: str, tmdb: StandIn) -> None:
        """A session that another thread is calling with can be pickled meanwhile; the copy waits for nothing of it."""
        tmdb.latency = 0.5
        with ThreadPoolExecutor(1) as pool:
            under_way = pool.submit(session.get, film)
            time.sleep(0.2)
            with pickle.loads(pickle.dumps(session)) as other:
                assert not under_way.done()
                assert other.get(film).json() == under_way.result().json()
        assert tmdb.count == 1


APP = """
import os, requests
HEADERS = {"api_key": "0123456789abcdef0123456789abcdef"}
URL = "https://api.themoviedb.org/3/movie/"
FIRST = requests.get(URL + "1", params=HEADERS, timeout=10).from_cache  # in use before it forks

def app(environ, start_response):
    response = requests.get(URL + environ["PATH_INFO"].strip("/"), params=HEADERS, timeout=10)
    body = f"{os.getpid()} {response.json()['id']} {response.from_cache}".encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""


def fetch(port: int, path: str) -> list[str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    with contextlib.closing(connection):
        connection.request("GET", path)
        return connection.getresponse().read().decode().split()


@pytest.mark.skipif(not shutil.which("gunicorn", path=Path(sys.executable).parent), reason="gunicorn is not installed")
@pytest.mark.parametrize(
    "options",
    [["--preload"], pytest.param(["--threads", "4"], marks=pytest.mark.soak)],
    ids=["preload", "threads"],
)
def test_gunicorn(runner: Runner, tls_tmdb: StandIn, tmp_path: Path, options: list[str]) -> None:
    """A gunicorn with several workers under run has one call for each film, and ends at once on SIGTERM, with 0."""
    (tmp_path / "site_app.py").write_text(APP, encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tmdb_mongo_cache", "run", str(Path(sys.executable).with_name("gunicorn"))]
    line = [*command, *options, "-w", "3", "-b", f"127.0.0.1:{port}", "--chdir", str(tmp_path), "site_app:app"]
    with open(tmp_path / "log", "w", encoding="utf-8") as log:
        server = subprocess.Popen(line, env={**os.environ, **runner.env}, stdout=log, stderr=log)
    try:
        answers = []
        until_up(port)
        with ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(lambda number: fetch(port, f"/{number % 5 + 2}"), range(60)))
        started = time.monotonic()
        server.terminate()
        assert server.wait(20) == 0
        assert time.monotonic() - started < 8
    finally:
        server.kill()
        server.wait()
    assert [int(film) for _, film, _ in answers] == [number % 5 + 2 for number in range(60)]
    assert len({pid for pid, _, _ in answers}) > 1
    assert sorted(call.path for call in tls_tmdb.calls) == [f"/3/movie/{number}" for number in range(1, 7)]
    assert "Traceback" not in (tmp_path / "log").read_text(encoding="utf-8")


def until_up(port: int) -> None:
    end = time.monotonic() + 20
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        assert time.monotonic() < end
        time.sleep(0.05)
