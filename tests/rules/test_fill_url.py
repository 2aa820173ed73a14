"""The reader's own credentials come into an URL of a response from the cache only where that leads to TMDB."""

from __future__ import annotations

import re
from contextlib import suppress
from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tmdb_mongo_cache.tmdb.call import restore_credentials
from tmdb_mongo_cache.tmdb.hosts import OWN_HOSTS

READERS = "READERSKEY"
URL = f"https://api.themoviedb.org/3/movie/550?api_key={READERS}&language=de"
STARTS = [
    *(
        "",
        "/",
        "//",
        "///",
        "\\",
        "\\\\",
        "/\\",
        "\t",
        "/\t/",
        " ",
        "?",
        "./",
        "../",
        ";",
        "\u2028",
        "javascript:",
        "ftp://",
    ),
    *(
        "https:",
        "https:/",
        "https://",
        "HTTPS://",
        "https:\\\\",
        "http://",
        "https://u@",
        "https://api.themoviedb.org@",
    ),
    *("https://api.themoviedb.org\\@", "https://evil.example\\@", "//api.themoviedb.org:x@"),
]
NAMES = [
    *("api.themoviedb.org", "API.tmdb.org", "api.themoviedb.org.", "api.themoviedb.org:443", "api.themoviedb.org:8443"),
    *(
        "evil.example",
        "api.themoviedb.org.evil.example",
        "evil.example:443",
        "apiˌthemoviedb.org",
        "api。themoviedb.org",
        "",
    ),
    *(
        "api.themoviedb.org%2eevil.example",
        "api.themoviedb.org\\.evil.example",
        "[::1]",
        "127.0.0.1:4000",
        "proxy.local",
    ),
]
REST = ["/3/movie/551", "", "/", "/..//evil.example/", "/3/@evil.example", ":1@evil.example/", "\\@evil.example/"]


def readings(location: str) -> set[str]:
    """Return the schemes and hosts that a Location leads to, as RFC 3986 and as browsers (WHATWG) read it."""
    tidy = re.sub(r"[\t\r\n]", "", location.strip("".join(map(chr, range(33))))).replace("\\", "/")
    if re.match(r"(?i)https?:", tidy):
        tidy = re.sub(r"(?i)^(https?:)/*", r"\1//", tidy) if not re.match(r"(?i)https:(?!/)", tidy) else tidy
    tidy = re.sub("^/{2,}", "//", tidy)
    found = set()
    for text in (location, tidy, re.sub(r"(?i)^(https?):/*", r"\1://", tidy)):
        with suppress(ValueError):
            parts = urlsplit(urljoin(URL, text))
            found.add(f"{parts.scheme}://{parts.netloc.lower()}")
    return found


OWN = {f"https://{host}{end}" for host in OWN_HOSTS for end in ("", ".", ":443", ":80")}


@settings(max_examples=400, deadline=None)
@given(
    start=st.sampled_from(STARTS),
    name=st.sampled_from(NAMES),
    rest=st.sampled_from(REST),
    query=st.sampled_from(["?api_key=", "?a=1&api_key=&session_id=", "?api_key", "?a=%09&API_KEY=", "#api_key="]),
)
def test_a_foreign_url_gets_nothing(start: str, name: str, rest: str, query: str) -> None:
    """However a Location is spelt: where one reader takes it for another host's, or for http, it is left as it is."""
    location = f"{start}{name}{rest}{query}"
    if READERS in restore_credentials(location, URL):
        assert readings(location) <= OWN


@pytest.mark.parametrize(
    ("stripped", "filled"),
    [
        ("/3/movie/551?api_key=", "/3/movie/551?api_key=READERSKEY"),
        ("551?language=&api_key=&session_id=#top", "551?language=&api_key=READERSKEY#top"),
        ("?api_key=", "?api_key=READERSKEY"),
        ("https://api.tmdb.org/3/movie/551?api_key=", "https://api.tmdb.org/3/movie/551?api_key=READERSKEY"),
        ("https://api.themoviedb.org/3/x/ü?session_id=", "https://api.themoviedb.org/3/x/ü"),
        ("/3/movie/551?a=1", "/3/movie/551?a=1"),
        ("https://evil.example/?a=1", "https://evil.example/?a=1"),
        ("http://proxy.local/3/movie/551?api_key=", "http://proxy.local/3/movie/551?api_key="),
        ("https://proxy.local/3/movie/551?api_key=", "https://proxy.local/3/movie/551?api_key=READERSKEY"),
    ],
)
def test_an_url_of_tmdbs_is_filled(stripped: str, filled: str) -> None:
    """Where a redirect leads to TMDB, or to one of ``hosts``, it has the reader's key again, by no worse a channel."""
    assert restore_credentials(stripped, URL, frozenset({"proxy.local"})) == filled
