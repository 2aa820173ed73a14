"""One call per key: who leads, who waits, and what the others get of it.

In a process by :mod:`.flights`, across processes by a lease (:mod:`.turns`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable
from time import monotonic
from typing import TYPE_CHECKING

from .asking import Asked, Asker, Outcome, Send, has_failed, hit_outcome, utcnow
from .flights import PATIENCE, Flight, Flights, Landed, copy_of
from .looking import Looked
from .stats import Counters
from .store.guard import GuardedStore
from .tmdb import policy
from .tmdb.cache_status import cache_status
from .tmdb.calls import Call
from .tmdb.entry import Reply
from .tmdb.limits import LEASE
from .tmdb.policy import Step, Verdict
from .tmdb.rules import Policy
from .tmdb.sharing import why_not_shared
from .turns import wait_for_turn

if TYPE_CHECKING:
    from .store.leases import Taken

_MOST_OF_IT = 0.9
"""The part of a caller's patience that TMDB must have had, for the caller to get a time-out without asking itself."""

COLLAPSED = "collapsed"

_CLOCK_STEP = 0.002  # MongoDB's clock has milliseconds

logger = logging.getLogger("tmdb_mongo_cache")


class Once:
    """Makes the calls of one cache, each of them once at a time.

    Args:
        counters: where answers are counted.
        guarded: where the leases are.
        asker: asks TMDB.
        look_up: looks a call up once more.
    """

    def __init__(
        self,
        counters: Counters,
        guarded: GuardedStore,
        asker: Asker,
        look_up: Callable[[Call, Policy], Looked],
    ) -> None:
        self._counters = counters
        self._guarded = guarded
        self._asker = asker
        self._look_up = look_up
        self._flights = Flights()

    def is_resting(self, key: str) -> bool:
        """Say whether a key is left alone, for TMDB has just failed with it."""
        return self._asker.backoff.is_on(key)

    def forget(self) -> None:
        """Let nobody who comes from now on wait for a call that is under way, nor for a pause to be over."""
        self._flights.leave_all()
        self._asker.backoff.forget()

    def fetch(self, call: Call, rules: Policy, send: Send, looked: Looked) -> Outcome:
        """Answer a call that needs TMDB: by another's call that is under way, else by its own."""
        if self.is_resting(call.key):
            rested = self._rested(call, rules, looked)
            if rested is not None:
                return rested
        patience = send.patience
        end = monotonic() + (PATIENCE if patience is None else min(patience, PATIENCE))
        manner = send.manner
        # What came of the first call may be the fault of who made it, so another is waited for;
        # where that failed as well, only those wait for each other who would fail alike.
        for name in (call.key, call.key, (call.key, manner)):
            flight, leads = self._flights.join(name)
            if flight is None:
                break
            if leads:
                return self._lead(call, rules, send, looked, flight, manner, end)
            if not send.wait(flight.wait, max(end - monotonic(), 0.0)):
                self._flights.leave(flight)
                if patience is not None and monotonic() - flight.asked >= _MOST_OF_IT * patience:
                    return self._late(call, rules, send, looked)
                break  # TMDB has hardly been asked: who led waited for something else
            if flight.landed is not None and _is_for_one_request(flight.landed, call):
                break
            shared = flight.landed and self._shared(call, rules, looked, flight.landed, manner)
            if shared is not None:
                return shared
        return self.ask(call, rules, send, looked)  # nobody else's answer will do

    def ask(self, call: Call, rules: Policy, send: Send, looked: Looked) -> Outcome:
        """Answer a call by one of its own, whoever else makes the same."""
        return self._asker.ask(call, rules, send, looked, validate=looked.step is Step.VALIDATE).outcome

    def refresh(self, call: Call, rules: Policy, send: Send, looked: Looked) -> Outcome | None:
        """Ask TMDB behind a caller that was served a stale answer; None where somebody else does."""
        flight, leads = self._flights.join(call.key)
        if flight is None or not leads:
            return None
        landed = None
        try:
            taken = self._guarded.take(call.key, self._has_other(call, rules, looked))
            if taken is not None and taken.is_anothers:
                return None
            asked = self._ask_in_turn(call, rules, send, looked, flight, taken)
            landed = Landed(asked.reply, asked.entry, send.manner)
            return asked.outcome
        finally:
            self._flights.land(flight, landed)

    def _lead(
        self, call: Call, rules: Policy, send: Send, looked: Looked, flight: Flight, manner: Hashable, end: float
    ) -> Outcome:
        landed, began, patience = None, monotonic(), send.patience
        try:
            has_other = self._has_other(call, rules, looked)
            taken = wait_for_turn(self._guarded, call.key, send, end, refreshing=has_other)
            if taken is not None and taken.is_anothers:
                # Nobody else is to wait for it as well.
                self._guarded.open_lease(call.key)
                if patience is not None and monotonic() - began >= max(_MOST_OF_IT * patience, LEASE):
                    # Whoever has it lives, so TMDB is slow.
                    outcome = self._late(call, rules, send, looked)
                    landed = Landed(outcome.reply, None, manner)
                    return outcome
                rested = self._rested(call, rules, looked)
                if rested is not None:
                    return rested
            asked = self._ask_in_turn(call, rules, send, looked, flight, taken)
            landed = Landed(asked.reply, asked.entry, manner)
            return asked.outcome
        finally:
            self._guarded.let_go(call.key)  # also where the caller's own time limit has ended it
            self._flights.land(flight, landed)

    def _shared(self, call: Call, rules: Policy, looked: Looked, landed: Landed, manner: Hashable) -> Outcome | None:
        """Answer with what came of another's call; None where that will not do."""
        now = utcnow()
        fwd = _why_forwarded(looked)
        if landed.entry is None and landed.reply is None:
            return self._rested(call, rules, looked)
        entry = policy.usable(landed.entry, call.ask, now)
        if entry is not None:
            if policy.decide(entry, call.ask, rules, now) is not Step.SERVE:
                return None
            left = policy.seconds_left(entry, now)
            return Outcome(cache_status(fwd=fwd, collapsed=True, ttl=left), now, entry, kind=COLLAPSED)
        reply = landed.reply
        if landed.entry is not None or reply is None or landed.manner != manner:
            return None
        if reply.error is not None:
            if reply.native is not None:
                return None  # it came half, and whose it is reads that half
            copied = copy_of(reply.error)
            if copied is None:
                return None
            reply = Reply(error=copied)
        judged = policy.judge(reply, call.ask, looked.entry, rules, False, now)
        if judged.verdict is Verdict.SERVE_STALE:
            # The one who made the call has warned.
            return self._asker.stale(call, reply, judged, looked, now, level=logging.DEBUG)
        if judged.verdict is not Verdict.PASS_ON:
            return None
        status, native = cache_status(fwd=fwd, collapsed=True), reply._replace(native=None)
        return Outcome(status, now, None, native, kind=COLLAPSED, failed=has_failed(reply))

    def _late(self, call: Call, rules: Policy, send: Send, looked: Looked) -> Outcome:
        """Answer a caller whose patience is at an end while another's call is still under way."""
        now = utcnow()
        reply = send.late()
        judged = policy.judge(reply, call.ask, looked.entry, rules, False, now)
        if judged.verdict is Verdict.SERVE_STALE:
            return self._asker.stale(call, reply, judged, looked, now)
        self._counters.add("failures")
        return Outcome(cache_status(fwd=_why_forwarded(looked)), now, None, reply, failed=True)

    def _ask_in_turn(
        self, call: Call, rules: Policy, send: Send, looked: Looked, flight: Flight, taken: Taken | None
    ) -> Asked:
        """Ask TMDB, unless another process has the answer, or a fresh failure, already."""
        asked = None
        try:
            if taken is not None and taken.rest:
                self._asker.backoff.leave(call.key, taken.rest)
                rested = self._rested(call, rules, looked)
                if rested is not None:
                    asked = Asked(rested)
                    return asked
            if taken is not None and _may_be_answered(taken, looked):
                fwd = _why_forwarded(looked)
                looked = self._look_up(call, rules)
                if looked.entry is not None and looked.step is Step.SERVE:
                    left = policy.seconds_left(looked.entry, looked.now)
                    status = cache_status(fwd=fwd, collapsed=True, ttl=left, detail=looked.where)
                    outcome = Outcome(status, looked.now, looked.entry, kind=COLLAPSED)
                    asked = Asked(outcome, entry=looked.entry)
                    return asked
            flight.asked = monotonic()
            validate = looked.entry is not None and looked.entry.etag is not None
            asked = self._asker.ask(call, rules, send, looked, validate=validate)
            return asked
        finally:
            if taken is not None and taken.is_mine:
                failed = asked is None or asked.failed
                self._guarded.give_back(call.key, failed, 0.0 if asked is None else asked.rest)

    def _has_other(self, call: Call, rules: Policy, looked: Looked) -> bool:
        """Say whether there is an answer that may be served should TMDB fail."""
        return looked.entry is not None and policy.may_be_stale(looked.entry, call.ask, rules, looked.now)

    def _rested(self, call: Call, rules: Policy, looked: Looked) -> Outcome | None:
        """Answer with what there is, for TMDB has just failed with this key; None where nothing may be served."""
        entry = looked.entry
        if entry is None or not self._has_other(call, rules, looked):
            return None
        logger.debug("%s: left alone for a while", call.key)
        return hit_outcome(looked, entry)


def _is_for_one_request(landed: Landed, call: Call) -> bool:
    """Say whether an answer is, by its own headers, for nobody else (RFC 9111 section 5.2.2.5); no failure is."""
    reply = landed.reply
    if landed.entry is not None or reply is None or has_failed(reply):
        return False
    return bool(why_not_shared(reply.headers, call.ask.template))


def _why_forwarded(looked: Looked) -> str:
    return "uri-miss" if looked.entry is None else "stale"


def _may_be_answered(taken: Taken, looked: Looked) -> bool:
    """Say whether another process may have stored the answer since a look-up began."""
    since_looked = (utcnow() - looked.now).total_seconds()
    return taken.after is not None and (taken.after <= since_looked + _CLOCK_STEP or since_looked < 0)
