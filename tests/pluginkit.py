"""The pytest plugin in use: a project with tests of its own, and a run of pytest on it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyrate_limiter  # noqa: F401  see below
import pytest

from tmdb_mongo_cache.standin import StandIn

from .flowkit import API_KEY

# pytester forgets the modules that a run of pytest in this process has imported. Python's
# own _multiprocessing, which pyrate-limiter brings along, does not survive being imported
# a few times: its types are static, and the process dies. So it is imported before.

Run = Callable[..., pytest.RunResult]
Project = Callable[..., Path]

CALLING = f"""
import os, pytest, requests
def ask(path="/3/movie/550"):
    found = requests.get(os.environ["TMDB"] + path, params={{"api_key": "{API_KEY}"}}, timeout=5)
    found.raise_for_status()
    return found.json()
"""


@pytest.fixture(name="run")
def run_fixture(pytester: pytest.Pytester, mongo_uri: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run pytest in this process on a project in a folder of its own, with the run's MongoDB."""
    monkeypatch.setenv("COLUMNS", "300")

    def run(*arguments: str, uri: str = mongo_uri) -> pytest.RunResult:
        line = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-o", f"tmdb_cache_uri={uri}", "-W", "error")
        # Beside an editable install pytest finds these among the files of a plugin.
        for package in ("tests", "benchmarks"):
            line += ("-W", f"ignore:Module already imported so cannot be rewritten; {package}")
        return pytester.runpytest_inprocess(*line, *arguments)

    return run


@pytest.fixture(name="project")
def project_fixture(pytester: pytest.Pytester, tmdb: StandIn, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Write a module of tests, which have ask(); TMDB is the stand-in."""
    monkeypatch.setenv("TMDB", tmdb.url)
    monkeypatch.setenv("TMDB_CACHE_HOSTS", tmdb.host)

    def write(text: str, name: str = "test_it.py") -> Path:
        path = pytester.path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(CALLING + text, encoding="utf-8")
        return path

    return write


def own_databases(mongo: Any) -> list[str]:
    """Return the databases of the plugin's that runs in this process have left."""
    return [name for name in mongo.list_database_names() if name.startswith(f"tmdb_cache_test_{os.getpid()}_")]


def said(result: pytest.RunResult) -> str:
    return result.stdout.str() + result.stderr.str()
