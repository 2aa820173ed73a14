"""Running programs in processes of their own, as a user would, and commands in this one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from click.testing import CliRunner

from tmdb_mongo_cache.doors.cli import main


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
