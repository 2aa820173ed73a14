"""One moment, and entries made for it."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from tmdb_mongo_cache.httpcache.models import Entry

NOW = datetime(2026, 11, 22, 12, tzinfo=timezone.utc)
DAY = 86400
OK = b'{"id":550,"title":"Fight Club"}'
ETAG = 'W/"a"'


def entry(left: float = 100, age: float = 1000, *, etag: str | None = ETAG, **changes: Any) -> Entry:
    """Make an entry with so many seconds of freshness left, fetched so many seconds ago."""
    fetched = NOW - timedelta(seconds=age)
    expires = NOW + timedelta(seconds=left)
    made = Entry(
        key="GET api.themoviedb.org/3/movie/550",
        status=200,
        reason="OK",
        headers={"ETag": etag} if etag else {},
        body=OK,
        timestamp=fetched,
        expires_at=expires,
        purge_at=fetched + timedelta(days=180),
    )
    return made._replace(**changes)
