"""The embedded MongoDB as its user sees it: a server in a private folder, on a private socket."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest
from pymongo import MongoClient

from tmdb_mongo_cache.errors import EmbeddedServerError
from tmdb_mongo_cache.mongo.embedded.binary import embedded_available
from tmdb_mongo_cache.mongo.embedded.paths import forget_socket
from tmdb_mongo_cache.mongo.embedded.server import EmbeddedServer, shared_server

from .embeddedkit import folder_fixture, gone, leave, open_files, ping, user  # noqa: F401 - the fixture is used by its name


def test_start_and_stop(folder: Path) -> None:
    """A started server responds under its URI; a stopped one is gone, with its process and its socket."""
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
    assert gone(pid)
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


@pytest.mark.parametrize("name", ["x" * 120, pytest.param("a,b", marks=pytest.mark.soak)])
def test_path_unfit_for_a_socket(name: str, folder: Path) -> None:
    """Where the path is no good for a socket, a short private folder has it, and stays: none else can take its name."""
    place = folder / name
    short = EmbeddedServer(place).socket_path.parent
    try:
        for _ in range(2):
            with EmbeddedServer(place) as server:
                assert short.parent == Path("/tmp")
                assert stat.S_IMODE(short.stat().st_mode) == 0o700
                assert ping(server.uri)
                forget_socket(place)  # not while it is in use
            assert [*short.iterdir()] == []
    finally:
        forget_socket(place)
    assert not short.exists()


def test_short_folder_is_the_same_for_all(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs with different environments meet in the same short folder; other servers have others."""
    place = folder / ("x" * 120)
    with user(place) as (process, pid):
        monkeypatch.setenv("TMPDIR", str(folder))
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
        monkeypatch.setattr("tempfile.tempdir", None)
        with EmbeddedServer(place) as server:
            assert server.pid == pid
        assert EmbeddedServer(folder / ("y" * 120)).socket_path != server.socket_path
        leave(process)
    forget_socket(place)


def test_short_folder_of_somebody_else(folder: Path, tmp_path: Path) -> None:
    """A short folder that is really a link, as anybody can put into /tmp, is refused."""
    server = EmbeddedServer(folder / ("x" * 120))
    trap = tmp_path / "trap"
    trap.mkdir(mode=0o700)
    server.socket_path.parent.symlink_to(trap)
    try:
        with pytest.raises(EmbeddedServerError, match="is not a folder"):
            server.start()
    finally:
        server.socket_path.parent.unlink()
    assert list(trap.iterdir()) == []


def test_log_is_bounded(folder: Path) -> None:
    """One earlier log is stored; a long one is rotated under a running server, which goes on in a new one."""
    with EmbeddedServer(folder) as server:
        old = server.log_path.stat().st_ino
        os.truncate(server.log_path, 9 * 2**20)
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


def test_default_folder() -> None:
    """The shared server lies in the user's data directory; asking for it starts nothing."""
    assert shared_server() is shared_server()
    assert shared_server().folder.parts[-2:] == ("tmdb-mongo-cache", "mongodb")
