"""Entries made of responses: what is in them, and what of it comes from where."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tmdb_mongo_cache.core.entries import age_header, contained_entry, labels, make_entry
from tmdb_mongo_cache.core.settings import Policy
from tmdb_mongo_cache.httpcache.expiration import DO_NOT_CACHE
from tmdb_mongo_cache.httpcache.models import Hop, Reply
from tmdb_mongo_cache.tmdb.call import Call, classify, storable_form

from ..entrykit import NOW, OK, entry

BASE = "https://api.themoviedb.org"
SECRET = "0123456789abcdef0123456789abcdef"
HOUR = 3600.0


def call(path: str = "/3/movie/550", headers: dict[str, str] | None = None) -> Call:
    found = classify("GET", BASE + path, headers or {})
    assert found is not None
    return found


def test_what_is_in_it() -> None:
    """The response as it came, when, for how long, and what it is about."""
    hop = Hop(f"{BASE}/3/movie/1", 301, "Moved", {}, b"")
    reply = Reply(200, "Fine", {"A": "b"}, OK, url=f"{BASE}/3/movie/550", history=(hop,))
    made = make_entry(call(), Policy(expire_after=HOUR, stale_if_error=60.0), reply, {"id": 1}, NOW)
    assert made[:5] == ("GET api.themoviedb.org/3/movie/550", 200, "Fine", {"A": "b"}, OK)
    assert (made.timestamp, made.expires_at) == (NOW, NOW + timedelta(hours=1))
    assert made.purge_at == NOW + timedelta(hours=1, seconds=60)
    assert (made.tmdb_id, made.media_type, made.endpoint) == (550, "movie", "/3/movie/{movie_id}")
    assert (made.validated_at, made.url, made.history) == (None, reply.url, (hop,))


def test_how_long_it_is_of_use() -> None:
    """As long as any setting may serve it stale."""
    rules = Policy(expire_after=HOUR, stale_if_error=60.0, stale_while_revalidate=90.0)
    assert make_entry(call(), rules, Reply(200), None, NOW).purge_at == NOW + timedelta(hours=1, seconds=90)


def test_its_url() -> None:
    """It has one, without credentials, where its key ends in a digest."""
    long = call(f"/3/search/movie?query={'q' * 600}&api_key={SECRET}")
    made = make_entry(long, Policy(), Reply(200), None, NOW)
    assert made.url == f"{BASE}/3/search/movie?query={'q' * 600}&api_key="
    assert make_entry(call(f"/3/movie/550?api_key={SECRET}"), Policy(), Reply(200), None, NOW).url is None


@pytest.mark.parametrize(
    ("path", "data", "found"),
    [
        ("/3/movie/550", {"id": 1}, (550, "movie", "/3/movie/{movie_id}")),
        ("/3/movie/tt0137523", {"id": 550}, (550, "movie", "/3/movie/{movie_id}")),
        ("/3/movie/tt0137523/credits", {"id": 550}, (550, "movie", "/3/movie/{movie_id}/credits")),
        *(
            ("/3/movie/tt0137523", data, (None, "movie", "/3/movie/{movie_id}"))
            for data in ({"id": True}, {"id": "550"}, {"id": -1}, {"id": 2**63}, {"id": 1.0}, {}, [550], None)
        ),
        ("/3/movie/tt0137523", {"id": 0}, (0, "movie", "/3/movie/{movie_id}")),
        ("/3/movie/tt0137523", {"id": 2**63 - 1}, (2**63 - 1, "movie", "/3/movie/{movie_id}")),
        ("/3/tv/tt1/season/1", {"id": 7}, (None, "tv", "/3/tv/{series_id}/season/{season_number}")),
        ("/3/movie/popular", {"id": 7}, (None, None, "/3/movie/popular")),
        ("/3/find/tt0137523", {"id": 7}, (None, None, "/3/find/{external_id}")),
        ("/3/odd/1", {"id": 7}, (None, None, None)),
    ],
)
def test_labels(path: str, data: Any, found: tuple[Any, ...]) -> None:
    """The id is the path's, or that of the response where the path has another database's of a title."""
    assert labels(call(path), data) == found


def contained(path: str, rules: Policy, **changes: Any) -> Any:
    holder = entry(left=100, age=1000, endpoint="/3/movie/{movie_id}", tmdb_id=550, media_type="movie", **changes)
    return contained_entry(call(path), rules, holder, b"{}"), holder


def test_contained_in_another() -> None:
    """It is as old as the one it is in and fresh no longer, and has no header that is about that one's body."""
    headers = {"ETag": "x", "etag": "y", "Content-Length": "5", "Date": "z"}
    found, holder = contained("/3/movie/550/credits", Policy(expire_after=7 * 86400.0), headers=headers, url="x")
    assert found == holder._replace(
        key="GET api.themoviedb.org/3/movie/550/credits",
        headers={"Date": "z"},
        body=b"{}",
        endpoint="/3/movie/{movie_id}/credits",
        url=None,
    )


@pytest.mark.parametrize(
    ("seconds", "validated", "left"), [(1050.0, None, 50), (900.0, None, -100), (5000.0, None, 100), (60.0, 20, 40)]
)
def test_contained_for_less(seconds: float, validated: int | None, left: float) -> None:
    """Where its own expiration is shorter, that counts from when the other was fetched or confirmed."""
    confirmed = None if validated is None else NOW - timedelta(seconds=validated)
    found, _ = contained("/3/movie/550/credits", Policy(expire_after=seconds), validated_at=confirmed)
    assert found.expires_at == NOW + timedelta(seconds=left)


def test_contained_and_not_stored() -> None:
    """Where the settings forbid it there is none; "adaptive" leaves what the other has."""
    assert contained("/3/movie/550/credits", Policy(expire_after=DO_NOT_CACHE))[0] is None
    found, holder = contained("/3/movie/550/credits", Policy(expire_after="adaptive"))
    assert found.expires_at == holder.expires_at


@pytest.mark.parametrize(
    ("headers", "age", "seconds"),
    [({}, 10.9, "10"), ({"Age": "5"}, 10.9, "15"), ({"Age": "x"}, 0, "0"), ({"age": "7"}, -5, "7")],
)
def test_age(headers: dict[str, str], age: float, seconds: str) -> None:
    """Its age here, and what it had when it came."""
    assert age_header(entry(age=age, headers=headers), NOW) == seconds


FILM = f"{BASE}/3/movie/550"


def hop(url: str, location: str = "/3/movie/550", **headers: str) -> Hop:
    return Hop(url, 301, "Moved", {"Location": location, "Set-Cookie": "a=b", "CF-Ray": "1", **headers}, b"moved")


def test_what_is_stored_of_a_response() -> None:
    """Its headers without cookies, credentials, and what is about one exchange; not whose object it was."""
    headers = {"Date": "x", "Set-Cookie": "a=b", "X-Request-Id": "1", "Link": f"<{SECRET}>"}
    reply = Reply(200, "OK", headers, OK, native=object(), url=f"{FILM}?api_key={SECRET}")
    found = storable_form(call(f"/3/movie/550?api_key={SECRET}"), reply)
    assert found == reply._replace(headers={"Date": "x"}, native=None, url=None)


def test_what_is_stored_of_redirects() -> None:
    """Each of them, redacted; its body, its Location without credentials, and where it led."""
    reply = Reply(
        200, "OK", {}, OK, url=f"{FILM}?api_key={SECRET}", history=(hop(f"{BASE}/3/movie/1?api_key={SECRET}"),)
    )
    found = storable_form(call(f"/3/movie/1?api_key={SECRET}"), reply)
    assert found.storable
    assert found.url == f"{FILM}?api_key="
    assert found.history == (Hop(f"{BASE}/3/movie/1?api_key=", 301, "Moved", {"Location": "/3/movie/550"}, b"moved"),)
    location = hop(f"{BASE}/3/movie/1", f"/3/movie/550?api_key={SECRET}&x=1", Date="x")
    found = storable_form(call("/3/movie/1"), reply._replace(url=f"{FILM}?x=1", history=(location,)))
    assert found.history[0].headers == {"Location": "/3/movie/550?api_key=&x=1", "Date": "x"}


def test_two_redirects() -> None:
    """The last URL is where the response came from."""
    history = (hop(f"{BASE}/3/movie/1", "/3/movie/2"), hop(f"{BASE}/3/movie/2"))
    found = storable_form(call("/3/movie/1"), Reply(200, "OK", {}, OK, url=FILM, history=history))
    assert (found.url, [step.url for step in found.history]) == (FILM, [f"{BASE}/3/movie/1", f"{BASE}/3/movie/2"])


@pytest.mark.parametrize(
    ("url", "history"),
    [
        (FILM, (hop("http://api.themoviedb.org/3/movie/1"),)),
        ("https://api.tmdb.org/3/movie/1", (hop(f"{BASE}/3/movie/1"),)),
        (f"{BASE}/3/movie/1?api_key={SECRET}", (hop(f"{BASE}/3/movie/1"),)),
    ],
)
def test_the_same_call_elsewhere(url: str, history: tuple[Hop, ...]) -> None:
    """Redirects to the other host, to https or to the same with a key leave nothing to follow."""
    found = storable_form(call("/3/movie/1"), Reply(200, "OK", {}, OK, url=url, history=history))
    assert found.storable
    assert (found.history == ()) is (not url.startswith(FILM))


@pytest.mark.parametrize(
    ("url", "history"),
    [
        ("https://example.org/3/movie/550", (hop(f"{BASE}/3/movie/1"),)),
        (f"{BASE}/3/account/1", (hop(f"{BASE}/3/movie/1"),)),
        (f"{BASE}/3/movie/550?append_to_response=account_states", (hop(f"{BASE}/3/movie/1"),)),
        (FILM, (hop(f"{BASE}/3/movie/1"), hop("https://example.org/"))),
        (FILM, (hop(f"{BASE}/3/movie/1"), hop(f"{BASE}/3/list/1"))),
        (None, (hop(f"{BASE}/3/movie/1"),)),
        (FILM, (hop(f"{BASE}/3/movie/1", "https://u:p@api.tmdb.org/3/movie/550"),)),
        (FILM, (hop(f"{BASE}/3/movie/1", f"/3/movie/550#api_key={SECRET}"),)),
        (FILM, (hop(f"{BASE}/3/movie/1", **{"Cache-Control": "private"}),)),
        (FILM, (hop(f"{BASE}/3/movie/1", Vary="Cookie"),)),
    ],
)
def test_redirects_that_are_not_stored(url: str | None, history: tuple[Hop, ...]) -> None:
    """By way of another host or of something private, for one user, or where a redirect says so."""
    found = storable_form(call("/3/movie/1"), Reply(200, "OK", {}, OK, url=url, history=history))
    assert not found.storable


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, "OK", {}, b'{"id": 550, "you": "' + SECRET.encode() + b'"}'),
        Reply(200, f"OK {SECRET}", {}, OK),
        Reply(200, "api_key=abcdef", {}, OK),
        Reply(200, "OK", {"$x": "1"}, OK),
        Reply(200, "OK", {"x": "a\x01b"}, OK),
        Reply(200, "OK", {}, b'{"you": "sent-later"}', credentials=frozenset({"sent-later"})),
    ],
)
def test_responses_that_are_not_stored(reply: Reply) -> None:
    """What repeats a credential of its call, or would not come back from a document as it was."""
    assert not storable_form(call(f"/3/movie/550?api_key={SECRET}"), reply).storable
