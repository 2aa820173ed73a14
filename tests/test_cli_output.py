"""What commands write to: a narrow terminal, a full disk, nothing; and who is asked, and answers with Ctrl-C."""

from __future__ import annotations

import errno
import io
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import click
import pytest
import requests

from tmdb_mongo_cache.cli.output import confirm, lines_of, status
from tmdb_mongo_cache.cli.streams import why_unwritable
from tmdb_mongo_cache.maintenance.bulk_fetch import why_failed

from .clikit import filled_fixture, run_fixture
from .flowkit import API_KEY, MOVIE
from .processkit import Runner

pytestmark = pytest.mark.versions

__all__ = ["filled_fixture", "run_fixture"]

COMMAND = f"{sys.executable} -W error -m tmdb_mongo_cache"


def shell(line: str, env: dict[str, str]) -> tuple[int, str]:
    """Run a line in a shell; return its code and what it said on standard error."""
    done = subprocess.run(line, shell=True, env={**os.environ, **env}, stderr=subprocess.PIPE, text=True, timeout=60)
    return done.returncode, done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux alone has a disk that is always full")
def test_a_full_disk(filled, env):
    """Output that finds no room is one sentence and the code 1."""
    for line in ("ls", f"show {MOVIE} --body"):
        code, said = shell(f"{COMMAND} {line} >/dev/full", env)
        assert (code, said.splitlines()[-1]) == (
            1,
            f"tmdb-mongo-cache: cannot write the output: {os.strerror(errno.ENOSPC)}",
        )
        assert "Traceback" not in said


def test_a_closed_output(filled, env):
    """Output that is closed is one sentence and the code 1."""
    code, said = shell(f"{COMMAND} show {MOVIE} --body >&-", env)
    assert (code, said) == (1, "tmdb-mongo-cache: cannot write the output: it is closed\n")


def test_a_program_without_streams(env):
    """A program whose output is closed is run all the same."""
    assert shell(f"{COMMAND} run -c 'raise SystemExit(7)' >&- 2>&-", env)[0] == 7


def test_another_error_is_none_of_the_output():
    """An error of the system that has nothing to do with the output is not said to be one of it."""
    assert why_unwritable(FileNotFoundError(2, "No such file")) is None
    assert why_unwritable(OSError(28, "No space left on device", "a file")) is None
    assert why_unwritable(io.UnsupportedOperation("not writable")) == "it is closed"


@pytest.fixture
def asked(env: dict[str, str]) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a command that asks on a terminal; wait until it has asked."""
    opened, started = [], []

    def start(*line: str) -> subprocess.Popen[str]:
        user, terminal = pty.openpty()
        opened.extend((user, terminal))
        words = [sys.executable, "-W", "error", "-m", "tmdb_mongo_cache", *line]
        pipe = subprocess.PIPE
        started.append(
            subprocess.Popen(words, env={**os.environ, **env}, stdin=terminal, stdout=pipe, stderr=pipe, text=True)
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()
    for number in opened:
        os.close(number)


def test_ctrl_c_at_a_question(asked, filled, env):
    """Ctrl-C at the question has the code 130 and deletes nothing; the question says how much, and where."""
    process = asked("purge", "--all")
    question = f"Delete all TMDB data (5 responses) in {env['TMDB_CACHE_DATABASE']}.tmdb_cache at mongodb"
    assert process.stderr.read(len(question)) == question
    for _ in range(60):  # one that comes just before it begins to read waits for a key, as any program does
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=1)
            break
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out.strip(), err.endswith("\ninterrupted\n")) == (130, "", True)
    assert filled.count_documents({}) == 5


def test_nobody_answers(filled, env):
    """Where nobody can answer, both commands say what to do, and delete nothing."""
    for line in (("clear",), ("purge", "--all")):
        done = Runner(env).start("-m", "tmdb_mongo_cache", *line, check=False)
        assert (done.returncode, done.stdout.strip()) == (2, "")
        assert f"{' '.join(line)} asks for confirmation; pass --yes where there is no terminal." in done.stderr
    assert filled.count_documents({}) == 5


def test_a_no(monkeypatch, capsys):
    """A no ends the command without advice."""
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    with pytest.raises(click.Abort):
        confirm("Delete it?", "clear")
    assert "--yes" not in "".join(capsys.readouterr())


def test_ctrl_c_at_the_end(filled, env):
    """Ctrl-C after all is said changes neither what was said nor the code."""
    line = [*COMMAND.split(), "ls"]
    pipe = subprocess.PIPE
    process = subprocess.Popen(line, env={**os.environ, **env}, stdout=pipe, stderr=pipe, text=True)
    said = process.stderr.readline()
    assert said == "page 1 of 1, 5 responses\n"
    time.sleep(0.01)  # it is said before the connections are closed
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) in ((0, ""), (130, "interrupted\n"))


ROWS = [
    ("/3/movie/550", "200", "1 s", "fresh for 22 h", "1.8 kB"),
    ("/3/search/movie?query=" + "fight" * 20, "200", "27 h", "stale since 3 h", ""),
]


def test_the_table():
    """Without a terminal each entry is a line, its key in one piece."""
    lines = lines_of(ROWS, 0)
    assert [line.split()[0] for line in lines] == ["key", *(row[0] for row in ROWS)]
    assert lines_of(ROWS[:1], 80) == [
        "key           status  age  freshness         size",
        "/3/movie/550     200  1 s  fresh for 22 h  1.8 kB",
    ]
    assert lines_of([], 80) == ["key  status  age  freshness  size"]


@pytest.mark.parametrize("columns", [1, 20, 45, 60, 79, 80, 120])
def test_a_narrow_terminal(columns):
    """A key for which there is no room stands whole in a line of its own; no other line is wider for it."""
    lines = lines_of(ROWS, columns)
    for key, *cells in ROWS:
        number = next(number for number, line in enumerate(lines) if line.split(" ")[0] == key)
        line = lines[number] if lines[number] != key else lines[number + 1]
        assert re.split(r"\s{2,}", line.removeprefix(key).strip()) == [cell for cell in cells if cell]
    others = [line for line in lines if line not in [row[0] for row in ROWS]]
    assert max(map(len, others)) <= max(columns, len("key  status   age  freshness         size  ") + 8)


def test_a_key_that_moves_the_cursor(run, filled):
    """What somebody else has written into a key moves no cursor."""
    document = filled.find_one({"_id": {"$regex": "550$"}})
    filled.insert_one({**document, "_id": "GET api.themoviedb.org/3/\x1b[2J"})
    out = run("ls").stdout
    assert "\x1b" not in out
    assert "/3/\\x1b[2J" in out


class Terminal(io.StringIO):
    """Somebody who looks on."""

    def isatty(self) -> bool:
        return True


def test_signs_of_life(monkeypatch, capsys):
    """On a terminal a command says what it does, elsewhere nothing."""
    monkeypatch.setenv("TERM", "xterm")
    for stream, said in ((Terminal(), True), (io.StringIO(), False)):
        monkeypatch.setattr(sys, "stderr", stream)
        with status("deleting"):
            pass
        assert ("deleting …" in stream.getvalue()) == said


def test_rich_is_for_terminals():
    """Where there is no terminal, a command that says nothing while it works does not import rich (50 ms)."""
    code = "import sys; from tmdb_mongo_cache.cli.output import status\nwith status('x'): print('rich' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("False\n", "")


FAILURES = [
    (requests.ConnectionError("x"), "cannot reach api.themoviedb.org (ConnectionError)"),
    (requests.ReadTimeout("x"), "api.themoviedb.org does not respond in time (ReadTimeout)"),
    (requests.exceptions.SSLError("x"), "no trusted TLS connection to api.themoviedb.org (SSLError)"),
    (requests.exceptions.InvalidSchema(API_KEY), "InvalidSchema"),
    (OSError(API_KEY), "OSError"),
]


def test_reasons():
    """Why a call failed is said by its host, without the URL."""
    for error, said in FAILURES:
        assert why_failed(error, f"https://me:{API_KEY}@api.themoviedb.org/3/movie/1?api_key={API_KEY}") == said


def test_warm_without_a_network(env: dict[str, str], tmdb: Any) -> None:
    """What cannot be reached is named for each title that was wished for."""
    runner = Runner({**env, "TMDB_API_KEY": API_KEY, "TMDB_CACHE_HOSTS": "127.0.0.1:9"})
    done = runner.here("warm", "movie", 777, "--base-url", "http://127.0.0.1:9", check=False)
    assert (done.returncode, done.stderr) == (1, "movie 777: cannot reach 127.0.0.1:9 (ConnectionError)\n")


def test_warm_without_mongodb(env: dict[str, str]) -> None:
    """Where nothing could begin, the error alone is said."""
    uri = "mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=100"
    runner = Runner({**env, "TMDB_API_KEY": API_KEY, "TMDB_CACHE_URI": uri})
    for options in ([], ["--json"]):
        done = runner.here("warm", "movie", 777, *options, check=False)
        assert (done.returncode, done.stdout) == (1, "")
        assert "does not answer" in done.stderr


def test_a_round_twice(env: dict[str, str], tmdb: Any, filled: Any) -> None:
    """It is said that today is read in every round."""
    runner = Runner({**env, "TMDB_API_KEY": API_KEY})
    tmdb.feed_pages = {"movie": 1, "tv": 0, "person": 0}
    said = [runner.here("refresh", "--base-url", tmdb.url, "--rate", 5000).stdout for _ in range(2)]
    assert "those of today in every run" in said[1]
