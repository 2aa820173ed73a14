"""What the program's own code raises in the middle of a call passes through the cache as it is."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter

from tmdb_mongo_cache import TMDBCache, enabled
from tmdb_mongo_cache.standin import StandIn

from .flowkit import MOVIE

RAISED = [StopIteration("own"), StopAsyncIteration(), GeneratorExit(), RuntimeError("own"), asyncio.CancelledError()]


class _Raising(HTTPAdapter):
    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def send(self, *_: Any, **__: Any) -> requests.Response:  # type: ignore[override]
        raise self.error


@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
def test_raised_by_an_adapter(cache: TMDBCache, tmdb: StandIn, error: BaseException) -> None:
    """It is the very same object, also where it means something to generators and event loops."""
    session = requests.Session()
    session.mount("http://", _Raising(error))
    with enabled(cache):
        with pytest.raises(type(error)) as found:
            session.get(f"{tmdb.url}{MOVIE}?api_key=any")
        assert found.value is error
        assert requests.get(f"{tmdb.url}{MOVIE}?api_key=any", timeout=5).status_code == 200
