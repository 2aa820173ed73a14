"""The reader's own credentials come into an URL of an answer from the cache only where that leads to TMDB."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from tmdb_mongo_cache import TMDBCache, enabled
from tmdb_mongo_cache.standin import StandIn

from .rules.test_fill_url import READERS

pytestmark = pytest.mark.any_database

FOREIGN = [
    "https://evil.example/?api_key=",
    "//evil.example/?api_key=",
    "/\\evil.example?api_key=",
    "http://evil.example?api_key=",
]


@pytest.mark.parametrize("location", FOREIGN)
@pytest.mark.parametrize("most", [30, 0])
def test_a_document_that_somebody_has_changed(
    cache: TMDBCache, tmdb: StandIn, collection: Any, location: str, most: int
) -> None:
    """A redirect in the database that leads elsewhere now gets nothing of the reader's, in no response and no error."""
    tmdb.answer("/3/movie/1", status=301, headers={"Location": f"/3/movie/550?api_key={READERS}"})
    url = f"{tmdb.url}/3/movie/1?api_key={READERS}"
    with enabled(cache), requests.Session() as session:
        first = session.get(url, timeout=5)
        assert first.history[0].headers["Location"] == f"/3/movie/550?api_key={READERS}"
        assert collection.update_one({"history": {"$ne": None}}, {"$set": {"history.0.headers.Location": location}})
        session.max_redirects = most
        try:
            responses = [session.get(url, timeout=5)]
        except requests.TooManyRedirects as error:
            responses = [error.response] if error.response is not None else []
    for response in responses:
        for step in (response, *response.history):
            assert "evil" not in step.url
            assert not ("evil" in step.headers.get("Location", "") and READERS in step.headers["Location"])
