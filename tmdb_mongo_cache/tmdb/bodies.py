"""Reading JSON that anybody may have written: as Python's own parser reads it, as far as that goes."""

from __future__ import annotations

import json
import re
from itertools import accumulate
from typing import Any

DEEPEST = 900
"""Levels of nesting; about what Python's parser takes as it is set, and what no program's own setting makes more."""

# What has fewer lists and objects in it is not looked at: it cannot nest deeply enough to exhaust a stack.
_MANY = 4000
_STRING = re.compile(rb'"[^"]*"')
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
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
    if body.count(b"[") + body.count(b"{") > _MANY and _depth(body) > DEEPEST:
        raise RecursionError(f"JSON that nests more than {DEEPEST} levels deep")
    return json.loads(body, object_pairs_hook=_object)


def parse_if_whole(body: bytes) -> Any:
    """Return an answer parsed; None for what is none, as somebody has edited it, or nests too deeply to be read."""
    try:
        return parse(body)
    except (ValueError, RecursionError):
        return None


def skeleton(text: bytes) -> bytes:
    """Return JSON in UTF-8 with a quotation mark in place of each string."""
    # Escapes are pairs from the left, so what is left of a run of backslashes says whether it ends in one of a mark.
    return _STRING.sub(b'"', text.replace(rb"\\", b"").replace(rb"\"", b""))


def _depth(body: bytes) -> int:
    encoding = json.detect_encoding(body)
    if not encoding.startswith("utf-8"):
        body = body.decode(encoding, "surrogatepass").encode("utf-8", "surrogatepass")
    brackets = skeleton(body).translate(None, _NO_BRACKETS)
    return max(accumulate(map(_STEPS.__getitem__, brackets)), default=0)
