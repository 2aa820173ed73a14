"""What one process counts."""

from __future__ import annotations

import threading
from typing import NamedTuple

from .forks import RenewedAfterFork


class CacheStats(NamedTuple):
    """Counts of calls since a cache was made, in this process.

    ``hits`` were answered from the cache while fresh, ``stale`` after that (TMDB
    failed, or the settings allow it), ``revalidated`` after a 304, ``misses`` by
    TMDB, ``collapsed`` by a call that another caller was making at that moment;
    ``straight`` were never the cache's business. ``stored`` counts answers
    written, ``failures`` calls that TMDB failed, ``store_errors`` operations
    that MongoDB failed.
    """

    hits: int = 0
    stale: int = 0
    revalidated: int = 0
    misses: int = 0
    collapsed: int = 0
    straight: int = 0
    stored: int = 0
    failures: int = 0
    store_errors: int = 0

    @property
    def calls(self) -> int:
        """All calls to TMDB that the program made."""
        return self.hits + self.stale + self.revalidated + self.misses + self.collapsed + self.straight

    @property
    def hit_ratio(self) -> float:
        """The share of cacheable calls answered from the cache, 0 to 1; 0 when there were none."""
        cacheable = self.calls - self.straight
        return (cacheable - self.misses) / cacheable if cacheable else 0.0


class Counters(RenewedAfterFork):
    """The counts while they grow; usable from many threads. A forked child goes on from its parent's."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self.after_fork()
        super().__init__()

    def after_fork(self) -> None:
        """Be free, whichever thread was counting in the parent."""
        self._lock = threading.RLock()

    def add(self, name: str) -> None:
        """Count one; ``name`` is a field of :class:`CacheStats`."""
        with self._lock:
            self._counts[name] = self._counts.get(name, 0) + 1

    def snapshot(self) -> CacheStats:
        """Return the counts of this moment."""
        with self._lock:
            return CacheStats(**self._counts)
