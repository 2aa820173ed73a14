"""The memory tier in front of MongoDB: entries for some seconds, bounded by bytes.

An invalidation through one cache of a process reaches the memory tiers of all:
several may be open on the same collection, and one entry too many costs a lookup only.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Collection, Sequence
from sys import getsizeof
from typing import Any, NamedTuple

from cachetools import Cache, TTLCache

from ..fork import ForkSafeLock, RenewedAfterFork
from ..httpcache.models import Entry, Hop
from ..tmdb.invalidation import Touched

_SLOTS = 1024

# Measured (tracemalloc, Python 3.11): the overhead besides characters and bodies.
_ENTRY_BYTES = 700
_PART_BYTES = 150
_TEXT_BYTES = 50


class Moment(NamedTuple):
    """The counts of invalidations when a lookup began; see :meth:`Memory.put`."""

    everything: int
    key: int


class Memory(RenewedAfterFork):
    """Entries by key; usable from many threads. A forked child starts with an empty one.

    Args:
        seconds: how long an entry is held.
        max_bytes: what all entries together may take; the least recently used are dropped first.
    """

    def __init__(self, seconds: float, max_bytes: int) -> None:
        self._seconds = seconds
        self._max_bytes = max_bytes
        self._closed = False
        self.after_fork()
        super().__init__()
        _add(self)

    def after_fork(self) -> None:
        """Start empty in a forked child: another thread may have been in the middle of a change."""
        self._lock = threading.RLock()
        self._kept: TTLCache[str, Entry] = TTLCache(self._max_bytes, self._seconds, getsizeof=size_of)
        # Invalidations counted: of everything, and of keys by their hash.
        self._everything = 0
        self._slots = [0] * _SLOTS

    def get(self, key: str) -> Entry | None:
        """Return the entry of a key."""
        with self._lock:
            try:
                return self._kept[key]
            except KeyError:
                return None

    def moment(self, key: str) -> Moment:
        """Return the state before a lookup, for :meth:`put`."""
        return Moment(self._everything, self._slots[hash(key) % _SLOTS])

    def put(self, entry: Entry, since: Moment) -> None:
        """Hold an entry that was looked up, unless its key was invalidated or stored since before the lookup."""
        with self._lock:
            if since == self.moment(entry.key) and not self._closed:
                try:
                    self._kept[entry.key] = entry
                except ValueError:  # larger than the whole tier
                    self._kept.pop(entry.key, None)

    def store(self, entry: Entry, since: Moment) -> None:
        """Hold an entry that has just been stored; lookups under way do not replace it.

        Where its key was invalidated or stored by others since before the fetch, it is not
        known which entry is the latest: the next lookup goes to MongoDB.
        """
        with self._lock:
            unchanged = since == self.moment(entry.key)
            self.forget(entry.key)
            if unchanged:
                self.put(entry, self.moment(entry.key))

    def forget(self, key: str) -> None:
        """Drop the entry of a key."""
        with self._lock:
            self._slots[hash(key) % _SLOTS] += 1
            self._kept.pop(key, None)

    def forget_all(self, matching: Callable[[Entry], bool] | None = None) -> None:
        """Drop everything, or the entries that match."""
        with self._lock:
            self._everything += 1
            if matching is None:
                self._kept.clear()
            else:
                # By the base class: this does not count as a use.
                found = [key for key in self._kept if matching(Cache.__getitem__(self._kept, key))]
                for key in found:
                    self._kept.pop(key, None)

    def close(self) -> None:
        """Drop everything, and hold nothing from now on."""
        with self._lock:
            self._closed = True
            self.forget_all()

    @property
    def bytes(self) -> int:
        """The estimated size of all entries."""
        with self._lock:
            return int(self._kept.currsize)


_tiers: tuple[weakref.ref[Memory], ...] = ()
_tiers_lock = ForkSafeLock()


def _add(tier: Memory) -> None:
    global _tiers
    with _tiers_lock:
        _tiers = (*(ref for ref in _tiers if ref() is not None), weakref.ref(tier, _remove))


def _remove(gone: weakref.ref[Memory]) -> None:
    global _tiers
    with _tiers_lock:
        _tiers = tuple(ref for ref in _tiers if ref is not gone)


def _all_tiers() -> list[Memory]:
    return [tier for ref in _tiers if (tier := ref()) is not None]


def forget_key(key: object, *, but: Memory | None = None) -> None:
    """Drop a key from every tier of this process.

    Args:
        key: of the entry; an ``_id`` of another type is ignored.
        but: the tier that has the new entry.
    """
    if type(key) is not str:  # nor a bson.Code, which is a string that cannot be hashed
        return
    for tier in _all_tiers():
        if tier is not but:
            tier.forget(key)


def forget_titles(media_type: str, ids: Collection[Any]) -> None:
    """Drop all entries about some titles, people or other things from every tier of this process."""
    for tier in _all_tiers():
        tier.forget_all(lambda entry: entry.media_type == media_type and entry.tmdb_id in ids)


def forget_touched(touched: Sequence[Touched]) -> None:
    """Drop from every tier the entries that a write has touched."""

    def matches(entry: Entry) -> bool:
        about = (entry.endpoint, entry.media_type, entry.tmdb_id)
        return any(item.holds(entry.key, about) for item in touched)

    for tier in _all_tiers():
        tier.forget_all(matches)


def forget_everything() -> None:
    """Empty every tier of this process."""
    for tier in _all_tiers():
        tier.forget_all()


def size_of(entry: Entry) -> int:
    """Return the size of an entry in memory, in bytes, with all it refers to and its slot in the tier."""
    labels = (entry.key, entry.media_type, entry.endpoint, entry.tmdb_id)
    size = _ENTRY_BYTES + _size_of_part(entry, [label for label in labels if type(label) is str])
    return size + sum(_size_of_part(hop, []) for hop in entry.history)


def _size_of_part(part: Entry | Hop, more: list[str]) -> int:
    headers = part.headers
    texts = [*more, part.reason, part.url or "", *headers, *headers.values()]
    joined = "".join(texts)
    # Other characters take up to four bytes each, all as many as the largest of their text.
    size = len(joined) + _TEXT_BYTES * len(texts) if joined.isascii() else sum(map(getsizeof, texts))
    return size + getsizeof(headers) + len(part.body) + _PART_BYTES
