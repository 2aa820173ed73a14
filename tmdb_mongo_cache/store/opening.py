"""Opening the database beside the program, so that no call waits for a slow start longer than it should."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from time import monotonic
from typing import Generic, TypeVar

from ..errors import CacheError, StoreUnavailable

Opened = TypeVar("Opened")

PATIENCE = 5.0
"""Seconds the first call waits: the embedded server needs half a second, and a recovery some more."""

AGAIN_AFTER = 60.0
"""Seconds before an opening that failed is tried again."""


class Opening(Generic[Opened]):
    """One attempt to open something, in a thread of its own."""

    def __init__(self, open_it: Callable[[], Opened]) -> None:
        self._open_it = open_it
        self._done = threading.Event()
        self._opened: Opened | None = None
        self._error: CacheError | None = None
        self._ended = 0.0
        threading.Thread(target=self._run, name="tmdb-mongo-cache-open", daemon=True).start()

    def _run(self) -> None:
        try:
            self._opened = self._open_it()
        except CacheError as error:
            self._error = error
        except Exception as error:  # noqa: BLE001  it is raised where the result is wanted
            self._error = StoreUnavailable(f"MongoDB cannot be opened: {type(error).__name__}")
        self._ended = monotonic()
        self._done.set()

    @property
    def is_worth_repeating(self) -> bool:
        """Whether this has failed, some time ago."""
        return self._error is not None and monotonic() - self._ended >= AGAIN_AFTER

    def result(self, patience: float) -> Opened:
        """Return what was opened.

        Args:
            patience: seconds to wait for it.

        Raises:
            StoreUnavailable: it is not open yet.
            CacheError: the opening failed.
        """
        if not self._done.wait(None if math.isinf(patience) else patience) or self._opened is None:
            raise self._error or StoreUnavailable("MongoDB is still starting; calls are cached as soon as it is there")
        return self._opened
