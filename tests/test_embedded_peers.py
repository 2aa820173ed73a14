"""Which process listens on the embedded MongoDB's socket: a server of another user is never trusted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.errors import ConfigurationError, ServerSelectionTimeoutError

from tmdb_mongo_cache import TMDBCache, enabled
from tmdb_mongo_cache.errors import EmbeddedServerError
from tmdb_mongo_cache.mongo.embedded.connection_pool import OwnPool
from tmdb_mongo_cache.mongo.embedded.server import EmbeddedServer, shared_server
from tmdb_mongo_cache.standin import StandIn

from .flowkit import get
from .waitkit import eventually

pytestmark = [
    pytest.mark.versions,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can have another user listen"),
    pytest.mark.skipif(sys.platform != "linux", reason="seteuid() counts for the whole process elsewhere, too"),
]

NOBODY = 65534

# Listens as another user, and passes everything on to a real MongoDB.
LISTENER = """
import os, socket, sys, threading
path, upstream, uid = sys.argv[1:]
server = socket.socket(socket.AF_UNIX)
server.bind(path)
os.seteuid(int(uid))
server.listen(64)
os.seteuid(0)
print("listens", flush=True)

def pass_on(source, target):
    while data := source.recv(65536):
        target.sendall(data)
    target.shutdown(socket.SHUT_WR)

while True:
    link, onward = server.accept()[0], socket.socket(socket.AF_UNIX)
    onward.connect(upstream)
    for pair in ((link, onward), (onward, link)):
        threading.Thread(target=pass_on, args=pair, daemon=True).start()
"""


@contextmanager
def listener(path: Path, upstream: str, uid: int) -> Iterator[None]:
    """Have a process of a user listen, with a MongoDB behind it."""
    path.unlink(missing_ok=True)
    line = [sys.executable, "-c", LISTENER, str(path), upstream, str(uid)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "listens\n"  # type: ignore[union-attr]
            yield
        finally:
            process.kill()
    path.unlink()


def answered(server: EmbeddedServer, **options: Any) -> None:
    """Check that a client gets a reply on the socket of a server."""
    with MongoClient(server.uri, **options) as client:
        assert client.admin.command("ping")["ok"]


def refused(server: EmbeddedServer) -> None:
    """Check that a client of ours does not make do with what is there."""
    with (
        MongoClient(server.uri, serverSelectionTimeoutMS=150, _pool_class=OwnPool) as client,
        pytest.raises(ServerSelectionTimeoutError, match=r"another user|other users"),
    ):
        client.admin.command("ping")


@pytest.fixture
def server(tmp_path: Path) -> EmbeddedServer:
    """A server that does not run, in a folder that is there."""
    (tmp_path / "db").mkdir(mode=0o700)
    return EmbeddedServer(tmp_path / "db")


@pytest.mark.parametrize("uid", [0, NOBODY])
def test_a_listener(uid: int, server: EmbeddedServer, mongo: Any) -> None:
    """A MongoDB on the socket is used where this user's process listens, and refused in a sentence where another's."""
    with listener(server.socket_path, mongo.address[0], uid):
        answered(server)  # pymongo by itself believes it
        if uid == os.geteuid():
            answered(server, _pool_class=OwnPool)
        else:
            refused(server)
            for _ in range(2):
                with pytest.raises(EmbeddedServerError, match="another user \\(uid 65534\\)") as caught:
                    server.start()
                assert str(server.socket_path) in str(caught.value)
                assert "\n" not in str(caught.value)
    if uid == NOBODY:
        with server:
            answered(server, _pool_class=OwnPool)


def test_the_folder_of_the_socket(server: EmbeddedServer, mongo: Any) -> None:
    """Before each connection the folder is looked at: its mode, its owner, and that it is no link."""
    folder = server.folder
    with listener(server.socket_path, mongo.address[0], 0):
        for mode in (0o710, 0o777):
            folder.chmod(mode)
            refused(server)
        folder.chmod(0o700)
        os.chown(folder, NOBODY, -1)
        refused(server)
        os.chown(folder, 0, -1)
        answered(server, _pool_class=OwnPool)


def test_a_running_program(
    make_cache: Callable[..., TMDBCache], tmdb: StandIn, mongo: Any, database: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Where another user takes the server's place, calls go on without it, and the log says why; then it is back."""
    numbers, server = iter(range(1, 1000)), shared_server()

    def is_cached() -> bool:
        path = f"/3/movie/{next(numbers)}"
        assert get(tmdb, path).status_code == 200
        return bool(get(tmdb, path).from_cache)

    try:
        with make_cache(uri="embedded", store_timeout=0.5) as cache, enabled(cache):
            assert is_cached()
            caplog.clear()
            os.kill(server.pid or 0, signal.SIGSTOP)
            with listener(server.socket_path, mongo.address[0], NOBODY):
                os.kill(server.pid or 0, signal.SIGKILL)
                assert eventually(lambda: server.pid is None)
                assert not any(is_cached() for _ in range(5))
                assert eventually(lambda: "another user (uid 65534)" in caplog.text)
                assert not is_cached()
            told = [one for one in caplog.messages if "another user" in one]
            assert 1 <= len(told) <= 2, told  # why calls go to TMDB, and why the server is not started again
            assert mongo[database].list_collection_names() == []
            assert eventually(is_cached)
    finally:
        server.stop()  # when nobody is left who would start it again


@pytest.mark.parametrize("changed", ["Pool", "Pool.connect", "MongoClient"])
def test_a_pymongo_that_cannot(
    changed: str,
    make_cache: Callable[..., TMDBCache],
    tmdb: StandIn,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Where pymongo has changed what our looks stand on, no connection is made without them, and a sentence says so."""
    monkeypatch.delitem(sys.modules, OwnPool.__module__)
    if changed == "MongoClient":
        # As one that knows no such option.
        made = MongoClient.__init__

        def init(self: Any, *args: Any, _pool_class: Any = None, **options: Any) -> None:
            if _pool_class is not None:
                raise ConfigurationError("Unknown option: _pool_class")
            made(self, *args, **options)

        monkeypatch.setattr(MongoClient, "__init__", init)
    else:
        monkeypatch.delattr(f"pymongo.synchronous.pool.{changed}")
    with make_cache(uri="embedded") as cache, enabled(cache):
        assert get(tmdb, "/3/movie/550").status_code == 200
        assert any("set TMDB_CACHE_URI to another MongoDB" in one for one in caplog.messages)
        assert shared_server().pid is None
