"""Writing TMDB's answers to a file, in a form that people can read and :mod:`.importing` takes back."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ..asking import utcnow
from ..errors import ConfigError
from ..store import locks
from ..tmdb import copies
from ..tmdb.copies import LONGEST_LINE, Copy
from ..tmdb.endpoints import BY_ID

if TYPE_CHECKING:
    from ..cache import TMDBCache

Progress = Callable[[str, int, int], None]

_TELL = 100
_CHUNK = 2**20


class Exporting:
    """One export; ``count`` is how many entries are written, those of an earlier attempt that it goes on from included.

    Args:
        cache: what is copied.
        media_type: only of this type.
        progress: is called with what is under way, how much of it is done, and of how much.

    Raises:
        ConfigError: there is no such type.
    """

    def __init__(self, cache: TMDBCache, *, media_type: str | None = None, progress: Progress | None = None) -> None:
        if media_type is not None and media_type not in BY_ID:
            raise ConfigError(f"media_type is one of {', '.join(BY_ID)}, not {media_type!r}")
        self._cache = cache
        self._type = media_type
        self._progress = progress
        config = cache.config
        self._header = copies.header_line(database=config.database, collection=config.collection, media_type=media_type)
        self.count = 0

    def to_file(self, path: str | PathLike[str], *, force: bool = False) -> None:
        """Write a file, by way of ``FILE.part``; where that is there, go on behind its last whole line.

        Raises:
            ConfigError: the file is there already, or cannot be written.
            StoreError: MongoDB failed.
        """
        target = Path(path)
        part = target.with_name(f"{target.name}.part")
        if target.is_dir():
            raise ConfigError(f"{target} is a folder: name a file in it")
        if target.exists() and not force:
            raise ConfigError(
                f"{target} is there already: name another file, or have it replaced (--force, force=True)"
            )
        with _writable(target), _alone(part) as file:
            after = self._resume(file, part)
            self._write(file, after)
            file.flush()
            os.fsync(file.fileno())  # before it gets its name: a power cut leaves all of it, or FILE.part
            if sys.platform != "win32":
                os.replace(part, target)
        if sys.platform == "win32":
            with _writable(target):
                os.replace(part, target)

    def to_stream(self, stream: BinaryIO) -> None:
        """Write to a stream.

        Raises:
            StoreError: MongoDB failed.
        """
        stream.write(self._header)
        self._write(stream, None)
        stream.flush()

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

    def _resume(self, file: BinaryIO, part: Path) -> str | None:
        """Cut off what is no whole line, and return the key of the last one; None for a file that begins anew."""
        first = file.readline(LONGEST_LINE)
        if not first.endswith(b"\n"):
            file.truncate(0)
            file.write(self._header)
            return None
        if first != self._header:
            raise ConfigError(f"{part} is there, of another export: delete it, or name another file")
        end = file.seek(0, os.SEEK_END)
        while True:
            start, line = _last_line(file, end)
            key = _key_of(line)
            if key is not None or start == 0:
                file.truncate(end)
                file.seek(0)
                self.count = sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(_CHUNK), b"")) - 1
                file.seek(0, os.SEEK_END)
                return key
            end = start


def is_exported(copy: Copy, hosts: frozenset[str]) -> bool:
    """Say whether an entry goes into a file: only what an import takes, and only while it may be kept."""
    now = utcnow()
    return not copies.is_past(copy.entry, now) and not copies.why_refused(copy, hosts, now)


def _last_line(file: BinaryIO, end: int) -> tuple[int, bytes]:
    """Return the last line before a position, and where it begins."""
    start, found = end, b""
    while start > 0:
        step = min(_CHUNK, start)
        file.seek(start - step)
        found = file.read(step) + found
        start -= step
        newline = found.rfind(b"\n", 0, len(found) - 1)
        if newline >= 0:
            return start + newline + 1, found[newline + 1 :]
    return 0, found


def _key_of(line: bytes) -> str | None:
    """Return the key of a whole line; None for one that was cut off, or that a power cut has left without its text."""
    try:
        return str(copies.from_line(line)["_id"]) if line.endswith(b"\n") else None
    except ValueError:
        return None


@contextmanager
def _writable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}") from None


@contextmanager
def _alone(part: Path) -> Iterator[BinaryIO]:
    """Open a file for appending that no other process is writing."""
    with open(part, "a+b") as file:
        file.seek(0)
        if sys.platform != "win32":
            # Renamed meanwhile: the other process has just come to its end.
            is_free = locks.lock(file.fileno(), exclusive=True)
            if not is_free or not part.exists() or not os.path.samestat(os.fstat(file.fileno()), part.stat()):
                raise ConfigError(f"another process is just writing {part}: wait for it, or name another file")
        yield file
