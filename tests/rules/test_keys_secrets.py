"""Keys and secrets: which calls have a key at all, and that no credential is ever in one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tmdb_mongo_cache.tmdb.cache_key import key_of_prepared, key_of_url
from tmdb_mongo_cache.tmdb.call import classify, parse_headers
from tmdb_mongo_cache.tmdb.credentials import CREDENTIAL_PARAMS

from ..keykit import BASE, PAIRS, fast, prepared_url

SECRET = "5ecre7c0ffee5ecre7c0ffee5ecre7c0"


@fast
@given(pairs=PAIRS, name=st.sampled_from(sorted(CREDENTIAL_PARAMS)), upper=st.booleans(), where=st.integers(0, 5))
def test_credentials_do_not_matter_and_are_never_in_a_key(
    pairs: list[tuple[str, str]], name: str, upper: bool, where: int
) -> None:
    """A credential, whatever its name, its value, its case and its place, leaves no trace in the key."""
    credential = (name.upper() if upper else name, SECRET)
    with_it = [*pairs[:where], credential, *pairs[where:]]
    found = key_of_url(BASE, with_it)
    assert found == key_of_url(BASE, pairs)
    assert SECRET not in str(found)


@pytest.mark.parametrize("url", ["https://user:{}@api.themoviedb.org/3/movie/343611", BASE + "#api_key={}"])
def test_user_info_and_fragment_are_not_in_a_key(url: str) -> None:
    """What stands before the host or behind the # is no part of the key."""
    assert key_of_url(url.format(SECRET)) == key_of_url(BASE)


@pytest.mark.parametrize("headers", [{}, {"Authorization": f"Bearer {SECRET}"}, {"Cookie": f"token={SECRET}"}])
@pytest.mark.parametrize("query", ["", f"?api_key={SECRET}"])
def test_the_way_of_authenticating_does_not_matter(headers: dict[str, str], query: str) -> None:
    """A call with a key, a Bearer token, both or none has one key, without either in it or in any repr."""
    call = classify("GET", BASE + query, headers)
    assert call is not None
    assert call.key == key_of_url(BASE)
    assert SECRET not in repr(call)


def test_what_is_shown_of_headers() -> None:
    """What is shown of a caller's headers is what they say to the cache, and no credential."""
    shown = repr(parse_headers({"Authorization": f"Bearer {SECRET}", "Cache-Control": "max-age=77, no-store"}))
    assert "77" in shown
    assert "no-store" in shown
    assert SECRET not in shown


@pytest.mark.parametrize(
    "name",
    ["access_token", "api_key", "guest_session_id", "password", "request_token", "session_id", "username"],
)
def test_every_credential_that_tmdb_has(name: str) -> None:
    """What TMDB takes for a credential is in no key."""
    assert key_of_url(f"{BASE}?{name}={SECRET}") == key_of_url(BASE)


SMUGGLED = [
    "/3/movie/550?language=de&amp;api_key={}",
    "/3/movie/550?language=de?api_key={}",
    "/3/movie/550?language=de;api_key={}",
    "/3/movie/550?language=de%26api_key%3D{}",
    "/3/movie/550?api%255Fkey={}",
    "/3/movie/550?language=de%2526api_key={}",
    "/3/movie/550&api_key={}",
    "/3/movie/550%3Fapi_key={}",
    "/3/movie/550?api_key[]={}",
    "/3/movie/550?xapi_key={}",
    "/3/movie/550?language={}&api_key={}",
]


@pytest.mark.parametrize("path", SMUGGLED)
def test_a_misspelt_credential_reaches_no_key(path: str) -> None:
    """A credential in a broken query (&amp;, a second ?, escaped twice, no ? at all) is in no key of a call."""
    call = classify("GET", "https://api.themoviedb.org" + path.replace("{}", SECRET), {})
    assert call is not None
    assert SECRET not in call.key


@pytest.mark.parametrize(
    "url",
    [
        "https://image.tmdb.org/t/p/w500/x.jpg", "https://api.themoviedb.org.evil.com/3/movie/1", "ftp://api.tmdb.org/3",
        "https://api.themoviedb.org:8443/3/movie/1", "https://www.themoviedb.org/3/movie/1", "/3/movie/1", "", "http://",
        "https://evil.com/?https://api.themoviedb.org/3/movie/1", "https://api.themoviedb.org@evil.com/3/movie/1",
        "https://evil.com#@api.themoviedb.org/3/movie/1", "mailto:api.tmdb.org", "http://[::1", "http://x:y/",
    ],
)  # fmt: skip
def test_what_is_not_tmdbs_has_no_key(url: str) -> None:
    """Another host, port or scheme, and what is no URL at all, has no key."""
    assert key_of_url(url) is None
    assert key_of_prepared(url) is None
    assert classify("GET", url, {}) is None


def test_other_hosts_count_as_tmdb_where_the_settings_say_so() -> None:
    """A host or host:port of the settings is as good as TMDB, under its own name."""
    hosts = frozenset({"proxy.local", "localhost:8080"})
    for url, place in (
        ("http://proxy.local/3/movie/1", "proxy.local"),
        ("https://proxy.local:99/3/movie/1", "https://proxy.local:99"),
        ("http://LOCALHOST:8080/3/movie/1", "localhost:8080"),
    ):
        assert key_of_url(url, None, hosts) == f"GET {place}/3/movie/1" == key_of_prepared(prepared_url(url), hosts)
    assert key_of_url("http://localhost:8081/3/movie/1", None, hosts) is None
