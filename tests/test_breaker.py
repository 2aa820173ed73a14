"""The breakers' probes in threads, and breakers in a forked child."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tmdb_mongo_cache.core.circuit_breaker import Breaker, FailureBudget, State
from tmdb_mongo_cache.errors import StoreUnavailable
from tmdb_mongo_cache.mongo.breakers import start_probe

from .processkit import FORKS, in_a_child

TIMEOUT = 0.25


@contextmanager
def no_thread_can_be_started() -> Iterator[None]:
    """Make threads whose stack is larger than what can be addressed."""
    before = threading.stack_size(2**46)
    try:
        yield
    finally:
        threading.stack_size(before)


def test_a_probe_in_a_thread() -> None:
    """A probe runs beside the call, in a thread that ends with it; where none can be started, later ones may be."""
    breaker, over = Breaker(FailureBudget(TIMEOUT), start_probe, "lost", "back"), threading.Event()
    breaker.open(StoreUnavailable("away"), 1e9)
    with no_thread_can_be_started():
        breaker.probe(over.wait, 10)
    assert breaker.state is State.OPEN
    breaker.probe(over.wait, 10)
    assert breaker.state is State.HALF_OPEN
    (thread,) = (thread for thread in threading.enumerate() if thread.name == "tmdb-mongo-cache-probe")
    over.set()
    thread.join(10)
    assert breaker.state is State.CLOSED


@FORKS
def test_after_a_fork() -> None:
    """A child begins with a breaker that is closed, and a whole budget."""
    budget = FailureBudget(TIMEOUT)
    breaker = Breaker(budget, start_probe, "lost", "back")
    assert [budget.spend(TIMEOUT) > 0 for _ in range(4)][-1]
    breaker.open(StoreUnavailable("away"), 1e9)
    assert breaker.is_open
    assert in_a_child(lambda: not breaker.is_open and budget.spend(TIMEOUT) == 0)
