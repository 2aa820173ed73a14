"""The table of freshness by endpoint: every v3 path has its class, and every setting its place before the table."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tmdb_mongo_cache
from tmdb_mongo_cache import CacheConfig
from tmdb_mongo_cache.context import call_settings
from tmdb_mongo_cache.core.entries import make_entry, renewed_entry
from tmdb_mongo_cache.httpcache.models import Reply
from tmdb_mongo_cache.tmdb import endpoints, privacy
from tmdb_mongo_cache.tmdb.call import classify
from tmdb_mongo_cache.tmdb.freshness import TABLE, seconds_of, with_jitter

from ..entrykit import NOW, OK, entry

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
HOST = "https://api.themoviedb.org"
_STANDIN = Path(tmdb_mongo_cache.__file__).parent / "standin" / "shapes.json"
_REFERENCE = Path(__file__).parents[3] / "shared" / "reference" / "tmdb-openapi.json"
_UNDESCRIBED = {"/3/account", *(f"/3/movie/{{movie_id}}/{part}" for part in ("casts", "trailers", "releases"))}
_OPERATIONS = [operation.split(" ") for operation in json.loads(_STANDIN.read_text("utf-8"))["paths"]]
PATHS = sorted({path for _, path in _OPERATIONS} - _UNDESCRIBED)
_WORDS = {"external_id": "tt0137523", "time_window": "week", "credit_id": "a" * 24, "review_id": "b" * 24}
BY_CLASS = {
    "details": DAY,
    "others": DAY,
    "search": 6 * HOUR,
    "discover": 6 * HOUR,
    "lists": 6 * HOUR,
    "trending": 15 * MINUTE,
    "changes": 10 * MINUTE,
    "latest": MINUTE,
    "configuration": 7 * DAY,
}
BY_PATH = [
    (r"/3/(search|discover)/.*", 6 * HOUR),
    (r"/3/(movie|tv|person)/(popular|top_rated|upcoming|now_playing|airing_today|on_the_air)", 6 * HOUR),
    (r"/3/trending/.*", 15 * MINUTE),
    (r"/3/.*/changes", 10 * MINUTE),
    (r"/3/(movie|tv|person)/latest", MINUTE),
    (r"/3/(configuration|genre|certification)(/.*)?|/3/watch/providers/(movie|tv|regions)", 7 * DAY),
    (r"/3/(movie|tv|person|collection|company|network|keyword|credit|review|find)/.*", DAY),
]


def filled(path: str) -> str:
    """Return a path with values for its parameters."""
    return re.sub(r"\{(\w+)\}", lambda found: _WORDS.get(found[1], "7"), path)


def classes(path: str) -> list[str]:
    return [kind for kind, templates in endpoints.ENDPOINTS.items() for one in templates if one == path]


PUBLIC = [path for path in PATHS if classes(path)]
ONE_OF_EACH = {kind: filled(templates[-1]) for kind, templates in endpoints.ENDPOINTS.items()}


def life(path: str, own: Any = None, *, body: bytes = OK, status: int = 200, **config: Any) -> timedelta:
    """Return for how long a response to a call is fresh."""
    return life_with(path, {}, own, body=body, status=status, **config)


def life_with(
    path: str, headers: dict[str, str], own: Any = None, *, body: bytes = OK, status: int = 200, **config: Any
) -> timedelta:
    """Return the same for a response with headers; the same too where a 304 confirms it."""
    call = classify("GET", HOST + path, {})
    assert call is not None
    assert not call.bypass
    rules = CacheConfig(**config).policy._replace(**call_settings(expire_after=own))
    reply = Reply(status=status, headers=headers, body=body)
    made = make_entry(call, rules, reply, json.loads(body), NOW)
    old = made._replace(expires_at=NOW, purge_at=NOW)
    again = renewed_entry(call, rules, Reply(status=304), old, NOW)
    assert again.expires_at == made.expires_at
    return made.expires_at - NOW


def key(path: str) -> str:
    return f"GET api.themoviedb.org{path}"


def spread_life(seconds: float, path: str) -> timedelta:
    return timedelta(seconds=with_jitter(seconds, key(path)))


class TestPaths:
    def test_the_list(self) -> None:
        """The project's own list has TMDB's 148 paths."""
        assert len(PATHS) == 148
        assert {path for _, path in _OPERATIONS} >= _UNDESCRIBED

    @pytest.mark.skipif(not _REFERENCE.exists(), reason="the description of TMDB's API is not beside the checkout")
    def test_the_reference(self) -> None:
        """The list is that of TMDB's OpenAPI description, and so are the methods."""
        described = json.loads(_REFERENCE.read_text("utf-8"))["paths"]
        assert sorted(described) == PATHS
        methods = {(path, method.upper()) for path, found in described.items() for method in found}
        ours = {(path, method) for method, path in _OPERATIONS if path not in _UNDESCRIBED}
        assert {one for one in methods if one[1] in ("GET", "POST", "PUT", "DELETE")} == ours

    @pytest.mark.parametrize("path", PATHS)
    def test_one_class_or_private(self, path: str) -> None:
        """A path has exactly one class, or it is private; the private ones are those that privacy keeps out."""
        private = privacy.bypass_reason("GET", filled(path), False)
        assert len(classes(path)) == (0 if private else 1)
        assert endpoints.PRIVATE.count(path) == (1 if private else 0)
        found = endpoints.find(filled(path))
        expected = (None, "unknown") if private else (path, classes(path)[0])
        assert (found.template, found.kind) == expected

    def test_nothing_else(self) -> None:
        """The table names no path that TMDB does not have, and none twice."""
        named = Counter(path for templates in endpoints.ENDPOINTS.values() for path in templates)
        named.update(endpoints.PRIVATE)
        assert sorted(named.elements()) == PATHS

    @pytest.mark.parametrize("method", ["POST", "DELETE", "PUT", "HEAD"])
    def test_only_gets(self, method: str) -> None:
        """Whatever is no GET bypasses the cache, also to a path that has a class."""
        assert all(privacy.bypass_reason(method, filled(path), False) for path in PATHS)

    def test_the_query_changes_no_class(self) -> None:
        """A language, a page or something appended makes no other class, nor does a slash at the end."""
        for path in PUBLIC:
            for more in ("?language=de&page=2", "?append_to_response=images", "/"):
                call = classify("GET", HOST + filled(path) + more, {})
                assert call is not None
                assert call.request.kind == classes(path)[0]


class TestSeconds:
    def test_the_table(self) -> None:
        """Each class has the seconds that were decided, and each class of the paths has some."""
        assert dict(TABLE) == BY_CLASS
        assert set(TABLE) == set(endpoints.ENDPOINTS) == endpoints.CLASSES - {"unknown"}
        assert [seconds_of(kind) for kind in ("unknown", "", "detail")] == [DAY] * 3

    @pytest.mark.parametrize("path", PUBLIC)
    def test_each_path(self, path: str) -> None:
        """Each path gets the time that stands for it in the issue, spread where it is more than an hour."""
        seconds = next(seconds for pattern, seconds in BY_PATH if re.fullmatch(pattern, filled(path)))
        assert life(filled(path)) == spread_life(seconds, filled(path))
        if seconds <= HOUR:
            assert life(filled(path)) == timedelta(seconds=seconds)
        else:
            assert abs(life(filled(path)).total_seconds() / seconds - 1) <= 0.1

    @pytest.mark.parametrize("path", ["/3/something/new", "/3/movie/7/casts", "/3/movie/7/credits/more", "/3/awards"])
    def test_unknown(self, path: str) -> None:
        """A public path that TMDB gains later gets expire_after, or 24 hours."""
        assert life(path) == spread_life(DAY, path)
        assert life(path, expire_after=60) == timedelta(seconds=60)
        assert life(path, expire_after={"unknown": 60}) == timedelta(seconds=60)
        assert life(path, expire_after={"details": 60}) == spread_life(DAY, path)
        assert life(path, expire_after="adaptive", body=b'{"release_date": "1999-10-15"}') == spread_life(DAY, path)


class TestSettings:
    @pytest.mark.parametrize("path", [*ONE_OF_EACH.values(), "/3/something/new"])
    def test_one_value(self, path: str) -> None:
        """A single value is for every class."""
        assert life(path, expire_after=60) == timedelta(seconds=60)
        assert life(path, expire_after=30 * DAY) == spread_life(30 * DAY, path)
        assert life(path, expire_after=-1) == timedelta(days=180)

    @pytest.mark.parametrize("kind", sorted(endpoints.ENDPOINTS))
    def test_mapping(self, kind: str) -> None:
        """A mapping changes the class it names, and the others keep the table's."""
        for other, path in ONE_OF_EACH.items():
            expected = timedelta(seconds=77) if other == kind else spread_life(BY_CLASS[other], path)
            assert life(path, expire_after={kind: 77}) == expected
            assert life(path, expire_after={}) == spread_life(BY_CLASS[other], path)

    def test_urls_and_a_calls_own(self) -> None:
        """A URL pattern beats expire_after of any form, and a call's own value beats both."""
        for path in ONE_OF_EACH.values():
            for wanted in (None, 60, "adaptive", {"details": 60, "search": "adaptive"}):
                urls = {f"*{path}": 90}
                assert life(path, expire_after=wanted, urls_expire_after=urls) == timedelta(seconds=90)
                assert life(path, 30, expire_after=wanted, urls_expire_after=urls) == timedelta(seconds=30)
                elsewhere = {"*/3/elsewhere": 90}
                unchanged = life(path, expire_after=wanted)
                assert life(path, expire_after=wanted, urls_expire_after=elsewhere) == unchanged

    def test_not_found(self) -> None:
        """TMDB's 404 goes by a setting of its own, whatever the class."""
        for path in ONE_OF_EACH.values():
            assert life(path, status=404) == timedelta(hours=1)
            assert life(path, 60, status=404, expire_after="adaptive") == timedelta(hours=1)
            assert life(path, status=404, not_found_expire_after=DAY) == spread_life(DAY, path)


class TestSpread:
    @settings(max_examples=300, deadline=None)
    @given(seconds=st.floats(0, 1e12), key=st.text(st.characters(), max_size=80))
    def test_within_a_tenth(self, seconds: float, key: str) -> None:
        """An expiration moves by a tenth at most, always alike for a key, and not at all up to an hour."""
        found = with_jitter(seconds, key)
        assert found == with_jitter(seconds, key)
        assert abs(found - seconds) <= 0.1 * seconds + 1e-6
        if seconds <= HOUR:
            assert found == seconds

    def test_same_everywhere(self) -> None:
        """Every machine and every version moves a key's expiration by the same."""
        assert with_jitter(DAY, key("/3/movie/550")) == pytest.approx(81403.156, abs=0.001)
        assert with_jitter(DAY, key("/3/movie/550") + "\ud800") != with_jitter(DAY, key("/3/movie/550"))
        assert with_jitter(2 * DAY, key("/3/movie/550")) == pytest.approx(2 * 81403.156, abs=0.002)

    def test_borders(self) -> None:
        """Up to an hour and for ever are exact, a moment more than an hour is not."""
        assert [with_jitter(seconds, "x") for seconds in (0.0, 1.0, HOUR, math.inf)] == [0.0, 1.0, HOUR, math.inf]
        assert with_jitter(HOUR + 1, "x") != HOUR + 1

    def test_evenly(self) -> None:
        """Of a thousand films in a row only a few expire in the same minute, and no part of the time is left out."""
        times = [with_jitter(DAY, key(f"/3/movie/{number}")) for number in range(1, 1001)]
        assert max(Counter(int(time // MINUTE) for time in times).values()) <= 15  # 3.5 would be even
        tenths = Counter(int((time / DAY - 0.9) / 0.02) for time in times)
        assert sorted(tenths) == list(range(10))
        assert min(tenths.values()) >= 60
        assert sum(times) / len(times) == pytest.approx(DAY, rel=0.01)

    def test_a_library(self) -> None:
        """Two thousand responses that were fetched in one minute do not expire in one."""
        parts = ("", "/credits", "/images", "/videos")
        minutes = Counter(
            int(life(f"/3/movie/{number}{part}").total_seconds() // MINUTE) for number in range(500) for part in parts
        )
        assert sum(minutes.values()) == 2000
        assert max(minutes.values()) <= 25  # 7 would be even
        assert len(minutes) > 200

    @pytest.mark.parametrize("wanted", [HOUR, timedelta(minutes=59), 60, 0])
    def test_short_is_exact(self, wanted: Any) -> None:
        """An expiration of an hour or less is taken at its word, from whichever setting it comes."""
        path, exact = "/3/movie/550", wanted if isinstance(wanted, timedelta) else timedelta(seconds=wanted)
        assert life(path, expire_after=wanted) == exact
        assert life(path, expire_after={"details": wanted}) == exact
        assert life(path, urls_expire_after={"*": wanted}) == exact
        assert life(path, status=404, not_found_expire_after=wanted) == exact

    def test_exact(self) -> None:
        """Never, a moment, what a single call asks for and what TMDB's header says are taken at their word."""
        path, moment = "/3/movie/550", NOW + timedelta(days=20)
        assert life(path, expire_after=-1) == timedelta(days=180)
        assert life(path, expire_after=moment) == timedelta(days=20)
        assert life(path, moment, expire_after=60) == timedelta(days=20)
        assert life(path, DAY) == timedelta(days=1)
        assert life(path, timedelta(days=30), expire_after=60) == timedelta(days=30)
        assert life(path, -1) == timedelta(days=180)
        said = {"Cache-Control": "public, max-age=86400"}
        assert life_with(path, said, cache_control=True) == timedelta(days=1)
        assert life_with(path, said, cache_control=True, expire_after=-1) == timedelta(days=1)
        assert life_with(path, said) == spread_life(DAY, path)

    def test_spread_of_settings(self) -> None:
        """What settings for all calls say is spread, also the adaptive choice of a single call."""
        path, old = "/3/movie/550", b'{"release_date": "1999-10-15"}'
        thirty = spread_life(30 * DAY, path)
        assert thirty != timedelta(days=30)
        for wanted in (30 * DAY, timedelta(days=30), {"details": 30 * DAY}, "adaptive", {"details": "adaptive"}):
            assert life(path, body=old, expire_after=wanted) == thirty
        assert life(path, body=old, urls_expire_after={"*/movie/*": 30 * DAY}) == thirty
        assert life(path, body=old, urls_expire_after={"*/movie/*": "adaptive"}) == thirty
        assert life(path, "adaptive", body=old, expire_after=60) == thirty

    def test_six_months(self) -> None:
        """Spreading goes past the six months for no key and no expiration."""
        for number in range(200):
            for days in (165, 179, 180):
                assert life(f"/3/movie/{number}", expire_after=timedelta(days=days)) <= timedelta(days=180)
        assert {life(f"/3/movie/{n}", expire_after=timedelta(days=179)) for n in range(50)} != {timedelta(days=180)}
        rules = CacheConfig(expire_after=timedelta(days=170)).policy
        found = classify("GET", f"{HOST}/3/movie/550", {})
        assert found is not None
        old = entry(-1, age=100 * DAY)
        again = renewed_entry(found, rules, Reply(status=304), old, NOW)
        assert again.expires_at <= again.purge_at == old.timestamp + timedelta(days=180)

    def test_past_moment(self) -> None:
        """A moment that is past makes a response that is stale at once, and is not moved."""
        moment: datetime = NOW - timedelta(days=2)
        assert life("/3/movie/550", expire_after=moment) == timedelta(days=-2)
