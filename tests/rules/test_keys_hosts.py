"""Where a call goes is in its key: who answers for TMDB, and over which connection."""

from __future__ import annotations

from itertools import product
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from tmdb_mongo_cache.tmdb.cache_key import END, FIRST, is_of_tmdb, key_of_prepared, key_of_url, keys_of_url, parts_of
from tmdb_mongo_cache.tmdb.call import classify
from tmdb_mongo_cache.tmdb.invalidation import touched_by

from ..flowkit import MOVIE

OWN = ("api.themoviedb.org", "api.tmdb.org", "API.TMDB.org.")
LISTED = ("proxy", "proxy.example.com", "127.0.0.1", "[::1]", "a_b-c.d")
HOSTS = frozenset({*LISTED, "api.themoviedb.org:8080"})
PLACES = [
    *product(("http", "https"), OWN, ("", ":80", ":443")),
    *product(("http", "https"), LISTED, ("", ":80", ":443", ":4000")),
    *product(("http", "https"), ("api.themoviedb.org",), (":8080",)),
]


def effective(scheme: str, host: str, port: str, verified: bool) -> tuple[str, str, bool]:
    """Return who answers, and whether a certificate has proved that."""
    proved = verified and scheme == "https"
    host = host.lower().rstrip(".")
    if host in ("api.themoviedb.org", "api.tmdb.org") and port in ("", ":80", ":443"):
        return "TMDB", "", proved
    return host, port or {"http": ":80", "https": ":443"}[scheme], proved


def test_one_key_for_each_who_answers() -> None:
    """Two calls for a path have one key exactly where the same server answers them, proved to both or to neither."""
    found: dict[str, tuple[str, str, bool]] = {}
    for place, verified in product(PLACES, (True, False)):
        url = f"{place[0]}://{place[1]}{place[2]}{MOVIE}"
        key = key_of_url(url, None, HOSTS, verified=verified)
        assert key is not None, url
        assert key == key_of_prepared(requests.Request("GET", url).prepare().url, HOSTS, verified=verified)
        assert found.setdefault(key, effective(*place, verified)) == effective(*place, verified), url
        call = classify("GET", url, {}, hosts=HOSTS, verified=verified)
        assert call is not None
        assert call.key == key
        own_unproved = effective(*place, verified) == ("TMDB", "", False)
        assert call.verified_key == ("GET api.themoviedb.org/3/movie/550" if own_unproved else "")
    assert len(found) == len(set(found.values()))


@pytest.mark.parametrize("query", ["", "?language=de", "?a=b%26c", "?query=" + "x" * 600])
def test_a_key_tells_its_url(query: str) -> None:
    """A key is known as one, lies among the keys, and where it is not cut off the URL it tells has it again."""
    for place, verified in product(PLACES, (True, False)):
        key = key_of_url(f"{place[0]}://{place[1]}{place[2]}{MOVIE}{query}", None, HOSTS, verified=verified)
        assert key is not None
        assert is_of_tmdb(key)
        assert FIRST <= key < END
        parts = parts_of(key)
        assert parts is not None
        assert key == f"{parts.start}{parts.path}{parts.query}"
        assert parts.path == MOVIE
        if "#" not in key:
            assert key_of_url(parts.url, None, HOSTS) == key


def test_all_channels_of_a_host() -> None:
    """The keys of an URL by every channel are those of its host, and among them is that of each way to call it."""
    for scheme, host, port in PLACES:
        url = f"{scheme}://{host}{port}{MOVIE}"
        keys = keys_of_url(url, None, HOSTS)
        assert {key_of_url(url, None, HOSTS, verified=verified) for verified in (True, False)} <= set(keys)
        assert {urlsplit(parts.url).hostname for key in keys if (parts := parts_of(key))} == {
            "api.themoviedb.org" if effective(scheme, host, port, True)[0] == "TMDB" else host.strip("[]")
        }
        assert set(touched_by(url)[0].keys) == set(keys)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "GET ",
        "GET api.themoviedb.org",
        "GET api.themoviedb.org/3",
        "GET api.themoviedb.org/4/list/1",
        "GET ftp://api.themoviedb.org/3/movie/1",
        "GET http:///3/movie/1",
        "GET u:p@api.themoviedb.org/3/movie/1",
        "GET api.themoviedb.org:x/3/movie/1",
        "GET  api.themoviedb.org/3/movie/1",
        "get api.themoviedb.org/3/movie/1",
        "5f0a2c",
        None,
        1,
        b"GET api.themoviedb.org/3/movie/1",
    ],
)
def test_no_key(key: Any) -> None:
    """What no call has for a key is none."""
    assert not is_of_tmdb(key)


@pytest.mark.parametrize(
    ("url", "keys"),
    [
        ("https://api.tmdb.org/3/x", ("GET api.themoviedb.org/3/x", "GET http://api.themoviedb.org/3/x")),
        (
            "http://127.0.0.1/3/x",
            ("GET https://127.0.0.1/3/x", "GET https://127.0.0.1:80/3/x", "GET 127.0.0.1:443/3/x", "GET 127.0.0.1/3/x"),
        ),
        ("http://127.0.0.1:81/3/x", ("GET https://127.0.0.1:81/3/x", "GET 127.0.0.1:81/3/x")),
        ("https://example.org/3/x", ()),
        ("ftp://127.0.0.1/3/x", ()),
        ("", ()),
    ],
)
def test_keys_by_every_connection(url: str, keys: tuple[str, ...]) -> None:
    """An URL has a key for each kind of connection; what is not TMDB's has none."""
    found = keys_of_url(url, {"page": 1}, frozenset({"127.0.0.1"}))
    assert sorted(found) == sorted(keys)
