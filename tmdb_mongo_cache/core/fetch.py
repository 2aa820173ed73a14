"""The fetch: send, judge what came back, store it, and say what the caller and others get of it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from ..httpcache.cache_status import cache_status
from ..httpcache.models import Entry, Reply
from ..httpcache.result import Result, seconds_left
from ..httpcache.retry_after import retry_after
from ..tmdb import transport_security
from ..tmdb.call import Call, storable_form
from . import policy, recent_writes
from .clock import whole_milliseconds
from .effects import Caller, Flow, Renew, Send, Sleep, Store
from .entries import make_entry, renewed_entry
from .memory import forget_key
from .policy import Judged, Verdict
from .settings import Policy
from .state import Core, Looked

logger = logging.getLogger("tmdb_mongo_cache")

RATE_LIMIT_TIMEOUT = 60.0
"""Seconds that a call without a ``timeout`` waits for TMDB's limit to pass, in all."""


class Task(NamedTuple):
    """A call that needs TMDB: the state of its cache, the call, the settings as they are for it, and whose it is."""

    core: Core
    call: Call
    rules: Policy
    caller: Caller


class Fetched(NamedTuple):
    """What came of a fetch: the caller's result, and what others may have of it.

    ``failed`` where there is no new response to share, ``backoff`` the seconds in
    which nobody is to try again.
    """

    result: Result
    reply: Reply | None = None
    entry: Entry | None = None
    failed: bool = False
    backoff: float = 0.0


def fetch(task: Task, looked: Looked, *, validate: bool) -> Flow[Fetched]:
    """Call TMDB.

    Args:
        task: the call.
        looked: what has been looked up for it.
        validate: whether the entry's ETag goes along, so that TMDB may say that nothing has changed.
    """
    core, call, rules, _ = task
    entry = looked.entry
    # Not of what has come in another way: who sends a 304 would have a say in that.
    validate = validate and entry is not None and entry.key == call.key
    headers = {"If-None-Match": entry.etag} if validate and entry is not None and entry.etag else {}
    began = core.clock.monotonic()
    reply = yield from _send(task, headers, entry)
    now = whole_milliseconds(core.clock.now())
    kept_as = transport_security.stored_as(call, reply)
    if kept_as is None:
        reply = reply._replace(storable=False)
    shared = None if kept_as is None else reply
    judged = policy.judge(reply, call.request, entry, rules, validate, now)
    if judged.verdict is Verdict.FETCH_AGAIN:
        return (yield from fetch(task, looked, validate=False))
    outdated = recent_writes.since(began, (kept_as or call).key, call.endpoint)
    if entry is not None and judged.verdict is Verdict.RENEW:
        core.backoff.succeeded(call.key)
        return (yield from _renew(task, reply, looked, now, outdated=outdated))
    if judged.verdict is Verdict.SERVE_STALE:
        # What is the caller's own fault (a proxy) is no reason for others to back off.
        took = core.clock.monotonic() - began
        backoff = core.backoff.failed(call.key, reply, took) if reply.storable else 0.0
        return Fetched(stale(task, reply, judged, looked, now), shared, None, failed=True, backoff=backoff)
    core.backoff.succeeded(call.key)
    made, stored = yield from _store(task._replace(call=kept_as or call), reply, judged, looked, now, outdated=outdated)
    ttl = seconds_left(made, now) if made and stored else None
    status = cache_status(fwd=_why_forwarded(entry, now), stored=stored, ttl=ttl)
    kept = made if stored else None
    result = Result(now, "miss", reply=reply, status=status, stored=kept, failed=has_failed(reply))
    return Fetched(result, shared, made, failed=made is None)


def stale(
    task: Task, reply: Reply, judged: Judged, looked: Looked, now: datetime, level: int = logging.WARNING
) -> Result:
    """Answer with the entry that was looked up, because TMDB failed; ``level`` is that of the line in the log."""
    entry = looked.entry
    assert entry is not None  # noqa: S101  the verdict says so
    logger.log(level, "TMDB failed (%s); serving the response of %s for %s", judged.why, entry.timestamp, task.call.key)
    task.core.counters.add("failures")
    left, fwd = seconds_left(entry, now), _why_forwarded(entry, now)
    status = cache_status(fwd=fwd, fwd_status=reply.status, ttl=left, detail=looked.where)
    return Result(now, "stale", entry, status=status, where=looked.where, failed=True)


def _send(task: Task, headers: Mapping[str, str], entry: Entry | None) -> Flow[Reply]:
    """Send the request; with ``wait_on_rate_limit`` when TMDB's limit allows it, and again after a 429."""
    core, call, rules, caller = task
    if not rules.wait_on_rate_limit:
        reply: Reply = yield Send(headers)
        return reply
    limit, clock = core.rate_limits[transport_security.is_verified(call.key)], core.clock
    # Where there is another response, a 429 need not be waited for.
    has_other = entry is not None and policy.may_be_stale(entry, call.request, rules, clock.now())
    end = clock.monotonic() + (RATE_LIMIT_TIMEOUT if caller.timeout is None else caller.timeout)
    while True:
        until = limit.until
        if not has_other and clock.monotonic() < until <= end:
            yield Sleep(max(until - clock.monotonic(), 0.0))
        reply = yield Send(headers)
        if reply.error is not None or reply.status != 429:
            limit.passed()
            return reply
        limit.met(retry_after(reply.headers, clock.now()))
        if has_other or limit.until > end:
            return reply


def _renew(task: Task, reply: Reply, looked: Looked, now: datetime, *, outdated: bool) -> Flow[Fetched]:
    entry = looked.entry
    assert entry is not None  # noqa: S101  the verdict says so
    renewed = _not_fresher_than_known(renewed_entry(task.call, task.rules, reply, entry, now), now, outdated=outdated)
    stored = yield Renew(renewed)
    _remember(task.core, renewed, looked)
    left, fwd = seconds_left(renewed, now), _why_forwarded(entry, now)
    status = cache_status(fwd=fwd, fwd_status=304, stored=stored, ttl=left, detail=looked.where)
    kept = renewed if stored else None
    result = Result(now, "revalidated", renewed, status=status, stored=kept, revalidated=True)
    return Fetched(result, reply, renewed)


def _store(
    task: Task, reply: Reply, judged: Judged, looked: Looked, now: datetime, *, outdated: bool
) -> Flow[tuple[Entry | None, bool]]:
    """Return the entry made of a reply, if it makes one, and whether MongoDB has it."""
    core, call, rules, _ = task
    if judged.verdict is Verdict.STORE:
        kept = storable_form(call, reply)
        if kept.storable:
            made = _not_fresher_than_known(make_entry(call, rules, kept, judged.data, now), now, outdated=outdated)
            stored = yield Store(made, judged.data)
            _remember(core, made, looked)
            if stored:
                core.counters.add("stored")
            return made, stored
        judged = Judged(Verdict.PASS_ON, "it repeats a credential or was redirected elsewhere")
    if has_failed(reply):
        core.counters.add("failures")
    logger.debug("%s: not stored: %s", call.key, judged.why)
    return None, False


def _remember(core: Core, entry: Entry, looked: Looked) -> None:
    """Put an entry that was written into memory; other caches of this process are to look for it in MongoDB."""
    known = entry.key == looked.key  # else nobody has looked what became of its key meanwhile
    forget_key(entry.key, but=core.memory if known else None)
    if known and core.memory is not None and looked.since is not None:
        core.memory.store(entry, looked.since)


def has_failed(reply: Reply) -> bool:
    """Say whether TMDB has failed: no response, too many requests, or its own fault."""
    return reply.error is not None or reply.status >= 500 or reply.status == 429


def _not_fresher_than_known(entry: Entry, now: datetime, *, outdated: bool) -> Entry:
    """Return the entry, stale where this process has written to it while TMDB was called."""
    return entry._replace(expires_at=min(entry.expires_at, now)) if outdated else entry


def _why_forwarded(entry: Entry | None, now: datetime) -> str:
    """Return why TMDB was called, in RFC 9211's words."""
    return "uri-miss" if entry is None else "request" if policy.is_fresh_by_time(entry, now) else "stale"
