"""The one flow: look into MongoDB; if fresh, answer from it; else ask TMDB, store, answer.

Every door brings its call in here as a :class:`~.tmdb.calls.Call` and something
that sends it. The rules are in :mod:`.tmdb`, the documents in :mod:`.store`;
this module is what holds them together. That the same call is not made twice at
once is seen to in :mod:`.once`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from time import perf_counter

from .asking import Asker, Outcome, Send, hit_outcome, utcnow
from .config import CacheConfig
from .looking import Looked, Looker, is_fresh_hit, next_step
from .once import Once
from .recording import Recorder
from .refresh import Refresher
from .reusing import look_inside
from .store.guard import GuardedStore
from .store.memory import Memory
from .summing import Summing
from .tmdb import policy
from .tmdb.cache_status import cache_status
from .tmdb.calls import Call
from .tmdb.entry import Entry
from .tmdb.policy import Step
from .tmdb.rules import Policy
from .tmdb.writes import touched_by

logger = logging.getLogger("tmdb_mongo_cache")


class Flow:
    """The flow of one cache: what it looks up in, and what it counts.

    Args:
        config: the settings.
        recorder: where calls are recorded.
        adds_up: whether their counts are added to those of all processes by this flow.
    """

    def __init__(self, config: CacheConfig, recorder: Recorder, *, adds_up: bool = False) -> None:
        self.recorder = recorder
        counters = recorder.counters
        seconds = float(config.memory_ttl)  # type: ignore[arg-type]
        self.memory = Memory(seconds, config.memory_max_bytes) if seconds and config.memory_max_bytes else None
        self.guarded = GuardedStore(config, counters, self.memory)
        if adds_up:
            recorder.summing = Summing(counters, self.guarded)
        self._summing = recorder.summing if adds_up else None
        # Not through a method of its own: it would keep itself alive, and what it has open.
        self.look_up = Looker(self.guarded, self.memory, float(config.store_timeout)).look_up  # type: ignore[arg-type]
        self._once = Once(counters, self.guarded, Asker(counters, self.guarded, self.memory), self.look_up)
        self._refresher = Refresher()

    def note_hit(self, looked: Looked, entry: Entry, call: Call, seconds: float) -> None:
        """Record a plain hit: an answer with the entry of a look-up, without the rest of the flow."""
        fresh = policy.is_fresh_by_time(entry, looked.now)
        self.recorder.hit(looked, entry, call.endpoint, seconds, fresh=fresh)
        logger.debug("%s: hit (%s)", looked.key, looked.where)

    def fetch(self, call: Call, rules: Policy, send: Send, looked: Looked | None = None) -> Outcome:
        """Answer a call that may be cached, and record it: from the cache, or by sending it.

        Never raises because of the database. What ``send`` raises is passed on.

        Args:
            call: the call.
            rules: the settings as they are for it.
            send: sends it.
            looked: what has been looked up for it already.
        """
        began = perf_counter()
        try:
            outcome = self._fetched(call, rules, send, looked)
        except Exception:
            self.recorder.raised(call, utcnow(), perf_counter() - began)
            raise
        self.recorder.answered(call, outcome, perf_counter() - began)
        return outcome

    def _fetched(self, call: Call, rules: Policy, send: Send, looked: Looked | None) -> Outcome:
        if looked is None:
            looked = self.look_up(call, rules)
        else:
            # By another who knew less of the call.
            entry = policy.usable(looked.entry, call.ask, looked.now)
            looked = looked._replace(entry=entry, step=next_step(call, entry, rules, looked.now))
        if rules.reuse_appended and not is_fresh_hit(looked) and policy.may_share(call.ask, rules):
            looked = look_inside(self.guarded, call, rules, looked) or looked
        if looked.step is Step.GIVE_UP:
            status = cache_status(fwd="uri-miss", detail="only-if-cached")
            return Outcome(status, looked.now, offline=rules.offline, kind="unanswered")
        served = self._served(looked)
        if served is not None:
            if looked.step is Step.SERVE_AND_REFRESH:
                self._refresh(call, rules, send, looked)
            return served
        logger.debug("%s: %s", call.key, looked.step.name.lower())
        if not policy.may_share(call.ask, rules):
            return self._once.ask(call, rules, send, looked)
        return self._once.fetch(call, rules, send, looked)

    def renew(self, call: Call, rules: Policy, send: Send) -> Outcome | None:
        """Fetch a call that has no fresh answer, by the same way; None where it has one. Nothing stale is served first.

        Args:
            call: the call.
            rules: the settings as they are for it.
            send: sends it.
        """
        looked = self.look_up(call, rules)
        if looked.step is Step.SERVE:
            return None
        began = perf_counter()
        outcome = self._once.fetch(call, rules, send, looked)
        self.recorder.answered(call, outcome, perf_counter() - began, background=True)
        return outcome

    def _served(self, looked: Looked) -> Outcome | None:
        """Return the outcome of a look-up that needs no call to TMDB; None where it does."""
        if looked.entry is None or looked.step not in (Step.SERVE, Step.SERVE_AND_REFRESH):
            return None
        logger.debug("%s: hit (%s)", looked.key, looked.where)
        return hit_outcome(looked, looked.entry)

    def _refresh(self, call: Call, rules: Policy, send: Send, looked: Looked) -> None:
        def refresh() -> None:
            began = perf_counter()
            outcome = self._once.refresh(call, rules, send.behind(), looked)
            if outcome is not None:
                self.recorder.answered(call, outcome, perf_counter() - began, background=True)

        if not self._once.is_resting(call.key):
            self._refresher.submit(call.key, refresh)

    def note_straight(self, call: Call, status: int, seconds: float) -> None:
        """Record a call that was never the cache's business; 0 is the status of one that ended in an exception."""
        self.recorder.straight(call.endpoint, utcnow(), status, seconds)
        logger.debug(
            "%s: straight (%s)", call.endpoint.template or "a call", call.straight or "by its settings or hooks"
        )

    def note_unanswered(self, call: Call) -> None:
        """Record such a call that was not made, for ``offline`` forbids it."""
        self.recorder.unanswered(call.endpoint, utcnow())

    def written(self, urls: Iterable[str | None]) -> None:
        """Make stale what a successful write to some URLs has touched (RFC 9111 section 4.4); never raises.

        What is being fetched at that moment may be older than the write: who
        comes from now on does not wait for it.
        """
        touched = tuple(item for url in urls if url for item in touched_by(url))
        if touched:
            self.guarded.make_stale(touched, utcnow())
            self.forget_calls()
            logger.debug("a write made stale: %s", ", ".join(item.keys[0] for item in touched))

    def forget_calls(self) -> None:
        """Let nobody who comes from now on wait for a call that is under way: what it brings may be outdated."""
        self._once.forget()

    def close(self) -> None:
        """Let refreshes under way end and close the database; idempotent."""
        self._refresher.close()
        if self._summing is not None:
            self._summing.close()
        self.guarded.close()
        if self.memory is not None:
            self.memory.close()
