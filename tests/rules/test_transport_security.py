"""Verified and unverified responses: which key they are stored under, and which they may be served for."""

from __future__ import annotations

import pytest

from tmdb_mongo_cache.httpcache.models import Hop, Reply
from tmdb_mongo_cache.tmdb.call import Call, classify
from tmdb_mongo_cache.tmdb.transport_security import by_verified, is_verified, stored_as, verified_key

HOSTS = frozenset({"127.0.0.1:4000"})
TMDB, PLAIN = "https://api.themoviedb.org/3/movie/550", "http://api.themoviedb.org/3/movie/550"
PROXY = "https://127.0.0.1:4000/3/movie/550"
KEY = "GET api.themoviedb.org/3/movie/550"
PLAIN_KEY = "GET http://api.themoviedb.org/3/movie/550"


def call(url: str, *, verified: bool = True) -> Call:
    found = classify("GET", url, {}, hosts=HOSTS, verified=verified)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("key", "verified"),
    [
        (KEY, True),
        ("GET https://127.0.0.1:4000/3/movie/550", True),
        (PLAIN_KEY, False),
        ("GET 127.0.0.1:4000/3/movie/550", False),
        ("GET api.themoviedb.org.example/3/movie/550", False),
    ],
)
def test_the_key_says_so(key: str, verified: bool) -> None:
    """A key of TMDB itself without a scheme is verified, one of another host with https."""
    assert is_verified(key) is verified


@pytest.mark.parametrize(
    ("key", "other"),
    [
        (PLAIN_KEY, KEY),
        (f"{PLAIN_KEY}?language=de", f"{KEY}?language=de"),
        (f"{PLAIN_KEY}?query=a%23b", f"{KEY}?query=a%23b"),
        (f"{PLAIN_KEY}#{'0' * 64}", ""),
        (KEY, ""),
        ("GET 127.0.0.1:4000/3/movie/550", ""),
        ("GET https://127.0.0.1:4000/3/movie/550", ""),
        ("GET http://api.themoviedb.org.example/3/movie/550", ""),
    ],
)
def test_the_verified_key(key: str, other: str) -> None:
    """TMDB's unverified keys have a verified one, unless they end in a digest."""
    assert verified_key(key) == other


def test_the_verified_key_of_a_call() -> None:
    """A call has the same one, and one whose own key ends in a digest has it by itself."""
    assert [call(url).verified_key for url in (TMDB, PLAIN, PROXY)] == ["", KEY, ""]
    long = call(f"{PLAIN}?query={'q' * 600}")
    assert (long.verified_key[:-64], "#" in long.key) == (call(f"{TMDB}?query={'q' * 600}").key[:-64], True)
    assert long.verified_key == call(f"{TMDB}?query={'q' * 600}").key


def test_a_call_as_a_verified_one() -> None:
    """It has that key and no other; a call that has none stays itself."""
    plain, own, proxy = call(PLAIN), call(TMDB), call(PROXY, verified=False)
    assert by_verified(plain) == plain._replace(key=KEY, verified_key="")
    assert (by_verified(own), by_verified(proxy)) == (own, proxy)


def hop(url: str) -> Hop:
    return Hop(url, 301, "Moved", {}, b"")


@pytest.mark.parametrize(
    ("url", "reply", "key"),
    [
        # What a verified call gets has to be verified, with every redirect, and sent where the call goes.
        (TMDB, Reply(200, url=TMDB), KEY),
        (TMDB, Reply(200), KEY),
        (TMDB, Reply(200, url=TMDB, verified=False), None),
        (TMDB, Reply(200, url=TMDB, redirects_verified=False), None),
        (TMDB, Reply(200, url="https://api.themoviedb.org/3/movie/551"), None),
        (TMDB, Reply(200, url=f"{TMDB}?language=de"), None),
        (TMDB, Reply(200, url=f"{TMDB}?api_key=x"), KEY),
        (TMDB, Reply(200, url="https://api.tmdb.org/3/movie/550"), KEY),
        (TMDB, Reply(200, url="https://api.themoviedb.org/3/movie/551", history=(hop(TMDB),)), KEY),
        (TMDB, Reply(200, url=TMDB, history=(hop("https://api.themoviedb.org/3/movie/551"),)), None),
        (PROXY, Reply(200, url=PROXY), "GET https://127.0.0.1:4000/3/movie/550"),
        (PROXY, Reply(200, url=PROXY, verified=False), None),
        # What an unverified one gets is stored as such, unless it is the same, and verified, in the end.
        (PLAIN, Reply(200, url=PLAIN, verified=False), PLAIN_KEY),
        (PLAIN, Reply(200, url=TMDB, verified=True, redirects_verified=False), KEY),
        (PLAIN, Reply(200, url=TMDB, verified=False), PLAIN_KEY),
        (PLAIN, Reply(200, url=f"{TMDB}?language=de", verified=True), PLAIN_KEY),
        (PLAIN, Reply(200, url=None), PLAIN_KEY),
    ],
)
def test_the_key_a_response_is_stored_under(url: str, reply: Reply, key: str | None) -> None:
    """By how it came; None where it may be stored under none."""
    found = stored_as(call(url), reply)
    assert (found and found.key) == key
    assert found is None or found.key == call(url).key or found.verified_key == ""


def test_an_unverified_call_to_another_host() -> None:
    """It has one key, whatever it came by."""
    asked = call(PROXY, verified=False)
    assert stored_as(asked, Reply(200, url=PROXY, verified=True)) is asked
