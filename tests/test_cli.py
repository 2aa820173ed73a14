"""The command line, but for ``run``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tmdb_mongo_cache import __version__
from tmdb_mongo_cache.demo.runs import SCRIPT

from .processkit import Runner


def test_demo(runner: Runner, mongo_uri: str, tmp_path: Path) -> None:
    """The demo runs a script twice in new processes, and the second run makes no call."""
    done = Runner({"TMDB_CACHE_URI": mongo_uri, "COLUMNS": "100"}).start("-m", "tmdb_mongo_cache", "demo")
    rows = {line.split("│")[1].strip(): line.split("│")[2:4] for line in done.stdout.splitlines() if "│" in line}
    assert [cell.strip() for cell in rows["calls made to TMDB"]] == ["20", "0"]
    assert [cell.strip() for cell in rows["calls saved"]] == ["0 of 20", "20 of 20"]
    assert "The same output" in done.stdout
    assert done.stderr == ""


@pytest.mark.soak
def test_demo_with_the_embedded_server(tmp_path: Path) -> None:
    """Without a URI the demo starts the embedded MongoDB, and leaves none running."""
    done = Runner({"XDG_DATA_HOME": str(tmp_path), "COLUMNS": "100"}).start("-m", "tmdb_mongo_cache", "demo")
    assert "20 of 20" in done.stdout
    left = [
        process
        for process in Path("/proc").glob("[0-9]*/cmdline")
        if str(tmp_path).encode() in _read(process) and b"mongod" in _read(process)
    ]
    assert left == []


def test_demo_without_mongod(tmp_path: Path) -> None:
    """A missing mongod is one sentence that says what to do."""
    done = Runner({"TMDB_CACHE_MONGOD": str(tmp_path / "none")}).here("demo", check=False)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "TMDB_CACHE_MONGOD" in done.stderr


@pytest.mark.soak
def test_demo_with_a_database_that_is_away() -> None:
    """A MongoDB that does not answer is one sentence that says what to do."""
    done = Runner({"TMDB_CACHE_URI": "mongodb://127.0.0.1:9/"}).here("demo", check=False)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "does not answer" in done.stderr


def test_the_script_knows_nothing_of_a_cache() -> None:
    """The demo's script is a plain program with requests, and the README shows it."""
    text = SCRIPT.read_text(encoding="utf-8")
    assert "cache" not in text
    assert "import requests" in text


def test_help_and_version() -> None:
    """--help and --version answer, and no command is a mistake in one line."""
    runner = Runner({})
    assert __version__ in runner.start("-m", "tmdb_mongo_cache", "--version").stdout
    for command in ([], ["run"], ["demo"]):
        assert "tmdb-mongo-cache" in runner.here(*command, "--help").stdout
    done = runner.here("nonsense", check=False)
    assert done.returncode == 2
    assert "No such command" in done.stderr


def test_help_keeps_its_examples_in_lines() -> None:
    """The examples in --help stand in a line each, and nothing of their markup shows."""
    for command in ([], ["run"]):
        said = Runner({"COLUMNS": "80"}).here(*command, "--help").stdout
        assert "\\b" not in said
        assert "\b" not in said
        assert any(line.strip().startswith("tmdb-mongo-cache run ") for line in said.splitlines())


def test_unknown_variable_is_noticed(mongo_uri: str) -> None:
    """A variable that looks like a setting and is none is named in a warning."""
    done = Runner({"TMDB_CACHE_EXPIRE_AFTRE": "60"}).start(
        "-c", "import tmdb_mongo_cache as t; t.install(); t.TMDBCache()"
    )
    assert done.stderr.count("TMDB_CACHE_EXPIRE_AFTRE") == 1


def test_stand_in_as_a_process_says_what_is_wrong() -> None:
    """A port that cannot be used is one sentence."""
    done = Runner({}).start("-m", "tmdb_mongo_cache.standin", "--port", "99999", check=False)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "99999" in done.stderr


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
