"""Who waits for what, as values: keys that fail, TMDB's limit, calls under way, the turn of another process."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import requests

from tmdb_mongo_cache.backoff import Backoff, Limit, RateLimit
from tmdb_mongo_cache.flights import PATIENCE, Flights, Landed, copy_of
from tmdb_mongo_cache.store.leases import Taken
from tmdb_mongo_cache.tmdb.entry import Reply
from tmdb_mongo_cache.turns import wait_for_turn

from .processkit import FORKS, in_a_child

FAILED, LIMITED = Reply(status=500), Reply(status=429)


class Began(float):
    """The moment at which a test began: what is compared with it may take its time on a busy machine."""

    def __new__(cls) -> Began:
        return super().__new__(cls, time.monotonic())

    def and_then(self, seconds: float, moment: float) -> bool:
        """Say whether a moment is so many seconds after one between that and now."""
        return self + seconds <= moment <= time.monotonic() + seconds

    def just(self, seconds: float, waited: float) -> bool:
        """Say whether so many seconds were waited, less what has passed since."""
        return seconds - (time.monotonic() - self) <= waited <= seconds


@pytest.fixture
def began() -> Began:
    return Began()


class TestBackoff:
    def test_grows(self):
        """The pauses of a key grow with its failures, and those of another do not."""
        backoff = Backoff()
        assert [backoff.failed("a", FAILED, 0.0) for _ in range(4)] == [0, 0.5, 1, 2]
        assert backoff.failed("b", FAILED, 0.0) == 0
        assert (backoff.is_on("a"), backoff.is_on("b"), backoff.is_on("c")) == (True, False, False)

    def test_over(self):
        """A key is left alone for as long as said, and no longer."""
        backoff = Backoff()
        assert [backoff.failed("a", FAILED, 0.0) for _ in range(3)] == [0, 0.5, 1]
        assert backoff.is_on("a")
        time.sleep(1.05)
        assert not backoff.is_on("a")

    @pytest.mark.parametrize("end", [lambda backoff: backoff.succeeded("a"), Backoff.forget, Backoff.after_fork])
    def test_begins_anew(self, end):
        """After an answer, when all is forgotten, and in a child the next failure is the first."""
        backoff = Backoff()
        for _ in range(3):
            backoff.failed("a", FAILED, 0.0)
        end(backoff)
        assert not backoff.is_on("a")
        assert backoff.failed("a", FAILED, 0.0) == 0

    def test_another_answered(self):
        """An answer for one key is none for another."""
        backoff = Backoff()
        backoff.leave("a", 60)
        backoff.succeeded("b")
        assert backoff.is_on("a")

    def test_left(self):
        """A key with which another process has failed is left alone, which counts as one failure and adds none."""
        backoff = Backoff()
        backoff.leave("a", 60)
        backoff.leave("a", 60)
        assert backoff.is_on("a")
        assert backoff.failed("a", FAILED, 0.0) == 0.5
        backoff.leave("a", 60)
        assert backoff.failed("a", FAILED, 0.0) == 1

    @pytest.mark.parametrize(("status", "pause"), [(429, 7), (503, 7), (500, 0), (502, 0)])
    def test_told(self, status, pause):
        """Retry-After counts where TMDB limits the rate or is not available."""
        assert Backoff().failed("a", Reply(status=status, headers={"Retry-After": "7"}), 0.0) == pause

    def test_many(self):
        """Thousands of keys are remembered, the oldest are forgotten first."""
        backoff = Backoff()
        for number in range(4097):
            backoff.leave(str(number), 60)
        assert not backoff.is_on("0")
        assert all(backoff.is_on(str(number)) for number in range(1, 4097))


class TestLimit:
    def test_alone(self, began):
        """Where TMDB does not say how long, the pauses double."""
        limit = Limit()
        for pause in (1, 2, 4):
            limit.met(None)
            assert began.and_then(pause, limit.until)
            limit.until = time.monotonic()

    def test_together(self, began):
        """Calls that meet the limit together meet it once."""
        limit = Limit()
        for _ in range(5):
            limit.met(None)
        assert began.and_then(1, limit.until)

    def test_told(self, began):
        """What TMDB says holds, and never shortens what it has said before."""
        limit = Limit()
        limit.met(5.0)
        assert began.and_then(5, limit.until)
        limit.met(2.0)
        assert began.and_then(5, limit.until)
        limit.met(9.0)
        assert began.and_then(9, limit.until)

    def test_told_wrong(self, began):
        """Who was told to ask again at once, and is limited again, waits a second."""
        limit = Limit()
        limit.met(0.0)
        assert began.and_then(0, limit.until)
        limit.met(0.0)
        assert began.and_then(1, limit.until)

    def test_passed(self, began):
        """After an answer the next limit is the first."""
        limit = Limit()
        for _ in range(3):
            limit.met(None)
            limit.until = time.monotonic()
        limit.passed()
        limit.met(None)
        assert began.and_then(1, limit.until)


class Waiter:
    """Who waits: each wait ends at once, and is noted."""

    def __init__(self, patience: float | None = None) -> None:
        self.patience = patience
        self.waits: list[float] = []

    def wait(self, how: Callable[[float], Any], seconds: float) -> Any:
        self.waits.append(seconds)
        return how(0)


class TestRateLimit:
    def answers(self, *replies: Reply) -> Callable[[], Reply]:
        left = list(replies)
        return lambda: left.pop(0)

    def limited(self, seconds: str) -> Reply:
        return Reply(status=429, headers={"Retry-After": seconds})

    def test_waits(self, began):
        """A 429 is waited for as told, and asked again."""
        waiter = Waiter()
        found = RateLimit().send(
            self.answers(self.limited("5"), self.limited("7"), Reply(200)), waiter, has_other=False
        )
        assert found.status == 200
        first, second = waiter.waits
        assert began.just(5, first)
        assert began.just(7, second)

    def test_beyond_patience(self):
        """A 429 that lasts longer than a caller's patience is its answer, at once."""
        for patience, told in ((3.0, "5"), (None, "61")):
            waiter = Waiter(patience)
            assert RateLimit().send(self.answers(self.limited(told)), waiter, has_other=False).status == 429
            assert waiter.waits == []
        waiter = Waiter()
        assert RateLimit().send(self.answers(self.limited("59"), Reply(200)), waiter, has_other=False).status == 200

    def test_others_limit(self, began):
        """Who comes later waits for the limit that another has met, but not where there is another answer."""
        limit = RateLimit()
        limit.send(self.answers(self.limited("5")), Waiter(3.0), has_other=False)
        late, other = Waiter(), Waiter()
        assert limit.send(self.answers(Reply(200)), late, has_other=False).status == 200
        (waited,) = late.waits
        assert began.just(5, waited)
        limit.send(self.answers(self.limited("5")), Waiter(3.0), has_other=False)
        assert limit.send(self.answers(self.limited("5")), other, has_other=True).status == 429
        assert other.waits == []

    def test_what_is_left(self):
        """Who comes when a limit is nearly over waits for what is left of it."""
        limit = RateLimit()
        limit.send(self.answers(self.limited("1")), Waiter(0.5), has_other=False)
        time.sleep(0.3)
        late = Waiter()
        limit.send(self.answers(Reply(200)), late, has_other=False)
        (waited,) = late.waits
        assert 0 <= waited <= 0.7

    def test_an_error(self):
        """What is no answer is no limit."""
        error = Reply(error=requests.ConnectionError())
        assert RateLimit().send(self.answers(error), Waiter(), has_other=False) is error


def elsewhere(call: Callable[..., Any], *args: Any) -> Any:
    """Return what a call gives in another thread."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(call(*args)))
    thread.start()
    thread.join(10)
    return found[0]


class TestFlights:
    def test_joined(self):
        """The first leads, who comes from another thread waits for it, and its own thread does not."""
        flights = Flights()
        flight, leads = flights.join("a")
        assert leads
        assert elsewhere(flights.join, "a") == (flight, False)
        assert flights.join("a") == (None, False)
        assert elsewhere(flights.join, "b")[1]
        assert flight.asked == math.inf  # TMDB has not been asked yet

    @pytest.mark.parametrize("end", ["leave", "leave_all", "land", "after_fork"])
    def test_over(self, end):
        """When it is over, or nobody is to wait for it any more, the next one leads."""
        flights = Flights()
        flight, _ = flights.join("a")
        {
            "leave": lambda: flights.leave(flight),
            "leave_all": flights.leave_all,
            "land": lambda: flights.land(flight, None),
            "after_fork": flights.after_fork,
        }[end]()
        assert elsewhere(flights.join, "a")[1]
        assert flight.wait(0) is (end == "land")

    def test_left_late(self):
        """Who leaves a call that is over leaves the next one alone."""
        flights = Flights()
        first, _ = flights.join("a")
        flights.leave(first)
        second, _ = elsewhere(flights.join, "a")
        flights.leave(first)
        flights.land(first, None)
        assert flights.join("a") == (second, False)

    def test_patience(self):
        """Who has no timeout waits half a minute for another's call."""
        assert PATIENCE == 30

    def test_landed(self):
        """Who waits gets what came of it."""
        flights = Flights()
        flight, _ = flights.join("a")
        landed = Landed(FAILED, None, "manner")
        assert not flight.wait(0)
        flights.land(flight, landed)
        assert flight.wait(0)
        assert flight.landed is landed

    def test_copied(self):
        """A copy of an error is another one with the same class, text, cause and context."""
        error = requests.ConnectionError("x", request=requests.Request())
        error.__cause__, error.__context__, error.__suppress_context__ = KeyError("cause"), KeyError("context"), True
        copied = copy_of(error)
        assert copied is not None
        assert copied is not error
        assert (type(copied), str(copied)) == (type(error), str(error))
        assert (copied.__cause__, copied.__context__) == (error.__cause__, error.__context__)
        assert copied.__suppress_context__
        plain = copy_of(requests.ConnectionError("x"))
        assert plain is not None
        assert not plain.__suppress_context__


def limit(found: RateLimit) -> None:
    limited = Reply(status=429, headers={"Retry-After": "60"})
    found.send(lambda: limited, Waiter(1), has_other=False)  # type: ignore[arg-type]


def is_limited(found: RateLimit) -> bool:
    waiter = Waiter()
    found.send(lambda: Reply(200), waiter, has_other=False)  # type: ignore[arg-type]
    return len(waiter.waits) > 0


@FORKS
@pytest.mark.parametrize(
    ("make", "change", "is_changed"),
    [
        (Backoff, lambda found: found.leave("a", 60), lambda found: found.is_on("a")),
        (RateLimit, limit, is_limited),
        (Flights, lambda found: found.join("a"), lambda found: found.join("a") == (None, False)),
    ],
    ids=["Backoff", "RateLimit", "Flights"],
)
def test_forked(make, change, is_changed):
    """A forked child begins anew with what its parent remembers, and the parent goes on with it."""
    found = make()
    change(found)
    assert in_a_child(lambda: not is_changed(found))
    assert is_changed(found)


class TestTurn:
    class Guarded:
        """Leases that another has until asked so often."""

        def __init__(self, *found: Taken | None) -> None:
            self.found = list(found)
            self.asked: list[tuple[str, bool]] = []

        def take(self, key: str, refreshing: bool) -> Taken | None:
            self.asked.append((key, refreshing))
            return self.found.pop(0) if len(self.found) > 1 else self.found[0]

    def turn(self, guarded: Any, waiter: Waiter, seconds: float = 60) -> Taken | None:
        return wait_for_turn(guarded, "a", waiter, time.monotonic() + seconds, refreshing=True)  # type: ignore[arg-type]

    @pytest.mark.parametrize("found", [None, Taken(is_mine=True), Taken(), Taken(rest=5.0)])
    def test_at_once(self, found):
        """Where nobody is to be waited for nobody is."""
        guarded, waiter = self.Guarded(found), Waiter()
        assert self.turn(guarded, waiter) is found
        assert waiter.waits == []
        assert guarded.asked == [("a", True)]

    def test_looked_again(self):
        """Another's turn is waited for in pauses that grow from a hundredth of a second to a quarter."""
        others = [Taken(is_anothers=True)] * 20
        guarded, waiter = self.Guarded(*others, Taken(is_mine=True)), Waiter()
        assert self.turn(guarded, waiter) == Taken(is_mine=True)
        assert len(waiter.waits) == 20
        assert waiter.waits[0] == 0.01
        assert waiter.waits == sorted(waiter.waits)
        assert 0.01 < waiter.waits[3] < waiter.waits[5] < 0.25 == waiter.waits[-1]
        assert sum(waiter.waits[:8]) < 1

    def test_patience(self):
        """It is waited for no longer than there is patience."""
        guarded, waiter = self.Guarded(Taken(is_anothers=True)), Waiter()
        assert self.turn(guarded, waiter, -1).is_anothers
        assert waiter.waits == []
        began = time.monotonic()
        waiter.wait = lambda how, seconds: how(seconds)  # type: ignore[method-assign]
        assert self.turn(guarded, waiter, 0.3).is_anothers
        assert 0.3 <= time.monotonic() - began < 10
