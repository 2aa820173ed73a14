"""The embedded MongoDB: a folder for it, other programs that use it, looks at processes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pymongo import MongoClient

from tmdb_mongo_cache.mongo.embedded.server import EmbeddedServer

from .processkit import ROOT
from .waitkit import eventually

# A program that uses the server in the folder it is given until a line is written to it.
USER = """
import sys
from pathlib import Path
from tmdb_mongo_cache.mongo.embedded.server import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]))
server.start()
print(server.pid, flush=True)
sys.stdin.readline()
server.stop()
"""


@pytest.fixture(name="folder")
def folder_fixture(tmp_path: Path) -> Iterator[Path]:
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


def gone(pid: int) -> bool:
    """Tell whether a process ends at once; one that the init of this machine has yet to collect has ended."""

    def ended() -> bool:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (ProcessLookupError, FileNotFoundError):
            return True
        return state[0] == "Z" and state[1] != str(os.getpid())

    return eventually(ended, 1)


def open_files(pid: int) -> list[str]:
    names = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            names.append(os.readlink(entry))
    return names
