"""The fetch: what is sent, what of a response is stored and served, and what happens when TMDB fails."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import pytest

from tmdb_mongo_cache.core import recent_writes
from tmdb_mongo_cache.core.effects import MarkStale, Renew, Store
from tmdb_mongo_cache.core.flow import answer, write
from tmdb_mongo_cache.core.flow import renew as renew_flow
from tmdb_mongo_cache.core.memory import Memory
from tmdb_mongo_cache.httpcache.models import Hop, Reply
from tmdb_mongo_cache.tmdb.invalidation import touched_by

from ..entrykit import ETAG, NOW, OK, entry
from .drive import (
    CLEAR_KEY,
    CLEAR_URL,
    FAILED,
    FILM,
    KEY,
    NEW,
    NEW_ETAG,
    NOT_CHANGED,
    URL,
    Driven,
    Scenario,
    World,
    call,
    drive,
    find,
    lease,
    limited,
    mark_stale,
    prepare,
    released,
    renew,
    rules,
    send,
    sleep,
    store,
)

STALE = entry(-60)
MISS = {"kind": "miss", "reply": 200, "status": "fwd=uri-miss; stored; ttl=600", "stored": NEW}
PASSED = {"kind": "miss", "reply": 200, "status": "fwd=uri-miss"}
REPLACED = {**MISS, "status": "fwd=stale; stored; ttl=600"}
REVALIDATED = {
    "kind": "revalidated",
    "body": OK,
    "stored": OK,
    "status": "fwd=stale; fwd-status=304; stored; ttl=600; detail=mongodb",
    "revalidated": True,
}
STALE_SERVED = {
    "kind": "stale",
    "body": OK,
    "status": "fwd=stale; fwd-status=503; ttl=-60; detail=mongodb",
    "where": "mongodb",
    "failed": True,
}
LIMITED = {"kind": "miss", "reply": 429, "status": "fwd=uri-miss", "failed": True}
BEGUN = (find(), prepare(), lease())
BEGUN_STALE = (find(STALE), prepare(), lease(refreshing=True))
SECRET = "0123456789abcdef0123456789abcdef"
ERROR = ConnectionError("refused")
NOT_JSON = Reply(200, body=b"<html>")


def rated(_: World) -> None:
    """Note that this process has just rated the film."""
    recent_writes.note(touched_by(f"{URL}/rating"))


STORING = [
    Scenario("a response is stored", [*BEGUN, send(), store(data={"id": 550, "title": "new"})], MISS, released()),
    Scenario("a response that MongoDB does not take is passed on", [*BEGUN, send(), store(False)], PASSED, released()),
    Scenario(
        "a private response is not stored",
        [*BEGUN, send(FILM._replace(headers={"Cache-Control": "private"}))],
        PASSED,
        released(failed=True),
    ),
    Scenario(
        "a response with another status is not stored",
        [*BEGUN, send(Reply(401))],
        {"kind": "miss", "reply": 401, "status": "fwd=uri-miss"},
        released(failed=True),
    ),
    Scenario(
        "a response that repeats a credential is not stored",
        [find(), prepare(), lease(), send(FILM._replace(body=f'{{"id":550,"x":"{SECRET}"}}'.encode()))],
        PASSED,
        released(failed=True),
        call={"url": f"{URL}?api_key={SECRET}"},
    ),
    Scenario(
        "a response that the settings exclude is not stored",
        [find(), prepare(), send()],
        PASSED,
        rules={"expire_after": 0x0D0E0200020704},
    ),
    Scenario(
        "an unverified response to a verified call is not stored",
        [*BEGUN, send(FILM._replace(verified=False))],
        PASSED,
        released(failed=True),
    ),
    Scenario(
        "a response that redirected to https is stored as verified",
        [
            find(),
            find(key=CLEAR_KEY),
            prepare(),
            lease(key=CLEAR_KEY),
            send(FILM._replace(url=URL, history=(Hop(CLEAR_URL, 301, "", {"Location": URL}, b""),))),
            store(),
        ],
        MISS,
        released(CLEAR_KEY),
        call={"url": CLEAR_URL},
    ),
    Scenario(
        "a response that expires immediately is stored as stale",
        [find(), prepare(), send(), store(entry_expires_at=NOW)],
        {**MISS, "status": "fwd=uri-miss; stored; ttl=0"},
        rules={"expire_after": 0.0},
    ),
]

FAILING = [
    Scenario(
        "a failure is passed on where nothing is stored",
        [*BEGUN, send(FAILED)],
        {"kind": "miss", "reply": 503, "status": "fwd=uri-miss", "failed": True},
        released(failed=True),
        failures=1,
    ),
    Scenario(
        "an error is passed on where nothing is stored",
        [*BEGUN, send(Reply(error=ERROR))],
        {"kind": "miss", "reply": ERROR, "status": "fwd=uri-miss", "failed": True},
        released(failed=True),
        failures=1,
    ),
    Scenario("a 429 is a failure", [*BEGUN, send(limited())], LIMITED, released(failed=True), failures=1),
    Scenario(
        "a 500 is a failure",
        [*BEGUN, send(Reply(500))],
        {"kind": "miss", "reply": 500, "status": "fwd=uri-miss", "failed": True},
        released(failed=True),
        failures=1,
    ),
    Scenario(
        "a 499 is no failure",
        [*BEGUN, send(Reply(499))],
        {"kind": "miss", "reply": 499, "status": "fwd=uri-miss"},
        released(failed=True),
    ),
    Scenario(
        "a body that is not JSON is passed on and not stored",
        [*BEGUN, send(NOT_JSON)],
        PASSED,
        released(failed=True),
    ),
    Scenario(
        "a stale entry is served instead of a failure",
        [*BEGUN_STALE, send(FAILED, etag=ETAG)],
        STALE_SERVED,
        released(failed=True),
        failures=1,
    ),
    Scenario(
        "a stale entry is served instead of a body that is not JSON",
        [*BEGUN_STALE, send(NOT_JSON, etag=ETAG)],
        {**STALE_SERVED, "status": "fwd=stale; fwd-status=200; ttl=-60; detail=mongodb"},
        released(failed=True),
        failures=1,
    ),
    Scenario(
        "a stale entry beyond stale_if_error is not served instead of a failure",
        [find(STALE), prepare(), lease(), send(FAILED, etag=ETAG)],
        {"kind": "miss", "reply": 503, "status": "fwd=stale", "failed": True},
        released(failed=True),
        failures=1,
        rules={"stale_if_error": 60.0},
    ),
    Scenario(
        "a fresh entry is served where a refresh fails",
        [find(entry()), prepare(), send(FAILED, etag=ETAG)],
        {**STALE_SERVED, "status": "fwd=request; fwd-status=503; ttl=100; detail=mongodb"},
        failures=1,
        rules={"refresh": True},
    ),
]

VALIDATING = [
    Scenario(
        "an entry that TMDB confirms is fresh again",
        [
            *BEGUN_STALE,
            send(NOT_CHANGED, etag=ETAG),
            renew(entry_validated_at=NOW, entry_expires_at=NOW + timedelta(seconds=600)),
        ],
        REVALIDATED,
        released(),
    ),
    Scenario(
        "an entry that TMDB confirms is served where MongoDB does not take it",
        [*BEGUN_STALE, send(NOT_CHANGED, etag=ETAG), renew(False)],
        {
            "kind": "revalidated",
            "body": OK,
            "status": "fwd=stale; fwd-status=304; ttl=600; detail=mongodb",
            "revalidated": True,
        },
        released(),
    ),
    Scenario(
        "an entry without an ETag is fetched without a condition",
        [find(entry(-60, etag=None)), *BEGUN_STALE[1:], send(), store()],
        REPLACED,
        released(),
    ),
    Scenario("a changed response replaces the entry", [*BEGUN_STALE, send(etag=ETAG), store()], REPLACED, released()),
    Scenario(
        "a 304 for another ETag is followed by a request without a condition",
        [*BEGUN_STALE, send(Reply(304, headers={"ETag": '"b"'}), etag=ETAG), send(), store()],
        REPLACED,
        released(),
    ),
    Scenario(
        "a 304 is compared with the entry's ETag weakly",
        [*BEGUN_STALE, send(Reply(304, headers={"ETag": '"a"'}), etag=ETAG), renew()],
        REVALIDATED,
        released(),
    ),
    Scenario(
        "a 304 that TMDB did not send is followed by a request without a condition",
        [*BEGUN_STALE, send(Reply(304, storable=False), etag=ETAG), send(), store()],
        REPLACED,
        released(),
    ),
    Scenario(
        "an unverified 304 is followed by a request without a condition",
        [*BEGUN_STALE, send(Reply(304, verified=False), etag=ETAG), send(), store()],
        REPLACED,
        released(),
    ),
    Scenario(
        "a 304 to a request without a condition is passed on",
        [*BEGUN, send(NOT_CHANGED)],
        {"kind": "miss", "reply": 304, "status": "fwd=uri-miss"},
        released(failed=True),
    ),
    Scenario(
        "a second 304 is passed on",
        [*BEGUN_STALE, send(Reply(304, storable=False), etag=ETAG), send(NOT_CHANGED)],
        {"kind": "miss", "reply": 304, "status": "fwd=stale"},
        released(failed=True),
    ),
]

WAIT: Any = {"wait_on_rate_limit": True}
LIMITS = [
    Scenario(
        "without wait_on_rate_limit, a 429 is passed on",
        [*BEGUN, send(limited(1))],
        LIMITED,
        released(failed=True),
        failures=1,
    ),
    Scenario(
        "with wait_on_rate_limit, a response is not waited for", [*BEGUN, send(), store()], MISS, released(), rules=WAIT
    ),
    Scenario(
        "a 429 is waited out as long as it says",
        [*BEGUN, send(limited(2)), sleep(2.0), send(limited(3)), sleep(3.0), send(), store()],
        {**MISS, "status": "fwd=uri-miss; stored; ttl=595"},
        released(),
        rules=WAIT,
    ),
    Scenario(
        "a 429 that does not say how long is waited out for 1, 2, 4 seconds",
        [
            *BEGUN,
            send(limited()),
            sleep(1.0),
            send(limited()),
            sleep(2.0),
            send(limited()),
            sleep(4.0),
            send(),
            store(),
        ],
        {**MISS, "status": "fwd=uri-miss; stored; ttl=593"},
        released(),
        rules=WAIT,
    ),
    Scenario(
        "a 429 is waited out as long as the caller's timeout",
        [*BEGUN, send(limited(10)), sleep(10.0), send(), store()],
        {**MISS, "status": "fwd=uri-miss; stored; ttl=590"},
        released(),
        rules=WAIT,
    ),
    Scenario(
        "a 429 beyond the caller's timeout is passed on at once",
        [*BEGUN, send(limited(11))],
        LIMITED,
        released(failed=True),
        failures=1,
        rules=WAIT,
    ),
    Scenario(
        "all waits for the limit count towards the timeout",
        [*BEGUN, send(limited(6)), sleep(6.0), send(limited(6))],
        LIMITED,
        released(failed=True),
        failures=1,
        rules=WAIT,
    ),
    Scenario(
        "without a timeout, a limit is waited out for a minute",
        [find(), prepare(None), lease(), send(limited(60)), sleep(60.0), send(), store()],
        {**MISS, "status": "fwd=uri-miss; stored; ttl=540"},
        released(),
        rules=WAIT,
    ),
    Scenario(
        "without a timeout, a limit of more than a minute is passed on",
        [find(), prepare(None), lease(), send(limited(61))],
        LIMITED,
        released(failed=True),
        failures=1,
        rules=WAIT,
    ),
    Scenario(
        "a stale entry is served instead of waiting for the limit",
        [*BEGUN_STALE, send(limited(2), etag=ETAG)],
        {**STALE_SERVED, "status": "fwd=stale; fwd-status=429; ttl=-60; detail=mongodb"},
        released(failed=True, backoff=2.0),
        failures=1,
        rules=WAIT,
    ),
    Scenario(
        "a stale entry beyond stale_if_error is not served instead of waiting for the limit",
        [find(STALE), prepare(), lease(), send(limited(2), etag=ETAG), sleep(2.0), send(etag=ETAG), store()],
        {**REPLACED, "status": "fwd=stale; stored; ttl=598"},
        released(),
        rules={**WAIT, "stale_if_error": 60.0},
    ),
    Scenario(
        "a limit that another call has met is waited out before the request",
        [*BEGUN, sleep(5.0), send(), store()],
        {**MISS, "status": "fwd=uri-miss; stored; ttl=595"},
        released(),
        rules=WAIT,
        given=lambda world: world.core.rate_limits[True].met(5.0),
    ),
    Scenario(
        "a limit that another call has met is waited out for the rest of it",
        [find(takes=3.0), *BEGUN[1:], sleep(2.0), send(), store()],
        {**MISS, "status": "fwd=uri-miss; stored; ttl=595"},
        released(),
        rules=WAIT,
        given=lambda world: world.core.rate_limits[True].met(5.0),
    ),
    Scenario(
        "a limit that another call has met is waited out to the fraction of a second",
        [find(takes=4.75), *BEGUN[1:], sleep(0.25), send(), store()],
        {**MISS, "status": "fwd=uri-miss; stored; ttl=595"},
        released(),
        rules=WAIT,
        given=lambda world: world.core.rate_limits[True].met(5.0),
    ),
    Scenario(
        "a limit beyond the caller's timeout is not waited out before the request",
        [*BEGUN, send(), store()],
        MISS,
        released(),
        rules=WAIT,
        given=lambda world: world.core.rate_limits[True].met(11.0),
    ),
    Scenario(
        "a limit is not waited out before the request where a stale entry may be served",
        [*BEGUN_STALE, send(etag=ETAG), store()],
        REPLACED,
        released(),
        rules=WAIT,
        given=lambda world: world.core.rate_limits[True].met(5.0),
    ),
    Scenario(
        "a limit of unverified calls does not concern verified ones",
        [*BEGUN, send(), store()],
        MISS,
        released(),
        rules=WAIT,
        given=lambda world: world.core.rate_limits[False].met(5.0),
    ),
    Scenario(
        "a limit of verified calls does not concern unverified ones",
        [
            find(),
            find(key=CLEAR_KEY),
            prepare(),
            lease(key=CLEAR_KEY),
            send(FILM._replace(verified=False)),
            store(key=CLEAR_KEY),
        ],
        MISS,
        released(CLEAR_KEY),
        rules=WAIT,
        call={"url": CLEAR_URL},
        given=lambda world: world.core.rate_limits[True].met(5.0),
    ),
    Scenario(
        "an error is no limit",
        [*BEGUN, send(Reply(429, error=ERROR))],
        {"kind": "miss", "reply": 429, "status": "fwd=uri-miss", "failed": True},
        released(failed=True),
        failures=1,
        rules=WAIT,
    ),
    Scenario(
        "a limit is waited out in the request without a condition as well",
        [
            find(STALE),
            prepare(),
            lease(),
            send(Reply(304, storable=False), etag=ETAG),
            send(limited(1)),
            sleep(1.0),
            send(),
            store(),
        ],
        {**REPLACED, "status": "fwd=stale; stored; ttl=599"},
        released(),
        rules={**WAIT, "stale_if_error": 0.0},
    ),
]

WRITTEN = [
    Scenario(
        "a response older than a write of this process is stored as stale",
        [*BEGUN, send(meanwhile=rated), store(entry_expires_at=NOW)],
        {**MISS, "status": "fwd=uri-miss; stored; ttl=0"},
        released(),
    ),
    Scenario(
        "an entry confirmed before a write of this process is stored as stale",
        [*BEGUN_STALE, send(NOT_CHANGED, etag=ETAG, meanwhile=rated), renew(entry_expires_at=NOW)],
        {**REVALIDATED, "status": "fwd=stale; fwd-status=304; stored; ttl=0; detail=mongodb"},
        released(),
    ),
    Scenario(
        "a write before the request leaves the response fresh",
        [find(takes=60.0, meanwhile=rated), *BEGUN[1:], send(), store()],
        {**MISS, "status": "fwd=uri-miss; stored; ttl=540"},
        released(),
    ),
    Scenario(
        "a write to another film leaves the response fresh",
        [*BEGUN, send(meanwhile=lambda _: recent_writes.note(touched_by(f"{URL}1/rating"))), store()],
        MISS,
        released(),
    ),
]

RENEWING = [
    Scenario("renew leaves a fresh entry as it is", [find(entry())], {}, flow=renew_flow),
    Scenario(
        "renew fetches a stale entry that stale-while-revalidate would serve",
        [*BEGUN_STALE, send(NOT_CHANGED, etag=ETAG), renew()],
        REVALIDATED,
        released(),
        rules={"stale_while_revalidate": 300.0},
        flow=renew_flow,
    ),
    Scenario("renew fetches a missing entry", [*BEGUN, send(), store()], MISS, released(), flow=renew_flow),
    Scenario(
        "renew reuses no appended part",
        [find(key=f"{KEY}/credits"), prepare(), lease(key=f"{KEY}/credits"), send(Reply(404))],
        {"kind": "miss", "reply": 404, "status": "fwd=uri-miss"},
        released(f"{KEY}/credits", failed=True),
        rules={"reuse_appended": True},
        call={"url": f"{URL}/credits"},
        flow=renew_flow,
    ),
]

SCENARIOS = [*STORING, *FAILING, *VALIDATING, *LIMITS, *WRITTEN, *RENEWING]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.says)
def test_rule(scenario: Scenario) -> None:
    scenario.check()


def begin(world: World, url: str = URL, **changes: Any) -> Driven:
    return Driven(world, answer(world.core, call(url), rules(**changes)))


class TestBackoff:
    """What a failure means for the next call for the key."""

    def fail(self, world: World, *replies: Reply, took: float = 0.0) -> None:
        for reply in replies:
            begin(world).take(*BEGUN_STALE, send(reply, etag=ETAG, takes=took)).end()

    def is_on(self, world: World) -> bool:
        return begin(world).take(find(STALE)).is_over

    def test_one_failure_may_be_an_accident(self) -> None:
        world = World()
        self.fail(world, FAILED)
        assert not self.is_on(world)

    def test_two_are_none(self) -> None:
        world = World()
        self.fail(world, FAILED, FAILED)
        assert self.is_on(world)
        world.seconds += 0.5
        assert not self.is_on(world)

    def test_a_slow_one_is_none(self) -> None:
        world = World()
        self.fail(world, FAILED, took=3.0)
        world.seconds += 2.9
        assert self.is_on(world)
        world.seconds += 0.1
        assert not self.is_on(world)

    def test_one_that_says_when(self) -> None:
        world = World()
        self.fail(world, limited(4))
        assert self.is_on(world)

    def test_a_proxys_is_none_of_tmdbs(self) -> None:
        world = World()
        self.fail(world, *[Reply(error=ERROR, storable=False)] * 3)
        assert not self.is_on(world)

    @pytest.mark.parametrize("reply", [NOT_CHANGED, FILM, Reply(404)], ids=["confirmed", "stored", "passed on"])
    def test_a_response_ends_it(self, reply: Reply) -> None:
        """After that, a failure is the first one."""
        world = World()
        self.fail(world, FAILED, FAILED)
        world.seconds += 0.5
        steps = {304: [renew()], 200: [store()], 404: []}[reply.status]
        begin(world).take(*BEGUN_STALE, send(reply, etag=ETAG), *steps).end()
        self.fail(world, FAILED)
        assert not self.is_on(world)

    def test_is_of_a_channel(self) -> None:
        """A failure by http makes no call by https back off."""
        world = World()
        for _ in range(2):
            steps = [find(STALE), find(key=CLEAR_KEY), prepare(), lease(key=CLEAR_KEY, refreshing=True), send(FAILED)]
            begin(world, CLEAR_URL).take(*steps).end()
        assert not self.is_on(world)


class TestRateLimit:
    def test_the_next_limit_is_the_first(self) -> None:
        """After a response that was not limited."""
        world = World()
        for _ in range(2):
            begin(world, **WAIT).take(*BEGUN, send(limited()), sleep(1.0), send(), store()).end()

    def test_it_is_met_once_by_who_meets_it_together(self) -> None:
        """The second of two calls that were under way waits for no more than the first."""
        world = World()
        first = begin(world, **WAIT).take(*BEGUN)
        second = begin(world, f"{URL}1", **WAIT).take(find(key=f"{KEY}1"), prepare(), lease(key=f"{KEY}1"))
        first.take(send(limited()))
        second.take(send(limited()), sleep(1.0))
        first.flow.close()
        second.flow.close()


class TestMemory:
    """What memory has of a key after it was fetched."""

    @pytest.mark.parametrize("done", [True, False], ids=["stored", "not stored"])
    def test_a_new_response(self, done: bool) -> None:
        """Also where MongoDB has not taken it: it is TMDB's last."""
        world = World(memory=True)
        begin(world).take(*BEGUN, send(), store(done)).end()
        hit = begin(world).end()
        assert (hit.kind, hit.where, hit.entry.body) == ("hit", "memory", NEW)

    def test_a_confirmed_one(self) -> None:
        world = World(memory=True)
        begin(world).take(*BEGUN_STALE, send(NOT_CHANGED, etag=ETAG), renew()).end()
        assert begin(world).end().entry.body == OK

    def test_not_what_was_changed_meanwhile(self) -> None:
        """Which one is the last is not known then: the next call looks it up in MongoDB."""
        world = World(memory=True)
        begin(world).take(*BEGUN, send(meanwhile=lambda _: world.memory.forget(KEY)), store()).end()
        assert world.memory.get(KEY) is None

    @pytest.mark.parametrize("reply", [FILM, NOT_CHANGED])
    def test_other_caches_of_the_process_forget_it(self, reply: Reply) -> None:
        """They look it up in MongoDB, where the new one is."""
        world, other = World(memory=True), Memory(3600, 2**20)
        other.put(STALE, other.moment(KEY))
        step = store() if reply is FILM else renew()
        begin(world).take(*BEGUN_STALE, send(reply, etag=ETAG), step).end()
        assert other.get(KEY) is None
        assert world.memory.get(KEY) is not None

    def test_nothing_of_a_key_that_was_not_looked_up(self) -> None:
        """A redirect to https makes the verified response, of which the call knows nothing."""
        world = World(memory=True)
        reply = FILM._replace(url=URL, history=(Hop(CLEAR_URL, 301, "", {"Location": URL}, b""),))
        world.remember(STALE)
        world.memory.forget(CLEAR_KEY)  # so that both keys have changed as often when the response is stored
        steps = [find(), find(key=CLEAR_KEY), prepare(), lease(key=CLEAR_KEY), send(reply), store()]
        begin(world, CLEAR_URL).take(*steps).end()
        assert world.memory.get(KEY) is None

    def test_an_unverified_response_beside_a_verified_one(self) -> None:
        world = World(memory=True)
        steps = [find(entry()), prepare(), send(FILM._replace(verified=False)), store(key=CLEAR_KEY)]
        Driven(world, answer(world.core, call(CLEAR_URL), rules(refresh=True))).take(
            find(entry()), find(key=CLEAR_KEY), *steps[1:]
        ).end()
        assert world.memory.get(CLEAR_KEY) is not None


def test_what_is_stored() -> None:
    """The whole entry: of the call, at the time of the response in whole milliseconds."""
    world = World()
    driven = begin(world).take(*BEGUN, send(takes=1.2345))
    assert isinstance(driven.effect, Store)
    made = driven.effect.entry
    assert made.timestamp == NOW + timedelta(seconds=1.234)
    assert (made.key, made.status, made.body, made.etag) == (KEY, 200, NEW, NEW_ETAG)
    assert (made.tmdb_id, made.media_type, made.endpoint) == (550, "movie", "/3/movie/{movie_id}")
    driven.flow.close()


def test_what_is_confirmed() -> None:
    """The entry with new times, and the headers that came along."""
    world = World()
    driven = begin(world).take(*BEGUN_STALE, send(Reply(304, headers={"X-New": "1"}), etag=ETAG, takes=1.2345))
    assert isinstance(driven.effect, Renew)
    renewed = driven.effect.entry
    assert renewed == STALE._replace(
        headers={"ETag": ETAG, "X-New": "1"},
        validated_at=NOW + timedelta(seconds=1.234),
        expires_at=NOW + timedelta(seconds=600),
        purge_at=renewed.purge_at,
    )
    driven.flow.close()


def test_a_failure_that_is_served_stale_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """It names what failed, and of when the response is that is served."""
    caplog.set_level(logging.DEBUG, "tmdb_mongo_cache")
    begin(World()).take(*BEGUN_STALE, send(FAILED, etag=ETAG)).end()
    (record,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "status 503" in record.getMessage()
    assert str(STALE.timestamp) in record.getMessage()


class TestWrite:
    """A successful write at TMDB (RFC 9111 section 4.4)."""

    def test_marks_stale_what_it_touches(self) -> None:
        world = World()
        urls = [f"{URL}/rating", None, "https://api.themoviedb.org/3/tv/1/rating"]
        touched = (*touched_by(f"{URL}/rating"), *touched_by("https://api.themoviedb.org/3/tv/1/rating"))
        world.seconds = 1.2345
        drive(world, write(world.core, urls), mark_stale(touched=touched, now=NOW + timedelta(seconds=1.234)))

    @pytest.mark.parametrize("urls", [[], [None], [""], [None, ""]])
    def test_of_nothing_marks_nothing(self, urls: Any) -> None:
        world = World()
        world.core.backoff.back_off(KEY, 60.0)
        drive(world, write(world.core, urls))
        assert world.core.backoff.is_on(KEY)

    def test_lets_no_call_wait_for_an_older_request(self) -> None:
        """A call after the write does not share a request from before it, nor back off."""
        world = World()
        leader = begin(world).take(*BEGUN)
        world.leave_to_another_thread()
        world.core.backoff.back_off(KEY, 60.0)
        drive(world, write(world.core, [f"{URL}/rating"]), mark_stale())
        begin(world).take(*BEGUN_STALE, send(etag=ETAG), store()).end()
        leader.flow.close()

    def test_of_a_database_that_is_away(self) -> None:
        """In-flight requests are left when MongoDB has been told, not before: that may take a while."""
        world = World()
        leader = begin(world).take(*BEGUN)
        writing = Driven(world, write(world.core, [f"{URL}/rating"]))
        assert isinstance(writing.effect, MarkStale)
        assert [flight.key for flight in world.led()] == [KEY]
        writing.take(mark_stale()).end()
        assert world.led() == []
        leader.flow.close()
