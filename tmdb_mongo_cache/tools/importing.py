"""Taking answers from a file that :mod:`.exporting` has written, or that a stranger has."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import datetime
from os import PathLike
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from ..asking import utcnow
from ..store import memory
from ..store.copying import Item, Seen, entry_of, item_of
from ..store.document import LARGEST
from ..tmdb import bodies, copies, policy, vetting
from ..tmdb.copies import Copy
from ..tmdb.entry import Reply
from ..tmdb.policy import CLOCKS_APART
from ..tmdb.rules import Policy
from .exporting import Progress
from .reading import entry_lines, opened

if TYPE_CHECKING:
    from ..cache import TMDBCache

_BATCH = 200
_ATTEMPTS = 10
"""Looks at what is there: more than programs that write the same keys at the same time make necessary."""

_BATCH_BYTES = 4 * 2**20

_MOST_VALUES = 2**20
"""Values in an answer: to read one takes up to a hundred bytes, for three in the file. TMDB's have some 50,000."""

_TOO_LARGE = "MongoDB cannot hold it"

_MOST_LISTED = 10_000
"""Refused lines that a report lists; a file may have a thousand millions, and each takes more memory than it has."""


class ImportReport(NamedTuple):
    """What became of the entries of a file.

    Attributes:
        imported: they are in the cache now.
        kept: the cache has the same answer, or a newer one.
        skipped: the time is over for which they may be kept.
        refused: the number of each line that is no entry which may be kept, and why; of the first ten thousand.
        unlisted: how many more lines were refused.
    """

    imported: int = 0
    kept: int = 0
    skipped: int = 0
    refused: tuple[tuple[int, str], ...] = ()
    unlisted: int = 0


class Importing:
    """One import; ``report`` says at any time how far it is.

    Args:
        cache: what the entries go into.
        progress: is called with what is under way, how much of it is done, and of how much.
        recording: keep each entry, and have it fresh, for as long as TMDB's terms allow.
    """

    def __init__(self, cache: TMDBCache, *, progress: Progress | None = None, recording: bool = False) -> None:
        self._cache = cache
        self._progress = progress
        self._recording = recording
        self._imported = self._kept = self._skipped = self._unlisted = 0
        self._refused: list[tuple[int, str]] = []

    @property
    def report(self) -> ImportReport:
        """What became of the lines so far."""
        return ImportReport(self._imported, self._kept, self._skipped, tuple(sorted(self._refused)), self._unlisted)

    def from_file(self, path: str | PathLike[str]) -> None:
        """Import a file.

        Raises:
            ConfigError: it cannot be read, or is no export.
            StoreError: MongoDB failed.
        """
        with opened(path) as file:
            self.from_stream(file, str(os.fspath(path)), os.fstat(file.fileno()).st_size)

    def from_stream(self, stream: BinaryIO, name: str, size: int = 0) -> None:
        """Import what a stream has; ``size`` is how many bytes that are, where it is known.

        Raises:
            ConfigError: it is no export.
            StoreError: MongoDB failed.
        """
        batch: dict[str, tuple[int, Copy]] = {}
        in_batch = done = 0
        for number, line in entry_lines(stream, name):
            copy, why = self._read(line)
            done, in_batch = done + len(line), in_batch + len(line)
            # Two lines with one key go one after the other, so that the newer one is there in the end.
            if len(batch) >= _BATCH or in_batch >= _BATCH_BYTES or (copy is not None and copy.entry.key in batch):
                self._store(batch)
                batch, in_batch = {}, 0
                self._tell(done, size)
            if copy is None:
                self._refuse(number, why)
            else:
                batch[copy.entry.key] = (number, copy)
        self._store(batch)
        self._tell(done, size)

    def _refuse(self, number: int, why: str) -> None:
        if len(self._refused) < _MOST_LISTED:
            self._refused.append((number, why))
        else:
            self._unlisted += 1

    def _tell(self, done: int, size: int) -> None:
        if self._progress is not None:
            self._progress("importing (kB)", done // 1000, size // 1000)

    def _read(self, line: bytes) -> tuple[Copy | None, str]:
        """Return the entry of a line, or why there is none that may be kept."""
        try:
            copy = entry_of(copies.from_line(line))
        except ValueError as error:
            return None, str(error)
        if copy is None:
            return None, "a field has a value that none can have"
        why = vetting.why_refused(copy, self._cache.hosts, utcnow())
        return (None, why) if why else (copy, "")

    def _store(self, batch: Mapping[str, tuple[int, Copy]]) -> None:
        now, copying = utcnow(), self._cache._store.copying
        wanted: dict[str, tuple[int, Copy]] = {}
        for key, (number, copy) in batch.items():
            if copies.is_past(copies.recorded(copy.entry) if self._recording else copy.entry, now):
                self._skipped += 1
            else:
                wanted[key] = (number, copy)
        items: dict[str, Item] = {}
        written = 0
        try:
            for _ in range(_ATTEMPTS if wanted else 0):
                seen = copying.seen([*wanted])
                newer = [key for key, (_, copy) in wanted.items() if _is_newer(copy, seen.get(key), now)]
                self._make_items(newer, wanted, items, now)
                writing = [items[key]._replace(seen=seen.get(key)) for key in newer if key in wanted]
                done = copying.write(writing)
                written += done
                # Somebody has written between the look and ours: whose is newer is to be seen by another look.
                if done == len(writing):
                    break
        finally:
            for key in items:
                memory.forget_key(key)
            self._cache.flow.forget_calls()
        self._imported += written
        self._kept += len(wanted) - written

    def _make_items(
        self, keys: Iterable[str], wanted: dict[str, tuple[int, Copy]], items: dict[str, Item], now: datetime
    ) -> None:
        """Make what is to be written for some keys; what is refused is wanted no longer."""
        for key in keys:
            if key in items:
                continue
            number, copy = wanted[key]
            item, why = self._item(copy, now)
            if item is None:
                self._refuse(number, why)
                del wanted[key]
            else:
                items[key] = item

    def _item(self, copy: Copy, now: datetime) -> tuple[Item | None, str]:
        """Return what is to be written for an entry, or why nothing is."""
        if self._recording:
            copy = Copy(copies.recorded(copy.entry))
        entry = copy.entry
        call = vetting.call_of(entry, self._cache.hosts)
        if call is None:
            return None, "its key is none of TMDB's"
        if len(entry.body) > LARGEST:
            return None, _TOO_LARGE
        if len(entry.body) > _MOST_VALUES and bodies.most_values(entry.body) > _MOST_VALUES:
            return None, "more values in its answer than any of TMDB's has"
        reply = Reply(status=entry.status, body=entry.body, url=entry.url, history=entry.history)
        judged = policy.judge(reply, call.ask, None, Policy(), False, now)
        if judged.verdict is not policy.Verdict.STORE:
            return None, f"its answer is none that is kept: {judged.why}"
        labelled = vetting.labelled(entry, call, judged.data)
        item = item_of(copy._replace(entry=labelled), judged.data, None)
        return item, "" if item is not None else _TOO_LARGE


def _is_newer(copy: Copy, seen: Seen | None, now: datetime) -> bool:
    """Say whether an entry is to take the place of what is there."""
    if seen is None or seen.fetched is None or seen.fetched > now + CLOCKS_APART:
        return True
    return copy.fetched > seen.fetched or seen.purge_at is None or seen.purge_at <= now
