"""``account_states``: which responses contain data of a user's account.

Sources: TMDB's OpenAPI description of the four ``…/account_states``, and its
error bodies. A film, show or episode has ``favorite``, ``watchlist`` and
``rated`` (``{"value": 9.0}``, or False), a season ``results`` with ``rated`` of
each episode. What TMDB appends to a request with an ``api_key`` alone is not
known, so the response decides: it may be stored where its account_states, in
whatever form, contain nothing about a user.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

NAME = "account_states"

_PART = re.compile(rf"(?:[a-z0-9_]+/)*{NAME}")

_ESCAPED = re.compile(rb"\\u00[4-7]")  # a letter or an underscore, which no serializer has to escape

_SAID = frozenset({"favorite", "rated", "watchlist"})
_NUMBERS = frozenset({"episode_number", "id", "season_number"})
_SUCCEEDED = frozenset({1, 12, 13})
"""TMDB's ``status_code`` of success; all others are errors."""


class _Members(tuple[tuple[str, Any], ...]):
    """An object with all its members in order, repeated names included."""

    __slots__ = ()


def is_part(part: str) -> bool:
    """Return whether an entry of ``append_to_response`` is account_states, in TMDB's spelling."""
    return _PART.fullmatch(part) is not None


def without(parts: Iterable[str]) -> tuple[str, ...]:
    """Return the appended parts other than account_states."""
    return tuple(part for part in parts if not is_part(part))


def has_account_data(body: bytes) -> bool:
    """Return whether a response has account_states, at any depth, with data of a user."""
    if not _may_be_in(body):
        return False
    try:
        # All members: of two with the same name, some readers take the first and some the last.
        written = json.loads(body, object_pairs_hook=_Members)
    except (RecursionError, ValueError):  # it cannot be checked
        return True
    return not all(_says_nothing(value) for name, value in _members(written) if _is_name(name))


def _may_be_in(body: bytes) -> bool:
    """Return whether a response may contain the name, whose letters may be escaped or take two bytes; few do."""
    if b"ccount_" in body or b"CCOUNT_" in body or b"\0" in body:
        return True
    return b"\\u00" in body and bool(_ESCAPED.search(body))  # the cheap check first


def _is_name(name: str) -> bool:
    return NAME in name.casefold()


def _members(data: Any) -> Iterator[tuple[str, Any]]:
    """Yield the members of all objects in a response."""
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
