"""What a request may say that chooses the response and is not in the key: such a call bypasses the cache."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from requests.structures import CaseInsensitiveDict

from tmdb_mongo_cache.tmdb.call import classify

from ..flowkit import MOVIE

fast = settings(max_examples=100, deadline=None)
ROUTING = [
    *("Forwarded", "X-Forwarded-Host", "X-Forwarded-Server", "X-Forwarded-Path", "X-Forwarded-Prefix"),
    *("X-Forwarded-Uri", "X-Forwarded-Proto", "X-Forwarded-Scheme", "X-Forwarded-Port", "X-Forwarded-For"),
    *("X-Original-URL", "X-Original-URI", "X-Original-Host", "X-Rewrite-URL", "X-Override-URL", "X-Replaced-Path"),
    *("X-Envoy-Original-Path", "X-Host", "X-HTTP-Host-Override", "X-Real-Host", "X-Proxy-URL", "X-Scheme"),
    *("X-Url-Scheme", "X-Script-Name"),
]
OTHER_ANSWER = [
    *("If-Match", "If-Modified-Since", "If-None-Match", "If-Range", "If-Unmodified-Since", "Range", "Origin"),
    *("X-HTTP-Method", "X-HTTP-Method-Override", "X-Method-Override", "X-Session-Id", "Guest-Session-ID", "Host"),
]
HARMLESS = [
    *("Accept", "Accept-Charset", "Accept-Encoding", "Accept-Language", "Connection", "Content-Type", "Cookie", "DNT"),
    *("Referer", "User-Agent", "Via", "X-Api-Key", "X-Client", "X-Datadog-Origin", "X-Request-ID", "X-Requested-With"),
    *("X-Amzn-Trace-Id", "Traceparent", "X-Correlation-Host", "Ghost", "X-Ghost-Host", "Arrange", "Orig"),
]
WIDE = {chr(code): chr(code + 0xFEE0) for code in range(0x21, 0x7F)}


def straight(headers: dict[Any, Any], url: str = f"https://api.themoviedb.org{MOVIE}") -> bool:
    """Say whether a call with these headers bypasses the cache; it has no key then."""
    call = classify("GET", url, CaseInsensitiveDict(headers))
    assert call is not None
    assert bool(call.bypass) is not bool(call.key)
    return bool(call.bypass)


SPELLINGS: dict[str, Callable[[str], Any]] = {
    "plain": str,
    "lower": str.lower,
    "upper": str.upper,
    "bytes": str.encode,
    "underscores": lambda name: name.replace("-", "_"),
    "dots": lambda name: name.replace("-", "."),
    "together": lambda name: name.replace("-", ""),
    "blank": lambda name: name + " ",
    "tab": lambda name: name + "\t",
    "wide": lambda name: "".join(WIDE[char] for char in name),
}


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS)
@pytest.mark.parametrize("value", ["evil.example", b"/3/account"], ids=["text", "bytes"])
def test_every_spelling_of_what_chooses_the_answer(spell: Callable[[str], Any], value: str | bytes) -> None:
    """What chooses the host, the path, the method or a part sends a call straight, however its name is spelt."""
    assert [name for name in [*ROUTING, *OTHER_ANSWER] if not straight({"Accept": "x", spell(name): value})] == []


@fast
@given(name=st.sampled_from([*ROUTING, *OTHER_ANSWER]), data=st.data())
def test_any_mixture_of_spellings(name: str, data: st.DataObject) -> None:
    """No mixture of cases, of punctuation and of blanks makes another header of it."""
    drawn = [
        data.draw(st.sampled_from(["-", "_", ".", "", "--"] if char == "-" else [char.lower(), char.upper()]))
        for char in name
    ]
    assert straight({"".join(drawn) + data.draw(st.sampled_from(["", " ", "\t "])): "x"})


@pytest.mark.parametrize("length", [65, 1_000_000])
def test_a_long_name(length: int) -> None:
    """A header's name that is longer than any is not looked through: the call bypasses the cache."""
    assert straight({"X" * length: "x"})


def test_what_says_nothing_of_the_answer() -> None:
    """Headers that programs and their tracing send with every call keep nothing from being cached."""
    assert [name for name in HARMLESS if straight({name: "evil.example"})] == []


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("https://api.themoviedb.org", ["api.themoviedb.org", "api.themoviedb.org:443"]),
        ("http://api.themoviedb.org", ["api.themoviedb.org", "api.themoviedb.org:80"]),
        ("https://api.themoviedb.org:443", ["api.themoviedb.org", "api.themoviedb.org:443"]),
        ("https://api.themoviedb.org:80", ["api.themoviedb.org:80"]),
        ("https://api.tmdb.org", ["api.tmdb.org", "api.tmdb.org:443"]),
    ],
)
def test_the_host_that_is_sent_anyway(url: str, hosts: list[str]) -> None:
    """A Host that says what requests would say changes nothing; any other one does, alias and empty one included."""
    others = ["api.themoviedb.org:8080", "evil.example", "", "API.themoviedb.org", "api.themoviedb.org.", "localhost"]
    both = ["api.themoviedb.org", "api.tmdb.org", "api.themoviedb.org:443", "api.themoviedb.org:80"]
    for host in [*hosts, *others, *both]:
        for value in (host, host.encode()):
            assert straight({"host": value}, url + MOVIE) is (host not in hosts), (url, host)


def test_an_address_of_ones_own() -> None:
    """A host of one's own is known with its port, and an IPv6 address in its brackets."""
    for name in ("127.0.0.1:4000", "[::1]:4000"):
        hosts = frozenset({name})
        for host, expected in ((name, False), (name.removesuffix(":4000"), True), ("api.themoviedb.org", True)):
            call = classify("GET", f"http://{name}{MOVIE}", CaseInsensitiveDict({"Host": host}), hosts=hosts)
            assert call is not None
            assert bool(call.bypass) is expected, (name, host)


def test_two_of_them() -> None:
    """Two Hosts are never the one that would be sent anyway."""
    call = classify("GET", f"https://api.tmdb.org{MOVIE}", {"Host": "api.tmdb.org", "HOST": "api.tmdb.org"})
    assert call is not None
    assert call.bypass
