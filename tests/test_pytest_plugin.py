"""The pytest plugin, in projects of users: a cache for each test, and what goes wrong."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from _pytest.assertion.rewrite import AssertionRewriter

import tmdb_mongo_cache
from tmdb_mongo_cache import TMDBCache, context
from tmdb_mongo_cache.standin import StandIn

from .flowkit import API_KEY
from .pageskit import DOCS, blocks_of
from .pluginkit import Project, Run, own_databases, project_fixture, run_fixture, said  # noqa: F401 - the fixtures are used by their names

pytest_plugins = ["pytester"]

PAGE = DOCS / "testing.md"


def test_each_test_has_a_cache_of_its_own(run: Run, project: Project, tmdb: StandIn, mongo: Any) -> None:
    """A test begins with an empty cache, in which all calls of the process are cached; nothing of it is left."""
    project("""
@pytest.mark.parametrize("again", [0, 1])
def test_empty(tmdb_cache, again):
    assert not list(tmdb_cache.entries())
    ask(); ask()
    assert [entry.tmdb_id for entry in tmdb_cache.entries()] == [550]
    assert (tmdb_cache.stats().hits, tmdb_cache.config.database[:10]) == (1, "tmdb_cache")
""")
    run().assert_outcomes(passed=2)
    assert tmdb.count == 2
    assert own_databases(mongo) == []
    assert not tmdb_mongo_cache.is_installed()


def test_settings(run: Run, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of the environment hold, but for where MongoDB is and the switches; other caches are there, too."""
    for name, value in (
        ("URI", "mongodb://127.0.0.1:9"),
        ("DATABASE", "mine"),
        ("COLLECTION", "mine"),
        ("DISABLED", "1"),
        ("OFFLINE", "1"),
        ("EXPIRE_AFTER", "77"),
    ):
        monkeypatch.setenv(f"TMDB_CACHE_{name}", value)
    project("""
import tmdb_mongo_cache
def test_settings(tmdb_cache):
    config = tmdb_cache.config
    assert (config.expire_after, config.collection, config.offline, config.disabled) == (77, "tmdb_cache", False, False)
    assert tmdb_mongo_cache.install() is tmdb_cache
    ask()
    own = tmdb_mongo_cache.install(expire_after=5)
    assert own.config.database == config.database
    assert ask() and own.stats().hits == 1
    own.close()
""")
    run().assert_outcomes(passed=1)


def test_what_was_installed_is_back(run: Run, project: Project, cache: TMDBCache) -> None:
    """The cache that was installed before is back after the test, also where the test fails or takes it off."""
    tmdb_mongo_cache.install(cache)
    project("""
import tmdb_mongo_cache
def test_fails(tmdb_cache):
    assert 0
def test_uninstalls(tmdb_cache):
    tmdb_mongo_cache.uninstall()
""")
    run().assert_outcomes(passed=1, failed=1)
    assert context.installed_cache() is cache


def test_no_mongodb(run: Run, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a MongoDB the tests that want one fail, with one sentence, and no others."""
    project("""
def test_it(tmdb_cache): pass
def test_other(): pass
""")
    monkeypatch.setenv("TMDB_CACHE_MONGOD", "/none/mongod")
    for uri, why in (
        ("", "which is not an executable file"),
        ("mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=50", "does not answer"),
        ("nonsense", "must be a MongoDB URI"),
    ):
        result = run(uri=uri)
        result.assert_outcomes(passed=1, errors=1)
        assert "tmdb_cache needs a MongoDB" in said(result)
        assert why in said(result)
        assert "tmdb-mongo-cache[embedded]" in said(result)
        assert "Traceback" not in said(result)
        assert "TMDB_CACHE_URI" not in said(result)


# As users have it


@pytest.fixture
def page(pytester: pytest.Pytester) -> None:
    """The files that docs/testing.md shows, as it shows them."""
    for block in blocks_of(PAGE):
        if block.file is not None:
            (pytester.path / block.file).write_text(block.text, encoding="utf-8")


@pytest.fixture
def own_tls() -> Iterator[StandIn]:
    with StandIn(tls=True) as standin:
        yield standin


def test_the_page(
    run: Run, page: None, own_tls: StandIn, monkeypatch: pytest.MonkeyPatch, pytester: pytest.Pytester
) -> None:
    """What docs/testing.md shows fails without network, is recorded with it, and passes when TMDB is gone."""
    pytester.syspathinsert()
    for name, value in own_tls.env.items():
        monkeypatch.setenv(name, value)
    own_tls.fail("refuse")
    run("test_label.py").assert_outcomes(errors=1)
    own_tls.heal()
    monkeypatch.setenv("TMDB_API_KEY", API_KEY)
    run("test_label.py", "--tmdb-cache-record").assert_outcomes(passed=1)
    assert API_KEY in str(own_tls.calls)
    assert API_KEY not in (pytester.path / "films.jsonl").read_text(encoding="utf-8")
    own_tls.close()
    run("test_label.py").assert_outcomes(passed=1)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    run("test_failing.py").assert_outcomes(passed=3)


@pytest.mark.soak
def test_with_workers_and_the_embedded_server(pytester: pytest.Pytester, project: Project) -> None:
    """The workers of a run share one embedded server in pytest's folder, and nothing of it is left at the end."""
    project("""
@pytest.mark.parametrize("number", range(6))
def test_it(tmdb_cache, number, tmp_path_factory):
    assert not list(tmdb_cache.entries())
    ask(f"/3/movie/{number + 1}")
    assert "gw" not in tmdb_cache.config.uri.rpartition("runpytest")[2]
    assert "tmdb-mongo-cache" in tmdb_cache.config.uri
""")
    result = pytester.runpytest_subprocess("-n", "2", "-W", "error")
    result.assert_outcomes(passed=6)
    left = list(Path(pytester.path.parent).rglob("tmdb-mongo-cache"))
    assert left == []
    commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert not [line for line in commands if str(pytester.path).encode() in line and b"mongod" in line]


def test_pytest_starts_no_slower() -> None:
    """Until a test uses a fixture of the plugin, pytest imports nothing for it but the plugin."""
    code = """
import sys, pytest
before = set(sys.modules)
import tmdb_mongo_cache.testing.pytest_plugin
print(sorted({name.partition(".")[2] for name in set(sys.modules) - before if name.startswith("tmdb_mongo_cache")}))
print(sorted({"pymongo", "requests", "requests_cache", "rich", "wrapt", "click"} & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "['', '_version', 'testing', 'testing.pytest_plugin']\n[]\n"


def test_pytest_finds_the_plugin() -> None:
    """The package names the plugin as pytest looks for it."""
    found = [
        item.value for item in entry_points(group="pytest11") if item.dist and item.dist.name == "tmdb-mongo-cache"
    ]
    assert found == ["tmdb_mongo_cache.testing.pytest_plugin"]


def test_pytest_under_run() -> None:
    """The package says that pytest need not rewrite it, for "run" imports it first, and pytest would warn of that."""
    assert AssertionRewriter.is_rewrite_disabled(tmdb_mongo_cache.__doc__ or "")
