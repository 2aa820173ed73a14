"""Which header fields of a response are stored."""

from __future__ import annotations

import pytest

from tmdb_mongo_cache.httpcache.models import Hop
from tmdb_mongo_cache.httpcache.storable_headers import (
    exhausts_rate_limit,
    is_per_exchange,
    storable,
    with_storable_headers,
)

from ..entrykit import entry

PER_EXCHANGE = [
    # Of one connection (RFC 9110 section 7.6.1) or of the way through a proxy (RFC 9111 section 3.1).
    *("Connection", "Keep-Alive", "Proxy-Connection", "TE", "Trailer", "Transfer-Encoding", "Upgrade"),
    *("Proxy-Authenticate", "Proxy-Authentication-Info"),
    # Ids and sites of CDNs.
    *("X-Amz-Cf-Id", "X-Amz-Cf-Pop", "X-Amz-Id-2", "CF-Ray", "X-Served-By", "X-Timer"),
    # Traces: W3C Trace Context, B3, AWS.
    *("traceparent", "tracestate", "traceresponse", "b3", "X-Amzn-Trace-Id", "X-Trace-Id", "X-Correlation-ID"),
    *("X-Request-Id", "Request-Id", "x_request_id", "X.Request.Id", " CF-Ray "),
    # How long it took, and where to report errors.
    *("Server-Timing", "X-Runtime", "X-Response-Time", "NEL", "Report-To", "Reporting-Endpoints"),
    # Rate limits of one caller.
    *("RateLimit", "RateLimit-Policy", "X-RateLimit-Remaining", "X-Rate-Limit-Reset", "X_RateLimit_Used"),
    *("Retry-After", "X-Retry-After", "Retry-After-Ms", "X-Throttled", "X-Quota-Left"),
]
STORED = [
    *("Date", "Age", "Expires", "Via", "X-Cache", "Cache-Status", "Alt-Svc", "Strict-Transport-Security", "Server"),
    *("Vary", "Content-Type", "Content-Length", "ETag", "Cache-Control", "Last-Modified", "Link", "X-Memc", "b30"),
    *("X-Request-Id-Of", "X-Trace", "Connection-Kind", "Te-x", "Request", "Id"),
]


@pytest.mark.parametrize("name", PER_EXCHANGE)
def test_fields_about_one_exchange(name: str) -> None:
    """They are stored in no spelling, whatever else is there."""
    assert is_per_exchange(name)
    assert is_per_exchange(name.upper())
    assert storable({"Date": "x", name: "y"}) == {"Date": "x"}


@pytest.mark.parametrize("name", STORED)
def test_fields_about_the_response(name: str) -> None:
    """They are stored as they came."""
    assert not is_per_exchange(name)
    assert storable({name: "y", "X-Timer": "1"}) == {name: "y"}


def test_nothing_to_leave_out() -> None:
    """Headers without such fields are returned as they are, not copied."""
    headers = {"Date": "x", "Server": "y"}
    assert storable(headers) is headers


def test_what_connection_names() -> None:
    """Fields that Connection names are of this connection, too."""
    headers = {"Connection": "close, X-One ,x-TWO", "X-One": "1", "X-Two": "2", "X-Three": "3"}
    assert storable(headers) == {"X-Three": "3"}
    assert storable({"X-One": "1", "X-Three": "3"}) == {"X-One": "1", "X-Three": "3"}


def test_many_names() -> None:
    """However many and long the names are."""
    many = {f"X-{'a' * 100}-{number}": "1" for number in range(30)}
    assert storable({**many, "X-Timer": "1", "Date": "x"}) == {**many, "Date": "x"}


def test_an_entry_with_redirects() -> None:
    """All headers of an entry are looked at, those of its redirects too; nothing else of it changes."""
    hop = Hop("https://api.themoviedb.org/3/movie/1", 301, "Moved", {"Location": "/x", "CF-Ray": "1"}, b"")
    made = entry(history=(hop, hop))._replace(headers={"NEL": "x", "Date": "y"})
    found = with_storable_headers(made)
    assert found.headers == {"Date": "y"}
    assert [step.headers for step in found.history] == [{"Location": "/x"}] * 2
    assert found._replace(headers=made.headers, history=made.history) == made


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("X-RateLimit-Remaining", value) for value in ("0", "00", '"0"', " 0", "-1", "5, 0", "0, 5", "0;w=1")),
        *(("RateLimit", value) for value in ("limit=40, remaining=0, reset=5", '"default";r=0;t=5', "r = 0", "r=-0")),
        *(("ratelimit-policy", value) for value in ("a;remaining=0", 'remaining="0"', "REMAINING=0")),
        ("x_ratelimit_remaining_minute", "0"),
        ("X-Rate-Limit-Remaining", "0"),
    ],
)
def test_an_exhausted_rate_limit(name: str, value: str) -> None:
    """A response that says that no requests are left, in the forms of servers and drafts."""
    assert exhausts_rate_limit({"Date": "x", name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("X-RateLimit-Remaining", value) for value in ("1", "10", "0.5", "", "none", "5, 10", "x0", "a, x 0")),
        *(("RateLimit", value) for value in ("limit=40, remaining=1", "limit=0", "reset=0", "r=0.5", "or=0", "r=10")),
        *(("X-RateLimit-Reset", "0"), ("X-RateLimit-Used", "0"), ("X-Remaining", "0"), ("Retry-After", "0")),
    ],
)
def test_a_rate_limit_with_requests_left(name: str, value: str) -> None:
    """Every other number is no limit that is reached."""
    assert not exhausts_rate_limit({name: value})
