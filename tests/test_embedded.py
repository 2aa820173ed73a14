"""The embedded MongoDB: real servers, real processes, real signals."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pymongo import MongoClient, WriteConcern

import tmdb_mongo_cache
from tmdb_mongo_cache.errors import EmbeddedServerError
from tmdb_mongo_cache.store import embedded
from tmdb_mongo_cache.store.embedded import EmbeddedServer, shared_server
from tmdb_mongo_cache.store.mongod import embedded_available, find_mongod

ROOT = Path(tmdb_mongo_cache.__file__).parents[1]

# A program that uses the server in the folder it is given until a line is written to it.
USER = """
import sys
from pathlib import Path
from tmdb_mongo_cache.store.embedded import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]))
server.start()
print(server.pid, flush=True)
sys.stdin.readline()
server.stop()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Give a folder for a server; the test fails if it leaves one running there."""
    folder = tmp_path / "db"
    yield folder
    left = EmbeddedServer(folder).pid
    if left:
        os.kill(left, signal.SIGKILL)
    assert left is None


def run_python(
    program: str,
    *args: object,
    path: tuple[Path, ...] = (),
    options: tuple[str, ...] = (),
    **environment: str,
) -> subprocess.CompletedProcess[str]:
    """Run a program in a Python of its own, where every warning is an error."""
    environment["PYTHONPATH"] = os.pathsep.join(map(str, (ROOT, *path)))
    return subprocess.run(
        [sys.executable, "-W", "error", *options, "-c", program, *map(str, args)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


@contextlib.contextmanager
def user(folder: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Another process that uses the server, and the pid of mongod that it sees."""
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", USER, str(folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


def leave(process: subprocess.Popen[str]) -> None:
    process.communicate("\n", timeout=30)
    assert process.returncode == 0


def ping(uri: str) -> bool:
    with MongoClient(uri, serverSelectionTimeoutMS=3000) as client:
        return client.admin.command("ping")["ok"] == 1.0


def exists(pid: int) -> bool:
    """Tell whether a process runs; one that the init of this machine has yet to collect does not."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state[0] != "Z" or state[1] == str(os.getpid())


def open_files(pid: int) -> list[str]:
    names = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            names.append(os.readlink(entry))
    return names


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 5
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def test_start_and_stop(folder: Path) -> None:
    """A started server answers under its URI; a stopped one is gone, with its process and its socket."""
    server = EmbeddedServer(folder)
    assert server.pid is None
    uri = server.start()
    pid = server.pid
    assert uri == server.uri
    assert uri.startswith("mongodb://%2F")
    assert uri.endswith(".sock/?directConnection=true")
    assert ping(uri)
    assert server.start() == uri
    assert server.pid == pid
    server.stop()
    assert server.pid is None
    assert not exists(pid)
    assert not server.socket_path.exists()
    server.stop()


def test_context_manager(folder: Path) -> None:
    """As a context manager the server runs inside the block and no longer."""
    with EmbeddedServer(folder) as server:
        assert ping(server.uri)
        assert repr(server) == f"EmbeddedServer({str(folder)!r})"
    assert server.pid is None


def test_no_port_is_opened(folder: Path) -> None:
    """The server listens on its one unix socket: on no TCP port, and not in /tmp."""

    def table(name: str) -> list[list[str]]:
        return [line.split() for line in Path(f"/proc/{server.pid}/net/{name}").read_text().splitlines()[1:]]

    with EmbeddedServer(folder) as server:
        links = open_files(server.pid)
        inodes = {link[8:-1] for link in links if link.startswith("socket:[")}
        assert inodes
        assert [row for name in ("tcp", "tcp6", "udp", "udp6") for row in table(name) if row[9] in inodes] == []
        assert {row[7] for row in table("unix") if row[6] in inodes and len(row) > 7} == {str(server.socket_path)}


def test_only_the_owner_may_enter(folder: Path) -> None:
    """The folder is made with mode 0700, or brought to it when empty; the socket is the owner's alone."""
    folder.mkdir(mode=0o755)
    for _ in range(2):
        with EmbeddedServer(folder) as server:
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
            assert stat.S_IMODE((folder / "data").stat().st_mode) == 0o700
            assert stat.S_IMODE(server.socket_path.stat().st_mode) == 0o700


def test_folder_of_somebody_else(folder: Path) -> None:
    """A folder of another user is refused in one sentence, and nothing is started in it."""
    if os.geteuid() == 0:
        folder.mkdir(mode=0o700)
        os.chown(folder, 12345, -1)
        foreign = folder
    else:
        foreign = Path("/usr")
    with pytest.raises(EmbeddedServerError, match="belongs to another user") as caught:
        EmbeddedServer(foreign).start()
    assert "\n" not in str(caught.value)


def test_open_folder_with_contents(folder: Path) -> None:
    """A folder with something in it that others may enter is refused, and its mode left as it is."""
    folder.mkdir(mode=0o755)
    (folder / "letters.txt").touch()
    with pytest.raises(EmbeddedServerError, match="chmod 700"):
        EmbeddedServer(folder).start()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755


def test_not_a_folder(folder: Path) -> None:
    """A file in the place of the folder, or of one above it, is told in one sentence."""
    folder.touch()
    for place in (folder, folder / "below"):
        with pytest.raises(EmbeddedServerError) as caught:
            EmbeddedServer(place).start()
        assert str(place) in str(caught.value)
    folder.unlink()


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
        assert not exists(pid)


def test_coming_and_going(folder: Path) -> None:
    """Processes that come and go at the same time never meet a server that is being stopped."""
    program = """
import sys
from pathlib import Path
from pymongo import MongoClient
from tmdb_mongo_cache.store.embedded import EmbeddedServer
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


def test_killed_server(folder: Path) -> None:
    """A mongod killed with SIGKILL is started anew by start(), with every document that was stored."""
    server = EmbeddedServer(folder)
    with MongoClient(server.start()) as client:
        client.get_database("test").films.with_options(write_concern=WriteConcern(j=True)).insert_many(
            [{"_id": number} for number in range(500)]
        )
    old = server.pid
    os.kill(old, signal.SIGKILL)
    assert eventually(lambda: not exists(old)), "the process that started a mongod collects it when it ends"
    assert server.socket_path.exists()
    with MongoClient(server.start()) as client:
        assert client.test.films.count_documents({}) == 500
    assert server.pid not in (old, None)
    server.stop()


def test_hung_server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mongod that takes connections and never answers is replaced."""
    monkeypatch.setattr(embedded, "SILENCE_LIMIT", 0.5)
    with EmbeddedServer(folder) as server:
        old = server.pid
        os.kill(old, signal.SIGSTOP)
        assert ping(server.start())
        assert server.pid != old
        assert not exists(old)


def test_server_that_ignores_sigterm(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mongod that does not end on SIGTERM is killed when its time is up."""
    monkeypatch.setattr(embedded, "STOP_LIMIT", 0.5)
    server = EmbeddedServer(folder)
    server.start()
    pid = server.pid
    os.kill(pid, signal.SIGSTOP)
    server.stop()
    assert server.pid is None
    assert not exists(pid)


def test_detached(folder: Path) -> None:
    """The server is out of reach of the terminal's Ctrl-C, and holds neither of its users' locks."""
    with EmbeddedServer(folder) as server:
        assert os.getsid(server.pid) == server.pid != os.getsid(0)
        files = {Path(name).name for name in open_files(server.pid)}
        assert "server.lock" in files
        assert files.isdisjoint({"users.lock", "start.lock"})


@pytest.mark.parametrize("name", ["x" * 120, "a,b"])
def test_path_unfit_for_a_socket(name: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the path is no good for a socket, a short private folder that all agree on has it."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/tmp")
    place = folder / name
    with EmbeddedServer(place) as server:
        assert server.socket_path.parent.parent == Path("/tmp")
        assert stat.S_IMODE(server.socket_path.parent.stat().st_mode) == 0o700
        assert ping(server.uri)
        monkeypatch.delenv("XDG_RUNTIME_DIR")
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        with EmbeddedServer(place) as other:
            assert other.uri == server.uri
        short = server.socket_path.parent
    for _ in range(2):  # the second time over the link that the first one left
        with EmbeddedServer(place) as server:
            assert ping(server.uri)
    assert not short.exists()


def test_short_folder_of_somebody_else(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A short folder that is really a link, as anybody can put into /tmp, is refused."""
    runtime = tmp_path / "run"
    runtime.mkdir()
    monkeypatch.setattr(embedded, "PATH_LIMIT", len(os.fsencode(runtime)) + 60)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    server = EmbeddedServer(folder / ("x" * 120))
    trap = tmp_path / "trap"
    trap.mkdir(mode=0o700)
    server.socket_path.parent.symlink_to(trap)
    with pytest.raises(EmbeddedServerError, match="is not a folder"):
        server.start()


def test_fork(folder: Path) -> None:
    """A forked child takes part by itself: neither stops the server while the other uses it."""
    program = """
import os, sys
from pathlib import Path
from tmdb_mongo_cache.store.embedded import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]))
server.start()
pid = server.pid

if not (child := os.fork()):  # a child that leaves by the book
    server.stop()
    os._exit(0 if server.pid == pid else 1)
assert os.waitpid(child, 0)[1] == 0
assert server.pid == pid and server._state() == "ready"

if not (child := os.fork()):  # a child that just ends
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert server.pid == pid and server._state() == "ready"

told, tell = os.pipe()
if not (child := os.fork()):  # a child that stays longer than its parent
    os.read(told, 1)
    still = server.pid == pid and server._state() == "ready"
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


def test_shared_server_leaves_at_exit(tmp_path: Path, folder: Path) -> None:
    """A process has one server for the user's data directory, and leaves it when it ends, without a word."""
    program = """
from tmdb_mongo_cache.store.embedded import shared_server
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
    assert not exists(int(pid))


def test_other_users_at_exit(folder: Path) -> None:
    """A process that ends while others use the server it started says nothing about it."""
    with user(folder) as (process, pid):
        program = USER.replace("sys.stdin.readline()\nserver.stop()", "")
        os.kill(pid, signal.SIGKILL)
        assert eventually(lambda: not exists(pid))
        result = run_python(program, folder, options=("-X", "dev"))
        assert (result.returncode, result.stderr) == (0, "")
        assert EmbeddedServer(folder).pid == int(result.stdout)
        leave(process)


def test_folder_lost(folder: Path) -> None:
    """A folder that has disappeared makes stop() fail in one sentence, and once."""
    server = EmbeddedServer(folder)
    server.start()
    pid = server.pid
    folder.rename(folder.with_name("elsewhere"))
    with pytest.raises(EmbeddedServerError, match="cannot use"):
        server.stop()
    server.stop()
    folder.with_name("elsewhere").rename(folder)
    assert server.pid == pid
    with server:
        assert server.pid == pid


def test_start_that_fails_early(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mongod that cannot even be loaded is told in its own words; a better one is started next."""
    program = tmp_path / "mongod"
    program.write_text("#!/bin/sh\necho 'libcrypto.so.3: cannot open shared object file' >&2\nexit 127\n")
    program.chmod(0o755)
    monkeypatch.setenv("TMDB_CACHE_MONGOD", str(program))
    server = EmbeddedServer(folder)
    with pytest.raises(EmbeddedServerError, match=r"libcrypto\.so\.3") as caught:
        server.start()
    assert str(server.log_path) in str(caught.value)
    monkeypatch.delenv("TMDB_CACHE_MONGOD")
    with server:
        assert ping(server.uri)


def test_start_that_fails_on_its_data(folder: Path) -> None:
    """A mongod that refuses its data is told with the last error of its log."""
    (folder / "data").mkdir(parents=True)
    folder.chmod(0o700)
    (folder / "data" / "storage.bson").write_bytes(b"not BSON")
    server = EmbeddedServer(folder)
    with pytest.raises(EmbeddedServerError, match="InvalidBSON") as caught:
        server.start()
    assert str(server.log_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_start_that_takes_too_long(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mongod that is not ready in time is an error, and goes on: the next call to start() finds it."""
    server = EmbeddedServer(folder)
    monkeypatch.setattr(embedded, "START_LIMIT", 0.0)
    with pytest.raises(EmbeddedServerError, match="has not answered"):
        server.start()
    monkeypatch.undo()
    with server:
        assert ping(server.uri)


def test_interrupted_start(folder: Path) -> None:
    """Ctrl-C during the start stops the server that was being started."""
    program = """
import signal, sys, threading
from pathlib import Path
from tmdb_mongo_cache.store.embedded import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]))
def interrupt():
    while server.pid is None:
        pass
    signal.raise_signal(signal.SIGINT)
threading.Thread(target=interrupt).start()
try:
    while True:
        server.start()
except KeyboardInterrupt:
    server.stop()
    assert not server._lives()
"""
    result = run_python(program, folder)
    assert (result.returncode, result.stderr) == (0, "")


def test_queue_that_does_not_move(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that hangs while it starts or stops the server holds others up for a limited time only."""
    monkeypatch.setattr(embedded, "QUEUE_LIMIT", 0.1)
    server = EmbeddedServer(folder)
    with server, server._alone(), pytest.raises(EmbeddedServerError, match="starting or stopping"):
        EmbeddedServer(folder).start()


def test_log_is_bounded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One earlier log is kept; a long one is put aside under a running server, which goes on in a new one."""
    with EmbeddedServer(folder) as server:
        old = server.log_path.stat().st_ino
        monkeypatch.setattr(embedded, "LOG_LIMIT", 1000)
        with EmbeddedServer(folder):
            assert server.log_path.with_name("mongod.log.1").stat().st_ino == old
            assert server.log_path.stat().st_ino != old
    with server:
        names = sorted(path.name for path in folder.iterdir())
    assert names == [
        "data", "mongod.log", "mongod.log.1", "mongod.sock", "server.lock", "start.lock", "users.lock",
    ]  # fmt: skip


def test_small_on_disk(folder: Path) -> None:
    """A new server takes less than 40 MB, and still stores the largest document there is."""
    with EmbeddedServer(folder) as server, MongoClient(server.uri) as client:
        assert sum(path.stat().st_blocks * 512 for path in folder.rglob("*")) < 40e6
        client.test.films.insert_one({"_id": 1, "body": os.urandom(16 * 2**20 - 100)})
        assert client.test.films.count_documents({}) == 1
        assert client.admin.command("getFreeMonitoringStatus")["state"] != "enabled"


def test_windows(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On Windows the embedded server is not available, and says so."""
    monkeypatch.setattr(sys, "platform", "win32")
    assert not embedded_available()
    with pytest.raises(EmbeddedServerError, match="does not run on Windows"):
        EmbeddedServer(folder).start()


def test_variable_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """TMDB_CACHE_MONGOD decides, whatever else there is."""
    monkeypatch.setenv("TMDB_CACHE_MONGOD", "/bin/sh")
    assert find_mongod() == Path("/bin/sh")
    assert embedded_available()


@pytest.mark.parametrize("value", ["/no/such/mongod", "/", "/etc/passwd"])
def test_variable_that_is_wrong(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A TMDB_CACHE_MONGOD that is no executable file is refused in one sentence, not passed over."""
    monkeypatch.setenv("TMDB_CACHE_MONGOD", value)
    with pytest.raises(EmbeddedServerError, match="TMDB_CACHE_MONGOD names") as caught:
        find_mongod()
    assert "\n" not in str(caught.value)
    assert value in str(caught.value)
    assert not embedded_available()


def test_path_then_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mongod on PATH is preferred to the one in the wheel; the wheel alone is enough."""
    monkeypatch.delenv("TMDB_CACHE_MONGOD", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    in_wheel = find_mongod()
    assert in_wheel.name == "mongod"
    assert in_wheel.is_relative_to(sysconfig.get_paths()["purelib"])
    assert embedded_available()
    (tmp_path / "mongod").symlink_to("/bin/sh")
    assert find_mongod() == tmp_path / "mongod"


def test_without_the_extra(tmp_path: Path) -> None:
    """Without the extra nothing is available, and the error says what to do; PATH serves who asks."""
    # An installation without the extra: every package that is installed here but the one with mongod.
    site = tmp_path / "site"
    site.mkdir()
    for entry in Path(sysconfig.get_paths()["purelib"]).iterdir():
        if not entry.name.startswith("fiftyone"):
            (site / entry.name).symlink_to(entry)
    program = """
from tmdb_mongo_cache.errors import EmbeddedServerError
from tmdb_mongo_cache.store.mongod import embedded_available, find_mongod
print(embedded_available())
try:
    print(find_mongod())
except EmbeddedServerError as error:
    print(error)
"""
    empty = tmp_path / "bin"
    empty.mkdir()
    environment = {"PATH": str(empty), "TMDB_CACHE_MONGOD": ""}
    result = run_python(program, path=(site,), options=("-S",), **environment)
    assert result.stdout.splitlines() == [
        "False",
        "No mongod was found: install 'tmdb-mongo-cache[embedded]', "
        "or set TMDB_CACHE_MONGOD to the path of one, or give a MongoDB URI.",
    ], result.stderr
    (empty / "mongod").symlink_to("/bin/sh")
    result = run_python(program, path=(site,), options=("-S",), **environment)
    assert result.stdout.splitlines() == ["False", str(empty / "mongod")], result.stderr


def test_default_folder() -> None:
    """The shared server lies in the user's data directory; asking for it starts nothing."""
    assert shared_server() is shared_server()
    assert shared_server().folder.parts[-2:] == ("tmdb-mongo-cache", "mongodb")
