"""Writing TMDB's answers to a file, in a form that people can read and :mod:`.importing` takes back."""

from __future__ import annotations

import logging
import os
import sys
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timezone
from os import PathLike
from typing import TYPE_CHECKING, BinaryIO

from ..asking import utcnow
from ..errors import ConfigError
from ..tmdb import copies, vetting
from ..tmdb.copies import Copy
from ..tmdb.endpoints import BY_ID
from . import unfinished

if TYPE_CHECKING:
    from ..cache import TMDBCache

logger = logging.getLogger("tmdb_mongo_cache")

Progress = Callable[[str, int, int], None]

_TELL = 100
_PAST = "the time is over for which they may be kept"


class Exporting:
    """One export.

    ``count`` is how many entries are written, those of an earlier attempt that it
    goes on from included. ``left_out`` is how many are not, for an import would
    not take them, or because the time is over for which they may be kept;
    ``reasons`` says how many for which reason. Both are of this attempt alone.

    Args:
        cache: what is copied.
        media_type: only of this type.
        progress: is called with what is under way, how much of it is done, and of how much.
        notice: is called with a sentence, where an interrupted export is gone on with, and for each reason why
            something is left out; None: it is logged.

    Raises:
        ConfigError: there is no such type.
    """

    def __init__(
        self,
        cache: TMDBCache,
        *,
        media_type: str | None = None,
        progress: Progress | None = None,
        notice: Callable[[str], None] | None = None,
    ) -> None:
        if media_type is not None and media_type not in BY_ID:
            raise ConfigError(f"media_type is one of {', '.join(BY_ID)}, not {media_type!r}")
        self._cache = cache
        self._type = media_type
        self._progress = progress
        self._notice, self._warn = notice or logger.info, notice or logger.warning
        self.count = 0
        self.reasons: Counter[str] = Counter()

    @property
    def left_out(self) -> int:
        """How many entries are not written."""
        return sum(self.reasons.values())

    def to_file(self, path: str | PathLike[str], *, force: bool = False) -> None:
        """Write a file, by way of ``FILE.part``; where that is there, go on behind its last whole line.

        Raises:
            ConfigError: the file is there already, or cannot be written.
            StoreError: MongoDB failed.
        """
        target = unfinished.target_of(path, force=force)
        part = target.with_name(f"{target.name}.part")
        identity = self._cache._store.copying.identity()
        with unfinished.writable(path), unfinished.alone(part) as file:
            left = unfinished.take_up(file, part, self._header(identity), known=identity is not None)
            if left is not None:
                self.count = left.entries
                ended = datetime.fromtimestamp(left.ended, timezone.utc)
                self._notice(
                    f"going on behind {_answers(left.entries)} of an export that was interrupted at "
                    f"{ended:%Y-%m-%d %H:%M:%S} UTC"
                )
            self._write(file, None if left is None else left.key)
            file.flush()
            os.fsync(file.fileno())  # before it gets its name: a power cut leaves all of it, or FILE.part
            if sys.platform != "win32":
                os.replace(part, target)
        if sys.platform == "win32":
            with unfinished.writable(path):
                os.replace(part, target)

    def to_stream(self, stream: BinaryIO) -> None:
        """Write to a stream.

        Raises:
            OSError: it cannot be written.
            StoreError: MongoDB failed.
        """
        stream.write(self._header(self._cache._store.copying.identity()))
        self._write(stream, None)
        stream.flush()

    def _header(self, identity: str | None) -> bytes:
        config = self._cache.config
        return copies.header_line(
            database=config.database, collection=config.collection, cache=identity, media_type=self._type
        )

    def _write(self, file: BinaryIO, after: str | None) -> None:
        copying, tell = self._cache._store.copying, self._progress
        total = copying.count(self._type) if tell is not None else 0
        try:
            for copy in copying.read(after, self._type):
                why = why_left_out(copy, self._cache.hosts)
                if why:
                    self.reasons[why] += 1
                    continue
                file.write(copies.to_line(copy))
                self.count += 1
                if tell is not None and self.count % _TELL == 0:
                    tell("exporting", self.count, total)
        finally:  # after an interruption as well: who goes on does not come by these again
            for why, number in self.reasons.most_common():
                self._warn(f"{_answers(number)} left out: {why}")
        if tell is not None:
            tell("exporting", self.count, self.count)


def why_left_out(copy: Copy, hosts: frozenset[str]) -> str:
    """Say why an entry does not go into a file; empty for what an import takes, while it may be kept."""
    now = utcnow()
    return _PAST if copies.is_past(copy.entry, now) else vetting.why_refused(copy, hosts, now)


def is_exported(copy: Copy, hosts: frozenset[str]) -> bool:
    """Say whether an entry goes into a file."""
    return not why_left_out(copy, hosts)


def _answers(number: int) -> str:
    return f"{number} answer{'' if number == 1 else 's'}"
