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

from .bodies import Outline

NAME = "account_states"

_PART = re.compile(rf"(?:[a-z0-9_]+/)*{NAME}")

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


def tells_of_somebody(body: bytes, data: Any) -> bool:
    """Say whether an answer has account_states, wherever in it, that say something of somebody.

    Args:
        body: the answer.
        data: the same, parsed.
    """
    # Hardly any answer has it. Its letters may be escaped, or of two bytes.
    if not any(mark in body for mark in (b"ccount", b"CCOUNT", b"\\u00", b"\0")):
        return False
    if isinstance(data, Outline):  # nested too deeply to be read
        return True
    if not any(_is_name(name) for name, _ in _members(data)):
        return False
    # Once more, for a reader may take the first of two members with one name where another takes the last.
    try:
        written = json.loads(body, object_pairs_hook=_Members)
    except RecursionError:
        return True
    return not all(_says_nothing(value) for name, value in _members(written) if _is_name(name))


def _is_name(name: str) -> bool:
    return NAME in name.casefold()


def _members(data: Any) -> Iterator[tuple[str, Any]]:
    """Give the members of all objects in an answer."""
    waiting = [data]
    while waiting:
        found = waiting.pop()
        if isinstance(found, dict | _Members):
            members = tuple(found.items()) if isinstance(found, dict) else tuple(found)
            yield from members
            waiting.extend(value for _, value in members)
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
