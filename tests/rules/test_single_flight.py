"""Single flight as values: leading, waiting, and outcomes."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any

import pytest
import requests

from tmdb_mongo_cache.core import greenlets, single_flight
from tmdb_mongo_cache.core.single_flight import InFlight, SingleFlight, copy_of


def by_another_thread(flights: SingleFlight[Any], key: str = "a", state: object = None) -> InFlight[Any]:
    """Let another thread lead."""
    flight, leads = flights.join(key, state)
    assert flight is not None
    assert leads
    flight.thread = 0
    return flight


def test_joined() -> None:
    """The first caller leads, a caller of another thread waits for it, and one of its own thread does not."""
    flights: SingleFlight[str] = SingleFlight()
    flight, leads = flights.join("a", "state")
    assert flight is not None
    assert leads
    assert (flight.key, flight.state, flight.outcome, flight.is_over) == ("a", "state", None, False)
    assert flight.sent_at == math.inf  # TMDB has not been called yet
    assert flights.join("a") == (None, False)
    assert flights.join("b")[1]
    flight.thread = 0
    assert flights.join("a") == (flight, False)


END: dict[str, Callable[[SingleFlight[Any], InFlight[Any]], object]] = {
    "leave": SingleFlight.leave,
    "leave_all": lambda flights, _: flights.leave_all(),
    "land": lambda flights, flight: flights.land(flight, None),
    "after_fork": lambda flights, _: flights.after_fork(),
}


@pytest.mark.parametrize("end", END)
def test_over(end: str) -> None:
    """When a call is over, or left, the next caller leads."""
    flights: SingleFlight[str] = SingleFlight()
    flight = by_another_thread(flights)
    END[end](flights, flight)
    assert flights.join("a")[1]
    assert flight.wait(0) is flight.is_over is (end == "land")


def test_left_late() -> None:
    """Leaving a call that is over does not leave the next one."""
    flights: SingleFlight[str] = SingleFlight()
    first = by_another_thread(flights)
    flights.leave(first)
    second = by_another_thread(flights)
    flights.leave(first)
    flights.land(first, None)
    assert flights.join("a") == (second, False)


@pytest.mark.parametrize("thread", [0, threading.get_ident()], ids=["of another thread", "of this thread"])
def test_landed(thread: int) -> None:
    """A waiting caller gets the outcome, also when it comes late."""
    flights: SingleFlight[str] = SingleFlight()
    flight = by_another_thread(flights)
    flight.thread = thread
    assert not flight.wait(0)
    flights.land(flight, "outcome")
    assert flight.wait(0)
    assert flight.outcome == "outcome"


@pytest.mark.parametrize(("lands", "says"), [(True, True), (False, False)])
def test_waiting_ends_with_the_call(monkeypatch: pytest.MonkeyPatch, lands: bool, says: bool) -> None:
    """All callers that wait share one event, each with its own timeout."""
    flights: SingleFlight[str] = SingleFlight()
    flight = by_another_thread(flights)
    made: list[Any] = []

    class Event:
        def __init__(self) -> None:
            made.append(self)
            self.seconds: list[float] = []
            self.is_set = False

        def set(self) -> None:
            assert flight.is_over
            assert flight.outcome == "outcome"
            self.is_set = True

        def wait(self, seconds: float) -> bool:
            self.seconds.append(seconds)
            if lands and len(self.seconds) == 2:
                flights.land(flight, "outcome")
            return self.is_set

    monkeypatch.setattr(single_flight.threading, "Event", Event)
    assert not flight.wait(3.0)
    assert flight.wait(5.0) is says
    (event,) = made
    assert event.seconds == [3.0, 5.0]


def test_greenlets_that_share_a_thread_wait_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call is one's own where it is led by the same greenlet; of another thread it never is."""
    flights: SingleFlight[str] = SingleFlight()
    monkeypatch.setattr(greenlets, "share_threads", lambda: True)
    monkeypatch.setattr(greenlets, "current", lambda: 1)
    flight, _ = flights.join("a")
    assert flights.join("a") == (None, False)
    monkeypatch.setattr(greenlets, "current", lambda: 2)
    assert flights.join("a") == (flight, False)
    monkeypatch.setattr(greenlets, "share_threads", lambda: False)
    assert flights.join("a") == (None, False)
    assert flight is not None
    flight.thread = 0
    assert flights.join("a") == (flight, False)


def test_copied() -> None:
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


class Raises(Exception):
    def __copy__(self) -> Any:
        raise TypeError


class BecomesAnother(Exception):
    def __copy__(self) -> Any:
        return ValueError(str(self))


class Forgets(Exception):
    def __copy__(self) -> Any:
        return Forgets("something else")


@pytest.mark.parametrize("kind", [Raises, BecomesAnother, Forgets])
def test_not_copied(kind: type[Exception]) -> None:
    """An error whose class makes no true copy of it is not raised a second time."""
    assert copy_of(kind("x")) is None
