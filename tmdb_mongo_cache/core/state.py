"""``Core``: what the calls of one cache share in this process."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable
from datetime import datetime
from typing import NamedTuple, Protocol

from ..httpcache.models import Entry, Reply
from ..metrics.counters import Counters
from .backoff import Backoff, RateLimit
from .clock import SYSTEM, Clock
from .memory import Memory, Moment
from .policy import Step
from .single_flight import SingleFlight

logger = logging.getLogger("tmdb_mongo_cache")


class Looked(NamedTuple):
    """What a look-up gave, and what is to be done with it.

    ``key`` is that of the call, ``entry`` one that may be served at all, and ``where`` it
    was found: ``memory``, ``mongodb`` or ``reused``, which is a part of another entry.
    """

    key: str
    entry: Entry | None
    step: Step
    now: datetime
    where: str
    since: Moment | None


class Outcome(NamedTuple):
    """What came of a fetch: TMDB's reply, and the entry made of it or confirmed by it.

    An entry is for everybody. A reply that made none may depend on who sent the
    request, and how: it is for callers of the same ``share_key``, credentials included.
    """

    reply: Reply | None
    entry: Entry | None
    share_key: Hashable

    def __repr__(self) -> str:
        return f"Outcome(reply={self.reply and self.reply.status!r}, entry={self.entry and self.entry.key!r})"


class Leases(Protocol):
    """What is done to leases that is not waited for, so that a flow can end at any moment."""

    def release_lease(self, key: str, failed: bool, backoff: float) -> None:
        """Give a lease back.

        Args:
            key: whose.
            failed: there is no new response; processes that wait need not wait for each other.
            backoff: seconds in which nobody is to refresh the key.
        """

    def abandon_lease(self, key: str) -> None:
        """Renew a lease no more, if this process has it."""

    def open_lease(self, key: str) -> None:
        """Let nobody wait for the process that has the lease of a key, for a while."""


class Core:
    """What the calls of one cache share in this process; usable from many threads.

    Args:
        counters: what is counted.
        leases: where leases are given back.
        memory: the tier before MongoDB, if there is one.
        store_timeout: seconds that one operation of MongoDB may cost a call.
        clock: the time.
    """

    def __init__(
        self,
        counters: Counters,
        leases: Leases,
        memory: Memory | None,
        store_timeout: float,
        clock: Clock = SYSTEM,
    ) -> None:
        self.counters, self.leases, self.memory = counters, leases, memory
        self.store_timeout = store_timeout
        self.clock = clock
        self.debug: Callable[..., None] = logger.debug
        self.look_ups: SingleFlight[tuple[Entry | None, bool]] = SingleFlight()
        self.fetches: SingleFlight[Outcome] = SingleFlight()
        self.refreshes: SingleFlight[None] = SingleFlight()
        self.backoff = Backoff(self.clock)
        # Who has not been verified may say that TMDB limits the rate, but to those alone who ask without verification.
        self.rate_limits = {True: RateLimit(self.clock), False: RateLimit(self.clock)}

    def forget_in_flight(self) -> None:
        """Let who comes from now on wait for nothing that is in flight, nor for a back-off: both may be outdated."""
        self.fetches.leave_all()
        self.backoff.forget()

    def for_reading(self, memory: Memory | None) -> Core:
        """Return a core whose calls change nothing of this one's, and log nothing.

        Args:
            memory: this one's, to be read.
        """
        core = Core(self.counters, self.leases, memory, self.store_timeout, self.clock)
        core.backoff, core.debug = self.backoff, lambda *_: None
        return core
