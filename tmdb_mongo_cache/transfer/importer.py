"""Importing responses from a file that :mod:`.transfer.exporter`, or a stranger, has written."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from os import PathLike
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from ..core import memory, policy
from ..core.clock import utcnow
from ..core.policy import CLOCKS_APART
from ..core.settings import Policy
from ..errors import ConfigError
from ..formatting import Progress
from ..httpcache import json_body
from ..httpcache.models import Entry, Reply
from ..mongo.bulk import BulkAccess, Copy, Item, Seen, entry_of, item_of
from ..mongo.document import LARGEST
from . import file_format, validation
from .file_format import FORMAT, LONGEST_LINE, VERSION

if TYPE_CHECKING:
    from ..engine import Engine

_HEADER = f'{{"{FORMAT}"'.encode()
_LONGEST_HEADER = 10_000

_BATCH = 200
_ATTEMPTS = 10
"""Attempts per batch: more than programs that write the same keys concurrently make necessary."""

_BATCH_BYTES = 4 * 2**20

_MOST_VALUES = 2**20
"""Values in a response. Parsing one takes up to a hundred bytes for three in the file; TMDB's have some 50,000."""

_TOO_LARGE = "MongoDB cannot hold it"

_MOST_LISTED = 10_000
"""Refused lines in a report: a file may have a thousand million, each of which takes more memory than its line."""


class ImportReport(NamedTuple):
    """The result of an import.

    Attributes:
        imported: entries that are in the cache now.
        kept: entries of which the cache has the same response, or a newer one.
        skipped: entries past the time for which they may be stored.
        refused: the number of each refused line, and why; the first ten thousand.
        unlisted: how many more lines were refused.
    """

    imported: int = 0
    kept: int = 0
    skipped: int = 0
    refused: tuple[tuple[int, str], ...] = ()
    unlisted: int = 0


class Importer:
    """One import; ``report`` is its state.

    Args:
        engine: the cache.
        progress: reports the progress.
        recording: store each entry, and keep it fresh, for as long as TMDB's terms allow.
    """

    def __init__(self, engine: Engine, *, progress: Progress | None = None, recording: bool = False) -> None:
        self._engine = engine
        self._progress = progress or (lambda *_: None)
        self._recording = recording
        self._imported = self._kept = self._skipped = self._unlisted = 0
        self._refused: list[tuple[int, str]] = []

    @property
    def report(self) -> ImportReport:
        """The result so far."""
        return ImportReport(self._imported, self._kept, self._skipped, tuple(sorted(self._refused)), self._unlisted)

    def from_file(self, path: str | PathLike[str]) -> ImportReport:
        """Import a file and return the result.

        Raises:
            ConfigError: it cannot be read, or is not an export.
            StoreError: MongoDB failed.
        """
        with opened(path) as file:
            self.from_stream(file, str(os.fspath(path)), os.fstat(file.fileno()).st_size)
        return self.report

    def from_stream(self, stream: BinaryIO, name: str, size: int = 0) -> None:
        """Import from a stream; ``size`` is its number of bytes, if known.

        Raises:
            ConfigError: it is not an export.
            StoreError: MongoDB failed.
        """
        batch: dict[str, tuple[int, Copy]] = {}
        in_batch = done = 0
        for number, line in entry_lines(stream, name):
            copy, why = self._read(line)
            done, in_batch = done + len(line), in_batch + len(line)
            # Two lines with one key are in different batches, so that the newer one wins.
            if len(batch) >= _BATCH or in_batch >= _BATCH_BYTES or (copy is not None and copy.entry.key in batch):
                self._store(batch)
                batch, in_batch = {}, 0
                self._progress("importing (kB)", done // 1000, size // 1000)
            if copy is None:
                self._refuse(number, why)
            else:
                batch[copy.entry.key] = (number, copy)
        self._store(batch)
        self._progress("importing (kB)", done // 1000, size // 1000)

    def _refuse(self, number: int, why: str) -> None:
        if len(self._refused) < _MOST_LISTED:
            self._refused.append((number, why))
        else:
            self._unlisted += 1

    def _read(self, line: bytes) -> tuple[Copy | None, str]:
        """Return the entry of a line, or why it is refused."""
        try:
            copy = entry_of(file_format.from_line(line))
        except ValueError as error:
            return None, str(error)
        if copy is None:
            return None, "a field has an invalid value"
        why = validation.why_refused(copy, self._engine.hosts, utcnow())
        return (None, why) if why else (copy, "")

    def _store(self, batch: Mapping[str, tuple[int, Copy]]) -> None:
        now, bulk = utcnow(), BulkAccess(self._engine.store)
        wanted = {key: line for key, line in batch.items() if not self._is_past(line[1].entry, now)}
        self._skipped += len(batch) - len(wanted)
        items: dict[str, Item] = {}
        written = 0
        try:
            for _ in range(_ATTEMPTS if wanted else 0):
                seen = bulk.seen([*wanted])
                newer = [key for key, (_, copy) in wanted.items() if _is_newer(copy, seen.get(key), now)]
                self._make_items(newer, wanted, items, now)
                writing = [items[key]._replace(seen=seen.get(key)) for key in newer if key in wanted]
                done = bulk.write(writing)
                written += done
                # Another process has written in between: compare again which one is newer.
                if done == len(writing):
                    break
        finally:
            for key in items:
                memory.forget_key(key)
            self._engine.core.forget_in_flight()
        self._imported += written
        self._kept += len(wanted) - written

    def _is_past(self, entry: Entry, now: datetime) -> bool:
        return file_format.is_past(file_format.recorded(entry) if self._recording else entry, now)

    def _make_items(
        self, keys: Iterable[str], wanted: dict[str, tuple[int, Copy]], items: dict[str, Item], now: datetime
    ) -> None:
        """Make the documents of some keys; remove what is refused from ``wanted``."""
        for key in keys:
            if key in items:
                continue
            number, copy = wanted[key]
            try:
                items[key] = self._item(copy, now)
            except ValueError as error:
                self._refuse(number, str(error))
                del wanted[key]

    def _item(self, copy: Copy, now: datetime) -> Item:
        """Return the document of an entry; raise a ``ValueError`` that says why it is refused."""
        if self._recording:
            copy = Copy(file_format.recorded(copy.entry))
        entry = copy.entry
        call = validation.call_of(entry, self._engine.hosts)
        if call is None:
            raise ValueError("its key is not a TMDB key")
        if len(entry.body) > LARGEST:
            raise ValueError(_TOO_LARGE)
        if len(entry.body) > _MOST_VALUES and json_body.most_values(entry.body) > _MOST_VALUES:
            raise ValueError("more values in its response than TMDB sends")
        reply = Reply(status=entry.status, body=entry.body, url=entry.url, history=entry.history)
        judged = policy.judge(reply, call.request, None, Policy(), False, now)
        if judged.verdict is not policy.Verdict.STORE:
            raise ValueError(f"its response cannot be cached: {judged.why}")
        labelled = validation.labelled(entry, call, judged.data)
        item = item_of(copy._replace(entry=labelled), judged.data, None)
        if item is None:
            raise ValueError(_TOO_LARGE)
        return item


def _is_newer(copy: Copy, seen: Seen | None, now: datetime) -> bool:
    """Return whether an entry replaces the stored one."""
    if seen is None or seen.fetched is None or seen.fetched > now + CLOCKS_APART:
        return True
    return copy.fetched > seen.fetched or seen.purge_at is None or seen.purge_at <= now


def opened(path: str | PathLike[str]) -> BinaryIO:
    """Open a file for reading.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return open(path, "rb")
    except OSError as error:
        raise ConfigError(f"cannot read {os.fspath(path)}: {error.strerror or error}") from None


def entry_lines(stream: BinaryIO, name: str) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of an export after its header, with their numbers; a line that is too long is truncated.

    Raises:
        ConfigError: it is not an export, or one of a newer version.
    """
    number = 0
    for number, line in enumerate(_lines(stream, name), start=1):
        may_be_header = number == 1 or line.startswith(_HEADER)
        version = file_format.version_of(line) if may_be_header and len(line) < _LONGEST_HEADER else None
        if version is None and number == 1:
            raise ConfigError(f"{name} is not an export of tmdb-mongo-cache: its first line does not say so")
        if version is not None and version > VERSION:
            raise ConfigError(f"{name} was written by a newer {FORMAT} (format {version}): upgrade")
        if version is None and line.strip():  # a header further down is that of another file, appended to the first
            yield number, line
    if number == 0:
        raise ConfigError(f"{name} is empty, and not an export of tmdb-mongo-cache")


def _lines(stream: BinaryIO, name: str) -> Iterator[bytes]:
    is_rest = False  # of a line that is too long
    try:
        while line := stream.readline(LONGEST_LINE + 1):
            if not is_rest:
                yield line
            is_rest = len(line) > LONGEST_LINE and not line.endswith(b"\n")
    except OSError as error:
        raise ConfigError(f"cannot read {name} to its end: {error.strerror or error}") from None
