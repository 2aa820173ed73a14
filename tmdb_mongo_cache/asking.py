"""Asking TMDB once: send, judge what comes back, keep it, and say what the caller gets."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Mapping
from datetime import datetime, timezone
from time import monotonic
from typing import NamedTuple, Protocol, TypeVar

from .backoff import Backoff, RateLimit
from .looking import Looked, hit_status
from .stats import Counters
from .store import written
from .store.guard import GuardedStore
from .store.memory import Memory, forget_key
from .tmdb import channels, policy
from .tmdb.cache_status import cache_status
from .tmdb.calls import Call, kept_form
from .tmdb.entry import Entry, Reply
from .tmdb.making import make_entry, renewed_entry
from .tmdb.policy import Judged, Verdict
from .tmdb.rules import Policy

logger = logging.getLogger("tmdb_mongo_cache")


Waited = TypeVar("Waited")


class Send(Protocol):
    """Sends one call; failures of TMDB come back as ``Reply.error``, what the caller did wrong is raised."""

    @property
    def patience(self) -> float | None:
        """The seconds that the caller waits for an answer (its ``timeout``); None: as long as it takes."""

    @property
    def manner(self) -> Hashable:
        """How it is sent: a failure may come of that, and concerns nobody who sends in another manner."""

    def __call__(self, headers: Mapping[str, str]) -> Reply:
        """Send it, with these headers added."""

    def wait(self, wait: Callable[[float], Waited], seconds: float) -> Waited:
        """Wait; what is raised meanwhile (a time limit of the program's, by a signal) is the caller's own."""

    def late(self) -> Reply:
        """Return what the caller gets when its patience is at an end."""

    def behind(self) -> Send:
        """Return what sends the same call when its caller has been answered already."""


class Outcome(NamedTuple):
    """What a call gets: an entry of the cache, or TMDB's own reply, or neither (``None`` twice).

    ``stored`` is the entry made of the reply, or confirmed by it, where MongoDB has it. A reply without
    ``native`` is another caller's, to be made a response of. ``kind`` is what it is counted as (an
    ``outcome`` of :class:`~.stats.CacheEvent`), ``where`` the entry was found, and ``failed`` says whether TMDB failed.
    """

    status: str
    now: datetime
    entry: Entry | None = None
    reply: Reply | None = None
    stored: Entry | None = None
    revalidated: bool = False
    offline: bool = False
    kind: str = "miss"
    where: str = ""
    failed: bool = False


class Asked(NamedTuple):
    """What came of asking TMDB: the caller's outcome, and what others may have of it.

    ``failed`` where there is no new answer to share, ``rest`` the seconds in
    which nobody is to try again.
    """

    outcome: Outcome
    reply: Reply | None = None
    entry: Entry | None = None
    failed: bool = False
    rest: float = 0.0


class Asker:
    """Asks TMDB for the calls of one cache."""

    def __init__(self, counters: Counters, guarded: GuardedStore, memory: Memory | None) -> None:
        self._counters = counters
        self._guarded = guarded
        self._memory = memory
        self.backoff = Backoff()
        self._limits = {True: RateLimit(), False: RateLimit()}

    def ask(self, call: Call, rules: Policy, send: Send, looked: Looked, *, validate: bool) -> Asked:
        """Ask TMDB; never raises because of the database. What ``send`` raises is passed on.

        Args:
            call: the call.
            rules: the settings as they are for it.
            send: sends it.
            looked: what has been looked up for it.
            validate: whether the entry's ETag goes along, so that TMDB may say that nothing has changed.
        """
        entry = looked.entry
        # Not of what another channel has brought: who sends a 304 would have a say in that.
        validate = validate and entry is not None and entry.key == call.key
        headers = {"If-None-Match": entry.etag} if validate and entry is not None and entry.etag else {}
        began = monotonic()
        reply = self._send(rules, send, headers, call, entry)
        now = utcnow()
        kept_as = channels.kept_as(call, reply)
        if kept_as is None:
            reply = reply._replace(keepable=False)
        shared = None if kept_as is None else reply
        judged = policy.judge(reply, call.ask, entry, rules, validate, now)
        if judged.verdict is Verdict.FETCH_AGAIN:
            return self.ask(call, rules, send, looked, validate=False)
        outdated = written.since(began, (kept_as or call).key, call.endpoint)
        if entry is not None and judged.verdict is Verdict.RENEW:
            self.backoff.succeeded(call.key)
            return self._renewed(call, rules, reply, looked, now, outdated=outdated)
        if judged.verdict is Verdict.SERVE_STALE:
            # What is the caller's own fault (a proxy) is no reason for others to leave TMDB alone.
            rest = self.backoff.failed(call.key, reply, monotonic() - began) if reply.keepable else 0.0
            outcome = self.stale(call, reply, judged, looked, now)
            return Asked(outcome, shared, None, failed=True, rest=rest)
        self.backoff.succeeded(call.key)
        made, stored = self._keep(kept_as or call, rules, reply, judged, looked, now, outdated=outdated)
        ttl = policy.seconds_left(made, now) if made and stored else None
        status = cache_status(fwd=_why_forwarded(entry, now), stored=stored, ttl=ttl)
        outcome = Outcome(status, now, None, reply, made if stored else None, failed=has_failed(reply))
        return Asked(outcome, shared, made, failed=made is None)

    def stale(
        self, call: Call, reply: Reply, judged: Judged, looked: Looked, now: datetime, *, level: int = logging.WARNING
    ) -> Outcome:
        """Answer with the entry that was looked up, for TMDB has failed; ``level`` is that of the line in the log."""
        entry = looked.entry
        assert entry is not None  # noqa: S101  the verdict says so
        logger.log(level, "TMDB failed (%s); serving the answer of %s for %s", judged.why, entry.timestamp, call.key)
        self._counters.add("failures")
        left = policy.seconds_left(entry, now)
        fwd = _why_forwarded(entry, now)
        status = cache_status(fwd=fwd, fwd_status=reply.status, ttl=left, detail=looked.where)
        return Outcome(status, now, entry, kind="stale", where=looked.where, failed=True)

    def _send(self, rules: Policy, send: Send, headers: Mapping[str, str], call: Call, entry: Entry | None) -> Reply:
        if not rules.wait_on_rate_limit:
            return send(headers)
        has_other = entry is not None and policy.may_be_stale(entry, call.ask, rules, utcnow())
        # Who has not been verified may say that TMDB limits the rate, but to those alone who ask by that channel.
        limit = self._limits[channels.is_verified(call.key)]
        return limit.send(lambda: send(headers), send, has_other=has_other)

    def _renewed(
        self, call: Call, rules: Policy, reply: Reply, looked: Looked, now: datetime, *, outdated: bool
    ) -> Asked:
        entry = looked.entry
        assert entry is not None  # noqa: S101  the verdict says so
        renewed = _as_new_as_it_is(renewed_entry(call, rules, reply, entry, now), now, outdated=outdated)
        stored = self._guarded.renew(renewed)
        self._remember(renewed, looked)
        left = policy.seconds_left(renewed, now)
        fwd = _why_forwarded(entry, now)
        status = cache_status(fwd=fwd, fwd_status=304, stored=stored, ttl=left, detail=looked.where)
        kept = renewed if stored else None
        outcome = Outcome(status, now, renewed, stored=kept, revalidated=True, kind="revalidated")
        return Asked(outcome, reply, renewed, failed=False)

    def _keep(
        self, call: Call, rules: Policy, reply: Reply, judged: Judged, looked: Looked, now: datetime, *, outdated: bool
    ) -> tuple[Entry | None, bool]:
        """Return the entry made of a reply, if it makes one, and whether MongoDB has it."""
        if judged.verdict is Verdict.STORE:
            kept = kept_form(call, reply)
            if kept.keepable:
                made = _as_new_as_it_is(make_entry(call, rules, kept, judged.data, now), now, outdated=outdated)
                stored = self._guarded.put(made, judged.data)
                self._remember(made, looked)
                if stored:
                    self._counters.add("stored")
                return made, stored
            judged = Judged(Verdict.PASS_ON, "it repeats a credential or was redirected elsewhere")
        if has_failed(reply):
            self._counters.add("failures")
        logger.debug("%s: not stored: %s", call.key, judged.why)
        return None, False

    def _remember(self, entry: Entry, looked: Looked) -> None:
        """Keep an entry that was written in memory; other caches of this process are to look for it in MongoDB."""
        known = entry.key == looked.key  # else nobody has looked what became of its key meanwhile
        forget_key(entry.key, but=self._memory if known else None)
        if known and self._memory is not None and looked.since is not None:
            self._memory.store(entry, looked.since)


def hit_outcome(looked: Looked, entry: Entry) -> Outcome:
    """Return the outcome of a call that is answered with the entry of a look-up."""
    kind = "hit" if policy.is_fresh_by_time(entry, looked.now) else "stale"
    return Outcome(hit_status(looked, entry), looked.now, entry, kind=kind, where=looked.where)


def has_failed(reply: Reply) -> bool:
    """Say whether TMDB has failed: no answer, too many requests, or its own fault."""
    return reply.error is not None or reply.status >= 500 or reply.status == 429


def _as_new_as_it_is(entry: Entry, now: datetime, *, outdated: bool) -> Entry:
    """Return the entry, stale where this process has written to it while TMDB was being asked."""
    return entry._replace(expires_at=min(entry.expires_at, now)) if outdated else entry


def _why_forwarded(entry: Entry | None, now: datetime) -> str:
    """Return why TMDB was asked, in RFC 9211's words."""
    return "uri-miss" if entry is None else "request" if policy.is_fresh_by_time(entry, now) else "stale"


def utcnow() -> datetime:
    """Return the time, in UTC and as MongoDB keeps it: what is written is what is read."""
    now = datetime.now(timezone.utc)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)
