"""``account_states``: what an answer says of somebody's account, and what it says of nobody.

Sources: TMDB's OpenAPI description of the four ``…/account_states``, and its
error bodies. A film, show or episode has ``favorite``, ``watchlist`` and
``rated`` (``{"value": 9.0}``, or False), a season ``results`` with ``rated`` of
each episode. What TMDB appends where only an ``api_key`` asks is not known, so
the answer decides: it may be kept where it says nothing of anybody, in
whatever form.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

NAME = "account_states"

_PART = re.compile(rf"(?:[a-z0-9_]+/)*{NAME}")

_ESCAPED = re.compile(rb"\\u00[4-7]")  # a letter or an underscore, which no writer of JSON has to escape

_SAID = frozenset({"favorite", "rated", "watchlist"})
_NUMBERS = frozenset({"episode_number", "id", "season_number"})
_SUCCEEDED = frozenset({1, 12, 13})
"""TMDB's ``status_code`` for what has succeeded; all others are errors."""


class _Members(tuple[tuple[str, Any], ...]):
    """An object as it is written: its members in order, the repeated ones too."""

    __slots__ = ()


def is_part(part: str) -> bool:
    """Say whether an entry of ``append_to_response`` asks for account_states, spelt as TMDB has it."""
    return _PART.fullmatch(part) is not None


def without(parts: Iterable[str]) -> tuple[str, ...]:
    """Return the appended parts that are nobody's account_states."""
    return tuple(part for part in parts if not is_part(part))


def tells_of_somebody(body: bytes) -> bool:
    """Say whether an answer has account_states, wherever in it, that say something of somebody."""
    if not _may_be_in(body):
        return False
    try:
        # Member by member, for a reader may take the first of two with one name where another takes the last.
        written = json.loads(body, object_pairs_hook=_Members)
    except (RecursionError, ValueError):  # who knows what it says
        return True
    return not all(_says_nothing(value) for name, value in _members(written) if _is_name(name))


def _may_be_in(body: bytes) -> bool:
    """Say whether an answer may have the name, as hardly any has; its letters may be escaped, or of two bytes."""
    if b"ccount_" in body or b"CCOUNT_" in body or b"\0" in body:
        return True
    return b"\\u00" in body and bool(_ESCAPED.search(body))  # searched for in what may have it, as that takes longer


def _is_name(name: str) -> bool:
    return NAME in name.casefold()


def _members(data: Any) -> Iterator[tuple[str, Any]]:
    """Give the members of all objects in an answer."""
    waiting = [data]
    while waiting:
        found = waiting.pop()
        if isinstance(found, _Members):
            yield from found
            waiting.extend(value for _, value in found)
        elif isinstance(found, list):
            waiting.extend(found)


def _says_nothing(value: Any) -> bool:
    if not isinstance(value, _Members):
        return not value
    failed = any(name == "success" and item is False for name, item in value) or any(map(_is_error, value))
    return all(_is_nothing(name, item, failed=failed) for name, item in value)


def _is_error(member: tuple[str, Any]) -> bool:
    name, value = member
    return name == "status_code" and type(value) is int and value not in _SUCCEEDED


def _is_nothing(name: str, value: Any, *, failed: bool) -> bool:
    if name in _SAID:
        return value is None or value is False
    if name in _NUMBERS:
        return value is None or type(value) is int
    if name == "results" and isinstance(value, list):
        return all(_says_nothing(item) for item in value)
    if name == "status_code":
        return not value or _is_error((name, value))
    return not value or (failed and name == "status_message" and isinstance(value, str))
