"""What the tests of the flow share: calls to the stand-in, and edits of what is in the database."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import requests

MOVIE = "/3/movie/550"
KEY = "GET api.themoviedb.org/3/movie/550"
API_KEY = "0123456789abcdef0123456789abcdef"


def get(tmdb: Any, path: str = MOVIE, *, session: Any = requests, params: Any = None, **options: Any) -> Any:
    """Make a call as a program would, with its own api_key."""
    return session.get(tmdb.url + path, params={"api_key": API_KEY, **(params or {})}, **{"timeout": 5, **options})


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


def status_of(response: Any) -> dict[str, str]:
    """Return our member of Cache-Status as a mapping; a flag has an empty value."""
    name, *parts = response.headers["Cache-Status"].split(",")[-1].strip().split("; ")
    assert name == "tmdb-mongo-cache"
    return {part.partition("=")[0]: part.partition("=")[2] for part in parts}


def recent(moment: datetime) -> bool:
    """Say whether an aware time is that of this test."""
    assert moment.tzinfo is not None
    return abs(moment - datetime.now(timezone.utc)) < timedelta(seconds=30)
