"""Entries made of replies: a new one, and one that TMDB has confirmed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from . import bodies, expiration, freshness, header_fields, policy
from .calls import Call, kept_form
from .directives import age_of
from .entry import Entry, Reply
from .expiration import Expiration
from .rules import Policy
from .secrets import strip_url

# RFC 9111 section 3.2: what a 304 says of a body that it does not have.
_NOT_UPDATED = frozenset({"content-length", "content-encoding", "transfer-encoding", "content-range", "set-cookie"})

_OF_THE_BODY = frozenset({"content-length", "etag"})


def make_entry(call: Call, rules: Policy, reply: Reply, data: Any, now: datetime) -> Entry:
    """Make the entry of an answer.

    Args:
        call: the call it answers.
        rules: the settings for it.
        reply: in the form that :func:`.calls.kept_form` gives.
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
    """Return the ``tmdb_id``, ``media_type`` and ``endpoint`` of the entry of an answer, whose parsed body is given."""
    endpoint, _, media_type, tmdb_id = call.endpoint
    if media_type and tmdb_id is None and endpoint and endpoint.count("{") == 1 and isinstance(data, dict):
        # Asked for by another database's id (/3/movie/tt0137523/credits): the answer has TMDB's own.
        given = data.get("id")
        tmdb_id = given if isinstance(given, int) and not isinstance(given, bool) and 0 <= given < 2**63 else None
    return tmdb_id, media_type, endpoint


def renewed_entry(call: Call, rules: Policy, reply: Reply, entry: Entry, now: datetime) -> Entry:
    """Return the entry as it is after a 304: fresh again, with the headers that came along.

    The time of the fetch stays, and with it the end of the six months.
    """
    form = kept_form(call, reply)
    came = {k: v for k, v in form.headers.items() if k.lower() not in _NOT_UPDATED} if form.keepable else {}
    # How old the answer was when it came has nothing to say of this one.
    kept = header_fields.storable(entry.headers)
    new = {name.lower(): value for name, value in came.items()}
    headers = {k: new.pop(k.lower(), v) for k, v in kept.items() if k.lower() != "age" or "age" in new}
    headers |= {name: value for name, value in came.items() if name.lower() in new}
    confirmed = reply._replace(status=entry.status, headers=headers)
    adapts = policy.expiration_of(confirmed, call.ask, rules, now) == expiration.ADAPTIVE
    # Reading it for nothing would cost as much as all the rest.
    data = bodies.parse_if_whole(entry.body) if adapts else None
    wanted = _fresh_for(call, rules, confirmed, data, now)
    expires = expiration.expires_at(wanted, entry.timestamp, now)
    purge = expiration.purge_at(expires, entry.timestamp, policy.retention(rules))
    return entry._replace(headers=headers, expires_at=expires, purge_at=purge, validated_at=now)


def contained_entry(call: Call, rules: Policy, holder: Entry, body: bytes) -> Entry | None:
    """Return the entry of an answer that another one contains: as old as that, and fresh no longer.

    None where the settings let no answer to this call be kept. It has no ETag:
    that is the other answer's.

    Args:
        call: the call it answers.
        rules: the settings for it.
        holder: the entry that contains it.
        body: the answer, as :func:`.appended.extract` gives it.
    """
    reply = Reply(holder.status, headers=holder.headers, body=body)
    wanted = policy.expiration_of(reply, call.ask, rules, holder.timestamp)
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
    """Return how long an answer is fresh, adapted to its title and spread by its key.

    What TMDB's header says, and what a single call asks for, is taken at its word.
    """
    wanted = policy.expiration_of(reply, call.ask, rules, now)
    found = freshness.adaptive_seconds(call.ask.kind, data, now) if isinstance(wanted, str) else wanted
    if not isinstance(found, float):
        return found
    exact = isinstance(rules.call_expire_after, float) or policy.said_lifetime(reply, rules, now) is not None
    return found if exact and reply.status != 404 else freshness.spread(found, call.key)


def age_header(entry: Entry, now: datetime) -> str:
    """Return the Age of an entry in whole seconds (RFC 9111 section 4.2.3)."""
    return str(int(age_of(entry.headers) + entry.age(now).total_seconds()))
