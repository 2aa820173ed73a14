"""What is known of TMDB, as its documentation has it."""

from __future__ import annotations

import re

import pytest

from tmdb_mongo_cache.core.settings import LEASE, Policy
from tmdb_mongo_cache.tmdb import credentials, hosts, rate_limit
from tmdb_mongo_cache.tmdb.cache_key import END, FIRST, OF_TMDB_ITSELF
from tmdb_mongo_cache.tmdb.call import classify
from tmdb_mongo_cache.tmdb.public_values import is_public
from tmdb_mongo_cache.tmdb.url_patterns import matches
from tmdb_mongo_cache.tmdb.urls import is_tmdb, split

KEY = "GET api.themoviedb.org/3/movie/550"

PARAMS = """
air_date.gte air_date.lte certification certification.gte certification.lte certification_country confirm country
end_date external_source first_air_date.gte first_air_date.lte first_air_date_year include_adult
include_image_language include_null_first_air_dates include_video include_video_language language movie_id page
primary_release_date.gte primary_release_date.lte primary_release_year query region release_date.gte release_date.lte
screened_theatrically sort_by start_date timezone vote_average.gte vote_average.lte vote_count.gte vote_count.lte
watch_region with_cast with_companies with_crew with_genres with_keywords with_networks with_origin_country
with_original_language with_people with_release_type with_runtime.gte with_runtime.lte with_status with_type
with_watch_monetization_types with_watch_providers without_companies without_genres without_keywords
without_watch_providers year
"""


@pytest.mark.parametrize("name", PARAMS.split())
def test_documented_params(name: str) -> None:
    """A value of a param of TMDB's own is no token, however long and odd it is; of any other one it may be."""
    for param, is_cached in ((name, True), (f"{name}x", False)):
        call = classify("GET", f"https://api.themoviedb.org/3/discover/movie?{param}=Ab1-Cd2-Ef3-Gh4-Ij5-Kl6-Mn7", {})
        assert call is not None
        assert bool(call.key) is is_cached


def test_hosts_and_limits() -> None:
    """TMDB's address, and what it allows one address: 20 connections and 40 requests a second, of which half."""
    assert hosts.BASE_URL == "https://api.themoviedb.org"
    assert {"api.themoviedb.org", "api.tmdb.org"} == hosts.OWN_HOSTS
    assert (rate_limit.MAX_CONNECTIONS, rate_limit.DEFAULT_RATE) == (20, 20.0)


@pytest.mark.parametrize(
    ("url", "hosts", "is_it"),
    [
        *((f"{scheme}://{host}/3/x", set(), True) for scheme in ("http", "https") for host in sorted(hosts.OWN_HOSTS)),
        *((f"https://api.tmdb.org:{port}/3/x", set(), port in (80, 443)) for port in (80, 443, 81, 8443)),
        *((f"http://127.0.0.1:{port}/", {"127.0.0.1:81"}, port == 81) for port in (80, 81, 443)),
        *((f"http://127.0.0.1:{port}/", {"127.0.0.1"}, True) for port in (80, 81, 443)),
        ("http://[::1]:81/", {"[::1]:81"}, True),
        ("http://[::1]:81/", {"::1"}, False),
        ("https://API.TheMovieDB.org./3/x", set(), True),
        *((f"https://{host}/3/x", set(), False) for host in ("themoviedb.org", "api.themoviedb.org.example", "x")),
    ],
)
def test_which_hosts(url: str, hosts: set[str], is_it: bool) -> None:
    """TMDB's own hosts at the ports of the web, and those of the setting, at their port or at any."""
    target = split(url)
    assert target is not None
    assert is_tmdb(target, frozenset(hosts)) is is_it


@pytest.mark.parametrize(
    "url",
    ["ftp://api.themoviedb.org/3/x", "https:///3/x", "/3/x", "", None, b"", "https://x:y/", "https://[/", "s://x"],
)
def test_no_host(url: str | bytes | None) -> None:
    """What has no scheme of the web, or no host, goes nowhere."""
    assert split(url) is None


def test_ranges_of_keys() -> None:
    """All keys are between these, and all of TMDB itself in these ranges."""
    others = ["GET http://127.0.0.1/3/x", "GET api.themoviedb.org.example/3/x", "GET https://api.themoviedb.org:1/3/x"]
    for key in (KEY, f"GET http{KEY[3:]}", *others):
        assert FIRST <= key < END
    for key in (KEY, "GET http://api.themoviedb.org/3/movie/550"):
        assert sum(first <= key < end for first, end in OF_TMDB_ITSELF) == 1
    for key in (*others, "GET api.themoviedb.org:80/3/x", "change feed", "GET"):
        assert not any(first <= key < end for first, end in OF_TMDB_ITSELF)
    assert not any(FIRST <= key < END for key in ("GET", "GETx", "PUT x", "change feed", "get x"))


@pytest.mark.parametrize("value", ["poster_path", "POSTER", "max-age", "public", "application/json", "connection"])
def test_public_values(value: str) -> None:
    """A value that is a word of every response is not looked for, as a cookie may be one."""
    assert is_public(value)
    assert credentials.of_headers({"Cookie": f"a={value}"}) == frozenset()


@pytest.mark.parametrize("value", ["poster_pathx", "s3cr3t-value", "action\nair_date", "youtube_idapplication"])
def test_other_values(value: str) -> None:
    """Any other one is."""
    assert is_public(value) is (value == "action\nair_date")
    assert credentials.of_headers({"Cookie": f'a="{value}"'}) == ({value} if value.isprintable() else set())


@pytest.mark.parametrize(
    ("pattern", "url", "found"),
    [
        ("api.themoviedb.org/3/movie", "https://api.themoviedb.org/3/movie/550", True),
        ("https://api.themoviedb.org/3/movie", "http://api.themoviedb.org/3/movie/550", True),
        ("*/movie/*", "https://api.themoviedb.org/3/movie/550/credits", True),
        ("*/movie/***", "https://api.themoviedb.org/3/movie/550/credits", True),
        ("*/movie/550", "https://api.themoviedb.org/3/movie/550?language=de", True),
        ("movie", "https://api.themoviedb.org/3/movie/550", False),
        ("tv/x", "https://api.themoviedb.org/3/movie/550?from=http://tv/x", True),
        ("*/movie/X", "https://api.themoviedb.org/3/movie/550", False),
        ("*/tv/*", "https://api.themoviedb.org/3/movie/550", False),
        ("*/movie/5?0", "https://api.themoviedb.org/3/movie/550", True),
        (re.compile("movie/[0-9]+$"), "https://api.themoviedb.org/3/movie/550", True),
        (re.compile("^api"), "https://api.themoviedb.org/3/movie/550", False),
    ],
)
def test_url_patterns(pattern: str | re.Pattern[str], url: str, found: bool) -> None:
    """Globs and regular expressions mean what they mean in requests-cache."""
    assert matches(url, pattern) is found


def test_the_settings_by_default() -> None:
    """24 hours and the table, a week of stale-if-error, an hour for what is not found, everything else off."""
    policy = Policy()
    assert (policy.stale_if_error, policy.not_found_expire_after) == (7 * 86400.0, 3600.0)
    assert policy.stale_while_revalidate == 0.0
    assert (policy.expire_after, policy.url_expiration, policy.call_expire_after) == (None, None, None)
    flags = ("cache_control", "offline", "wait_on_rate_limit", "only_if_cached", "refresh", "force_refresh")
    assert not any(getattr(policy, name) for name in (*flags, "reuse_appended"))
    assert LEASE == 3.0
