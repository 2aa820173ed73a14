"""Which entries a write to TMDB invalidates (RFC 9111 section 4.4)."""

from __future__ import annotations

from typing import Any

import pytest

from tmdb_mongo_cache.core import recent_writes
from tmdb_mongo_cache.tmdb import endpoints
from tmdb_mongo_cache.tmdb.invalidation import is_unsafe, is_write, touched_by

TMDB = "https://api.themoviedb.org"
PROXY = "http://127.0.0.1:4000"
EPISODE = "/3/tv/1399/season/1/episode/2"


def covered(url: str, key: str) -> bool:
    """Say whether a write to an URL invalidates the entry with a key."""
    path = key[key.index("/3/") :].partition("?")[0].partition("#")[0]
    template, _, media_type, tmdb_id = endpoints.find(path)
    return any(item.holds(key, (template, media_type, tmdb_id)) for item in touched_by(url))


@pytest.mark.parametrize(
    ("url", "key"),
    [
        (f"{TMDB}/3/movie/550", "GET api.themoviedb.org/3/movie/550"),
        (f"{TMDB}/3/movie/550/rating", "GET api.themoviedb.org/3/movie/550"),
        (f"{TMDB}/3/movie/550/rating?api_key=x", "GET api.themoviedb.org/3/movie/550?language=de"),
        (f"{TMDB}/3/movie/550/rating", "GET http://api.themoviedb.org/3/movie/550"),
        (f"{TMDB}/3//movie/550//rating", "GET api.themoviedb.org/3/movie/550-fight-club"),
        (f"{TMDB}/3/movie/550-fight-club/rating", "GET api.themoviedb.org/3/movie/550"),
        (f"{TMDB}/3/movie/550/rating", "GET 127.0.0.1:4000/3/movie/550"),
        (f"{PROXY}/3/movie/550/rating", "GET api.themoviedb.org/3/movie/550"),
        (f"{TMDB}/3/movie/tt0137523/rating", "GET api.themoviedb.org/3/movie/tt0137523?language=de"),
        (f"{TMDB}/3/movie/tt0137523/rating", f"GET api.themoviedb.org/3/movie/tt0137523#{'0' * 64}"),
        (f"{TMDB}{EPISODE}/rating", f"GET api.themoviedb.org{EPISODE}"),
        (f"{TMDB}{EPISODE}/rating", "GET https://127.0.0.1:4000/3/tv/1399-thrones/season/1/episode/2?language=de"),
        (f"{TMDB}{EPISODE}/rating", f"GET http://127.0.0.1:4000{EPISODE}#{'0' * 64}"),
        (f"{TMDB}/3/odd/1", "GET api.themoviedb.org/3/odd/1?a=b"),
        (f"{PROXY}/3/odd/1", "GET 127.0.0.1:4000/3/odd/1"),
    ],
)
def test_invalidated(url: str, key: str) -> None:
    """The resource, and what a private one is part of: in every spelling, from every host that tells of the title."""
    assert covered(url, key)


@pytest.mark.parametrize(
    ("url", "key"),
    [
        (f"{TMDB}/3/movie/550/rating", "GET api.themoviedb.org/3/movie/55"),
        (f"{TMDB}/3/movie/550/rating", "GET api.themoviedb.org/3/movie/5500"),
        (f"{TMDB}/3/movie/550/rating", "GET api.themoviedb.org/3/movie/550/credits"),
        (f"{TMDB}/3/movie/550/rating", "GET api.themoviedb.org/3/tv/550"),
        (f"{TMDB}/3/movie/550/credits", "GET api.themoviedb.org/3/movie/550"),
        (f"{TMDB}{EPISODE}/rating", "GET api.themoviedb.org/3/tv/1399/season/1/episode/20"),
        (f"{TMDB}{EPISODE}/rating", "GET api.themoviedb.org/3/tv/1399/season/1"),
        (f"{TMDB}{EPISODE}/rating", "GET api.themoviedb.org/3/tv/1399"),
        (f"{TMDB}{EPISODE}/rating", "GET api.themoviedb.org/3/tv/13990/season/1/episode/2"),
        (f"{TMDB}/3/odd/1", "GET api.themoviedb.org/3/odd/10"),
        (f"{TMDB}/3/odd/1", "GET 127.0.0.1:4000/3/odd/1"),
        (f"{TMDB}/3/odd/1", "GET api.themoviedb.org/3/odd"),
        (f"{TMDB}/3/movie/tt0137523/rating", "GET api.themoviedb.org/3/movie/tt01375230"),
        (f"{TMDB}/3/search/movie", "GET api.themoviedb.org/3/search/movies"),
    ],
)
def test_left(url: str, key: str) -> None:
    """No other resource."""
    assert not covered(url, key)


@pytest.mark.parametrize(
    "url",
    [
        *(f"{TMDB}/3/list/5", f"{TMDB}/3/list/5/add_item", f"{TMDB}/3/account/1/favorite", f"{TMDB}/4/list"),
        *(f"{TMDB}/3/authentication/token/new", "no url", "", "ftp://api.themoviedb.org/3/movie/550"),
        f"{TMDB}/3/odd/0123456789abcdef0123456789abcdef",
        f"{TMDB}/3/movie/550/{'x' * 9000}",
    ],
)
def test_nothing(url: str) -> None:
    """What is private, may have a credential in it, or is of any length has no entries and is not remembered."""
    assert touched_by(url) == ()


def test_the_longest_path() -> None:
    """A path as long as the longest URL that is cached is looked at."""
    assert len(touched_by(f"{TMDB}/3/odd/{'x' * (8192 - 7)}")) == 1
    assert touched_by(f"{TMDB}/3/odd/{'x' * (8192 - 6)}") == ()


def test_how_much_is_touched() -> None:
    """A rating touches its film alone, a part of a film itself alone, an unknown part both."""
    assert [item.keys[0] for item in touched_by(f"{TMDB}/3/movie/550/rating")] == ["GET api.themoviedb.org/3/movie/550"]
    assert len(touched_by(f"{TMDB}/3/movie/550/credits")) == 1
    assert len(touched_by(f"{TMDB}/3/movie/550/new")) == 2


@pytest.mark.parametrize(
    ("method", "unsafe"),
    [
        *((method, False) for method in ("GET", "get", "HEAD", "OPTIONS", "TRACE", None, 5)),
        *((method, True) for method in ("POST", "delete", "PUT", "PATCH", "", "MERGE")),
    ],
)
def test_unsafe_methods(method: Any, unsafe: bool) -> None:
    """All methods but the safe ones of RFC 9110 may change something."""
    assert is_unsafe(method) is unsafe
    assert is_write(method, 200) is unsafe


@pytest.mark.parametrize(
    ("status", "wrote"),
    [*((status, True) for status in (200, 201, 204, 303, 399)), *((status, False) for status in (199, 400, 500, None))],
)
def test_writes_that_succeed(status: Any, wrote: bool) -> None:
    """An error has changed nothing."""
    assert is_write("POST", status) is wrote


def test_recent_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written to since a call began is known for two minutes."""
    clock = [1000.0]
    monkeypatch.setattr(recent_writes, "monotonic", lambda: clock[0])
    monkeypatch.setattr(recent_writes, "_recent", recent_writes._recent.copy())
    recent_writes._recent.clear()
    key, endpoint = "GET api.themoviedb.org/3/movie/550", endpoints.find("/3/movie/550")
    assert recent_writes.since(0.0, key, endpoint) is False
    recent_writes.note(touched_by(f"{TMDB}/3/movie/550/rating"))
    assert recent_writes.since(999.0, key, endpoint)
    assert recent_writes.since(1000.0, key, endpoint)
    assert not recent_writes.since(1000.5, key, endpoint)
    assert not recent_writes.since(999.0, "GET api.themoviedb.org/3/movie/551", endpoints.find("/3/movie/551"))
    assert recent_writes.since(999.0, "GET 127.0.0.1/3/movie/550-x", endpoint)
    clock[0] = 1120.0
    assert recent_writes.since(0.0, key, endpoint)
    clock[0] = 1120.5
    assert not recent_writes.since(0.0, key, endpoint)
