"""Expirations: how long a response is fresh, which setting says so, and the six months that nothing outlasts."""

from __future__ import annotations

import math
import re
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

import pytest
import requests_cache
from hypothesis import given, settings
from hypothesis import strategies as st

from tmdb_mongo_cache import CacheConfig
from tmdb_mongo_cache.core.policy import expiration_of, retention
from tmdb_mongo_cache.httpcache import expiration
from tmdb_mongo_cache.httpcache.cache_control import of_request, of_response
from tmdb_mongo_cache.httpcache.models import Reply
from tmdb_mongo_cache.tmdb.call import Request, classify
from tmdb_mongo_cache.tmdb.endpoints import CLASSES

from ..entrykit import NOW

DAY = 86400.0
MOVIE = Request(path="/3/movie/550", url="https://api.themoviedb.org/3/movie/550?api_key=", kind="details")


def lifetime(request: Request = MOVIE, status: int = 200, headers: dict[str, str] | None = None, **config: Any) -> Any:
    """Return for how many seconds a response that came now is fresh."""
    wanted = expiration_of(Reply(status=status, headers=headers or {}), request, CacheConfig(**config).policy, NOW)
    return (expiration.expires_at(wanted, NOW, NOW) - NOW).total_seconds()


def test_a_day_is_the_default() -> None:
    """Details and whatever is not known better are fresh for 24 hours, TMDB's 404 for one, whatever max-age says."""
    assert lifetime() == DAY
    assert lifetime(Request(kind="unknown")) == DAY
    assert lifetime(headers={"Cache-Control": "public, max-age=5"}) == DAY
    assert lifetime(status=404) == 3600
    assert lifetime(status=404, headers={"Cache-Control": "max-age=5"}) == 3600


@pytest.mark.parametrize(
    ("given_", "seconds"),
    [
        (60, 60),
        (0.5, 0.5),
        (0, 0),
        (timedelta(hours=2), 7200),
        (timedelta(0), 0),
        (NOW + timedelta(days=3), 3 * DAY),
        ((NOW + timedelta(days=3)).astimezone(timezone(timedelta(hours=9))), 3 * DAY),
        ((NOW + timedelta(days=3)).astimezone().replace(tzinfo=None), 3 * DAY),
        (NOW - timedelta(days=3), -3 * DAY),
        (-1, 180 * DAY),
        (-1.0, 180 * DAY),
        (math.inf, 180 * DAY),
        (timedelta.max, 180 * DAY),
        (timedelta(days=181), 180 * DAY),
        (timedelta(days=179), 179 * DAY),
        (NOW + timedelta(days=900), 180 * DAY),
        (datetime.max.replace(tzinfo=timezone.utc), 180 * DAY),
    ],
)
def test_an_expiration_may_be_written_as_in_requests_cache(given_: Any, seconds: float) -> None:
    """Seconds, timedelta, datetime, 0 and -1 mean what they mean there, up to six months."""
    assert lifetime(expire_after=given_) == seconds
    assert lifetime(urls_expire_after={"*": given_}) == seconds
    assert lifetime(expire_after={"details": given_}) == seconds
    assert lifetime(status=404, not_found_expire_after=given_) == seconds


def test_do_not_cache_is_requests_caches() -> None:
    """DO_NOT_CACHE is the constant of requests-cache, and stays what it is."""
    assert (requests_cache.NEVER_EXPIRE, requests_cache.EXPIRE_IMMEDIATELY) == (-1, 0)
    assert expiration.DO_NOT_CACHE == requests_cache.DO_NOT_CACHE
    assert expiration.normalise(requests_cache.DO_NOT_CACHE, "x") == requests_cache.DO_NOT_CACHE


def test_one_value_is_for_everything_and_a_mapping_for_single_classes() -> None:
    """A mapping changes the classes it names and leaves the others at their defaults."""
    assert {lifetime(Request(kind=kind), expire_after=60) for kind in CLASSES} == {60}
    some = {"details": timedelta(days=30), "search": 60}
    assert lifetime(MOVIE, expire_after=some) == 30 * DAY
    assert lifetime(Request(kind="search"), expire_after=some) == 60
    assert lifetime(Request(kind="unknown"), expire_after=some) == lifetime(Request(kind="unknown"))
    assert lifetime(Request(kind="trending"), expire_after={}) == lifetime(Request(kind="trending"))


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/3/movie/550", "details"),
        ("/3/movie/550/credits", "details"),
        ("/3/movie/popular", "lists"),
        ("/3/movie/latest", "latest"),
        ("/3/movie/changes", "changes"),
        ("/3/movie/550/changes", "changes"),
        ("/3/search/movie", "search"),
        ("/3/discover/tv", "discover"),
        ("/3/trending/all/day", "trending"),
        ("/3/configuration", "configuration"),
        ("/3/genre/tv/list", "configuration"),
        ("/3/tv/1399/season/1/episode/2", "details"),
        ("/3/certification/movie/list", "configuration"),
        ("/3/something/new", "unknown"),
    ],
)
def test_a_class_is_found_by_the_path(path: str, kind: str) -> None:
    """Every path belongs to one class; a literal segment goes before a parameter."""
    call = classify("GET", f"https://api.themoviedb.org{path}?language=de", {})
    assert call is not None
    assert call.endpoint.kind == call.request.kind == kind
    assert lifetime(call.request, expire_after={kind: 77}) == 77


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        ({"*/movie/*": 60}, 60),
        ({"api.themoviedb.org/3/movie": 60}, 60),
        ({"https://api.themoviedb.org/3/movie/550": 60}, 60),
        ({re.compile(r"/movie/\d+"): 60}, 60),
        ({"*/movie/*": 60, "*": 5}, 60),
        ({"*": 5, "*/movie/*": 60}, 5),
        ({"*/movie/*": 0}, 0),
        ({"*/tv/*": 60}, 900),
        ({re.compile(r"/tv/\d+"): 60}, 900),
        ({}, 900),
    ],
)
def test_a_url_pattern_beats_expire_after(patterns: dict[Any, Any], expected: float) -> None:
    """The first pattern that matches, as requests-cache matches, goes before expire_after, one value or a mapping."""
    assert lifetime(expire_after=900, urls_expire_after=patterns) == expected
    assert lifetime(expire_after={"details": 900}, urls_expire_after=patterns) == expected


def test_a_pattern_sees_the_url_without_its_credentials() -> None:
    """A pattern matches the URL with its params, but never a key in it."""
    call = classify("GET", "https://u:pw@api.themoviedb.org/3/movie/550?language=de&api_key=5ecre7c0ffee#x", {})
    assert call is not None
    assert lifetime(call.request, urls_expire_after={"*language=de*": 60}) == 60
    assert lifetime(call.request, urls_expire_after={"*5ecre7c0ffee*": 60, "*u:pw*": 60}) == DAY


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Cache-Control": "public, max-age=300"}, 300),
        ({"cache-control": "Public,MAX-AGE=300"}, 300),
        ({"Cache-Control": 'max-age="300"'}, 300),
        ({"Cache-Control": "max-age=300, s-maxage=200"}, 200),
        ({"Cache-Control": "max-age=300", "Age": "100"}, 200),
        ({"Cache-Control": "max-age=300", "Age": "400"}, 0),
        ({"Cache-Control": "max-age=300", "Age": "x"}, 300),
        ({"Cache-Control": "max-age=0"}, 0),
        ({"Cache-Control": "max-age=300", "Expires": "0"}, 300),
        ({"Expires": format_datetime(NOW + timedelta(seconds=50), usegmt=True)}, 50),
        ({"Expires": format_datetime(NOW - timedelta(seconds=50), usegmt=True)}, 0),
        ({"Expires": "0"}, 0),
        ({"Expires": "-1"}, 0),
        ({"Cache-Control": "max-age=99999999999999999999999"}, 180 * DAY),
        ({"Cache-Control": "max-age=-5"}, 900),
        ({"Cache-Control": "max-age"}, 900),
        ({"Cache-Control": "public"}, 900),
        ({}, 900),
    ],
)
def test_with_cache_control_tmdbs_headers_decide(headers: dict[str, str], expected: float) -> None:
    """With cache_control=True max-age less its age, or Expires, rules, over URL patterns too; else the settings do."""
    assert lifetime(headers=headers, cache_control=True, expire_after=900) == expected
    assert lifetime(headers=headers, cache_control=True, urls_expire_after={"*/movie/*": 900}) == expected
    assert lifetime(headers=headers, expire_after=900) == 900


@settings(max_examples=200, deadline=None)
@given(cache_control=st.text(max_size=30), age=st.text(max_size=30), expires=st.text(max_size=30))
def test_no_header_is_too_odd_to_read(cache_control: str, age: str, expires: str) -> None:
    """Whatever stands in a header, it is read without an exception, and means at least 0 seconds."""
    for said in (cache_control, f"max-age={age}", f"s-maxage={age}, {expires}"):
        found = of_response({"Cache-Control": said, "Age": age, "Expires": expires}, NOW)
        assert found.lifetime is None or found.lifetime >= 0
        of_request({"Cache-Control": said, "Pragma": expires})
        of_request({"Cache-Control": said.encode(), "Pragma": expires.encode()})
    assert of_response({"Cache-Control": "max-age=9", "Age": " " * 25 + "5"}, NOW).lifetime == 4
    assert of_response({"Expires": "Mon, 01 Jan 0001 00:00:00 +2359"}, NOW).lifetime == 0


@settings(max_examples=200, deadline=None)
@given(
    wanted=st.one_of(st.floats(0, 1e12), st.datetimes(timezones=st.just(timezone.utc)), st.just(math.inf)),
    stale=st.one_of(st.floats(0, 1e12), st.just(math.inf)),
    since=st.integers(0, 400 * 86400),
)
def test_nothing_is_fresh_or_kept_past_six_months_of_its_fetch(wanted: Any, stale: float, since: int) -> None:
    """However long it is to be fresh and stale, and however often validated, an entry ends 180 days after its fetch."""
    fetched = NOW - timedelta(seconds=since)
    expires = expiration.expires_at(wanted, fetched, NOW)
    purge = expiration.purge_at(expires, fetched, stale)
    assert expires <= purge <= fetched + timedelta(days=180)


def test_an_entry_is_purged_when_it_is_of_no_more_use() -> None:
    """The purge is the expiry and stale_if_error; a longer stale_while_revalidate keeps it longer."""
    expires = NOW + timedelta(days=1)
    assert expiration.purge_at(expires, NOW, 7 * DAY) == NOW + timedelta(days=8)
    assert expiration.purge_at(expires, NOW, 0) == expires
    assert retention(CacheConfig().policy) == 7 * DAY
    assert retention(CacheConfig(stale_if_error=5, stale_while_revalidate=60).policy) == 60


PATTERNS = [
    *("*", "api.themoviedb.org", "https://api.themoviedb.org/3/movie", "api.themoviedb.org/3/movie/*", "*/movie/*"),
    *("http://*/tv", "api.themoviedb.org/3/tv/1", "*.org", "[a-c]pi.*", "?pi.themoviedb.org/3/tv", "", "movie"),
    *(re.compile("movie/[0-9]+"), re.compile("^https"), re.compile("$"), re.compile("tv.*language")),
]


@pytest.mark.parametrize("pattern", PATTERNS, ids=str)
@pytest.mark.parametrize("path", ["/3/movie/550", "/3/movie/550/credits?language=de", "/3/tv/1?language=en", ""])
def test_a_pattern_means_what_it_means_in_requests_cache(pattern: str | re.Pattern[str], path: str) -> None:
    """A pattern of urls_expire_after matches the URLs that requests-cache matches with it."""
    url = f"https://api.themoviedb.org{path}"
    theirs = requests_cache.get_url_expiration(url, {pattern: 60})
    config = CacheConfig(urls_expire_after={pattern: 60})
    found = lifetime(Request(url, kind="details"), urls_expire_after=config.urls_expire_after)
    assert (found == 60) is (theirs == 60)


@pytest.mark.parametrize(
    ("value", "python"),
    [
        *(("1s", "timedelta(seconds=1)"), ("9m", "timedelta(minutes=9)"), ("2.5 h", "timedelta(hours=2.5)")),
        *(("3d", "timedelta(days=3)"), ("1w", "timedelta(weeks=1)"), ("7", "7")),
    ],
)
def test_how_the_environment_writes_it(value: str, python: str) -> None:
    """What would do in the environment is no value of Python's, and the error says what is."""
    for check in (expiration.normalise, expiration.normalise_setting, expiration.duration):
        with pytest.raises(ValueError, match=re.escape(f": in Python write {python}; ")):
            check(value, "x")


@pytest.mark.parametrize("value", ["x", "1y", "1.", "", "h", "-1h", "1 h h"])
def test_no_hint(value: str) -> None:
    """Of what is no time at all nothing more is said."""
    with pytest.raises(ValueError, match=r"not '[^']*'$"):
        expiration.normalise(value, "x")


@pytest.mark.parametrize("value", [NOW, 1j, None, b"1", expiration.DO_NOT_CACHE])
def test_no_duration(value: Any) -> None:
    """A length of time is no moment and no other thing; None, False and True are none and for ever."""
    if value is None:
        assert [expiration.duration(one, "x") for one in (None, False, True)] == [0.0, 0.0, math.inf]
    else:
        with pytest.raises(ValueError, match="x must be seconds"):
            expiration.duration(value, "x")


@pytest.mark.parametrize("value", [True, False])
def test_no_truth(value: bool) -> None:
    """A truth is no number of seconds."""
    for check in (expiration.normalise, expiration.normalise_setting):
        with pytest.raises(ValueError, match=f"x must be seconds, a timedelta or a datetime, not {value}"):
            check(value, "x")
