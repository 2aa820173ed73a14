"""Reading the lines of a file that :mod:`.exporting` has written, or that a stranger has."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from typing import BinaryIO

from ..errors import ConfigError
from ..tmdb import copies
from ..tmdb.copies import FORMAT, LONGEST_LINE, VERSION

_HEADER = f'{{"{FORMAT}"'.encode()
_LONGEST_HEADER = 10_000


def entry_lines(stream: BinaryIO, name: str) -> Iterator[tuple[int, bytes]]:
    """Read the lines of an export, with their numbers, but for its header; one that is too long is cut off.

    Raises:
        ConfigError: it is no export, or one of a newer version.
    """
    number = 0
    for number, line in enumerate(_lines(stream, name), start=1):
        may_be_header = number == 1 or line.startswith(_HEADER)
        version = copies.version_of(line) if may_be_header and len(line) < _LONGEST_HEADER else None
        if version is None and number == 1:
            raise ConfigError(f"{name} is no export of tmdb-mongo-cache: its first line does not say so")
        if version is not None and version > VERSION:
            raise ConfigError(f"{name} was written by a newer {FORMAT} (format {version}): install that one here")
        if version is None and line.strip():  # a header further down is that of another file behind the first
            yield number, line
    if number == 0:
        raise ConfigError(f"{name} is empty, and no export of tmdb-mongo-cache")


def _lines(stream: BinaryIO, name: str) -> Iterator[bytes]:
    while line := _next_line(stream, name):
        yield line
        while len(line) > LONGEST_LINE and not line.endswith(b"\n"):
            line = _next_line(stream, name)


def _next_line(stream: BinaryIO, name: str) -> bytes:
    try:
        return stream.readline(LONGEST_LINE + 1)
    except OSError as error:
        raise ConfigError(f"{name} cannot be read to its end: {error.strerror or error}") from None


@contextmanager
def opened(path: str | PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file to be read.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        file = open(path, "rb")  # noqa: SIM115  what is raised within is not of opening
    except OSError as error:
        raise ConfigError(f"{os.fspath(path)} cannot be read: {error.strerror or error}") from None
    with file:
        yield file
