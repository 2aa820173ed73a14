"""requests-cache's responses and settings: what :mod:`.integrations.requests_cache.backend` has to know of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeGuard

from requests import PreparedRequest, Response
from requests_cache.cache_keys import redact_response
from requests_cache.models.response import CachedResponse
from requests_cache.policy.expiration import get_expiration_seconds
from requests_cache.policy.settings import CacheSettings

from ...tmdb import redaction, transport_security
from ...tmdb.cache_key import is_of_tmdb
from ...tmdb.call import Call
from ..requests import mock_detection, tls_verification

UNVERIFIED = "#unverified"
"""The end of a key that a session makes by its own function, for responses whose channel is not verified."""


class WriteFollower:
    """A response hook that sees the responses to one write; it is removed when the last one is there.

    All that a backend sees of a write is that its key is created.

    Args:
        note: is called with every response, redirects included.
    """

    def __init__(self, note: Callable[[Response], None]) -> None:
        self._note = note
        self._followed: list[PreparedRequest] = []

    def begin(self, request: PreparedRequest) -> None:
        """Follow a request that is about to be sent: before the caller's own hooks, which may raise."""
        hooks = request.hooks.get("response", [])
        if not any(isinstance(hook, WriteFollower) for hook in hooks):
            request.hooks = {**request.hooks, "response": [self, *hooks]}

    def __call__(self, response: Response, **_: Any) -> None:
        """Note a response, and remove the hook after the last one."""
        if isinstance(response.request, PreparedRequest):
            self._followed.append(response.request)
            self._note(response)
        if not response.is_redirect:
            for request in self._followed:
                request.hooks = {**request.hooks, "response": [h for h in request.hooks["response"] if h is not self]}


def usable_after_expiry(settings: CacheSettings) -> float:
    """Return how long past its expiry a session may use a response, in seconds."""
    limits = [settings.stale_if_error, settings.stale_while_revalidate]
    seconds = [math.inf if limit is True else get_expiration_seconds(limit) for limit in limits if limit]
    return max((math.inf if found < 0 else float(found) for found in seconds), default=0.0)


def is_whole(found: Any) -> TypeGuard[CachedResponse]:
    """Say whether a document was a response: requests-cache makes an empty one of any document."""
    if not isinstance(found, CachedResponse) or not isinstance(found.status_code, int):
        return False
    return 100 <= found.status_code < 600 and isinstance(found._content, bytes | None)


def find_for(key: str, get: Callable[[str], Any]) -> Any:
    """Return what is stored under a key of TMDB's, or the verified response if that is fresh.

    A stale verified one is used where there is no other, without its validators: a
    304 by this channel would not confirm it.
    """
    by_verified = transport_security.verified_key(key)
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


def storage_key(key: str, response: Response, call: Call, reached: str) -> str | None:
    """Return the key under which a response may be stored, by the channel by which it came; None where it may not.

    Args:
        key: of the request.
        response: what the session got, its redirects with it.
        call: what the last of these requested, as if by a verified channel.
        reached: the key of that.
    """
    is_cached = isinstance(response, CachedResponse)
    # The request as sent, with what an adapter added, may bypass the cache; a test's mock is not the network.
    if not is_cached and (
        call.bypass or not mock_detection.is_from_network(response, response.request.url or "", call.hosts)
    ):
        return None
    if is_cached and getattr(response, "cache_key", None) == key:
        return key  # TMDB has confirmed it
    if is_cached and getattr(response, "revalidated", False):
        return None  # confirmed by another channel than it came by
    came = [_has_come_verified(step, call.hosts) for step in (*response.history, response)]
    by_its_own_rules = not is_of_tmdb(key) and not key.endswith(UNVERIFIED)
    if transport_security.is_verified(call.key if by_its_own_rules else key):
        return key if all(came) else None
    by_verified = transport_security.verified_key(key)
    if not by_verified or by_verified != reached or not came[-1]:
        return key
    return None if is_cached else by_verified


def _has_come_verified(step: Response, hosts: frozenset[str]) -> bool:
    if isinstance(step, CachedResponse):
        return transport_security.is_verified(step.cache_key or "")
    return tls_verification.is_verified(step, hosts)


def redacted(response: Response, settings: CacheSettings) -> CachedResponse:
    """Redact the redirects as requests-cache redacts the last response."""
    cached = CachedResponse.from_response(response)
    for hop in cached.history:
        redact_response(hop, settings.ignored_parameters)
        if "Location" in hop.headers:
            hop.headers["Location"] = redaction.strip_url(hop.headers["Location"])
    return cached
