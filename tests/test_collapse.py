"""One call per key in a process: who comes while it is under way gets its answer, its failure, or their own call."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any, NamedTuple

import pytest
import requests
import urllib3
from requests.adapters import HTTPAdapter

from tmdb_mongo_cache import TMDBCache, TMDBSession, cached_tmdb, disabled, enabled, install

from .flowkit import API_KEY, KEY, MOVIE, expire, get, status_of, warnings
from .waitkit import until

pytestmark = pytest.mark.any_database

OTHER_KEY = {"api_key": "fedcba9876543210fedcba9876543210"}
INVALID = {"api_key": "invalid"}
MANY = 50
SLOW = partial(pytest.param, marks=pytest.mark.soak)


def outcome(call: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """Return what a call gives, or the exception that it ends in."""
    try:
        return call(*args, **options)
    except Exception as error:
        return error


def together(number: int, call: Callable[[int], Any]) -> list[Any]:
    """Make calls at once, each in its thread; return what came of them."""
    barrier = threading.Barrier(number)

    def one(at: int) -> Any:
        barrier.wait(30)
        return outcome(call, at)

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(one, range(number)))


class Door(NamedTuple):
    cache: TMDBCache
    ask: Callable[[], Any]


@contextmanager
def leading(tmdb: Any, call: Callable[..., Any], *args: Any, **options: Any) -> Iterator[Future[Any]]:
    """Let a call of another thread be waiting for TMDB's answer within."""
    before = tmdb.count
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(outcome, call, *args, **options)
        try:
            until(lambda: tmdb.count > before or future.done())
            yield future
        finally:
            tmdb.latency = 0
            tmdb.heal()  # whatever hangs ends


@pytest.fixture
def leased(collection):
    """Let another process have the lease of the film, for longer than a test takes."""

    def leased():
        until = datetime.now(timezone.utc) + timedelta(seconds=5)
        leases = collection.database["tmdb_cache_leases"]
        leases.replace_one({"_id": KEY}, {"owner": "another", "until": until}, upsert=True)
        return leases

    return leased


@pytest.fixture(params=["install", "decorator", "session", "without memory"])
def door(request, tmdb, make_cache):
    """One way to ask for the film, from any thread."""
    cache = make_cache(memory_ttl=0 if request.param == "without memory" else 60)
    if request.param == "session":
        with TMDBSession(cache) as session:
            yield Door(cache, lambda: get(tmdb, session=session))
    elif request.param == "decorator":
        yield Door(cache, lambda: cached_tmdb(cache=cache)(get)(tmdb))
    else:
        install(cache)
        yield Door(cache, lambda: get(tmdb))


class TestForOneRequest:
    @pytest.mark.parametrize("said", [{"Cache-Control": "no-store"}, {"Cache-Control": "private"}, {"Vary": "Cookie"}])
    def test_an_answer(self, tmdb, door, said):
        """An answer that says that it is for nobody else is given to nobody who waits: each makes a call."""
        tmdb.answer(MOVIE, headers=said, body=b'{"id": 550}')
        tmdb.latency = 0.1
        responses = together(4, lambda _: door.ask())
        assert tmdb.count == 4
        assert not any("collapsed" in status_of(response) for response in responses)

    def test_a_failure(self, tmdb, door):
        """A failure that says so is shared all the same: it spares a TMDB that is down, and has nothing of anybody."""
        tmdb.answer(MOVIE, status=500, headers={"Cache-Control": "no-store"}, body=b"down")
        tmdb.latency = 0.2
        assert {response.content for response in together(6, lambda _: door.ask())} == {b"down"}
        assert tmdb.count < 6


class TestOneCall:
    def test_cold(self, tmdb, door):
        """Through every door, fifty threads on one cold key make one call and get equal answers."""
        tmdb.latency = 0.3
        found = together(MANY, lambda _: door.ask())
        assert {response.status_code for response in found} == {200}
        assert len({response.content for response in found}) == 1
        assert tmdb.count == 1
        stats = door.cache.stats()
        assert (stats.misses, stats.collapsed + stats.hits) == (1, MANY - 1)

    @pytest.mark.parametrize("changed", [False, True])
    def test_stale(self, tmdb, door, stored, collection, changed):
        """Through every door, fifty threads on one stale key validate it once."""
        expire(collection)
        if changed:
            tmdb.change(MOVIE)
        tmdb.latency = 0.3
        found = together(MANY, lambda _: door.ask())
        assert len({response.content for response in found}) == 1
        assert (found[0].content != stored["body"]) is changed
        assert not any(response.is_expired for response in found)
        assert tmdb.count == 2

    def test_two_keys(self, tmdb, fetch):
        """A call does not wait for one with another key."""
        tmdb.fail("timeout", path=MOVIE)
        with leading(tmdb, fetch, tmdb, timeout=None) as leader:
            assert fetch(tmdb, "/3/movie/1").status_code == 200
            assert not leader.done()

    def test_other_credentials(self, tmdb, fetch):
        """Callers with other credentials share an answer that is stored, and see their own request."""
        tmdb.latency = 0.3
        with leading(tmdb, fetch, tmdb):
            other = fetch(tmdb, params=OTHER_KEY)
        assert (other.status_code, tmdb.count) == (200, 1)
        assert "collapsed" in status_of(other)
        assert OTHER_KEY["api_key"] in other.url
        assert API_KEY not in other.url + other.request.url

    def test_streams(self, tmdb, fetch):
        """Whoever streams, leading or waiting, can read the body like everybody else."""
        tmdb.latency = 0.3
        with leading(tmdb, fetch, tmdb, stream=True) as leader:
            found = together(4, lambda at: fetch(tmdb, stream=at % 2 == 0))
            body = b"".join(leader.result().iter_content(100))
        assert [b"".join(response.iter_content(7)) for response in found] == [body] * 4
        assert tmdb.count == 1

    def test_redirects(self, tmdb, fetch):
        """A redirected answer is shared with its history, by those who follow redirects and nobody else."""
        tmdb.answer("/3/movie/1", status=301, headers={"Location": f"{tmdb.url}{MOVIE}?api_key={API_KEY}"})
        tmdb.latency = 0.3
        with leading(tmdb, fetch, tmdb, "/3/movie/1") as leader:
            first, second = together(2, lambda at: fetch(tmdb, "/3/movie/1", allow_redirects=at == 0))
            led = leader.result()
        assert (first.url, [hop.status_code for hop in first.history]) == (led.url, [301])
        assert (second.status_code, second.history) == (301, [])
        assert tmdb.count == 3

    @pytest.mark.soak
    def test_redirect_not_followed(self, tmdb, fetch):
        """Who follows redirects is not given the 301 that one who does not follow them was given."""
        tmdb.answer("/3/movie/1", status=301, headers={"Location": f"{tmdb.url}{MOVIE}?api_key={API_KEY}"})
        tmdb.latency = 0.3
        with leading(tmdb, fetch, tmdb, "/3/movie/1", allow_redirects=False) as leader:
            found = fetch(tmdb, "/3/movie/1")
            assert leader.result().status_code == 301
        assert found.status_code == 200

    @pytest.mark.parametrize(
        "options",
        [
            {"refresh": True},
            {"force_refresh": True},
            {"headers": {"Cache-Control": "no-cache"}},
            {"headers": {"Cache-Control": "max-age=0"}},
            {"expire_after": 0},
        ],
        ids=["refresh", "force_refresh", "no-cache", "max-age", "expire_after"],
    )
    def test_own_call(self, tmdb, cache, fetch, options):
        """Who wants an answer of its own does not wait for another's call."""
        tmdb.fail("timeout", times=1)
        with leading(tmdb, fetch, tmdb, timeout=None) as leader, TMDBSession(cache) as session:
            assert get(tmdb, session=session, **{"timeout": 2, **options}).status_code == 200
            assert not leader.done()
        assert tmdb.count == 2

    def test_own_copies(self, tmdb, fetch):
        """Who changes the answer that they share changes nobody else's."""
        tmdb.latency = 0.3
        found = together(4, lambda _: fetch(tmdb))
        content, etag = found[0].content, found[0].headers["ETag"]
        for response in found:
            assert (response.content, response.headers["ETag"], response.history) == (content, etag, [])
            assert "mine" not in response.json()
            response.headers.clear()
            response.headers["ETag"] = "mine"
            response.history.append("mine")
            response.json()["mine"] = 1
            response._content = b"mine"
        assert fetch(tmdb).content == content

    def test_mongodb_away(self, tmdb, make_cache):
        """Without MongoDB, who comes while a call is under way waits for it all the same."""
        cache = make_cache(uri="mongodb://127.0.0.1:9", store_timeout=0.1)
        fetch = cached_tmdb(cache=cache)(get)
        fetch(tmdb, "/3/movie/1")
        tmdb.latency = 0.3
        with leading(tmdb, fetch, tmdb):
            assert {response.status_code for response in together(10, lambda _: fetch(tmdb))} == {200}
        assert tmdb.count == 2


class TestNotStored:
    @pytest.mark.parametrize("name", ["500", SLOW("503"), "429", "not-json", SLOW("success-false"), "empty"])
    def test_shared(self, tmdb, fetch, name):
        """An answer that is not stored is shared with who waits, and is what it would be without the cache."""
        tmdb.fail(name)
        direct = get(tmdb)
        tmdb.latency = 0.4
        with leading(tmdb, fetch, tmdb) as leader:
            found = together(5, lambda _: fetch(tmdb))
            led = leader.result()
        assert tmdb.count == 2
        for response in found:
            for what in ("status_code", "reason", "content", "url", "encoding", "history", "links"):
                assert getattr(response, what) == getattr(direct, what), what
            headers = {**response.headers, "Cache-Status": "", "Age": ""}
            assert headers == {**led.headers, "Cache-Status": "", "Age": ""}
            assert (response.from_cache, "collapsed" in status_of(response)) == (False, True)
        assert len({id(response) for response in (led, *found)}) == 6

    def test_age(self, tmdb, fetch):
        """An answer that is shared and not stored has an Age only if TMDB gave it one."""
        tmdb.fail("500")
        tmdb.latency = 0.3
        with leading(tmdb, fetch, tmdb) as leader:
            found = fetch(tmdb)
            assert found.headers.get("Age") == leader.result().headers.get("Age")

    def test_unauthorized(self, tmdb, fetch):
        """The 401 for one API key is not given to callers with another, who get the answer."""
        tmdb.latency = 0.3
        with leading(tmdb, fetch, tmdb, params=INVALID) as leader:
            same, other = together(2, lambda at: fetch(tmdb, params=[INVALID, None][at]))
            assert leader.result().status_code == 401
        assert (same.status_code, other.status_code, tmdb.count) == (401, 200, 2)

    def test_unauthorized_leader(self, tmdb, fetch):
        """Those whom the first caller's 401 does not concern make one call among them."""
        tmdb.latency = 0.3
        with leading(tmdb, fetch, tmdb, params=INVALID):
            found = together(10, lambda _: fetch(tmdb))
        assert {response.status_code for response in found} == {200}
        assert tmdb.count == 2


class TestFailures:
    @pytest.mark.parametrize("name", ["reset", "truncated", "timeout"])
    def test_own_exception(self, tmdb, fetch, name):
        """Each who waits for a call that fails gets an exception of its own, as it would be without the cache."""
        tmdb.fail(name, path=MOVIE)
        options = {"timeout": 0.8 if name == "timeout" else 5}
        direct = outcome(get, tmdb, **options)
        tmdb.latency = 0.3
        found = together(10, lambda _: fetch(tmdb, **options))
        assert tmdb.count == 2  # one of them without the cache
        assert len({id(error) for error in found}) == 10
        assert {type(error) for error in found} == {type(direct)}
        assert {kind_of(error) for error in found} == {kind_of(direct)}
        if direct.request is None:
            assert {error.request for error in found} == {None}
            return
        assert len({id(error.request) for error in found}) == 10
        assert {error.request.url for error in found} == {direct.request.url}
        assert {error.response for error in found} == {None}

    def test_stale_answer(self, tmdb, fetch, expired, caplog):
        """Where there is a stale answer all who wait for a call that fails get that."""
        tmdb.fail("reset")
        tmdb.latency = 0.3
        found = together(10, lambda _: fetch(tmdb))
        assert {response.content for response in found} == {expired["body"]}
        assert all(response.from_cache and response.is_expired for response in found)
        assert tmdb.count == 2

    def test_told_as_failed(self, tmdb, make_cache):
        """A failure that is shared counts as one with each who waited for it."""
        events = []
        ask = cached_tmdb(cache=make_cache(on_event=events.append))(get)
        tmdb.fail("500")
        tmdb.latency = 0.3
        together(3, lambda _: ask(tmdb))
        assert sorted(event.outcome for event in events) == ["collapsed", "collapsed", "miss"]
        assert all(event.failed for event in events)

    def test_interrupted(self, tmdb, fetch):
        """Where the leader ends in something that is no failure of TMDB's, who waits makes its own call."""

        class Interrupted(BaseException):
            pass

        class Interrupting(HTTPAdapter):
            def send(self, *args, **options):
                started.set()
                assert waiting.wait(20)
                time.sleep(0.1)
                raise Interrupted

        def lead():
            with requests.Session() as session:
                session.mount("http://", Interrupting())
                with pytest.raises(Interrupted):
                    fetch(tmdb, session=session)

        started, waiting = threading.Event(), threading.Event()
        with ThreadPoolExecutor(1) as pool:
            leader = pool.submit(lead)
            assert started.wait(20)
            threading.Timer(0.2, waiting.set).start()
            began = time.monotonic()
            found = together(5, lambda _: fetch(tmdb, timeout=None))
            leader.result()
        assert {response.status_code for response in found} == {200}
        assert (tmdb.count, time.monotonic() - began < 5) == (1, True)

    def test_impatient_leader(self, tmdb, fetch):
        """Who has more patience than the first caller gets the answer that it did not wait for."""
        tmdb.latency = 1
        with leading(tmdb, fetch, tmdb, timeout=0.3) as leader:
            found = outcome(fetch, tmdb, timeout=10)
            assert isinstance(leader.result(), requests.ReadTimeout)
        assert getattr(found, "status_code", found) == 200

    def test_leader_with_a_broken_proxy(self, tmdb, fetch):
        """A failure that comes of the leader's own arguments is not given to callers with others."""

        class Slow(HTTPAdapter):
            def send(self, *args, **options):
                started.set()
                time.sleep(0.5)
                return super().send(*args, **options)

        started = threading.Event()
        with requests.Session() as session, ThreadPoolExecutor(1) as pool:
            session.mount("http://", Slow())
            broken = {"http": "http://127.0.0.1:9"}
            leader = pool.submit(outcome, fetch, tmdb, session=session, proxies=broken)
            assert started.wait(20)
            found = outcome(fetch, tmdb)
            assert isinstance(leader.result(), requests.exceptions.ProxyError)
        assert getattr(found, "status_code", found) == 200


class Odd(requests.ConnectionError):
    """An error that wants two arguments to be made."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} {second}")


class OtherClass(requests.ConnectionError):
    def __reduce__(self):
        return requests.ConnectionError, self.args


class OtherText(requests.ConnectionError):
    def __reduce__(self):
        return OtherText, ("another",)


class Plain(requests.ConnectionError):
    pass


@pytest.mark.parametrize(
    ("error", "calls"),
    [(Plain("broken"), 1), (Odd("broken", "off"), 4), (OtherClass("broken"), 4), (OtherText("broken"), 4)],
    ids=lambda value: type(value).__name__,
)
def test_an_error_that_cannot_be_copied(tmdb, fetch, error, calls, caplog):
    """A failure whose copy would be another one is not shared: who waits for it calls for itself."""
    made = []

    class Failing(HTTPAdapter):
        def send(self, *args, **options):
            made.append(1)
            time.sleep(0.3 if len(made) == 1 else 0.02)
            raise error

    with requests.Session() as session:
        session.mount("http://", Failing())
        found = together(4, lambda _: fetch(tmdb, session=session))
    assert [(type(one), str(one)) for one in found] == [(type(error), str(error))] * 4
    assert len(made) == calls
    assert warnings(caplog) == []


def kind_of(error: BaseException) -> str:
    """Return the text of an error without what differs from one to the next of the same."""
    return " ".join(word for word in str(error).split() if " 0x" not in word and "0x" not in word)


class TestPatience:
    @pytest.mark.parametrize(
        "timeout",
        [0.3, SLOW((5, 0.3)), SLOW(urllib3.Timeout(connect=5, read=0.3)), urllib3.Timeout(total=0.3)],
        ids=["number", "tuple", "urllib3", "total"],
    )
    def test_time_out(self, tmdb, fetch, timeout):
        """Who waits gets its ReadTimeout when its own timeout is up, though the leader has none."""
        tmdb.fail("timeout")
        direct = outcome(get, tmdb, timeout=0.3)
        with leading(tmdb, fetch, tmdb, timeout=None) as leader:
            began = time.monotonic()
            error = outcome(fetch, tmdb, timeout=timeout)
            took = time.monotonic() - began
            assert not leader.done()
        assert type(error) is type(direct) is requests.ReadTimeout
        assert "0.3" in str(error)
        assert error.request.url == direct.request.url
        assert (0.29 < took < 2, tmdb.count) == (True, 2)

    def test_total(self, tmdb, fetch, caplog):
        """A call whose timeout is urllib3's, with a total, is cached like any other."""
        found = [fetch(tmdb, timeout=urllib3.Timeout(total=5)) for _ in range(2)]
        assert ([response.from_cache for response in found], warnings(caplog)) == ([False, True], [])

    @pytest.mark.parametrize(
        "timeout",
        [None, SLOW((1, None)), urllib3.Timeout(connect=1)],
        ids=["none", "tuple", "urllib3"],
    )
    def test_none(self, tmdb, fetch, timeout):
        """Who has no timeout waits for the answer."""
        tmdb.latency = 0.4
        with leading(tmdb, fetch, tmdb, timeout=None):
            assert fetch(tmdb, timeout=timeout).status_code == 200
        assert tmdb.count == 1

    def test_stale_answer(self, tmdb, fetch, expired, caplog):
        """Who has waited as long as its timeout gets the stale answer, if there is one."""
        tmdb.fail("timeout")
        with leading(tmdb, fetch, tmdb, timeout=None) as leader:
            began = time.monotonic()
            found = fetch(tmdb, timeout=0.3)
            assert 0.29 < time.monotonic() - began < 2
            assert not leader.done()
        assert (found.content, found.is_expired, tmdb.count) == (expired["body"], True, 2)

    def test_no_longer(self, tmdb, fetch):
        """Who has waited as long as its timeout does not get an answer that comes within the next second."""
        tmdb.latency = 0.9
        with leading(tmdb, fetch, tmdb, timeout=None):
            assert isinstance(outcome(fetch, tmdb, timeout=0.1), requests.ReadTimeout)

    def test_another_process(self, tmdb, fetch, leased, caplog):
        """Who has waited for another process as long as its timeout, which is short, asks TMDB itself."""
        leased()
        assert fetch(tmdb, timeout=0.3).status_code == 200
        assert (tmdb.count, warnings(caplog)) == (1, [])

    def test_another_process_and_a_stale_answer(self, tmdb, fetch, expired, leased):
        """Who has waited for another process as long as its timeout gets the stale answer, if there is one."""
        leased()
        found = fetch(tmdb, timeout=0.3)
        assert (found.content, found.from_cache, tmdb.count) == (expired["body"], True, 1)

    def test_leader_that_waits_itself(self, tmdb, fetch, leased):
        """Who has waited for a caller that waits for another process asks TMDB itself."""
        leases = leased()
        with ThreadPoolExecutor(1) as pool:
            leader = pool.submit(fetch, tmdb, timeout=None)
            until(lambda: leases.find_one({"_id": KEY, "taken": False}) is not None)
            found = outcome(fetch, tmdb, timeout=0.3)
            assert not leader.done()
            leases.delete_one({"_id": KEY})
        assert (getattr(found, "status_code", found), leader.result().status_code) == (200, 200)

    def test_after_giving_up(self, tmdb, fetch):
        """After somebody gave up waiting the next caller is not held by the call that is stuck."""
        tmdb.fail("timeout", times=1)
        with leading(tmdb, fetch, tmdb, timeout=None) as leader:
            assert isinstance(outcome(fetch, tmdb, timeout=0.3), requests.ReadTimeout)
            began = time.monotonic()
            found = fetch(tmdb, timeout=4)
            took = time.monotonic() - began
            assert not leader.done()
        assert (found.status_code, tmdb.count, took < 2) == (200, 2, True)


class TestWithin:
    def test_adapter(self, tmdb, cache):
        """An adapter that asks for the same URL while it sends does not wait for itself."""

        class Nested(HTTPAdapter):
            def send(self, *args, **options):
                inner.append(get(tmdb))
                return super().send(*args, **options)

        inner: list[requests.Response] = []
        with requests.Session() as session, enabled(cache):
            session.mount("http://", Nested())
            began = time.monotonic()
            found = get(tmdb, session=session)
        assert (found.content, time.monotonic() - began < 4) == (inner[0].content, True)
        assert tmdb.count == 2

    def test_hook(self, tmdb, cache):
        """A response hook that asks for the same URL gets the answer that was just stored."""
        inner = []
        with enabled(cache):
            found = get(tmdb, hooks={"response": lambda *_, **__: inner.append(get(tmdb))})
        assert (inner[0].content, inner[0].from_cache, tmdb.count) == (found.content, True, 1)

    def test_disabled(self, tmdb, fetch):
        """A call that is not to be cached does not wait."""
        tmdb.fail("timeout", times=1)
        with leading(tmdb, fetch, tmdb, timeout=None), disabled():
            assert get(tmdb).status_code == 200

    def test_cleared(self, tmdb, fetch, collection):
        """The next call after all who waited are answered finds the entry, and no lease is held."""
        together(5, lambda _: fetch(tmdb))
        assert fetch(tmdb).from_cache
        until(lambda: collection.database["tmdb_cache_leases"].find_one({"_id": KEY})["until"] is not None)

    @pytest.mark.parametrize("status", ["", "500"])
    def test_given_back(self, tmdb, fetch, collection, status):
        """A lease is left open, for nobody to wait for anybody, where the call has failed, and only there."""
        if status:
            tmdb.fail(status)
        fetch(tmdb)
        leases = collection.database["tmdb_cache_leases"]
        until(lambda: leases.find_one({"_id": KEY, "open_until": {"$exists": True}}) is not None)
        assert (leases.find_one({"_id": KEY})["open_until"] is not None) is bool(status)

    @pytest.mark.parametrize("given_back", [True, False])
    def test_looked_up_too_early(self, tmdb, fetch, collection, caplog, given_back):
        """Who looks before an answer is there, and goes on when it is, gets it, though MongoDB is slow with leases."""
        held, go_on = threading.Event(), threading.Event()

        def hold(record: logging.LogRecord) -> bool:
            if record.threadName.startswith("early") and record.getMessage() == f"{KEY}: fetch":
                held.set()
                assert go_on.wait(20)
            return True

        caplog.set_level(logging.DEBUG, "tmdb_mongo_cache")
        leases = collection.database["tmdb_cache_leases"]
        with caplog.filtering(hold), ThreadPoolExecutor(1, "early") as pool:
            early = pool.submit(fetch, tmdb)
            assert held.wait(20)
            assert not fetch(tmdb).from_cache
            until(lambda: leases.find_one({"_id": KEY, "$expr": {"$lte": ["$until", "$$NOW"]}}) is not None)
            if not given_back:  # as it is until MongoDB has that, for which nobody waits
                leases.update_one({"_id": KEY}, [{"$set": {"until": {"$add": ["$$NOW", 2000]}}}])
            go_on.set()
            assert early.result().from_cache
        assert tmdb.count == 1
