"""What a reviewer found about waiting for others: none of it may hold a program up, or fail it."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import requests

from tmdb_mongo_cache import TMDBSession, enabled
from tmdb_mongo_cache.mongo.embedded.server import EmbeddedServer

from .flowkit import API_KEY, KEY, MOVIE, expire, get
from .waitkit import eventually


@pytest.fixture
def other(make_cache):
    """A cache as another process has it: with leases of its own."""
    return make_cache()


@contextmanager
def fetching(tmdb, cache, path=MOVIE, **options):
    """Have a cache fetch in a thread of its own for as long as the block lasts."""

    def call():
        with enabled(cache):
            get(tmdb, path, **options)

    with ThreadPoolExecutor(1) as pool:
        before = tmdb.count
        found = pool.submit(call)
        assert eventually(lambda: tmdb.count > before)
        try:
            yield found
        finally:
            tmdb.heal()


class TestStuck:
    def test_others_make_their_own_call(self, tmdb, cache, other):
        """A call that hangs elsewhere costs one caller its time-out at most, and the next ones nothing."""
        tmdb.fail("timeout", times=1)
        with fetching(tmdb, other, timeout=60), enabled(cache):
            with pytest.raises(requests.ReadTimeout):
                get(tmdb, timeout=4)
            began = time.monotonic()
            assert get(tmdb, timeout=4).status_code == 200
            assert get(tmdb, timeout=4).from_cache
            assert time.monotonic() - began < 2

    @pytest.mark.soak
    @pytest.mark.parametrize("timeout", [None, 60])
    def test_the_patient(self, tmdb, cache, other, timeout):
        """Who is prepared to wait longer than half a minute gets TMDB's answer, not a time-out."""
        tmdb.fail("timeout", times=1)
        with fetching(tmdb, other, timeout=90), enabled(cache):
            assert get(tmdb, timeout=timeout).status_code == 200

    @pytest.mark.soak
    def test_once(self, tmdb, cache, other):
        """Waiting for a thread and then for another process takes no longer than the timeout in all."""
        tmdb.fail("timeout")
        with fetching(tmdb, other, timeout=60), ThreadPoolExecutor(2) as pool:
            calls = []
            for _ in range(2):
                calls.append(pool.submit(timed, tmdb, cache, timeout=3.5))
                time.sleep(0.2)
            assert max(call.result() for call in calls) < 3.5 + 1


def timed(tmdb, cache, **options):
    began = time.monotonic()
    with enabled(cache), pytest.raises(requests.ReadTimeout):
        get(tmdb, **options)
    return time.monotonic() - began


class TooLate(Exception):
    """What a program raises when its own time limit is over."""


def test_a_limit_of_the_programs_own(tmdb, cache, other):
    """An exception that a signal handler raises while a call waits for another reaches the program at once."""

    def handler(*_):
        raise TooLate

    tmdb.latency = 1.5
    before = signal.signal(signal.SIGALRM, handler)
    try:
        with fetching(tmdb, other, timeout=30), enabled(cache):
            signal.setitimer(signal.ITIMER_REAL, 0.3)
            began = time.monotonic()
            with pytest.raises(TooLate):
                get(tmdb, timeout=30)
            assert time.monotonic() - began < 1.2
            tmdb.latency = 0
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_at_once(tmdb, make_cache):
    """A limit that says to come back at once, again and again, is asked once a second and no oftener."""
    tmdb.fail("429", retry_after=0)
    with enabled(make_cache(wait_on_rate_limit=True)):
        assert get(tmdb, timeout=2.5).status_code == 429
    assert tmdb.count <= 5


def test_another_host(tmdb, make_cache):
    """A failure of one host is not given to who asks another one for the same."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        bound.listen(1)  # takes the connection and never answers
        broken = f"127.0.0.1:{bound.getsockname()[1]}"
        cache = make_cache(hosts=[tmdb.host, broken])
        with TMDBSession(cache) as session, ThreadPoolExecutor(2) as pool:
            first = pool.submit(lambda: session.get(f"http://{broken}{MOVIE}?api_key={API_KEY}", timeout=0.8))
            time.sleep(0.3)
            assert session.get(f"{tmdb.url}{MOVIE}?api_key={API_KEY}", timeout=5).json()["id"] == 550
            with pytest.raises(requests.ReadTimeout):
                first.result()


def test_another_header(tmdb, cache):
    """A refusal is not given to who asks with another header."""
    tmdb.fail("403", times=1)
    tmdb.latency = 0.4
    with enabled(cache), fetching(tmdb, cache, headers={"X-Api-Key": "one"}):
        assert get(tmdb, headers={"X-Api-Key": "two"}).status_code == 200


def test_a_broken_proxy(tmdb, cache, collection):
    """Who cannot reach its own proxy is no reason for others to leave TMDB alone."""
    with enabled(cache):
        get(tmdb)
        expire(collection)
        with requests.Session() as session:
            session.proxies = {"http": "http://127.0.0.1:1"}
            for _ in range(4):
                assert get(tmdb, session=session).is_expired
        tmdb.change(MOVIE)
        assert not get(tmdb).is_expired


@pytest.mark.soak
def test_an_outage_just_after_another(tmdb, make_cache, tmp_path, caplog):
    """A MongoDB that is lost again just after it was back, and stays away, is told of after all."""
    caplog.set_level(logging.INFO, "tmdb_mongo_cache")
    ended = threading.Event()
    with EmbeddedServer(tmp_path / "mongod") as server:
        cache = make_cache(uri=server.uri, store_timeout=0.25)

        def lines(level):
            found = [one for one in caplog.records if one.name == "tmdb_mongo_cache" and one.levelno == level]
            return len([one for one in found if "MongoDB" in one.getMessage() or "straight" in one.getMessage()])

        def hit():
            with enabled(cache):
                return get(tmdb).from_cache

        assert eventually(hit)
        pid = server.pid
        try:
            os.kill(pid, signal.SIGSTOP)
            assert not hit()
            os.kill(pid, signal.SIGCONT)
            assert eventually(hit, 10)
            assert (lines(logging.WARNING), lines(logging.INFO)) == (1, 1)
            os.kill(pid, signal.SIGSTOP)
            assert eventually(lambda: (hit(), ended.wait(0.2)) and lines(logging.WARNING) == 2, 25)
        finally:
            os.kill(pid, signal.SIGCONT)
        cache.close()


def test_an_interrupted_leader(tmdb, cache, other, collection):
    """A lease whose holder was interrupted is not renewed."""
    with enabled(other):
        get(tmdb)
    other.engine.driver.store.acquire_lease(KEY, False)
    other.engine.driver.store.abandon_lease(KEY)
    collection.delete_many({})
    began = time.monotonic()
    with enabled(cache):
        assert get(tmdb, timeout=8).status_code == 200
    assert time.monotonic() - began < 3 + 1.5
