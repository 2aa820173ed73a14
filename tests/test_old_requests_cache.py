"""An older requests-cache beside us, as programs pin it: all works but MongoBackend, which says what it wants."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tmdb_mongo_cache.standin import StandIn

# An environment in which requests-cache is another version: what is installed says so.
OLDER = """
import importlib.metadata as metadata
found = metadata.version
metadata.version = lambda name: "0.9.8" if name == "requests-cache" else found(name)
"""


def run(script: str, folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    (folder / "sitecustomize.py").write_text(OLDER)
    path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": path, **env},
    )


def test_mongo_backend_says_which_version_it_wants(tmp_path: Path) -> None:
    """Constructing a MongoBackend is a ConfigError of one sentence with both versions in it."""
    done = run("from tmdb_mongo_cache import MongoBackend; MongoBackend('films', host='localhost')", tmp_path)
    said = done.stderr.strip().splitlines()[-1]
    assert said.startswith("tmdb_mongo_cache.errors.ConfigError: MongoBackend wants requests-cache 1.2")
    assert "0.9.8" in said
    assert "During handling" not in done.stderr


@pytest.mark.parametrize("name", ["*", "install, enabled, cached_tmdb, TMDBSession, MongoBackend, CacheConfig"])
def test_all_names_can_be_imported(tmp_path: Path, name: str) -> None:
    """Every public name can be imported, and has a docstring where it is a class."""
    done = run(f"from tmdb_mongo_cache import {name}; assert MongoBackend.__doc__; print(CacheConfig())", tmp_path)
    assert (done.stderr, done.stdout.split("(")[0]) == ("", "CacheConfig")


def test_all_else_works(tmp_path: Path, mongo_uri: str, database: str, tmdb: StandIn) -> None:
    """Calls are cached by every other way in."""
    script = f"""
import requests, tmdb_mongo_cache as t
def get(s=requests): return s.get({tmdb.url + "/3/movie/550?api_key=any"!r}).from_cache
t.install(); found = [get(), get()]; t.uninstall()
with t.enabled(urls_expire_after={{"*/tv/*": 60}}): found.append(get())
with t.TMDBSession() as s: found.append(get(s))
print(*found, t.cached_tmdb(get)())
"""
    env = {"TMDB_CACHE_URI": mongo_uri, "TMDB_CACHE_DATABASE": database, "TMDB_CACHE_HOSTS": tmdb.host}
    done = run(script, tmp_path, **env)
    assert (done.stderr, done.stdout.split()) == ("", ["False", "True", "True", "True", "True"])
