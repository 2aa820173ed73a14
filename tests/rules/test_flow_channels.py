"""Verified and unverified calls: what each is served, by what is stored of either and by what comes back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import product

import pytest

from tmdb_mongo_cache.core.flow import answer
from tmdb_mongo_cache.core.memory import forget_everything
from tmdb_mongo_cache.httpcache.models import Entry, Hop, Reply
from tmdb_mongo_cache.tmdb.call import classify
from tmdb_mongo_cache.tmdb.hosts import HOST, OWN_HOSTS
from tmdb_mongo_cache.tmdb.transport_security import is_verified, stored_as

from ..entrykit import entry
from .drive import (
    CLEAR_KEY,
    CLEAR_URL,
    FAILED,
    KEY,
    PATH,
    URL,
    Database,
    Driven,
    World,
    call,
    find,
    lease,
    limited,
    prepare,
    rules,
    send,
    store,
    title,
    wait,
)

ALIAS = next(host for host in OWN_HOSTS if host != HOST)
LISTED = "127.0.0.1:4000"
STATES = ("nothing", "fresh", "stale")
SAID = ("a response", "a 304", "a failure", "nothing")


def body(title: str) -> bytes:
    return json.dumps({"id": 550, "title": title}).encode()


def of_channel(key: str, channel: str, state: str) -> Entry:
    left = 600 if state == "fresh" else -600
    return entry(left, key=key, body=body(channel), etag=f'"{channel}"')


def says(said: str, verified: bool, headers: Mapping[str, str]) -> Reply:
    """Return what comes back for a request: a 304 only to a condition."""
    if said == "a failure":
        return Reply(503, verified=verified)
    if said == "nothing":
        return Reply(error=ConnectionError())
    if said == "a 304" and headers:
        return Reply(304, verified=verified)
    return Reply(200, "OK", {}, body("new"), verified=verified)


def expected(verified: bool, stored: Mapping[str, str], said: str) -> str:
    """Return the title that a caller gets; empty for a failure."""
    order = ["verified"] if verified else ["verified", "unverified"]
    fresh = [channel for channel in order if stored[channel] == "fresh"]
    if fresh:
        return fresh[0]
    mine = "verified" if verified else "unverified"
    stale = [channel for channel in order if stored[channel] == "stale"]
    if said == "a response" or (said == "a 304" and not stale):
        return "new"
    if said == "a 304":  # to the ETag of its own entry; that of the other is not sent
        return mine if stale == [mine] else "new"
    return stale[0] if stale else ""


@pytest.mark.parametrize("memory", [False, True])
@pytest.mark.parametrize("verified", [True, False])
@pytest.mark.parametrize("said", SAID)
def test_who_gets_what(verified: bool, memory: bool, said: str) -> None:
    """A verified caller gets what was verified, or what TMDB says to it by a verified channel, and never another."""
    for states in product(STATES, STATES):
        forget_everything()
        stored = dict(zip(("verified", "unverified"), states, strict=True))
        keys = {"verified": KEY, "unverified": CLEAR_KEY}
        entries = [of_channel(keys[channel], channel, state) for channel, state in stored.items() if state != "nothing"]
        world = World(memory=memory)
        database = Database(world, *entries)
        others = CLEAR_KEY if verified else KEY
        before = database.entries.get(others)
        flow = answer(world.core, call(URL if verified else CLEAR_URL), rules())
        result = database.run(flow, lambda headers: says(said, verified, headers))
        assert title(result) == expected(verified, stored, said), stored
        assert database.entries.get(others) == before


def chains() -> list[tuple[str, ...]]:
    return [way for length in (1, 2, 3) for way in product(("http", "https", "forged"), repeat=length)]


@pytest.mark.parametrize("host", [HOST, ALIAS, LISTED])
@pytest.mark.parametrize("elsewhere", [False, True])
def test_the_channel_of_a_stored_response(host: str, elsewhere: bool) -> None:
    """By each way through redirects: it is verified where its last step is, and leads to the same call.

    Else it is the caller's own; a verified caller's only where each step is verified.
    """
    for way in chains():
        places = [f"{'http' if step == 'http' else 'https'}://{host}{PATH}" for step in way]
        if elsewhere:
            places[-1] = places[-1].replace("550", "551")
        checked = [step == "https" for step in way]
        if len(way) == 1 and elsewhere:
            continue
        hops = tuple(Hop(place, 301, "", {}, b"") for place in places[:-1])
        reply = Reply(200, url=places[-1], history=hops, verified=checked[-1], redirects_verified=all(checked[:-1]))
        made = classify("GET", places[0], {}, verified=way[0] != "forged", hosts=frozenset({LISTED}))
        assert made is not None
        stored = stored_as(made, reply)
        if is_verified(made.key):
            assert stored == (made if all(checked) else None), way
        elif host != LISTED and checked[-1] and not elsewhere:
            assert stored is not None
            assert (stored.key, stored.verified_key) == (KEY, ""), way
        else:
            assert stored == made, way


def begin(world: World, url: str = URL, **changes: object) -> Driven:
    return Driven(world, answer(world.core, call(url), rules(**changes)))


HTTP_MISS = (find(), find(key=CLEAR_KEY), prepare(), lease(key=CLEAR_KEY))


def test_a_verified_caller_waits_for_no_other_channel() -> None:
    """In one process and in another: it calls TMDB while a call by http is in flight."""
    world = World()
    waiting = begin(world, CLEAR_URL).take(*HTTP_MISS)
    world.leave_to_another_thread()
    new = Reply(200, "OK", {}, body("https"))
    found = begin(world).take(find(), prepare(), lease(), send(new), store(body=new.body)).end()
    assert title(found) == "https"
    reply = Reply(200, "OK", {}, body("http"), verified=False)
    assert title(waiting.take(send(reply), store(body=reply.body, key=CLEAR_KEY)).end()) == "http"


def test_a_failure_by_http_makes_no_other_call_back_off() -> None:
    """The back-off after a failure is of a channel, and so is the pause at a rate limit."""
    world = World()
    stale, own = of_channel(KEY, "verified", "stale"), of_channel(CLEAR_KEY, "unverified", "stale")
    failing = limited(2)._replace(verified=False)
    by_http = prepare(), lease(key=CLEAR_KEY, refreshing=True)
    first = begin(world, CLEAR_URL, wait_on_rate_limit=True)
    assert title(first.take(find(stale), find(own, key=CLEAR_KEY), *by_http, send(failing)).end()) == "verified"
    second = begin(world, CLEAR_URL, wait_on_rate_limit=True)
    assert title(second.take(find(), find(own, key=CLEAR_KEY)).end()) == "unverified"
    third = begin(world, wait_on_rate_limit=True).take(find(), prepare(), lease())
    new = Reply(200, "OK", {}, body("new"))
    assert title(third.take(send(new), store(body=new.body)).end()) == "new"


@pytest.mark.parametrize("status", [200, 404, 503])
def test_an_unverified_response_is_not_shared_with_a_verified_call(status: int) -> None:
    """An adapter may verify nothing though it was told to: a call that waited for it makes its own."""
    forged = json.dumps({"id": 550, "title": "forged", "status_code": 34}).encode()
    world = World()
    leader = begin(world).take(find(), prepare(), lease())
    world.leave_to_another_thread()
    follower = begin(world).take(find(), prepare())
    flight = world.fetching()
    assert leader.take(send(Reply(status, "", {}, forged, verified=False))).end().stored is None
    true = Reply(200, "OK", {}, body("true"))
    steps = wait(flight.outcome), lease(), send(true), store(body=true.body)
    assert title(follower.take(*steps).end()) == "true"


def test_a_stale_verified_entry_serves_both_where_tmdb_fails() -> None:
    """The unverified call does not send its ETag."""
    world = World()
    stored = of_channel(KEY, "verified", "stale")
    for url, own in ((URL, ()), (CLEAR_URL, (find(key=CLEAR_KEY),))):
        key = KEY if url == URL else CLEAR_KEY
        steps = prepare(), lease(key=key, refreshing=True), send(FAILED, etag='"verified"' if url == URL else None)
        assert title(begin(world, url).take(find(stored), *own, *steps).end()) == "verified"
