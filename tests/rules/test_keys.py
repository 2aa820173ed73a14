"""The key: one for every spelling of the same call, another for every other call, and no credential in any."""

from __future__ import annotations

import random
import re
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
import requests
from hypothesis import assume, given
from hypothesis import strategies as st

from tmdb_mongo_cache.tmdb.cache_key import KEY_LENGTH, appended_parts, key_of_prepared, key_of_url
from tmdb_mongo_cache.tmdb.credentials import CREDENTIAL_PARAMS
from tmdb_mongo_cache.tmdb.normalization import folded
from tmdb_mongo_cache.tmdb.redaction import redact, redacted_headers
from tmdb_mongo_cache.tmdb.urls import pairs

from ..keykit import BASE, PAIRS, TEXT, fast, prepared_url

NAMES = st.one_of(
    TEXT, st.sampled_from(["language", "page", "append_to_response", "query", "region", "api_key", "include_adult"])
)
SCALARS = st.one_of(TEXT, st.integers(), st.booleans(), st.none(), TEXT.map(str.encode), st.just(""), st.just("1"))
VALUES = st.one_of(SCALARS, st.lists(SCALARS, max_size=3), st.tuples(SCALARS, SCALARS))
PARAMS = st.one_of(
    st.none(),
    st.dictionaries(NAMES, VALUES, max_size=4),
    st.lists(st.tuples(NAMES, VALUES), max_size=4),
    TEXT,
    TEXT.map(str.encode),
    st.lists(st.tuples(NAMES, TEXT), max_size=3).map(lambda pairs: "&".join(f"{n}={v}" for n, v in pairs)),
)
SEGMENTS = st.one_of(
    TEXT,
    st.sampled_from(
        [
            "movie",
            "550",
            ".",
            "..",
            "",
            "%2e%2E",
            "a%2Fb",
            "%2f..",
            "%zz",
            "%",
            "x%20y",
            "x y",
            "%C3%A4",
            "ä",
            "%41",
            ";p",
        ]
    ),
)
URLS = st.builds(
    "{}{}{}{}/{}{}{}".format,
    st.sampled_from(["https://", "http://", "HTTPS://", " https://"]),
    st.sampled_from(["", "user:pass@", "u%40:p@", "@"]),
    st.sampled_from(["api.themoviedb.org", "API.TheMovieDB.org", "api.tmdb.org", "api.themoviedb.org."]),
    st.sampled_from(["", ":443", ":80", ":"]),
    st.lists(SEGMENTS, max_size=4).map("/".join),
    st.one_of(
        st.just(""), TEXT.map("?{}".format), st.sampled_from(["?", "?&&a=1", "?api_key=K&&language=en-US", "?a=%zz"])
    ),
    st.sampled_from(["", "#", "#top", "#a?b=c"]),
)


def key(query: str = "", path: str = "/3/movie/343611") -> str:
    found = key_of_url(f"https://api.themoviedb.org{path}" + (f"?{query}" if query else ""))
    assert found is not None
    return found


@fast
@given(url=URLS, params=PARAMS)
def test_arguments_and_prepared_request_give_one_key(url: str, params: Any) -> None:
    """The key made of (url, params) is the key of the request that requests prepares from them."""
    sent = prepared_url(url, params)
    expected = None if sent is None else key_of_prepared(sent)
    assert key_of_url(url, params) == expected


@fast
@given(params=PARAMS)
def test_params_of_a_plain_url_give_one_key(params: Any) -> None:
    """Params in any form that requests takes give the key of the prepared request."""
    sent = prepared_url(BASE, params)
    assert key_of_url(BASE, params) == (None if sent is None else key_of_prepared(sent))


@fast
@given(own=st.dictionaries(NAMES, VALUES, max_size=3), given_=st.dictionaries(NAMES, VALUES, max_size=3))
def test_params_merged_by_a_session_give_the_key_of_all_of_them(own: Any, given_: Any) -> None:
    """A session's params and a call's params give the key of both, the call's going first and None taking one away."""
    session = requests.Session()
    session.params = own
    sent = session.prepare_request(requests.Request("GET", BASE, params=given_)).url
    merged = {name: value for name, value in {**own, **given_}.items() if value is not None}
    assert key_of_prepared(sent) == key_of_url(BASE, merged)


@pytest.mark.parametrize("url", [BASE, f"{BASE}?language=de", f"{BASE}?language=de#x", BASE.encode()])
@pytest.mark.parametrize("form", [{"b": [1, None, "x"]}, [("b", 1), ("b", "x")], "b=1&b=x", b"b=1&b=x"])
def test_bytes_are_as_good_as_text(url: Any, form: Any) -> None:
    """An URL and params in bytes give the key they give as text."""
    assert key_of_url(url, form) == key_of_prepared(prepared_url(url, form))
    assert "b=1&b=x" in str(key_of_url(url, form))


def test_the_key_is_readable() -> None:
    """The key names the method, the host, the path and the params."""
    assert key("language=de") == "GET api.themoviedb.org/3/movie/343611?language=de"
    assert key() == "GET api.themoviedb.org/3/movie/343611"


@fast
@given(pairs=PAIRS, seed=st.integers(0, 999))
def test_the_order_of_names_does_not_matter(pairs: list[tuple[str, str]], seed: int) -> None:
    """Params with different names give one key in any order, where nobody takes two of them for one."""
    assume(len({folded(name) for name, _ in pairs}) == len(pairs))
    shuffled = random.Random(seed).sample(pairs, len(pairs))
    assert key_of_url(BASE, pairs) == key_of_url(BASE, shuffled)


SPELLINGS = [
    "https://api.tmdb.org/3/movie/343611?language=de",
    "HTTPS://API.TheMovieDb.ORG/3/movie/343611?language=de",
    "https://api.themoviedb.org:443/3/movie/343611?language=de",
    "https://api.themoviedb.org:80/3/movie/343611?language=de",
    "https://api.themoviedb.org./3/movie/343611?language=de",
    "https://api.themoviedb.org/3/movie/343611?language=de&",
    "https://api.themoviedb.org/3/movie/343611?&&language=de",
    "https://api.themoviedb.org/3/movie/343611?api_key=K&&language=de",
    "https://api.themoviedb.org/3/movie/343611?language=de&page=1",
    "https://api.themoviedb.org/3/movie/343611?%6Canguage=%64e",
    "https://api.themoviedb.org/3/%6Dovie/34361%31?language=de",
    "https://api.themoviedb.org/3/tv/../movie/./343611?language=de",
]


@pytest.mark.parametrize("url", SPELLINGS)
def test_the_same_call_in_another_spelling_has_the_same_key(url: str) -> None:
    """Host alias, case of the host, default port, what requests decodes and resolves, "&&" and page=1 do not matter."""
    assert key_of_url(url) == "GET api.themoviedb.org/3/movie/343611?language=de"
    assert key_of_prepared(prepared_url(url)) == key_of_url(url)


PARTS = ["credits", "images", "watch/providers", "videos", "external_ids"]


@fast
@given(parts=st.lists(st.sampled_from(PARTS), min_size=1, max_size=8), escape=st.booleans())
def test_order_and_repeats_of_append_to_response_do_not_matter(parts: list[str], escape: bool) -> None:
    """append_to_response is a set: its order, its repeats and its escapes give one key."""
    joined = ",".join(parts)
    query = "append_to_response=" + (quote(joined, safe="") if escape else joined)
    assert key(query) == key("append_to_response=" + ",".join(sorted(set(parts))))
    assert appended_parts(pairs(query)) == tuple(sorted(set(parts)))


@fast
@given(one=PAIRS, other=PAIRS)
def test_other_params_give_another_key(one: list[tuple[str, str]], other: list[tuple[str, str]]) -> None:
    """Two different sets of params that mean something have two keys."""

    def meant(pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
        special = {*CREDENTIAL_PARAMS, "page", "append_to_response"}
        return sorted((n, v) for n, v in pairs if n.strip().casefold() not in special)

    assume(all(name.strip() for name, _ in one + other))
    assert (key_of_url(BASE, one) == key_of_url(BASE, other)) == (meant(one) == meant(other))


@fast
@given(one=st.binary(max_size=6), other=st.binary(max_size=6))
def test_other_bytes_give_another_key(one: bytes, other: bytes) -> None:
    """Two values or two last segments that differ in any byte, UTF-8 or not, have two keys."""
    assert (key(f"q={quote_plus(one)}") == key(f"q={quote_plus(other)}")) == (one == other)
    if not {one, other} & {b".", b".."} and b"/" not in one + other:
        paths = [f"/3/movie/x{quote(value, safe='')}" for value in (one, other)]
        assert (key(path=paths[0]) == key(path=paths[1])) == (one == other)


DIFFERENT = [
    "", "language=en-US", "language=en", "language=EN", "language=de", "Language=de", "page=2", "page=01",
    "page=1&page=2", "page=2&page=1", "a=1&a=2", "a=2&a=1", "a=1", "a=1%262", "a=1%26b=2", "a=1&b=2", "a=%2B", "a=+",
    "a=%252B", "include_adult=true", "include_adult=True", "append_to_response=credits",
    "append_to_response=credits,images", "append_to_response=watch/providers", "a%3D1=2", "a=1=2", "a=%23x",
    "language=", "language", "page=", "page", "append_to_response=", "append_to_response", "append_to_response=,",
    "append_to_response=credits,", "append_to_response=,credits", "append_to_response=credits,,images",
    "append_to_response=credits,%20images", "append_to_response=credits%20", "=x", "language=en&region=",
    "query=Käse", "query=k%C3%A4se", "q=%E4", "q=%C3%A4", "q=%EF%BF%BD", "q=%00", "include_image_language=de",
]  # fmt: skip


def test_whatever_else_differs_gives_another_key() -> None:
    """Languages, pages, repeats in another order, escaped separators and the case of names and values all matter."""
    keys = {query: key(query) for query in DIFFERENT}
    assert len(set(keys.values())) == len(DIFFERENT)
    paths = ["/3/movie/1", "/3/movie/11", "/3/movie/1/credits", "/3/Movie/1", "/3/tv/1", "/3/movie/1-x", "/4/movie/1"]
    assert len({key(path=path) for path in paths}) == len(paths)
    assert key(path="/3/movie/1%3Fa=1") != key("a=1", path="/3/movie/1")


@pytest.mark.parametrize("path", ["/3/movie/1", "/3/movie/1/images", "/3/search/movie", "/3/nothing"])
@pytest.mark.parametrize("language", ["en-US", "en", "de", "xx", "null"])
def test_language_is_never_dropped_or_defaulted(path: str, language: str) -> None:
    """Every language, the default one too, is in the key, and no language is none."""
    assert key(f"language={language}", path).endswith(f"?language={language}")
    assert "language" not in key("", path)


@fast
@given(length=st.integers(1, 4000), letters=st.sampled_from(["a", "ä", "%41", "%2F", "/"]))
def test_an_over_long_key_is_cut_and_ends_in_a_digest(length: int, letters: str) -> None:
    """A key is never longer than its limit; a cut one ends in a SHA-256 and is distinct from its neighbours."""
    found = [key(f"query={letters * length}{end}&z={letters}") for end in ("x", "y")]
    assert len(set(found)) == 2
    for one in found:
        assert len(one) <= KEY_LENGTH
        assert one.isascii()
        assert one.startswith("GET api.themoviedb.org/3/movie/343611?query=")
        assert ("#" in one) == bool(re.search(r"#[0-9a-f]{64}$", one)) == (len(one) == KEY_LENGTH and "#" in one)
    if length > KEY_LENGTH:
        assert "#" in found[0]


@pytest.mark.parametrize("end", [b"\xff", b"caf\xe9", b"\xed\xa0\x80"])
def test_bytes_that_are_no_text(end: bytes) -> None:
    """Bytes of a path that are not UTF-8 are in the key as they are escaped."""
    assert key_of_prepared(BASE.encode() + b"/" + end) == key_of_prepared(f"{BASE}/{quote(end)}")


@pytest.mark.parametrize(
    "name", ["Set-Cookie", "Set-Cookie2", "Authorization", "Proxy-Authorization", "Cookie", "Authentication-Info"]
)
def test_headers_that_are_never_kept(name: str) -> None:
    """A header that is there for credentials is stored of no response, whatever it says and however it is spelt."""
    for spelt in (name, name.lower(), name.upper()):
        assert redacted_headers({spelt: "x", "X-Other": "y"}, ()) == {"X-Other": "y"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "GET /3/movie/550?api_key=0123abcd&language=de failed",
            "GET /3/movie/550?api_key=REDACTED&language=de failed",
        ),
        ("sent Bearer eyJ.abc-def_ghi= and no more", "sent Bearer REDACTED and no more"),
        ("sent basic bmFtZTp3b3Jk", "sent basic REDACTED"),
        ("proxy http://name:word@127.0.0.1:8080/ refused", "proxy http://127.0.0.1:8080/ refused"),
        ('{"session_id": "0123abcd", "success": true}', '{"session_id": "REDACTED", "success": true}'),
        ("nothing to hide", "nothing to hide"),
    ],
)
def test_redacted(text: str, shown: str) -> None:
    """Of a text for people the credentials are left out, and nothing else."""
    assert redact(text) == shown
