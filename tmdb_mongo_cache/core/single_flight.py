"""Single flight: while a call for a key is in flight, others of this process wait for its outcome."""

from __future__ import annotations

import copy
import math
import threading
from collections.abc import Hashable
from typing import Generic, TypeVar

from ..fork import RenewedAfterFork
from . import greenlets

Outcome = TypeVar("Outcome")


class InFlight(Generic[Outcome]):
    """One call in flight.

    ``outcome`` is what came of it, None before its end and where it has nothing to share;
    ``sent_at`` is the moment of the monotonic clock at which TMDB was called; ``state`` is
    what its leader knew when it began.
    """

    __slots__ = ("_event", "_greenlet", "_lock", "is_over", "key", "outcome", "sent_at", "state", "thread")

    def __init__(self, key: Hashable, lock: threading.Lock, state: object) -> None:
        self.key = key
        self.state = state
        self.thread = threading.get_ident()
        self._greenlet = greenlets.current()
        self.sent_at = math.inf
        self.outcome: Outcome | None = None
        self.is_over = False
        self._lock = lock
        self._event: threading.Event | None = None  # made by the first that waits: most calls are alone

    def wait(self, seconds: float) -> bool:
        """Block until it is over, some seconds at most; say whether it is."""
        if self.is_of_this_thread:
            return greenlets.wait(lambda: self.is_over, seconds)
        with self._lock:
            if self._event is None:
                self._event = threading.Event()
        return self.is_over or self._event.wait(seconds)

    @property
    def is_of_this_thread(self) -> bool:
        """Whether it is led in the caller's thread: another greenlet of that can only poll for its end."""
        return self.thread == threading.get_ident()

    @property
    def is_own(self) -> bool:
        """Whether the caller leads it, and would wait for itself."""
        if not self.is_of_this_thread:
            return False
        return self._greenlet == greenlets.current() or not greenlets.share_threads()

    def end(self, outcome: Outcome | None) -> None:
        """Let everybody who waits go on."""
        self.outcome = outcome
        self.is_over = True  # before the event is looked at: who makes one looks at this afterwards
        if self._event is not None:
            self._event.set()


class SingleFlight(RenewedAfterFork, Generic[Outcome]):
    """The calls of one kind (look-ups, fetches, refreshes) that are in flight; usable from many threads."""

    def __init__(self) -> None:
        self.after_fork()
        super().__init__()

    def after_fork(self) -> None:
        """Start empty in a forked child: who was calling stayed with the parent."""
        self._lock = threading.Lock()
        self._in_flight: dict[Hashable, InFlight[Outcome]] = {}

    def join(self, key: Hashable, state: object = None) -> tuple[InFlight[Outcome] | None, bool]:
        """Return the call in flight for a key, and whether the caller is to lead it.

        None where the caller leads it already: a call within a call must not wait for its own end.

        Args:
            key: what is called for.
            state: kept with a new one.
        """
        mine: InFlight[Outcome] = InFlight(key, self._lock, state)
        found = self._in_flight.setdefault(key, mine)  # one step: no other thread comes in between
        if found is mine:
            return mine, True
        return (None if found.is_own else found), False

    def leave(self, flight: InFlight[Outcome]) -> None:
        """Give up waiting for a call; who comes next does not wait for it either."""
        with self._lock:
            if self._in_flight.get(flight.key) is flight:
                del self._in_flight[flight.key]

    def leave_all(self) -> None:
        """Let who comes next wait for nothing that is in flight."""
        with self._lock:
            self._in_flight.clear()

    def land(self, flight: InFlight[Outcome], outcome: Outcome | None) -> None:
        """End a call; None where its leader has nothing to share."""
        self.leave(flight)
        flight.end(outcome)


def copy_of(error: BaseException) -> BaseException | None:
    """Return a copy of an exception to raise a second time; None where it cannot be copied."""
    try:
        copied = copy.copy(error)
    except Exception:  # noqa: BLE001  whatever its class makes of its own arguments
        return None
    if type(copied) is not type(error) or str(copied) != str(error):
        return None
    copied.__cause__, copied.__context__ = error.__cause__, error.__context__
    copied.__suppress_context__ = error.__suppress_context__
    return copied
