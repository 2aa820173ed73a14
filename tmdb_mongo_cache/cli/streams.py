"""Standard streams that are closed or cannot be written."""

from __future__ import annotations

import errno
import io
import os
import sys
from contextlib import suppress
from typing import TextIO, cast

# Errors of writing; one about opening a file has its name.
_OF_OUTPUT = frozenset({errno.EBADF, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOSPC, errno.EPIPE})


def open_streams() -> None:
    """Replace standard streams that are closed (``>&-``), or a connection would get their file descriptor."""
    if sys.stdin is None:
        sys.stdin = _null("r")
    if sys.stdout is None:
        sys.stdout = _null("r")  # so that writing is an error
    if sys.stderr is None:
        sys.stderr = _null("w")  # so that writing is ignored


def _null(mode: str) -> TextIO:
    # Open as long as the process lives; closefd=False avoids the ResourceWarning.
    number = os.open(os.devnull, os.O_RDONLY if mode == "r" else os.O_WRONLY)
    return cast("TextIO", open(number, mode, encoding="utf-8", closefd=False))


def why_unwritable(error: OSError) -> str | None:
    """Return why standard output or standard error cannot be written; None if the error is another one.

    Buffered output is dropped, or Python would try to write it at exit.
    """
    for stream in (sys.stdout, sys.stderr):
        _drop_if_broken(stream)
    if isinstance(error, io.UnsupportedOperation):
        return "it is closed"
    return error.strerror if error.errno in _OF_OUTPUT and error.filename is None else None


def _drop_if_broken(stream: TextIO) -> None:
    try:
        stream.flush()
    except OSError:
        with suppress(OSError, ValueError):
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, stream.fileno())
            os.close(nothing)
