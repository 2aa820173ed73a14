"""Which setting decides how long a response is fresh."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tmdb_mongo_cache import CacheConfig
from tmdb_mongo_cache.core.expiration_rules import adapts, find_rule, rule_text
from tmdb_mongo_cache.core.settings import Policy
from tmdb_mongo_cache.tmdb.call import Request

FILM = Request("https://api.themoviedb.org/3/movie/550?api_key=secret", "/3/movie/550", "details")
SEARCH = FILM._replace(kind="search")
URLS = {"*/movie/*": 7}


@pytest.mark.parametrize(
    ("request_", "settings", "seconds", "text"),
    [
        (FILM, {}, 86400, "the table of classes (here 'details'; expire_after is not set)"),
        (SEARCH, {}, 21600, "the table of classes (here 'search'; expire_after is not set)"),
        (FILM, {"expire_after": 60}, 60, "expire_after, which is for everything"),
        (FILM, {"expire_after": {"details": 60}}, 60, "expire_after['details']"),
        (
            SEARCH,
            {"expire_after": {"details": 60}},
            21600,
            "the table of classes (here 'search'; expire_after does not have it)",
        ),
        (FILM, {"urls_expire_after": URLS, "expire_after": 60}, 7, "urls_expire_after['*/movie/*']"),
        (FILM, {"urls_expire_after": {"*/tv/*": 7}, "expire_after": 60}, 60, "expire_after, which is for everything"),
        (FILM, {"urls_expire_after": {"*secret*": 7}, "expire_after": 60}, 60, "expire_after, which is for everything"),
    ],
)
def test_the_rule(request_: Request, settings: dict[str, Any], seconds: float, text: str) -> None:
    """The pattern that matches, else the class, else the table; a credential in the URL matches nothing."""
    policy = CacheConfig(**settings).policy
    value, rule = find_rule(request_, policy)
    assert value == seconds
    assert rule_text(rule, request_, policy, "*/movie/*") == text
    own = policy._replace(call_expire_after=math.inf)
    value, rule = find_rule(request_, own)
    assert (value, rule_text(rule, request_, own)) == (math.inf, "expire_after of this call")


def test_without_the_pattern() -> None:
    """Where the pattern is not known, the setting is named."""
    policy = CacheConfig(urls_expire_after=URLS).policy
    assert rule_text(find_rule(FILM, policy)[1], FILM, policy) == "urls_expire_after"


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        *(("adaptive", "details", True), ("adaptive", "others", True), ("adaptive", "search", False)),
        *((60.0, "details", False), (math.inf, "details", False)),
    ],
)
def test_adapts(value: Any, kind: str, expected: bool) -> None:
    """Only titles have an age that "adaptive" goes by."""
    assert adapts(value, kind) is expected
    assert find_rule(FILM._replace(kind=kind), Policy(expire_after=value))[0] == value
