"""Programs in processes of their own, on a test's MongoDB and stand-in, as users run them, and commands in this one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

import tmdb_mongo_cache
from tmdb_mongo_cache.cli.main import main

ROOT = Path(tmdb_mongo_cache.__file__).parents[1]

PROLOGUE = """
import os, signal, sys, threading, time, requests, tmdb_mongo_cache
HOST = {host!r}
cache = tmdb_mongo_cache.install(uri={uri!r}, database={database!r}, hosts=HOST, **{settings!r})

def get(number, **options):
    response = requests.get(f"http://{{HOST}}/3/movie/{{number}}", params={{"api_key": "any"}}, **options)
    assert response.json()["id"] == number
    return response.from_cache
"""

# Python 3.12 and newer warn of any fork with threads.
FORKS = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")

_USUAL = {"store_timeout": 10, "memory_ttl": 0}


def in_a_child(says: Callable[[], bool]) -> bool:
    """Return what a forked child of this process says."""
    child = os.fork()
    if not child:
        try:
            os._exit(0 if says() else 1)
        finally:
            os._exit(2)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, 1), "it failed"
    return status == 0


class Program:
    """A program that runs; it goes on when it is written to."""

    def __init__(self, command: list[str]) -> None:
        pipe = subprocess.PIPE
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=env)

    def line(self) -> str:
        """Return the next line that it writes."""
        return self.process.stdout.readline().strip()  # type: ignore[union-attr]

    def go_on(self) -> None:
        """Write a line to it."""
        self.process.stdin.write("\n")  # type: ignore[union-attr]
        self.process.stdin.flush()  # type: ignore[union-attr]

    def end(self, seconds: float = 60) -> tuple[int, str, str, float]:
        """Wait for its end; return its code, what it wrote to either stream, and how long that took."""
        started = time.monotonic()
        out, err = self.process.communicate(timeout=seconds)
        return self.process.returncode, out, err, time.monotonic() - started


class Programs:
    """Starts programs; kills those that still run at the end of its block."""

    def __init__(self, uri: str, database: str, host: str) -> None:
        self._values = {"uri": uri, "database": database, "host": host}
        self._started: list[Program] = []

    @property
    def prologue(self) -> str:
        """What every program begins with."""
        return self.with_settings()

    def with_settings(self, **settings: object) -> str:
        """Return what a program begins with whose cache has other settings."""
        return PROLOGUE.format(**self._values, settings={**_USUAL, **settings})

    def start(self, program: str | Path, **settings: object) -> Program:
        """Start a program: a script as it is, or what follows the prologue; warnings are errors in it."""
        # From Python 3.12 on, a fork in a process with threads warns; and daemon threads leave sockets open at exit.
        options = ["-W", "error", "-W", "ignore:This process:DeprecationWarning", "-W", "ignore::ResourceWarning"]
        what = [str(program)] if isinstance(program, Path) else ["-c", self.with_settings(**settings) + program]
        self._started.append(Program([sys.executable, *options, *what]))
        return self._started[-1]

    def run(self, program: str | Path, at_line: Callable[[], object] | None = None, **settings: object) -> str:
        """Run a program to its end, with something done when it writes its first line; return what it wrote."""
        started = self.start(program, **settings)
        if at_line is not None:
            started.line()
            at_line()
            started.go_on()
        code, out, err, _ = started.end()
        assert (code, err) == (0, ""), err
        return out

    def __enter__(self) -> Programs:
        return self

    def __exit__(self, *_: object) -> None:
        for started in self._started:
            process = started.process
            process.kill()
            process.communicate()


@dataclass(frozen=True)
class Runner:
    """Starts ``tmdb-mongo-cache run`` in an environment that reaches the test's MongoDB and its stand-in."""

    env: dict[str, str]

    def run(self, *arguments: str | Path, check: bool = True, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a program with the cache."""
        return self.start("-m", "tmdb_mongo_cache", "run", *arguments, check=check, **env)

    def start(self, *arguments: str | Path, check: bool = True, **env: str) -> subprocess.CompletedProcess[str]:
        """Run this Python with some arguments."""
        return self.command(sys.executable, *arguments, check=check, **env)

    def here(
        self, *arguments: object, given: str = "", check: bool = True, **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Run ``tmdb-mongo-cache`` in this process, where a process of its own would show nothing more."""
        environment, line = dict(os.environ), sys.argv
        handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        code: object = None
        with CliRunner().isolation(given) as (out, err, *_):
            os.environ.update({**self.env, **env})
            sys.argv = ["tmdb-mongo-cache", *map(str, arguments)]
            try:
                main()
            except SystemExit as end:
                code = end.code
            finally:
                sys.argv = line
                for number, handler in handlers.items():
                    signal.signal(number, handler)
                os.environ.clear()
                os.environ.update(environment)
            said = [stream.getvalue().decode() for stream in (out, err)]
        assert isinstance(code, int)
        assert not check or code == 0, said[1]
        return subprocess.CompletedProcess(["tmdb-mongo-cache", *map(str, arguments)], code, *said)

    def command(self, *line: str | Path, check: bool = True, **env: str) -> subprocess.CompletedProcess[str]:
        """Run any command."""
        done = subprocess.run(
            [str(item) for item in line],
            env={**os.environ, **self.env, **env},
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )
        assert not check or done.returncode == 0, done.stderr
        return done
