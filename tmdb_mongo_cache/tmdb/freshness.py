"""How long a response is fresh: by the class of its endpoint, by the age of its title, with jitter by its key."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import date, datetime
from hashlib import blake2b
from typing import Any, Final

from ..httpcache.expiration import DEFAULT, ExpirationSetting, normalise_setting
from .endpoints import CLASSES

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
"""Seconds that a response is fresh, by the class of its endpoint (:data:`.endpoints.ENDPOINTS`)."""

SHORTEST, LONGEST = _DAY, 30 * _DAY
"""The bounds of ``expire_after="adaptive"``, in seconds."""

ADAPTED: Final = frozenset({"details", "others"})
"""The classes that ``"adaptive"`` applies to; the others go by the table."""

_PART_OF_AGE = 0.1  # RFC 9111 section 4.2.2: "a typical setting of this fraction might be 10%"
_JITTER = 0.1
_EXACT = _HOUR

# TMDB's ``status`` of films and shows that are not finished.
_UNFINISHED = frozenset(
    {"Rumored", "Planned", "In Production", "Post Production", "Returning Series", "Pilot"},
)
_DATE = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DATES = ("release_date", "last_air_date", "first_air_date", "air_date")


def seconds_of(kind: str) -> float:
    """Return the seconds that a response of a class is fresh; 24 hours for an unknown class."""
    return TABLE.get(kind, DEFAULT)


def by_class(value: Mapping[str, Any], name: str) -> dict[str, ExpirationSetting]:
    """Return a mapping from classes of endpoints to expirations in its normal form.

    Raises:
        ValueError: a class or a value is invalid.
    """
    unknown = sorted(str(key) for key in value if key not in CLASSES)
    if unknown:
        raise ValueError(f"{name} has no class {unknown[0]!r}; the classes are: {', '.join(sorted(CLASSES))}")
    return {key: normalise_setting(item, f"{name}[{key!r}]") for key, item in value.items()}


def adaptive_seconds(kind: str, data: Any, now: datetime) -> float:
    """Return the seconds that a response is fresh by the age of its film, show, season or episode.

    A tenth of the time since its latest date (release, last broadcast), between 24
    hours and 30 days: of a title that came out yesterday a day, of one that is a year
    old a month. 24 hours for one that is not finished or not out yet, and for
    responses without a date (credits, images, people). Classes other than
    :data:`ADAPTED` go by the table.

    Args:
        kind: the class of the endpoint.
        data: the parsed response.
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
    """Yield the dates of a film or show, of a collection's films, and of a season's episodes."""
    inner = [item for name in ("parts", "episodes") for item in _list(data.get(name)) if isinstance(item, dict)]
    for thing in (data, *inner):
        for name in _DATES:
            value = thing.get(name)
            # TMDB has "" and null for an unknown date.
            if isinstance(value, str) and _DATE.match(value):
                with suppress(ValueError):
                    yield date.fromisoformat(value[:10])


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def with_jitter(seconds: float, key: str) -> float:
    """Return an expiration with jitter: up to 10 % shorter or longer, always the same for the same key.

    So entries that were stored in one night do not expire in the same minute. Up to
    an hour there is no jitter, nor where nothing expires.
    """
    if seconds <= _EXACT or math.isinf(seconds):
        return seconds
    digest = blake2b(key.encode("utf-8", "surrogatepass"), digest_size=4).digest()
    place = int.from_bytes(digest, "big") / 2**32  # 0 to 1
    return seconds * (1 + _JITTER * (2 * place - 1))
