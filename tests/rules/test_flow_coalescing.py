"""Request coalescing in a process: leading, waiting, timeouts, and the outcomes that are shared."""

from __future__ import annotations

import logging
from collections.abc import Hashable
from datetime import timedelta
from typing import Any

import pytest

from tmdb_mongo_cache.core.flow import answer
from tmdb_mongo_cache.core.state import Outcome
from tmdb_mongo_cache.httpcache.models import Entry, Hop, Reply

from ..entrykit import ETAG, NOW, OK, entry
from .drive import (
    ANOTHERS,
    CLEAR_URL,
    FAILED,
    FILM,
    KEY,
    LATE,
    NEW,
    NOT_CHANGED,
    Driven,
    Scenario,
    World,
    call,
    drive,
    find,
    lease,
    prepare,
    released,
    renew,
    rules,
    send,
    shown,
    store,
    wait,
)

STALE = entry(-60)
MADE = entry(600, 0, body=NEW)
REDIRECTED: Any = {"history": (Hop(CLEAR_URL, 301, "", {}, b""),), "url": CLEAR_URL}
ERROR = ConnectionError("refused")
UNKNOWN = Reply(404, body=b'{"id":550}')
SHARED = {"kind": "collapsed", "body": NEW, "status": "fwd=uri-miss; collapsed; ttl=600"}
MISS = {"kind": "miss", "reply": 200, "status": "fwd=uri-miss; stored; ttl=600", "stored": NEW}
STALE_SERVED = {
    "kind": "stale",
    "body": OK,
    "status": "fwd=stale; ttl=-60; detail=mongodb",
    "where": "mongodb",
    "failed": True,
}
BACKED_OFF = {"kind": "stale", "body": OK, "status": "hit; ttl=-60; detail=mongodb", "where": "mongodb"}
OWN = (lease(), send(), store())
ALONE = (send(), store())
TIMED_OUT = {"kind": "miss", "reply": LATE, "status": "fwd=uri-miss", "failed": True}


def led(world: World, name: Hashable = KEY, sent: float | None = 0.0) -> None:
    """Let another thread be calling TMDB, since so many seconds after the beginning; None: not yet."""
    flight = world.elsewhere(world.core.fetches, name)
    if sent is not None:
        flight.sent_at = world.monotonic() - world.seconds + sent


def of(reply: Reply | None, made: Entry | None = None, share_key: Hashable = "mine") -> Outcome:
    return Outcome(reply, made, share_key)


def waits(says: str, steps: Any, result: Any, leases: Any = (), **more: Any) -> Scenario:
    return Scenario(says, [find(), prepare(), *steps], result, leases, **{"given": led, **more})


class Unique(Exception):
    """An error that cannot be copied."""

    def __copy__(self) -> Unique:
        raise TypeError


SHARING = [
    waits("an entry that another caller stored is shared", [wait(of(FILM, MADE, "theirs"))], SHARED),
    waits(
        "a shared entry is as old as it is by then",
        [wait(of(FILM, MADE, "theirs"), takes=7.0)],
        {**SHARED, "status": "fwd=uri-miss; collapsed; ttl=593"},
    ),
    Scenario(
        "an entry that another caller stored replaces a stale one",
        [find(STALE), prepare(), wait(of(FILM, MADE, "theirs"))],
        {**SHARED, "status": "fwd=stale; collapsed; ttl=600"},
        given=led,
    ),
    waits(
        "an entry that TMDB confirmed for another caller is shared",
        [wait(of(NOT_CHANGED, entry(600, 1000, validated_at=NOW), "theirs"))],
        {**SHARED, "body": OK},
    ),
    waits(
        "an entry that is not fresh enough for this caller is not shared, and this caller leads",
        [wait(of(FILM, MADE)), *OWN],
        MISS,
        released(),
        call={"cache_control": "min-fresh=700"},
    ),
    waits(
        "an entry that came by a redirect is not shared with a caller that follows none",
        [wait(of(FILM, MADE._replace(**REDIRECTED))), *OWN],
        MISS,
        released(),
        call={"follows_redirects": False},
    ),
    waits(
        "a 304 is not shared with a caller that the confirmed entry does not serve",
        [wait(of(NOT_CHANGED, MADE._replace(**REDIRECTED))), *OWN],
        MISS,
        released(),
        call={"follows_redirects": False},
    ),
    waits(
        "an entry past its purge is not shared", [wait(of(FILM, MADE._replace(purge_at=NOW))), *OWN], MISS, released()
    ),
    waits("after a leader that ended with nothing, the next caller leads", [wait(None), *OWN], MISS, released()),
    waits(
        "a failure is shared with a caller of the same share key",
        [wait(of(FAILED))],
        {"kind": "collapsed", "reply": 503, "status": "fwd=uri-miss; collapsed", "failed": True},
    ),
    waits(
        "a failure is not shared with a caller of another share key, which leads instead",
        [wait(of(FAILED, None, "theirs")), *OWN],
        MISS,
        released(),
    ),
    waits(
        "a response that was not stored is shared with a caller of the same share key",
        [wait(of(UNKNOWN))],
        {"kind": "collapsed", "reply": 404, "status": "fwd=uri-miss; collapsed"},
    ),
    waits(
        "a response that was not stored is not shared with a caller of another share key",
        [wait(of(UNKNOWN, None, "theirs")), *OWN],
        MISS,
        released(),
    ),
    waits(
        "a response marked private is shared with no caller, and each then fetches alone",
        [wait(of(FILM._replace(headers={"Cache-Control": "private"}))), *ALONE],
        MISS,
    ),
    waits(
        "a failure is shared even if it is marked private",
        [wait(of(FAILED._replace(headers={"Cache-Control": "private"})))],
        {"kind": "collapsed", "reply": 503, "status": "fwd=uri-miss; collapsed", "failed": True},
    ),
    waits(
        "a response that this caller may store is not shared, because the leader may not have stored it",
        [wait(of(FILM)), *OWN],
        MISS,
        released(),
    ),
    Scenario(
        "a shared failure is a reason to serve a stale entry",
        [find(STALE), prepare(), wait(of(FAILED))],
        {**STALE_SERVED, "status": "fwd=stale; fwd-status=503; ttl=-60; detail=mongodb"},
        failures=1,
        given=led,
    ),
    Scenario(
        "a shared 304 does not confirm this caller's entry",
        [find(STALE), prepare(), wait(of(NOT_CHANGED))],
        {"kind": "collapsed", "reply": 304, "status": "fwd=stale; collapsed"},
        given=led,
    ),
    waits("a leader that was served from the cache shares nothing", [wait(of(None)), *OWN], MISS, released()),
    Scenario(
        "a leader that was served while backing off is a reason to serve a stale entry",
        [find(STALE), prepare(), wait(of(None))],
        BACKED_OFF,
        given=led,
    ),
    waits(
        "an error is not shared while the leader reads a response that has begun",
        [wait(of(Reply(error=ERROR, native=object()))), *OWN],
        MISS,
        released(),
    ),
    waits("an error that cannot be copied is not shared", [wait(of(Reply(error=Unique()))), *OWN], MISS, released()),
    waits(
        "a verified caller waits for no request by http",
        [*OWN],
        MISS,
        released(),
        given=lambda world: led(world, f"GET http://{KEY.removeprefix('GET ')}"),
    ),
]

AGAIN = [
    waits(
        "after a failure of another share key, the next leader is waited for",
        [wait(of(FAILED, None, "theirs"), then=led, takes=4.0), wait(of(FILM, MADE, "theirs"), seconds=6.0)],
        {**SHARED, "status": "fwd=uri-miss; collapsed; ttl=596"},
    ),
    waits(
        "after two failures of other share keys, this caller leads those of its own",
        [wait(of(FAILED, None, "theirs"), then=led), wait(of(FAILED, None, "others"), then=led), *OWN],
        MISS,
        released(),
    ),
    waits(
        "after two failures of other share keys, a leader of its own is waited for",
        [
            wait(of(FAILED, None, "theirs"), then=led),
            wait(of(FAILED, None, "others"), then=lambda world: led(world, (KEY, "mine"))),
            wait(of(FAILED, None, "mine")),
        ],
        {"kind": "collapsed", "reply": 503, "status": "fwd=uri-miss; collapsed", "failed": True},
    ),
    waits(
        "after three in-flight requests that were no use, this caller fetches alone",
        [
            wait(None, then=led),
            wait(None, then=lambda world: led(world, (KEY, "mine"))),
            wait(None),
            *ALONE,
        ],
        MISS,
    ),
]

TIMEOUTS = [
    Scenario(
        "without a timeout, an in-flight request is waited for 30 seconds, and this caller then fetches alone",
        [find(), prepare(None), wait(over=False, seconds=30.0), *ALONE],
        {**MISS, "status": "fwd=uri-miss; stored; ttl=570"},
        given=led,
    ),
    Scenario(
        "with a long timeout, an in-flight request is waited for 30 seconds",
        [find(), prepare(100.0), wait(over=False, seconds=30.0), *ALONE],
        {**MISS, "status": "fwd=uri-miss; stored; ttl=570"},
        given=led,
    ),
    waits(
        "a timeout spent on an in-flight request ends in a time-out",
        [wait(over=False)],
        TIMED_OUT,
        failures=1,
    ),
    waits(
        "a time-out follows where TMDB has had nine tenths of the timeout",
        [wait(over=False)],
        TIMED_OUT,
        failures=1,
        given=lambda world: led(world, sent=1.0),
    ),
    waits(
        "this caller fetches alone where TMDB has had less than nine tenths of the timeout",
        [wait(over=False), *ALONE],
        {**MISS, "status": "fwd=uri-miss; stored; ttl=590"},
        given=lambda world: led(world, sent=1.01),
    ),
    waits(
        "this caller fetches alone where the leader has not called TMDB",
        [wait(over=False), *ALONE],
        {**MISS, "status": "fwd=uri-miss; stored; ttl=590"},
        given=lambda world: led(world, sent=None),
    ),
    Scenario(
        "the timeout begins with the request, not with the look-up",
        [find(takes=3.0), prepare(2.0), wait(over=False, seconds=2.0)],
        TIMED_OUT,
        failures=1,
        given=led,
    ),
    Scenario(
        "a stale entry is served instead of a time-out",
        [find(STALE), prepare(), wait(over=False)],
        {**STALE_SERVED, "status": "fwd=stale; ttl=-70; detail=mongodb"},
        failures=1,
        given=led,
    ),
    Scenario(
        "a stale entry beyond stale_if_error is not served instead of a time-out",
        [find(STALE), prepare(), wait(over=False)],
        {**TIMED_OUT, "status": "fwd=stale"},
        failures=1,
        given=led,
        rules={"stale_if_error": 65.0},
    ),
    waits(
        "a second wait lasts no longer than what is left of the timeout",
        [wait(of(FAILED, None, "theirs"), then=led, takes=12.0), wait(over=False, seconds=0.0)],
        TIMED_OUT,
        failures=1,
    ),
]

WITHIN = [
    Scenario(
        "a call within a call for the same key fetches alone, without a lease",
        [find(), prepare(), *ALONE],
        MISS,
        given=lambda world: world.within(world.core.fetches, KEY),
    ),
    Scenario(
        "a call within a call for the same key validates a stale entry",
        [find(STALE), prepare(), send(NOT_CHANGED, etag=ETAG), renew()],
        {
            "kind": "revalidated",
            "body": OK,
            "stored": OK,
            "status": "fwd=stale; fwd-status=304; stored; ttl=600; detail=mongodb",
            "revalidated": True,
        },
        given=lambda world: world.within(world.core.fetches, KEY),
    ),
]

UNSHARED = [
    Scenario(
        "refresh shares no response",
        [find(entry()), prepare(), send(etag=ETAG), store()],
        {**MISS, "status": "fwd=request; stored; ttl=600"},
        given=led,
        rules={"refresh": True},
    ),
    Scenario(
        "no-cache shares no response",
        [find(entry()), prepare(), send(etag=ETAG), store()],
        {**MISS, "status": "fwd=request; stored; ttl=600"},
        given=led,
        call={"cache_control": "no-cache"},
    ),
    Scenario(
        "force_refresh sends no condition",
        [find(entry()), prepare(), send(), store()],
        {**MISS, "status": "fwd=request; stored; ttl=600"},
        given=led,
        rules={"force_refresh": True},
    ),
]


def backing_off(world: World) -> None:
    world.core.backoff.back_off(KEY, 60.0)


BACKING_OFF = [
    Scenario("a key that backs off is served stale", [find(STALE)], BACKED_OFF, given=backing_off),
    Scenario(
        "a key that backs off is fetched where nothing is stored",
        [find(), prepare(), *OWN],
        MISS,
        released(),
        given=backing_off,
    ),
    Scenario(
        "a key that backs off is fetched where the entry is beyond stale_if_error",
        [find(STALE), prepare(), lease(), send(FILM, etag=ETAG), store()],
        {**MISS, "status": "fwd=stale; stored; ttl=600"},
        released(),
        given=backing_off,
        rules={"stale_if_error": 60.0},
    ),
    Scenario(
        "a key is fetched again when its back-off is over",
        [find(STALE, takes=60.0), prepare(), lease(refreshing=True), send(etag=ETAG), store()],
        {**MISS, "status": "fwd=stale; stored; ttl=540"},
        released(),
        given=backing_off,
    ),
    Scenario(
        "refresh does not back off",
        [find(STALE), prepare(), send(etag=ETAG), store()],
        {**MISS, "status": "fwd=stale; stored; ttl=600"},
        given=backing_off,
        rules={"refresh": True},
    ),
]

SCENARIOS = [*SHARING, *AGAIN, *TIMEOUTS, *WITHIN, *UNSHARED, *BACKING_OFF]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.says)
def test_rule(scenario: Scenario) -> None:
    scenario.check()


def begin(world: World, **changes: Any) -> Driven:
    return Driven(world, answer(world.core, call(), rules(**changes)))


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (FILM, (200, NEW)),
        (FAILED, (503, None)),
        (UNKNOWN, (404, None)),
        (FILM._replace(verified=False), None),
    ],
    ids=["stored", "failed", "not stored", "not verified"],
)
def test_what_a_leader_shares(reply: Reply, outcome: Any) -> None:
    """Its response and the entry made of it; nothing of what came by no verified channel."""
    world = World()
    leader = begin(world).take(find(), prepare(share_key="key"), lease())
    flight = world.fetching()
    assert flight.sent_at == world.monotonic()
    steps = [send(reply), store()] if outcome and outcome[1] else [send(reply)]
    leader.take(*steps).end()
    found = flight.outcome
    assert flight.is_over
    assert found is not None
    assert found.share_key == "key"
    assert ((found.reply.status, found.entry and found.entry.body) if found.reply else None) == outcome


def test_a_leader_that_waits_for_a_lease_has_not_called_tmdb() -> None:
    """A caller whose timeout ends meanwhile gets no time-out, because TMDB has not been called."""
    world = World()
    leader = begin(world).take(find(), prepare(), lease(ANOTHERS))
    world.leave_to_another_thread()
    follower = begin(world).take(find(), prepare(), wait(over=False))
    assert shown(follower.take(*ALONE).end())["kind"] == "miss"
    leader.flow.close()


def test_after_a_time_out_the_next_caller_leads() -> None:
    world = World()
    led(world)
    begin(world).take(find(), prepare(), wait(over=False)).end()
    assert shown(begin(world).take(find(), prepare(), *OWN).end())["kind"] == "miss"


def test_several_callers_are_one_request() -> None:
    """Three threads want the same: one leads, two wait, and all get its response."""
    world = World()
    leader = begin(world).take(find(), prepare(), lease())
    world.leave_to_another_thread()
    followers = [begin(world).take(find(), prepare()) for _ in range(2)]
    assert shown(leader.take(send(), store()).end()) == MISS
    (flight,) = {one.effect.flight for one in followers}  # type: ignore[union-attr]
    assert flight.is_over
    for follower in followers:
        assert shown(follower.take(wait(flight.outcome)).end()) == SHARED


def test_a_shared_error_is_a_copy() -> None:
    """Each caller raises an error of its own, with the cause of the first."""
    world = World()
    led(world)
    error = ConnectionError("x")
    error.__cause__ = KeyError("cause")
    result = drive(world, answer(world.core, call(), rules()), find(), prepare(), wait(of(Reply(error=error))))
    assert result.reply.error is not error
    assert (type(result.reply.error), str(result.reply.error)) == (ConnectionError, "x")
    assert result.reply.error.__cause__ is error.__cause__
    assert result.failed


def test_a_shared_response_is_no_others_own() -> None:
    """A response that is shared is made again for its caller: the other's own object stays its own."""
    world = World()
    led(world)
    reply = UNKNOWN._replace(native=object())
    result = drive(world, answer(world.core, call(), rules()), find(), prepare(), wait(of(reply)))
    assert result.reply == reply._replace(native=None)


@pytest.mark.parametrize(
    ("steps", "level"),
    [
        ([wait(of(FAILED))], logging.DEBUG),
        ([wait(over=False)], logging.WARNING),
        ([wait(None), lease(refreshing=True), send(FAILED, etag=ETAG)], logging.WARNING),
    ],
    ids=["the leader warns", "a time-out of its own", "a failure of its own"],
)
def test_one_failure_is_one_warning(caplog: pytest.LogCaptureFixture, steps: Any, level: int) -> None:
    caplog.set_level(logging.DEBUG, "tmdb_mongo_cache")
    world = World()
    led(world)
    begin(world).take(find(STALE), prepare(), *steps).end()
    assert [record.levelno for record in caplog.records if record.message.startswith("TMDB failed")] == [level]


@pytest.mark.parametrize("seconds", [0.0, 0.0014, 3.5])
def test_a_shared_result_has_the_time_of_its_caller(seconds: float) -> None:
    """In whole milliseconds, as MongoDB keeps it."""
    world = World()
    led(world)
    steps = [find(), prepare(), wait(of(FILM, MADE), takes=seconds)]
    result = drive(world, answer(world.core, call(), rules()), *steps)
    assert result.now == NOW + timedelta(milliseconds=int(seconds * 1000))


def test_outcomes_hide_what_is_the_callers() -> None:
    assert repr(of(FILM, MADE, "secret")) == f"Outcome(reply=200, entry={KEY!r})"
    assert repr(of(None, None, "secret")) == "Outcome(reply=None, entry=None)"
