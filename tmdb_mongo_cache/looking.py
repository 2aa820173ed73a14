"""Looking a call up: in memory, then in MongoDB."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timezone
from typing import NamedTuple

from .forks import RenewedAfterFork
from .store.guard import GuardedStore
from .store.memory import Memory, Moment
from .tmdb import policy
from .tmdb.cache_status import cache_status
from .tmdb.calls import Call
from .tmdb.entry import Entry
from .tmdb.policy import Step
from .tmdb.rules import Policy

_LONGEST_WAIT = 1.0
"""Seconds after which who has the patience looks for itself."""

MEMORY, MONGODB = "memory", "mongodb"


class Looked(NamedTuple):
    """What a look-up gave, and what is to be done with it.

    ``key`` is that of the call, ``entry`` one that may be served at all, and ``where`` it
    was found: ``memory`` or ``mongodb``.
    """

    key: str
    entry: Entry | None
    step: Step
    now: datetime
    where: str
    since: Moment | None


class Looker:
    """Looks the calls of one cache up.

    Args:
        guarded: MongoDB.
        memory: the tier before it, if there is one.
        patience: seconds that a look-up may take.
    """

    def __init__(self, guarded: GuardedStore, memory: Memory | None, patience: float) -> None:
        self._guarded = guarded
        self._memory = memory
        self._patience = patience
        self._look_ups = LookUps()

    def look_up(self, call: Call, rules: Policy, key: str = "") -> Looked:
        """Look a call up, in memory and then in MongoDB; never raises because of the database.

        Args:
            call: the call.
            rules: the settings as they are for it.
            key: of the one entry that may serve it; empty for all there are.
        """
        if not key:
            if call.verified_key:
                return self._look_up_both(call, rules)
            key = call.key
        now = datetime.now(timezone.utc)
        memory, since, remembered = self._memory, None, None
        if memory is not None:
            since = memory.moment(key)
            remembered = policy.usable(memory.get(key), call.ask, now)
            # Anything but a plain hit needs MongoDB: another process may have a newer answer there.
            if (
                remembered is not None
                and policy.is_fresh_by_time(remembered, now)
                and policy.decide(remembered, call.ask, rules, now) is Step.SERVE
            ):
                return Looked(key, remembered, Step.SERVE, now, MEMORY, since)
        if memory is None:
            found, reachable = self._guarded.get(key)
        else:
            found, reachable = self._look_ups.look(key, since, self._guarded.get, self._patience)
        where = MONGODB
        if not reachable and remembered is not None:
            found, where = remembered, MEMORY
        entry = policy.usable(found, call.ask, now)
        if memory is not None and since is not None and entry is not None and where is MONGODB:
            memory.put(entry, since)
        return Looked(key, entry, policy.decide(entry, call.ask, rules, now), now, where, since)

    def _look_up_both(self, call: Call, rules: Policy) -> Looked:
        """Look for the verified answer, and then for what has come by the call's own channel.

        The one that is fresh goes before the other, and the verified one before
        its equal; but not to MongoDB for it where the other is in memory.
        """
        memory, keys = self._memory, (call.verified_key, call.key)
        if memory is not None and memory.get(call.verified_key) is None and memory.get(call.key) is not None:
            keys = (call.key, call.verified_key)
        found = {}
        for key in keys:
            looked = found[key] = self.look_up(call, rules, key)
            if key == call.key:
                if is_fresh_hit(looked):
                    return looked
            elif is_fresh_hit(looked) and not looked.entry.history:  # type: ignore[union-attr]
                return Looked(call.key, *looked[1:5], None)  # of the call's own key this look-up knows nothing
        (_, entry, _, now, where, _), own = found[call.verified_key], found[call.key]
        if entry is not None and entry.history:
            entry = None  # whether this caller would go that way is not known
        verified = Looked(call.key, entry, next_step(call, entry, rules, now), now, where, own.since)

        def rank(looked: Looked) -> int:
            if looked.entry is not None and looked.step in (Step.SERVE, Step.SERVE_AND_REFRESH):
                return 0
            if looked.entry is not None and policy.may_be_stale(looked.entry, call.ask, rules, looked.now):
                return 1
            return 2 if looked is own else 3

        return min(verified, own, key=rank)


def next_step(call: Call, entry: Entry | None, rules: Policy, now: datetime) -> Step:
    """Decide what to do with a call, given the usable entry for it: its own, or the verified one."""
    step = policy.decide(entry, call.ask, rules, now)
    return Step.FETCH if step is Step.VALIDATE and entry is not None and entry.key != call.key else step


class _LookUp:
    """A look-up that is under way, for those who come meanwhile."""

    __slots__ = ("event", "found", "over", "since", "thread")

    def __init__(self, since: object) -> None:
        self.since = since
        self.thread = threading.get_ident()
        self.over = False
        self.found: tuple[Entry | None, bool] = (None, False)
        self.event: threading.Event | None = None


class LookUps(RenewedAfterFork):
    """Looks a key up once for all threads that want it at the same moment; usable from many threads.

    On a cold start that is one operation instead of as many as there are
    threads, each with a connection to make. (1 µs for who is alone.)
    """

    def __init__(self) -> None:
        self.after_fork()
        super().__init__()

    def after_fork(self) -> None:
        """Begin anew, in a forked child: who was looking stayed with the parent."""
        self._lock = threading.Lock()
        self._under_way: dict[str, _LookUp] = {}

    def look(
        self, key: str, since: object, look: Callable[[str], tuple[Entry | None, bool]], patience: float
    ) -> tuple[Entry | None, bool]:
        """Look a key up, or wait for another thread that is doing so.

        Args:
            key: what to look up.
            since: the state of what is known of changes; who comes after one looks for itself.
            look: looks it up.
            patience: seconds to wait for another thread at most.
        """
        mine = _LookUp(since)
        other = self._under_way.setdefault(key, mine)  # one step: no other thread comes in between
        if other is mine:
            try:
                mine.found = look(key)
            finally:
                self._under_way.pop(key, None)
                mine.over = True  # before the event is looked at: who makes one looks at this afterwards
                if mine.event is not None:
                    mine.event.set()
            return mine.found
        if other.since != since or other.thread == mine.thread:
            return look(key)
        with self._lock:
            if other.event is None:
                other.event = threading.Event()
        if other.over or other.event.wait(min(patience, _LONGEST_WAIT)):
            return other.found
        return look(key) if patience > _LONGEST_WAIT else (None, False)


def is_fresh_hit(looked: Looked) -> bool:
    """Say whether a look-up gave an answer that is served, and is fresh (offline, a stale one is served as well)."""
    served = looked.step is Step.SERVE and looked.entry is not None
    return served and policy.is_fresh_by_time(looked.entry, looked.now)  # type: ignore[arg-type]


def hit_status(looked: Looked, entry: Entry) -> str:
    """Return what ``Cache-Status`` says of an answer with the entry of a look-up."""
    return cache_status(hit=True, ttl=policy.seconds_left(entry, looked.now), detail=looked.where)
