"""TMDB's bad moments: a key that fails is left alone for a while, and a limit of the rate is kept to as told."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
import requests

from tmdb_mongo_cache import cached_tmdb, enabled

from .flowkit import MOVIE, expire, get, warnings

pytestmark = pytest.mark.any_database


@pytest.fixture
def waiting(make_cache):
    """Make a call with a cache that waits where the rate is limited, in whatever thread."""
    return cached_tmdb(cache=make_cache(wait_on_rate_limit=True))(get)


class TestStaleAnswer:
    @pytest.mark.parametrize("name", ["503", "reset", "not-json", "429"])
    def test_few_calls(self, tmdb, fetch, expired, name):
        """While TMDB fails, a hundred callers of a stale answer get it and make few calls."""
        tmdb.fail(name)
        began = time.monotonic()
        found = [fetch(tmdb) for _ in range(100)]
        took = time.monotonic() - began
        assert {response.content for response in found} == {expired["body"]}
        assert all(response.from_cache and response.is_expired for response in found)
        assert 2 <= tmdb.count - 1 <= 3 + took / 0.5

    def test_first_failure(self, tmdb, fetch, expired):
        """One failure may be an accident: the next caller asks again."""
        tmdb.fail("503", times=1)
        assert [fetch(tmdb).is_expired for _ in range(2)] == [True, False]

    def test_recovery(self, tmdb, fetch, expired):
        """After the pause the next caller asks again, and a success ends the row of failures."""
        tmdb.fail("503")
        assert [fetch(tmdb).is_expired for _ in range(3)] == [True] * 3
        assert tmdb.count == 3
        tmdb.heal()
        time.sleep(0.6)
        assert not fetch(tmdb).is_expired

    def test_row_ends(self, tmdb, fetch, collection, stored):
        """A failure after a success is the first again."""
        for _ in range(3):
            expire(collection)
            tmdb.fail("503", times=1)
            assert [fetch(tmdb).is_expired for _ in range(2)] == [True, False]

    @pytest.mark.parametrize(
        ("value", "again"), [("2", False), ("date", False), ("0", True), ("soon", True), (None, True)]
    )
    @pytest.mark.parametrize("status", [429, 503])
    def test_retry_after(self, tmdb, fetch, expired, value, again, status):
        """Where Retry-After says so a key is left alone from the first failure on, and otherwise it is not."""
        if value == "date":
            value = format_datetime(datetime.now(timezone.utc) + timedelta(seconds=20), usegmt=True)
        headers = {"Content-Type": "application/json"} | ({} if value is None else {"Retry-After": value})
        tmdb.answer(MOVIE, status=status, headers=headers, body=b"{}")
        assert {fetch(tmdb).content for _ in range(2)} == {expired["body"]}
        assert tmdb.count - 1 == (2 if again else 1)

    def test_hostile_retry_after(self, tmdb, fetch, expired):
        """A Retry-After that no clock can hold keeps nobody from the stale answer."""
        headers = {"Retry-After": "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"}
        tmdb.answer(MOVIE, status=429, headers=headers, body=b"{}")
        assert fetch(tmdb).content == expired["body"]

    def test_retry_after_ends(self, tmdb, fetch, expired):
        """When what Retry-After says is over TMDB is asked again."""
        tmdb.fail("429", times=1, retry_after=1)
        assert [fetch(tmdb).is_expired for _ in range(2)] == [True, True]
        time.sleep(1.05)
        assert not fetch(tmdb).is_expired

    def test_slow_failure(self, tmdb, fetch, expired):
        """A failure that took seconds to come is not waited for by the next caller."""
        tmdb.fail("timeout")
        assert fetch(tmdb, timeout=1.1).is_expired
        began = time.monotonic()
        assert fetch(tmdb, timeout=1.1).is_expired
        assert (time.monotonic() - began < 0.9, tmdb.count) == (True, 2)

    def test_other_keys(self, tmdb, fetch, expired):
        """A key that is left alone holds back no other."""
        tmdb.fail("503", path=MOVIE)
        assert [fetch(tmdb).is_expired for _ in range(4)] == [True] * 4
        assert fetch(tmdb, "/3/movie/1").status_code == 200

    def test_refresh(self, tmdb, cache, expired):
        """Who asks for a new answer is not held back."""
        tmdb.fail("503")
        with enabled(cache):
            assert [get(tmdb).is_expired for _ in range(4)] == [True] * 4
            tmdb.heal()
            assert not get(tmdb, headers={"Cache-Control": "no-cache"}).is_expired

    def test_other_caches(self, tmdb, make_cache, expired):
        """Another process's cache leaves a key alone that has just failed."""
        tmdb.fail("429", retry_after=20)
        for _ in range(3):
            assert cached_tmdb(cache=make_cache())(get)(tmdb).content == expired["body"]
        assert tmdb.count == 2

    def test_missing(self, tmdb, fetch):
        """A missing key that fails is asked for each time: there is nothing else to give."""
        tmdb.fail("503", path=MOVIE)
        assert [fetch(tmdb).status_code for _ in range(3)] == [503] * 3
        assert tmdb.count == 3

    def test_revalidate_behind(self, tmdb, make_cache, expired):
        """Refreshes behind stale hits that fail are not tried again by each of them."""
        cache = make_cache(stale_while_revalidate=600)
        fetch = cached_tmdb(cache=cache)(get)
        tmdb.fail("503")
        began = time.monotonic()
        for _ in range(100):
            assert fetch(tmdb).content == expired["body"]
            time.sleep(0.005)
        assert 2 <= tmdb.count - 1 <= 4 + (time.monotonic() - began) / 0.5


class TestLimit:
    def test_passed_on(self, tmdb, fetch, caplog):
        """Without a stale answer a 429 is passed on as it is, and other missing keys are not held back."""
        tmdb.fail("429", path=MOVIE, retry_after=30)
        direct = get(tmdb)
        began = time.monotonic()
        found = fetch(tmdb)
        others = [fetch(tmdb, f"/3/movie/{number}") for number in range(1, 4)]
        assert time.monotonic() - began < 5
        assert (found.status_code, found.content, found.headers["Retry-After"]) == (429, direct.content, "30")
        assert [response.status_code for response in others] == [200] * 3
        assert warnings(caplog) == []

    def test_waits_as_told(self, tmdb, waiting):
        """With wait_on_rate_limit a 429 is waited out as told, and the caller gets the answer."""
        tmdb.fail("429", times=1, retry_after=1)
        began = time.monotonic()
        assert waiting(tmdb).status_code == 200
        assert (1 <= time.monotonic() - began < 4, tmdb.count) == (True, 2)

    @pytest.mark.soak
    def test_waits_untold(self, tmdb, waiting):
        """Where TMDB does not say how long, the wait is one second, then two."""
        tmdb.fail("429", times=2)
        began = time.monotonic()
        assert waiting(tmdb).status_code == 200
        assert (3 <= time.monotonic() - began < 6, tmdb.count) == (True, 3)

    def test_no_wait_in_vain(self, tmdb, waiting):
        """A wait that the caller's timeout does not allow for is not begun."""
        tmdb.fail("429", retry_after=30)
        began = time.monotonic()
        assert waiting(tmdb, timeout=3).status_code == 429
        assert (time.monotonic() - began < 2, tmdb.count) == (True, 1)

    def test_no_wait_in_vain_for_others(self, tmdb, waiting):
        """Nor is it begun by the next call, which knows of the limit."""
        tmdb.fail("429", retry_after=30)
        began = time.monotonic()
        assert [waiting(tmdb, path, timeout=1.6).status_code for path in (MOVIE, "/3/movie/1")] == [429, 429]
        assert time.monotonic() - began < 1.5

    def test_stale_answer(self, tmdb, waiting, expired):
        """Where there is a stale answer nobody waits."""
        tmdb.fail("429", retry_after=3)
        began = time.monotonic()
        assert [waiting(tmdb).content for _ in range(3)] == [expired["body"]] * 3
        assert time.monotonic() - began < 2

    def test_once(self, tmdb, waiting):
        """All calls of a process wait for the one moment that TMDB named."""
        tmdb.fail("429", times=1, retry_after=1)
        with ThreadPoolExecutor(8) as pool:
            first = pool.submit(waiting, tmdb)
            while tmdb.count == 0:
                time.sleep(0.005)
            time.sleep(0.2)
            began = time.monotonic()
            others = [pool.submit(waiting, tmdb, f"/3/movie/{number}") for number in range(1, 8)]
            time.sleep(0.3)
            assert tmdb.count == 1
            assert {call.result().status_code for call in (first, *others)} == {200}
        assert (time.monotonic() - began < 3, tmdb.count) == (True, 9)

    def test_limited_together(self, tmdb, waiting):
        """Calls that meet the limit together wait one second, as one that meets it alone."""
        tmdb.latency = 0.2
        tmdb.fail("429", times=6)
        began = time.monotonic()
        with ThreadPoolExecutor(6) as pool:
            calls = [pool.submit(waiting, tmdb, f"/3/movie/{number}", timeout=3) for number in range(1, 7)]
            assert [call.result().status_code for call in calls] == [200] * 6
        assert time.monotonic() - began < 3

    def test_bounded(self, tmdb, waiting):
        """Waiting ends with the caller's timeout, which then gets the 429."""
        tmdb.fail("429")
        began = time.monotonic()
        assert waiting(tmdb, timeout=1.5).status_code == 429
        assert (1 <= time.monotonic() - began < 2.5, tmdb.count) == (True, 2)

    def test_collapsed(self, tmdb, waiting):
        """Who waits for a call that waits for the limit gives up when its own timeout is up."""
        tmdb.fail("429", retry_after=2)
        with ThreadPoolExecutor(1) as pool:
            leader = pool.submit(waiting, tmdb, timeout=5)
            while tmdb.count == 0:
                time.sleep(0.005)
            began = time.monotonic()
            with pytest.raises(requests.ReadTimeout):
                waiting(tmdb, timeout=0.5)
            assert 0.49 < time.monotonic() - began < 2
            tmdb.heal()
            assert leader.result().status_code == 200
