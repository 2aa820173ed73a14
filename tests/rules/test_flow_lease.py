"""The lease of a key: one request for all processes, how others wait for it, and how it is released."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tmdb_mongo_cache.core.effects import Find
from tmdb_mongo_cache.core.flow import answer
from tmdb_mongo_cache.core.lease import Lease
from tmdb_mongo_cache.httpcache.models import Hop, Reply

from ..entrykit import ETAG, NOW, OK, entry
from .drive import (
    ABANDONED,
    ANOTHERS,
    CLEAR_URL,
    FAILED,
    KEY,
    LATE,
    MINE,
    NEW,
    NEW_ETAG,
    NOBODYS,
    NOT_CHANGED,
    Driven,
    Scenario,
    World,
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
    sleep,
    store,
)

STALE = entry(-60)
MADE = entry(600, 0, body=NEW, etag=NEW_ETAG)
MISS = {"kind": "miss", "reply": 200, "status": "fwd=uri-miss; stored; ttl=600", "stored": NEW}
REPLACED = {**MISS, "status": "fwd=stale; stored; ttl=600"}
FAILED_MISS = {"kind": "miss", "reply": 503, "status": "fwd=uri-miss", "failed": True}
BACKED_OFF = {"kind": "stale", "body": OK, "status": "hit; ttl=-60; detail=mongodb", "where": "mongodb"}
ELSEWHERE = {"kind": "collapsed", "body": NEW, "status": "fwd=uri-miss; collapsed; ttl=600; detail=mongodb"}
TIMED_OUT = {"kind": "miss", "reply": LATE, "status": "fwd=uri-miss", "failed": True}
OPENED = (("open", KEY), *ABANDONED)
STALE_FAILED = {
    "kind": "stale",
    "body": OK,
    "status": "fwd=stale; fwd-status=503; ttl=-60; detail=mongodb",
    "where": "mongodb",
    "failed": True,
}
BEGUN = (find(), prepare())
BEGUN_STALE = (find(STALE), prepare())
PAUSES = [0.01, 0.015, 0.0225, 0.03375, 0.050625, 0.0759375, 0.11390625, 0.170859375, 0.25, 0.25]


def waited(seconds: float, timeout: float | None, found: Any = None) -> tuple[Any, ...]:
    """The steps of a call that waits for another's lease for as long as that, in one attempt."""
    return find(found), prepare(timeout), lease(ANOTHERS, refreshing=found is STALE, takes=seconds)


RELEASED = [
    Scenario("the holder of a lease fetches and releases it", [*BEGUN, lease(MINE), send(), store()], MISS, released()),
    Scenario(
        "a lease is released as failed after a failure",
        [*BEGUN, lease(MINE), send(FAILED)],
        FAILED_MISS,
        released(failed=True),
        failures=1,
    ),
    Scenario(
        "a lease is released as failed after an error",
        [*BEGUN, lease(MINE), send(Reply(error=LATE))],
        TIMED_OUT,
        released(failed=True),
        failures=1,
    ),
    Scenario(
        "a lease is released as failed where nothing is stored",
        [*BEGUN, lease(MINE), send(Reply(404))],
        {"kind": "miss", "reply": 404, "status": "fwd=uri-miss"},
        released(failed=True),
    ),
    Scenario(
        "a lease is released as done where MongoDB does not take the response",
        [*BEGUN, lease(MINE), send(), store(False)],
        {"kind": "miss", "reply": 200, "status": "fwd=uri-miss"},
        released(),
    ),
    Scenario(
        "a lease is released as done after a 304",
        [*BEGUN_STALE, lease(MINE, refreshing=True), send(NOT_CHANGED, etag=ETAG), renew()],
        {
            "kind": "revalidated",
            "body": OK,
            "stored": OK,
            "status": "fwd=stale; fwd-status=304; stored; ttl=600; detail=mongodb",
            "revalidated": True,
        },
        released(),
    ),
    Scenario(
        "a lease is released with a back-off as long as a failure took",
        [*BEGUN_STALE, lease(MINE, refreshing=True), send(FAILED, etag=ETAG, takes=2.5)],
        {**STALE_FAILED, "status": "fwd=stale; fwd-status=503; ttl=-63; detail=mongodb"},
        released(failed=True, backoff=2.5),
        failures=1,
    ),
    Scenario(
        "a lease is released with the back-off that Retry-After asks for",
        [*BEGUN_STALE, lease(MINE, refreshing=True), send(limited(7), etag=ETAG)],
        {**STALE_FAILED, "status": "fwd=stale; fwd-status=429; ttl=-60; detail=mongodb"},
        released(failed=True, backoff=7.0),
        failures=1,
    ),
    Scenario(
        "a lease is released without a back-off where the caller's proxy failed",
        [*BEGUN_STALE, lease(MINE, refreshing=True), send(Reply(error=LATE, storable=False), etag=ETAG, takes=2.5)],
        {**STALE_FAILED, "status": "fwd=stale; ttl=-63; detail=mongodb"},
        released(failed=True),
        failures=1,
    ),
    Scenario(
        "without MongoDB there is no lease to release",
        [*BEGUN, lease(None), send(), store()],
        MISS,
        ABANDONED,
    ),
    Scenario(
        "a lease that the last holder released as failed is not waited for",
        [*BEGUN, lease(NOBODYS), send(), store()],
        MISS,
        ABANDONED,
    ),
]

WAITING = [
    Scenario(
        "a lease of another process is tried again after 10, 15, 22 … 250 ms",
        [*BEGUN, *(step for pause in PAUSES for step in (lease(ANOTHERS), sleep(pause))), lease(MINE), send(), store()],
        {**MISS, "status": "fwd=uri-miss; stored; ttl=599"},
        released(),
    ),
    Scenario(
        "a lease of another process is opened when the caller's timeout is over",
        [
            find(),
            prepare(0.012),
            lease(ANOTHERS),
            sleep(0.01),
            lease(ANOTHERS),
            sleep(0.002),
            lease(ANOTHERS),
            send(),
            store(),
        ],
        {**MISS, "status": "fwd=uri-miss; stored; ttl=599"},
        OPENED,
    ),
    Scenario(
        "a time-out follows where another process has held the lease for most of the timeout",
        [*waited(4.0, 4.0)],
        TIMED_OUT,
        OPENED,
        failures=1,
    ),
    Scenario(
        "a stale entry is served where another process has held the lease for most of the timeout",
        [*waited(4.0, 4.0, STALE)],
        {**STALE_FAILED, "status": "fwd=stale; ttl=-64; detail=mongodb"},
        OPENED,
        failures=1,
    ),
    Scenario(
        "a timeout shorter than a lease ends in a request, because the holder may have died",
        [*waited(2.0, 2.0), send(), store()],
        {**MISS, "status": "fwd=uri-miss; stored; ttl=598"},
        OPENED,
    ),
    Scenario("a timeout as long as a lease ends in a time-out", [*waited(3.0, 3.0)], TIMED_OUT, OPENED, failures=1),
    Scenario(
        "without a timeout, the lease of another process is waited for 30 seconds",
        [*waited(30.0, None), send(), store()],
        {**MISS, "status": "fwd=uri-miss; stored; ttl=570"},
        OPENED,
    ),
    Scenario(
        "with a long timeout, the lease of another process is waited for 30 seconds",
        [*waited(30.0, 40.0), send(), store()],
        {**MISS, "status": "fwd=uri-miss; stored; ttl=570"},
        OPENED,
    ),
    Scenario(
        "a stale entry is served where the lease of another process lasts",
        [*waited(30.0, None, STALE)],
        BACKED_OFF,
        OPENED,
    ),
    Scenario(
        "a stale entry beyond stale_if_error is not served where the lease of another process lasts",
        [*waited(30.0, None, STALE)[:2], lease(ANOTHERS, takes=30.0), send(etag=ETAG), store()],
        {**REPLACED, "status": "fwd=stale; stored; ttl=570"},
        OPENED,
        rules={"stale_if_error": 50.0},
    ),
]

BACKING_OFF = [
    Scenario(
        "the back-off of another process serves a stale entry",
        [*BEGUN_STALE, lease(Lease(backoff=5.0), refreshing=True)],
        BACKED_OFF,
        ABANDONED,
    ),
    Scenario(
        "the back-off of another process releases a lease that was acquired",
        [*BEGUN_STALE, lease(Lease(is_mine=True, backoff=5.0), refreshing=True)],
        BACKED_OFF,
        released(),
    ),
    Scenario(
        "the back-off of another process allows a request where nothing is stored",
        [*BEGUN, lease(Lease(backoff=5.0)), send(), store()],
        MISS,
        ABANDONED,
    ),
]

AFTER = Lease(is_mine=True, after=0.0)


def looked_again(after: float, takes: float = 0.0, clock: float = 0.0) -> Scenario:
    return Scenario(
        f"an entry is looked up again {takes} s after a look-up, {after} s after the lease of another process",
        [find(takes=takes), prepare(), lease(Lease(is_mine=True, after=after), takes=clock), find(MADE)],
        {**ELSEWHERE, "status": f"fwd=uri-miss; collapsed; ttl={math.floor(600 - takes - clock)}; detail=mongodb"},
        released(),
    )


def not_looked_again(after: float, takes: float = 0.0) -> Scenario:
    return Scenario(
        f"an entry is not looked up again {takes} s after a look-up, {after} s after the lease of another process",
        [find(takes=takes), prepare(), lease(Lease(is_mine=True, after=after)), send(), store()],
        {**MISS, "status": f"fwd=uri-miss; stored; ttl={math.floor(600 - takes)}"},
        released(),
    )


STORED = [
    Scenario(
        "an entry that another process stored meanwhile is served",
        [*BEGUN, lease(AFTER), find(MADE)],
        ELSEWHERE,
        released(),
    ),
    Scenario(
        "an entry that another process stored meanwhile is served without the lease",
        [*BEGUN, lease(Lease(after=0.0)), find(MADE)],
        ELSEWHERE,
        ABANDONED,
    ),
    Scenario(
        "an entry that another process stored meanwhile is reported as collapsed, and stale before",
        [*BEGUN_STALE, lease(AFTER, refreshing=True), find(MADE)],
        {**ELSEWHERE, "status": "fwd=stale; collapsed; ttl=600; detail=mongodb"},
        released(),
    ),
    Scenario(
        "a request follows where another process stored nothing meanwhile",
        [*BEGUN, lease(AFTER), find(), send(), store()],
        MISS,
        released(),
    ),
    Scenario(
        "an entry that another process stored meanwhile is validated where it is stale",
        [
            *BEGUN_STALE,
            lease(AFTER, refreshing=True),
            find(MADE._replace(expires_at=NOW)),
            send(etag=NEW_ETAG),
            store(),
        ],
        REPLACED,
        released(),
    ),
    Scenario(
        "a request without a condition follows where the entry is gone meanwhile",
        [*BEGUN_STALE, lease(AFTER, refreshing=True), find(), send(), store()],
        MISS,
        released(),
    ),
    Scenario(
        "a request without a condition follows where the entry has no ETag by then",
        [*BEGUN_STALE, lease(AFTER, refreshing=True), find(entry(-60, etag=None)), send(), store()],
        REPLACED,
        released(),
    ),
    Scenario(
        "an entry that another process stored meanwhile is not served to a caller that follows no redirects",
        [
            *BEGUN,
            lease(AFTER),
            find(MADE._replace(history=(Hop(CLEAR_URL, 301, "", {}, b""),), url=CLEAR_URL)),
            send(),
            store(),
        ],
        MISS,
        released(),
        call={"follows_redirects": False},
    ),
    looked_again(0.002),
    looked_again(5.002, 5.0),
    looked_again(50.0, clock=-1.0),
    not_looked_again(0.003),
    not_looked_again(5.003, 5.0),
]

SCENARIOS = [*RELEASED, *WAITING, *BACKING_OFF, *STORED]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.says)
def test_rule(scenario: Scenario) -> None:
    scenario.check()


def begin(world: World, **changes: Any) -> Driven:
    return Driven(world, answer(world.core, call(), rules(**changes)))


def test_the_back_off_of_another_process_is_kept() -> None:
    """This process backs off as well: the next call does not acquire the lease."""
    world = World()
    begin(world).take(*BEGUN_STALE, lease(Lease(backoff=5.0), refreshing=True)).end()
    assert shown(begin(world).take(find(STALE)).end()) == BACKED_OFF
    world.seconds = 5.0
    begin(world).take(find(STALE), prepare(), lease(refreshing=True), send(NOT_CHANGED, etag=ETAG), renew()).end()


def test_a_time_out_is_shared() -> None:
    """A caller that waited for this one does not wait for the other process again."""
    world = World()
    leader = begin(world).take(*BEGUN)
    flight = world.fetching()
    leader.take(lease(ANOTHERS, takes=10.0)).end()
    assert flight.outcome is not None
    assert (flight.outcome.reply, flight.outcome.entry) == (Reply(error=LATE), None)
    assert flight.outcome.share_key == "mine"


def test_what_was_served_while_backing_off_is_no_outcome() -> None:
    """A caller that waits decides by itself what it is served."""
    world = World()
    leader = begin(world).take(*BEGUN_STALE)
    flight = world.fetching()
    leader.take(lease(Lease(backoff=5.0), refreshing=True)).end()
    assert flight.outcome is not None
    assert (flight.outcome.reply, flight.outcome.entry) == (None, None)


def test_what_another_process_has_stored_is_the_outcome() -> None:
    world = World()
    leader = begin(world).take(*BEGUN)
    flight = world.fetching()
    leader.take(lease(AFTER), find(MADE)).end()
    assert flight.outcome is not None
    assert (flight.outcome.reply, flight.outcome.entry) == (None, MADE)
    assert math.isinf(flight.sent_at)  # TMDB has not been called


def test_a_lease_is_released_before_the_request_lands() -> None:
    """A caller of this process that waited, and then leads, finds the lease free."""
    world = World()
    leader = begin(world).take(*BEGUN, lease(MINE))
    flight = world.fetching()
    is_over: list[bool] = []
    world.release_lease = lambda *_: is_over.append(flight.is_over)  # type: ignore[method-assign]
    leader.take(send(), store()).end()
    assert is_over == [False]
    assert flight.is_over


def test_the_lease_is_of_the_calls_own_key() -> None:
    """Also with a verified entry: an unverified call holds up no verified one."""
    world = World()
    flow = answer(world.core, call(CLEAR_URL), rules())
    key = f"GET http://{KEY.removeprefix('GET ')}"
    driven = Driven(world, flow).take(find(STALE), find(key=key), prepare())
    driven.take(lease(key=key, refreshing=True))
    assert not isinstance(driven.effect, Find)
    driven.flow.close()
    assert world.leases == list(released(key, failed=True))
