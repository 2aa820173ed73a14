"""One call per key in a process: who comes while it is under way waits for its answer."""

from __future__ import annotations

import copy
import math
import threading
from collections.abc import Hashable
from typing import NamedTuple

from . import greenlets
from .forks import RenewedAfterFork
from .tmdb.entry import Entry, Reply

PATIENCE = 30.0
"""Seconds that a caller without a ``timeout`` waits for another's call, before it makes its own."""


class Landed(NamedTuple):
    """What came of a call: TMDB's reply, and the entry made of it or confirmed by it.

    An entry is for everybody. A reply that made none may depend on who asked,
    and how: it is for callers of the same ``manner``, credentials included.
    """

    reply: Reply | None
    entry: Entry | None
    manner: Hashable

    def __repr__(self) -> str:
        return f"Landed(reply={self.reply and self.reply.status!r}, entry={self.entry and self.entry.key!r})"


class Flight:
    """One call that is under way; ``asked`` is the moment (``time.monotonic()``) at which TMDB was asked."""

    def __init__(self, key: Hashable) -> None:
        self.key = key
        self.thread = threading.get_ident()
        self.greenlet = greenlets.current()
        self.asked = math.inf
        self.landed: Landed | None = None
        self._over = threading.Event()

    def wait(self, seconds: float) -> bool:
        """Wait until the call is over; say whether it is."""
        if self.thread == threading.get_ident():
            return greenlets.wait(self._over.is_set, seconds)
        return self._over.wait(seconds)

    @property
    def is_within(self) -> bool:
        """Whether the caller would wait for itself."""
        if self.thread != threading.get_ident():
            return False
        return self.greenlet == greenlets.current() or not greenlets.share_threads()

    def end(self, landed: Landed | None) -> None:
        """Let everybody who waits go on."""
        self.landed = landed
        self._over.set()


class Flights(RenewedAfterFork):
    """The calls of one cache that are under way; usable from many threads."""

    def __init__(self) -> None:
        self.after_fork()
        super().__init__()

    def after_fork(self) -> None:
        """Begin anew, in a forked child: who was calling stayed with the parent."""
        self._lock = threading.Lock()
        self._under_way: dict[Hashable, Flight] = {}

    def join(self, key: Hashable) -> tuple[Flight | None, bool]:
        """Return the flight for a key, and whether the caller is to lead it.

        None where the caller itself leads it already: a call within a call must not wait for its own end.
        """
        with self._lock:
            found = self._under_way.get(key)
            if found is None:
                found = self._under_way[key] = Flight(key)
                return found, True
        return (None if found.is_within else found), False

    def leave(self, flight: Flight) -> None:
        """Give up waiting for a flight; who comes next does not wait for it either."""
        with self._lock:
            if self._under_way.get(flight.key) is flight:
                del self._under_way[flight.key]

    def leave_all(self) -> None:
        """Let who comes next wait for nothing that is under way."""
        with self._lock:
            self._under_way.clear()

    def land(self, flight: Flight, landed: Landed | None) -> None:
        """End a flight; None where its leader has nothing to share."""
        self.leave(flight)
        flight.end(landed)


def copy_of(error: BaseException) -> BaseException | None:
    """Return an exception of one's own to raise; None where it cannot be copied."""
    try:
        copied = copy.copy(error)
    except Exception:  # noqa: BLE001  whatever its class makes of its own arguments
        return None
    if type(copied) is not type(error) or str(copied) != str(error):
        return None
    copied.__cause__, copied.__context__ = error.__cause__, error.__context__
    copied.__suppress_context__ = error.__suppress_context__
    return copied
