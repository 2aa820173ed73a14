"""A circuit breaker: after a failure operations are not tried, until a probe beside the calls finds that they work."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable
from enum import Enum
from time import monotonic
from typing import Any, TypeVar

from ..errors import CLOSED, CacheError, StoreUnavailable
from ..fork import RenewedAfterFork

logger = logging.getLogger("tmdb_mongo_cache")

Result = TypeVar("Result")

_PAUSES = (0.0, 0.1, 0.2, 0.5, 1.0, 2.0, 3.0)
"""Seconds before a probe: the first, after one that failed, after two, …: what is back is found within 5 s."""

_PAUSES_AFTER_REFUSALS = (0.0, 0.5, 2.0, 10.0, 30.0)
"""The same where MongoDB replies, and refuses: a wrong password does not mend itself."""

_TOLERATED = 3.0
"""Failures in a row that only open the breaker, as many ``store_timeout`` s as they took; but see the next two."""

_LEAST = 0.25
"""What a failure counts at least: a quick one is a line in the log all the same."""

_FORGIVEN_AFTER = 300.0
"""Seconds after which one failure less counts, and that a breaker stays open for one too many.

So a MongoDB that is now slow, now not, costs a second at first, and after that
a quarter of a second in five minutes.
"""

_SAME_OUTAGE = 10.0
"""Seconds after closing within which another failure is not logged."""


class State(Enum):
    """What a breaker does with operations."""

    CLOSED = "closed"
    """They are run."""
    OPEN = "open"
    """They are not; the next one that is wanted is probed, once its pause is over."""
    HALF_OPEN = "half-open"
    """They are not, and a probe is under way."""


class FailureBudget(RenewedAfterFork):
    """What failures of one or more breakers may cost; see :data:`_TOLERATED`.

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
        """Begin again, in a forked child."""
        self._lock = threading.Lock()
        self._spent, self._last = 0.0, -math.inf

    def spend(self, seconds: float) -> float:
        """Count a failure that took so long; return for how many seconds there is to be no other."""
        now = self.clock()
        with self._lock:
            forgiven = (now - self._last) / _FORGIVEN_AFTER
            self._spent = max(self._spent - forgiven, 0.0) + min(max(seconds / self._timeout, _LEAST), 1.0)
            self._last = now
            return max(self._spent - _TOLERATED, 0.0) * _FORGIVEN_AFTER


class Breaker(RenewedAfterFork):
    """Runs operations of one kind while they work, and probes whether they do again when they do not.

    A probe is an operation that some call would have made, run beside it; there
    is one at a time, and none where there are no calls. So once the breaker is
    open, a call loses the time to look at its state. The log has one warning
    when it opens and one line when it closes.

    Args:
        budget: what its failures may cost.
        start: runs a probe in the background; False where it cannot.
        lost: what it means for calls that operations fail.
        back: what the log says when they work again.
        on_failure: is called with each operation that fails.
        on_close: is called when operations work again.
        silent: nothing is logged.
    """

    def __init__(
        self,
        budget: FailureBudget,
        start: Callable[[Callable[[], None]], bool],
        lost: str,
        back: str,
        *,
        on_failure: Callable[[], object] = lambda: None,
        on_close: Callable[[], object] = lambda: None,
        silent: bool = False,
    ) -> None:
        self._budget, self._start = budget, start
        self.clock = budget.clock
        self._silent = silent
        self._lost, self._back = lost, back
        self._on_failure, self._on_close = on_failure, on_close
        self._has_warned_of_one = False
        self.after_fork()
        super().__init__()

    def after_fork(self) -> None:
        """Begin again, in a forked child: its connections are its own."""
        self._lock = threading.Lock()
        self.state = State.CLOSED
        self._is_probing = False
        self._failed = 0
        self._next_probe = self._held_until = 0.0
        self._opened = self._closed = -math.inf
        self._reason = ""
        self._logged = self._is_known = False

    @property
    def is_open(self) -> bool:
        """Whether operations are not run: it is open or half-open."""
        return self.state is not State.CLOSED

    def run(
        self, operation: Callable[..., Result], *args: Any, probe: Callable[..., Any] | None = None
    ) -> tuple[Result | None, bool]:
        """Run an operation; return its result, and whether there is one. Nothing is raised.

        Args:
            operation: raises a ``CacheError`` when it fails.
            args: for it.
            probe: is run beside the call where the breaker is open, with the same
                arguments; None: the operation itself.
        """
        if self.state is State.CLOSED:
            began = self.clock()
            try:
                return operation(*args), True
            except Exception as error:  # noqa: BLE001  the cache is never why a program fails
                self.fail(error, began, probe or operation, *args)
        else:
            self.probe(probe or operation, *args)
        return None, False

    def fail(self, error: Exception, began: float, probe: Callable[..., Any], *args: Any) -> None:
        """Do what :meth:`run` does after an operation has raised."""
        if self.is_failure(error):
            self.open(error, began)
            self.probe(probe, *args)

    def is_failure(self, error: Exception) -> bool:
        """Count what an operation raised; say whether MongoDB failed, and not just that operation."""
        self._on_failure()
        if isinstance(error, CacheError | ImportError):
            return True
        # The fault of one document, or of this package: the others are none the worse for it.
        level = logging.DEBUG if self._has_warned_of_one else logging.WARNING
        logger.log(level, "an operation failed (%s); its call goes on without it", type(error).__name__)
        self._has_warned_of_one = True
        return False

    def open(self, error: Exception, began: float, *, quiet: bool = False) -> bool:
        """Stop running operations, because of a failure; say whether that is new.

        Args:
            error: the failure.
            began: the moment (``time.monotonic()``) at which the operation that failed was begun.
            quiet: without a line in the log, until :meth:`warn`.
        """
        now = self.clock()
        with self._lock:
            if self.is_open or began < self._closed:
                return False  # one that began before the last closing says nothing new
            self._opened = now
            self._failed, self._next_probe = 0, now
            self._held_until = now + self._budget.spend(now - began)
            self._reason, self._logged = str(error), False
            # A cache that is closed, by the program or at its exit, needs no warning, nor does the outage just logged.
            self._is_known = self._reason == CLOSED or now - self._closed < _SAME_OUTAGE
            # A probe that began before the last closing may still be under way.
            self.state = State.HALF_OPEN if self._is_probing else State.OPEN
        logger.debug("%s: %s", self._lost, error)
        if not quiet:
            self.warn()
        return True

    def warn(self) -> None:
        """Log that it is open, if it still is and that is not logged yet."""
        with self._lock:
            if self.state is State.CLOSED or self._logged or self._is_known or self._silent:
                return
            self._logged = True
        logger.warning("%s: %s", self._lost, self._reason)

    def close(self) -> None:
        """Run operations again."""
        with self._lock:
            logged, self._logged = self._logged, False
            self.state, self._closed = State.CLOSED, self.clock()
        if logged:
            logger.info("%s", self._back)
        self._on_close()

    def close_if_quiet(self) -> None:
        """Run operations again, where it was opened quietly."""
        if self.is_open and not self._logged:
            self.close()

    def probe(self, operation: Callable[..., Any], *args: Any) -> None:
        """Begin a probe in the background, unless one is under way or was not long ago."""
        if self.state is not State.OPEN or self.clock() < self._next_probe:
            return
        with self._lock:
            if self.state is not State.OPEN:
                return
            self.state, self._is_probing = State.HALF_OPEN, True
        if not self._start(lambda: self._probe(operation, args)):
            with self._lock:
                self._is_probing = False
                if self.state is State.HALF_OPEN:
                    self.state = State.OPEN

    def _probe(self, operation: Callable[..., Any], args: tuple[Any, ...]) -> None:
        error: Exception | None = None
        lasts = works = False
        try:
            operation(*args)
        except Exception as found:  # noqa: BLE001  nothing waits for it
            error = found
        now = self.clock()
        with self._lock:
            self._is_probing = False
            if self.state is not State.HALF_OPEN:
                return  # closed meanwhile
            self.state = State.OPEN
            if error is not None:
                refused = isinstance(error, CacheError) and not isinstance(error, StoreUnavailable)
                pauses = _PAUSES_AFTER_REFUSALS if refused else _PAUSES
                self._failed = min(self._failed + 1, len(pauses) - 1)
                self._next_probe = now + pauses[self._failed]
                # A blip just after another is not logged; an outage is.
                lasts = self._is_known and self._reason != CLOSED and now - self._opened >= _SAME_OUTAGE
                self._is_known = self._is_known and not lasts
            elif now < self._held_until:
                self._next_probe = min(self._held_until, now + _PAUSES[-1])
            else:
                works = True
        if works:
            self.close()
        elif lasts:
            self.warn()
