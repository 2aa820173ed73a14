"""The pytest plugin's recordings, in projects of users."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from tmdb_mongo_cache.standin import StandIn

from .flowkit import API_KEY
from .pluginkit import CALLING, Project, Run, project_fixture, run_fixture, said  # noqa: F401 - the fixtures are used by their names

pytest_plugins = ["pytester"]


def change(file: Path, **fields: Any) -> None:
    """Change the first entry of a recording."""
    header, first, *rest = file.read_text(encoding="utf-8").splitlines(keepends=True)
    line = json.dumps({**json.loads(first), **fields}) + "\n"
    file.write_text("".join([header, line, *rest]), encoding="utf-8")


def ago(**delta: int) -> str:
    return f"{datetime.now(timezone.utc) - timedelta(**delta):%Y-%m-%dT%H:%M:%S.000Z}"


RECORDED = """
@pytest.mark.tmdb_cache_recording("films.jsonl")
def test_film(tmdb_cache_recording):
    assert ask()["id"] == 550

@pytest.mark.tmdb_cache_recording("films.jsonl")
def test_films(tmdb_cache_recording):
    assert [ask()["id"], ask("/3/movie/603")["id"]] == [550, 603]
"""


def test_record_and_play(run: Run, project: Project, tmdb: StandIn, pytester: pytest.Pytester) -> None:
    """Tests that share a file fail without it, are recorded with one call for each answer, then need no TMDB."""
    project(RECORDED)
    result = run()
    result.assert_outcomes(errors=2)
    assert "films.jsonl does not exist: record it with pytest --tmdb-cache-record" in said(result)
    assert tmdb.count == 0
    result = run("--tmdb-cache-record")
    result.assert_outcomes(passed=2)
    assert "tmdb-mongo-cache: 2 responses recorded in films.jsonl" in said(result)
    text = (pytester.path / "films.jsonl").read_text(encoding="utf-8")
    assert [len(text.splitlines()), API_KEY in text, tmdb.count] == [3, False, 2]
    tmdb.fail("refuse")
    run("--tmdb-cache-record").assert_outcomes(passed=2)
    run().assert_outcomes(passed=2)
    assert (pytester.path / "films.jsonl").read_text(encoding="utf-8") == text
    left = {path.name for path in pytester.path.iterdir()} - {"__pycache__"}
    assert left == {"films.jsonl", "test_it.py"}


def test_what_is_missing(run: Run, project: Project, tmdb: StandIn, pytester: pytest.Pytester) -> None:
    """A call that is not in the recording is an error that names it and says how to record it; then it is added."""
    path = project(RECORDED)
    run("--tmdb-cache-record")
    before = (pytester.path / "films.jsonl").read_text(encoding="utf-8").splitlines()
    path.write_text(path.read_text().replace("603", "13"), encoding="utf-8")
    result = run()
    result.assert_outcomes(passed=1, failed=1)
    missing = f"no response for GET {tmdb.host}/3/movie/13: it is not in films.jsonl; record it with pytest --tmdb-"
    assert missing in said(result)
    assert tmdb.count == 2
    run("--tmdb-cache-record").assert_outcomes(passed=2)
    after = (pytester.path / "films.jsonl").read_text(encoding="utf-8").splitlines()
    assert (set(before) < set(after), len(after), tmdb.count) == (True, 4, 3)
    assert after[1:] == sorted(after[1:])


def test_six_months(run: Run, project: Project, tmdb: StandIn, pytester: pytest.Pytester) -> None:
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
    assert "older than 180 days" in said(result)
    assert "record them again with pytest --tmdb-cache-record" in said(result)
    run("--tmdb-cache-record").assert_outcomes(passed=2)
    run().assert_outcomes(passed=2)
    assert tmdb.count == 3


def test_where_a_recording_is(run: Run, project: Project, pytester: pytest.Pytester) -> None:
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
    assert "takes one argument, a file name" in said(run(str(path)))


def test_a_bad_recording(run: Run, project: Project, pytester: pytest.Pytester) -> None:
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
        assert "is not an export of tmdb-mongo-cache" in said(result)


def test_recording_is_done_in_one_process(run: Run, project: Project) -> None:
    """--tmdb-cache-record with workers is refused by a sentence."""
    project(RECORDED)
    result = run("--tmdb-cache-record", "-n", "2")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "run it in one process (-n 0)" in said(result)
