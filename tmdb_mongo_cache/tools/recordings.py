"""Recordings: the answers that a project's tests need, in a file that :mod:`.exporting` could have written."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..asking import utcnow
from ..errors import ConfigError
from ..store.copying import entry_of
from ..tmdb import copies
from ..tmdb.expiration import LONGEST
from .exporting import is_exported
from .importing import Importing
from .reading import entry_lines, opened

if TYPE_CHECKING:
    from ..cache import TMDBCache


class _Line(NamedTuple):
    """A line as it is in the file, and when TMDB sent or confirmed its answer."""

    text: bytes
    fetched: datetime


class Recording:
    """A recording, and the cache of one test.

    Args:
        path: the file.
        cache: empty yet.
        again: how it is recorded, for people.
    """

    def __init__(self, path: Path, cache: TMDBCache, again: str) -> None:
        self._path = path
        self._cache = cache
        self._again = again
        self._lines: dict[str, _Line] = {}

    def play(self) -> None:
        """Fill the cache.

        Raises:
            ConfigError: there is no such file, or there is something in it that must not be served.
            StoreError: MongoDB failed.
        """
        if not self._path.exists():
            raise ConfigError(f"the recording {self._path} is not there: record it with {self._again}")
        if self._load():
            raise ConfigError(
                f"the recording {self._path} has answers of more than {LONGEST.days} days ago, and TMDB's terms do not "
                f"allow keeping them for longer: record them again with {self._again}"
            )

    def begin(self) -> None:
        """Fill the cache as far as there is something, to be gone on with; what is too old is left out.

        Raises:
            ConfigError: there is something in the file that must not be served.
            StoreError: MongoDB failed.
        """
        if not self._path.exists():
            return
        self._load()
        now = utcnow()
        with opened(self._path) as file:
            for _, line in entry_lines(file, str(self._path)):
                copy = entry_of(copies.from_line(line))
                if copy is not None and not copies.is_past(copies.recorded(copy.entry), now):
                    self._lines[copy.entry.key] = _Line(line, copy.fetched)

    def save(self) -> int:
        """Write what has come in; what was there stays as it is, to the letter. Return how many answers are new.

        Raises:
            ConfigError: the file cannot be written.
            StoreError: MongoDB failed.
        """
        new = 0
        for copy in self._cache._store.copying.read():
            before = self._lines.get(copy.entry.key)
            if is_exported(copy, self._cache.hosts) and (before is None or before.fetched < copy.fetched):
                self._lines[copy.entry.key] = _Line(copies.to_line(copy), copy.fetched)
                new += 1
        if new:
            self._write()
        return new

    def _load(self) -> int:
        """Take the file into the cache; return how many of its answers are too old."""
        importing = Importing(self._cache, recording=True)
        importing.from_file(self._path)
        report = importing.report
        if report.refused:
            number, why = report.refused[0]
            raise ConfigError(f"the recording {self._path}, line {number}: {why}")
        return report.skipped

    def _write(self) -> None:
        part = self._path.with_name(f"{self._path.name}.new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with open(part, "wb") as file:
                file.write(copies.header_line())
                for _, line in sorted(self._lines.items()):
                    file.write(line.text.rstrip(b"\r\n") + b"\n")
            os.replace(part, self._path)
        except OSError as error:
            raise ConfigError(f"{self._path} cannot be written: {error.strerror or error}") from None
