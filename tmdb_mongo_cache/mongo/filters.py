"""The filters of ``TMDBCache.entries()`` and ``count_entries()``, checked and turned into a query."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from ..errors import ConfigError
from ..httpcache import expiration
from ..tmdb import endpoint_names
from .queries import SORTS, matching

_MOST = 2**62  # the sum of two of them is still a MongoDB integer


def query_of(**filters: Any) -> dict[str, Any]:
    """Turn the filters of ``entries()`` into a query.

    Raises:
        TypeError: an unknown filter.
        ConfigError: an invalid value.
    """
    given = {name: value for name, value in filters.items() if value is not None}
    for name in ("older_than", "newer_than"):
        if name in given:
            given[name] = _age(given[name], name)
    if "media_type" in given:
        check_media_type(given["media_type"])
    if "tmdb_id" in given:
        if isinstance(given["tmdb_id"], bool) or not isinstance(given["tmdb_id"], int | str):
            raise ConfigError("tmdb_id must be a number or a string")  # a mapping would be a MongoDB operator
        check_id(given["tmdb_id"])
        given["tmdb_id"] = endpoint_names.normalise_id(given["tmdb_id"])
    if "endpoint" in given:
        if not isinstance(given["endpoint"], str):
            raise ConfigError("endpoint must be a string")
        given["endpoints"] = endpoint_names.templates_with(given.pop("endpoint"))
    return matching(**given, now=datetime.now(timezone.utc))


def check_page(sort: str, skip: int, limit: int) -> None:
    """Check the order of a listing, and the part of it.

    Raises:
        ConfigError: an invalid value.
    """
    if sort not in SORTS:
        raise ConfigError(f"sort must be one of {', '.join(SORTS)}, not {sort!r}")
    for number in (skip, limit):
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= _MOST:
            raise ConfigError("skip and limit must be integers from 0 to 2^62")


def check_media_type(media_type: object) -> None:
    """Check that there is such a media type.

    Raises:
        ConfigError: there is not.
    """
    if media_type not in endpoint_names.MEDIA_TYPES:
        raise ConfigError(f"media_type must be one of {', '.join(endpoint_names.MEDIA_TYPES)}, not {media_type!r:.60}")


def check_id(tmdb_id: int | str) -> None:
    """Check that an id, or a key, can be part of a query.

    Raises:
        ConfigError: it cannot.
    """
    if isinstance(tmdb_id, str) and not endpoint_names.is_text(tmdb_id):
        raise ConfigError("an id or a key must be UTF-8 text")
    if isinstance(tmdb_id, int) and not -_MOST <= tmdb_id <= _MOST:
        raise ConfigError("a TMDB id has at most 18 digits")


def _age(value: Any, name: str) -> timedelta:
    try:
        return timedelta(seconds=expiration.duration(value, name))
    except OverflowError:
        return timedelta.max
    except ValueError as error:
        raise ConfigError(str(error)) from None
