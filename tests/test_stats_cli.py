"""``tmdb-mongo-cache stats``: the sums for people and for programs, and the picture."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tmdb_mongo_cache import ConfigError, TMDBCache, enabled
from tmdb_mongo_cache.cli.main import cli
from tmdb_mongo_cache.standin import StandIn

from .flowkit import get

NOTHING = """No calls of programs were counted in the last 1 day.
(Not counted: MongoBackend, statistics=False, programs that only make private calls. See ls.)
"""


@pytest.fixture
def stats(mongo_uri: str, database: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run the command on this test's database."""
    monkeypatch.setenv("TMDB_CACHE_URI", mongo_uri)
    monkeypatch.setenv("TMDB_CACHE_DATABASE", database)
    monkeypatch.setenv("COLUMNS", "80")
    return lambda *options: CliRunner().invoke(cli, ["stats", *options], catch_exceptions=True)


@pytest.fixture
def used(cache: TMDBCache, tmdb: StandIn) -> None:
    """A film that was asked for four times, and another once."""
    with enabled(cache):
        for _ in range(4):
            get(tmdb)
        get(tmdb, "/3/movie/603/credits")
    cache.close()


@pytest.mark.usefixtures("used")
def test_for_people(stats: Callable[..., Result]) -> None:
    """It says how many calls were saved, by day with a bar and by endpoint, in 80 columns."""
    done = stats()
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0] == "3 of 5 calls saved (60% of them)"
    assert "3 from MongoDB" in lines[1]
    assert any("█" in line and line.split()[1:3] == ["5", "3"] for line in lines)
    assert any(line.split() == ["/3/movie/{movie_id}", "4", "3", "0", "1", "75%"] for line in lines)
    assert any(line.split() == ["/3/movie/{movie_id}/credits", "1", "0", "0", "1", "0%"] for line in lines)
    assert max(map(len, lines)) <= 80


@pytest.mark.usefixtures("used")
def test_for_programs(stats: Callable[..., Result]) -> None:
    """--json has the total, every day and every endpoint, with stable names."""
    found = json.loads(stats("--json").stdout)
    assert sorted(found) == ["days", "endpoints", "total"]
    assert found["total"]["calls_saved"] == 3
    assert found["total"]["hit_ratio"] == 0.6
    assert found["days"][0]["day"].startswith("20")
    assert [row["endpoint"] for row in found["endpoints"]] == ["/3/movie/{movie_id}", "/3/movie/{movie_id}/credits"]


def test_nothing_yet(stats: Callable[..., Result]) -> None:
    """A cache that nobody has used says so, and exits with 0; --json is zeros."""
    done = stats("--days", "1")
    assert (done.exit_code, done.stdout) == (0, NOTHING)
    assert json.loads(stats("--json").stdout)["total"]["calls"] == 0


@pytest.mark.usefixtures("used")
@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_picture(stats: Callable[..., Result], tmp_path: Path, suffix: str) -> None:
    """--plot draws a picture where it is told to."""
    target = tmp_path / f"saved.{suffix}"
    assert str(target) in stats("--plot", str(target)).stdout
    start = target.read_bytes()[:8]
    assert start == b"\x89PNG\r\n\x1a\n" if suffix == "png" else start.startswith(b"<?xml")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--plot", "saved.txt"), "--plot takes a .png, .svg or .pdf file"),
        (("--plot", "/no/such/folder/saved.png"), "cannot write the plot to /no/such/folder/saved.png"),
        (("--days", "0"), "days must be a number of days"),
    ],
)
def test_mistakes(stats: Callable[..., Result], options: tuple[str, ...], text: str) -> None:
    """What cannot be done is a ConfigError with one sentence."""
    error = stats(*options).exception
    assert isinstance(error, ConfigError)
    assert text in str(error)
    assert "\n" not in str(error)


def test_mongodb_away(stats: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without MongoDB it is one sentence."""
    monkeypatch.setenv("TMDB_CACHE_URI", "mongodb://user:secret@127.0.0.1:9/?serverSelectionTimeoutMS=100")
    error: Any = stats().exception
    assert "does not answer" in str(error)
    assert "secret" not in str(error)
