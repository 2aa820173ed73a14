"""Recordings: the responses that a project's tests need, in a file in the format of :mod:`.transfer.exporter`."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..core.clock import utcnow
from ..errors import ConfigError
from ..httpcache.expiration import LONGEST
from ..mongo.bulk import BulkAccess, entry_of
from ..transfer import file_format
from ..transfer.exporter import why_left_out
from ..transfer.importer import Importer, entry_lines, opened

if TYPE_CHECKING:
    from ..cache import TMDBCache


class _Line(NamedTuple):
    """A line of the file, and when TMDB sent or revalidated its response."""

    text: bytes
    fetched: datetime


class Recording:
    """A recording, and the cache of one test.

    Args:
        path: the file.
        cache: an empty cache.
        command: the command that records, for error texts.
    """

    def __init__(self, path: Path, cache: TMDBCache, command: str) -> None:
        self._path = path
        self._cache = cache
        self._command = command
        self._lines: dict[str, _Line] = {}

    def play(self) -> None:
        """Fill the cache.

        Raises:
            ConfigError: there is no such file, or an entry in it must not be served.
            StoreError: MongoDB failed.
        """
        if not self._path.exists():
            raise ConfigError(f"the recording {self._path} does not exist: record it with {self._command}")
        if self._load():
            raise ConfigError(
                f"the recording {self._path} has responses that are older than {LONGEST.days} days, which TMDB's terms "
                f"do not allow: record them again with {self._command}"
            )

    def begin(self) -> None:
        """Fill the cache from the file, if it exists, to record what is missing; old entries are left out.

        Raises:
            ConfigError: an entry in the file must not be served.
            StoreError: MongoDB failed.
        """
        if not self._path.exists():
            return
        self._load()
        now = utcnow()
        with opened(self._path) as file:
            for _, line in entry_lines(file, str(self._path)):
                copy = entry_of(file_format.from_line(line))
                if copy is not None and not file_format.is_past(file_format.recorded(copy.entry), now):
                    self._lines[copy.entry.key] = _Line(line, copy.fetched)

    def save(self) -> int:
        """Write the new responses, and the existing lines unchanged; return the number of new ones.

        Raises:
            ConfigError: the file cannot be written.
            StoreError: MongoDB failed.
        """
        new = 0
        for copy in BulkAccess(self._cache.engine.store).read():
            before = self._lines.get(copy.entry.key)
            if not why_left_out(copy, self._cache.engine.hosts) and (before is None or before.fetched < copy.fetched):
                self._lines[copy.entry.key] = _Line(file_format.to_line(copy), copy.fetched)
                new += 1
        if new:
            self._write()
        return new

    def _load(self) -> int:
        """Import the file into the cache; return how many of its responses are too old."""
        importer = Importer(self._cache.engine, recording=True)
        importer.from_file(self._path)
        report = importer.report
        if report.refused:
            number, why = report.refused[0]
            raise ConfigError(f"the recording {self._path}, line {number}: {why}")
        return report.skipped

    def _write(self) -> None:
        part = self._path.with_name(f"{self._path.name}.new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with open(part, "wb") as file:
                file.write(file_format.header_line())
                for _, line in sorted(self._lines.items()):
                    file.write(line.text.rstrip(b"\r\n") + b"\n")
            os.replace(part, self._path)
        except OSError as error:
            raise ConfigError(f"{self._path} cannot be written: {error.strerror or error}") from None
