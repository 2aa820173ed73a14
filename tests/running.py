"""Running programs in processes of their own, as a user would."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


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
