"""The driver for threads: carries the effects of a flow out, one after the other, and blocks for each."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from time import perf_counter, sleep
from typing import Any, NamedTuple, Protocol, TypeVar

from ..config import CacheConfig
from ..core import flow as flows
from ..core.clock import utcnow
from ..core.effects import (
    AcquireLease,
    Background,
    Caller,
    Effect,
    Find,
    FindContaining,
    Flow,
    MarkStale,
    Prepare,
    Renew,
    Send,
    Sleep,
    Store,
    Wait,
)
from ..core.memory import Memory
from ..core.settings import Policy
from ..core.state import Core
from ..httpcache.models import Reply
from ..httpcache.result import Result
from ..metrics.flush import Flusher
from ..metrics.recorder import Recorder
from ..mongo.guarded_store import GuardedStore
from ..tmdb.call import Call
from . import background

logger = logging.getLogger("tmdb_mongo_cache")

Answer = TypeVar("Answer")


class Exchange(Protocol):
    """One request of an HTTP library, as the driver needs it."""

    def caller(self) -> Caller:
        """Return what the flow has to know of whose call it is."""

    def send(self, headers: Mapping[str, str]) -> Reply:
        """Send it with these headers added; a failure of TMDB is in the reply, the caller's own error is raised."""

    def wait(self, wait: Callable[[float], Answer], seconds: float) -> Answer:
        """Wait; what is raised meanwhile (a time limit of the program's, by a signal) is the caller's own."""

    def behind(self) -> Exchange:
        """Return the same request, to be sent when its caller has been answered already."""


class Begun(NamedTuple):
    """A flow that was run until it needs the request: paused at :class:`Prepare`, or at its end, with its result."""

    flow: Flow[Result] | None
    effect: Effect | None
    result: Result | None

    def __repr__(self) -> str:
        return f"Begun({self.effect!r}, {self.result!r})"


class SyncDriver:
    """Drives the flows of one cache; usable from many threads.

    Args:
        config: the settings.
        recorder: where calls are recorded.
        flushes: whether their counts are added to those of all processes by this driver.
    """

    def __init__(self, config: CacheConfig, recorder: Recorder, *, flushes: bool = False) -> None:
        self.recorder = recorder
        counters = recorder.counters
        seconds, timeout = float(config.memory_ttl), float(config.store_timeout)  # type: ignore[arg-type]
        memory = Memory(seconds, config.memory_max_bytes) if seconds and config.memory_max_bytes else None
        self.store = store = GuardedStore(config, lambda: counters.add("store_errors"), memory)
        self.core = Core(counters, self.store, memory, timeout)
        self._background = background.Background()
        self._flush = Flusher(counters, store.add_counts, lambda: store.is_open) if flushes else None
        recorder.flusher = self._flush or recorder.flusher

    def run(self, flow: Flow[Answer], exchange: Exchange | None, effect: Effect | None = None) -> Answer:
        """Run a flow to its end; what the caller did wrong is raised.

        Args:
            flow: the flow.
            exchange: the request; None where it needs none.
            effect: the one at which it is paused, if it was started already.
        """
        try:
            effect = effect or next(flow)
            while True:
                error = answer = None
                try:
                    answer = _CARRY_OUT[type(effect)](self, effect, exchange)
                except BaseException as found:  # noqa: BLE001  the flow lands what it leads, and lets it pass
                    error = found
                effect = flow.send(answer) if error is None else flow.throw(error)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        finally:
            flow.close()

    def answer(self, call: Call, rules: Policy, exchange: Exchange, begun: Begun | None = None) -> Result:
        """Answer a call that may be cached, and record it; never raises because of the database.

        Args:
            call: the call.
            rules: the settings as they are for it.
            exchange: its request.
            begun: what was begun for it already.
        """
        began = perf_counter()
        try:
            result = begun.result if begun is not None else None
            if result is None:
                flow, effect = (None, None) if begun is None else begun[:2]
                result = self.run(flow or flows.answer(self.core, call, rules), exchange, effect)
        except Exception:
            self.recorder.raised(call, utcnow(), perf_counter() - began)
            raise
        self.recorder.answered(call, result, perf_counter() - began)
        return result

    def begin(self, call: Call, rules: Policy) -> tuple[Result | None, Begun | None]:
        """Answer a call as far as its request is not needed; nothing is recorded yet.

        Returns:
            the result, or where it needs the request the flow that is paused there.
        """
        flow = flows.answer(self.core, call, rules)
        try:
            effect = next(flow)
            while type(effect) is not Prepare:
                effect = flow.send(_CARRY_OUT[type(effect)](self, effect, None))
        except StopIteration as end:
            return end.value, None
        except BaseException:
            flow.close()
            raise
        return None, Begun(flow, effect, None)

    def renew(self, call: Call, rules: Policy, exchange: Exchange) -> Result | None:
        """Fetch a call that has no fresh entry, and record that; None where it has one."""
        return self._run_behind(flows.renew(self.core, call, rules), exchange, call)

    def _run_behind(self, flow: Flow[Result | None], exchange: Exchange, call: Call) -> Result | None:
        """Run a flow that no caller waits for, and record its result if it has one."""
        began = perf_counter()
        result = self.run(flow, exchange)
        if result is not None:
            self.recorder.answered(call, result, perf_counter() - began, background=True)
        return result

    def written(self, urls: Iterable[str | None]) -> None:
        """Make stale what a successful write to some URLs has touched; never raises."""
        self.run(flows.write(self.core, urls), None)

    def bypassed(self, call: Call, status: int, seconds: float) -> None:
        """Record a call that never was the cache's business; 0 is the status of one that ended in an exception."""
        self.recorder.straight(call.endpoint, utcnow(), status, seconds)
        logger.debug("%s: bypass (%s)", call.endpoint.template or "a call", call.bypass or "by its settings or hooks")

    def unanswered(self, call: Call) -> None:
        """Record such a call that was not made, because ``offline`` forbids it."""
        self.recorder.unanswered(call.endpoint, utcnow())

    def refresh(self, effect: Background, exchange: Exchange) -> bool:
        """Run a refresh in the background, and record it; say whether it will be run."""
        run = partial(self._run_behind, effect.flow, exchange, effect.call)
        return self._background.submit(effect.call.key, run, effect.dropped)

    def close(self) -> None:
        """Let refreshes that are running end, and close the database; idempotent."""
        self._background.close()
        if self._flush is not None:
            self._flush.close()
        self.store.close()
        if self.core.memory is not None:
            self.core.memory.close()


_CARRY_OUT: dict[type[Any], Callable[[SyncDriver, Any, Any], Any]] = {
    Find: lambda driver, effect, _: driver.store.find(effect.key),
    FindContaining: lambda driver, effect, _: driver.store.find_containing(*effect),
    Prepare: lambda _, effect, exchange: exchange.caller(),
    Wait: lambda _, effect, exchange: _wait(exchange, effect.flight.wait, effect.seconds),
    AcquireLease: lambda driver, effect, _: driver.store.acquire_lease(*effect),
    Sleep: lambda _, effect, exchange: exchange.wait(sleep, effect.seconds),
    Send: lambda _, effect, exchange: exchange.send(effect.headers),
    Store: lambda driver, effect, _: driver.store.store(*effect),
    Renew: lambda driver, effect, _: driver.store.renew(effect.entry),
    MarkStale: lambda driver, effect, _: driver.store.mark_stale(*effect),
    Background: lambda driver, effect, exchange: driver.refresh(effect, exchange.behind()),
}


def _wait(exchange: Exchange | None, wait: Callable[[float], bool], seconds: float) -> bool:
    return wait(seconds) if exchange is None else exchange.wait(wait, seconds)
