"""Whole calls: making them, looking at what came of them, editing what is stored."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta, timezone
from typing import Any

import requests

from tmdb_mongo_cache import enabled
from tmdb_mongo_cache.mongo.document import checksum
from tmdb_mongo_cache.standin import StandIn
from tmdb_mongo_cache.tmdb.cache_key import key_of_url
from tmdb_mongo_cache.tmdb.freshness import with_jitter

STANDIN = StandIn()
"""The stand-in TMDB of this process's tests, one after the other: its address is in the keys."""

START = f"GET {STANDIN.host}"
MOVIE = "/3/movie/550"
KEY = f"{START}{MOVIE}"
TMDBS_KEY = f"GET api.themoviedb.org{MOVIE}"
ODD = "/3/odd"  # TMDB has no such path, so whatever is not empty and no error may be its response
API_KEY = "0123456789abcdef0123456789abcdef"
ANY_KEY = {"api_key": "any"}
DAY = 86400.0


def get(tmdb: Any, path: str = MOVIE, *, session: Any = requests, params: Any = None, **options: Any) -> Any:
    """Make a call as a program would, with its own api_key."""
    return session.get(tmdb.url + path, params={"api_key": API_KEY, **(params or {})}, **{"timeout": 5, **options})


def spread_time(seconds: float, key: str = KEY) -> timedelta:
    """Return what an expiration is for a key, in the milliseconds that MongoDB keeps."""
    return timedelta(milliseconds=round(with_jitter(seconds, key) * 1000))


def near(found: timedelta, wanted: timedelta) -> bool:
    """Say whether two times that went through MongoDB are one, whichever way their milliseconds were cut."""
    return abs(found - wanted) <= timedelta(milliseconds=2)


def now() -> datetime:
    """Return the time as a plain client reads it from MongoDB."""
    return datetime.now(timezone.utc).replace(tzinfo=None)


def expire(collection: Any, key: str = KEY, *, since: float = 60, **changes: Any) -> dict[str, Any]:
    """Let an entry be 24 hours old and its time be up for some seconds; return its document."""
    expired = now() - timedelta(seconds=since)
    times = {"timestamp": expired - timedelta(days=1), "expires_at": expired}
    assert collection.update_one({"_id": key}, {"$set": {**times, **changes}}).matched_count == 1
    return collection.find_one({"_id": key})


def sent(tmdb: Any, number: int = -1) -> dict[str, str]:
    """Return the headers of a call that arrived, their names in lower case."""
    return {name.lower(): value for name, value in tmdb.calls[number].headers.items()}


def paths(tmdb: Any) -> list[str]:
    """Return the paths of the calls that arrived."""
    return [call.path.partition("?")[0] for call in tmdb.calls]


def status_of(response: Any) -> dict[str, str]:
    """Return our member of Cache-Status as a mapping; a flag has an empty value."""
    name, *parts = response.headers["Cache-Status"].split(",")[-1].strip().split("; ")
    assert name == "tmdb-mongo-cache"
    return {part.partition("=")[0]: part.partition("=")[2] for part in parts}


def recent(moment: datetime) -> bool:
    """Say whether an aware time is that of this test."""
    assert moment.tzinfo is not None
    return abs(moment - datetime.now(timezone.utc)) < timedelta(seconds=30)


def warnings(caplog: Any) -> list[logging.LogRecord]:
    """Return what this package has logged that a user should look at."""
    return [r for r in caplog.records if r.name.startswith("tmdb_mongo_cache") and r.levelno >= logging.WARNING]


def replaced(tmdb: Any, cache: Any, collection: Any) -> bool:
    """Say whether the next call fetches a new response, stores it and serves it from then on."""
    before = tmdb.count
    with enabled(cache):
        first, second = get(tmdb), get(tmdb)
    assert (first.status_code, first.json()["id"] > 0) == (200, True)
    assert second.content == first.content
    assert "if-none-match" not in {name.lower() for name in tmdb.calls[before].headers}
    document = collection.find_one({"_id": KEY})
    return (tmdb.count - before, first.from_cache, second.from_cache, document["body"]) == (
        1,
        False,
        True,
        first.content,
    )


def make_tmdbs_own(collection: Any) -> None:
    """Let what came from the stand-in be as what came from TMDB itself; the checksum goes with the key."""
    for document in list(collection.find({})):
        collection.delete_one({"_id": document["_id"]})
        own = str(document["_id"]).replace(START, "GET api.themoviedb.org")
        if "url" in document:
            own = str(key_of_url(document["url"].replace(f"http://{STANDIN.host}", "https://api.themoviedb.org")))
        collection.insert_one({**document, "_id": own, "checksum": checksum(own, document["status"], document["body"])})
