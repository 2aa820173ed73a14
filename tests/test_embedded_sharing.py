"""The users of the embedded MongoDB: processes that come and go, threads, forks, and those that are killed."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import threading
from pathlib import Path

import pytest
from pymongo import MongoClient

from tmdb_mongo_cache.errors import EmbeddedServerError
from tmdb_mongo_cache.mongo.embedded import server as embedded
from tmdb_mongo_cache.mongo.embedded.server import EmbeddedServer

from .embeddedkit import USER, folder_fixture, gone, leave, open_files, ping, run_python, user  # noqa: F401 - the fixture is used by its name


def test_processes_share_one_server(folder: Path) -> None:
    """Two processes use one mongod; it stays when the one that started it leaves, and goes with the last."""
    with user(folder) as (first, pid), user(folder) as (second, same):
        assert same == pid
        leave(first)
        server = EmbeddedServer(folder)
        assert server.pid == pid
        assert ping(server.uri)
        leave(second)
        assert server.pid is None
        assert gone(pid)


@pytest.mark.soak
def test_coming_and_going(folder: Path) -> None:
    """Processes that come and go at the same time never meet a server that is being stopped."""
    program = """
import sys
from pathlib import Path
from pymongo import MongoClient
from tmdb_mongo_cache.mongo.embedded.server import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]))
for number in range(4):
    with server, MongoClient(server.uri, serverSelectionTimeoutMS=3000) as client:
        client.test.visits.insert_one({"who": sys.argv[2], "number": number})
"""
    results: list[subprocess.CompletedProcess[str]] = []
    threads = [
        threading.Thread(target=lambda name=name: results.append(run_python(program, folder, name))) for name in "abc"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [(result.returncode, result.stderr) for result in results] == [(0, "")] * 3
    with EmbeddedServer(folder) as server, MongoClient(server.uri) as client:
        assert client.test.visits.count_documents({}) == 12


def test_threads_start_one_server(folder: Path) -> None:
    """Threads that start a server at the same time get the same one."""
    server = EmbeddedServer(folder)
    seen: list[tuple[str, int | None]] = []
    threads = [threading.Thread(target=lambda: seen.append((server.start(), server.pid))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [(server.uri, server.pid)] * 8
    server.stop()


def test_fork(folder: Path) -> None:
    """A forked child takes part by itself: neither stops the server while the other uses it."""
    program = """
import os, socket, sys
from pathlib import Path
from tmdb_mongo_cache.mongo.embedded.server import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]))
server.start()
pid = server.pid

def answers(pid):
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(str(server.socket_path))
    return server.pid == pid

if not (child := os.fork()):  # a child that leaves by the book
    server.stop()
    os._exit(0 if server.pid == pid else 1)
assert os.waitpid(child, 0)[1] == 0
assert answers(pid)

if not (child := os.fork()):  # a child that just ends
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert answers(pid)

told, tell = os.pipe()
if not (child := os.fork()):  # a child that stays longer than its parent
    os.read(told, 1)
    still = answers(pid)
    server.stop()
    os._exit(0 if still and server.pid is None else 1)
server.stop()
assert server.pid == pid
os.write(tell, b"x")
assert os.waitpid(child, 0)[1] == 0
assert server.pid is None

if not (child := os.fork()):  # a child of a parent that takes no part
    server.start()
    server.stop()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""
    # From Python 3.12 on, a fork in a process with threads warns: here the one that waits for mongod.
    result = run_python(program, folder, options=("-W", "ignore::DeprecationWarning"))
    assert (result.returncode, result.stderr) == (0, "")


def test_fork_during_a_start(folder: Path) -> None:
    """A child forked while another thread starts the server can use it, and does not block it."""
    program = """
import os, signal, sys, threading
from pathlib import Path
from tmdb_mongo_cache.mongo.embedded.server import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]))
thread = threading.Thread(target=server.start)
thread.start()
while not server.log_path.exists():
    pass
told, tell = os.pipe()
if not (child := os.fork()):
    os.read(told, 1)
    server.start()
    os.write(1, b"used by the child, ")
    os.read(told, 1)
    server.stop()
    os._exit(0)
thread.join()
os.kill(server.pid, signal.SIGKILL)
server.start()
os.write(1, b"started anew, ")
os.write(tell, b"x")
server.stop()
os.write(tell, b"x")
assert os.waitpid(child, 0)[1] == 0
os.write(1, str(server.pid).encode())
"""
    result = run_python(program, folder, options=("-W", "ignore::DeprecationWarning"))
    assert (result.returncode, result.stderr) == (0, "")
    assert sorted(result.stdout.split(", ")) == ["None", "started anew", "used by the child"]


def test_shared_server_leaves_at_exit(tmp_path: Path, folder: Path) -> None:
    """A process has one server for the user's data directory, and leaves it when it ends, without a word."""
    program = """
from tmdb_mongo_cache.mongo.embedded.server import shared_server
server = shared_server()
server.start()
assert shared_server() is server
print(server.pid, server.folder)
"""
    result = run_python(program, options=("-X", "dev"), HOME=str(folder), XDG_DATA_HOME=str(folder))
    assert (result.returncode, result.stderr) == (0, "")
    pid, place = result.stdout.split()
    assert Path(place).is_relative_to(folder)
    assert Path(place).parts[-2:] == ("tmdb-mongo-cache", "mongodb")
    assert gone(int(pid))


def test_other_users_at_exit(folder: Path) -> None:
    """A process that ends while others use the server it started says nothing about it."""
    with user(folder) as (process, pid):
        program = USER.replace("sys.stdin.readline()\nserver.stop()", "")
        os.kill(pid, signal.SIGKILL)
        assert gone(pid)
        result = run_python(program, folder, options=("-X", "dev"))
        assert (result.returncode, result.stderr) == (0, "")
        assert EmbeddedServer(folder).pid == int(result.stdout)
        leave(process)


def test_killed_user(folder: Path) -> None:
    """A user killed with SIGKILL leaves the server running; the next one takes it over and stops it."""
    with user(folder) as (process, pid):
        process.kill()
        process.wait()
        server = EmbeddedServer(folder)
        assert server.pid == pid
        server.start()
        assert server.pid == pid
        assert ping(server.uri)
        server.stop()
        assert server.pid is None


def test_detached(folder: Path) -> None:
    """The server is out of reach of the terminal's Ctrl-C, and holds neither of its users' locks."""
    with EmbeddedServer(folder) as server:
        assert os.getsid(server.pid) == server.pid != os.getsid(0)
        files = {Path(name).name for name in open_files(server.pid)}
        assert "server.lock" in files
        assert files.isdisjoint({"users.lock", "start.lock"})


@pytest.mark.parametrize("moment", ["mongod.log", "data/WiredTiger.lock", "mongod.sock"])
def test_interrupted_start(moment: str, folder: Path) -> None:
    """Ctrl-C during the start stops the server that was being started, however far it had come."""
    program = """
import signal, sys, threading
from pathlib import Path
from tmdb_mongo_cache.mongo.embedded.server import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]))
def interrupt():
    while not (server.folder / sys.argv[2]).exists():
        pass
    signal.raise_signal(signal.SIGINT)
threading.Thread(target=interrupt).start()
try:
    while True:
        server.start()
except KeyboardInterrupt:
    server.stop()
"""
    # An interrupt between the making of a socket and its `with` is bound to leave it to the collector.
    result = run_python(program, folder, moment, options=("-W", "ignore::ResourceWarning"))
    assert (result.returncode, result.stderr) == (0, "")
    with open(folder / "server.lock") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # or mongod, or what is to become it, still runs


def test_queue_that_does_not_move(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that hangs while it starts or stops the server holds others up for a limited time only."""
    assert embedded.QUEUE_LIMIT <= 60
    monkeypatch.setattr(embedded, "QUEUE_LIMIT", 0.1)
    with EmbeddedServer(folder), open(folder / "start.lock") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(EmbeddedServerError, match="starting or stopping"):
            EmbeddedServer(folder).start()
        fcntl.flock(file, fcntl.LOCK_UN)
