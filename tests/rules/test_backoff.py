"""Back-off and rate limit as values: how long a key is not tried again, and how long TMDB is not called."""

from __future__ import annotations

import pytest

from tmdb_mongo_cache import fork
from tmdb_mongo_cache.core.backoff import Backoff, RateLimit
from tmdb_mongo_cache.core.single_flight import SingleFlight
from tmdb_mongo_cache.core.state import Core
from tmdb_mongo_cache.fork import RenewedAfterFork
from tmdb_mongo_cache.httpcache.models import Reply

from .drive import FAILED, World


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def backoff(world: World) -> Backoff:
    return world.core.backoff


@pytest.fixture
def limit(world: World) -> RateLimit:
    return world.core.rate_limits[True]


def fails(backoff: Backoff, times: int = 1) -> list[float]:
    return [backoff.failed("a", FAILED, 0.0) for _ in range(times)]


class TestBackoff:
    def test_grows(self, backoff: Backoff) -> None:
        """The pauses of a key grow with its failures, and those of another do not."""
        assert not backoff.is_on("a")
        assert fails(backoff, 4) == [0, 0.5, 1, 2]
        assert backoff.failed("b", FAILED, 0.0) == 0
        assert (backoff.is_on("a"), backoff.is_on("b"), backoff.is_on("c")) == (True, False, False)

    def test_over(self, world: World, backoff: Backoff) -> None:
        """It backs off for as long as said, and no longer."""
        fails(backoff, 3)
        world.seconds = 0.99
        assert backoff.is_on("a")
        world.seconds = 1.0
        assert not backoff.is_on("a")

    @pytest.mark.parametrize("end", [lambda backoff: backoff.succeeded("a"), Backoff.forget, Backoff.after_fork])
    def test_begins_again(self, backoff: Backoff, end) -> None:
        """After a response, when all is forgotten, and in a child the next failure is the first."""
        fails(backoff, 3)
        end(backoff)
        assert not backoff.is_on("a")
        assert fails(backoff) == [0]

    def test_is_forgotten(self, world: World, backoff: Backoff) -> None:
        """Five minutes after its last failure the next one is the first."""
        fails(backoff, 2)
        world.seconds = 299.0
        assert fails(backoff) == [1]
        world.seconds += 300.0
        assert fails(backoff) == [0]

    def test_another_responded(self, backoff: Backoff) -> None:
        """A response for one key is none for another."""
        backoff.back_off("a", 60)
        backoff.succeeded("b")
        assert backoff.is_on("a")

    def test_elsewhere(self, world: World, backoff: Backoff) -> None:
        """A key with which another process has failed backs off, which counts as one failure and adds none."""
        backoff.back_off("a", 60)
        backoff.back_off("a", 60)
        assert backoff.is_on("a")
        assert fails(backoff) == [0.5]
        backoff.back_off("a", 60)
        world.seconds = 59.0
        assert backoff.is_on("a")
        assert fails(backoff) == [1]

    def test_alone(self, world: World, backoff: Backoff) -> None:
        """For as long as the other process has said."""
        backoff.back_off("a", 60)
        world.seconds = 60.0
        assert not backoff.is_on("a")

    @pytest.mark.parametrize(("status", "pause"), [(429, 7), (503, 7), (500, 0), (502, 0)])
    def test_told(self, backoff: Backoff, status: int, pause: float) -> None:
        """Retry-After counts where TMDB limits the rate or is not available."""
        assert backoff.failed("a", Reply(status=status, headers={"Retry-After": "7"}), 0.0) == pause

    def test_slow(self, backoff: Backoff) -> None:
        """What was slow to fail backs off for as long as that took."""
        assert backoff.failed("a", FAILED, 3.5) == 3.5

    def test_many(self, backoff: Backoff) -> None:
        """Thousands of keys are remembered, the oldest are forgotten first."""
        for number in range(4097):
            backoff.back_off(str(number), 60)
        assert not backoff.is_on("0")
        assert all(backoff.is_on(str(number)) for number in range(1, 4097))


class TestLimit:
    def test_alone(self, world: World, limit: RateLimit) -> None:
        """Where TMDB does not say how long, the pauses double."""
        assert limit.until <= world.monotonic()
        for pause in (1, 2, 4):
            limit.met(None)
            assert limit.until == world.monotonic() + pause
            world.seconds += pause

    def test_together(self, world: World, limit: RateLimit) -> None:
        """Calls that meet the limit together meet it once."""
        for _ in range(5):
            limit.met(None)
        world.seconds = 0.9
        limit.met(None)
        assert limit.until == world.monotonic() - 0.9 + 1
        world.seconds = 1.0
        limit.met(None)
        assert limit.until == world.monotonic() + 2

    def test_told(self, world: World, limit: RateLimit) -> None:
        """What TMDB says holds, and never shortens what it has said before."""
        for said, until in ((5.0, 5.0), (2.0, 5.0), (9.0, 9.0)):
            limit.met(said)
            assert limit.until == world.monotonic() + until

    def test_told_wrong(self, world: World, limit: RateLimit) -> None:
        """After a 429 that allows the next call at once, the next 429 is waited out for a second."""
        limit.met(0.0)
        assert limit.until == world.monotonic()
        limit.met(0.0)
        assert limit.until == world.monotonic() + 1

    @pytest.mark.parametrize("end", [RateLimit.passed, RateLimit.after_fork])
    def test_passed(self, world: World, limit: RateLimit, end) -> None:
        """After a response, and in a child, the next limit is the first."""
        for _ in range(3):
            limit.met(None)
            world.seconds += 10
        end(limit)
        limit.met(None)
        assert limit.until == world.monotonic() + 1

    def test_in_a_child(self, limit: RateLimit) -> None:
        """A child has met no limit."""
        limit.met(60.0)
        limit.after_fork()
        assert limit.until == 0.0


@pytest.mark.parametrize("kind", [Backoff, RateLimit, SingleFlight])
def test_a_forked_child_renews_it(kind: type[RenewedAfterFork]) -> None:
    found = kind()
    assert found in fork._objects


class TestCore:
    """What the calls of a cache share, and what they do not."""

    def test_channels_have_limits_of_their_own(self, world: World) -> None:
        world.core.rate_limits[False].met(60.0)
        assert world.core.rate_limits[True].until == 0.0

    def test_what_only_reads_changes_nothing(self, world: World) -> None:
        """It sees which keys back off, and waits for no request."""
        world.core.backoff.back_off("a", 60)
        world.elsewhere(world.core.fetches, "a")
        reading = world.core.for_reading(None)
        assert isinstance(reading, Core)
        assert reading.backoff.is_on("a")
        assert reading.fetches.join("a")[1]
        assert (reading.memory, reading.store_timeout, reading.clock) == (None, 10.0, world.core.clock)
        assert reading.counters is world.core.counters
        assert reading.leases is world.core.leases

    def test_what_only_reads_may_read_memory(self) -> None:
        world = World(memory=True)
        assert world.core.for_reading(world.memory).memory is world.memory
