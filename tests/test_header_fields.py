"""What of an answer's headers is kept: not what speaks of one exchange; a live answer has it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
import requests_cache

from tmdb_mongo_cache import MongoBackend, TMDBCache, enabled
from tmdb_mongo_cache.httpcache import storable_headers
from tmdb_mongo_cache.standin import StandIn

from .flowkit import KEY, MOVIE, expire, get
from .transferkit import lines_of

pytestmark = pytest.mark.any_database

BODY = b'{"id": 550, "title": "x"}'
KEPT = {
    "Content-Type": "application/json;charset=utf-8",
    "Date": "Sun, 22 Nov 2026 10:00:00 GMT",
    "ETag": '"1"',
    "Cache-Control": "public, max-age=100",
    "Vary": "accept-encoding, Origin",
    "Server": "openresty",
    "Via": "1.1 abc.cloudfront.net (CloudFront)",
    "X-Cache": "Miss from cloudfront",
    "x-memc": "HIT",
    "Alt-Svc": 'h3=":443"; ma=86400',
    "Link": "<x>; rel=next",
    "X-Total-Count": "7",
    "X-Rating": "5",
    "X-Content-Type-Options": "nosniff",
}
GONE = {
    **{"RateLimit": '"default";r=50;t=30', "RateLimit-Policy": '"default";q=100;w=10', "RateLimit-Remaining": "3"},
    **{"X-RateLimit-Limit": "40", "X-RateLimit-Remaining": "39", "X-RateLimit-Reset": "1764201600"},
    **{
        "X-Rate-Limit-Remaining": "12",
        "x-rate-limit-reset": "9",
        "X_RateLimit_Used": "1",
        "X-App-RateLimit-Reset": "1",
    },
    **{"Retry-After": "120", "X-Retry-After": "3", "Retry-After-Ms": "120000", "X-Quota-Left": "5"},
    **{"Keep-Alive": "timeout=5", "Proxy-Connection": "keep-alive", "TE": "trailers", "Trailer": "X-Sum"},
    **{"Upgrade": "h2c", "Proxy-Authenticate": 'Basic realm="x"', "Proxy-Authentication-Info": "x"},
    **{"Connection": "keep-alive, X-Named,x-also-NAMED", "X-Named": "1", "X-Also-Named": "2"},
    **{
        "X-Amz-Cf-Id": "Ab_c==",
        "X-Amz-Cf-Pop": "FRA56-P5",
        "CF-RAY": "7-FRA",
        "X-Request-Id": "9f",
        "Request-Id": "|9f.",
    },
    **{"X-Amzn-Trace-Id": "Root=1", "traceparent": "00-1-2-01", "X-Correlation-ID": "1", "X-Timer": "S1.0,VS0,VE1"},
    **{"tracestate": "a=1", "traceresponse": "00-1-2-01", "b3": "1-2", "X-Trace-Id": "1", "X-Throttled": "no"},
    **{"X-Amz-Id-2": "a=", "X-Served-By": "cache-fra1", "X-Response-Time": "9ms", "Reporting-Endpoints": 'x="/r"'},
    **{"Server-Timing": "cdn-cache-miss", "X-Runtime": "0.1", "NEL": '{"max_age":1}', "Report-To": '{"group":"x"}'},
}


def names(response: Any) -> set[str]:
    """Return the names of a response's headers but for what the cache adds, and what the stand-in always sends."""
    return {name.lower() for name in response.headers} - {"age", "cache-status", "content-length"}


def lower(headers: Any) -> set[str]:
    return {name.lower() for name in headers}


@pytest.fixture(name="told")
def told_fixture(tmdb: StandIn) -> StandIn:
    """A stand-in that sends all these headers with its answer."""
    tmdb.answer(MOVIE, headers={**KEPT, **GONE}, body=BODY)
    return tmdb


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("memory_ttl", [0, 30])
def test_a_hit_has_what_speaks_of_the_answer(
    told: StandIn, make_cache: Callable[..., TMDBCache], memory_ttl: int, stream: bool
) -> None:
    """A live answer has all its headers, also when it is stored; a hit and its raw only those about the answer."""
    with enabled(make_cache(memory_ttl=memory_ttl)):
        live, hit = get(told, stream=stream), get(told, stream=stream)
    assert (live.from_cache, hit.from_cache, hit.content) == (False, True, BODY)
    assert names(live) == lower({**KEPT, **GONE})
    assert names(hit) == lower(KEPT)
    assert {name: hit.headers[name] for name in KEPT} == KEPT
    assert lower(live.raw.headers) >= lower(GONE)
    assert not lower(hit.raw.headers) & lower(GONE)


def test_documents_have_none_of_it(told: StandIn, cache: TMDBCache, collection: Any) -> None:
    """Nothing about one exchange is written to MongoDB."""
    with enabled(cache):
        get(told)
    assert lower(collection.find_one({"_id": KEY})["headers"]) - {"content-length"} == lower(KEPT)


def test_a_document_of_before(tmdb: StandIn, cache: TMDBCache, collection: Any) -> None:
    """What a document has of an exchange, for an older version wrote it, is not served, nor raw's, nor exported."""
    tmdb.answer(MOVIE, headers=KEPT, body=BODY)
    with enabled(cache):
        get(tmdb)
        collection.update_one({"_id": KEY}, {"$set": {"headers": {**KEPT, **GONE}}})
        hit = get(tmdb)
    assert hit.from_cache
    assert names(hit) == lower(KEPT)
    assert not lower(hit.raw.headers) & lower(GONE)


@pytest.mark.parametrize("old", [False, True])
def test_a_304(told: StandIn, cache: TMDBCache, collection: Any, old: bool) -> None:
    """After a 304 the stored headers are as new as it, and none of them is about an exchange: not that, nor another."""
    with enabled(cache):
        get(told)
        if old:
            collection.update_one({"_id": KEY}, {"$set": {"headers": {**KEPT, **GONE}}})
        expire(collection)
        told.answer(MOVIE, status=304, headers={**KEPT, **GONE, "Date": "Mon, 23 Nov 2026 10:00:00 GMT"})
        renewed, hit = get(told), get(told)
    assert (renewed.revalidated, hit.from_cache) == (True, True)
    for found in (renewed.headers, hit.headers, collection.find_one({"_id": KEY})["headers"]):
        assert lower(found) - {"age", "cache-status", "content-length"} == lower(KEPT)
        assert found["Date"].startswith("Mon, 23")


@pytest.mark.parametrize("fault", ["503", "429", "refuse"])
def test_served_stale(told: StandIn, cache: TMDBCache, collection: Any, fault: str) -> None:
    """An answer that stands in for a failing TMDB has none of it either."""
    with enabled(cache):
        get(told)
        expire(collection)
        told.fail(fault)
        assert names(get(told)) == lower(KEPT)


def test_redirects(told: StandIn, cache: TMDBCache, collection: Any, tmp_path: Path) -> None:
    """Nor have the redirects that led to an answer, served or exported."""
    told.answer("/3/movie/1", status=301, headers={**GONE, "Location": MOVIE, "Date": "x", "Server": "x"})
    with enabled(cache):
        live, hit = get(told, "/3/movie/1"), get(told, "/3/movie/1")
        assert names(live.history[0]) == lower([*GONE, "Location", "Date", "Server"])
        assert names(hit.history[0]) == {"location", "date", "server"}
        stored = collection.find_one({"history": {"$exists": True}})
        assert lower(stored["history"][0]["headers"]) - {"content-length"} == {"location", "date", "server"}
        collection.update_one({"_id": stored["_id"]}, {"$set": {"history.0.headers": {**GONE, "Location": MOVIE}}})
        assert names(get(told, "/3/movie/1").history[0]) == {"location"}
    cache.export_entries(tmp_path / "copy.jsonl")
    _, line = lines_of(tmp_path / "copy.jsonl")
    assert lower(line["history"][0]["headers"]) == {"location"}


def test_not_found(tmdb: StandIn, cache: TMDBCache) -> None:
    """The same holds for TMDB's 404."""
    body = b'{"success":false,"status_code":34,"status_message":"-"}'
    tmdb.answer(MOVIE, status=404, headers={**KEPT, **GONE}, body=body)
    with enabled(cache):
        live, hit = get(tmdb), get(tmdb)
    assert (live.status_code, hit.status_code, hit.from_cache) == (404, 404, True)
    assert (names(live), names(hit)) == (lower({**KEPT, **GONE}), lower(KEPT))


def test_files(told: StandIn, cache: TMDBCache, make_cache: Any, collection: Any, tmp_path: Path) -> None:
    """An export has none of it, also of documents that have; a file that has is taken without."""
    file = tmp_path / "copy.jsonl"
    with enabled(cache):
        get(told)
    collection.update_one({"_id": KEY}, {"$set": {"headers": {**KEPT, **GONE}}})
    cache.export_entries(file)
    header, line = lines_of(file)
    assert lower(line["headers"]) == lower(KEPT)
    line["headers"] = {**KEPT, **GONE}
    file.write_text(f"{json.dumps(header)}\n{json.dumps(line)}\n")
    other = make_cache(collection="other")
    assert other.import_entries(file).imported == 1
    assert lower(collection.database["other"].find_one()["headers"]) == lower(KEPT)


def test_mongo_backend(told: StandIn, mongo_uri: str, database: str, collection: Any, monkeypatch: Any) -> None:
    """A session of requests-cache on MongoBackend stores and serves none of it, and its live answer has all."""
    monkeypatch.setenv("TMDB_CACHE_HOSTS", told.host)
    with requests_cache.CachedSession(backend=MongoBackend(database, host=mongo_uri)) as session:
        live = get(told, session=session)
        assert lower(live.headers) >= lower(GONE)
        assert lower(collection.find_one({"_id": KEY})["headers"]) - {"content-length"} == lower(KEPT)
        collection.update_one({"_id": KEY}, {"$set": {"headers": {**KEPT, **GONE}}})
        hit = get(told, session=session)
        assert hit.from_cache
        assert lower(hit.headers) & lower({**KEPT, **GONE}) == lower(KEPT)


def film(url: str) -> int:
    """Fetch a film as clients do that obey the rate's headers; return at which attempt that was allowed."""
    for attempt in range(5):
        response = requests.get(url, timeout=5)
        if int(response.headers["X-RateLimit-Remaining"]) > 0:
            return attempt + 1
        time.sleep(0.01)
    return 0


def test_a_client_that_waits_as_it_is_told(tmdb: StandIn, cache: TMDBCache) -> None:
    """A client that is told to wait, waits and asks again, gets TMDB's word on it and not a stored one."""
    left = iter([0, 39, 38])
    tmdb.on_call = lambda _: tmdb.answer(MOVIE, headers={"X-RateLimit-Remaining": str(next(left))}, body=BODY)
    with enabled(cache):
        assert film(tmdb.url + MOVIE) == 2
        assert get(tmdb).from_cache
    assert tmdb.count == 2


@pytest.mark.parametrize(
    ("name", "value", "stored"),
    [
        *[("X-RateLimit-Remaining", value, False) for value in ("0", "00", "-1", "5, 0", "0, 5", "0;w=60")],
        *[("X-RateLimit-Remaining", value, True) for value in ("1", "10", "0.5", "", "x", "100", "5, 10")],
        *[
            (name, "0", False)
            for name in ("RateLimit-Remaining", "x-rate-limit-remaining", "X-RateLimit-Remaining-Minute")
        ],
        *[("RateLimit", value, False) for value in ("limit=9, remaining=0, reset=5", '"x";r=0;t=9', '"x"; R=0')],
        *[("RateLimit", value, True) for value in ("limit=10, remaining=10, reset=0", '"r";r=10;t=0', '"x";t=0')],
        *[("X-RateLimit-Reset", "0", True), ("X-Remaining", "0", True), ("Retry-After", "0", True)],
    ],
)
def test_what_tells_to_wait_is_not_stored(tmdb: StandIn, cache: TMDBCache, name: str, value: str, stored: bool) -> None:
    """An answer that says that no call is left within the rate is its caller's alone; any other is stored."""
    tmdb.answer(MOVIE, headers={"Content-Type": "application/json", name: value}, body=BODY)
    with enabled(cache):
        assert get(tmdb).headers[name] == value
        assert get(tmdb).from_cache is stored


def test_the_fields_of_one_connection() -> None:
    """Every field that the RFCs name for one connection or one proxy is in the list, by the field's own name."""
    named = "connection keep-alive proxy-connection te trailer transfer-encoding upgrade"
    assert {*named.split(), "proxy-authenticate", "proxy-authentication-info"} <= storable_headers.HOP_BY_HOP
    assert all(map(storable_headers.is_per_exchange, storable_headers.HOP_BY_HOP | storable_headers.OF_ONE_REQUEST))


def test_waiting_and_leaving_alone_go_by_the_live_header(tmdb: StandIn, make_cache: Any, collection: Any) -> None:
    """A Retry-After of a 429 is obeyed, though none is ever stored."""
    cache = make_cache(wait_on_rate_limit=True)
    limited = iter([429, 200])

    def answer(_: Any) -> None:
        status = next(limited)
        tmdb.answer(MOVIE, status=status, headers={"Retry-After": "1"}, body=BODY if status == 200 else b"{}")

    tmdb.on_call = answer
    started = time.monotonic()
    with enabled(cache):
        response = get(tmdb)
    assert time.monotonic() - started >= 0.9
    assert (response.status_code, response.headers["Retry-After"], tmdb.count) == (200, "1", 2)
    assert "Retry-After" not in collection.find_one({"_id": KEY})["headers"]
