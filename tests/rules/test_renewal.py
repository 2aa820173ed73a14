"""Renewal: what becomes of an entry when TMDB says 304, and how an entry is made of a response."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tmdb_mongo_cache import CacheConfig
from tmdb_mongo_cache.core.entries import age_header, make_entry, renewed_entry
from tmdb_mongo_cache.httpcache.models import Entry, Reply
from tmdb_mongo_cache.tmdb.call import Call, classify
from tmdb_mongo_cache.tmdb.freshness import with_jitter

from ..entrykit import DAY, NOW

URL = "https://api.themoviedb.org/3/movie/550"
HEADERS = {"ETag": 'W/"a"', "Content-Type": "application/json", "Content-Length": "9", "Age": "500", "X-Old": "1"}


def call() -> Call:
    found = classify("GET", URL, {})
    assert found is not None
    return found


DAY_SPREAD = timedelta(seconds=with_jitter(DAY, call().key))


def entry(**changes: Any) -> Entry:
    made = Entry(
        key=call().key,
        status=200,
        reason="OK",
        headers=HEADERS,
        body=b'{"id":550}',
        timestamp=NOW - timedelta(days=3),
        expires_at=NOW - timedelta(days=2),
        purge_at=NOW + timedelta(days=5),
    )
    return made._replace(**changes)


def renew(found: Entry, headers: dict[str, str] | None = None, **config: Any) -> Entry:
    return renewed_entry(call(), CacheConfig(**config).policy, Reply(status=304, headers=headers or {}), found, NOW)


def test_a_304_makes_the_entry_fresh_again() -> None:
    """The time of freshness starts again; the fetch and the body stay what they were."""
    made = renew(entry())
    assert made.expires_at == NOW + DAY_SPREAD
    assert made.purge_at == NOW + DAY_SPREAD + timedelta(days=7)
    assert made.validated_at == NOW
    assert (made.timestamp, made.body, made.status) == (entry().timestamp, entry().body, 200)
    assert renew(entry(), expire_after=60).expires_at == NOW + timedelta(seconds=60)


@pytest.mark.parametrize("age", [179.5, 180, 200])
def test_no_304_prolongs_the_six_months(age: float) -> None:
    """An entry ends 180 days after its fetch, however often TMDB confirms it."""
    fetched = NOW - timedelta(days=age)
    made = renew(entry(timestamp=fetched), expire_after=-1, stale_if_error=True)
    assert made.expires_at <= made.purge_at <= fetched + timedelta(days=180)


def test_the_headers_of_a_304_replace_the_stored_ones() -> None:
    """What a 304 says again is stored, but for what is about a body or a cookie (RFC 9111 section 3.2)."""
    made = renew(
        entry(),
        {"etag": 'W/"b"', "Content-Length": "0", "Set-Cookie": "a=b", "Content-Encoding": "br"}
        | {"Transfer-Encoding": "chunked", "Content-Range": "bytes 0-1/2"},
    )
    found = {name.lower(): value for name, value in made.headers.items()}
    assert found == {"etag": 'W/"b"', "content-type": "application/json", "content-length": "9", "x-old": "1"}


def test_what_only_the_304_says_is_added() -> None:
    """A header that the response did not have is stored from the 304 on, beside those that it had."""
    made = renew(entry(), {"X-New": "2"})
    assert made.headers == {**{name: value for name, value in HEADERS.items() if name != "Age"}, "X-New": "2"}


@pytest.mark.parametrize(("headers", "age"), [({}, "0"), ({"Age": "7"}, "7")])
def test_a_304_starts_the_age_anew(headers: dict[str, str], age: str) -> None:
    """How old the response was when it first came is forgotten once TMDB has confirmed it."""
    assert age_header(entry(), NOW) == str(3 * 86400 + 500)
    assert age_header(renew(entry(), headers), NOW) == age


def test_with_cache_control_the_304_decides() -> None:
    """The max-age of the 304, and not the age of the first response, says how long the entry is fresh."""
    stored = entry(headers={**HEADERS, "Cache-Control": "max-age=100"})
    assert renew(stored, cache_control=True).expires_at == NOW + timedelta(seconds=100)
    told = renew(stored, {"Cache-Control": "max-age=50", "Age": "10"}, cache_control=True)
    assert told.expires_at == NOW + timedelta(seconds=40)


@pytest.mark.parametrize(("status", "seconds"), [(200, DAY_SPREAD.total_seconds()), (404, 3600)])
def test_an_entry_is_made_of_an_answer(status: int, seconds: float) -> None:
    """A new entry knows what it is about, when it came, how long it is fresh and when it goes."""
    reply = Reply(status=status, headers=HEADERS, body=b"{}", url=None)
    made = make_entry(call(), CacheConfig().policy, reply, {}, NOW)
    assert (made.key, made.status, made.body) == (call().key, status, b"{}")
    assert (made.tmdb_id, made.media_type, made.endpoint) == (550, "movie", "/3/movie/{movie_id}")
    assert made.timestamp == NOW
    assert made.expires_at == NOW + timedelta(seconds=seconds)
    assert made.purge_at == made.expires_at + timedelta(days=7)


@pytest.mark.parametrize(
    ("path", "tmdb_id"),
    [
        ("movie/tt0137523/credits", 7),
        ("tv/tt0137523/season/1", None),
        ("movie/550/credits", 550),
        ("genre/movie/list", None),
    ],
)
def test_what_an_entry_is_about(path: str, tmdb_id: int | None) -> None:
    """What was requested by a foreign id is about the id in its response, if nothing else in the path is one."""
    found = classify("GET", f"https://api.themoviedb.org/3/{path}", {})
    assert found is not None
    made = make_entry(found, CacheConfig().policy, Reply(status=200, body=b'{"id":7}'), {"id": 7}, NOW)
    assert made.tmdb_id == tmdb_id
