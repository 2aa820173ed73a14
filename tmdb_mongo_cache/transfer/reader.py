"""Reading the lines of an export, which a stranger may have written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from typing import BinaryIO

from ..errors import ConfigError
from . import file_format
from .file_format import FORMAT, LONGEST_LINE, VERSION

_HEADER = f'{{"{FORMAT}"'.encode()
_LONGEST_HEADER = 10_000


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
    while line := _next_line(stream, name):
        yield line
        while len(line) > LONGEST_LINE and not line.endswith(b"\n"):
            line = _next_line(stream, name)


def _next_line(stream: BinaryIO, name: str) -> bytes:
    try:
        return stream.readline(LONGEST_LINE + 1)
    except OSError as error:
        raise ConfigError(f"cannot read {name} to its end: {error.strerror or error}") from None


@contextmanager
def opened(path: str | PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file for reading.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        file = open(path, "rb")  # noqa: SIM115  errors within the block are not of opening
    except OSError as error:
        raise ConfigError(f"cannot read {os.fspath(path)}: {error.strerror or error}") from None
    with file:
        yield file
