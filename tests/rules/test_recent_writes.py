"""What this process has just written to TMDB: which responses may be older than that."""

from __future__ import annotations

import pytest

from tmdb_mongo_cache.core import recent_writes
from tmdb_mongo_cache.tmdb.endpoints import find
from tmdb_mongo_cache.tmdb.invalidation import touched_by

from .drive import KEY, PATH, URL

FILM = touched_by(f"{URL}/rating")
ABOUT = find(PATH)


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(recent_writes, "monotonic", clock)
    recent_writes._recent.clear()
    return clock


def test_a_response_requested_before_a_write_may_be_older(clock: Clock) -> None:
    """One that was requested afterwards is not, nor is any where nothing was written."""
    assert not recent_writes.since(999.0, KEY, ABOUT)
    recent_writes.note(FILM)
    assert recent_writes.since(999.0, KEY, ABOUT)
    assert recent_writes.since(1000.0, KEY, ABOUT)
    assert not recent_writes.since(1000.5, KEY, ABOUT)


@pytest.mark.parametrize(
    ("key", "path", "outdated"),
    [
        (KEY, PATH, True),
        (f"{KEY}?language=de", PATH, True),
        ("GET other.example/3/movie/550-fight-club", "/3/movie/550-fight-club", True),
        (f"{KEY}1", f"{PATH}1", False),
        ("GET api.themoviedb.org/3/tv/550", "/3/tv/550", False),
        ("GET api.themoviedb.org/3/movie/550/credits", f"{PATH}/credits", False),
    ],
)
def test_a_write_is_about_what_it_touches(clock: Clock, key: str, path: str, outdated: bool) -> None:
    """By its key, or by what its endpoint is about."""
    recent_writes.note(FILM)
    assert recent_writes.since(999.0, key, find(path)) is outdated


def test_one_write_may_touch_several_things(clock: Clock) -> None:
    recent_writes.note([*touched_by(f"{URL}1/rating"), *FILM])
    recent_writes.note(touched_by(f"{URL}2/rating"))
    for number in ("", "1", "2"):
        assert recent_writes.since(999.0, f"{KEY}{number}", find(f"{PATH}{number}"))


def test_a_write_is_forgotten(clock: Clock) -> None:
    """After two minutes, in which any call has ended."""
    recent_writes.note(FILM)
    clock.seconds += 120.0
    assert recent_writes.since(0.0, KEY, ABOUT)
    clock.seconds += 0.1
    assert not recent_writes.since(0.0, KEY, ABOUT)


def test_a_thousand_writes_are_remembered(clock: Clock) -> None:
    recent_writes.note(FILM)
    for number in range(999):
        recent_writes.note(touched_by(f"{URL}{number}/rating"))
    assert recent_writes.since(999.0, KEY, ABOUT)
    recent_writes.note(touched_by(f"{URL}1000/rating"))
    assert not recent_writes.since(999.0, KEY, ABOUT)
