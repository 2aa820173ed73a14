"""How long an answer of TMDB's is good: by the class of its endpoint, by the age of the title, spread by the key."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import date, datetime
from hashlib import blake2b
from typing import Any, Final

from .expiration import DEFAULT

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0

TABLE: Final[Mapping[str, float]] = {
    "details": _DAY,
    "others": _DAY,
    "search": 6 * _HOUR,
    "discover": 6 * _HOUR,
    "lists": 6 * _HOUR,
    "trending": 15 * _MINUTE,
    "changes": 10 * _MINUTE,
    "latest": _MINUTE,
    "configuration": 7 * _DAY,
}
"""Seconds for which an answer is fresh, by the class of its endpoint (:data:`.endpoints.ENDPOINTS`)."""

SHORTEST, LONGEST = _DAY, 30 * _DAY
"""Seconds between which ``expire_after="adaptive"`` chooses."""

ADAPTED: Final = frozenset({"details", "others"})
"""The classes of endpoints that ``"adaptive"`` is for; all others go by the table."""

_PART_OF_AGE = 0.1  # RFC 9111 section 4.2.2: "a typical setting of this fraction might be 10%"
_SPREAD = 0.1
_EXACT = _HOUR

# TMDB's words (status of a film or show) for what is still being made.
_UNFINISHED = frozenset(
    {"Rumored", "Planned", "In Production", "Post Production", "Returning Series", "Pilot"},
)
_DATE = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DATES = ("release_date", "last_air_date", "first_air_date", "air_date")


def seconds_of(kind: str) -> float:
    """Return for how many seconds an answer of a class of endpoints is fresh; unknown ones for 24 hours."""
    return TABLE.get(kind, DEFAULT)


def adaptive_seconds(kind: str, data: Any, now: datetime) -> float:
    """Return for how many seconds an answer is fresh by the age of the film, show, season or episode it is about.

    A tenth of the time since its latest date (release, last broadcast), between
    24 hours and 30 days: what came out yesterday is asked for again tomorrow,
    what is a year old next month. 24 hours where it is still being made or to
    come, and where the answer names no date (credits, images, people). Classes
    other than ``details`` go by the table.

    Args:
        kind: the class of the endpoint.
        data: the parsed answer.
        now: when it was fetched.
    """
    if kind not in ADAPTED:
        return seconds_of(kind)
    if not isinstance(data, dict) or _is_unfinished(data):
        return SHORTEST
    latest = max(_dates_of(data), default=None)
    if latest is None:
        return SHORTEST
    age = (now.date() - latest).total_seconds()
    return min(max(_PART_OF_AGE * age, SHORTEST), LONGEST)


def _is_unfinished(data: Mapping[str, Any]) -> bool:
    status = data.get("status")
    if isinstance(status, str) and status in _UNFINISHED:
        return True
    return data.get("in_production") is True or isinstance(data.get("next_episode_to_air"), dict)


def _dates_of(data: Mapping[str, Any]) -> Iterator[date]:
    """Give the dates of a film or show, and of what it is made of: the films of a collection, a season's episodes."""
    inner = [item for name in ("parts", "episodes") for item in _list(data.get(name)) if isinstance(item, dict)]
    for thing in (data, *inner):
        for name in _DATES:
            value = thing.get(name)
            # TMDB has "" and null for a date that nobody knows.
            if isinstance(value, str) and _DATE.match(value):
                with suppress(ValueError):
                    yield date.fromisoformat(value[:10])


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def spread(seconds: float, key: str) -> float:
    """Return an expiration made up to 10 % shorter or longer, always alike for the same key.

    A library that was filled in one night does not expire in one minute then.
    Up to an hour is left as it is, and so is what never expires.
    """
    if seconds <= _EXACT or math.isinf(seconds):
        return seconds
    digest = blake2b(key.encode("utf-8", "surrogatepass"), digest_size=4).digest()
    place = int.from_bytes(digest, "big") / 2**32  # 0 to 1
    return seconds * (1 + _SPREAD * (2 * place - 1))
