"""Drives a flow of the core by hand: a scenario says which effects it yields, and what each is answered with.

A :class:`World` is one process: its core, a clock that moves only where a test
says so, and a record of the leases that are released. Effects are written as
steps (``find()``, ``lease(MINE)``, ``send(reply)``), and one that is not the
expected one fails with both of them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from tmdb_mongo_cache.core import flow as flows
from tmdb_mongo_cache.core import recent_writes
from tmdb_mongo_cache.core.clock import Clock
from tmdb_mongo_cache.core.effects import (
    AcquireLease,
    Background,
    Caller,
    Effect,
    Find,
    FindContaining,
    MarkStale,
    Prepare,
    Renew,
    Send,
    Sleep,
    Store,
    Wait,
)
from tmdb_mongo_cache.core.lease import Lease
from tmdb_mongo_cache.core.memory import Memory
from tmdb_mongo_cache.core.settings import Policy
from tmdb_mongo_cache.core.single_flight import InFlight, SingleFlight
from tmdb_mongo_cache.core.state import Core, Outcome
from tmdb_mongo_cache.httpcache.models import Entry, Reply
from tmdb_mongo_cache.httpcache.result import Result
from tmdb_mongo_cache.metrics.counters import Counters
from tmdb_mongo_cache.tmdb.call import Call, classify

from ..entrykit import NOW, OK

PATH = "/3/movie/550"
URL = f"https://api.themoviedb.org{PATH}"
CLEAR_URL = f"http://api.themoviedb.org{PATH}"
KEY = f"GET api.themoviedb.org{PATH}"
CLEAR_KEY = f"GET http://api.themoviedb.org{PATH}"
FRESH_FOR = 600
"""Seconds for which what is fetched at the beginning of a scenario is fresh."""

MINE, ANOTHERS, NOBODYS = Lease(is_mine=True), Lease(is_anothers=True), Lease()
AWAY = (None, False)
"""What Find is answered with where MongoDB does not answer."""

NEW_ETAG = '"new"'
NEW = b'{"id":550,"title":"new"}'
FILM = Reply(200, "OK", {"ETag": NEW_ETAG}, NEW)
NOT_CHANGED = Reply(304)
FAILED = Reply(503)
LATE = TimeoutError("the caller's own timeout")


def limited(seconds: float | None = None) -> Reply:
    """Return TMDB's 429, which says how long to wait, or does not."""
    return Reply(429, headers={} if seconds is None else {"Retry-After": str(seconds)})


def call(url: str = URL, *, verified: bool = True, follows_redirects: bool = True, **headers: str) -> Call:
    """Make a call; headers are written with underscores."""
    sent = {name.replace("_", "-").title(): value for name, value in headers.items()}
    found = classify("GET", url, sent, verified=verified, follows_redirects=follows_redirects)
    assert found is not None
    assert found.key
    return found


class World:
    """One process: the state of its cache, and the time.

    Attributes:
        seconds: since the beginning, on both clocks.
        leases: what was done to leases (release, abandon, open), in order.
    """

    def __init__(self, *, memory: bool = False, store_timeout: float = 10.0) -> None:
        self.seconds = 0.0
        # What is written meanwhile is noted by the real clock (:mod:`.core.recent_writes`).
        self._start = float(int(time.monotonic()))
        self.leases: list[tuple[Any, ...]] = []
        self.counters = Counters()
        self._others: list[InFlight[Any]] = []
        tier = Memory(3600, 2**20) if memory else None
        self.core = Core(self.counters, self, tier, store_timeout, Clock(self.now, self.monotonic))

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self._start + self.seconds

    def release_lease(self, key: str, failed: bool, backoff: float) -> None:
        self.leases.append(("release", key, failed, backoff))

    def abandon_lease(self, key: str) -> None:
        self.leases.append(("abandon", key))

    def open_lease(self, key: str) -> None:
        self.leases.append(("open", key))

    @property
    def memory(self) -> Memory:
        assert self.core.memory is not None
        return self.core.memory

    def remember(self, *entries: Entry) -> None:
        """Have entries be in memory."""
        for one in entries:
            self.memory.put(one, self.memory.moment(one.key))

    def elsewhere(self, kind: SingleFlight[Any], key: Hashable, state: object = None) -> InFlight[Any]:
        """Let another thread lead for a key, and return what it leads."""
        flight = self.within(kind, key, state)
        flight.thread = 0
        return flight

    def within(self, kind: SingleFlight[Any], key: Hashable, state: object = None) -> InFlight[Any]:
        """Let the flow be one within a call that leads for a key, and return what that leads."""
        flight, leads = kind.join(key, state)
        assert flight is not None
        assert leads
        self._others.append(flight)
        return flight

    def leave_to_another_thread(self) -> None:
        """Have all that is in flight be led by another thread."""
        for flight in self._flights():
            flight.thread = 0

    def led(self, *kinds: SingleFlight[Any]) -> list[InFlight[Any]]:
        """Return what is in flight, of some kinds or all, and was begun by the flows that are driven."""
        return [flight for flight in self._flights(*kinds) if flight not in self._others]

    def fetching(self) -> InFlight[Outcome]:
        """Return the only request that is in flight."""
        (flight,) = self.core.fetches._in_flight.values()
        return flight

    def end(self, flight: InFlight[Any], outcome: Any) -> None:
        """Let another thread end what it leads."""
        for kind in (self.core.look_ups, self.core.fetches):
            kind.leave(flight)
        flight.end(outcome)

    def _flights(self, *kinds: SingleFlight[Any]) -> list[InFlight[Any]]:
        all_kinds = (self.core.look_ups, self.core.fetches, self.core.refreshes)
        return [flight for kind in kinds or all_kinds for flight in kind._in_flight.values()]


class Step(NamedTuple):
    """An effect that a flow is to yield, and what it is answered with.

    Attributes:
        kind: the type of the effect.
        fields: of the effect, which it is to have.
        answer: is given the world and the effect.
        takes: seconds that pass until it is answered.
    """

    kind: type[Any]
    fields: Mapping[str, Any] = {}
    answer: Callable[[World, Any], Any] = lambda *_: None
    takes: float = 0.0

    def differs(self, effect: Effect) -> str:
        """Say how an effect is not the expected one; empty where it is."""
        if type(effect) is not self.kind:
            return f"expected {self.kind.__name__} {dict(self.fields)}, not {effect}"
        found = {name: _field(effect, name) for name in self.fields}
        wrong = [name for name, wanted in self.fields.items() if not _alike(found[name], wanted)]
        return "; ".join(f"{self.kind.__name__}.{name} is {found[name]!r}, not {self.fields[name]!r}" for name in wrong)


def _field(effect: Any, name: str) -> Any:
    """Return a field of an effect, or of its entry, where the name begins with that."""
    return getattr(effect.entry, name.removeprefix("entry_")) if name.startswith("entry_") else getattr(effect, name)


def _alike(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, float) and isinstance(found, int | float):
        return abs(found - wanted) < 1e-6
    return bool(found == wanted)


def find(*found: Any, key: str = KEY, takes: float = 0.0, meanwhile: Callable[[World], object] = id) -> Step:
    """Expect a look-up in MongoDB, which finds an entry, or nothing; ``AWAY`` where MongoDB does not answer."""
    (one,) = found or (None,)
    answer = one if one is AWAY else (one, True)

    def answered(world: World, _: Find) -> Any:
        meanwhile(world)
        return answer

    return Step(Find, {"key": key}, answered, takes)


def find_containing(*keys: str, **fields: Any) -> Step:
    return Step(FindContaining, fields, lambda *_: list(keys))


def prepare(timeout: float | None = 10.0, share_key: Hashable = "mine", late: BaseException = LATE) -> Step:
    """Expect the moment at which the request is needed; the caller waits so many seconds."""
    return Step(Prepare, {}, lambda *_: Caller(timeout, share_key, lambda: Reply(error=late)))


def lease(found: Lease | None = MINE, *, refreshing: bool = False, key: str = KEY, takes: float = 0.0) -> Step:
    return Step(AcquireLease, {"key": key, "refreshing": refreshing}, lambda *_: found, takes)


def sleep(seconds: float) -> Step:
    return Step(Sleep, {"seconds": seconds}, takes=seconds)


def send(reply: Reply = FILM, *, etag: str | None = None, takes: float = 0.0, meanwhile: Any = id) -> Step:
    """Expect the request, conditional where there is an ETag, and answer it."""

    def answered(world: World, _: Send) -> Any:
        meanwhile(world)
        return reply

    return Step(Send, {"headers": {} if etag is None else {"If-None-Match": etag}}, answered, takes)


def store(done: bool = True, body: bytes = NEW, key: str = KEY, **fields: Any) -> Step:
    return Step(Store, {"entry_body": body, "entry_key": key, **fields}, lambda *_: done)


def renew(done: bool = True, body: bytes = OK, key: str = KEY, **fields: Any) -> Step:
    return Step(Renew, {"entry_body": body, "entry_key": key, **fields}, lambda *_: done)


def wait(
    outcome: Any = None,
    *,
    seconds: float = 10.0,
    over: bool = True,
    takes: float = 0.0,
    then: Callable[[World], object] = id,
) -> Step:
    """Expect to wait for what is in flight; it ends with an outcome, or goes on when the seconds have passed."""

    def answered(world: World, effect: Wait) -> bool:
        if over:
            world.end(effect.flight, outcome)
        then(world)
        return over

    return Step(Wait, {"seconds": seconds}, answered, takes if over else seconds)


def background(accepted: bool = True) -> Step:
    return Step(Background, {}, lambda *_: accepted)


def mark_stale(**fields: Any) -> Step:
    return Step(MarkStale, fields)


class Driven:
    """A flow that is driven step by step.

    Attributes:
        effect: the one at which it stands.
        result: what it has ended with.
        is_over: whether it has ended.
    """

    def __init__(self, world: World, flow: Generator[Effect, Any, Any]) -> None:
        self.world, self.flow = world, flow
        self.effect: Effect | None = None
        self.result: Any = None
        self.is_over = False
        self.effects: list[Effect] = []
        self._go(next, flow)

    def _go(self, resume: Callable[[Any], Effect], with_: Any) -> None:
        try:
            self.effect = resume(with_)
            self.effects.append(self.effect)
        except StopIteration as end:
            self.effect, self.result, self.is_over = None, end.value, True

    def take(self, *steps: Step) -> Driven:
        """Expect effects, one after the other, and answer them."""
        for step in steps:
            number = len(self.effects)
            assert not self.is_over, f"it ended with {self.result!r} before {step.kind.__name__} {dict(step.fields)}"
            assert self.effect is not None
            difference = step.differs(self.effect)
            assert not difference, f"effect {number}: {difference}"
            self.world.seconds += step.takes
            self._go(self.flow.send, step.answer(self.world, self.effect))
        return self

    def end(self) -> Any:
        """Expect no other effect; return the result."""
        assert self.is_over, f"effect {len(self.effects)}: {self.effect} after what was expected"
        return self.result


def drive(world: World, flow: Generator[Effect, Any, Any], *steps: Step) -> Any:
    """Drive a flow through all of its effects; return its result."""
    return Driven(world, flow).take(*steps).end()


def differ(what: str, found: Any, wanted: Any) -> None:
    """Fail where what was found is not what was wanted, and show both."""
    assert found == wanted, f"{what}: {found}, not {wanted}"


def shown(result: Result | None) -> dict[str, Any]:
    """Return what a result says, by names; what says nothing is left out."""
    if result is None:
        return {"kind": None}
    says = {
        "kind": result.kind,
        "body": result.entry and result.entry.body,
        "reply": result.reply and (result.reply.status or result.reply.error),
        "status": result.cache_status().removeprefix("tmdb-mongo-cache; "),
        "stored": result.stored and result.stored.body,
        "where": result.where,
        "revalidated": result.revalidated,
        "offline": result.offline,
        "failed": result.failed,
    }
    return {name: value for name, value in says.items() if value not in (None, "", False)}


@dataclass(frozen=True)
class Scenario:
    """A fact about the flow: which effects it yields, and what comes of them.

    Attributes:
        says: the fact.
        steps: the effects, in order.
        result: what the result shows; see :func:`shown`.
        leases: what is done to leases, in order.
        failures: how many failures of TMDB are counted.
        rules: settings that differ from the usual.
        call: arguments for :func:`call`.
        given: makes the world as it was before.
        memory: whether there is a tier before MongoDB.
        store_timeout: of the cache.
        flow: the flow that is driven.
    """

    says: str
    steps: Sequence[Step]
    result: Mapping[str, Any]
    leases: Sequence[tuple[Any, ...]] = ()
    failures: int = 0
    rules: Mapping[str, Any] = field(default_factory=dict)
    call: Mapping[str, Any] = field(default_factory=dict)
    given: Callable[[World], object] = id
    memory: bool = False
    store_timeout: float = 10.0
    flow: Callable[[Core, Call, Policy], Generator[Effect, Any, Any]] = flows.answer

    def begin(self) -> Driven:
        """Make the world, and drive the flow to its first effect."""
        recent_writes._recent.clear()
        world = World(memory=self.memory, store_timeout=self.store_timeout)
        self.given(world)
        return Driven(world, self.flow(world.core, call(**self.call), rules(**self.rules)))

    def check(self) -> None:
        """Drive it to its end, and say what differs."""
        driven = self.begin()
        result = driven.take(*self.steps).end()
        world = driven.world
        # TMDB's failures are counted, and what is stored of its responses.
        stored = sum(step.kind is Store and step.answer(world, None) is True for step in self.steps)
        counts = world.counters.snapshot()
        differ("the result", shown(result), {"kind": None, **self.result})
        differ("the leases", world.leases, list(self.leases))
        differ("the counts", (counts.failures, counts.stored), (self.failures, stored))
        differ("what is in flight", world.led(), [])


def rules(**changes: Any) -> Policy:
    """Return settings by which a response is fresh until ten minutes after the beginning."""
    return Policy(**{"expire_after": NOW + timedelta(seconds=FRESH_FOR), **changes})


def released(key: str = KEY, *, failed: bool = False, backoff: float = 0.0) -> tuple[tuple[Any, ...], ...]:
    """What a leader does to the lease of a key that it has fetched under."""
    return (("release", key, failed, backoff), ("abandon", key))


ABANDONED = (("abandon", KEY),)
"""What a leader without a lease does to it."""


class Database:
    """Drives flows with a dictionary in place of MongoDB, and a function in place of TMDB.

    Attributes:
        entries: what is stored.
        sent: the headers of the requests.
    """

    def __init__(self, world: World, *entries: Entry) -> None:
        self.world = world
        self.entries = {one.key: one for one in entries}
        self.sent: list[Mapping[str, str]] = []

    def run(self, flow: Generator[Effect, Any, Any], answer: Callable[[Mapping[str, str]], Reply]) -> Any:
        driven = Driven(self.world, flow)
        while not driven.is_over:
            driven.take(self._step(driven.effect, answer))
        return driven.result

    def _step(self, effect: Any, answer: Callable[[Mapping[str, str]], Reply]) -> Step:
        match effect:
            case Find():
                return Step(Find, {}, lambda *_: (self.entries.get(effect.key), True))
            case Prepare():
                return prepare()
            case AcquireLease():
                return Step(AcquireLease, {}, lambda *_: MINE)
            case Sleep():
                return sleep(effect.seconds)
            case Send():
                self.sent.append(effect.headers)
                return Step(Send, {}, lambda *_: answer(effect.headers))
            case Store() | Renew():
                self.entries[effect.entry.key] = effect.entry
                return Step(type(effect), {}, lambda *_: True)
        raise AssertionError(f"unexpected: {effect}")


def title(result: Result) -> str:
    """Return the title of the film that a call gets; empty where it gets none."""
    part = result.entry or result.reply
    if part is None or part.status != 200:
        return ""
    return str(json.loads(part.body)["title"])
