"""Freshness: what is served, sent and kept, for every state an entry and every response that TMDB can be in."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tmdb_mongo_cache import CacheConfig
from tmdb_mongo_cache.core.policy import Policy, Step, decide, usable
from tmdb_mongo_cache.httpcache.cache_control import of_request
from tmdb_mongo_cache.httpcache.expiration import DO_NOT_CACHE
from tmdb_mongo_cache.httpcache.models import Entry, Hop
from tmdb_mongo_cache.httpcache.result import seconds_left
from tmdb_mongo_cache.tmdb.call import Request

from ..entrykit import DAY, ETAG, NOW, entry

MOVIE = Request("https://api.themoviedb.org/3/movie/550", "/3/movie/550", kind="details")


def asked(cache_control: str | bytes = "", pragma: str = "") -> Request:
    headers: dict[str, str | bytes] = {}
    if cache_control:
        headers["Cache-Control"] = cache_control
    if pragma:
        headers["Pragma"] = pragma
    return Request(
        path="/3/movie/550",
        url="https://api.themoviedb.org/3/movie/550",
        kind="details",
        directives=of_request(headers),
    )


def policy(**settings: Any) -> Policy:
    return CacheConfig(**settings).policy


def step(found: Entry | None, cache_control: str = "", pragma: str = "", rules: Policy | None = None) -> Step:
    return decide(found, asked(cache_control, pragma), rules or policy(), NOW)


SERVE, VALIDATE, FETCH, GIVE_UP, BEHIND = (
    Step.SERVE, Step.VALIDATE, Step.FETCH, Step.GIVE_UP, Step.SERVE_AND_REFRESH
)  # fmt: skip


@pytest.mark.parametrize(
    ("found", "cache_control", "expected"),
    [
        # Nothing from the caller: fresh is served, expired is asked about, missing is fetched.
        (entry(1), "", SERVE),
        (entry(0), "", VALIDATE),
        (entry(-1), "", VALIDATE),
        (entry(-1, etag=None), "", FETCH),
        (None, "", FETCH),
        (entry(-8 * DAY, 9 * DAY), "", VALIDATE),
        # RFC 9111 section 5.2.1
        (entry(100), "no-cache", VALIDATE),
        (entry(100), "No-Cache", VALIDATE),
        (entry(100, etag=None), "no-cache", FETCH),
        (None, "no-cache", FETCH),
        (entry(100), "only-if-cached", SERVE),
        (None, "only-if-cached", GIVE_UP),
        (None, "no-cache, only-if-cached", GIVE_UP),
        (entry(100), "max-age=0", VALIDATE),
        (entry(100, age=50), "max-age=49", VALIDATE),
        (entry(100, age=50), "max-age=51", SERVE),
        (entry(100, age=50), 'max-age="51"', SERVE),
        (entry(-5, age=50), "max-age=1000", VALIDATE),
        (entry(100, age=50), "max-age=nonsense", SERVE),
        (entry(100, age=50), "max-age=50", VALIDATE),
        (entry(100), "min-fresh=99", SERVE),
        (entry(100), "min-fresh=100", VALIDATE),
        (entry(100), "min-fresh=0", SERVE),
        (entry(100), "min-fresh=101", VALIDATE),
        (entry(100, etag=None), "min-fresh=101", FETCH),
        (entry(-50), "max-stale=51", SERVE),
        (entry(-50), "max-stale=50", VALIDATE),
        (entry(-50), "max-stale=49", VALIDATE),
        (entry(0), "max-stale=1", SERVE),
        (entry(-0.5), "max-stale=0", VALIDATE),
        (entry(-50), "max-stale", SERVE),
        (entry(-50), "max-stale=51, no-cache", VALIDATE),
        (entry(-50, age=150), "max-stale=51, max-age=1000", SERVE),
        (entry(-50, age=150), "max-stale=51, max-age=100", VALIDATE),
        (entry(100), "max-stale=51", SERVE),
        (None, "max-stale", FETCH),
        (entry(100), "something-else, x=1", SERVE),
        (entry(100), "", SERVE),
    ],
)
def test_what_the_caller_asks_of_the_cache_is_honoured(found: Entry | None, cache_control: str, expected: Step) -> None:
    """Fresh is served, expired is validated where it has an ETag, and the caller's Cache-Control goes before that."""
    assert step(found, cache_control) is expected


@pytest.mark.parametrize(
    ("left", "cache_control", "expected"),
    [
        (-50, "only-if-cached, max-stale=100", SERVE),
        (-50, "only-if-cached, max-stale", SERVE),
        (-50, "only-if-cached, max-stale=10", GIVE_UP),
        (-50, "only-if-cached", GIVE_UP),
        (100, "only-if-cached, no-cache", GIVE_UP),
        (100, "only-if-cached, max-age=10", GIVE_UP),
        (100, "only-if-cached, min-fresh=200", GIVE_UP),
        (100, "only-if-cached", SERVE),
        (100, "only-if-cached, max-age=1000", GIVE_UP),
    ],
)
def test_only_if_cached_goes_with_the_other_directives(left: float, cache_control: str, expected: Step) -> None:
    """only-if-cached serves what the other directives would have served, and nothing else when stale_if_error is 0."""
    assert step(entry(left), cache_control, rules=policy(stale_if_error=0)) is expected


@pytest.mark.parametrize("cache_control", ["max-age=10", "min-fresh=200"])
def test_only_if_cached_keeps_to_the_callers_limits(cache_control: str) -> None:
    """An entry that is fresh but too old for the caller does not serve only-if-cached, whatever stale_if_error is."""
    assert step(entry(100), f"only-if-cached, {cache_control}") is GIVE_UP


@pytest.mark.parametrize("cache_control", ["max-age=10", "min-fresh=1", "max-stale=1"])
def test_only_if_cached_with_a_limit_is_not_content_with_stale(cache_control: str) -> None:
    """What would stand in for a failing TMDB answers only-if-cached, but not where the caller names a limit."""
    assert step(entry(-50), "only-if-cached") is SERVE
    assert step(entry(-50), f"only-if-cached, {cache_control}") is GIVE_UP


def test_what_is_not_to_be_cached_is_not_served() -> None:
    """An entry of what the settings do not let be kept is none, fresh as it may be."""
    settings: dict[str, Any] = {"expire_after": DO_NOT_CACHE}
    assert step(entry(100), rules=policy(**settings)) is FETCH
    assert step(entry(100), "only-if-cached", rules=policy(**settings)) is GIVE_UP
    assert step(entry(100), rules=policy(**settings, offline=True)) is GIVE_UP


def test_pragma_counts_only_without_cache_control() -> None:
    """Pragma: no-cache is Cache-Control: no-cache for callers of old, and nothing beside Cache-Control."""
    assert step(entry(), "", "no-cache") is VALIDATE
    assert step(entry(), "max-age=5000", "no-cache") is SERVE
    assert step(entry(), "", "something") is SERVE


def test_the_age_that_an_answer_arrived_with_counts() -> None:
    """A response that was 500 s old when it came is too old for max-age=400 (RFC 9111 section 4.2.3)."""
    found = entry(100, age=1, headers={"Age": "500", "ETag": ETAG})
    assert step(found, "max-age=400") is VALIDATE
    assert step(found, "max-age=600") is SERVE


def test_age_counts_from_the_last_validation() -> None:
    """An old response that TMDB confirmed a second ago is a second old."""
    found = entry(100, age=5000, validated_at=NOW - timedelta(seconds=1))
    assert step(found, "max-age=10") is SERVE
    assert found.age(NOW) == timedelta(seconds=1)
    assert entry(age=-50).age(NOW) == timedelta(0)


@pytest.mark.parametrize(
    ("found", "changes", "expected"),
    [
        (entry(100), {"refresh": True}, VALIDATE),
        (entry(100, etag=None), {"refresh": True}, FETCH),
        (None, {"refresh": True}, FETCH),
        (entry(100), {"force_refresh": True}, FETCH),
        (entry(-5), {"force_refresh": True}, FETCH),
        (entry(100), {"only_if_cached": True}, SERVE),
        (entry(-5), {"only_if_cached": True}, SERVE),
        (entry(-8 * DAY), {"only_if_cached": True}, GIVE_UP),
        (None, {"only_if_cached": True}, GIVE_UP),
        (entry(100), {"offline": True}, SERVE),
        (entry(-5), {"offline": True}, SERVE),
        (entry(-30 * DAY, 31 * DAY), {"offline": True}, SERVE),
        (entry(100), {"offline": True, "force_refresh": True}, SERVE),
        (None, {"offline": True}, GIVE_UP),
        (None, {"offline": True, "refresh": True}, GIVE_UP),
        (entry(-5), {"stale_while_revalidate": 10.0}, BEHIND),
        (entry(0), {"stale_while_revalidate": 10.0}, BEHIND),
        (entry(-10), {"stale_while_revalidate": 10.0}, VALIDATE),
        (entry(-15), {"stale_while_revalidate": 10.0}, VALIDATE),
        (entry(5), {"stale_while_revalidate": 10.0}, SERVE),
        (entry(-5), {"stale_while_revalidate": 10.0, "refresh": True}, VALIDATE),
        (entry(-5), {"stale_while_revalidate": 10.0, "force_refresh": True}, FETCH),
        (entry(100, age=50), {"call_expire_after": 40.0}, VALIDATE),
        (entry(100, age=50), {"call_expire_after": 50.0}, VALIDATE),
        (entry(100, age=50), {"call_expire_after": 60.0}, SERVE),
        (entry(100, age=50), {"call_expire_after": NOW}, VALIDATE),
        (entry(100, age=50), {"call_expire_after": 0.0}, VALIDATE),
        (entry(100, age=50), {"call_expire_after": NOW - timedelta(seconds=1)}, VALIDATE),
        (entry(100, age=50), {"call_expire_after": NOW + timedelta(seconds=1)}, SERVE),
        (entry(-5), {"call_expire_after": 5000.0}, VALIDATE),
    ],
)
def test_the_settings_of_a_call_decide(found: Entry | None, changes: dict[str, Any], expected: Step) -> None:
    """Refresh, force_refresh, only_if_cached, offline, stale_while_revalidate and expire_after do what they say."""
    assert step(found, rules=policy()._replace(**changes)) is expected


@pytest.mark.parametrize("headers", [{"Cache-Control": "no-cache"}, {"cache-control": 'public, no-cache="x"'}])
def test_no_cache_of_the_answer_counts_only_with_cache_control(headers: dict[str, str]) -> None:
    """A response that says no-cache is validated each time when cache_control is on, and served when it is off."""
    found = entry(100, headers={**headers, "ETag": ETAG})
    assert step(found, rules=policy(cache_control=True)) is VALIDATE
    assert step(found) is SERVE


@pytest.mark.parametrize(
    ("found", "is_usable"),
    [
        (entry(-5), True),
        (entry(-5, purge_at=NOW), False),
        (entry(-5, purge_at=NOW - timedelta(seconds=1)), False),
        (entry(5, age=181 * DAY, purge_at=NOW + timedelta(days=900)), False),
        (entry(5, age=179 * DAY), True),
        (entry(5, age=180 * DAY, purge_at=NOW + timedelta(days=900)), False),
        (entry(5, age=180 * DAY - 1, purge_at=NOW + timedelta(days=900)), True),
        (entry(5000, age=-900), True),
        (entry(5000, age=-901), False),
        (entry(5000, validated_at=NOW + timedelta(seconds=900)), True),
        (entry(5000, validated_at=NOW + timedelta(seconds=901)), False),
    ],
)
def test_nothing_is_used_past_its_purge_or_after_six_months(found: Entry, is_usable: bool) -> None:
    """What is to be deleted is as good as deleted, and six months after the fetch every entry is."""
    assert (usable(found, asked(), NOW) is found) == is_usable
    assert usable(None, asked(), NOW) is None


def test_an_answer_behind_a_redirect_is_for_callers_that_follow_them() -> None:
    """A caller with allow_redirects=False does not get what another one was redirected to."""
    found = entry(history=(Hop("https://api.themoviedb.org/3/x", 301, "Moved", {}, b""),))
    assert usable(found, asked(), NOW) is found
    assert usable(found, asked()._replace(follows_redirects=False), NOW) is None


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (entry(100, age=-2), SERVE),
        (entry(100, age=-2.1), VALIDATE),
        (entry(100, age=-60, validated_at=NOW), SERVE),
        (entry(100, validated_at=NOW + timedelta(seconds=2)), SERVE),
        (entry(100, validated_at=NOW + timedelta(seconds=2.1)), VALIDATE),
    ],
)
def test_what_is_to_come_is_not_fresh(found: Entry, expected: Step) -> None:
    """What was fetched, or last confirmed, more than two seconds from now is not fresh."""
    assert step(found) is expected


@pytest.mark.parametrize(
    ("late", "limit", "expected"), [(9, 10, SERVE), (10, 10, GIVE_UP), (0, 10, SERVE), (0, 0, GIVE_UP)]
)
def test_what_stands_in_does_so_for_less_than_its_limit(late: float, limit: float, expected: Step) -> None:
    """An entry stands in from the moment of its expiry on, for less than stale_if_error."""
    assert step(entry(-late), "only-if-cached", rules=policy(stale_if_error=limit)) is expected


def test_seconds_left_is_floored() -> None:
    """The ttl of an entry is whole seconds, negative as soon as it is stale."""
    assert [seconds_left(entry(left), NOW) for left in (1.9, 0.5, 0, -0.5, -2)] == [1, 0, 0, -1, -2]
