"""Stale-while-revalidate: the call that is served a stale entry, and the refresh behind it (RFC 5861 section 3)."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from tmdb_mongo_cache.core.effects import Background, Effect
from tmdb_mongo_cache.core.flow import answer
from tmdb_mongo_cache.core.lease import Lease
from tmdb_mongo_cache.core.state import Core

from ..entrykit import ETAG, OK, entry
from .drive import (
    ABANDONED,
    ANOTHERS,
    FAILED,
    KEY,
    MINE,
    NEW,
    NEW_ETAG,
    NOT_CHANGED,
    Driven,
    Scenario,
    World,
    background,
    call,
    find,
    lease,
    limited,
    prepare,
    released,
    renew,
    rules,
    send,
    shown,
    store,
)

STALE = entry(-60)
REVALIDATE: Any = {"stale_while_revalidate": 300.0}
SERVED = {"kind": "stale", "body": OK, "status": "hit; ttl=-60; detail=mongodb", "where": "mongodb"}
MISS = {"kind": "miss", "reply": 200, "status": "fwd=stale; stored; ttl=600", "stored": NEW}


def front(says: str, *steps: Any, result: Any = SERVED, **more: Any) -> Scenario:
    return Scenario(says, [find(STALE), *steps], result, **{"rules": REVALIDATE, **more})


FRONT = [
    front("a stale entry is served where its refresh is refused", prepare(), background(False)),
    front(
        "a key that backs off is served stale without a refresh",
        given=lambda world: world.core.backoff.back_off(KEY, 60.0),
    ),
    front(
        "a key that another thread refreshes is served stale without a refresh",
        prepare(),
        given=lambda world: world.elsewhere(world.core.refreshes, KEY),
    ),
    front(
        "a key is not refreshed within its own refresh",
        prepare(),
        given=lambda world: world.within(world.core.refreshes, KEY),
    ),
    Scenario(
        "an entry beyond stale_while_revalidate is fetched",
        [find(entry(-300)), prepare(), lease(refreshing=True), send(etag=ETAG), store()],
        MISS,
        released(),
        rules=REVALIDATE,
    ),
    Scenario(
        "an in-flight request does not keep a stale entry from being served",
        [find(STALE), prepare(), background(False)],
        SERVED,
        rules=REVALIDATE,
        given=lambda world: world.elsewhere(world.core.fetches, KEY),
    ),
]


def behind(core: Core, one: Any, settings: Any) -> Generator[Effect, Any, Any]:
    """Return the refresh behind a caller that has been served."""
    world = core.leases
    assert isinstance(world, World)
    effect = Driven(world, answer(core, one, settings)).take(find(STALE), prepare(), background()).effects[-1]
    assert isinstance(effect, Background)
    assert effect.call == one
    return effect.flow


def refreshes(says: str, *steps: Any, result: Any = None, leases: Any = (), **more: Any) -> Scenario:
    return Scenario(says, [prepare(), *steps], result or {}, leases, rules=REVALIDATE, flow=behind, **more)


BEHIND = [
    refreshes(
        "a refresh validates the entry",
        lease(refreshing=True),
        send(NOT_CHANGED, etag=ETAG),
        renew(),
        result={
            "kind": "revalidated",
            "body": OK,
            "stored": OK,
            "status": "fwd=stale; fwd-status=304; stored; ttl=600; detail=mongodb",
            "revalidated": True,
        },
        leases=released(),
    ),
    refreshes(
        "a refresh stores a changed response",
        lease(refreshing=True),
        send(etag=ETAG),
        store(),
        result=MISS,
        leases=released(),
    ),
    refreshes(
        "without MongoDB a refresh needs no lease",
        lease(None, refreshing=True),
        send(etag=ETAG),
        store(),
        result=MISS,
        leases=ABANDONED,
    ),
    refreshes(
        "a refresh is left to another process that has the lease", lease(ANOTHERS, refreshing=True), leases=ABANDONED
    ),
    refreshes(
        "a refresh is left to another thread that fetches the key",
        given=lambda world: world.elsewhere(world.core.fetches, KEY),
    ),
    refreshes(
        "a refresh is left to the request that it is a part of",
        given=lambda world: world.within(world.core.fetches, KEY),
    ),
    refreshes(
        "a refresh that failed releases its lease with a back-off",
        lease(refreshing=True),
        send(limited(3), etag=ETAG),
        result={
            "kind": "stale",
            "body": OK,
            "status": "fwd=stale; fwd-status=429; ttl=-60; detail=mongodb",
            "where": "mongodb",
            "failed": True,
        },
        leases=released(failed=True, backoff=3.0),
        failures=1,
    ),
    refreshes(
        "a refresh backs off where another process has just failed",
        lease(Lease(is_mine=True, backoff=5.0), refreshing=True),
        result=SERVED,
        leases=released(),
    ),
    refreshes(
        "a refresh makes no request where another process stored the response meanwhile",
        lease(Lease(is_mine=True, after=0.0), refreshing=True),
        find(entry(600, 0, body=NEW, etag=NEW_ETAG)),
        result={"kind": "collapsed", "body": NEW, "status": "fwd=stale; collapsed; ttl=600; detail=mongodb"},
        leases=released(),
    ),
]

SCENARIOS = [*FRONT, *BEHIND]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.says)
def test_rule(scenario: Scenario) -> None:
    scenario.check()


def begin(world: World) -> Driven:
    return Driven(world, answer(world.core, call(), rules(**REVALIDATE)))


def served(world: World, accepted: bool = True) -> Background:
    """Let a caller be served what is stale; return the refresh behind it."""
    driven = begin(world).take(find(STALE), prepare(), background(accepted))
    assert shown(driven.end()) == SERVED
    (effect,) = [effect for effect in driven.effects if isinstance(effect, Background)]
    return effect


def test_a_key_is_refreshed_once_at_a_time() -> None:
    """Calls before its end are served and begin no other; the next call after its end does."""
    world = World()
    refresh = served(world)
    world.leave_to_another_thread()
    begin(world).take(find(STALE), prepare()).end()
    refreshing = Driven(world, refresh.flow).take(prepare(), lease(refreshing=True))
    world.leave_to_another_thread()
    begin(world).take(find(STALE), prepare()).end()
    refreshing.take(send(NOT_CHANGED, etag=ETAG), renew()).end()
    served(world)


@pytest.mark.parametrize("end", ["refused", "dropped", "closed"])
def test_a_refresh_that_comes_to_nothing_is_left_to_the_next_caller(end: str) -> None:
    world = World()
    refresh = served(world, accepted=end != "refused")
    if end == "dropped":
        refresh.dropped()
    if end == "closed":
        Driven(world, refresh.flow).flow.close()
    assert world.led() == []
    served(world)


def test_a_refresh_that_cannot_be_begun_is_left_to_the_next_caller() -> None:
    world = World()
    driven = begin(world).take(find(STALE), prepare())
    with pytest.raises(RuntimeError):
        driven.flow.throw(RuntimeError)
    assert world.led() == []


def test_what_a_refresh_has_fetched_is_shared() -> None:
    """A call that may not be served stale waits for it."""
    world = World()
    refreshing = Driven(world, served(world).flow).take(prepare(share_key="key"), lease(MINE, refreshing=True))
    flight = world.fetching()
    assert flight.sent_at == world.monotonic()
    refreshing.take(send(etag=ETAG), store()).end()
    assert flight.outcome is not None
    assert (flight.outcome.reply and flight.outcome.reply.status, flight.outcome.share_key) == (200, "key")
    assert flight.outcome.entry is not None
    assert flight.outcome.entry.body == NEW


def test_failures_of_refreshes_add_up() -> None:
    """After the second, what is stale is served without another refresh."""
    world = World()
    for _ in range(2):
        flow = served(world).flow
        Driven(world, flow).take(prepare(), lease(refreshing=True), send(FAILED, etag=ETAG)).end()
    begin(world).take(find(STALE)).end()
