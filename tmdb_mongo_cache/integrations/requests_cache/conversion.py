"""Converts entries to responses of requests-cache, and back."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from requests.structures import CaseInsensitiveDict
from requests.utils import get_encoding_from_headers
from requests_cache.models.request import CachedRequest
from requests_cache.models.response import CachedResponse

from ...core import policy
from ...core.entries import make_entry, renewed_entry
from ...core.settings import Policy
from ...httpcache import expiration
from ...httpcache.models import Entry, Hop
from ...httpcache.storable_headers import storable
from ...tmdb import call as calls
from ...tmdb import redaction
from ...tmdb.cache_key import parts_of
from ...tmdb.shared_cache import why_not_shared
from ..requests.response_builder import to_reply


def to_cached(entry: Entry) -> CachedResponse:
    """Build what requests-cache serves from an entry; its URL is redacted."""
    parts = parts_of(entry.key)
    # A key by a session's own rules contains no URL; one that ends in a digest contains the beginning.
    by_key = (parts.url if parts is not None else entry.key).partition("#")[0]
    first = by_key if entry.url is None or entry.history else entry.url
    response = _cached(entry, entry.url or first)
    response.history = [_cached(hop, hop.url if index else first) for index, hop in enumerate(entry.history)]
    now = datetime.now(timezone.utc)
    response.created_at = entry.timestamp
    response.expires = entry.expires_at if policy.is_fresh_by_time(entry, now) else min(entry.expires_at, now)
    response.cache_key = entry.key
    return response


def _cached(entry: Entry | Hop, url: str) -> CachedResponse:
    headers = CaseInsensitiveDict(storable(entry.headers))
    return CachedResponse(
        content=entry.body,
        encoding=get_encoding_from_headers(headers),  # type: ignore[arg-type]
        headers=headers,
        reason=entry.reason,
        request=CachedRequest(method="GET", url=url),
        status_code=entry.status,
        url=url,
    )


def to_entry(
    key: str, value: Any, call: calls.Call, rules: Policy, confirmed: datetime | None, carried: frozenset[str]
) -> tuple[Entry | None, Any]:
    """Turn what requests-cache wants stored into an entry; None when it may not be stored."""
    if call.bypass:
        return None, None
    reply = to_reply(value, value.content or b"")._replace(
        native=None,
        storable=True,
        identifies_user=any(calls.may_identify_user(step.request.url, step.request.headers) for step in value.history),
        credentials=carried,
    )
    # Under the key of its first request a response includes the redirects; the call is that of the last one.
    if key != call.key and any(why_not_shared(hop.headers, None) for hop in reply.history):
        return None, None
    fetched = value.created_at if value.created_at.tzinfo else value.created_at.replace(tzinfo=timezone.utc)
    judged = policy.judge(reply, call.request, None, rules, False, fetched)
    form = calls.storable_form(call, reply)
    if judged.verdict is not policy.Verdict.STORE or not form.storable:
        return None, None
    made = make_entry(call, rules, form, judged.data, fetched)
    if confirmed is not None:
        made = renewed_entry(call, rules, reply, made, confirmed)
    expires = made.expires_at if value.expires is None else expiration.expires_at(value.expires, fetched, fetched)
    entry = made._replace(
        key=key,
        expires_at=expires,
        purge_at=expiration.purge_at(expires, fetched, policy.retention(rules)),
        # A key that a session makes by its own rules does not contain the URL.
        url=made.url or (None if key == call.key else redaction.strip_url(call.url)),
    )
    return entry, judged.data
