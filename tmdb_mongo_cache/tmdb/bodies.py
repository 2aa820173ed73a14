"""Reading an answer's body: JSON as Python reads it, and an outline of what is nested too deeply for that."""

from __future__ import annotations

import json
import re
from typing import Any

# RFC 8259, but for the strictness of Python's own reader about numbers like NaN.
_TOKEN = re.compile(
    r"[ \t\n\r]*(?:(?P<mark>[\[\]{},:])"
    r"|(?P<string>\"(?:[^\"\\\x00-\x1f]|\\(?:[\"\\/bfnrt]|u[0-9A-Fa-f]{4}))*\")"
    r"|(?P<value>-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null))"
)


class Outline(dict[str, Any]):
    """The top level of an object that is nested more deeply than Python reads; what is nested is None."""


def parse(body: bytes) -> Any:
    """Parse a body.

    Returns:
        what ``json.loads`` returns; where that gives up for depth, an
        :class:`Outline` (empty for a list).

    Raises:
        ValueError: it is not JSON.
    """
    try:
        return json.loads(body)
    except RecursionError:
        return _outline(body.decode(json.detect_encoding(body), "surrogatepass"))


def _outline(text: str) -> Outline:
    """Check the syntax without recursion, and note the members of the top level."""
    found = Outline()
    open_marks: list[str] = []
    names: list[str | None] = []
    # What may come next: a value, a name, a colon, or what ends or goes on (",", "]", "}").
    expected, position, end = "value", 0, len(text.rstrip(" \t\n\r"))
    while position < end:
        token = _TOKEN.match(text, position)
        if token is None:
            raise ValueError(f"not JSON at character {position}")
        position = token.end()
        mark = token["mark"]
        closes = mark in ("]", "}") and bool(open_marks) and {"]": "[", "}": "{"}[mark] == open_marks[-1]
        if mark in ("[", "{") and expected.startswith("value"):
            open_marks.append(mark)
            names.append(None)
            expected = "value or end" if mark == "[" else "name or end"
        elif closes and (expected in ("more", "value or end", "name or end")):
            open_marks.pop()
            names.pop()
            expected = "more"
        elif mark == "," and expected == "more" and open_marks:
            expected = "value" if open_marks[-1] == "[" else "name"
        elif mark == ":" and expected == "colon":
            expected = "value"
        elif token["string"] is not None and expected.startswith("name"):
            names[-1] = json.loads(token["string"])
            expected = "colon"
            if len(open_marks) == 1:
                found[str(names[-1])] = None
        elif mark is None and expected.startswith("value"):
            if open_marks == ["{"]:
                found[str(names[-1])] = json.loads(token.group())
            expected = "more"
        else:
            raise ValueError(f"not JSON at character {position}")
        if not open_marks and position < end:
            raise ValueError(f"not JSON at character {position}")
    if open_marks or expected != "more":
        raise ValueError("not JSON: it ends too early")
    return found


def parse_if_whole(body: bytes) -> Any:
    """Return an answer parsed; None for what is none, as somebody has edited it."""
    try:
        return parse(body)
    except ValueError:
        return None
