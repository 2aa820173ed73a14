"""The one flow: look into MongoDB; if fresh, answer from it; else ask TMDB, store, answer.

Every door brings its call in here as a :class:`~.tmdb.calls.Call` and a function
that sends it. The rules are in :mod:`.tmdb`, the documents in :mod:`.store`;
this module is the I/O between them, and the place where a database that fails
is kept from the program.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import NamedTuple

from .config import CacheConfig
from .refresh import Refresher
from .stats import Counters
from .store.guard import GuardedStore
from .store.memory import Memory, Moment, forget_key
from .tmdb import policy
from .tmdb.cache_status import cache_status
from .tmdb.calls import Call, kept_form
from .tmdb.entry import Entry, Reply
from .tmdb.making import make_entry, renewed_entry
from .tmdb.policy import Judged, Step, Verdict
from .tmdb.rules import Policy

logger = logging.getLogger("tmdb_mongo_cache")

MEMORY, MONGODB = "memory", "mongodb"

Send = Callable[[Mapping[str, str]], Reply]
"""Sends the call with these headers added; failures of TMDB come back as ``Reply.error``."""


class Outcome(NamedTuple):
    """What a call gets: an entry of the cache, or TMDB's own reply, or neither (``None`` twice).

    ``stored`` is the entry made of the reply, for its expiry.
    """

    status: str
    now: datetime
    entry: Entry | None = None
    reply: Reply | None = None
    stored: Entry | None = None
    revalidated: bool = False
    offline: bool = False


class Looked(NamedTuple):
    """What a look-up gave, and what is to be done with it.

    ``entry`` is one that may be served at all; ``reachable`` says whether the
    database answered; ``where`` it was found: ``memory`` or ``mongodb``.
    """

    key: str
    entry: Entry | None
    step: Step
    now: datetime
    where: str
    reachable: bool
    since: Moment | None


class Flow:
    """The flow of one cache: what it looks up in, and what it counts."""

    def __init__(self, config: CacheConfig, counters: Counters) -> None:
        self.counters = counters
        seconds = float(config.memory_ttl)  # type: ignore[arg-type]
        self.memory = Memory(seconds, config.memory_max_bytes) if seconds and config.memory_max_bytes else None
        self.guarded = GuardedStore(config, counters, self.memory)
        self.refresher = Refresher()

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
                return Looked(call.key, remembered, Step.SERVE, now, MEMORY, True, since)
        found, reachable = self.guarded.get(call.key)
        where = MONGODB
        if not reachable and remembered is not None:
            found, where = remembered, MEMORY
        entry = policy.usable(found, call.ask, now)
        if memory is not None and since is not None and entry is not None and where is MONGODB:
            memory.put(entry, since)
        return Looked(call.key, entry, policy.decide(entry, call.ask, rules, now), now, where, reachable, since)

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
        step, entry = looked.step, looked.entry
        if step is Step.GIVE_UP:
            status = cache_status(fwd="uri-miss", detail="only-if-cached")
            return Outcome(status, looked.now, offline=rules.offline)
        if entry is not None and step in (Step.SERVE, Step.SERVE_AND_REFRESH):
            if step is Step.SERVE_AND_REFRESH:
                validate = entry.etag is not None
                self.refresher.submit(call.key, lambda: self._ask_tmdb(call, rules, send, looked, validate=validate))
            self.count_hit(looked, entry)
            return Outcome(hit_status(looked, entry), looked.now, entry)
        logger.debug("%s: %s", call.key, step.name.lower())
        return self._ask_tmdb(call, rules, send, looked, validate=step is Step.VALIDATE)

    def _ask_tmdb(self, call: Call, rules: Policy, send: Send, looked: Looked, *, validate: bool) -> Outcome:
        entry = looked.entry
        reply = send({"If-None-Match": entry.etag} if validate and entry is not None and entry.etag else {})
        now = _utcnow()
        judged = policy.judge(reply, call.ask, entry, rules, validate, now)
        if judged.verdict is Verdict.FETCH_AGAIN:
            return self._ask_tmdb(call, rules, send, looked, validate=False)
        fwd = "uri-miss" if entry is None else "request" if policy.is_fresh_by_time(entry, now) else "stale"
        if entry is not None and judged.verdict is Verdict.RENEW:
            renewed = renewed_entry(call, rules, reply, entry, now)
            stored = looked.reachable and self.guarded.renew(renewed)
            self._remember(renewed, looked)
            self.counters.add("revalidated")
            left = policy.seconds_left(renewed, now)
            status = cache_status(fwd=fwd, fwd_status=304, stored=stored, ttl=left, detail=looked.where)
            return Outcome(status, now, renewed, revalidated=True)
        if entry is not None and judged.verdict is Verdict.SERVE_STALE:
            logger.warning("TMDB failed (%s); serving the answer of %s for %s", judged.why, entry.timestamp, call.key)
            self.counters.add("stale")
            self.counters.add("failures")
            left = policy.seconds_left(entry, now)
            status = cache_status(fwd=fwd, fwd_status=reply.status, ttl=left, detail=looked.where)
            return Outcome(status, now, entry)
        self.counters.add("misses")
        made = self._keep(call, rules, reply, judged, looked, now)
        ttl = policy.seconds_left(made, now) if made else None
        return Outcome(cache_status(fwd=fwd, stored=made is not None, ttl=ttl), now, None, reply, made)

    def _keep(
        self, call: Call, rules: Policy, reply: Reply, judged: Judged, looked: Looked, now: datetime
    ) -> Entry | None:
        if judged.verdict is Verdict.STORE:
            kept = kept_form(call, reply)
            if kept.keepable:
                made = make_entry(call, rules, kept, judged.data, now)
                stored = looked.reachable and self.guarded.put(made, judged.data)
                self._remember(made, looked)
                if not stored:
                    return None
                self.counters.add("stored")
                return made
            judged = Judged(Verdict.PASS_ON, "it repeats a credential or was redirected elsewhere")
        if reply.error is not None or reply.status >= 500 or reply.status == 429:
            self.counters.add("failures")
        logger.debug("%s: not stored: %s", call.key, judged.why)
        return None

    def _remember(self, entry: Entry, looked: Looked) -> None:
        """Keep an entry that was written in memory; other caches of this process are to look for it in MongoDB."""
        forget_key(entry.key, but=self.memory)
        if self.memory is not None and looked.since is not None:
            self.memory.store(entry, looked.since)

    def close(self) -> None:
        """Let refreshes under way end and close the database; idempotent."""
        self.refresher.close()
        self.guarded.close()
        if self.memory is not None:
            self.memory.close()


def hit_status(looked: Looked, entry: Entry) -> str:
    """Return what ``Cache-Status`` says of an answer with the entry of a look-up."""
    return cache_status(hit=True, ttl=policy.seconds_left(entry, looked.now), detail=looked.where)


def _utcnow() -> datetime:
    now = datetime.now(timezone.utc)
    # MongoDB keeps milliseconds: what is written is what is read.
    return now.replace(microsecond=now.microsecond // 1000 * 1000)
