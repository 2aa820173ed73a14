"""Responses: what is stored of what TMDB says, when the last good response stands in for it, and what is passed on."""

from __future__ import annotations

import gzip
import json
from datetime import timedelta
from typing import Any

import pytest
import requests

from tmdb_mongo_cache import CacheConfig
from tmdb_mongo_cache.core.policy import Policy, Verdict, judge
from tmdb_mongo_cache.httpcache.cache_control import of_request
from tmdb_mongo_cache.httpcache.expiration import DO_NOT_CACHE
from tmdb_mongo_cache.httpcache.models import Entry, Reply
from tmdb_mongo_cache.tmdb.call import Request, classify, storable_form

from ..entrykit import DAY, NOW, OK, entry

REQUEST = Request(path="/3/movie/550", url="https://api.themoviedb.org/3/movie/550", kind="details")
STORE, RENEW, AGAIN, STALE, PASS_ON = (
    Verdict.STORE, Verdict.RENEW, Verdict.FETCH_AGAIN, Verdict.SERVE_STALE, Verdict.PASS_ON
)  # fmt: skip


def expired(late: float = 60, **changes: Any) -> Entry:
    """Make an entry that expired so many seconds ago."""
    return entry(-late, 20 * DAY, **changes)


def reply(status: int = 200, body: Any = OK, **headers: str) -> Reply:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(status=status, headers={name.replace("_", "-"): value for name, value in headers.items()}, body=data)


def verdict(
    answer: Reply,
    found: Entry | None = None,
    rules: Policy | None = None,
    request: Request = REQUEST,
    *,
    validating: bool = False,
) -> Verdict:
    return judge(answer, request, found, rules or CacheConfig().policy, validating, NOW).verdict


def error(code: int, **more: Any) -> dict[str, Any]:
    return {"success": False, "status_code": code, "status_message": "…", **more}


@pytest.mark.parametrize("found", [None, expired(), expired(-60), expired(30 * DAY)])
@pytest.mark.parametrize("body", [OK, b"[{}]", b'\xef\xbb\xbf{"id":1}', b' {"success": true} ', b'{"id":1e400}'])
def test_a_good_answer_is_stored(found: Entry | None, body: bytes) -> None:
    """A 200 with an object or a list is stored, whatever was there before."""
    unknown = REQUEST._replace(path="/3/new")
    assert verdict(reply(200, body), found, request=REQUEST if body == OK else unknown) is STORE


@pytest.mark.parametrize("etag", [None, 'W/"a"', '"a"'])
def test_a_304_renews_the_entry(etag: str | None) -> None:
    """A 304 to our condition renews the entry; a weak and a strong tag are one (RFC 9110 section 8.8.3.2)."""
    answer = reply(304, b"", **({"ETag": etag} if etag else {}))
    assert verdict(answer, expired(), validating=True) is RENEW


def test_a_304_for_another_etag_is_no_renewal() -> None:
    """A 304 that speaks of another ETag than ours makes the call be made again without a condition."""
    assert verdict(reply(304, b"", ETag='W/"b"'), expired(), validating=True) is AGAIN


def test_a_304_that_nobody_asked_for_is_passed_on() -> None:
    """A 304 without a condition of ours is neither stored nor a renewal."""
    assert verdict(reply(304, b""), expired()) is PASS_ON
    assert verdict(reply(304, b"")) is PASS_ON


@pytest.mark.parametrize("code", [34, 6, 37])
@pytest.mark.parametrize("found", [None, expired()])
def test_tmdbs_404_is_stored(code: int, found: Entry | None) -> None:
    """A 404 in which TMDB says that there is no such thing is stored, in place of what there was."""
    assert verdict(reply(404, error(code)), found) is STORE
    assert verdict(reply(404, {"status_message": "…", "status_code": code, "success": False}), found) is STORE


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"34", error(7), error(22), {"status_code": "34"}, {}, b"{"])
@pytest.mark.parametrize("found", [None, expired()])
def test_another_404_is_passed_on(body: Any, found: Entry | None) -> None:
    """A 404 that is not TMDB's own word for "not found" is passed on and never stored."""
    assert verdict(reply(404, body), found) is PASS_ON


@pytest.mark.parametrize(
    ("status", "code"),
    [(401, 7), (401, 39), (403, 45), (400, 22), (400, 27), (422, 20), (405, 10), (410, 0)],
)
@pytest.mark.parametrize("found", [None, expired(), expired(-60)])
@pytest.mark.parametrize("headers", [{}, {"Cache_Control": "public, max-age=300", "ETag": 'W/"x"'}])
def test_a_401_and_other_4xx_are_passed_on(
    status: int, code: int, found: Entry | None, headers: dict[str, str]
) -> None:
    """A 4xx is the caller's to see and never stored, even where its headers invite to."""
    for cache_control in (False, True):
        rules = CacheConfig(cache_control=cache_control).policy
        assert verdict(reply(status, error(code), **headers), found, rules) is PASS_ON


@pytest.mark.parametrize("status", [201, 202, 203, 204, 206, 300, 301, 302, 307])
def test_other_statuses_are_passed_on(status: int) -> None:
    """Only a 200 and a 404 are ever stored."""
    assert verdict(reply(status), expired()) is PASS_ON


FAILURES = [
    *[reply(status, error(9)) for status in (429, 500, 502, 503, 504, 520, 599)],
    reply(429, error(25), Retry_After="1"),
    reply(503, b"<html>"),
    reply(200, b""),
    reply(200, b"<html>"),
    reply(200, b'{"id":1'),
    reply(200, gzip.compress(OK)),
    reply(200, b"\xff\xfe\xfa"),
    Reply(error=requests.ConnectionError()),
    Reply(error=requests.Timeout()),
]


@pytest.mark.parametrize("answer", FAILURES)
@pytest.mark.parametrize("validating", [True, False])
def test_when_tmdb_fails_the_last_good_answer_is_served(answer: Reply, validating: bool) -> None:
    """A 429, a 5xx, no connection, a time-out and a body that is no JSON are covered while stale_if_error lasts."""
    week = CacheConfig().policy
    assert verdict(answer, expired(), validating=validating) is STALE
    assert verdict(answer, expired(7 * DAY - 1), validating=validating) is STALE
    assert verdict(answer, expired(7 * DAY + 1), validating=validating) is PASS_ON
    assert verdict(answer, None) is PASS_ON
    assert verdict(answer, expired(etag=None)) is STALE
    for limit, late, expected in [
        (0, 1, PASS_ON),
        (False, 1, PASS_ON),
        (60, 59, STALE),
        (60, 61, PASS_ON),
        (True, 19 * DAY, STALE),
        (-1, 19 * DAY, STALE),
        (timedelta(days=19), 18 * DAY, STALE),
    ]:
        assert verdict(answer, expired(late), CacheConfig(stale_if_error=limit).policy) is expected
    assert verdict(answer, expired(-60), week._replace(refresh=True)) is STALE
    assert verdict(answer, expired(), week._replace(force_refresh=True)) is PASS_ON


@pytest.mark.parametrize("answer", FAILURES)
def test_the_caller_may_set_its_own_limit_for_a_failing_tmdb(answer: Reply) -> None:
    """Cache-Control: stale-if-error goes before the setting, and no-cache wants TMDB's own word."""
    for said, late, expected in [
        ("stale-if-error=30", 60, PASS_ON),
        ("stale-if-error=90", 60, STALE),
        ("stale-if-error=864000", 8 * DAY, STALE),
        ("no-cache", 60, PASS_ON),
    ]:
        ask = REQUEST._replace(directives=of_request({"Cache-Control": said}))
        assert verdict(answer, expired(late), request=ask) is expected


@pytest.mark.parametrize(
    "body",
    [
        error(21),
        error(40),
        {"status_message": "…", "success": False, "status_code": 11},
        {"success": False},
        {"status_code": 21, "status_message": "Entry not found."},
        b'"text"',
        b"7",
        b"null",
        b"true",
    ],
)
@pytest.mark.parametrize("found", [None, expired()])
def test_a_200_that_says_it_failed_is_passed_on(body: Any, found: Entry | None) -> None:
    """A 200 is no proof of success: what says that it failed, or is no object and no list, is never stored."""
    assert verdict(reply(200, body), found) is PASS_ON


@pytest.mark.parametrize("found", [None, expired()])
@pytest.mark.parametrize(
    ("query", "body", "expected"),
    [
        ("credits", {"id": 550, "credits": {}}, STORE),
        ("credits", {"id": 550, "credits": None}, STORE),
        ("credits", {"id": 550}, PASS_ON),
        ("credits,images", {"id": 550, "credits": {}}, PASS_ON),
        ("images,credits", {"id": 550, "credits": {}, "images": {}}, STORE),
        ("credits%2Cimages", {"id": 550, "images": {}}, PASS_ON),
        ("watch%2Fproviders", {"id": 550, "watch/providers": {}}, STORE),
        ("watch/providers", {"id": 550, "watch_providers": {}}, PASS_ON),
        (",credits,,", {"id": 550, "credits": {}}, STORE),
        ("", {"id": 550}, STORE),
        ("credits", [], PASS_ON),
    ],
)
def test_an_answer_without_what_was_appended_is_passed_on(
    query: str, body: Any, expected: Verdict, found: Entry | None
) -> None:
    """With append_to_response only a response that has every appended key is stored."""
    call = classify("GET", f"{REQUEST.url}?append_to_response={query}", {})
    assert call is not None
    assert verdict(reply(200, body), found, request=call.request) is expected


@pytest.mark.parametrize("status", [200, 404])
@pytest.mark.parametrize(
    "settings",
    [
        {"expire_after": DO_NOT_CACHE},
        {"expire_after": {"details": DO_NOT_CACHE}},
        {"urls_expire_after": {"*/movie/*": DO_NOT_CACHE}},
        {"urls_expire_after": {"*/movie/*": DO_NOT_CACHE}, "cache_control": True},
    ],
)
def test_do_not_cache_stores_nothing(status: int, settings: dict[str, Any]) -> None:
    """DO_NOT_CACHE, wherever it is set, keeps neither a response nor a 404, and serves none that was kept before."""
    rules = CacheConfig(**settings).policy
    answer = reply(status, OK if status == 200 else error(34), Cache_Control="max-age=60")
    assert verdict(answer, None, rules) is PASS_ON
    assert verdict(reply(500), expired(), rules) is PASS_ON
    assert verdict(reply(), None, CacheConfig(not_found_expire_after=DO_NOT_CACHE).policy) is STORE
    assert verdict(reply(404, error(34)), None, CacheConfig(not_found_expire_after=DO_NOT_CACHE).policy) is PASS_ON


SECRET = "5ecre7c0ffee5ecre7c0ffee"


@pytest.mark.parametrize("query", [f"api_key={SECRET}", f"request_token={SECRET}", "language=de"])
def test_what_is_kept_has_no_credential_and_no_cookie(query: str) -> None:
    """Headers that set a cookie or repeat a credential are not kept, and a body that repeats one is not either."""
    call = classify("GET", f"{REQUEST.url}?{query}", {"Authorization": f"Bearer {SECRET}"})
    assert call is not None
    headers = {
        "Set-Cookie": "a=b",
        "X-Echo": f"k={SECRET}",
        "Link": f"<{REQUEST.url}?api_key=other0ther>",
        "ETag": "x",
    }
    kept = storable_form(call, Reply(status=200, headers=headers, body=OK))
    assert kept.storable
    assert dict(kept.headers) == {"ETag": "x"}
    assert not storable_form(call, Reply(status=200, body=f'{{"you":"{SECRET}"}}'.encode())).storable
    assert verdict(Reply(status=200, body=OK, storable=False)) is PASS_ON
