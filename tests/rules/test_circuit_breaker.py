"""The circuit breaker: what it runs, when it probes, how long it stays open, and what it logs."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from tmdb_mongo_cache.core.circuit_breaker import Breaker, FailureBudget, State
from tmdb_mongo_cache.errors import CLOSED, StoreError, StoreUnavailable

TIMEOUT = 0.25


class Clock:
    """A clock that is put forward by hand."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Tried:
    """A breaker, and operations that fail or work as told."""

    def __init__(self, **options: object) -> None:
        self.clock = Clock()
        budget = FailureBudget(TIMEOUT, self.clock)
        self.failures = 0
        self.breaker = Breaker(budget, self.start, "lost", "back", on_failure=self.count, **options)  # type: ignore[arg-type]
        self.error: Exception | None = None
        self.probes, self.starts = 0, True
        self.begun: list[Callable[[], None]] = []

    def count(self) -> None:
        self.failures += 1

    def operation(self, seconds: float = TIMEOUT) -> str:
        self.clock.now += seconds
        if self.error is not None:
            raise self.error
        return "done"

    def probe(self, *_: float) -> None:
        self.probes += 1
        if self.error is not None:
            raise self.error

    def run(self, seconds: float = TIMEOUT) -> bool:
        """Run the operation as a call would, let a probe end that it begins, and say whether there is a result."""
        found, there_is = self.breaker.run(self.operation, seconds, probe=self.probe)
        self.wait()
        assert (found, there_is) in ((None, False), ("done", True))
        return there_is

    def start(self, run: Callable[[], None]) -> bool:
        """Begin a probe, which ends with :meth:`wait`; False where none can be started."""
        if self.starts:
            self.begun.append(run)
        return self.starts

    def wait(self) -> None:
        while self.begun:
            self.begun.pop()()

    def fail(self, seconds: float = TIMEOUT, error: Exception | None = None) -> None:
        """Let one operation fail, and the probe after it find that all is well."""

        def failing() -> None:
            self.clock.now += seconds
            raise error or StoreUnavailable("away")

        self.breaker.run(failing, probe=lambda: None)
        self.wait()

    def pause(self) -> float:
        """Return for how long no probe is made from now on."""
        before, began = self.probes, self.clock.now
        while self.probes == before:
            assert self.clock.now - began < 400
            assert not self.run()
            self.clock.now += 0.05
        return self.clock.now - 0.05 - began


def run_at_once(run: Callable[[], None]) -> bool:
    run()
    return True


@pytest.fixture
def tried() -> Tried:
    return Tried()


def said(caplog: pytest.LogCaptureFixture, level: int = logging.WARNING) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == level]


class TestOpening:
    def test_open(self, tried):
        """After a failure no operation is run until a probe has found that they work again."""
        tried.error = StoreUnavailable("away")
        assert not tried.run()
        began = tried.clock.now
        assert not tried.run(50)
        assert tried.clock.now == began
        tried.error = None
        tried.clock.now += 5
        assert not tried.run()
        assert tried.run()

    @pytest.mark.parametrize("error", [ValueError("x"), KeyError(1), TypeError()])
    def test_a_documents_fault(self, tried, caplog, error):
        """What is no failure of MongoDB is counted, and warned of once, and opens nothing."""
        caplog.set_level(logging.DEBUG, "tmdb_mongo_cache")
        tried.error = error
        assert not tried.run()
        assert len(said(caplog)) == 1
        assert not tried.run()
        assert not tried.breaker.is_open
        assert tried.probes == 0
        assert len(said(caplog)) == 1
        assert tried.failures == 2

    def test_an_import(self, tried):
        """A MongoDB for which a library is missing is one that fails."""
        tried.error = ImportError("x")
        tried.run()
        assert tried.breaker.is_open

    def test_began_before(self, tried):
        """A failure of an operation that began before the last closing says nothing new."""
        began = tried.clock.now
        tried.fail()
        assert not tried.breaker.is_open
        assert not tried.breaker.open(StoreUnavailable("away"), began)
        assert not tried.breaker.is_open
        assert tried.breaker.open(StoreUnavailable("away"), tried.clock.now)
        assert tried.breaker.is_open

    def test_known(self, tried):
        """A second failure while it is open is nothing new."""
        assert tried.breaker.open(StoreUnavailable("away"), tried.clock.now)
        assert not tried.breaker.open(StoreUnavailable("away"), tried.clock.now)


class TestTooOften:
    def test_stays_open(self, tried):
        """A fourth failure of full length keeps it open for five minutes, whatever probes find."""
        for _ in range(3):
            tried.fail()
            assert not tried.breaker.is_open
        failed = tried.clock.now
        tried.fail()
        tried.clock.now = failed + 290
        tried.run()
        assert tried.breaker.is_open
        tried.clock.now = failed + 310
        assert not tried.run()
        assert tried.run()

    def test_seldom(self, tried):
        """A failure every five minutes never keeps it open."""
        for _ in range(20):
            tried.fail()
            assert not tried.breaker.is_open
            tried.clock.now += 301

    @pytest.mark.parametrize(("seconds", "number"), [(0.0, 12), (TIMEOUT / 10, 12), (TIMEOUT / 2, 6), (9.0, 3)])
    def test_length(self, tried, seconds, number):
        """A failure counts by how long it took: a quarter of one at least, and one at most."""
        for _ in range(number):
            tried.fail(seconds)
            assert not tried.breaker.is_open
        tried.fail(seconds)
        assert tried.breaker.is_open

    def test_probed_meanwhile(self, tried):
        """While it stays open for that it is probed every three seconds, and no more often."""
        for _ in range(6):
            tried.fail()
        tried.run()
        assert tried.pause() == pytest.approx(3, abs=0.06)
        assert tried.pause() == pytest.approx(3, abs=0.06)

    def test_shared(self):
        """Breakers of one budget share it."""
        clock = Clock()
        budget = FailureBudget(TIMEOUT, clock)
        one, other = (Breaker(budget, run_at_once, "lost", "back") for _ in range(2))
        for _ in range(3):
            began, clock.now = clock.now, clock.now + TIMEOUT
            one.open(StoreUnavailable("away"), began)
            one.close()
        began, clock.now = clock.now, clock.now + TIMEOUT
        other.open(StoreUnavailable("away"), began)
        clock.now += 5
        probed: list[int] = []
        other.probe(lambda: probed.append(1))
        assert (probed, other.is_open) == ([1], True)


class TestProbes:
    @pytest.mark.parametrize(
        ("error", "pauses"),
        [
            (StoreUnavailable("away"), [0.1, 0.2, 0.5, 1, 2, 3, 3, 3]),
            (OSError("odd"), [0.1, 0.2, 0.5, 1, 2, 3, 3, 3]),
            (StoreError("refused"), [0.5, 2, 10, 30, 30]),
        ],
        ids=["away", "odd", "refused"],
    )
    def test_pauses(self, tried, error, pauses):
        """Failing probes pause longer and longer: up to 3 s, and up to 30 s where MongoDB answers and refuses."""
        tried.error = StoreUnavailable("away")
        tried.breaker.run(tried.operation, 0.0, probe=tried.probe)
        tried.wait()
        tried.error = error
        tried.pause()
        found = [tried.pause() for _ in pauses]
        assert found == pytest.approx(pauses[1:] + pauses[-1:], abs=0.11)

    def test_first(self, tried):
        """The first probe is made with the failure, not with the next call."""
        tried.error = StoreUnavailable("away")
        tried.run()
        assert tried.probes == 1
        assert tried.pause() == pytest.approx(0.1, abs=0.06)

    def test_again(self, tried):
        """The pauses begin again with each opening."""
        tried.error = StoreUnavailable("away")
        tried.run()
        for _ in range(6):
            tried.pause()
        tried.error = None
        tried.pause()
        assert not tried.breaker.is_open
        tried.clock.now += 400
        tried.error = StoreUnavailable("away")
        tried.run()
        assert tried.pause() == pytest.approx(0.1, abs=0.06)

    def test_one(self, tried):
        """There is one probe at a time."""
        tried.breaker.open(StoreUnavailable("away"), tried.clock.now)
        tried.breaker.probe(tried.probe)
        tried.clock.now += 60
        tried.breaker.probe(tried.probe)
        assert len(tried.begun) == 1

    def test_states(self, tried):
        """It is half-open while a probe is under way, and then open or closed."""
        assert tried.breaker.state is State.CLOSED
        for tried.error, then in ((StoreUnavailable("away"), State.OPEN), (None, State.CLOSED)):
            tried.breaker.open(StoreUnavailable("away"), tried.clock.now)
            assert tried.breaker.state is State.OPEN
            tried.clock.now += 60
            tried.breaker.probe(tried.probe)
            assert tried.breaker.state is State.HALF_OPEN
            assert tried.breaker.is_open
            assert not tried.breaker.run(tried.operation)[1]
            assert len(tried.begun) == 1
            tried.wait()
            assert tried.breaker.state is then

    def test_closed_meanwhile(self, tried):
        """A probe that ends when the breaker is closed changes nothing, whatever it has found."""
        tried.breaker.open(StoreUnavailable("away"), tried.clock.now, quiet=True)
        tried.breaker.probe(tried.probe)
        tried.breaker.close_if_quiet()
        tried.error = StoreUnavailable("away")
        tried.wait()
        assert tried.breaker.state is State.CLOSED

    def test_one_from_before(self, tried):
        """A probe that was begun before it was closed is waited for, and counts, when it is open once more."""
        for _ in range(2):
            tried.breaker.open(StoreUnavailable("away"), tried.clock.now, quiet=True)
            tried.breaker.probe(tried.probe)
            assert (tried.breaker.state, len(tried.begun)) == (State.HALF_OPEN, 1)
            tried.breaker.close_if_quiet()
            tried.clock.now += 1
        tried.breaker.open(StoreUnavailable("away"), tried.clock.now)
        tried.wait()
        assert tried.breaker.state is State.CLOSED

    def test_none_while_closed(self, tried):
        """Nothing is probed while it is closed."""
        tried.breaker.probe(tried.probe)
        tried.wait()
        assert tried.probes == 0

    def test_itself(self, tried):
        """Where no probe is given the operation is its own."""
        tried.breaker.open(StoreUnavailable("away"), tried.clock.now)
        assert tried.breaker.run(tried.operation) == (None, False)
        tried.wait()
        assert not tried.breaker.is_open

    def test_after_a_failure_itself(self, tried):
        """An operation that fails without a probe is its own first probe."""
        found: list[int] = []

        def operation(number: int) -> None:
            found.append(number)
            if len(found) == 1:
                raise StoreUnavailable("away")

        tried.breaker.run(operation, 7)
        tried.wait()
        assert found == [7, 7]
        assert not tried.breaker.is_open

    def test_cannot_be_started(self, tried):
        """A probe that cannot be started is survived, and later ones are possible."""
        tried.breaker.open(StoreUnavailable("away"), tried.clock.now)
        tried.starts = False
        tried.breaker.probe(tried.probe)
        assert (tried.breaker.state, tried.probes) == (State.OPEN, 0)
        tried.starts = True
        tried.breaker.probe(tried.probe)
        tried.wait()
        assert tried.probes == 1
        assert not tried.breaker.is_open


class TestLog:
    def test_said_once(self, tried, caplog):
        """The log has one warning with the reason when it opens, and one line when it closes."""
        caplog.set_level(logging.INFO, "tmdb_mongo_cache")
        tried.error = StoreUnavailable("away")
        for _ in range(5):
            tried.run()
            tried.clock.now += 5
        tried.error = None
        tried.run()
        assert said(caplog) == ["lost: away"]
        assert said(caplog, logging.INFO) == ["back"]

    def test_quietly(self, tried, caplog):
        """One that was opened quietly stays silent when probes fail, until it is told to say so, once."""
        caplog.set_level(logging.INFO, "tmdb_mongo_cache")
        tried.error = StoreUnavailable("away")
        tried.breaker.open(tried.error, tried.clock.now, quiet=True)
        for _ in range(5):
            tried.clock.now += 20
            tried.run()
        assert tried.probes == 5
        assert said(caplog) == []
        tried.breaker.warn()
        tried.breaker.warn()
        assert said(caplog) == ["lost: away"]

    def test_quietly_closed(self, tried, caplog):
        """One that was opened quietly says nothing when it closes, and nothing after that."""
        caplog.set_level(logging.INFO, "tmdb_mongo_cache")
        tried.breaker.open(StoreUnavailable("away"), tried.clock.now, quiet=True)
        tried.breaker.close_if_quiet()
        assert not tried.breaker.is_open
        tried.breaker.warn()
        assert said(caplog) + said(caplog, logging.INFO) == []

    def test_not_quiet(self, tried):
        """One that was opened aloud is not closed for being quiet."""
        tried.breaker.open(StoreUnavailable("away"), tried.clock.now)
        tried.breaker.close_if_quiet()
        assert tried.breaker.is_open

    def test_silent(self, caplog):
        """A silent one says nothing."""
        caplog.set_level(logging.INFO, "tmdb_mongo_cache")
        tried = Tried(silent=True)
        tried.fail()
        assert said(caplog) + said(caplog, logging.INFO) == []

    def test_closed_cache(self, tried, caplog):
        """A cache that is closed is no news, however long it has been so."""
        tried.error = StoreUnavailable(CLOSED)
        for _ in range(3):
            tried.run()
            tried.clock.now += 20
        assert tried.probes == 3
        assert said(caplog) == []

    def test_blips(self, tried, caplog):
        """A failure within ten seconds of the last closing is no news, unless it lasts for ten."""
        tried.fail()
        tried.clock.now += 8
        tried.fail()
        assert said(caplog) == ["lost: away"]
        tried.clock.now += 8
        tried.error = StoreUnavailable("gone")
        tried.run()
        tried.clock.now += 8
        tried.run()
        assert said(caplog) == ["lost: away"]
        tried.clock.now += 3
        tried.run()
        tried.clock.now += 5
        tried.run()
        assert said(caplog) == ["lost: away", "lost: gone"]

    def test_news(self, tried, caplog):
        """A failure more than ten seconds after the last closing is said."""
        tried.fail()
        tried.clock.now += 11
        tried.fail()
        assert said(caplog) == ["lost: away"] * 2


def test_told_when_it_closes():
    """Who wants to know is told each time that it closes."""
    told: list[int] = []
    tried = Tried(on_close=lambda: told.append(1))
    tried.fail()
    assert told == [1]
    tried.breaker.close()
    assert told == [1, 1]


def test_after_a_fork(tried):
    """A forked child begins with a breaker that is closed, and a whole budget."""
    for _ in range(5):
        tried.fail()
    assert tried.breaker.is_open
    tried.breaker.after_fork()
    assert not tried.breaker.is_open
    assert tried.run()
    budget = FailureBudget(TIMEOUT, tried.clock)
    assert [budget.spend(TIMEOUT) > 0 for _ in range(4)][-1]
    budget.after_fork()
    assert budget.spend(TIMEOUT) == 0
