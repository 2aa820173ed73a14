"""The circuit breakers of one MongoDB: for reads, for writes and for leases."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic
from typing import Any, TypeVar

from ..core.circuit_breaker import Breaker, FailureBudget, State
from ..errors import StoreError, StoreUnavailable
from ..fork import RenewedAfterFork

Result = TypeVar("Result")


class Breakers(RenewedAfterFork):
    """Runs operations by three breakers, so that a database that takes no writes is still read.

    Where reads fail, writes are not tried. One outage is one warning: a write
    that gets no reply says nothing until a look-up has shown whether reads do.

    Args:
        on_failure: is called with each operation that fails.
        timeout: seconds that one operation may take.
    """

    def __init__(self, on_failure: Callable[[], object], timeout: float) -> None:
        def breaker(budget: FailureBudget, lost: str, back: str, **options: Any) -> Breaker:
            return Breaker(budget, start_probe, lost, back, on_failure=on_failure, **options)

        self.reads = breaker(
            FailureBudget(timeout),
            "calls bypass the cache for now",
            "calls use the cache again",
            on_close=self._close_quiet,
        )
        shared = FailureBudget(timeout)
        self.writes = breaker(shared, "responses are not stored for now", "responses are stored again")
        self.leases = breaker(shared, "there are no leases for now", "there are leases again", silent=True)
        self.after_fork()
        super().__init__()

    def after_fork(self) -> None:
        """Begin again, in a forked child."""
        self._is_looking = False

    def run(
        self,
        breaker: Breaker,
        write: Callable[[bool], Result],
        read: Callable[[], Any],
        read_only: Callable[[], bool],
    ) -> tuple[Result | None, bool]:
        """Write, where that works; return what ``write`` gave, and whether it was done. Nothing is raised.

        Args:
            breaker: for writes or for leases, without which nothing is lost but a call to TMDB.
            write: raises a ``CacheError`` when it fails; is given whether it probes, and no call waits for it.
            read: finds out whether reads work.
            read_only: says whether only writes are unavailable.
        """
        if self.reads.state is not State.CLOSED:
            return None, False
        if breaker.state is not State.CLOSED:
            breaker.probe(write, True)
            return None, False
        began = monotonic()
        try:
            return write(False), True
        except Exception as error:  # noqa: BLE001  the cache is never why a program fails
            if breaker.is_failure(error):
                unanswered = isinstance(error, StoreUnavailable)
                breaker.open(error, began, quiet=unanswered)
                if unanswered:
                    # The same call is not to wait for the other kind as well.
                    other = self.leases if breaker is self.writes else self.writes
                    other.open(error, monotonic(), quiet=True)
                    if _holds(read_only):
                        self.writes.warn()
                    else:
                        self._look(read)
            return None, False

    def _look(self, read: Callable[[], Any]) -> None:
        """Find out in the background whether reads work, and log what is lost."""
        if self._is_looking:
            return

        def look() -> None:
            began = monotonic()
            try:
                read()
            except Exception as error:  # noqa: BLE001  a thread of ours prints no traceback
                self.reads.open(error, began)
            else:
                self.writes.warn()
            finally:
                self._is_looking = False

        self._is_looking = True
        if not start_probe(look):
            self._is_looking = False

    def _close_quiet(self) -> None:
        """Try writes again, too, where they were lost with reads."""
        for breaker in (self.writes, self.leases):
            breaker.close_if_quiet()


def start_probe(run: Callable[[], None]) -> bool:
    """Run a probe in a thread of its own; False where there are no more threads, or the interpreter is ending."""
    try:
        threading.Thread(target=run, name="tmdb-mongo-cache-probe", daemon=True).start()
    except RuntimeError:
        return False
    return True


def _holds(condition: Callable[[], bool]) -> bool:
    try:
        return condition()
    except StoreError:  # closed just now
        return False
