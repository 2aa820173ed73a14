"""The look-up of a call: in memory, then in MongoDB, then in responses that contain it."""

from __future__ import annotations

from datetime import datetime
from itertools import chain

from ..httpcache.models import Entry
from ..httpcache.result import Result
from ..tmdb import appended
from ..tmdb.call import Call
from . import policy
from .effects import Find, FindContaining, Flow, Wait
from .entries import contained_entry
from .memory import Moment
from .policy import Step
from .settings import Policy
from .state import Core, Looked

LONGEST_WAIT = 1.0
"""Seconds to wait for the look-up of another thread; who has more time then looks for itself."""

MEMORY, MONGODB, REUSED = "memory", "mongodb", "reused"

Recalled = tuple[Entry | None, bool, datetime, Moment | None]
"""What is in memory: a usable entry, whether it is a plain hit, when that was, and the state of memory before it."""


def look_up(core: Core, call: Call, rules: Policy, recalled: Recalled | None = None) -> Flow[Looked]:
    """Look a call up; where ``reuse_appended`` is set, in responses that contain it as well.

    Args:
        core: the state of the cache.
        call: the call.
        rules: the settings as they are for it.
        recalled: what :func:`recall` gave for its key, if that is known already.
    """
    looked = yield from look_up_stored(core, call, rules, recalled)
    if rules.reuse_appended and not is_fresh_hit(looked) and policy.may_share(call.request, rules):
        looked = (yield from _look_inside(core, call, rules, looked)) or looked
    return looked


def look_up_stored(core: Core, call: Call, rules: Policy, recalled: Recalled | None = None) -> Flow[Looked]:
    """Look up what is stored for the call itself; for the arguments see :func:`look_up`."""
    return (
        _look_up_both(core, call, rules) if call.verified_key else _look_up_key(core, call, rules, call.key, recalled)
    )


def recall(core: Core, call: Call, rules: Policy, key: str) -> Recalled:
    """Look a key up in memory.

    Anything but a plain hit needs MongoDB: another process may have stored a newer response there.
    """
    now, memory = core.clock.now(), core.memory
    if memory is None:
        return None, False, now, None
    since = memory.moment(key)
    entry, step = policy.assess(memory.get(key), call.request, rules, now)
    is_hit = step is Step.SERVE and entry is not None and policy.is_fresh_by_time(entry, now)
    return entry, is_hit, now, since


def _look_up_key(core: Core, call: Call, rules: Policy, key: str, recalled: Recalled | None = None) -> Flow[Looked]:
    remembered, is_hit, now, since = recalled or recall(core, call, rules, key)
    if is_hit:
        return Looked(key, remembered, Step.SERVE, now, MEMORY, since)
    memory = core.memory
    if memory is None:
        found, reachable = yield Find(key)
    else:
        found, reachable = yield from _find_once(core, key, since)
    where = MONGODB
    if not reachable and remembered is not None:
        found, where = remembered, MEMORY
    entry, step = policy.assess(found, call.request, rules, now)
    if memory is not None and since is not None and entry is not None and where is MONGODB:
        memory.put(entry, since)
    return Looked(key, entry, step, now, where, since)


def _find_once(core: Core, key: str, since: Moment | None) -> Flow[tuple[Entry | None, bool]]:
    """Find an entry, once for all threads that want it at the same moment.

    On a cold start that is one operation instead of as many as there are
    threads, each with a connection to make.
    """
    flight, leads = core.look_ups.join(key, since)
    if flight is not None and leads:
        found: tuple[Entry | None, bool] | None = None
        try:
            found = yield Find(key)
        finally:
            core.look_ups.land(flight, found)
        return found or (None, False)
    # Who comes after a change that its leader did not know of looks for itself.
    if flight is not None and flight.state == since and not flight.is_of_this_thread:
        over = yield Wait(flight, min(core.store_timeout, LONGEST_WAIT))
        if over and flight.outcome is not None:
            return flight.outcome
        if not over:
            core.look_ups.leave(flight)  # it may have been interrupted before it could be ended
            if core.store_timeout <= LONGEST_WAIT:
                return None, False
    own: tuple[Entry | None, bool] = yield Find(key)
    return own


def _look_up_both(core: Core, call: Call, rules: Policy) -> Flow[Looked]:
    """Look for the verified response, and then for what has come without verification.

    The one that is fresh goes before the other, and the verified one before
    its equal; but not to MongoDB for it where the other is in memory.
    """
    memory, keys = core.memory, (call.verified_key, call.key)
    if memory is not None and memory.get(call.verified_key) is None and memory.get(call.key) is not None:
        keys = (call.key, call.verified_key)
    found = {}
    for key in keys:
        looked = found[key] = yield from _look_up_key(core, call, rules, key)
        if key == call.key:
            if is_fresh_hit(looked):
                return looked
        elif is_fresh_hit(looked) and not looked.entry.history:  # type: ignore[union-attr]
            return looked._replace(key=call.key, since=None)  # of the call's own key this look-up knows nothing
    (_, entry, _, now, where, _), own = found[call.verified_key], found[call.key]
    if entry is not None and entry.history:
        entry = None  # whether this caller would go that way is not known
    verified = Looked(call.key, entry, _next_step(call, entry, rules, now), now, where, own.since)

    def rank(looked: Looked) -> int:
        if looked.entry is not None and looked.step in (Step.SERVE, Step.SERVE_AND_REFRESH):
            return 0
        if looked.entry is not None and policy.may_be_stale(looked.entry, call.request, rules, looked.now):
            return 1
        return 2 if looked is own else 3

    return min(verified, own, key=rank)


def _next_step(call: Call, entry: Entry | None, rules: Policy, now: datetime) -> Step:
    """Decide what to do with a call, given the usable entry for it: its own, or the verified one."""
    step = policy.decide(entry, call.request, rules, now)
    return Step.FETCH if step is Step.VALIDATE and entry is not None and entry.key != call.key else step


def _look_inside(core: Core, call: Call, rules: Policy, looked: Looked) -> Flow[Looked | None]:
    """Look for a fresh response that contains the one that is wanted; None where there is none.

    One query by a range of keys, and one look-up, for each key by which the call may be answered.
    """
    for source in chain(*(appended.sources(key) for key in (call.verified_key, call.key) if key)):
        keys = yield FindContaining(*appended.key_range(source), appended.key_ending(source), looked.now)
        for key in (key for key in keys if appended.may_hold(source, key)):
            found, _ = yield Find(key)
            holder = policy.usable(found, call.request, looked.now)
            if holder is None or holder.status != 200 or holder.history:
                continue
            body = appended.extract(source, holder.body)
            entry = None if body is None else contained_entry(call, rules, holder, body)
            # Fresh: offline, what is stale would be served as well, and the call's own entry goes before that.
            if (
                entry is not None
                and policy.is_fresh_by_time(entry, looked.now)
                and policy.decide(entry, call.request, rules, looked.now) is Step.SERVE
            ):
                return looked._replace(entry=entry, step=Step.SERVE, where=REUSED)
    return None


def served(looked: Looked) -> Result:
    """Return the result of a call that is answered with the entry of a look-up, as it is."""
    entry = looked.entry
    assert entry is not None  # noqa: S101  the caller has looked
    kind = "hit" if policy.is_fresh_by_time(entry, looked.now) else "stale"
    return Result(looked.now, kind, entry, where=looked.where)


def is_fresh_hit(looked: Looked) -> bool:
    """Say whether a look-up gave an entry that is served, and is fresh (offline, a stale one is served as well)."""
    served = looked.step is Step.SERVE and looked.entry is not None
    return served and policy.is_fresh_by_time(looked.entry, looked.now)  # type: ignore[arg-type]
