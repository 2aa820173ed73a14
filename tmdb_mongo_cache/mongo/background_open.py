"""Opens the database in the background, so that no call waits longer than it should for a slow start."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic
from typing import Generic, TypeVar

from ..errors import CacheError, StoreUnavailable

Opened = TypeVar("Opened")

STARTUP_TIMEOUT = 5.0
"""Seconds that calls wait for the embedded server, which starts in half a second; a recovery takes longer."""

RETRY_AFTER = 60.0
"""Seconds before opening is tried again after a failure."""


class BackgroundOpen(Generic[Opened]):
    """One attempt to open something, in a thread of its own.

    Raises:
        StoreUnavailable: no thread can be started.
    """

    def __init__(self, open_it: Callable[[], Opened]) -> None:
        self._done = threading.Event()
        self._opened: Opened | None = None
        self._error: CacheError | None = None
        self._began = monotonic()
        self._ended = 0.0
        # Handed over, not stored: it refers to the owner of this object, and that would be a cycle.
        try:
            threading.Thread(target=self._run, args=(open_it,), name="tmdb-mongo-cache-open", daemon=True).start()
        except RuntimeError as error:  # no more threads, or one of the interpreters that have no daemon threads
            raise StoreUnavailable(f"MongoDB cannot be opened where no thread can be started: {error}") from error

    def _run(self, open_it: Callable[[], Opened]) -> None:
        try:
            self._opened = open_it()
        except CacheError as error:
            self._error = error
        except Exception as error:  # noqa: BLE001  raised by result()
            self._error = StoreUnavailable(f"MongoDB cannot be opened: {error or type(error).__name__}")
        finally:
            self._ended = monotonic()
            self._done.set()

    @property
    def is_under_way(self) -> bool:
        """Whether it has not ended."""
        return not self._done.is_set()

    @property
    def has_failed(self) -> bool:
        """Whether it has ended without a result."""
        return self._done.is_set() and self._opened is None

    @property
    def is_worth_repeating(self) -> bool:
        """Whether it failed longer than :data:`RETRY_AFTER` ago."""
        return self.has_failed and monotonic() - self._ended >= RETRY_AFTER

    def result(self, *, timeout: float | None) -> Opened:
        """Return what was opened.

        Args:
            timeout: seconds since it began for which it is waited for; None for no limit.

        Raises:
            StoreUnavailable: it is not open yet.
            CacheError: the opening failed.
        """
        self._done.wait(None if timeout is None else max(0.0, self._began + timeout - monotonic()))
        if self._opened is not None:
            return self._opened
        error = self._error
        if error is None:
            raise StoreUnavailable("MongoDB is still starting; calls are cached as soon as it is there")
        # A new error each time: one that is raised repeatedly collects tracebacks.
        raise type(error)(str(error))
