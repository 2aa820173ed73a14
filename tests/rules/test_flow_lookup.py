"""The look-up: what is found where, what of it is served, and when TMDB is not called at all."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tmdb_mongo_cache.core import greenlets
from tmdb_mongo_cache.core.flow import answer
from tmdb_mongo_cache.core.lookup import look_up, recall
from tmdb_mongo_cache.httpcache.models import Hop

from ..entrykit import ETAG, NOW, OK, entry
from .drive import (
    AWAY,
    CLEAR_KEY,
    CLEAR_URL,
    FAILED,
    FILM,
    KEY,
    NEW,
    Driven,
    Scenario,
    World,
    call,
    drive,
    find,
    find_containing,
    lease,
    prepare,
    released,
    rules,
    send,
    shown,
    store,
    wait,
)

FRESH, STALE = entry(), entry(-60)
NO_ETAG = entry(-60, etag=None)
OTHER = b'{"id":550,"title":"other"}'
REDIRECTED: Any = {"history": (Hop(CLEAR_URL, 301, "", {}, b""),), "url": CLEAR_URL}
MISS = {"kind": "miss", "reply": 200, "status": "fwd=uri-miss; stored; ttl=600", "stored": NEW}
FETCHED = (prepare(), lease(), send(), store())
HIT = {"kind": "hit", "body": OK, "status": "hit; ttl=100; detail=mongodb", "where": "mongodb"}
IN_MEMORY = {**HIT, "status": "hit; ttl=100; detail=memory", "where": "memory"}
STALE_SERVED = {"kind": "stale", "body": OK, "status": "hit; ttl=-60; detail=mongodb", "where": "mongodb"}
UNANSWERED = {"kind": "unanswered", "status": "fwd=uri-miss; detail=only-if-cached"}

SERVED = [
    Scenario("a fresh entry is served", [find(FRESH)], HIT),
    Scenario("a missing entry is fetched", [find(), *FETCHED], MISS, released()),
    Scenario("without MongoDB, a call is fetched", [find(AWAY), *FETCHED], MISS, released()),
    Scenario("an entry past its purge is not used", [find(entry(purge_at=NOW)), *FETCHED], MISS, released()),
    Scenario(
        "an entry that came by a redirect is not served to a caller that follows none",
        [find(entry(**REDIRECTED)), *FETCHED],
        MISS,
        released(),
        call={"follows_redirects": False},
    ),
    Scenario(
        "an entry that came by a redirect is served to a caller that follows them", [find(entry(**REDIRECTED))], HIT
    ),
    Scenario(
        "a stale entry within max-stale is served", [find(STALE)], STALE_SERVED, call={"cache_control": "max-stale=61"}
    ),
    Scenario("offline serves a stale entry", [find(STALE)], STALE_SERVED, rules={"offline": True}),
    Scenario(
        "offline leaves a missing entry unanswered",
        [find()],
        {**UNANSWERED, "offline": True},
        rules={"offline": True},
    ),
    Scenario("only_if_cached serves a fresh entry", [find(FRESH)], HIT, rules={"only_if_cached": True}),
    Scenario("only_if_cached leaves a missing entry unanswered", [find()], UNANSWERED, rules={"only_if_cached": True}),
    Scenario(
        "the directive only-if-cached leaves a missing entry unanswered",
        [find()],
        UNANSWERED,
        call={"cache_control": "only-if-cached"},
    ),
    Scenario(
        "only_if_cached without MongoDB leaves a call unanswered",
        [find(AWAY)],
        UNANSWERED,
        rules={"only_if_cached": True},
    ),
]

MEMORY = [
    Scenario(
        "a fresh entry in memory is served without an effect",
        [],
        IN_MEMORY,
        given=lambda world: world.remember(FRESH),
        memory=True,
    ),
    Scenario("an entry missing in memory is looked up in MongoDB", [find(FRESH)], HIT, memory=True),
    Scenario(
        "an entry stale in memory is looked up in MongoDB",
        [find(FRESH)],
        HIT,
        given=lambda world: world.remember(STALE),
        memory=True,
    ),
    Scenario(
        "without MongoDB, an entry stale in memory is served where TMDB fails",
        [find(AWAY), prepare(), lease(refreshing=True), send(FAILED, etag=ETAG)],
        {
            "kind": "stale",
            "body": OK,
            "status": "fwd=stale; fwd-status=503; ttl=-60; detail=memory",
            "where": "memory",
            "failed": True,
        },
        released(failed=True),
        failures=1,
        given=lambda world: world.remember(STALE),
        memory=True,
    ),
    Scenario(
        "an entry in memory is not used where MongoDB has none",
        [find(), *FETCHED],
        MISS,
        released(),
        given=lambda world: world.remember(STALE),
        memory=True,
    ),
    Scenario(
        "an entry in memory that is not fresh enough is looked up in MongoDB",
        [find(FRESH)],
        HIT,
        given=lambda world: world.remember(entry(20)),
        call={"cache_control": "min-fresh=50"},
        memory=True,
    ),
    Scenario(
        "an entry in memory that the settings exclude is not served",
        [find(FRESH), prepare(), send()],
        {"kind": "miss", "reply": 200, "status": "fwd=request"},
        rules={"expire_after": 0x0D0E0200020704},
        given=lambda world: world.remember(FRESH),
        memory=True,
    ),
    Scenario(
        "offline looks a stale entry in memory up in MongoDB",
        [find(FRESH)],
        HIT,
        rules={"offline": True},
        given=lambda world: world.remember(STALE),
        memory=True,
    ),
    Scenario(
        "offline without MongoDB serves a stale entry in memory",
        [find(AWAY)],
        {**STALE_SERVED, "status": "hit; ttl=-60; detail=memory", "where": "memory"},
        rules={"offline": True},
        given=lambda world: world.remember(STALE),
        memory=True,
    ),
]


def looking_elsewhere(world: World) -> None:
    world.elsewhere(world.core.look_ups, KEY, world.memory.moment(KEY))


SINGLE = [
    Scenario(
        "the look-up of another thread is waited for",
        [wait((FRESH, True), seconds=1.0)],
        HIT,
        given=looking_elsewhere,
        memory=True,
    ),
    Scenario(
        "the look-up of another thread may give a stale entry",
        [wait((NO_ETAG, True), seconds=1.0), prepare(), lease(refreshing=True), send(), store()],
        {**MISS, "status": "fwd=stale; stored; ttl=600"},
        released(),
        given=looking_elsewhere,
        memory=True,
    ),
    Scenario(
        "after the look-up of another thread that ended with nothing, this call looks up",
        [wait(None, seconds=1.0), find(FRESH)],
        HIT,
        given=looking_elsewhere,
        memory=True,
    ),
    Scenario(
        "after a second of waiting for another thread, this call looks up",
        [wait(over=False, seconds=1.0), find(FRESH)],
        HIT,
        given=looking_elsewhere,
        memory=True,
        store_timeout=1.1,
    ),
    Scenario(
        "the look-up of another thread is waited for no longer than store_timeout",
        [wait(over=False, seconds=0.5), *FETCHED],
        {**MISS, "status": "fwd=uri-miss; stored; ttl=599"},
        released(),
        given=looking_elsewhere,
        memory=True,
        store_timeout=0.5,
    ),
    Scenario(
        "with a store_timeout of a second, this call does not look up after waiting for another thread",
        [wait(over=False, seconds=1.0), *FETCHED],
        {**MISS, "status": "fwd=uri-miss; stored; ttl=599"},
        released(),
        given=looking_elsewhere,
        memory=True,
        store_timeout=1.0,
    ),
    Scenario(
        "after waiting for another thread in vain, a stale entry in memory is used",
        [wait(over=False, seconds=0.5)],
        {**STALE_SERVED, "status": "hit; ttl=-60; detail=memory", "where": "memory"},
        rules={"offline": True},
        given=lambda world: (world.remember(STALE), looking_elsewhere(world)),
        memory=True,
        store_timeout=0.5,
    ),
    Scenario(
        "a look-up that began before memory changed is not waited for",
        [find(FRESH)],
        HIT,
        given=lambda world: (looking_elsewhere(world), world.memory.forget(KEY)),
        memory=True,
    ),
    Scenario(
        "a look-up of the same thread is not waited for",
        [find(FRESH)],
        HIT,
        given=lambda world: world.within(world.core.look_ups, KEY, world.memory.moment(KEY)),
        memory=True,
    ),
]

BY_HTTP: Any = {"url": CLEAR_URL}
OWN = entry(key=CLEAR_KEY, body=OTHER)
OWN_STALE = entry(-60, key=CLEAR_KEY, body=OTHER, etag='"own"')
OWN_HIT = {**HIT, "body": OTHER}

VERIFIED = [
    Scenario("a verified entry serves an unverified call", [find(FRESH)], HIT, call=BY_HTTP),
    Scenario(
        "an unverified entry serves an unverified call without a verified one",
        [find(), find(OWN, key=CLEAR_KEY)],
        OWN_HIT,
        call=BY_HTTP,
    ),
    Scenario(
        "a fresh unverified entry goes before a stale verified one",
        [find(STALE), find(OWN, key=CLEAR_KEY)],
        OWN_HIT,
        call=BY_HTTP,
    ),
    Scenario(
        "an unverified call stores an unverified response",
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
        call=BY_HTTP,
    ),
    Scenario(
        "an unverified call does not validate a verified entry",
        [find(STALE), find(key=CLEAR_KEY), prepare(), lease(key=CLEAR_KEY, refreshing=True), send(FAILED)],
        {
            "kind": "stale",
            "body": OK,
            "status": "fwd=stale; fwd-status=503; ttl=-60; detail=mongodb",
            "where": "mongodb",
            "failed": True,
        },
        released(CLEAR_KEY, failed=True),
        failures=1,
        call=BY_HTTP,
    ),
    Scenario(
        "an unverified call validates its own entry",
        [
            find(),
            find(OWN_STALE, key=CLEAR_KEY),
            prepare(),
            lease(key=CLEAR_KEY, refreshing=True),
            send(FAILED, etag='"own"'),
        ],
        {
            "kind": "stale",
            "body": OTHER,
            "status": "fwd=stale; fwd-status=503; ttl=-60; detail=mongodb",
            "where": "mongodb",
            "failed": True,
        },
        released(CLEAR_KEY, failed=True),
        failures=1,
        call=BY_HTTP,
    ),
    Scenario(
        "a stale verified entry goes before a stale unverified one",
        [find(STALE), find(OWN_STALE, key=CLEAR_KEY)],
        STALE_SERVED,
        rules={"offline": True},
        call=BY_HTTP,
    ),
    Scenario(
        "a fresh verified entry that came by a redirect does not serve an unverified call",
        [find(entry(**REDIRECTED)), find(OWN_STALE, key=CLEAR_KEY)],
        {**STALE_SERVED, "body": OTHER},
        rules={"offline": True},
        call=BY_HTTP,
    ),
    Scenario(
        "a stale verified entry that came by a redirect does not serve an unverified call",
        [find(entry(-60, **REDIRECTED)), find(key=CLEAR_KEY)],
        {**UNANSWERED, "offline": True},
        rules={"offline": True},
        call=BY_HTTP,
    ),
    Scenario(
        "an entry within max-stale goes before a verified one beyond it",
        [find(entry(-700)), find(OWN_STALE, key=CLEAR_KEY)],
        {**STALE_SERVED, "body": OTHER},
        call={**BY_HTTP, "cache_control": "max-stale=100"},
    ),
    Scenario(
        "an entry within max-stale goes before a verified one within stale_if_error",
        [find(STALE), find(entry(-10, key=CLEAR_KEY, body=OTHER), key=CLEAR_KEY)],
        {**STALE_SERVED, "body": OTHER, "status": "hit; ttl=-10; detail=mongodb"},
        call={**BY_HTTP, "cache_control": "max-stale=30"},
    ),
    Scenario(
        "an entry within stale_if_error goes before a verified one beyond it",
        [
            find(entry(-700)),
            find(OWN_STALE, key=CLEAR_KEY),
            prepare(),
            lease(key=CLEAR_KEY, refreshing=True),
            send(FAILED, etag='"own"'),
        ],
        {
            "kind": "stale",
            "body": OTHER,
            "status": "fwd=stale; fwd-status=503; ttl=-60; detail=mongodb",
            "where": "mongodb",
            "failed": True,
        },
        released(CLEAR_KEY, failed=True),
        failures=1,
        rules={"stale_if_error": 100.0},
        call=BY_HTTP,
    ),
    Scenario(
        "an unverified call validates its own entry where neither may be served",
        [
            find(entry(-700)),
            find(entry(-600, key=CLEAR_KEY, body=OTHER, etag='"own"'), key=CLEAR_KEY),
            prepare(),
            lease(key=CLEAR_KEY),
            send(FILM._replace(verified=False), etag='"own"'),
            store(key=CLEAR_KEY),
        ],
        {**MISS, "status": "fwd=stale; stored; ttl=600"},
        released(CLEAR_KEY),
        rules={"stale_if_error": 100.0},
        call=BY_HTTP,
    ),
    Scenario(
        "an unverified entry in memory is served without looking up the verified one",
        [],
        {**IN_MEMORY, "body": OTHER},
        given=lambda world: world.remember(OWN),
        memory=True,
        call=BY_HTTP,
    ),
    Scenario(
        "a verified entry in memory goes before an unverified one in memory",
        [],
        IN_MEMORY,
        given=lambda world: world.remember(OWN, FRESH),
        memory=True,
        call=BY_HTTP,
    ),
    Scenario(
        "with neither entry in memory, the verified one is looked up first",
        [find(FRESH)],
        HIT,
        memory=True,
        call=BY_HTTP,
    ),
    Scenario(
        "with an unverified entry stale in memory, that is looked up first",
        [find(key=CLEAR_KEY), find(FRESH)],
        HIT,
        given=lambda world: world.remember(OWN_STALE),
        memory=True,
        call=BY_HTTP,
    ),
]

HOLDER_KEY = f"{KEY}?append_to_response=credits"
PART: Any = {"url": "https://api.themoviedb.org/3/movie/550/credits"}
PART_KEY = f"{KEY}/credits"
HELD = b'{"id":550,"title":"Fight Club","credits":{"cast":[],"crew":[]}}'
HOLDER = entry(key=HOLDER_KEY, body=HELD)
CUT_OUT = b'{"id":550,"cast":[],"crew":[]}'
REUSE: Any = {"rules": {"reuse_appended": True}, "call": PART}
NOT_HELD = [find(key=PART_KEY), find_containing(HOLDER_KEY)]
PART_FETCHED = (
    prepare(),
    lease(key=PART_KEY),
    send(FILM._replace(body=CUT_OUT)),
    store(key=PART_KEY, body=CUT_OUT),
)
PART_MISS = {**MISS, "stored": CUT_OUT}
REUSED = {"kind": "hit", "body": CUT_OUT, "status": "hit; ttl=100; detail=reused", "where": "reused"}


def unusable(says: str, holder: Any) -> Scenario:
    return Scenario(
        says, [*NOT_HELD, find(holder, key=HOLDER_KEY), *PART_FETCHED], PART_MISS, released(PART_KEY), **REUSE
    )


APPENDED = [
    Scenario(
        "an appended part of a fresh response is served", [*NOT_HELD, find(HOLDER, key=HOLDER_KEY)], REUSED, **REUSE
    ),
    Scenario(
        "an appended part is searched in the keys of its path, among fresh entries",
        [
            find(key=PART_KEY),
            find_containing(
                HOLDER_KEY,
                first=f"{KEY}?append_to_response=",
                end=f"{KEY}?append_to_response>",
                now=NOW,
            ),
            find(HOLDER, key=HOLDER_KEY),
        ],
        REUSED,
        **REUSE,
    ),
    Scenario(
        "an appended part is not searched where the call's own entry is fresh",
        [find(entry(key=PART_KEY), key=PART_KEY)],
        HIT,
        **REUSE,
    ),
    Scenario(
        "an appended part goes before a stale entry",
        [find(entry(-60, key=PART_KEY), key=PART_KEY), find_containing(HOLDER_KEY), find(HOLDER, key=HOLDER_KEY)],
        REUSED,
        **REUSE,
    ),
    Scenario(
        "a stale entry is validated where no response has the part",
        [
            find(entry(-60, key=PART_KEY), key=PART_KEY),
            find_containing(),
            prepare(),
            lease(key=PART_KEY, refreshing=True),
            send(FILM._replace(body=CUT_OUT), etag=ETAG),
            store(key=PART_KEY, body=CUT_OUT),
        ],
        {**PART_MISS, "status": "fwd=stale; stored; ttl=600"},
        released(PART_KEY),
        **REUSE,
    ),
    Scenario(
        "an appended part is not searched without reuse_appended",
        [find(key=PART_KEY), *PART_FETCHED],
        PART_MISS,
        released(PART_KEY),
        call=PART,
    ),
    Scenario(
        "an appended part is not searched where a new response is wanted",
        [find(key=PART_KEY), prepare(), send(FILM._replace(body=CUT_OUT)), store(key=PART_KEY, body=CUT_OUT)],
        PART_MISS,
        rules={"reuse_appended": True},
        call={**PART, "cache_control": "no-cache"},
    ),
    Scenario(
        "offline serves an appended part",
        [*NOT_HELD, find(HOLDER, key=HOLDER_KEY)],
        REUSED,
        call=PART,
        rules={"reuse_appended": True, "offline": True},
    ),
    Scenario(
        "offline serves a stale entry before a part of a stale response",
        [
            find(entry(-60, key=PART_KEY), key=PART_KEY),
            find_containing(HOLDER_KEY),
            find(HOLDER._replace(expires_at=NOW), key=HOLDER_KEY),
        ],
        STALE_SERVED,
        call=PART,
        rules={"reuse_appended": True, "offline": True},
    ),
    unusable("a response that is gone meanwhile has no part", None),
    unusable("a stale response has no part", HOLDER._replace(expires_at=NOW)),
    unusable("a response with another status has no part", HOLDER._replace(status=404)),
    unusable("a response that came by a redirect has no part", HOLDER._replace(**REDIRECTED)),
    unusable("a response past its purge has no part", HOLDER._replace(purge_at=NOW)),
    unusable("a response without the part has none", HOLDER._replace(body=OK)),
    Scenario(
        "a key that cannot have the part is skipped",
        [
            find(key=PART_KEY),
            find_containing(f"{KEY}?append_to_response=images", f"{KEY}?append_to_response=images,credits"),
            find(HOLDER, key=f"{KEY}?append_to_response=images,credits"),
        ],
        REUSED,
        **REUSE,
    ),
    Scenario(
        "a response that does not have the part is followed by the next",
        [
            find(key=PART_KEY),
            find_containing(HOLDER_KEY, f"{KEY}?append_to_response=credits,images"),
            find(HOLDER._replace(status=404), key=HOLDER_KEY),
            find(HOLDER, key=f"{KEY}?append_to_response=credits,images"),
        ],
        REUSED,
        **REUSE,
    ),
    Scenario(
        "an appended part that is not fresh enough for its caller is not served",
        [*NOT_HELD, find(HOLDER, key=HOLDER_KEY), *PART_FETCHED],
        PART_MISS,
        released(PART_KEY),
        rules={"reuse_appended": True},
        call={**PART, "cache_control": "min-fresh=200"},
    ),
    Scenario(
        "a part of a verified response serves an unverified call",
        [
            find(key=PART_KEY),
            find(key=f"{CLEAR_KEY}/credits"),
            find_containing(HOLDER_KEY, first=f"{KEY}?append_to_response="),
            find(HOLDER, key=HOLDER_KEY),
        ],
        REUSED,
        rules={"reuse_appended": True},
        call={"url": f"{CLEAR_URL}/credits"},
    ),
    Scenario(
        "a part of an unverified response serves an unverified call without a verified one",
        [
            find(key=PART_KEY),
            find(key=f"{CLEAR_KEY}/credits"),
            find_containing(first=f"{KEY}?append_to_response="),
            find_containing(f"{CLEAR_KEY}?append_to_response=credits", first=f"{CLEAR_KEY}?append_to_response="),
            find(HOLDER, key=f"{CLEAR_KEY}?append_to_response=credits"),
        ],
        REUSED,
        rules={"reuse_appended": True},
        call={"url": f"{CLEAR_URL}/credits"},
    ),
]

SCENARIOS = [*SERVED, *MEMORY, *SINGLE, *VERIFIED, *APPENDED]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.says)
def test_rule(scenario: Scenario) -> None:
    scenario.check()


def hit(world: World) -> dict[str, Any]:
    """Return what the next call gets, which waits for nothing."""
    return shown(drive(world, look_up_and_answer(world)))


def look_up_and_answer(world: World) -> Any:
    return answer(world.core, call(), rules())


class TestMemory:
    """What memory is given by a look-up."""

    def test_is_given_what_is_found(self) -> None:
        world = World(memory=True)
        drive(world, look_up_and_answer(world), find(FRESH))
        assert hit(world) == IN_MEMORY

    @pytest.mark.parametrize("forget", ["forget", "forget_all"])
    def test_is_not_given_what_was_changed_meanwhile(self, forget: str) -> None:
        """An entry that was found while its key was forgotten may be older than what is there by now."""
        world = World(memory=True)

        def meanwhile(_: World) -> None:
            world.memory.forget_all() if forget == "forget_all" else world.memory.forget(KEY)

        drive(world, look_up_and_answer(world), find(FRESH, meanwhile=meanwhile))
        assert world.memory.get(KEY) is None

    def test_is_not_given_what_may_not_be_served(self) -> None:
        world = World(memory=True)
        Driven(world, look_up_and_answer(world)).take(find(entry(purge_at=NOW)))
        assert world.memory.get(KEY) is None

    def test_is_not_given_what_it_has_given(self) -> None:
        """What is served from memory because MongoDB does not answer stays as long as it would have."""
        world = World(memory=True)
        world.remember(STALE)
        put = world.memory.put
        given: list[Any] = []
        world.memory.put = lambda *args: given.append(args) or put(*args)  # type: ignore[method-assign, func-returns-value]
        driven = Driven(world, look_up_and_answer(world)).take(find(AWAY))
        assert given == []
        driven.flow.close()

    def test_several_look_ups_are_one(self) -> None:
        """While one thread looks for an entry, another waits for what it finds; what it gets is in memory once."""
        world = World(memory=True)
        leader = Driven(world, look_up_and_answer(world))
        world.leave_to_another_thread()
        follower = Driven(world, look_up_and_answer(world))
        assert shown(leader.take(find(FRESH)).end()) == HIT
        assert shown(follower.take(wait((FRESH, True), seconds=1.0)).end()) == HIT
        assert world.led() == []

    @pytest.mark.parametrize("store_timeout", [0.5, 1.0, 10.0])
    def test_one_that_does_not_end_is_waited_for_once(self, store_timeout: float) -> None:
        """A signal may have ended its thread's call before it could say so: the next call looks for itself."""
        world = World(memory=True, store_timeout=store_timeout)
        looking_elsewhere(world)
        first = Driven(world, look_up_and_answer(world)).take(wait(over=False, seconds=min(store_timeout, 1.0)))
        first.flow.close()
        assert Driven(world, look_up_and_answer(world)).take(find(FRESH)).end().where == "mongodb"

    def test_greenlets_of_a_thread_look_for_themselves(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Waiting would be polling for another greenlet's look-up, which takes longer than one."""
        monkeypatch.setattr(greenlets, "share_threads", lambda: True)
        world = World(memory=True)
        monkeypatch.setattr(greenlets, "current", lambda: 1)
        first = look_up_and_answer(world)
        next(first)
        monkeypatch.setattr(greenlets, "current", lambda: 2)
        assert Driven(world, look_up_and_answer(world)).take(find(FRESH)).end().where == "mongodb"

    def test_without_a_tier_each_looks_for_itself(self) -> None:
        world = World()
        first, second = (Driven(world, look_up_and_answer(world)) for _ in range(2))
        assert shown(first.take(find(FRESH)).end()) == shown(second.take(find(FRESH)).end()) == HIT


@pytest.mark.parametrize(
    ("url", "found", "steps", "where"),
    [
        (None, FRESH, [find(FRESH)], "mongodb"),
        (CLEAR_URL, FRESH, [find(FRESH)], "mongodb"),
        (CLEAR_URL, OWN, [find(), find(OWN, key=CLEAR_KEY)], "mongodb"),
    ],
)
def test_what_a_look_up_says(url: Any, found: Any, steps: Any, where: str) -> None:
    """The key is that of the call, by whichever key the entry was found; the time is that of the look-up."""
    world = World(memory=True)
    world.seconds = 3.0
    one = call(url) if url else call()
    recalled = recall(world.core, one, rules(), one.key)
    looked = drive(world, look_up(world.core, one, rules(), recalled), *steps)
    assert (looked.key, looked.entry, looked.where, looked.now) == (one.key, found, where, NOW + timedelta(seconds=3))
    # Of its own key a look-up that was served the verified response knows nothing.
    assert (looked.since is None) == (found.key != one.key)
