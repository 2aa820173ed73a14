"""The Cache-Status header (RFC 9211), and what a result says with it."""

from __future__ import annotations

from typing import Any

import pytest

from tmdb_mongo_cache.httpcache.cache_status import cache_status
from tmdb_mongo_cache.httpcache.models import Reply
from tmdb_mongo_cache.httpcache.result import Result

from ..entrykit import NOW, entry


@pytest.mark.parametrize(
    ("given", "header"),
    [
        ({}, "tmdb-mongo-cache"),
        ({"hit": True, "ttl": 90, "detail": "memory"}, "tmdb-mongo-cache; hit; ttl=90; detail=memory"),
        ({"hit": True, "ttl": 0}, "tmdb-mongo-cache; hit; ttl=0"),
        ({"hit": True, "ttl": -1}, "tmdb-mongo-cache; hit; ttl=-1"),
        ({"fwd": "uri-miss", "stored": True}, "tmdb-mongo-cache; fwd=uri-miss; stored"),
        ({"fwd": "stale", "fwd_status": 304}, "tmdb-mongo-cache; fwd=stale; fwd-status=304"),
        ({"fwd": "uri-miss", "collapsed": True}, "tmdb-mongo-cache; fwd=uri-miss; collapsed"),
    ],
)
def test_members(given: dict[str, Any], header: str) -> None:
    """Each parameter of RFC 9211 is there where it applies, in its order."""
    assert cache_status(**given) == header


@pytest.mark.parametrize(
    ("result", "header"),
    [
        (Result(NOW, "hit", entry(90.9), where="memory"), "tmdb-mongo-cache; hit; ttl=90; detail=memory"),
        (Result(NOW, "hit", entry(-0.5), where="mongodb"), "tmdb-mongo-cache; hit; ttl=-1; detail=mongodb"),
        (Result(NOW, "stale", entry(-5), status="x; hit; fwd=stale"), "x; hit; fwd=stale"),
        (Result(NOW, "miss", reply=Reply(200), status="x; fwd=uri-miss"), "x; fwd=uri-miss"),
        (Result(NOW, "miss"), ""),
    ],
)
def test_of_a_result(result: Result, header: str) -> None:
    """A result has the status that was worked out for it; an entry that was served as it was found is a hit."""
    assert result.cache_status() == header


def test_a_result_by_default() -> None:
    """Unless it says so, a result was not stored, revalidated, served offline or the outcome of a failure."""
    result = Result(NOW, "miss")
    assert (result.entry, result.reply, result.stored, result.where) == (None, None, None, "")
    assert not any((result.revalidated, result.offline, result.failed))


def test_what_a_debugger_shows() -> None:
    """Of a reply it shows what is nobody's secret."""
    shown = repr(Reply(200, "OK", {"a": "s3cr3t"}, b"s3cr3t", url="https://s3cr3t", storable=False))
    assert shown == "Reply(status=200, storable=False)"


def test_a_reply_by_default() -> None:
    """Without more it is an empty response that nothing speaks against, over a verified connection."""
    reply = Reply(200)
    assert (reply.reason, dict(reply.headers), reply.body, reply.history) == ("", {}, b"", ())
    assert (reply.url, reply.error, reply.native, reply.credentials) == (None, None, None, frozenset())
    assert all((reply.storable, reply.verified, reply.redirects_verified, not reply.identifies_user))
