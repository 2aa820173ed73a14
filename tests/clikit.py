"""Commands run in this process, and a cache with some responses for them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tmdb_mongo_cache import CacheError, ConfigError, enabled
from tmdb_mongo_cache.cli.main import cli

from .flowkit import API_KEY, MOVIE, expire, get, make_tmdbs_own

LONG = "x " * 300
PREFIX = "GET api.themoviedb.org"


@pytest.fixture(name="run")
def run_fixture(env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Result]]:
    """Run a command in this process; nothing that it says repeats the key."""
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    log = logging.getLogger("tmdb_mongo_cache")
    level = log.level

    def run(*line: Any, code: int = 0) -> Result:
        done = CliRunner().invoke(cli, [str(word) for word in line], standalone_mode=True)
        assert API_KEY not in done.output
        if isinstance(done.exception, CacheError):  # what main() makes one sentence of
            assert code == (2 if isinstance(done.exception, ConfigError) else 1), done.exception
            assert API_KEY not in str(done.exception)
        else:
            assert done.exit_code == code, (done.output, done.exception)
        return done

    yield run
    log.setLevel(level)  # a command sets it, for its process


@pytest.fixture(name="filled")
def filled_fixture(tmdb: Any, cache: Any, collection: Any) -> Any:
    """Some responses of TMDB's own about a film, one of them stale, and others."""
    with enabled(cache):
        get(tmdb)
        get(tmdb, params={"language": "de"})
        get(tmdb, f"{MOVIE}/credits")
        get(tmdb, "/3/tv/1399")
        get(tmdb, "/3/search/movie", params={"query": LONG})
    expire(collection)
    make_tmdbs_own(collection)
    return collection


def lines(done: Result) -> list[list[str]]:
    """Return the cells of a table's rows."""
    return [line.split() for line in done.stdout.splitlines()[1:]]
