"""Offline mode of requests-cache sessions with a ``MongoBackend``, for tests with a recording."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from requests import PreparedRequest
from requests_cache.models.response import CachedResponse
from requests_cache.session import CacheMixin

from ..config import overrides
from ..errors import OfflineError
from ..tmdb.call import classify


@contextmanager
def offline_sessions() -> Iterator[None]:
    """Raise an ``OfflineError`` within for every call of such a session to TMDB that is not in the cache."""
    send: Any = CacheMixin._send_and_cache  # for a miss, and for what is stale

    def offline(
        self: Any,
        request: PreparedRequest,
        actions: Any,
        cached_response: CachedResponse | None = None,
        **options: Any,
    ) -> Any:
        backend = self.cache
        call = None
        if getattr(backend, "_tmdb_own_cache", False):
            call = classify("GET", request.url, {}, hosts=backend.responses.hosts)
        if call is None:
            return send(self, request, actions, cached_response, **options)
        if cached_response is not None:
            return cached_response  # stale, as every other integration serves it
        text = f"offline is set and the cache has no response for {call.key}{overrides.offline_hint}"
        if request.method != "GET" or call.bypass:
            text = "offline is set and this call is never cached: it cannot be answered"
        raise OfflineError(text, request=request)

    CacheMixin._send_and_cache = offline  # type: ignore[method-assign]
    try:
        yield
    finally:
        CacheMixin._send_and_cache = send  # type: ignore[method-assign]
