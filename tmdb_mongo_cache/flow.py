"""The one flow: look into MongoDB; if fresh, answer from it; else ask TMDB, store, answer.

Every door brings its call in here as a :class:`~.tmdb.calls.Call` and something
that sends it. The rules are in :mod:`.tmdb`, the documents in :mod:`.store`;
this module is what holds them together, and sees to it that the same call is
not made twice at once: in this process by :mod:`.flights`, in others by a lease.
"""

from __future__ import annotations

import logging
from datetime import datetime, timezone
from time import monotonic
from typing import TYPE_CHECKING

from .asking import Asked, Asker, Looked, Outcome, Send, utcnow
from .config import CacheConfig
from .flights import PATIENCE, Flight, Flights, Landed, copy_of
from .refresh import Refresher
from .stats import Counters
from .store.guard import GuardedStore
from .store.memory import Memory
from .tmdb import policy
from .tmdb.cache_status import cache_status
from .tmdb.calls import Call
from .tmdb.entry import Entry, Reply
from .tmdb.policy import Step, Verdict
from .tmdb.rules import Policy
from .turns import wait_for_turn

if TYPE_CHECKING:
    from .store.leases import Taken

logger = logging.getLogger("tmdb_mongo_cache")

_CLOCK_STEP = 0.002  # MongoDB's clock has milliseconds

MEMORY, MONGODB = "memory", "mongodb"


class Flow:
    """The flow of one cache: what it looks up in, and what it counts."""

    def __init__(self, config: CacheConfig, counters: Counters) -> None:
        self.counters = counters
        seconds = float(config.memory_ttl)  # type: ignore[arg-type]
        self.memory = Memory(seconds, config.memory_max_bytes) if seconds and config.memory_max_bytes else None
        self.guarded = GuardedStore(config, counters, self.memory)
        self._asker = Asker(counters, self.guarded, self.memory)
        self._flights = Flights()
        self._refresher = Refresher()

    def look_up(self, call: Call, rules: Policy) -> Looked:
        """Look a call up, in memory and then in MongoDB; never raises because of the database."""
        now = datetime.now(timezone.utc)
        memory, since, remembered = self.memory, None, None
        if memory is not None:
            since = memory.moment(call.key)
            remembered = policy.usable(memory.get(call.key), call.ask, now)
            # Anything but a plain hit needs MongoDB: another process may have a newer answer there.
            if (
                remembered is not None
                and policy.is_fresh_by_time(remembered, now)
                and policy.decide(remembered, call.ask, rules, now) is Step.SERVE
            ):
                return Looked(call.key, remembered, Step.SERVE, now, MEMORY, since)
        found, reachable = self.guarded.get(call.key)
        where = MONGODB
        if not reachable and remembered is not None:
            found, where = remembered, MEMORY
        entry = policy.usable(found, call.ask, now)
        if memory is not None and since is not None and entry is not None and where is MONGODB:
            memory.put(entry, since)
        return Looked(call.key, entry, policy.decide(entry, call.ask, rules, now), now, where, since)

    def count_hit(self, looked: Looked, entry: Entry) -> None:
        """Count an answer with the entry of a look-up."""
        self.counters.add("hits" if policy.is_fresh_by_time(entry, looked.now) else "stale")
        logger.debug("%s: hit (%s)", looked.key, looked.where)

    def fetch(self, call: Call, rules: Policy, send: Send, looked: Looked | None = None) -> Outcome:
        """Answer a call that may be cached: from the cache, or by sending it.

        Never raises because of the database. What ``send`` raises is passed on.

        Args:
            call: the call.
            rules: the settings as they are for it.
            send: sends it.
            looked: what has been looked up for it already.
        """
        if looked is None:
            looked = self.look_up(call, rules)
        else:
            # By another who knew less of the call.
            entry = policy.usable(looked.entry, call.ask, looked.now)
            looked = looked._replace(entry=entry, step=policy.decide(entry, call.ask, rules, looked.now))
        if looked.step is Step.GIVE_UP:
            status = cache_status(fwd="uri-miss", detail="only-if-cached")
            return Outcome(status, looked.now, offline=rules.offline)
        served = self._served(looked)
        if served is not None:
            if looked.step is Step.SERVE_AND_REFRESH:
                self._refresh(call, rules, send, looked)
            return served
        logger.debug("%s: %s", call.key, looked.step.name.lower())
        if not policy.may_share(call.ask, rules):
            return self._asker.ask(call, rules, send, looked, validate=looked.step is Step.VALIDATE).outcome
        if self._asker.backoff.is_on(call.key):
            rested = self._rested(call, rules, looked)
            if rested is not None:
                return rested
        return self._fetch_once(call, rules, send, looked)

    def _served(self, looked: Looked) -> Outcome | None:
        """Return the outcome of a look-up that needs no call to TMDB; None where it does."""
        if looked.entry is None or looked.step not in (Step.SERVE, Step.SERVE_AND_REFRESH):
            return None
        self.count_hit(looked, looked.entry)
        return Outcome(hit_status(looked, looked.entry), looked.now, looked.entry)

    def _has_other(self, call: Call, rules: Policy, looked: Looked) -> bool:
        """Say whether there is an answer that may be served should TMDB fail."""
        return looked.entry is not None and policy.may_be_stale(looked.entry, call.ask, rules, looked.now)

    def _rested(self, call: Call, rules: Policy, looked: Looked) -> Outcome | None:
        """Answer with what there is, for TMDB has just failed with this key; None where nothing may be served."""
        entry = looked.entry
        if entry is None or not self._has_other(call, rules, looked):
            return None
        self.count_hit(looked, entry)
        return Outcome(hit_status(looked, entry), looked.now, entry)

    # One call per key, in this process

    def _fetch_once(self, call: Call, rules: Policy, send: Send, looked: Looked) -> Outcome:
        patience = send.patience
        end = monotonic() + (PATIENCE if patience is None else min(patience, PATIENCE))
        while True:
            flight, leads = self._flights.join(call.key)
            if flight is None:
                break
            if leads:
                return self._lead(call, rules, send, looked, flight)
            over = flight.wait(max(end - monotonic(), 0.0))
            if over and flight.landed is not None:
                shared = self._shared(call, rules, looked, flight.landed)
                if shared is not None:
                    return shared
                break
            if not over:
                self._flights.leave(flight)
                if patience is not None and patience <= PATIENCE and flight.asked:
                    return self._late(call, rules, send, looked)
                break
        # Nobody else's answer will do.
        return self._asker.ask(call, rules, send, looked, validate=looked.step is Step.VALIDATE).outcome

    def _lead(self, call: Call, rules: Policy, send: Send, looked: Looked, flight: Flight) -> Outcome:
        landed = None
        try:
            refreshing = self._has_other(call, rules, looked)
            taken = wait_for_turn(self.guarded, call.key, send.patience, refreshing=refreshing)
            asked = self._ask_in_turn(call, rules, send, looked, flight, taken)
            landed = Landed(asked.reply, asked.entry, call.credentials)
            return asked.outcome
        finally:
            self._flights.land(flight, landed)

    def _shared(self, call: Call, rules: Policy, looked: Looked, landed: Landed) -> Outcome | None:
        """Answer with what came of another's call; None where that will not do."""
        now = utcnow()
        fwd = "uri-miss" if looked.entry is None else "stale"
        if landed.entry is None and landed.reply is None:
            return self._rested(call, rules, looked)
        entry = policy.usable(landed.entry, call.ask, now)
        if entry is not None:
            if policy.decide(entry, call.ask, rules, now) is not Step.SERVE:
                return None
            self.counters.add("collapsed")
            left = policy.seconds_left(entry, now)
            return Outcome(cache_status(fwd=fwd, collapsed=True, ttl=left), now, entry)
        reply = landed.reply
        if landed.entry is not None or reply is None or landed.credentials != call.credentials:
            return None
        if reply.error is not None:
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
        self.counters.add("collapsed")
        return Outcome(cache_status(fwd=fwd, collapsed=True), now, None, reply._replace(native=None))

    def _late(self, call: Call, rules: Policy, send: Send, looked: Looked) -> Outcome:
        """Answer a caller whose patience is at an end while another's call is still under way."""
        now = utcnow()
        reply = send.late()
        judged = policy.judge(reply, call.ask, looked.entry, rules, False, now)
        if judged.verdict is Verdict.SERVE_STALE:
            return self._asker.stale(call, reply, judged, looked, now)
        self.counters.add("misses")
        self.counters.add("failures")
        return Outcome(cache_status(fwd="uri-miss" if looked.entry is None else "stale"), now, None, reply)

    # One call per key, across processes

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
                fwd = "uri-miss" if looked.entry is None else "stale"
                looked = self.look_up(call, rules)
                if looked.entry is not None and looked.step is Step.SERVE:
                    self.counters.add("collapsed")
                    left = policy.seconds_left(looked.entry, looked.now)
                    status = cache_status(fwd=fwd, collapsed=True, ttl=left, detail=looked.where)
                    asked = Asked(Outcome(status, looked.now, looked.entry), entry=looked.entry)
                    return asked
            flight.asked = True
            validate = looked.entry is not None and looked.entry.etag is not None
            asked = self._asker.ask(call, rules, send, looked, validate=validate)
            return asked
        finally:
            if taken is not None and taken.is_mine:
                failed = asked is None or asked.failed
                self.guarded.give_back(call.key, failed, 0.0 if asked is None else asked.rest)

    # Stale while revalidate

    def _refresh(self, call: Call, rules: Policy, send: Send, looked: Looked) -> None:
        if not self._asker.backoff.is_on(call.key):
            self._refresher.submit(call.key, lambda: self._refresh_now(call, rules, send.behind(), looked))

    def _refresh_now(self, call: Call, rules: Policy, send: Send, looked: Looked) -> None:
        flight, leads = self._flights.join(call.key)
        if flight is None or not leads:
            return
        landed = None
        try:
            taken = self.guarded.take(call.key, self._has_other(call, rules, looked))
            if taken is not None and taken.is_anothers:
                return
            asked = self._ask_in_turn(call, rules, send, looked, flight, taken)
            landed = Landed(asked.reply, asked.entry, call.credentials)
        finally:
            self._flights.land(flight, landed)

    def forget_calls(self) -> None:
        """Let nobody who comes from now on wait for a call that is under way: what it brings may be outdated."""
        self._flights.leave_all()

    def close(self) -> None:
        """Let refreshes under way end and close the database; idempotent."""
        self._refresher.close()
        self.guarded.close()
        if self.memory is not None:
            self.memory.close()


def _may_be_answered(taken: Taken, looked: Looked) -> bool:
    """Say whether another process may have stored the answer since a look-up began."""
    since_looked = (utcnow() - looked.now).total_seconds()
    return taken.after is not None and (taken.after <= since_looked + _CLOCK_STEP or since_looked < 0)


def hit_status(looked: Looked, entry: Entry) -> str:
    """Return what ``Cache-Status`` says of an answer with the entry of a look-up."""
    return cache_status(hit=True, ttl=policy.seconds_left(entry, looked.now), detail=looked.where)
