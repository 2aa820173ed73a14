"""Which entries of a foreign file may be imported."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from tmdb_mongo_cache.httpcache.models import Entry, Hop
from tmdb_mongo_cache.mongo.bulk import Copy
from tmdb_mongo_cache.tmdb.cache_key import key_of_url
from tmdb_mongo_cache.transfer import validation

from ..entrykit import NOW, OK

HOSTS = frozenset({"127.0.0.1:4000"})
BASE = "https://api.themoviedb.org"
MOVIE = f"{BASE}/3/movie/550"
KEY = "GET api.themoviedb.org/3/movie/550"
LONG = f"{BASE}/3/search/movie?query={'q' * 600}"
SECRET = "0123456789abcdef0123456789abcdef"
DAY = timedelta(days=1)
ENTRY = Entry(KEY, 200, "OK", {"Date": "x"}, OK, NOW - DAY, NOW + DAY, NOW + 2 * DAY)
HOP = Hop(f"{BASE}/3/movie/551", 301, "Moved", {"Location": "/3/movie/550"}, b"")
ODD = Hop(f"{BASE}/3/movie/551", 301, "Moved", {}, b"")


def why(entry: Entry, changed_at: datetime | None = None) -> str:
    return validation.why_refused(Copy(entry, changed_at), HOSTS, NOW)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"key": "GET http://api.themoviedb.org/3/movie/550"},
        {"key": "GET 127.0.0.1:4000/3/movie/550"},
        {"key": "GET https://127.0.0.1:4000/3/movie/550?language=de"},
        {"key": key_of_url(LONG), "url": LONG},
        {"key": "GET api.themoviedb.org/3/movie/551", "history": (HOP,), "url": MOVIE},
        {"key": "GET api.themoviedb.org/3/movie/551", "history": (HOP, ODD), "url": f"{MOVIE}?a=b"},
        {"url": "https://api.tmdb.org/3/movie/550"},
        {"headers": {"Location": "https://api.tmdb.org/3/movie/551?api_key="}},
        {"headers": {"location": "?api_key=&a=b"}},
        {"headers": {"Cache-Control": "private"}, "key": "GET api.themoviedb.org/3/certification/tv/list"},
        {"timestamp": NOW + timedelta(minutes=14), "expires_at": NOW + DAY},
        {"validated_at": NOW + timedelta(minutes=15)},
        {"purge_at": NOW - DAY + timedelta(days=180), "expires_at": NOW - DAY + timedelta(days=180)},
        {"reason": "a\tb"},
        {"reason": "ä"},
    ],
)
def test_imported(changes: dict[str, Any]) -> None:
    """An entry as this cache writes it, of TMDB or of one of the hosts, with redirects or without."""
    assert why(ENTRY._replace(**changes)) == ""


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        *(({name: "a\ud800"}, "cannot be encoded") for name in ("key", "url", "reason")),
        *(({"headers": headers}, "cannot be encoded") for headers in ({"a\ud800": ""}, {"a": "\ud800"})),
        ({"history": (HOP._replace(url="\ud800"),)}, "cannot be encoded"),
        ({"history": (HOP._replace(reason="\ud800"),)}, "cannot be encoded"),
        ({"history": (HOP._replace(headers={"a": "\ud800"}),)}, "cannot be encoded"),
        *(
            ({"key": key}, "its key is none of TMDB's")
            for key in ("", "change feed", "GET x", f"PUT{KEY[3:]}", f" {KEY}")
        ),
        ({"key": "GET example.org/3/movie/550"}, "its host is none of the hosts"),
        ({"key": "GET 127.0.0.1:4001/3/movie/550"}, "its host is none of the hosts"),
        ({"key": "GET api.themoviedb.org/3/account/1"}, "must not be stored: everything under /3/account"),
        ({"key": f"{KEY}?session_id=abcdef"}, "must not be stored"),
        ({"key": f"{KEY}?api_key={SECRET}"}, "a credential in an url"),
        ({"key": f"{KEY}?page=1"}, "not that of its call"),
        ({"key": f"{KEY}?b=1&a=1"}, "not that of its call"),
        ({"key": key_of_url(LONG)}, "ends in a digest, and no url"),
        ({"key": f"{KEY}#{'0' * 64}", "url": MOVIE}, "not that of its call"),
        ({"key": key_of_url(LONG), "url": f"{LONG}q"}, "not that of its call"),
        ({"url": "https://example.org/3/movie/550"}, "its host is none of the hosts"),
        ({"url": f"{BASE}/3/movie/551"}, "not that of its call"),
        ({"url": f"{MOVIE}?api_key={SECRET}"}, "a credential in an url"),
        ({"url": f"{MOVIE}#a"}, "a credential in an url"),
        ({"history": (HOP,), "url": MOVIE}, "not that of its call"),
        ({"history": (ODD._replace(url=MOVIE),), "url": f"{BASE}/3/list/1"}, "must not be stored"),
        ({"headers": {"Location": "https://example.org/"}}, "a Location in it leads to a host"),
        ({"history": (HOP._replace(url=MOVIE, headers={"LOCATION": "//x/"}),)}, "a Location in it leads to a host"),
        *(
            ({"headers": {"Location": place}}, "a Location")
            for place in ("a b", "https:x", "///x", "//u@api.tmdb.org/", "\\x")
        ),
        *(
            ({"headers": {name: "a"}}, "a credential or a cookie")
            for name in ("Set-Cookie", "X-Api-Key", "Authorization")
        ),
        *(({"headers": {"X": value}}, "a credential or a cookie") for value in ("api_key=abcdef", "Bearer abcdefg")),
        *(
            ({"headers": {"Location": place}}, "a credential or a")
            for place in (f"/?api_key={SECRET}", "/#api_key=abcdef")
        ),
        ({"history": (ODD._replace(url=MOVIE, headers={"Cookie": "a"}),)}, "a credential or a cookie"),
        *(({"headers": {name: "a"}}, "headers that cannot be stored") for name in ("", "a b", "ä", "$a", "a:", "a\n")),
        ({"headers": {"a": "b\n"}}, "headers that cannot be stored"),
        *(({"reason": reason}, "an invalid reason") for reason in ("a\r\n", "\0", "api_key=abcdef")),
        ({"history": (ODD._replace(url=MOVIE, reason="\0"),)}, "an invalid reason"),
        ({"headers": {"Vary": "Cookie"}}, "its Vary names more"),
        ({"headers": {"Cache-Control": "private"}}, "its Cache-Control says private"),
        (
            {
                "key": "GET api.themoviedb.org/3/certification/tv/list",
                "history": (Hop(f"{BASE}/3/certification/tv/list", 301, "", {"Cache-Control": "private"}, b""),),
            },
            "its Cache-Control says private",
        ),
        ({"timestamp": NOW + timedelta(minutes=15)}, "comes from the future"),
        ({"validated_at": NOW + timedelta(minutes=16)}, "comes from the future"),
        ({"purge_at": NOW + timedelta(days=179, seconds=1)}, "longer than TMDB's terms allow (180 days)"),
        ({"expires_at": NOW + timedelta(days=179, seconds=1)}, "longer than TMDB's terms allow (180 days)"),
    ],
)
def test_refused(changes: dict[str, Any], reason: str) -> None:
    """What was not requested so, is private, has a credential in it, leads elsewhere, or cannot be, with the reason."""
    assert reason in why(ENTRY._replace(**changes))


@pytest.mark.parametrize(("minutes", "refused"), [(15, False), (16, True)])
def test_a_change_in_the_future(minutes: int, refused: bool) -> None:
    """No other clock is ahead by more than a quarter of an hour."""
    assert ("future" in why(ENTRY, NOW + timedelta(minutes=minutes))) is refused


@pytest.mark.parametrize(
    ("entry", "path"),
    [
        (ENTRY, "/3/movie/550"),
        (ENTRY._replace(key=key_of_url(LONG) or "", url=LONG), "/3/search/movie"),
        (ENTRY._replace(key=f"{KEY}#{'0' * 64}", history=(HOP,), url=MOVIE), "/3/movie/551"),
        (ENTRY._replace(key="GET 127.0.0.1:4000/3/tv/1"), "/3/tv/1"),
    ],
)
def test_the_call_of_an_entry(entry: Entry, path: str) -> None:
    """It is in the key, or in the first URL where that ends in a digest."""
    call = validation.call_of(entry, HOSTS)
    assert call is not None
    assert call.request.path == path


def test_labels() -> None:
    """What an entry is about comes from its call and response, not from the file."""
    call = validation.call_of(ENTRY, HOSTS)
    assert call is not None
    lied = ENTRY._replace(tmdb_id=1, media_type="tv", endpoint="x")
    assert validation.labelled(lied, call, {}) == ENTRY._replace(
        tmdb_id=550, media_type="movie", endpoint="/3/movie/{movie_id}"
    )
