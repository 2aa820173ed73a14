"""``server start|stop|status|path``: the embedded MongoDB by hand, beside programs that come and go."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from tmdb_mongo_cache import EmbeddedServerError
from tmdb_mongo_cache.cli.main import cli
from tmdb_mongo_cache.mongo.embedded.server import EmbeddedServer

from .embeddedkit import gone, leave, ping, user
from .processkit import Runner
from .waitkit import eventually

MARK = "kept"


@pytest.fixture
def server() -> Iterator[EmbeddedServer]:
    """The server that the commands of this test mean; it does not outlive the test."""
    found = EmbeddedServer(Path(os.environ["XDG_DATA_HOME"]) / "tmdb-mongo-cache" / "mongodb")
    yield found
    found.stop()
    pid = found.pid
    if pid:
        os.kill(pid, signal.SIGKILL)


@pytest.fixture
def run(server: EmbeddedServer) -> Callable[..., Result]:
    """Run ``server <arguments>`` in this process; it may end in an error of ours, and in no other."""

    def run(*arguments: str) -> Result:
        done = CliRunner().invoke(cli, ["server", *arguments])
        if done.exception is not None and not isinstance(done.exception, SystemExit | EmbeddedServerError):
            raise done.exception
        return done

    return run


def answer(done: Result, code: int = 0) -> Any:
    assert done.exit_code == code, done.output
    return json.loads(done.stdout)


def test_start_keeps_it(server: EmbeddedServer, run: Callable[..., Result]) -> None:
    """What "server start" has started stays while programs come and go, until "server stop"."""
    started = answer(run("start", "--json"))
    assert (started["started"], started["uri"]) == (True, server.uri)
    pid = started["pid"]
    for _ in range(2):
        with user(server.folder) as (process, seen):
            assert seen == pid
            leave(process)
        assert server.pid == pid
    with EmbeddedServer(server.folder):
        pass
    assert ping(server.uri)
    assert answer(run("stop", "--json")) == {"stopped": True}
    assert server.pid is None
    assert gone(pid)
    with EmbeddedServer(server.folder) as other:
        assert other.pid != pid
    assert server.pid is None


def test_start_where_it_runs(server: EmbeddedServer, run: Callable[..., Result]) -> None:
    """One that a program has started is kept from then on, and starting it again says so and does no harm."""
    with user(server.folder) as (process, pid):
        assert not answer(run("status", "--json"))["kept"]
        done = run("start")
        assert (done.exit_code, done.stdout.partition(" (")[0]) == (
            0,
            "the embedded MongoDB is already running, and now stays",
        )
        leave(process)
    assert server.pid == pid
    done = run("start")
    assert (done.exit_code, "is already running (process" in done.stdout) == (0, True)
    assert answer(run("status", "--json"))["kept"]


def test_stop_where_programs_use_it(server: EmbeddedServer, run: Callable[..., Result]) -> None:
    """While a program uses it, it is stopped by force alone; the sentence says so."""
    with user(server.folder) as (_, pid):
        done = run("stop")
        assert done.exit_code == 1
        assert "server stop --force" in str(done.exception)
        assert server.pid == pid
        assert answer(run("status", "--json"))["in_use"]
        assert run("stop", "--force").stdout == "the embedded MongoDB has been stopped\n"
        assert server.pid is None


def test_stop_what_was_left_over(server: EmbeddedServer, run: Callable[..., Result]) -> None:
    """One that a killed program has left running is stopped like any other."""
    with user(server.folder) as (process, pid):
        process.kill()
        process.wait()
    assert server.pid == pid
    assert not answer(run("status", "--json"))["in_use"]
    assert run("stop").exit_code == 0
    assert gone(pid)


def test_stop_where_none_runs(server: EmbeddedServer, run: Callable[..., Result]) -> None:
    """To stop what does not run is no mistake, and makes no folder."""
    done = run("stop")
    assert (done.exit_code, done.stdout) == (0, "the embedded MongoDB is not running\n")
    assert not server.folder.exists()


def test_a_mark_of_one_that_is_gone(server: EmbeddedServer) -> None:
    """Once it was killed things are as usual again: the next one goes with its last program, whatever the mark says."""
    server.keep()
    pid = server.pid
    assert pid
    os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: not server.lives())
    with server:
        assert not server.is_kept
        assert not (server.folder / MARK).exists()
        # As if another one had got the mark meanwhile.
        (server.folder / MARK).write_text(f"{os.getpid()}\n")
        assert not server.is_kept
    assert server.pid is None
    (server.folder / MARK).write_text("nonsense")
    with server:
        pass
    assert server.pid is None


def test_kept_by_who_uses_it(server: EmbeddedServer) -> None:
    """A process that takes part still does after keep(), and leaves it running when it goes."""
    with server:
        assert server.keep() is False
        assert server.in_use()
    assert server.pid
    assert not server.in_use()
    assert server.end() is True
    assert server.end() is False


def test_a_mark_that_cannot_be_written(server: EmbeddedServer) -> None:
    """Where it cannot be marked, nothing is left running, and the error names the folder."""
    server.folder.mkdir(parents=True, mode=0o700)
    (server.folder / MARK).mkdir()
    with pytest.raises(EmbeddedServerError, match="cannot use"):
        server.keep()
    assert server.pid is None


@pytest.mark.soak
def test_starting_and_stopping_at_once(server: EmbeddedServer) -> None:
    """Whoever starts, stops and comes at the same time meets no error but the one for use, and no half a server."""
    wrong: list[BaseException] = []

    def work(number: int) -> None:
        mine = EmbeddedServer(server.folder)
        try:
            for turn in range(4):
                if number == 0:
                    mine.keep()
                elif number == 1:
                    with suppress(EmbeddedServerError):
                        mine.end()
                else:
                    with mine:
                        assert ping(mine.uri), turn
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in (0, 1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    server.end()
    assert server.pid is None


def test_status(server: EmbeddedServer, run: Callable[..., Result]) -> None:
    """The status has the same fields whether it runs or not; the code is 0 where it runs and 3 where not."""
    away = answer(run("status", "--json"), 3)
    assert (away["state"], away["pid"], away["since"], away["version"]) == ("stopped", None, None, None)
    assert not server.folder.exists()
    assert "not running" in run("status").stdout
    with server:
        found = answer(run("status", "--json"))
        assert set(found) == set(away)
        assert (found["state"], found["pid"], found["in_use"], found["kept"]) == ("running", server.pid, True, False)
        assert found["uri"] == server.uri
        assert found["bytes_on_disk"] > 1_000_000
        assert found["since"].endswith("Z")
        shown = run("status").stdout
        for value in (server.uri, str(server.log_path), str(server.folder), str(server.pid), found["version"]):
            assert any(line.split()[-1] == value for line in shown.splitlines())


@pytest.mark.soak
def test_status_of_one_that_hangs(server: EmbeddedServer, run: Callable[..., Result]) -> None:
    """One that runs and does not answer has the code 1."""
    with server:
        pid = server.pid
        assert pid
        os.kill(pid, signal.SIGSTOP)
        try:
            found = answer(run("status", "--json"), 1)
        finally:
            os.kill(pid, signal.SIGCONT)
    assert (found["state"], found["pid"]) == ("silent", pid)


def test_of_another_user(server: EmbeddedServer, run: Callable[..., Result]) -> None:
    """Root, as anybody else, is told whose it is, and leaves no file there that its owner could not open."""
    if os.geteuid() != 0:
        pytest.skip("only root can have a folder of another user")
    server.folder.mkdir(parents=True, mode=0o700)
    (server.folder / "users.lock").touch()
    os.chown(server.folder, 12345, -1)
    before = [*server.folder.iterdir()]
    for command in (("stop",), ("stop", "--force"), ("status",), ("start",)):
        done = run(*command)
        assert (done.exit_code, done.stdout) == (1, "")
        assert "belongs to another user (uid 12345)" in str(done.exception)
    with pytest.raises(EmbeddedServerError, match="another user"):
        server.in_use()
    assert [*server.folder.iterdir()] == before


def test_path(server: EmbeddedServer, run: Callable[..., Result]) -> None:
    """The folder is printed alone, for other commands to use."""
    assert run("path").stdout == f"{server.folder}\n"
    assert answer(run("path", "--json"))["folder"] == str(server.folder)


def test_processes(server: EmbeddedServer) -> None:
    """As a user runs them: start, status and stop agree across processes, and an error is one sentence."""
    runner = Runner({})
    line = ("-W", "error", "-m", "tmdb_mongo_cache", "server")
    assert "started" in runner.start(*line, "start", TMDB_CACHE_URI="mongodb://localhost").stdout
    assert "running" in runner.start(*line, "status").stdout
    with user(server.folder):
        done = runner.start(*line, "stop", check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("tmdb-mongo-cache: programs are using the embedded MongoDB")
    assert done.stderr.count("\n") == 1
    assert "stopped" in runner.start(*line, "stop").stdout
    assert server.pid is None


def test_without_a_mongod(tmp_path: Path) -> None:
    """Where there is no mongod, the sentence says what to install."""
    runner = Runner({"TMDB_CACHE_MONGOD": str(tmp_path / "none")})
    done = runner.start("-m", "tmdb_mongo_cache", "server", "start", check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "TMDB_CACHE_MONGOD" in done.stderr


def test_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it cannot run, every one of the commands says so in a sentence."""
    monkeypatch.setattr(sys, "platform", "win32")
    group = cli.get_command(click.Context(cli), "server")
    assert isinstance(group, click.Group)
    for name in group.commands:
        done = CliRunner().invoke(cli, ["server", name])
        assert isinstance(done.exception, EmbeddedServerError)
        assert "Windows" in str(done.exception)
