"""Reading JSON that anybody may have written: as Python's own parser reads it, as far as that goes."""

from __future__ import annotations

import json
import math
import re
from itertools import accumulate
from typing import Any

DEEPEST = 900
"""Levels of nesting; about what Python's parser takes as it is set, and what no program's own setting makes more."""

# What has fewer lists and objects in it, as nearly every answer, is not looked at: nested in each other they take half
# a stack (measured: 200 bytes a level, and bson 300, of 8 MB).
_MANY = 15_000
_MOST_QUOTED = 2**18
_STRING = re.compile(rb'"[^"]*"')
_NO_MARKS = bytes(set(range(256)) - set(b'[]{}"'))
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


class Repeating(dict[str, Any]):
    """An object that has two members of one name; it holds the last of them, where other readers may take another."""


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    return found if len(found) == len(members) else Repeating(found)


def parse(body: bytes) -> Any:
    """Parse a body, in time and memory that grow as it does.

    Returns:
        what ``json.loads`` returns, with a :class:`Repeating` for an object that repeats a name.

    Raises:
        ValueError: it is not JSON.
        RecursionError: it nests more deeply than Python reads.
    """
    # A program may have set Python's limit to anything, and then its parser ends in a crash of the interpreter.
    if body.count(b"[") + body.count(b"{") > _MANY and nesting(body) > DEEPEST:
        raise RecursionError(f"JSON that nests more than {DEEPEST} levels deep")
    return json.loads(body, object_pairs_hook=_object)


def parse_if_whole(body: bytes) -> Any:
    """Return an answer parsed; None for what is none, as somebody has edited it, or nests too deeply to be read."""
    try:
        return parse(body)
    except (ValueError, RecursionError):
        return None


def nesting(body: bytes) -> float:
    """Return how many levels deep JSON nests; infinity where that would take too much memory to see."""
    encoding = json.detect_encoding(body)
    if not encoding.startswith("utf-8"):
        body = body.decode(encoding, "surrogatepass").encode("utf-8", "surrogatepass")
    # Hardly a string has a bracket in it. Where two marks meet, what follows is as much in a string as without them.
    marks = _unescaped(body).translate(None, _NO_MARKS).replace(b'""', b"")
    if marks.count(b'"') > _MOST_QUOTED:
        return math.inf
    return max(accumulate(map(_STEPS.__getitem__, _STRING.sub(b"", marks).replace(b'"', b""))), default=0)


def has_more_than(line: bytes, limit: int) -> bool:
    """Say whether JSON in UTF-8 has more bytes than so many besides what stands in its strings."""
    text = _unescaped(line)
    # Each string has a mark of its own beside it, but for the last.
    if text.count(b'"') > limit + 1:
        return True
    return len(text) - sum(found.end() - found.start() - 1 for found in _STRING.finditer(text)) > limit


def most_values(body: bytes) -> int:
    """Return a number of values that JSON has no more than; it may have less."""
    return 1 + body.count(b",") + body.count(b"[") + body.count(b"{")


def _unescaped(text: bytes) -> bytes:
    """Return JSON without the escapes that matter for where its strings end: they are pairs, from the left."""
    return text.replace(rb"\\", b"").replace(rb"\"", b"")
