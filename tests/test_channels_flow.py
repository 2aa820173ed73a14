"""Who gets what, by what is kept of either channel and by what TMDB, or somebody on the way, says to a call."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from itertools import product
from threading import Event
from typing import Any

import pytest
import requests

from tmdb_mongo_cache import TMDBCache
from tmdb_mongo_cache.asking import Outcome
from tmdb_mongo_cache.tmdb.calls import Call, classify
from tmdb_mongo_cache.tmdb.channels import is_verified, kept_as
from tmdb_mongo_cache.tmdb.entry import Entry, Hop, Reply
from tmdb_mongo_cache.tmdb.hosts import HOST, OWN_HOSTS

from .channelkit import FILM, UNVERIFIED_KEY, VERIFIED_KEY

SECURE, CLEAR = f"https://{HOST}{FILM}", f"http://{HOST}{FILM}"
ALIAS = next(host for host in OWN_HOSTS if host != HOST)
LISTED = "127.0.0.1:4000"


def call(url: str, verified: bool = True) -> Call:
    found = classify("GET", url, {}, verified=verified, hosts=frozenset({LISTED}))
    assert found is not None
    return found


def body(title: str) -> bytes:
    return json.dumps({"id": 550, "title": title}).encode()


class Sender:
    """Sends one call, and is answered with what was given."""

    patience = 5.0
    manner = "any"

    def __init__(self, *replies: Reply, before: Callable[[], object] = int) -> None:
        self.replies = list(replies)
        self.before = before
        self.sent: list[Mapping[str, str]] = []

    def __call__(self, headers: Mapping[str, str]) -> Reply:
        self.before()
        self.sent.append(headers)
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]

    def wait(self, wait: Callable[[float], Any], seconds: float) -> Any:
        return wait(seconds)

    def late(self) -> Reply:
        return Reply(error=requests.ReadTimeout())

    def behind(self) -> Sender:
        return self


class Conditional(Sender):
    """One that is told that nothing has changed, where it has sent a condition."""

    def __call__(self, headers: Mapping[str, str]) -> Reply:
        self.sent.append(headers)
        return self.replies[0] if headers else self.replies[1]


def entry(key: str, title: str, expired: bool) -> Entry:
    moment = datetime.now(timezone.utc).replace(microsecond=0) - timedelta(hours=30)
    expires = moment + timedelta(hours=29 if expired else 60)
    headers = {"Content-Type": "application/json", "ETag": f'"{title}"'}
    times = {"timestamp": moment, "expires_at": expires, "purge_at": expires + timedelta(days=7)}
    about: dict[str, Any] = {"tmdb_id": 550, "media_type": "movie", "endpoint": "/3/movie/{movie_id}"}
    return Entry(key, 200, "OK", headers, body(title), **times, **about)


STATES = ("nothing", "fresh", "stale")
SAID = ("an answer", "a 304", "a failure", "nothing")


def expected(verified: bool, kept: Mapping[str, str], said: str) -> str:
    """Return the title that a caller gets; empty for a failure."""
    order = ["verified"] if verified else ["verified", "unverified"]
    fresh = [channel for channel in order if kept[channel] == "fresh"]
    if fresh:
        return fresh[0]
    mine = "verified" if verified else "unverified"
    stale = [channel for channel in order if kept[channel] == "stale"]
    if said == "an answer" or (said == "a 304" and not stale):
        return "new"
    if said == "a 304":  # to the ETag of one's own; nobody is asked about that of the other
        return mine if stale == [mine] else "new"
    return stale[0] if stale else ""


@pytest.mark.parametrize("memory_ttl", [0, 30])
@pytest.mark.parametrize("verified", [True, False])
def test_who_gets_what(make_cache: Callable[..., TMDBCache], verified: bool, memory_ttl: float) -> None:
    """A verified caller gets what was verified, or what TMDB says to it by a verified channel, and never another."""
    cache = make_cache(hosts=[], memory_ttl=memory_ttl)
    store, flow = cache.flow.guarded.store, cache.flow
    for *states, said in product(STATES, STATES, SAID):
        cache.clear()
        kept = dict(zip(("verified", "unverified"), states, strict=True))
        for (channel, state), key in zip(kept.items(), (VERIFIED_KEY, UNVERIFIED_KEY), strict=True):
            if state != "nothing":
                store.put(entry(key, channel, state == "stale"), None)
        answer = Reply(200, "OK", {}, body("new"), verified=verified)
        sender = {
            "an answer": Sender(answer),
            "a 304": Conditional(Reply(304, verified=verified), answer),
            "a failure": Sender(Reply(503, verified=verified)),
            "nothing": Sender(Reply(error=requests.ConnectionError())),
        }[said]
        others = UNVERIFIED_KEY if verified else VERIFIED_KEY
        before = store.get(others)
        outcome = flow.fetch(call(SECURE if verified else CLEAR), cache.config.policy, sender)
        assert title_of(outcome) == expected(verified, kept, said), (kept, said)
        assert store.get(others) == before


def title_of(outcome: Outcome) -> str:
    part = outcome.entry or outcome.reply
    if part is None or part.status != 200:
        return ""
    return str(json.loads(part.body)["title"])


def chains() -> list[tuple[str, ...]]:
    return [way for length in (1, 2, 3) for way in product(("http", "https", "forged"), repeat=length)]


@pytest.mark.parametrize("host", [HOST, ALIAS, LISTED])
@pytest.mark.parametrize("elsewhere", [False, True])
def test_as_whose_answer_a_reply_is_kept(host: str, elsewhere: bool) -> None:
    """By each way through redirects: as a verified one where its last step is that, and the same call.

    Else as its own caller's; a verified caller's only where each step is verified.
    """
    for way in chains():
        places = [f"{'http' if step == 'http' else 'https'}://{host}{FILM}" for step in way]
        if elsewhere:
            places[-1] = places[-1].replace("550", "551")
        checked = [step == "https" for step in way]
        if len(way) == 1 and elsewhere:
            continue
        hops = tuple(Hop(place, 301, "", {}, b"") for place in places[:-1])
        reply = Reply(200, url=places[-1], history=hops, verified=checked[-1], led_verified=all(checked[:-1]))
        asked = call(places[0], way[0] != "forged")
        kept = kept_as(asked, reply)
        if is_verified(asked.key):
            assert kept == (asked if all(checked) else None), way
        elif host != LISTED and checked[-1] and not elsewhere:
            assert kept is not None
            assert (kept.key, kept.verified_key) == (VERIFIED_KEY, ""), way
        else:
            assert kept == asked, way


def test_a_verified_caller_waits_for_no_other_channel(make_cache: Callable[..., TMDBCache]) -> None:
    """In one process and in another: it asks by itself while somebody's call by http is under way."""
    caches = [make_cache(hosts=[], memory_ttl=0) for _ in range(2)]
    arrived, over = Event(), Event()

    def hang() -> None:
        arrived.set()
        over.wait(10)

    slow = Sender(Reply(200, "OK", {}, body("http"), verified=False), before=hang)
    rules = caches[0].config.policy
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(caches[0].flow.fetch, call(CLEAR), rules, slow)
        assert arrived.wait(10)
        for number, cache in enumerate(caches):
            quick = Sender(Reply(200, "OK", {}, body(f"https {number}")))
            quick.patience = 3.0
            outcome = cache.flow.fetch(call(SECURE), rules, quick)
            assert title_of(outcome) == "https 0"
            assert len(quick.sent) == (number == 0)
        over.set()
        assert title_of(waiting.result()) == "http"
    assert title_of(caches[0].flow.fetch(call(SECURE), rules, Sender(Reply(503)))) == "https 0"


def test_a_failure_by_http_lets_nobody_else_leave_tmdb_alone(make_cache: Callable[..., TMDBCache]) -> None:
    """The back-off after a failure is of a channel, and so is the pause at a rate limit."""
    cache = make_cache(hosts=[], wait_on_rate_limit=True)
    rules, store = cache.config.policy, cache.flow.guarded.store
    for key in (VERIFIED_KEY, UNVERIFIED_KEY):
        store.put(entry(key, key, expired=True), None)
    failing = Sender(Reply(429, headers={"Retry-After": "2"}, verified=False))
    assert title_of(cache.flow.fetch(call(CLEAR), rules, failing)) == VERIFIED_KEY
    store.delete({"_id": VERIFIED_KEY})
    assert title_of(cache.flow.fetch(call(CLEAR), rules, failing)) == UNVERIFIED_KEY
    quick = Sender(Reply(200, "OK", {}, body("new")))
    quick.wait = lambda *_: pytest.fail("it waits")  # type: ignore[method-assign]
    assert title_of(cache.flow.fetch(call(SECURE), rules, quick)) == "new"


@pytest.mark.parametrize("status", [200, 404, 503])
def test_what_is_not_verified_is_shared_with_nobody_who_wants_that(
    make_cache: Callable[..., TMDBCache], status: int
) -> None:
    """An adapter that verifies nothing though it was told to: who waits for its call asks by itself."""
    cache = make_cache(hosts=[])
    arrived, joined = Event(), Event()

    def hang() -> None:
        arrived.set()
        joined.wait(10)

    forged = json.dumps({"id": 550, "title": "forged", "status_code": 34}).encode()
    leader = Sender(Reply(status, "", {}, forged, verified=False), before=hang)
    follower = Sender(Reply(200, "OK", {}, body("true")))
    follower.wait = lambda wait, seconds: (joined.set(), wait(seconds))[1]  # type: ignore[method-assign]
    rules = cache.config.policy
    with ThreadPoolExecutor(2) as pool:
        leading = pool.submit(cache.flow.fetch, call(SECURE), rules, leader)
        assert arrived.wait(10)
        outcome = pool.submit(cache.flow.fetch, call(SECURE), rules, follower).result(10)
        assert leading.result(10).stored is None
    assert title_of(outcome) == "true"
    assert [document["_id"] for document in cache.collection.find()] == [VERIFIED_KEY]
