"""Keeping every cache of this process from calling TMDB, whatever its settings say: for tests with a recording.

What calls is patched while it holds, so that the way of a call costs nothing
for it otherwise, and so that it is the same for what is under way already: an
open session, a scope that was entered, a backend that was made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import requests
from requests import PreparedRequest, Response
from requests_cache.models.response import CachedResponse
from requests_cache.session import CacheMixin

from .. import exchange, plain
from ..cache import TMDBCache
from ..errors import ConfigError, OfflineError
from ..jobs.upstream import Upstream
from ..scope import Active
from ..sending import Original
from ..tmdb.calls import classify
from ..tmdb.rules import Policy


@contextmanager
def severed(hint: str) -> Iterator[None]:
    """Have every call to TMDB that no cache can answer be an ``OfflineError`` while this holds.

    Args:
        hint: for people, behind what the error says.
    """
    with ExitStack() as stack:
        for owner, name, make in (
            (exchange, "send", _sent_nowhere),
            (plain, "answer", _answered_from_here),
            # Where requests-cache sends, for a miss and for what is stale.
            (CacheMixin, "_send_and_cache", lambda send: _kept_here(send, hint)),
            (Upstream, "__init__", _refused),
        ):
            before = vars(owner)[name]
            stack.callback(setattr, owner, name, before)
            setattr(owner, name, make(before))
        yield


def _sent_nowhere(send: Callable[..., Response]) -> Callable[..., Response]:
    def offline(
        cache: TMDBCache,
        rules: Policy,
        session: requests.Session,
        request: PreparedRequest,
        original: Original,
        options: Any,
    ) -> Response:
        return send(cache, rules._replace(offline=True), session, request, original, options)

    return offline


def _answered_from_here(answer: Callable[..., Any]) -> Callable[..., Any]:
    def offline(active: Active, *arguments: Any) -> Any:
        return answer(active._replace(rules=active.rules._replace(offline=True)), *arguments)

    return offline


def _kept_here(send: Callable[..., Any], hint: str) -> Callable[..., Any]:
    def offline(
        self: Any,
        request: PreparedRequest,
        actions: Any,
        cached_response: CachedResponse | None = None,
        **options: Any,
    ) -> Any:
        backend = self.cache
        if not getattr(backend, "_tmdb_own_cache", False):
            return send(self, request, actions, cached_response, **options)
        call = classify("GET", request.url, {}, hosts=backend.responses.hosts)
        if call is None:
            return send(self, request, actions, cached_response, **options)
        if cached_response is not None:
            return cached_response  # stale, which every other door serves as well
        text = f"offline is set and the cache has no answer for {call.key}{hint}"
        if request.method != "GET" or call.straight:
            text = "offline is set and this call is never cached: it cannot be answered"
        raise OfflineError(text, request=request)

    return offline


def _refused(_: Callable[..., None]) -> Callable[..., None]:
    def init(self: Upstream, *_: Any, **__: Any) -> None:
        raise ConfigError("this calls TMDB, and in a test with a recording no cache does")

    return init
