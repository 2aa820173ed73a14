"""Entries from replies: a new one, one confirmed by a 304, one contained in another."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ..httpcache import expiration, json_body, storable_headers
from ..httpcache.cache_control import age_of
from ..httpcache.expiration import Expiration
from ..httpcache.models import Entry, Reply
from ..tmdb import freshness
from ..tmdb.call import Call, storable_form
from ..tmdb.redaction import strip_url
from . import policy
from .settings import Policy

# RFC 9111 section 3.2: header fields of a 304 that are about a body.
_NOT_UPDATED = frozenset({"content-length", "content-encoding", "transfer-encoding", "content-range", "set-cookie"})

_OF_THE_BODY = frozenset({"content-length", "etag"})


def make_entry(call: Call, rules: Policy, reply: Reply, data: Any, now: datetime) -> Entry:
    """Return the entry of a response.

    Args:
        call: its call.
        rules: the settings for it.
        reply: in its storable form (:func:`.tmdb.call.storable_form`).
        data: the parsed body.
        now: when it was fetched.
    """
    wanted = _fresh_for(call, rules, reply, data, now)
    expires = expiration.expires_at(wanted, now, now)
    tmdb_id, media_type, endpoint = labels(call, data)
    return Entry(
        key=call.key,
        status=reply.status,
        reason=reply.reason,
        headers=reply.headers,
        body=reply.body,
        timestamp=now,
        expires_at=expires,
        purge_at=expiration.purge_at(expires, now, policy.retention(rules)),
        tmdb_id=tmdb_id,
        media_type=media_type,
        endpoint=endpoint,
        url=reply.url or (strip_url(call.url) if "#" in call.key else None),
        history=reply.history,
    )


def labels(call: Call, data: Any) -> tuple[int | str | None, str | None, str | None]:
    """Return the ``tmdb_id``, ``media_type`` and ``endpoint`` of a response's entry, given its parsed body."""
    endpoint, _, media_type, tmdb_id = call.endpoint
    if media_type and tmdb_id is None and endpoint and endpoint.count("{") == 1 and isinstance(data, dict):
        # Requested by the id of another database (/3/movie/tt0137523/credits): the response has TMDB's.
        given = data.get("id")
        tmdb_id = given if isinstance(given, int) and not isinstance(given, bool) and 0 <= given < 2**63 else None
    return tmdb_id, media_type, endpoint


def renewed_entry(call: Call, rules: Policy, reply: Reply, entry: Entry, now: datetime) -> Entry:
    """Return the entry after a 304: fresh again, with the headers of the 304.

    The time of the fetch stays, and with it the six months.
    """
    form = storable_form(call, reply)
    received = {k: v for k, v in form.headers.items() if k.lower() not in _NOT_UPDATED} if form.storable else {}
    # The stored Age was that of the earlier response.
    stored = storable_headers.storable(entry.headers)
    new = {name.lower(): value for name, value in received.items()}
    headers = {k: new.pop(k.lower(), v) for k, v in stored.items() if k.lower() != "age" or "age" in new}
    headers |= {name: value for name, value in received.items() if name.lower() in new}
    confirmed = reply._replace(status=entry.status, headers=headers)
    adapts = policy.expiration_of(confirmed, call.request, rules, now) == expiration.ADAPTIVE
    # Parsing takes as long as all the rest.
    data = json_body.parse_if_whole(entry.body) if adapts else None
    wanted = _fresh_for(call, rules, confirmed, data, now)
    expires = expiration.expires_at(wanted, entry.timestamp, now)
    purge = expiration.purge_at(expires, entry.timestamp, policy.retention(rules))
    return entry._replace(headers=headers, expires_at=expires, purge_at=purge, validated_at=now)


def contained_entry(call: Call, rules: Policy, holder: Entry, body: bytes) -> Entry | None:
    """Return the entry of a response that another one contains: as old as that, and fresh no longer.

    None where the settings allow no response to this call to be stored. It has no ETag,
    which is that of the other response.

    Args:
        call: its call.
        rules: the settings for it.
        holder: the entry that contains it.
        body: the response, as :func:`.appended.extract` returns it.
    """
    reply = Reply(holder.status, headers=holder.headers, body=body)
    wanted = policy.expiration_of(reply, call.request, rules, holder.timestamp)
    if wanted == expiration.DO_NOT_CACHE:
        return None
    expires = holder.expires_at
    if not isinstance(wanted, str):
        confirmed = holder.validated_at or holder.timestamp
        expires = min(expires, expiration.expires_at(wanted, holder.timestamp, confirmed))
    headers = {name: value for name, value in holder.headers.items() if name.lower() not in _OF_THE_BODY}
    endpoint = call.endpoint.template
    return holder._replace(key=call.key, headers=headers, body=body, expires_at=expires, endpoint=endpoint, url=None)


def _fresh_for(call: Call, rules: Policy, reply: Reply, data: Any, now: datetime) -> Expiration:
    """Return how long a response is fresh, adapted to its title, with jitter.

    Expirations of the response itself, and of a single call, are exact.
    """
    wanted = policy.expiration_of(reply, call.request, rules, now)
    found = freshness.adaptive_seconds(call.request.kind, data, now) if isinstance(wanted, str) else wanted
    if not isinstance(found, float):
        return found
    exact = isinstance(rules.call_expire_after, float) or policy.response_lifetime(reply, rules, now) is not None
    return found if exact and reply.status != 404 else freshness.with_jitter(found, call.key)


def age_header(entry: Entry, now: datetime) -> str:
    """Return the Age of an entry in whole seconds (RFC 9111 section 4.2.3)."""
    return str(int(age_of(entry.headers) + entry.age(now).total_seconds()))
