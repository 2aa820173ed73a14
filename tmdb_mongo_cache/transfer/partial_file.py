"""``FILE.part``: an export in progress, or one that was interrupted."""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import BinaryIO, NamedTuple

from ..errors import ConfigError
from ..mongo.embedded import locks
from . import file_format
from .file_format import LONGEST_LINE

_CHUNK = 2**20
_DAY = 86400.0
"""Seconds for which an export can be resumed: its entries are older than the rest of the cache."""


class Partial(NamedTuple):
    """An interrupted export: its last key, its number of entries, and when it ended (seconds since the epoch)."""

    key: str
    entries: int
    ended: float


def target_of(path: str | PathLike[str], *, force: bool) -> Path:
    """Return the file to write; the target of a symbolic link, which is not replaced.

    Raises:
        ConfigError: there is something that must not be replaced.
    """
    with writable(path):
        target = Path(os.path.realpath(path))
        try:
            mode = target.lstat().st_mode
        except FileNotFoundError:
            return target
    if stat.S_ISDIR(mode):
        raise ConfigError(f"{path} is a directory: name a file in it")
    if not stat.S_ISREG(mode):
        raise ConfigError(
            f"{path} is not a regular file and is not replaced: name another file (on the command line, '-')"
        )
    if not force:
        raise ConfigError(f"{path} exists: name another file, or overwrite it (--force, force=True)")
    return target


@contextmanager
def exclusive(part: Path) -> Iterator[BinaryIO]:
    """Open a file for appending that no other process is writing.

    Raises:
        ConfigError: another process is, or it is not a regular file.
    """
    if os.path.lexists(part) and not stat.S_ISREG(part.lstat().st_mode):
        raise ConfigError(f"{part} exists and is not a regular file: remove it, or name another file")
    with open(part, "a+b") as file:
        file.seek(0)
        if sys.platform != "win32":
            # It may have been renamed meanwhile, by another process that has just finished.
            is_free = locks.lock(file.fileno(), exclusive=True)
            if not is_free or not part.exists() or not os.path.samestat(os.fstat(file.fileno()), part.stat()):
                raise ConfigError(f"another process is writing {part}: wait for it, or name another file")
        yield file


def resume(file: BinaryIO, part: Path, header: bytes, *, known: bool) -> Partial | None:
    """Truncate the file to whole lines and return what it has; None for one that starts again, with its header.

    Args:
        file: as :func:`exclusive` opens it.
        part: its name.
        header: the first line of this export.
        known: whether the header identifies this cache; without that an export starts again.

    Raises:
        ConfigError: the file belongs to another export, or to another program.
    """
    ended = os.fstat(file.fileno()).st_mtime
    first = file.readline(LONGEST_LINE)
    if first != header:
        # Only a file that an interruption of this export can have left is overwritten.
        if not header.startswith(first):
            raise ConfigError(f"{part} belongs to another export or program: delete it, or name another file")
    elif known and abs(time.time() - ended) < _DAY:
        key = _truncate(file)
        if key is not None:
            file.seek(0)
            lines = sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(_CHUNK), b""))
            file.seek(0, os.SEEK_END)
            return Partial(key, lines - 1, ended)
    file.truncate(0)
    file.seek(0)
    file.write(header)
    return None


def _truncate(file: BinaryIO) -> str | None:
    """Truncate a file after its last whole entry and return the key of that; None if there is none."""
    end = file.seek(0, os.SEEK_END)
    while end > 0:
        start, line = _last_line(file, end)
        key = _key_of(line)
        if key is not None:
            file.truncate(end)
            return key
        end = start
    return None


def _last_line(file: BinaryIO, end: int) -> tuple[int, bytes]:
    """Return where the last line before a position begins, and the line; empty if it is longer than any entry."""
    start, chunks = end, list[bytes]()
    while start > 0:
        step = min(_CHUNK, start)
        start -= step
        file.seek(start)
        chunk = file.read(step)
        newline = chunk.rfind(b"\n", 0, min(step, end - start - 1))  # not the one that ends the line
        if newline >= 0:
            start += newline + 1
            chunk = chunk[newline + 1 :]
        chunks = [chunk, *chunks] if end - start <= LONGEST_LINE else []
        if newline >= 0:
            break
    return start, b"".join(chunks)


def _key_of(line: bytes) -> str | None:
    """Return the key of a whole line; None for one that is truncated or was left empty by a power cut."""
    try:
        return str(file_format.from_line(line)["_id"]) if line.endswith(b"\n") else None
    except ValueError:
        return None


@contextmanager
def writable(path: str | PathLike[str]) -> Iterator[None]:
    """Turn errors of writing a file into one sentence.

    Raises:
        ConfigError: it cannot.
    """
    try:
        yield
    except OSError as error:
        raise ConfigError(f"cannot write {os.fspath(path)}: {error.strerror or error}") from None
