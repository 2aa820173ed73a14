"""Parsing of untrusted JSON, in time and memory proportional to its length."""

from __future__ import annotations

import json
import math
import re
from itertools import accumulate
from typing import Any

DEEPEST = 900
"""Levels of nesting: about what Python's default recursion limit allows; not raised by a program's own limit."""

# With fewer lists and objects, as in nearly every response, the nesting is not measured: at this depth they take half
# a stack (measured: 200 bytes a level, 300 in bson, of 8 MB).
_MANY = 15_000
_MOST_QUOTED = 2**18
_STRING = re.compile(rb'"[^"]*"')
_NO_MARKS = bytes(set(range(256)) - set(b'[]{}"'))
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


class Repeating(dict[str, Any]):
    """An object that repeats a member name; it holds the last value, other parsers may take another."""


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    return found if len(found) == len(members) else Repeating(found)


def parse(body: bytes) -> Any:
    """Parse a body.

    Returns:
        what ``json.loads`` returns, with a :class:`Repeating` for an object that repeats a name.

    Raises:
        ValueError: it is not JSON.
        RecursionError: it is nested too deeply.
    """
    # With a recursion limit that a program has raised, Python's parser would crash the interpreter.
    if body.count(b"[") + body.count(b"{") > _MANY and nesting(body) > DEEPEST:
        raise RecursionError(f"JSON that nests more than {DEEPEST} levels deep")
    return json.loads(body, object_pairs_hook=_object)


def parse_if_whole(body: bytes) -> Any:
    """Return a body parsed; None where it is not JSON (an edited document) or nested too deeply."""
    try:
        return parse(body)
    except (ValueError, RecursionError):
        return None


def nesting(body: bytes) -> float:
    """Return the depth of nesting of JSON; infinity where measuring it would take too much memory."""
    encoding = json.detect_encoding(body)
    if not encoding.startswith("utf-8"):
        body = body.decode(encoding, "surrogatepass").encode("utf-8", "surrogatepass")
    # Few strings contain brackets. An empty string, two quotes in a row, does not change what is inside a string.
    marks = _unescaped(body).translate(None, _NO_MARKS).replace(b'""', b"")
    if marks.count(b'"') > _MOST_QUOTED:
        return math.inf
    return max(accumulate(map(_STEPS.__getitem__, _STRING.sub(b"", marks).replace(b'"', b""))), default=0)


def has_more_than(line: bytes, limit: int) -> bool:
    """Return whether JSON in UTF-8 has more bytes than ``limit`` outside its strings."""
    text = _unescaped(line)
    # Each string but the last is followed by a separator.
    if text.count(b'"') > limit + 1:
        return True
    return len(text) - sum(found.end() - found.start() - 1 for found in _STRING.finditer(text)) > limit


def most_values(body: bytes) -> int:
    """Return an upper bound of the number of values in JSON."""
    return 1 + body.count(b",") + body.count(b"[") + body.count(b"{")


def _unescaped(text: bytes) -> bytes:
    """Return JSON without escaped backslashes and quotes, so that every quote left begins or ends a string."""
    return text.replace(rb"\\", b"").replace(rb"\"", b"")
