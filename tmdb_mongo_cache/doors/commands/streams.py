"""What a command writes to: streams that are closed or full, and texts that repeat what was typed."""

from __future__ import annotations

import errno
import io
import os
import re
import string
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TextIO, cast

from ...config import mask
from ...tmdb.secrets import redact

_OF_SCHEMES = string.ascii_letters + string.digits + "+.-"
_WORD = re.compile(r"[^\s'\"()]+")
_URL = re.compile(r"[^\s'\"]+")


def without_secrets(text: str) -> str:
    """Return a text that repeats what was typed without the credentials in it: passwords in URIs, TMDB's keys."""
    before, at, after = text.rpartition("@")
    if at:
        # A password may have anything in it, so all goes from the first scheme to the last "@".
        begin, end = _scheme(before)
        text = _WORD.sub(_without_user, before[:begin] if end else before + at)
        text += (f"{before[begin:end]}***@" if end else "") + after
    return redact(_URL.sub(_masked, text))


def _scheme(text: str) -> tuple[int, int]:
    """Return where the first scheme begins, and where it ends behind its ``://``; 0 and 0 where there is none."""
    end = 0
    while (mark := text.find("://", end)) >= 0:
        start = max(end, len(text[end:mark].rstrip(_OF_SCHEMES)) + end)
        name = text[start:mark].lstrip(string.digits + "+.-")
        end = mark + len("://")
        if name:
            return mark - len(name), end
    return 0, 0


def _without_user(word: re.Match[str]) -> str:
    user, at, rest = word[0].rpartition("@")
    return f"***@{rest}" if user else at + rest


def _masked(word: re.Match[str]) -> str:
    begin, end = _scheme(word[0])
    return word[0][:begin] + mask(word[0][begin:]) if end else word[0]


def without_secrets_of(typed: Sequence[str], text: str) -> str:
    """Return a text of this package's own without the credentials in what was typed; the rest of it stays."""
    for word in typed:
        for part in (word, word.partition("=")[2]):
            if part and part in text:
                text = text.replace(part, without_secrets(part))
    return text


# What writing fails with; an error about a file that is opened has its name.
_OF_OUTPUT = frozenset({errno.EBADF, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOSPC, errno.EPIPE})


def open_streams() -> None:
    """Put something in place of a standard stream that was closed (``>&-``): else a connection would take its place."""
    if sys.stdin is None:
        sys.stdin = _nothing("r")
    if sys.stdout is None:
        sys.stdout = _nothing("r")  # not to be written to: that is to be an error
    if sys.stderr is None:
        sys.stderr = _nothing("w")  # nobody is there to be told


def _nothing(mode: str) -> TextIO:
    # For as long as the process lives, so it is not to complain of not being closed.
    number = os.open(os.devnull, os.O_RDONLY if mode == "r" else os.O_WRONLY)
    return cast("TextIO", open(number, mode, encoding="utf-8", closefd=False))


def why_unwritable(error: OSError) -> str | None:
    """Say why standard output or standard error takes nothing more; None where the error is another one.

    What is left of the output is given up, lest Python try again at its end.
    """
    for stream in (sys.stdout, sys.stderr):
        _give_up_if_broken(stream)
    if isinstance(error, io.UnsupportedOperation):
        return "it is closed"
    return error.strerror if error.errno in _OF_OUTPUT and error.filename is None else None


def _give_up_if_broken(stream: TextIO) -> None:
    try:
        stream.flush()
    except OSError:
        with suppress(OSError, ValueError):
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, stream.fileno())
            os.close(nothing)
