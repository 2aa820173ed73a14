"""Request coalescing: for each key one caller leads, the others wait for its outcome.

In a process by :mod:`.single_flight`, across processes by a lease in MongoDB.
"""

from __future__ import annotations

import logging

from ..httpcache.cache_status import cache_status
from ..httpcache.models import Reply
from ..httpcache.result import Result, seconds_left
from ..tmdb.call import Call
from ..tmdb.shared_cache import why_not_shared
from . import policy
from .clock import whole_milliseconds
from .effects import AcquireLease, Flow, Prepare, Sleep, Wait
from .fetch import Fetched, Task, fetch, has_failed, stale
from .lease import Lease
from .lookup import look_up_stored, served
from .policy import Step, Verdict
from .settings import LEASE, Policy
from .single_flight import InFlight, copy_of
from .state import Core, Looked, Outcome

TIMEOUT = 30.0
"""Seconds that a caller without a ``timeout`` waits for another's call, before it makes its own."""

MOST_OF_IT = 0.9
"""The part of its timeout that TMDB must have had, for a caller to get a time-out without a call of its own."""

FIRST_PAUSE, LONGEST_PAUSE, GROWTH = 0.01, 0.25, 1.5
"""Seconds between attempts to take a lease: a quick response is seen soon, a slow one costs MongoDB little."""

COLLAPSED = "collapsed"

_CLOCK_STEP = 0.002  # MongoDB's clock has milliseconds


def coalesced(core: Core, call: Call, rules: Policy, looked: Looked) -> Flow[Result]:
    """Answer a call that needs TMDB: by another's call that is in flight, else by its own."""
    if core.backoff.is_on(call.key):
        backed_off = _while_backing_off(core, call, rules, looked)
        if backed_off is not None:
            return backed_off
    task = Task(core, call, rules, (yield Prepare(looked)))
    timeout, clock = task.caller.timeout, core.clock
    end = clock.monotonic() + (TIMEOUT if timeout is None else min(timeout, TIMEOUT))
    # What came of the first call may be the fault of its caller, so another is waited for; where
    # that failed as well, only those wait for each other who would fail alike.
    for name in (call.key, call.key, (call.key, task.caller.share_key)):
        flight, leads = core.fetches.join(name)
        if flight is None:
            break
        if leads:
            return (yield from _lead(task, looked, flight, end))
        if not (yield Wait(flight, max(end - clock.monotonic(), 0.0))):
            core.fetches.leave(flight)
            if timeout is not None and clock.monotonic() - flight.sent_at >= MOST_OF_IT * timeout:
                return _timed_out(task, looked)
            break  # TMDB has hardly been called: its leader waited for something else
        if flight.outcome is not None:
            if _is_for_one_request(flight.outcome, call):
                break
            shared = _shared(task, looked, flight.outcome)
            if shared is not None:
                return shared
    return (yield from fetch_alone(task, looked))  # nobody else's response will do


def fetch_alone(task: Task, looked: Looked) -> Flow[Result]:
    """Answer a call by one of its own, whoever else makes the same."""
    fetched = yield from fetch(task, looked, validate=looked.step is Step.VALIDATE)
    return fetched.result


def refresh(core: Core, call: Call, rules: Policy, looked: Looked) -> Flow[Result | None]:
    """Fetch behind a caller that was served a stale entry; None where somebody else does."""
    task = Task(core, call, rules, (yield Prepare(looked)))
    flight, leads = core.fetches.join(call.key)
    if flight is None or not leads:
        return None
    outcome = None
    try:
        lease = yield AcquireLease(call.key, _has_other(call, rules, looked))
        if lease is not None and lease.is_anothers:
            return None
        fetched = yield from _fetch_under_lease(task, looked, flight, lease)
        outcome = Outcome(fetched.reply, fetched.entry, task.caller.share_key)
        return fetched.result
    finally:
        core.leases.abandon_lease(call.key)
        core.fetches.land(flight, outcome)


def _lead(task: Task, looked: Looked, flight: InFlight[Outcome], end: float) -> Flow[Result]:
    core, call, rules, caller = task
    outcome, began, timeout = None, core.clock.monotonic(), caller.timeout
    try:
        lease = yield from _wait_for_lease(core, call.key, end, refreshing=_has_other(call, rules, looked))
        if lease is not None and lease.is_anothers:
            # Nobody else is to wait for it as well.
            core.leases.open_lease(call.key)
            if timeout is not None and core.clock.monotonic() - began >= max(MOST_OF_IT * timeout, LEASE):
                # Its holder lives, so TMDB is slow.
                result = _timed_out(task, looked)
                outcome = Outcome(result.reply, None, caller.share_key)
                return result
            backed_off = _while_backing_off(core, call, rules, looked)
            if backed_off is not None:
                return backed_off
        fetched = yield from _fetch_under_lease(task, looked, flight, lease)
        outcome = Outcome(fetched.reply, fetched.entry, caller.share_key)
        return fetched.result
    finally:
        core.leases.abandon_lease(call.key)  # also where the caller's own time limit has ended it
        core.fetches.land(flight, outcome)


def _wait_for_lease(core: Core, key: str, end: float, *, refreshing: bool) -> Flow[Lease | None]:
    """Take the lease of a key as soon as no other process has it.

    Returns:
        another's only where the time is over; None where MongoDB does not say.
    """
    pause = FIRST_PAUSE
    while True:
        lease: Lease | None = yield AcquireLease(key, refreshing)
        if lease is None or not lease.is_anothers:
            return lease
        left = end - core.clock.monotonic()
        if left <= 0:
            return lease
        yield Sleep(min(pause, left))
        pause = min(pause * GROWTH, LONGEST_PAUSE)


def _fetch_under_lease(task: Task, looked: Looked, flight: InFlight[Outcome], lease: Lease | None) -> Flow[Fetched]:
    """Call TMDB, unless another process has the response, or a fresh failure, already."""
    core, call, rules, _ = task
    fetched = None
    try:
        if lease is not None and lease.backoff:
            core.backoff.back_off(call.key, lease.backoff)
            backed_off = _while_backing_off(core, call, rules, looked)
            if backed_off is not None:
                fetched = Fetched(backed_off)
                return fetched
        if lease is not None and _may_be_stored(core, lease, looked):
            fwd = _why_forwarded(looked)
            looked = yield from look_up_stored(core, call, rules)
            if looked.entry is not None and looked.step is Step.SERVE:
                left = seconds_left(looked.entry, looked.now)
                status = cache_status(fwd=fwd, collapsed=True, ttl=left, detail=looked.where)
                fetched = Fetched(Result(looked.now, COLLAPSED, looked.entry, status=status), entry=looked.entry)
                return fetched
        flight.sent_at = core.clock.monotonic()
        validate = looked.entry is not None and looked.entry.etag is not None
        fetched = yield from fetch(task, looked, validate=validate)
        return fetched
    finally:
        if lease is not None and lease.is_mine:
            failed = fetched is None or fetched.failed
            core.leases.release_lease(call.key, failed, 0.0 if fetched is None else fetched.backoff)


def _shared(task: Task, looked: Looked, outcome: Outcome) -> Result | None:
    """Answer with what came of another's call; None where that will not do."""
    core, call, rules, caller = task
    now = whole_milliseconds(core.clock.now())
    fwd = _why_forwarded(looked)
    if outcome.entry is None and outcome.reply is None:
        return _while_backing_off(core, call, rules, looked)
    entry = policy.usable(outcome.entry, call.request, now)
    if entry is not None:
        if policy.decide(entry, call.request, rules, now) is not Step.SERVE:
            return None
        left = seconds_left(entry, now)
        return Result(now, COLLAPSED, entry, status=cache_status(fwd=fwd, collapsed=True, ttl=left))
    reply = outcome.reply
    if outcome.entry is not None or reply is None or outcome.share_key != caller.share_key:
        return None
    if reply.error is not None:
        if reply.native is not None:
            return None  # half of it has come, which its caller reads
        copied = copy_of(reply.error)
        if copied is None:
            return None
        reply = Reply(error=copied)
    judged = policy.judge(reply, call.request, looked.entry, rules, False, now)
    if judged.verdict is Verdict.SERVE_STALE:
        # The leader has warned.
        return stale(task, reply, judged, looked, now, logging.DEBUG)
    if judged.verdict is not Verdict.PASS_ON:
        return None
    status, shared = cache_status(fwd=fwd, collapsed=True), reply._replace(native=None)
    return Result(now, COLLAPSED, reply=shared, status=status, failed=has_failed(reply))


def _timed_out(task: Task, looked: Looked) -> Result:
    """Answer a caller whose timeout is over while another's call is still in flight."""
    core, call, rules, caller = task
    now = whole_milliseconds(core.clock.now())
    reply = caller.timed_out()
    judged = policy.judge(reply, call.request, looked.entry, rules, False, now)
    if judged.verdict is Verdict.SERVE_STALE:
        return stale(task, reply, judged, looked, now)
    core.counters.add("failures")
    return Result(now, "miss", reply=reply, status=cache_status(fwd=_why_forwarded(looked)), failed=True)


def _has_other(call: Call, rules: Policy, looked: Looked) -> bool:
    """Say whether there is an entry that may be served should TMDB fail."""
    return looked.entry is not None and policy.may_be_stale(looked.entry, call.request, rules, looked.now)


def _while_backing_off(core: Core, call: Call, rules: Policy, looked: Looked) -> Result | None:
    """Answer with what there is, because TMDB has just failed with this key; None where nothing may be served."""
    if not _has_other(call, rules, looked):
        return None
    core.debug("%s: backing off", call.key)
    return served(looked)


def _is_for_one_request(outcome: Outcome, call: Call) -> bool:
    """Say whether a response is, by its own headers, for nobody else (RFC 9111 section 5.2.2.5); no failure is."""
    reply = outcome.reply
    if outcome.entry is not None or reply is None or has_failed(reply):
        return False
    return bool(why_not_shared(reply.headers, call.request.template))


def _why_forwarded(looked: Looked) -> str:
    return "uri-miss" if looked.entry is None else "stale"


def _may_be_stored(core: Core, lease: Lease, looked: Looked) -> bool:
    """Say whether another process may have stored the response since a look-up began."""
    since = (whole_milliseconds(core.clock.now()) - looked.now).total_seconds()
    return lease.after is not None and (lease.after <= since + _CLOCK_STEP or since < 0)
