"""The program ``mongod``: which one is taken, and what happens when it fails."""

from __future__ import annotations

import json
import os
import signal
import sysconfig
from pathlib import Path

import pytest
from pymongo import MongoClient, WriteConcern

from tmdb_mongo_cache.errors import EmbeddedServerError
from tmdb_mongo_cache.mongo.client import resolve_uri
from tmdb_mongo_cache.mongo.embedded import process
from tmdb_mongo_cache.mongo.embedded.binary import embedded_available, find_mongod
from tmdb_mongo_cache.mongo.embedded.server import EmbeddedServer

from .embeddedkit import folder_fixture, gone, ping, run_python  # noqa: F401 - the fixture is used by its name
from .waitkit import eventually


def test_variable_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """TMDB_CACHE_MONGOD decides, whatever else there is."""
    monkeypatch.setenv("TMDB_CACHE_MONGOD", "/bin/sh")
    assert find_mongod() == Path("/bin/sh")
    assert embedded_available()


@pytest.mark.parametrize("value", ["/no/such/mongod", "/", "/etc/passwd"])
def test_variable_that_is_wrong(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A TMDB_CACHE_MONGOD that is no executable file chooses the embedded server, and is refused in one sentence."""
    monkeypatch.setenv("TMDB_CACHE_MONGOD", value)
    with pytest.raises(EmbeddedServerError, match="TMDB_CACHE_MONGOD names") as caught:
        find_mongod()
    assert "\n" not in str(caught.value)
    assert value in str(caught.value)
    assert embedded_available()
    assert resolve_uri(None) == "embedded"


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
    """Without the extra nothing is available, and the error says what to do; PATH is used where it is chosen."""
    # An installation without the extra: every package that is installed here but the one with mongod.
    site = tmp_path / "site"
    site.mkdir()
    for entry in Path(sysconfig.get_paths()["purelib"]).iterdir():
        if not entry.name.startswith("fiftyone"):
            (site / entry.name).symlink_to(entry)
    program = """
from tmdb_mongo_cache.errors import EmbeddedServerError
from tmdb_mongo_cache.mongo.embedded.binary import embedded_available, find_mongod
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
        "no mongod was found: install 'tmdb-mongo-cache[embedded]', "
        "or set TMDB_CACHE_MONGOD to the path of one, or give a MongoDB URI",
    ], result.stderr
    (empty / "mongod").symlink_to("/bin/sh")
    result = run_python(program, path=(site,), options=("-S",), **environment)
    assert result.stdout.splitlines() == ["False", str(empty / "mongod")], result.stderr


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


@pytest.mark.parametrize("said", ["UPGRADE PROBLEM: Invalid featureCompatibilityVersion", "Wrong mongod version"])
def test_start_that_fails_on_data_of_another_version(
    said: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the data is of a version that this mongod does not take, the sentence says what to remove."""
    line = json.dumps({"s": "F", "msg": said, "attr": {"error": f"{said}; see the manual"}})
    program = tmp_path / "mongod"
    program.write_text(f"#!/bin/sh\necho '{line}'\nexit 62\n")
    program.chmod(0o755)
    monkeypatch.setenv("TMDB_CACHE_MONGOD", str(program))
    with pytest.raises(EmbeddedServerError, match="of another MongoDB version: remove it") as caught:
        EmbeddedServer(folder).start()
    assert str(folder / "data") in str(caught.value)


def test_start_that_fails_on_its_data(folder: Path) -> None:
    """A mongod that refuses its data is told with the last error of its log."""
    (folder / "data").mkdir(parents=True)
    folder.chmod(0o700)
    (folder / "data" / "storage.bson").write_bytes(b"not BSON")
    server = EmbeddedServer(folder)
    with pytest.raises(EmbeddedServerError) as caught:
        server.start()
    logged = [json.loads(line) for line in server.log_path.read_text().splitlines() if line.startswith("{")]
    errors = [line["msg"] for line in logged if "error" in line.get("attr", {})]
    assert errors[-1].strip() in str(caught.value)
    assert str(server.log_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_start_that_takes_too_long(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mongod that is not ready in time is an error, and goes on: the next call to start() finds it."""
    server = EmbeddedServer(folder)
    monkeypatch.setattr(process, "START_LIMIT", 0.0)
    with pytest.raises(EmbeddedServerError, match="has not responded"):
        server.start()
    monkeypatch.undo()
    assert eventually(lambda: server.pid is not None)
    started = server.pid
    with server:
        assert ping(server.uri)
        assert server.pid == started


def test_killed_server(folder: Path) -> None:
    """A mongod killed with SIGKILL is started again by start(), with every document that was stored."""
    server = EmbeddedServer(folder)
    with MongoClient(server.start()) as client:
        client.get_database("test").films.with_options(write_concern=WriteConcern(j=True)).insert_many(
            [{"_id": number} for number in range(500)]
        )
    old = server.pid
    os.kill(old, signal.SIGKILL)
    assert gone(old), "the process that started a mongod collects it when it ends"
    assert server.socket_path.exists()
    with MongoClient(server.start()) as client:
        assert client.test.films.count_documents({}) == 500
    assert server.pid not in (old, None)
    server.stop()


def test_hung_server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mongod that takes connections and never responds is replaced."""
    monkeypatch.setattr(process, "SILENCE_LIMIT", 0.5)
    with EmbeddedServer(folder) as server:
        old = server.pid
        os.kill(old, signal.SIGSTOP)
        assert ping(server.start())
        assert server.pid != old
        assert gone(old)


def test_server_that_ignores_sigterm(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mongod that does not end on SIGTERM is killed when its time is up."""
    monkeypatch.setattr(process, "STOP_LIMIT", 0.5)
    server = EmbeddedServer(folder)
    server.start()
    pid = server.pid
    os.kill(pid, signal.SIGSTOP)
    server.stop()
    assert server.pid is None
    assert gone(pid)
