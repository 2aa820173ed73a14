"""The pytest plugin, in projects of users: a cache for each test, recordings, and what goes wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from _pytest.assertion.rewrite import AssertionRewriter

import tmdb_mongo_cache
from tmdb_mongo_cache import TMDBCache, scope
from tmdb_mongo_cache.standin import StandIn

from .flowkit import API_KEY
from .pageskit import DOCS, blocks_of

pytest_plugins = ["pytester"]

PAGE = DOCS / "testing.md"
Run = Callable[..., pytest.RunResult]

CALLING = f"""
import os, pytest, requests
def ask(path="/3/movie/550"):
    found = requests.get(os.environ["TMDB"] + path, params={{"api_key": "{API_KEY}"}}, timeout=5)
    found.raise_for_status()
    return found.json()
"""


@pytest.fixture
def run(pytester: pytest.Pytester, mongo_uri: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run pytest in this process on a project in a folder of its own, with the run's MongoDB."""
    monkeypatch.setenv("COLUMNS", "300")

    def run(*arguments: str, uri: str = mongo_uri) -> pytest.RunResult:
        line = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-o", f"tmdb_cache_uri={uri}", "-W", "error")
        return pytester.runpytest_inprocess(*line, *arguments)

    return run


@pytest.fixture
def project(pytester: pytest.Pytester, tmdb: StandIn, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Write a module of tests, which have ask(); TMDB is the stand-in."""
    monkeypatch.setenv("TMDB", tmdb.url)
    monkeypatch.setenv("TMDB_CACHE_HOSTS", tmdb.host)

    def write(text: str, name: str = "test_it.py") -> Path:
        path = pytester.path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(CALLING + text, encoding="utf-8")
        return path

    return write


def said(result: pytest.RunResult) -> str:
    return result.stdout.str() + result.stderr.str()


def change(file: Path, **fields: Any) -> None:
    """Change the first entry of a recording."""
    header, first, *rest = file.read_text(encoding="utf-8").splitlines(keepends=True)
    line = json.dumps({**json.loads(first), **fields}) + "\n"
    file.write_text("".join([header, line, *rest]), encoding="utf-8")


def ago(**delta: int) -> str:
    return f"{datetime.now(timezone.utc) - timedelta(**delta):%Y-%m-%dT%H:%M:%S.000Z}"


# tmdb_cache


def test_each_test_has_a_cache_of_its_own(run: Run, project: Callable[[str], Path], tmdb: StandIn, mongo: Any) -> None:
    """A test begins with an empty cache, in which all calls of the process are cached; nothing of it is left."""
    project("""
@pytest.mark.parametrize("again", [0, 1])
def test_empty(tmdb_cache, again):
    assert not list(tmdb_cache.entries())
    ask(); ask()
    assert [entry.tmdb_id for entry in tmdb_cache.entries()] == [550]
    assert (tmdb_cache.stats().hits, tmdb_cache.config.database[:10]) == (1, "tmdb_cache")
""")
    before = set(mongo.list_database_names())
    run().assert_outcomes(passed=2)
    assert tmdb.count == 2
    assert set(mongo.list_database_names()) == before
    assert not tmdb_mongo_cache.is_installed()


def test_settings(run: Run, project: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_what_was_installed_is_back(run: Run, project: Callable[[str], Path], cache: TMDBCache) -> None:
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
    assert scope.installed_cache() is cache


def test_no_mongodb(run: Run, project: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
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
        assert said(result).count("tmdb_cache needs a MongoDB") == 2  # with pytest's summary
        assert why in said(result)
        assert "tmdb-mongo-cache[embedded]" in said(result)
        assert "Traceback" not in said(result)


# tmdb_cache_recording

RECORDED = """
@pytest.mark.tmdb_cache_recording("films.jsonl")
def test_film(tmdb_cache_recording):
    assert ask()["id"] == 550

@pytest.mark.tmdb_cache_recording("films.jsonl")
def test_films(tmdb_cache_recording):
    assert [ask()["id"], ask("/3/movie/603")["id"]] == [550, 603]
"""


def test_record_and_play(run: Run, project: Callable[[str], Path], tmdb: StandIn, pytester: pytest.Pytester) -> None:
    """Tests that share a file fail without it, are recorded with one call for each answer, then need no TMDB."""
    project(RECORDED)
    result = run()
    result.assert_outcomes(errors=2)
    assert "films.jsonl is not there: record it with pytest --tmdb-cache-record" in said(result)
    assert tmdb.count == 0
    result = run("--tmdb-cache-record")
    result.assert_outcomes(passed=2)
    assert "tmdb-mongo-cache: 2 answers recorded in films.jsonl" in said(result)
    text = (pytester.path / "films.jsonl").read_text(encoding="utf-8")
    assert [len(text.splitlines()), API_KEY in text, tmdb.count] == [3, False, 2]
    tmdb.fail("refuse")
    run("--tmdb-cache-record").assert_outcomes(passed=2)
    run().assert_outcomes(passed=2)
    assert (pytester.path / "films.jsonl").read_text(encoding="utf-8") == text
    assert sorted(path.name for path in pytester.path.iterdir()) == ["films.jsonl", "test_it.py"]


def test_what_is_missing(run: Run, project: Callable[[str], Path], tmdb: StandIn, pytester: pytest.Pytester) -> None:
    """A call that is not in the recording is an error that names it and says how to record it; then it is added."""
    path = project(RECORDED)
    run("--tmdb-cache-record")
    before = (pytester.path / "films.jsonl").read_text(encoding="utf-8").splitlines()
    path.write_text(path.read_text().replace("603", "13"), encoding="utf-8")
    result = run()
    result.assert_outcomes(passed=1, failed=1)
    missing = "no answer for GET api.themoviedb.org/3/movie/13: it is not in films.jsonl; record it with pytest --tmdb-"
    assert missing in said(result)
    assert tmdb.count == 2
    run("--tmdb-cache-record").assert_outcomes(passed=2)
    after = (pytester.path / "films.jsonl").read_text(encoding="utf-8").splitlines()
    assert (set(before) < set(after), len(after), tmdb.count) == (True, 4, 3)
    assert after[1:] == sorted(after[1:])


def test_six_months(run: Run, project: Callable[[str], Path], tmdb: StandIn, pytester: pytest.Pytester) -> None:
    """A recording serves for 180 days, whatever its times say; after that it is one sentence, and recorded again."""
    project(RECORDED)
    run("--tmdb-cache-record")
    file, long_ago = pytester.path / "films.jsonl", ago(days=170)
    change(file, timestamp=ago(days=179), expires_at=long_ago, purge_at=long_ago, changed_at=long_ago)
    run().assert_outcomes(passed=2)
    assert tmdb.count == 2
    change(file, timestamp=ago(days=181))
    result = run()
    result.assert_outcomes(errors=2)
    assert "more than 180 days ago" in said(result)
    assert "record them again with pytest --tmdb-cache-record" in said(result)
    run("--tmdb-cache-record").assert_outcomes(passed=2)
    run().assert_outcomes(passed=2)
    assert tmdb.count == 3


def test_where_a_recording_is(run: Run, project: Callable[[str], Path], pytester: pytest.Pytester) -> None:
    """The marker's file is beside the test's, that of the ini option below the rootdir; without either it is said."""
    text = "def test_film(tmdb_cache_recording): ask()\n"
    path = project(text, "sub/test_it.py")
    result = run()
    assert 'mark the test with @pytest.mark.tmdb_cache_recording("films.jsonl")' in said(result)
    pytester.makeini("[pytest]\ntmdb_cache_recording = all/all.jsonl\naddopts = --strict-markers")
    run("--tmdb-cache-record", str(path)).assert_outcomes(passed=1)
    path.write_text(f"{CALLING}\n@pytest.mark.tmdb_cache_recording('own.jsonl')\n{text}", encoding="utf-8")
    run("--tmdb-cache-record", str(path)).assert_outcomes(passed=1)
    assert (pytester.path / "all" / "all.jsonl").is_file()
    assert (pytester.path / "sub" / "own.jsonl").is_file()
    path.write_text(f"{CALLING}\n@pytest.mark.tmdb_cache_recording\n{text}", encoding="utf-8")
    assert "takes the name of a file" in said(run(str(path)))


def test_a_bad_recording(run: Run, project: Callable[[str], Path], pytester: pytest.Pytester) -> None:
    """A recording that is none, or has an entry that must not be kept, is one sentence with the number of the line."""
    project(RECORDED)
    run("--tmdb-cache-record")
    file = pytester.path / "films.jsonl"
    change(file, headers={"Set-Cookie": "a=b"})
    assert "films.jsonl, line 2: a credential or a cookie in its headers" in said(run())
    file.write_text("hello\n", encoding="utf-8")
    for line in ([], ["--tmdb-cache-record"]):
        result = run(*line)
        result.assert_outcomes(errors=2)
        assert "is no export of tmdb-mongo-cache" in said(result)


def test_recording_is_done_in_one_process(run: Run, project: Callable[[str], Path]) -> None:
    """--tmdb-cache-record with workers is refused by a sentence."""
    project(RECORDED)
    result = run("--tmdb-cache-record", "-n", "2")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "run it in one process (-n 0)" in said(result)


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
def test_with_workers_and_the_embedded_server(pytester: pytest.Pytester, project: Callable[[str], Path]) -> None:
    """The workers of a run share one embedded server in pytest's folder, and nothing of it is left at the end."""
    project("""
@pytest.mark.parametrize("number", range(6))
def test_it(tmdb_cache, number, tmp_path_factory):
    assert not list(tmdb_cache.entries())
    ask(f"/3/movie/{number + 1}")
    assert "gw" not in tmdb_cache.config.uri
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
import tmdb_mongo_cache.pytest_plugin
print(sorted({name.partition(".")[2] for name in set(sys.modules) - before if name.startswith("tmdb_mongo_cache")}))
print(sorted({"pymongo", "requests", "requests_cache", "rich", "wrapt", "click"} & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "['', '_version', 'pytest_plugin']\n[]\n"


def test_pytest_finds_the_plugin() -> None:
    """The package names the plugin as pytest looks for it."""
    found = [
        item.value for item in entry_points(group="pytest11") if item.dist and item.dist.name == "tmdb-mongo-cache"
    ]
    assert found == ["tmdb_mongo_cache.pytest_plugin"]


def test_pytest_under_run() -> None:
    """The package says that pytest need not rewrite it, for "run" imports it first, and pytest would warn of that."""
    assert AssertionRewriter.is_rewrite_disabled(tmdb_mongo_cache.__doc__ or "")
