"""Waiting by threads and processes: a waiting thread is woken, and a forked child waits for nothing of its parent."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tmdb_mongo_cache.core.backoff import Backoff, RateLimit
from tmdb_mongo_cache.core.single_flight import SingleFlight

from .processkit import FORKS, in_a_child


def test_waiting_threads_are_woken() -> None:
    """Threads that wait for the same call go on when it is over, long before their time is, and get its outcome."""
    flights: SingleFlight[str] = SingleFlight()
    flight, leads = flights.join("a")
    assert flight is not None
    assert leads
    joined = threading.Barrier(4)

    def follow() -> tuple[bool, str | None]:
        found, leads = flights.join("a")
        assert found is flight
        assert not leads
        joined.wait(10)
        return found.wait(60), found.outcome

    with ThreadPoolExecutor(3) as pool:
        followers = [pool.submit(follow) for _ in range(3)]
        joined.wait(10)
        flights.land(flight, "outcome")
        assert [follower.result(10) for follower in followers] == [(True, "outcome")] * 3


def test_a_wait_ends_with_its_seconds() -> None:
    """A thread that waits for a call of another thread is told that it goes on."""
    flights: SingleFlight[str] = SingleFlight()
    flights.join("a")

    def follow() -> Any:
        flight, _ = flights.join("a")
        assert flight is not None
        return flight.wait(0.05)

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(follow).result(10) is False


@FORKS
@pytest.mark.parametrize(
    ("make", "change", "is_changed"),
    [
        (Backoff, lambda found: found.back_off("a", 60), lambda found: found.is_on("a")),
        (RateLimit, lambda found: found.met(60.0), lambda found: found.until > 0),
        (SingleFlight, lambda found: found.join("a"), lambda found: found.join("a") == (None, False)),
    ],
    ids=["Backoff", "RateLimit", "SingleFlight"],
)
def test_forked(make: Callable[[], Any], change: Callable[[Any], Any], is_changed: Callable[[Any], bool]) -> None:
    """A forked child begins again with what its parent remembers, and the parent goes on with it."""
    found = make()
    change(found)
    assert in_a_child(lambda: not is_changed(found))
    assert is_changed(found)
