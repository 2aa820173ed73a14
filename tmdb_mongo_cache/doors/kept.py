"""requests-cache's responses and settings, as :mod:`.backend` needs to know them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeGuard

from requests import PreparedRequest, Response
from requests_cache.cache_keys import redact_response
from requests_cache.models.response import CachedResponse
from requests_cache.policy.expiration import get_expiration_seconds
from requests_cache.policy.settings import CacheSettings

from .. import certificates, network
from ..tmdb import channels, secrets
from ..tmdb.calls import Call
from ..tmdb.keys import is_of_tmdb

UNVERIFIED = "#unverified"
"""The end of a key that a session makes by its own function, for what comes by a channel that nobody verifies."""


class Follow:
    """A response hook that sees what became of one write; it is gone when that has ended.

    A backend is told of a write by its key being made, and of nothing after that.

    Args:
        note: is called with every response, redirects included.
    """

    def __init__(self, note: Callable[[Response], None]) -> None:
        self._note = note
        self._followed: list[PreparedRequest] = []

    def begin(self, request: PreparedRequest) -> None:
        """Follow a request that is about to be sent: before the caller's own hooks, which may raise."""
        hooks = request.hooks.get("response", [])
        if not any(isinstance(hook, Follow) for hook in hooks):
            request.hooks = {**request.hooks, "response": [self, *hooks]}

    def __call__(self, response: Response, **_: Any) -> None:
        """Note a response, and take the hook away after the last one."""
        if isinstance(response.request, PreparedRequest):
            self._followed.append(response.request)
            self._note(response)
        if not response.is_redirect:
            for request in self._followed:
                request.hooks = {**request.hooks, "response": [h for h in request.hooks["response"] if h is not self]}


def kept_for(settings: CacheSettings) -> float:
    """Return how long past its expiry an answer may be of use to a session, in seconds."""
    limits = [settings.stale_if_error, settings.stale_while_revalidate]
    seconds = [math.inf if limit is True else get_expiration_seconds(limit) for limit in limits if limit]
    return max((math.inf if found < 0 else float(found) for found in seconds), default=0.0)


def is_whole(found: Any) -> TypeGuard[CachedResponse]:
    """Say whether a document was a response at all: requests-cache makes an empty one of any document."""
    if not isinstance(found, CachedResponse) or not isinstance(found.status_code, int):
        return False
    return 100 <= found.status_code < 600 and isinstance(found._content, bytes | None)


def found_for(key: str, get: Callable[[str], Any]) -> Any:
    """Return what is kept under a key of TMDB's, or the verified answer that may serve for it, if that is fresh.

    A stale one serves where there is no other, without what a 304 might speak
    of: by this channel that would say nothing.
    """
    by_verified = channels.verified_key(key)
    verified = get(by_verified) if by_verified else None
    if verified is None or verified.history:
        return get(key)
    if not verified.is_expired:
        return verified
    found = get(key)
    if found is not None:
        return found
    for name in ("ETag", "Last-Modified"):
        verified.headers.pop(name, None)
    return verified


def kept_under(key: str, response: Response, call: Call, reached: str) -> str | None:
    """Return the key under which a response may be kept, by the channel by which it came; None where it may not.

    Args:
        key: of the request.
        response: what the session got, its redirects with it.
        call: what the last of these asked for, as if by a verified channel.
        reached: the key of that.
    """
    is_cached = isinstance(response, CachedResponse)
    # Straight by what was sent in the end, with what an adapter has added; not from the network by a test's mock.
    if not is_cached and (
        call.straight or not network.is_from_network(response, response.request.url or "", call.hosts)
    ):
        return None
    if is_cached and getattr(response, "cache_key", None) == key:
        return key  # TMDB has confirmed it
    if is_cached and getattr(response, "revalidated", False):
        return None  # that was said by another channel than it came by
    came = [_has_come_verified(step, call.hosts) for step in (*response.history, response)]
    by_its_own_rules = not is_of_tmdb(key) and not key.endswith(UNVERIFIED)
    if channels.is_verified(call.key if by_its_own_rules else key):
        return key if all(came) else None
    by_verified = channels.verified_key(key)
    if not by_verified or by_verified != reached or not came[-1]:
        return key
    return None if is_cached else by_verified


def _has_come_verified(step: Response, hosts: frozenset[str]) -> bool:
    if isinstance(step, CachedResponse):
        return channels.is_verified(step.cache_key or "")
    return certificates.is_verified(step, hosts)


def without_credentials(response: Response, settings: CacheSettings) -> CachedResponse:
    """Redact the redirects as requests-cache redacts the last response."""
    cached = CachedResponse.from_response(response)
    for hop in cached.history:
        redact_response(hop, settings.ignored_parameters)
        if "Location" in hop.headers:
            hop.headers["Location"] = secrets.strip_url(hop.headers["Location"])
    return cached
