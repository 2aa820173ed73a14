"""Writing TMDB's answers to a file, in a form that people can read and :mod:`.importing` takes back."""

from __future__ import annotations

import logging
import os
import sys
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


class Exporting:
    """One export; ``count`` is how many entries are written, those of an earlier attempt that it goes on from included.

    Args:
        cache: what is copied.
        media_type: only of this type.
        progress: is called with what is under way, how much of it is done, and of how much.
        notice: is called with a sentence, where an interrupted export is gone on with; None: it is logged.

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
        self._notice = notice or logger.info
        self.count = 0

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
                answers = f"{left.entries} answer{'' if left.entries == 1 else 's'}"
                self._notice(
                    f"going on behind {answers} of an export that was interrupted at {ended:%Y-%m-%d %H:%M:%S} UTC"
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
        for copy in copying.read(after, self._type):
            if is_exported(copy, self._cache.hosts):
                file.write(copies.to_line(copy))
                self.count += 1
            if tell is not None and self.count % _TELL == 0:
                tell("exporting", self.count, total)
        if tell is not None:
            tell("exporting", self.count, self.count)


def is_exported(copy: Copy, hosts: frozenset[str]) -> bool:
    """Say whether an entry goes into a file: only what an import takes, and only while it may be kept."""
    now = utcnow()
    return not copies.is_past(copy.entry, now) and not vetting.why_refused(copy, hosts, now)
