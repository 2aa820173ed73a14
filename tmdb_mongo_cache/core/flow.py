"""The flow of a call, without I/O: read this module first.

A call may be cached, so it goes through :func:`answer`, a generator. What it
must wait for it yields (:mod:`.effects`); a driver carries that out and sends
the answer back. So every rule of the cache stands here once, for threads and
for event loops, and a test drives it by hand.

::

    answer ── look_up ─┬─ memory, Find, FindContaining
                       ├─ give up            offline, only-if-cached
                       ├─ serve              fresh, or stale within what the caller allows
                       ├─ serve and refresh  Prepare, Background(refresh)
                       └─ call TMDB
                            backing off, and a stale entry: that is served
                            Prepare          the first moment at which the request is needed
                            may not be shared: fetch
                            coalesced ─┬─ Wait, and share the leader's outcome, or time out as the caller would have
                                       └─ lead ── AcquireLease, Sleep 10, 15, 22 … 250 ms
                                                  stored by another process meanwhile: look up again
                                                  fetch ── Sleep (rate limit), Send, judge:
                                                           fetch again | Renew | serve stale | Store | pass on
                                                  at last: land the flight, release the lease

**States.** A call has been looked up (:class:`~.lookup.Looked`: an entry or
none, and the step to take), then fetched (:class:`~.fetch.Fetched`: its result,
and what others may have of it), then answered (``Result``).

**Guarantees.** Up to ``Prepare`` nothing is changed but memory, so a flow may be
dropped there. ``finally`` never yields: a flow can be closed at any effect, by a
caller's own time limit or a cancelled task, and lands what it leads; the next
caller then leads. What a driver throws is the caller's own error and passes
through. MongoDB raises nothing: without it every call is a call to TMDB. There
is one fetch for a key at a time, in a process by :mod:`.single_flight`, across
processes by a lease, and never a deadlock: a caller does not wait for a call
within its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from ..httpcache.cache_status import cache_status
from ..httpcache.result import Result, hit
from ..tmdb.call import Call
from ..tmdb.invalidation import touched_by
from . import policy
from .clock import whole_milliseconds
from .coalescing import coalesced, fetch_alone, refresh
from .effects import Background, Flow, MarkStale, Prepare
from .fetch import Task
from .lookup import MEMORY, look_up, look_up_stored, recall, served
from .policy import Step
from .settings import Policy
from .single_flight import InFlight
from .state import Core, Looked


def answer(core: Core, call: Call, rules: Policy) -> Flow[Result]:
    """Answer a call that may be cached: from the cache, or by calling TMDB.

    Args:
        core: the state of the cache.
        call: the call.
        rules: the settings as they are for it.
    """
    recalled = None
    if not call.verified_key:
        recalled = entry, is_hit, now, _ = recall(core, call, rules, call.key)
        if is_hit and entry is not None:
            core.debug("%s: hit (memory)", call.key)
            return hit(entry, now, MEMORY)
    looked = yield from look_up(core, call, rules, recalled)
    if looked.step in (Step.SERVE, Step.SERVE_AND_REFRESH):
        core.debug("%s: hit (%s)", looked.key, looked.where)
        if looked.step is Step.SERVE_AND_REFRESH:
            yield from _refresh_behind(core, call, rules, looked)
        return served(looked)
    if looked.step is Step.GIVE_UP:
        status = cache_status(fwd="uri-miss", detail="only-if-cached")
        return Result(looked.now, "unanswered", status=status, offline=rules.offline)
    core.debug("%s: %s", call.key, looked.step.name.lower())
    if not policy.may_share(call.request, rules):
        return (yield from fetch_alone(Task(core, call, rules, (yield Prepare(looked))), looked))
    return (yield from coalesced(core, call, rules, looked))


def renew(core: Core, call: Call, rules: Policy) -> Flow[Result | None]:
    """Fetch a call that has no fresh entry; None where it has one. Nothing stale is served first."""
    looked = yield from look_up_stored(core, call, rules)
    if looked.step is Step.SERVE:
        return None
    return (yield from coalesced(core, call, rules, looked))


def write(core: Core, urls: Iterable[str | None]) -> Flow[None]:
    """Make stale what a successful write to some URLs has touched (RFC 9111 section 4.4).

    What is being fetched at that moment may be older than the write: who
    comes from now on does not wait for it.
    """
    touched = tuple(item for url in urls if url for item in touched_by(url))
    if touched:
        yield MarkStale(touched, whole_milliseconds(core.clock.now()))
        core.forget_in_flight()
        core.debug("a write made stale: %s", ", ".join(item.keys[0] for item in touched))


def _refresh_behind(core: Core, call: Call, rules: Policy, looked: Looked) -> Flow[None]:
    """Have an entry be refreshed when its caller has been served (RFC 5861 section 3); once per key at a time."""
    if core.backoff.is_on(call.key):
        return
    yield Prepare(looked)
    flight, leads = core.refreshes.join(call.key)
    if flight is None or not leads:
        return
    dropped = partial(core.refreshes.land, flight, None)
    is_run = False
    try:
        is_run = yield Background(call, _refresh_and_land(core, call, rules, looked, flight), dropped)
    finally:
        if not is_run:
            dropped()


def _refresh_and_land(
    core: Core, call: Call, rules: Policy, looked: Looked, flight: InFlight[None]
) -> Flow[Result | None]:
    try:
        return (yield from refresh(core, call, rules, looked))
    finally:
        core.refreshes.land(flight, None)
