"""Sessions and adapters of requests-ratelimiter: what a hit spends of their budget."""

from __future__ import annotations

import time
from typing import Any

import pytest
import requests
import requests_cache
from requests_ratelimiter import LimiterAdapter, LimiterMixin, LimiterSession

from tmdb_mongo_cache import MongoBackend, TMDBCache, enabled
from tmdb_mongo_cache.standin import StandIn

LIMITS: dict[str, Any] = {"per_second": 2, "burst": 1}


class CachedLimiterSession(requests_cache.CacheMixin, LimiterMixin, requests.Session):
    """requests-cache around a limiter, as both document it."""


@pytest.fixture
def url(tmdb: StandIn) -> str:
    return f"{tmdb.url}/3/movie/1?api_key=any"


def seconds(session: requests.Session, url: str) -> float:
    """Return what three calls take, after the first one."""
    session.get(url)
    started = time.monotonic()
    assert all(session.get(url).from_cache for _ in range(3))
    return time.monotonic() - started


def test_session(cache: TMDBCache, url: str) -> None:
    """A LimiterSession spends on hits as well: its own send counts before the cache is asked."""
    with enabled(cache), LimiterSession(**LIMITS) as session:
        assert seconds(session, url) > 0.9


def test_adapter(cache: TMDBCache, url: str) -> None:
    """A LimiterAdapter spends nothing on hits: it is asked for what goes out."""
    with enabled(cache), requests.Session() as session:
        session.mount("http://", LimiterAdapter(**LIMITS))
        assert seconds(session, url) < 0.4


def test_with_requests_cache(mongo: Any, database: str, url: str) -> None:
    """A limiter below requests-cache with MongoBackend spends nothing on hits."""
    with CachedLimiterSession(backend=MongoBackend(database, connection=mongo), **LIMITS) as session:
        assert seconds(session, url) < 0.4
