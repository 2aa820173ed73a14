"""Keeping the credentials of arguments out of what is printed."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence

from ..config import mask
from ..tmdb.redaction import redact

_OF_SCHEMES = string.ascii_letters + string.digits + "+.-"
_WORD = re.compile(r"[^\s'\"()]+")
_URL = re.compile(r"[^\s'\"]+")


def redact_typed(text: str) -> str:
    """Return a text that repeats arguments without their credentials: passwords in URIs, TMDB keys."""
    before, at, after = text.rpartition("@")
    if at:
        # A password may contain anything, so everything goes from the first scheme to the last "@".
        begin, end = _scheme(before)
        text = _WORD.sub(_without_user, before[:begin] if end else before + at)
        text += (f"{before[begin:end]}***@" if end else "") + after
    return redact(_URL.sub(_masked, text))


def _scheme(text: str) -> tuple[int, int]:
    """Return the start of the first scheme and the end of its ``://``; 0 and 0 if there is none."""
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


def redact_arguments(arguments: Sequence[str], text: str) -> str:
    """Return an error text without the credentials of the arguments; the rest of it stays."""
    for word in arguments:
        for part in (word, word.partition("=")[2]):
            if part and part in text:
                text = text.replace(part, redact_typed(part))
    return text
