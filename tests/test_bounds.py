"""What is kept of an answer besides its body is bounded, and so is what is done with it."""

from __future__ import annotations

from typing import Any

import pytest

from tmdb_mongo_cache import TMDBCache, enabled
from tmdb_mongo_cache.core import memory
from tmdb_mongo_cache.integrations.requests.raw_response import codings_of
from tmdb_mongo_cache.standin import StandIn
from tmdb_mongo_cache.tmdb.invalidation import touched_by
from tmdb_mongo_cache.tmdb.redaction import LARGEST_HEADERS, are_storable

from .flowkit import get

LARGE: dict[str, dict[str, str]] = {
    "a name": {"X" * LARGEST_HEADERS: "x"},
    "a value": {"X": "x" * LARGEST_HEADERS},
    "many": {f"X-{number}": "x" * 100 for number in range(LARGEST_HEADERS // 100)},
}


@pytest.mark.parametrize("headers", LARGE.values(), ids=LARGE)
def test_large_headers_are_not_stored(headers: dict[str, str]) -> None:
    """Headers larger than any server's are not stored: a table of names that were seen would grow with them."""
    assert not are_storable(headers)


@pytest.mark.parametrize("headers", LARGE.values(), ids=LARGE)
def test_large_headers_are_not_served(
    cache: TMDBCache, tmdb: StandIn, collection: Any, headers: dict[str, str]
) -> None:
    """A document that somebody has written with such headers is none."""
    with enabled(cache):
        get(tmdb)
        collection.update_one({}, {"$set": {"headers": headers}})
        memory.forget_everything()
        assert not get(tmdb).from_cache
        assert get(tmdb).from_cache
    assert tmdb.count == 2


@pytest.mark.parametrize("codings", ["gzip, " * 5 + "gzip", "deflate," * 10_000])
def test_packed_again_and_again(codings: str) -> None:
    """A body is not packed more often than urllib3 would unpack it, whatever a header says."""
    assert codings_of({"Content-Encoding": codings.rstrip(",")}) == []
    assert codings_of({"Content-Encoding": "gzip, " * 4 + "gzip"}) == ["gzip"] * 5


def test_writes_to_endless_paths() -> None:
    """A write to a path of which nothing is ever kept is not remembered."""
    assert touched_by("https://api.themoviedb.org/3/movie/550/rating")
    assert touched_by(f"https://api.themoviedb.org/3/movie/550/{'x' * 9000}") == ()
