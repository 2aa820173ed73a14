"""URLs as they are split, sent and classified."""

from __future__ import annotations

from typing import Any

import pytest

from tmdb_mongo_cache.tmdb import change_feed, urls
from tmdb_mongo_cache.tmdb.call import (
    Request,
    classify,
    credentials_of,
    may_identify_user,
    parse_headers,
    restore_credentials,
)

BASE = "https://api.themoviedb.org"
SECRET = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("url", "target"),
    [
        (f"{BASE}/3/x?a=b#c", ("https", "api.themoviedb.org", 443, "/3/x", "a=b")),
        ("http://u:p@API.tmdb.org.:8080/3/x", ("http", "api.tmdb.org", 8080, "/3/x", "")),
        ("http://[::1]/3/x", ("http", "[::1]", 80, "/3/x", "")),
        (b"https://api.tmdb.org/3/x", ("https", "api.tmdb.org", 443, "/3/x", "")),
        ("https://x", ("https", "x", 443, "", "")),
        # As urllib3 writes the path into the request line.
        ("https://x/a%2fb c", ("https", "x", 443, "/a%2Fb%20c", "")),
        ("https://x/a%2fb%zz", ("https", "x", 443, "/a%252fb%25zz", "")),
        ("https://x/ä\udcff\ud800", ("https", "x", 443, "/%C3%A4%ED%B3%BF%ED%A0%80", "")),
        ("https://x/ä\udcff", ("https", "x", 443, "/%C3%A4%FF", "")),
        ("https://x/!$&'()*+,=:@-._~", ("https", "x", 443, "/!$&'()*+,=:@-._~", "")),
        ("https://x/a;b", ("https", "x", 443, "/a;b", "")),
    ],
)
def test_split(url: str | bytes, target: tuple[Any, ...]) -> None:
    """Host in lower case without the dot at its end, the port that is meant, path and query as they are sent."""
    assert urls.split(url) == target


@pytest.mark.parametrize(
    ("url", "again"),
    [("https://x/a?b=c", "https://x:443/a?b=c"), ("http://x", "http://x:80"), ("http://x:81/?", "http://x:81/")],
)
def test_and_back(url: str, again: str) -> None:
    """A target has an URL."""
    target = urls.split(url)
    assert target is not None
    assert target.url == again


@pytest.mark.parametrize(
    ("url", "params", "path", "query"),
    [
        (f"{BASE}/3/x", None, "/3/x", ""),
        (f"{BASE}/3/x", {"a": "b c", "d": ["1", "2"], "e": None}, "/3/x", "a=b+c&d=1&d=2"),
        (f"{BASE}/3/x?a=b", [("c", 1)], "/3/x", "a=b&c=1"),
        (f"{BASE}/3/x", "a=b&c", "/3/x", "a=b&c"),
        (f"{BASE}/3/x", "a=b c", "/3/x", "a=b%20c"),
        (f"{BASE}/3/x", b"a=b", "/3/x", "a=b"),
        (f"{BASE}/3/a/../x", {"a": 1}, "/3/x", "a=1"),
        (f"{BASE}/3/x y", {}, "/3/x%20y", ""),
        (f" {BASE}/3/x", {}, "/3/x", ""),
        ("HTTPS://API.TheMovieDB.org", {}, "/", ""),
        (f"{BASE}:443/3/x", {}, "/3/x", ""),
    ],
)
def test_arguments(url: str, params: Any, path: str, query: str) -> None:
    """What requests makes of its arguments is what a key is made of."""
    found = urls.split_arguments(url, params)
    assert found is not None
    assert found == ("https", "api.themoviedb.org", 443, path, query)


@pytest.mark.parametrize(
    ("url", "params"),
    [
        ("", None),
        ("x", None),
        ("ftp://x", None),
        ("https://", None),
        (f"{BASE}/3/x", 5),
        (f"{BASE}/", [1]),
        (f"{BASE}/", [("a",)]),
    ],
)
def test_no_arguments(url: str, params: Any) -> None:
    """What requests refuses goes nowhere."""
    assert urls.split_arguments(url, params) is None


@pytest.mark.parametrize(
    ("url", "extra", "sent"),
    [
        (f"{BASE}/3/x", "", f"{BASE}/3/x"),
        (f"{BASE}/3/x", "a=b", f"{BASE}/3/x?a=b"),
        (f"{BASE}/3/x?c=%20", "a=b", f"{BASE}/3/x?c=%20&a=b"),
        ("https://API.themoviedb.org.:443/3/x?a", "", "https://api.themoviedb.org.:443/3/x?a"),
    ],
)
def test_plain(url: str, extra: str, sent: str) -> None:
    """A plain URL is sent as it is, its host in lower case."""
    found = urls.plain_url(url, extra)
    assert found is not None
    assert found[0] == sent
    assert found[1] == urls.split(sent)


@pytest.mark.parametrize(
    "url",
    [
        *(b"https://x/3", f"{BASE}", f"{BASE}/3/./x", f"{BASE}/.", f"{BASE}/3/x y", f"{BASE}/3/%20", f"{BASE}/3/x#a"),
        *("https://u@x/3", "https://x:0/3", "https://x:y/", f"{BASE}/3/ä", f"{BASE}/3/x?a=%2", "ftp://x/3", "//x/3"),
    ],
)
def test_not_plain(url: Any) -> None:
    """Of all others requests says what is sent."""
    assert urls.plain_url(url, "") is None


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (f"{BASE}/3/{'x' * (8192 - 29)}", ""),
        (f"{BASE}/3/{'x' * (8192 - 28)}", "its URL is longer than 8192 bytes"),
        *((f"{BASE}/3/{'ä' * 1360}", ""), (f"{BASE}/3/{'ä' * 1361}", "its URL is longer than 8192 bytes")),
        *(
            (f"{BASE}/3/x{one}", "characters in the URL that could mean another one")
            for one in ("\x00", "\t", "\n", "\u200b")
        ),
        (f"{BASE}/3/x y", ""),
    ],
)
def test_lengths(url: str, reason: str) -> None:
    """A long URL, and one with characters that not everybody sends, bypasses the cache; a letter may be many bytes."""
    assert urls.bypass_reason(url) == reason


def test_pairs() -> None:
    """Names and values in order; what is empty stays, what is no item does not."""
    assert urls.pairs("a=b&&c&d=e=f&%41=+%2B&g=%FF") == [
        *(("a", "b"), ("c", ""), ("d", "e=f"), ("A", " +"), ("g", "\udcff")),
    ]
    assert urls.pairs("") == []
    assert urls.encode([("a b", "c&d"), ("ä", "")]) == "a+b=c%26d&%C3%A4="


def test_a_request_by_default() -> None:
    """Nothing is known of it, but that it follows redirects."""
    assert Request() == Request("", "", "unknown", (), (), Request().directives, True, None)
    assert not any(Request().directives)


@pytest.mark.parametrize(
    ("url", "headers", "found"),
    [
        (None, {"Authorization": "Bearer s3cr3t-value"}, set()),
        ("", {"X-Api-Key": "s3cr3t-value"}, set()),
        (f"{BASE}/3/x", {"X-Api-Key": "s3cr3t-value"}, {"s3cr3t-value"}),
        (f"{BASE}/3/x?api_key={SECRET}", {}, {SECRET}),
        (f"{BASE}/3/x?api_key={SECRET}".encode(), {}, {SECRET}),
        (b"https://username1:password1@x/3/x", {}, {"username1", "password1"}),
        ("https://username1:password1@x/3/x", {}, {"username1", "password1"}),
    ],
)
def test_credentials_of_what_was_sent(url: Any, headers: dict[str, str], found: set[str]) -> None:
    """In the URL and in the headers of a request as it was sent, whatever type they are."""
    assert credentials_of(url, headers) == found


@pytest.mark.parametrize(
    ("url", "headers", "found"),
    [
        *((f"{BASE}/3/x", {}, False), (f"{BASE}/3/x", {"Cookie": "a"}, True), (f"{BASE}/3/x?session_id=a", {}, True)),
        *((None, {}, False), (None, {"Cookie": "a"}, True), ("x", {}, False)),
    ],
)
def test_users_of_what_was_sent(url: Any, headers: dict[str, str], found: bool) -> None:
    """Whatever is sent may say who sends it."""
    assert may_identify_user(url, headers) is found


def test_headers_of_a_request() -> None:
    """Its directives, why it bypasses this one, its credentials, and its Host."""
    found = parse_headers({"Cache-Control": "no-store", "X-Api-Key": "s3cr3t-value"})
    assert (found.bypass, found.credentials) == ("the request says no-store", {"s3cr3t-value"})
    assert "s3cr3t-value" not in repr(found)
    assert parse_headers({"Host": "x"}).host == "x"
    assert parse_headers({}) == ((False, False, False, None, 0.0, 0.0, None), "", frozenset(), None)


def test_what_a_call_says() -> None:
    """Its repr has no credential; what bypasses the cache has no key, and one with a credential no id."""
    call = classify("GET", f"{BASE}/3/movie/550?api_key={SECRET}&append_to_response=odd,credits", {})
    assert call is not None
    assert (call.request.appended, call.request.sure_parts) == (("credits", "odd"), ("credits",))
    assert (call.request.path, call.request.kind, call.request.template) == (
        *("/3/movie/550", "details", "/3/movie/{movie_id}"),
    )
    assert call.credentials == {SECRET}
    for shown in (repr(call), repr(call.request)):
        assert SECRET not in shown
    assert call.key in repr(call)
    other = classify("GET", f"{BASE}/3/movie/550/{SECRET}", {})
    assert other is not None
    assert (other.key, other.endpoint.tmdb_id, bool(other.bypass)) == ("", None, True)
    long = classify("GET", f"{BASE}/3/movie/{'x' * 9000}", {"Cache-Control": "no-cache"})
    assert long is not None
    assert (long.key, long.request.directives.no_cache) == ("", True)
    odd = classify("GET", f"{BASE}/3/odd?append_to_response=a,account_states", {})
    assert odd is not None
    assert odd.request.sure_parts == ("a",)
    assert classify("GET", None, {}) is classify("GET", "https://example.org/", {}) is None


@pytest.mark.parametrize(
    ("stripped", "filled"),
    [
        ("/3/x?api_key=&a=b#c", "/3/x?api_key=k%2B1&a=b#c"),
        *(("?api_key=", "?api_key=k%2B1"), ("/3/x?a=b", "/3/x?a=b")),
        *(("/3/x?session_id=", "/3/x"), ("/3/x?session_id=&a=b", "/3/x?a=b"), ("/3/x?api_key=own", "/3/x?api_key=own")),
        *(("http://api.tmdb.org/3/x?api_key=", "http://api.tmdb.org/3/x?api_key="), ("x?api_key=", "x?api_key=k%2B1")),
        *(("https://u@api.tmdb.org/x?api_key=", "https://u@api.tmdb.org/x?api_key="), ("//x?api_key=", "//x?api_key=")),
        ("https://api.tmdb.org/3/x?api_key=", "https://api.tmdb.org/3/x?api_key=k%2B1"),
    ],
)
def test_restored_credentials(stripped: str, filled: str) -> None:
    """A Location gets the caller's own credentials where it leads to TMDB, and not from https to http."""
    assert restore_credentials(stripped, f"{BASE}/3/movie/550?api_key=k%2B1&a=x") == filled


def test_the_change_feed_has() -> None:
    """A feed of each kind of title, of 14 days, in pages of at most 500."""
    assert (change_feed.KINDS, change_feed.DAYS, change_feed.LAST_PAGE) == (("movie", "tv", "person"), 14, 500)
    assert change_feed.LAG.total_seconds() == 8 * 3600
