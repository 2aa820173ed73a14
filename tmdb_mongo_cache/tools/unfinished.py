"""``FILE.part``: an export that is under way, or that was interrupted."""

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
from ..store import locks
from ..tmdb import copies
from ..tmdb.copies import LONGEST_LINE

_CHUNK = 2**20
_DAY = 86400.0
"""Seconds for which an export can be gone on with: what is in it of the cache is older than the rest."""


class Left(NamedTuple):
    """What an interrupted export has left: its last key, how many entries, and when it ended (seconds of the epoch)."""

    key: str
    entries: int
    ended: float


def target_of(path: str | PathLike[str], *, force: bool) -> Path:
    """Return the file that is to be written; where a link leads, for the link is to stay.

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
        raise ConfigError(f"{path} is a folder: name a file in it")
    if not stat.S_ISREG(mode):
        raise ConfigError(
            f"{path} is no regular file and is not replaced: name another file (on the command line, '-')"
        )
    if not force:
        raise ConfigError(f"{path} is there already: name another file, or have it replaced (--force, force=True)")
    return target


@contextmanager
def alone(part: Path) -> Iterator[BinaryIO]:
    """Open a file for appending that no other process is writing.

    Raises:
        ConfigError: another one is, or it is no file.
    """
    if os.path.lexists(part) and not stat.S_ISREG(part.lstat().st_mode):
        raise ConfigError(f"{part} is in the way, and is no regular file: remove it, or name another file")
    with open(part, "a+b") as file:
        file.seek(0)
        if sys.platform != "win32":
            # Renamed meanwhile: the other process has just come to its end.
            is_free = locks.lock(file.fileno(), exclusive=True)
            if not is_free or not part.exists() or not os.path.samestat(os.fstat(file.fileno()), part.stat()):
                raise ConfigError(f"another process is just writing {part}: wait for it, or name another file")
        yield file


def take_up(file: BinaryIO, part: Path, header: bytes, *, known: bool) -> Left | None:
    """Cut off what is no whole line, and say what is left; None for a file that begins anew, with its header.

    Args:
        file: as :func:`alone` gives it.
        part: its name.
        header: the first line of this export.
        known: whether the header tells this cache from any other; what may be of another one is begun anew.

    Raises:
        ConfigError: the file is of another export, or of somebody else.
    """
    ended = os.fstat(file.fileno()).st_mtime
    first = file.readline(LONGEST_LINE)
    if first != header:
        # Only what an interruption can have left of our own is ever cut off.
        if not header.startswith(first):
            raise ConfigError(
                f"{part} is there, of another export or of another program: delete it, or name another file"
            )
    elif known and abs(time.time() - ended) < _DAY:
        key = _cut(file)
        if key is not None:
            file.seek(0)
            lines = sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(_CHUNK), b""))
            file.seek(0, os.SEEK_END)
            return Left(key, lines - 1, ended)
    file.truncate(0)
    file.seek(0)
    file.write(header)
    return None


def _cut(file: BinaryIO) -> str | None:
    """Cut a file off behind its last whole entry, and return that one's key; None where it has none."""
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
    """Return the last line before a position, empty where it is longer than any entry's, and where it begins."""
    start, chunks = end, list[bytes]()
    while start > 0:
        step = min(_CHUNK, start)
        start -= step
        file.seek(start)
        chunk = file.read(step)
        newline = chunk.rfind(b"\n", 0, min(step, end - start - 1))  # but for the one that ends it
        if newline >= 0:
            start += newline + 1
            chunk = chunk[newline + 1 :]
        chunks = [chunk, *chunks] if end - start <= LONGEST_LINE else []
        if newline >= 0:
            break
    return start, b"".join(chunks)


def _key_of(line: bytes) -> str | None:
    """Return the key of a whole line; None for one that was cut off, or that a power cut has left without its text."""
    try:
        return str(copies.from_line(line)["_id"]) if line.endswith(b"\n") else None
    except ValueError:
        return None


@contextmanager
def writable(path: str | PathLike[str]) -> Iterator[None]:
    """Say in one sentence why a file cannot be written.

    Raises:
        ConfigError: it cannot.
    """
    try:
        yield
    except OSError as error:
        raise ConfigError(f"{os.fspath(path)} cannot be written: {error.strerror or error}") from None
