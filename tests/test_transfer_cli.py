"""The commands ``export`` and ``import``, as a user runs them."""

from __future__ import annotations

import errno
import json
import logging
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tmdb_mongo_cache import CacheError, TMDBCache, enabled
from tmdb_mongo_cache.cli.main import cli
from tmdb_mongo_cache.standin import StandIn

from .flowkit import API_KEY, START, get, make_tmdbs_own


@pytest.fixture
def films(cache: TMDBCache, tmdb: StandIn) -> int:
    """Store five films and a show; return how many answers that are."""
    with enabled(cache):
        for number in range(1, 6):
            get(tmdb, f"/3/movie/{number}")
        get(tmdb, "/3/tv/1399")
    return 6


@pytest.fixture(autouse=True)
def _log() -> Iterator[None]:
    """A command turns the log down, for its process."""
    log = logging.getLogger("tmdb_mongo_cache")
    before = log.level
    yield
    log.setLevel(before)


def run(env: dict[str, str], *line: Any, given: bytes = b"") -> Result:
    return CliRunner(env=env).invoke(cli, [str(item) for item in line], input=given)


def start(env: dict[str, str], *line: Any, **options: Any) -> subprocess.Popen[bytes]:
    pipe = subprocess.PIPE
    command = [sys.executable, "-W", "error", "-m", "tmdb_mongo_cache", *map(str, line)]
    whole = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **env}
    return subprocess.Popen(command, env=whole, **{"stdin": pipe, "stdout": pipe, "stderr": pipe, **options})


def test_there_and_back(env: dict[str, str], films: int, collection: Any, tmp_path: Path) -> None:
    """What was exported is imported, once; the second time it is there already."""
    file = tmp_path / "films.jsonl"
    assert run(env, "export", file).output == "6 responses exported\n"
    collection.delete_many({})
    found = run(env, "import", file)
    assert (found.exit_code, found.stdout.split()[:2], found.stderr) == (0, ["6", "imported"], "")
    again = run(env, "import", file, "--json")
    assert json.loads(again.stdout) == {"imported": 0, "kept": 6, "skipped": 0, "refused": [], "unlisted": 0}
    found = run(env, "export", file, "--force", "--type", "tv", "--json")
    assert json.loads(found.stdout) == {"file": str(file), "exported": 1, "left_out": 0}


def test_left_out(
    env: dict[str, str], cache: TMDBCache, films: int, tmdb: StandIn, collection: Any, tmp_path: Path
) -> None:
    """What an import would refuse is counted, and why; it goes in where the settings name its host."""
    make_tmdbs_own(collection)
    with enabled(cache):
        for number in (1, 2):
            get(tmdb, "/3/search/movie", params={"query": str(number) * 600})
        tmdb.answer("/3/movie/99", status=301, headers={"Location": f"/3/movie/2?api_key={API_KEY}"}, body=b"moved")
        get(tmdb, "/3/movie/99")
    file = tmp_path / "films.jsonl"
    print([(e.key) for e in cache.entries()])
    print(run(env, "export", "-").stdout)
    less = {**env, "TMDB_CACHE_HOSTS": ""}
    found = run(less, "export", file)
    assert (found.exit_code, found.stdout) == (0, "6 responses exported\n")
    assert found.stderr.startswith("3 responses left out: it is not TMDB's")
    assert "TMDB_CACHE_HOSTS" in found.stderr
    found = run(less, "export", file, "--force", "--json")
    assert json.loads(found.stdout) == {"file": str(file), "exported": 6, "left_out": 3}
    assert found.stderr.startswith("3 responses left out: ")
    found = run(env, "export", file, "--force")
    assert (found.stdout, found.stderr) == ("9 responses exported\n", "")


def test_refused(env: dict[str, str], films: int, collection: Any, tmp_path: Path) -> None:
    """Bad lines are named with their numbers, the rest goes in, and the code is 1."""
    file = tmp_path / "films.jsonl"
    run(env, "export", file)
    collection.delete_many({})
    with file.open("a", encoding="utf-8") as opened:
        opened.write("[]\n" * 60)
    found = run(env, "import", file)
    assert (found.exit_code, collection.count_documents({})) == (1, 6)
    assert "line 8: not a JSON object\n" in found.stderr
    assert found.stderr.endswith("and 10 more lines (--json lists all of them)\n")
    refused = json.loads(run(env, "import", file, "--json").stdout)["refused"]
    assert (len(refused), refused[-1]) == (60, {"line": 67, "why": "not a JSON object"})


WRONG = [
    (["export", "{there}"], "exists"),
    (["export", "{folder}"], "is a directory"),
    (["export", "{folder}/none/x"], "cannot write"),
    (["export", "{folder}/x", "--type", "film"], "film"),
    (["export", "-", "--json"], "--json needs a file"),
    (["export"], "FILE"),
    (["import", "{there}"], "is not an export"),
    (["import", "{folder}/none"], "cannot read"),
    (["import", "{folder}"], "cannot read"),
    (["import", "-"], "standard input is empty"),
]


def test_wrong(env: dict[str, str], tmp_path: Path) -> None:
    """What goes wrong is one sentence, and nothing is written."""
    there = tmp_path / "there"
    there.write_text("mine\n", encoding="utf-8")
    for line, says in WRONG:
        found = run(env, *(item.format(there=there, folder=tmp_path) for item in line))
        if isinstance(found.exception, CacheError):
            assert says in str(found.exception)
        else:
            assert (found.exit_code, says in found.stderr) == (2, True), found.stderr
        assert found.stdout == ""
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
    assert there.read_text(encoding="utf-8") == "mine\n"


def test_by_a_pipe(env: dict[str, str], films: int, collection: Any) -> None:
    """A dash is standard output and standard input; a reader that has enough is no error."""
    exporting = start(env, "export", "-")
    whole, err = exporting.communicate(timeout=60)
    assert (exporting.returncode, len(whole.splitlines()), err) == (0, 7, b"6 responses exported\n")
    collection.delete_many({})
    found = run(env, "import", "-", given=whole)
    assert (found.exit_code, collection.count_documents({})) == (0, 6)
    with start(env, "export", "-") as exporting:
        assert exporting.stdout is not None
        assert exporting.stderr is not None
        exporting.stdout.close()
        err = exporting.stderr.read()
    assert (exporting.returncode, err) == (1, b"")


def test_streams_that_fail(env: dict[str, str], films: int, tmp_path: Path) -> None:
    """A disk that is full, and standard output or input that is closed, is one sentence."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    full = tmp_path / "full"
    with full.open("wb") as stream:
        done = start(env, "export", "-", stdout=stream, preexec_fn=limit)
        _, err = done.communicate(timeout=60)
    assert (done.returncode, full.stat().st_size) == (1, 1000)
    assert err.decode().endswith(f"cannot write to standard output: {os.strerror(errno.EFBIG)}\n")
    assert err.count(b"\n") == 1
    for command, number, code, says in (
        ("export", 1, 1, b"cannot write to standard output: it is closed\n"),
        ("import", 0, 2, b"tmdb-mongo-cache: standard input is empty, and not an export of tmdb-mongo-cache\n"),
    ):
        done = start(env, command, "-", preexec_fn=lambda number=number: os.close(number))
        _, err = done.communicate(timeout=60)
        first, *_ = err.splitlines(keepends=True)  # Python may have something to say of its own
        assert (done.returncode, first.endswith(says)) == (code, True)


def test_going_on_is_said(env: dict[str, str], films: int, tmp_path: Path) -> None:
    """Behind what an export goes on is said on standard error, whatever is on standard output."""
    file, part = tmp_path / "films.jsonl", tmp_path / "films.jsonl.part"
    run(env, "export", part)
    found = run(env, "export", file, "--json")
    assert found.stderr.startswith("resuming after 6 responses: the export was interrupted at 20")
    assert json.loads(found.stdout)["exported"] == 6


@pytest.mark.soak
def test_ctrl_c_and_kill(env: dict[str, str], stored: dict[str, Any], collection: Any, tmp_path: Path) -> None:
    """After Ctrl-C, and after a SIGKILL, the same command goes on; in the end all is there, to the byte."""
    del stored["_id"]
    stored["body"] = b'{"id": 1, "x": "' + b"x" * 20_000 + b'"}'
    keys = [f"{START}/3/movie/{number}" for number in range(5000, 15000)]
    labels = [{"_id": key, **stored, "tmdb_id": number} for number, key in enumerate(keys, start=5000)]
    collection.insert_many([{**label, "checksum": 0} for label in labels])
    file, once = tmp_path / "films.jsonl", tmp_path / "once.jsonl"
    part = tmp_path / "films.jsonl.part"
    sizes = []
    for number in (signal.SIGINT, signal.SIGKILL):
        exporting = start(env, "export", file)
        deadline, before = time.monotonic() + 60, sum(sizes[-1:])
        while (not part.exists() or part.stat().st_size < before + 1_000_000) and time.monotonic() < deadline:
            time.sleep(0.002)
        exporting.send_signal(number)
        _, err = exporting.communicate(timeout=60)
        sizes.append(part.stat().st_size)
        if number == signal.SIGINT:
            assert (exporting.returncode, b"to resume" in err) == (130, True)
    assert 0 < sizes[0] < sizes[1]
    found = run(env, "export", file, "--json")
    assert json.loads(found.stdout)["exported"] == 10_001
    run(env, "export", once)
    assert file.read_bytes() == once.read_bytes()
    for number in (signal.SIGINT, signal.SIGKILL):
        collection.delete_many({})
        importing = start(env, "import", file)
        while not collection.count_documents({}) and importing.poll() is None:
            time.sleep(0.002)
        importing.send_signal(number)
        out, err = importing.communicate(timeout=60)
        if number == signal.SIGINT:
            assert (importing.returncode, b"to resume" in err, b"imported" in out) == (130, True, True)
        assert 0 < collection.count_documents({}) < 10_001
        report = json.loads(run(env, "import", file, "--json").stdout)
        assert report["kept"] > 0
        assert report["imported"] + report["kept"] == collection.count_documents({}) == 10_001
        again = tmp_path / f"again-{number}.jsonl"
        run(env, "export", again)
        assert again.read_bytes() == once.read_bytes()
