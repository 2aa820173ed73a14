"""What programs send and TMDB answers every day is cached, whatever is looked for in it."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from tmdb_mongo_cache import TMDBCache, enabled
from tmdb_mongo_cache.standin import StandIn
from tmdb_mongo_cache.tmdb import credentials

from .rules.test_everyday import HEX

pytestmark = pytest.mark.any_database

TRACED = [
    {"traceparent": f"00-{HEX}-b7ad6b7169203331-01", "tracestate": "vendor=Opaque0123456789abcdefABCDEF"},
    {"X-Request-Id": "16f5dd0b-3a77-4b54-b1d8-e0dd46b1b8a5", "X-Correlation-ID": HEX},
    {"X-B3-TraceId": HEX, "X-B3-SpanId": "e457b5a2e4d86bd1", "uber-trace-id": f"{HEX}:e457b5a2e4d86bd1:0:1"},
    {"sentry-trace": f"{HEX}-6e0c63257de34c92-1", "baggage": f"sentry-trace_id={HEX},sentry-public_key={HEX}"},
    {"X-Amzn-Trace-Id": "Root=1-67891233-abcdef012345678912345678", "X-Cloud-Trace-Context": f"{HEX}/1;o=1"},
    {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0"},
]


@pytest.mark.parametrize("headers", TRACED, ids=" ".join)
def test_what_tracers_and_proxies_add(tmdb: StandIn, cache: TMDBCache, headers: dict[str, str]) -> None:
    """Long values in headers of tracers are in the way of nothing."""
    with enabled(cache):
        answers = [requests.get(f"{tmdb.url}/3/movie/550?api_key=any", headers=headers, timeout=5) for _ in range(2)]
    assert answers[1].from_cache
    assert not credentials.of_headers(headers)


CARRIED: list[dict[str, Any]] = [
    {"cookies": {"lang": "english", "theme": "Poster", "sort": "popular"}},
    {"auth": ("poster", HEX)},
    {"headers": {"X-User": "original", "Cookie": "seen=results; type=content; scope=public"}},
]


@pytest.mark.parametrize("carried", CARRIED, ids=str)
def test_a_word_that_stands_in_every_answer(tmdb: StandIn, cache: TMDBCache, carried: dict[str, Any]) -> None:
    """A cookie or a user whose value is a word of TMDB's own keeps no answer and no header from being stored."""
    with enabled(cache), requests.Session() as session:
        session.get(f"{tmdb.url}/3/movie/550?api_key=any", timeout=5, **carried)
        again = session.get(f"{tmdb.url}/3/movie/550?api_key=any", timeout=5, **carried)
    assert again.from_cache
    assert {"Content-Type", "Cache-Control"} <= {*again.headers}


@pytest.mark.parametrize("query", [f"apikey={HEX}", f"x={HEX}", "session_id=abc", "query=token:+abc"])
def test_no_key_with_a_credential(cache: TMDBCache, query: str) -> None:
    """What is never cached for its credential, or because it is private, has no key."""
    assert cache.key(f"https://api.themoviedb.org/3/search/movie?{query}") is None
    assert cache.key("https://api.themoviedb.org/3/search/movie", query) is None
    assert cache.key("https://api.themoviedb.org/3/account/7") is None
