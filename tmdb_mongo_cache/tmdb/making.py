"""Entries made of replies: a new one, and one that TMDB has confirmed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from . import expiration, policy
from .calls import Call, kept_form
from .directives import age_of
from .entry import Entry, Reply
from .rules import Policy
from .secrets import strip_url

# RFC 9111 section 3.2: what a 304 says of a body that it does not have.
_NOT_UPDATED = frozenset({"content-length", "content-encoding", "transfer-encoding", "content-range", "set-cookie"})


def make_entry(call: Call, rules: Policy, reply: Reply, data: Any, now: datetime) -> Entry:
    """Make the entry of an answer.

    Args:
        call: the call it answers.
        rules: the settings for it.
        reply: in the form that :func:`.calls.kept_form` gives.
        data: the parsed body.
        now: when it was fetched.
    """
    expires = expiration.expires_at(policy.expiration_of(reply, call.ask, rules, now), now, now)
    endpoint, _, media_type, tmdb_id = call.endpoint
    if media_type and tmdb_id is None and endpoint and endpoint.count("/") == 3 and isinstance(data, dict):
        # Asked for by another database's id (/3/movie/tt0137523): the answer has TMDB's own.
        given = data.get("id")
        tmdb_id = given if isinstance(given, int) and not isinstance(given, bool) and 0 <= given < 2**63 else None
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


def renewed_entry(call: Call, rules: Policy, reply: Reply, entry: Entry, now: datetime) -> Entry:
    """Return the entry as it is after a 304: fresh again, with the headers that came along.

    The time of the fetch stays, and with it the end of the six months.
    """
    came = {k: v for k, v in kept_form(call, reply).headers.items() if k.lower() not in _NOT_UPDATED}
    # How old the answer was when it came has nothing to say of this one.
    names = {"age", *(name.lower() for name in came)}
    headers = {k: v for k, v in entry.headers.items() if k.lower() not in names} | came
    wanted = policy.expiration_of(reply._replace(status=entry.status, headers=headers), call.ask, rules, now)
    expires = expiration.expires_at(wanted, entry.timestamp, now)
    purge = expiration.purge_at(expires, entry.timestamp, policy.retention(rules))
    return entry._replace(headers=headers, expires_at=expires, purge_at=purge, validated_at=now)


def age_header(entry: Entry, now: datetime) -> str:
    """Return the Age of an entry in whole seconds (RFC 9111 section 4.2.3)."""
    return str(int(age_of(entry.headers) + entry.age(now).total_seconds()))
