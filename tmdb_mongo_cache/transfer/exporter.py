"""Exporting TMDB's responses to a file that people can read and :mod:`.transfer.importer` imports."""

from __future__ import annotations

import logging
import os
import sys
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timezone
from os import PathLike
from typing import TYPE_CHECKING, BinaryIO

from ..core.clock import utcnow
from ..errors import ConfigError
from ..formatting import Progress, count_text, moment_text
from ..mongo.bulk import BulkAccess, Copy
from ..tmdb.endpoints import BY_ID
from . import file_format, partial_file, validation

if TYPE_CHECKING:
    from ..engine import Engine

logger = logging.getLogger("tmdb_mongo_cache")

_PROGRESS_INTERVAL = 100  # entries
_PAST = "past the time for which they may be stored"


class Exporter:
    """One export.

    ``count`` is the number of entries in the file, including those of an earlier
    attempt that it resumes. ``left_out`` is the number of entries that are not
    written, because an import would refuse them or they are past their time;
    ``reasons`` has the number for each reason. Both are of this attempt only.

    Args:
        engine: the cache.
        media_type: only responses of this type.
        progress: reports the progress.
        notice: is called with a sentence when an interrupted export is resumed, and for each reason why
            entries are left out; None: logs it.

    Raises:
        ConfigError: there is no such type.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        media_type: str | None = None,
        progress: Progress | None = None,
        notice: Callable[[str], None] | None = None,
    ) -> None:
        if media_type is not None and media_type not in BY_ID:
            raise ConfigError(f"media_type must be one of {', '.join(BY_ID)}, not {media_type!r}")
        self._engine, self._bulk = engine, BulkAccess(engine.store)
        self._type = media_type
        self._progress = progress
        self._notice, self._warn = notice or logger.info, notice or logger.warning
        self.count = 0
        self.reasons: Counter[str] = Counter()

    @property
    def left_out(self) -> int:
        """The number of entries that are not written."""
        return sum(self.reasons.values())

    def to_file(self, path: str | PathLike[str], *, force: bool = False) -> int:
        """Write a file, as ``FILE.part`` first, and return its number of entries.

        If ``FILE.part`` exists, resume after its last whole line.

        Raises:
            ConfigError: the file exists, or cannot be written.
            StoreError: MongoDB failed.
        """
        target = partial_file.target_of(path, force=force)
        part = target.with_name(f"{target.name}.part")
        identity = self._bulk.identity()
        with partial_file.writable(path), partial_file.exclusive(part) as file:
            partial = partial_file.resume(file, part, self._header(identity), known=identity is not None)
            if partial is not None:
                self.count = partial.entries
                ended = datetime.fromtimestamp(partial.ended, timezone.utc)
                self._notice(
                    f"resuming after {count_text(partial.entries, 'response')}: the export was interrupted at "
                    f"{moment_text(ended)}"
                )
            self._write(file, None if partial is None else partial.key)
            file.flush()
            os.fsync(file.fileno())  # before it is renamed: a power cut leaves either the whole file or FILE.part
            if sys.platform != "win32":
                os.replace(part, target)
        if sys.platform == "win32":
            with partial_file.writable(path):
                os.replace(part, target)
        return self.count

    def to_stream(self, stream: BinaryIO) -> None:
        """Write to a stream.

        Raises:
            OSError: it cannot be written.
            StoreError: MongoDB failed.
        """
        stream.write(self._header(self._bulk.identity()))
        self._write(stream, None)
        stream.flush()

    def _header(self, identity: str | None) -> bytes:
        config = self._engine.config
        return file_format.header_line(
            database=config.database, collection=config.collection, cache=identity, media_type=self._type
        )

    def _write(self, file: BinaryIO, after: str | None) -> None:
        progress = self._progress
        total = self._bulk.count(self._type) if progress is not None else 0
        try:
            for copy in self._bulk.read(after, self._type):
                why = why_left_out(copy, self._engine.hosts)
                if why:
                    self.reasons[why] += 1
                    continue
                file.write(file_format.to_line(copy))
                self.count += 1
                if progress is not None and self.count % _PROGRESS_INTERVAL == 0:
                    progress("exporting", self.count, total)
        finally:  # after an interruption as well: an export that resumes does not read these again
            for why, number in self.reasons.most_common():
                self._warn(f"{count_text(number, 'response')} left out: {why}")
        if progress is not None:
            progress("exporting", self.count, self.count)


def why_left_out(copy: Copy, hosts: frozenset[str]) -> str:
    """Return why an entry is not exported; empty if an import accepts it and it is not past its time."""
    now = utcnow()
    return _PAST if file_format.is_past(copy.entry, now) else validation.why_refused(copy, hosts, now)
