"""Where a redirect in a stranger's file leads: to TMDB, or the line is refused."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from itertools import cycle, product
from urllib.parse import urljoin, urlsplit

import pytest
from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from tmdb_mongo_cache.httpcache.models import Entry, Hop
from tmdb_mongo_cache.mongo.bulk import Copy
from tmdb_mongo_cache.transfer import validation

from ..flowkit import TMDBS_KEY
from ..transferkit import file_fixture  # noqa: F401 - the fixture is used by its name

NOW = datetime.now(timezone.utc)
MOVIE = "https://api.themoviedb.org/3/movie/"
HOSTS = frozenset({"proxy.example", "127.0.0.1:4000"})
OURS = {"api.themoviedb.org", "api.tmdb.org", "proxy.example", "127.0.0.1"}
SCHEMES = ("", "https:", "HTTPS:", "http:", "ftp:", "javascript:", " https:", "ht\ttps:", "//", "\\")
SLASHES = ("", "/", "//", "///", "\\\\", "/\\", "\t//", "/\n/")
USERS = ("", "a@", "api.themoviedb.org@", "evil.example\\@", "a:b@c@")
PLACES = (
    *("api.themoviedb.org", "API.TMDB.ORG.", "api.themoviedb.org:443", "proxy.example:81", "127.0.0.1:4000", "", "551"),
    *(
        "evil.example",
        "127.0.0.1:4001",
        "api.themoviedb.org:444",
        "api.themoviedb.org.evil.example",
        "[::1]",
        "[",
        "ⓐpi",
    ),
    *("api.themoviedb.org\\.evil.example", "evil.example#@api.tmdb.org", "evil.example?api.tmdb.org", "api.tmdb.org:x"),
)
RESTS = ("", "/3/movie/551?api_key=", "?api_key=", "\\..\\", "#api_key=", "@api.themoviedb.org/")
HOME = (
    *("551", "/3/movie/551", "../movie/551?api_key=", "?api_key=&language=de", "", "#a", "./551", "/3/film/ä", "/3//x"),
    *(
        "//api.tmdb.org/3/movie/551",
        "https://api.themoviedb.org/3/movie/551",
        "HTTP://API.TMDB.ORG:80/x",
        "//api.tmdb.org",
    ),
    *("http://proxy.example:81/3/movie/551", "http://127.0.0.1:4000/3/movie/551?api_key=", "https://api.tmdb.org./3"),
)


def hosts_of(location: str) -> set[str]:
    """Return the hosts that a location leads to, in the readings of browsers, of urllib and of urllib3."""
    found = set()
    browsers = re.sub(r"[\t\n\r]", "", location).strip("\x00\x20").replace("\\", "/")
    absolute = re.match(r"(?i)(?:https?:)?/*", browsers)
    readings = [location, browsers, location.strip(), location.replace("\\", "")]
    if absolute is not None and ":" in absolute[0]:
        readings.append("https://" + browsers[absolute.end() :])
    elif browsers.startswith("//"):
        readings.append("//" + browsers.lstrip("/"))
    for text in readings:
        try:
            joined = urljoin(f"{MOVIE}550", text)
            found |= {urlsplit(joined).hostname or "none", parse_url(joined).host or "none"}
        except (ValueError, LocationParseError):
            found.add("none")
    return {host.lower().rstrip(".") for host in found}


def why_refused(location: str, *, of_hop: bool = True, name: str = "Location") -> str:
    moment = NOW - timedelta(minutes=1)
    headers = {name: location}
    hop = Hop(f"{MOVIE}550", 302, "Found", headers if of_hop else {}, b"")
    entry = Entry(
        *(TMDBS_KEY, 200, "OK", {} if of_hop else headers, b'{"id": 551}', moment),
        *(moment + timedelta(days=1), moment + timedelta(days=2)),
        url=f"{MOVIE}551",
        history=(hop,),
    )
    return validation.why_refused(Copy(entry), HOSTS, NOW)


def test_any_spelling() -> None:
    """Whatever is taken leads to TMDB or to a host of one's own, whoever reads it."""
    taken = 0
    for parts, rest in zip(product(SCHEMES, SLASHES, USERS, PLACES), cycle(RESTS)):
        location = "".join(parts) + rest
        if not why_refused(location):
            taken += 1
            assert hosts_of(location) <= OURS, location
    assert taken > 20


@pytest.mark.parametrize("location", HOME)
@pytest.mark.parametrize("of_hop", [True, False])
def test_home(location: str, of_hop: bool) -> None:
    """What leads to TMDB, or to a host of one's own, is taken."""
    assert why_refused(location, of_hop=of_hop) == ""


@pytest.mark.parametrize("name", ["Location", "location", "LOCATION"])
@pytest.mark.parametrize("of_hop", [True, False])
def test_elsewhere(name: str, of_hop: bool) -> None:
    """The reason names the setting; a header into which nothing is put may lead anywhere."""
    assert "TMDB_CACHE_HOSTS" in why_refused("https://evil.example/?api_key=", of_hop=of_hop, name=name)
    assert why_refused("https://evil.example/", of_hop=of_hop, name="Content-Location") == ""
