"""A breaker: after a failure operations are not tried, until a probe beside the calls finds that they work again."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable
from time import monotonic
from typing import Any, TypeVar

from ..errors import CLOSED, CacheError, StoreUnavailable
from ..forks import RenewedAfterFork
from ..stats import Counters

logger = logging.getLogger("tmdb_mongo_cache")

Result = TypeVar("Result")

_PAUSES = (0.0, 0.1, 0.2, 0.5, 1.0, 2.0, 3.0)
"""Seconds before a probe: the first, after one that failed, after two, …: what is back is found within 5 s."""

_PAUSES_OF_REFUSALS = (0.0, 0.5, 2.0, 10.0, 30.0)
"""The same where MongoDB answers, and refuses: a wrong password does not mend itself."""

_ALLOWED = 3.0
"""Failures in a row that are nothing but failures, as many ``store_timeout`` s as they took; but see the next two."""

_LEAST = 0.25
"""What a failure counts at least: one that is quick is a line in the log all the same."""

_FORGIVEN_AFTER = 300.0
"""Seconds after which one failure less counts, and that a breaker stays open for one too many.

So a MongoDB that is now slow, now not, costs a second at first, and after that
a quarter of a second in five minutes.
"""

_SAME_OUTAGE = 10.0
"""Seconds within which what fails again is no news."""


class Allowance(RenewedAfterFork):
    """What failures of one or more breakers may cost; see :data:`_ALLOWED`.

    Args:
        timeout: seconds that one failure may take (``store_timeout``).
        clock: gives the time in seconds, to the breakers as well.
    """

    def __init__(self, timeout: float, clock: Callable[[], float] = monotonic) -> None:
        self._timeout = timeout
        self.clock = clock
        self.after_fork()
        super().__init__()

    def after_fork(self) -> None:
        """Begin anew, in a forked child."""
        self._lock = threading.Lock()
        self._counted, self._last = 0.0, -math.inf

    def count(self, seconds: float) -> float:
        """Count a failure that took so long; return for how many seconds there is to be no other."""
        now = self.clock()
        with self._lock:
            forgiven = (now - self._last) / _FORGIVEN_AFTER
            self._counted = max(self._counted - forgiven, 0.0) + min(max(seconds / self._timeout, _LEAST), 1.0)
            self._last = now
            return max(self._counted - _ALLOWED, 0.0) * _FORGIVEN_AFTER


class Breaker(RenewedAfterFork):
    """Runs operations of one kind while they work, and probes whether they do again when they do not.

    A probe is an operation that some call would have made, run in a thread
    beside it; there is one at a time, and none where there are no calls. So what
    a call loses, once the breaker is open, is the time to look at it. The log has
    one warning when it opens and one line when it closes.

    Args:
        counters: where failures are counted.
        allowance: what its failures may cost.
        lost: what it means for calls that operations fail.
        back: what the log says when they work again.
        closed: is called when they do.
        silent: nothing is said in the log.
    """

    def __init__(
        self,
        counters: Counters,
        allowance: Allowance,
        lost: str,
        back: str,
        *,
        closed: Callable[[], None] | None = None,
        silent: bool = False,
    ) -> None:
        self._counters = counters
        self._allowance = allowance
        self._clock = allowance.clock
        self._silent = silent
        self._lost, self._back = lost, back
        self._when_closed = closed
        self._warned = False
        self.after_fork()
        super().__init__()

    def after_fork(self) -> None:
        """Begin anew, in a forked child: its connections are its own."""
        self._lock = threading.Lock()
        self.is_open = False
        self._probing = False
        self._failed = 0
        self._next_probe = self._held_until = 0.0
        self._opened = self._closed = -math.inf
        self._why = ""
        self._said = self._no_news = False

    def run(
        self, operation: Callable[..., Result], *args: Any, probe: Callable[..., Any] | None = None
    ) -> tuple[Result | None, bool]:
        """Run an operation; return its result, and whether there is one. Nothing is raised.

        Args:
            operation: what raises a ``CacheError`` when it fails.
            args: for it.
            probe: what is run beside the call where the breaker is open, with the
                same arguments; None: the operation itself.
        """
        if self.is_open:
            self.probe(probe or operation, *args)
            return None, False
        began = self._clock()
        try:
            return operation(*args), True
        except Exception as error:  # noqa: BLE001  the cache is never why a program fails
            if self.is_failure(error):
                self.open(error, began)
                self.probe(probe or operation, *args)
        return None, False

    def is_failure(self, error: Exception) -> bool:
        """Count what an operation raised; say whether MongoDB failed, and not just that operation."""
        self._counters.add("store_errors")
        if isinstance(error, CacheError | ImportError):
            return True
        # The fault of one document, or ours: the others are none the worse for it.
        level = logging.DEBUG if self._warned else logging.WARNING
        logger.log(level, "an operation failed (%s); its call goes on without it", type(error).__name__)
        self._warned = True
        return False

    def open(self, error: Exception, began: float, *, quietly: bool = False) -> bool:
        """Stop trying, because of a failure; say whether that is new.

        Args:
            error: the failure.
            began: the moment (``time.monotonic()``) at which the operation that failed was begun.
            quietly: without a line in the log, until :meth:`say`.
        """
        now = self._clock()
        with self._lock:
            if self.is_open or began < self._closed:
                return False  # one that began before the last closing says nothing new
            self._opened = now
            self._failed, self._next_probe = 0, now
            self._held_until = now + self._allowance.count(now - began)
            self._why, self._said = str(error), False
            # A cache that is closed, by the program or at its exit, is no news, nor is what has just been told.
            self._no_news = self._why == CLOSED or now - self._closed < _SAME_OUTAGE
            self.is_open = True
        logger.debug("%s: %s", self._lost, error)
        if not quietly:
            self.say()
        return True

    def say(self) -> None:
        """Say in the log that it is open, if it still is and nobody has."""
        with self._lock:
            if not self.is_open or self._said or self._no_news or self._silent:
                return
            self._said = True
        logger.warning("%s: %s", self._lost, self._why)

    def close(self) -> None:
        """Try again."""
        with self._lock:
            said, self._said = self._said, False
            self.is_open, self._closed = False, self._clock()
        if said:
            logger.info("%s", self._back)
        if self._when_closed is not None:
            self._when_closed()

    def close_if_quiet(self) -> None:
        """Try again, where it was opened quietly."""
        if self.is_open and not self._said:
            self.close()

    def probe(self, operation: Callable[..., Any], *args: Any) -> None:
        """Begin a probe in a thread of its own, unless one is under way or was not long ago."""
        if self._probing or self._clock() < self._next_probe:
            return
        with self._lock:
            if self._probing or not self.is_open:
                return
            self._probing = True
        try:
            threading.Thread(
                target=self._probe, args=(operation, args), name="tmdb-mongo-cache-probe", daemon=True
            ).start()
        except RuntimeError:  # no more threads, or the interpreter is on its way out
            self._probing = False

    def _probe(self, operation: Callable[..., Any], args: tuple[Any, ...]) -> None:
        error: Exception | None = None
        lasts = False
        try:
            operation(*args)
        except Exception as found:  # noqa: BLE001  a thread of ours prints no traceback
            error = found
        now = self._clock()
        with self._lock:
            self._probing = False
            if error is not None:
                refused = isinstance(error, CacheError) and not isinstance(error, StoreUnavailable)
                pauses = _PAUSES_OF_REFUSALS if refused else _PAUSES
                self._failed = min(self._failed + 1, len(pauses) - 1)
                self._next_probe = now + pauses[self._failed]
                # A blip just after another is no news; this is none.
                lasts = self._no_news and self._why != CLOSED and now - self._opened >= _SAME_OUTAGE
                self._no_news = self._no_news and not lasts
            elif now < self._held_until:
                self._next_probe = min(self._held_until, now + _PAUSES[-1])
            works = self.is_open and error is None and now >= self._held_until
        if works:
            self.close()
        elif lasts:
            self.say()
