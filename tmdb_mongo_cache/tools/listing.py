"""``TMDBCache.entries()`` and ``count_entries()``: what they may be asked, as MongoDB is."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from ..errors import ConfigError
from ..store.listing import SORTS, matching
from ..tmdb import expiration, names

_MOST = 2**62  # two of them are a number of MongoDB's still


def query_of(filters: dict[str, Any]) -> dict[str, Any]:
    """Turn the filters of ``entries()`` into a query.

    Raises:
        TypeError: an unknown filter.
        ConfigError: a value that cannot be used.
    """
    given = {name: value for name, value in filters.items() if value is not None}
    for name in ("older_than", "newer_than"):
        if name in given:
            given[name] = _age(given[name], name)
    if "media_type" in given:
        check_media_type(given["media_type"])
    if "endpoint" in given and not isinstance(given["endpoint"], str):
        raise ConfigError("endpoint must be a string")
    if "tmdb_id" in given:
        if isinstance(given["tmdb_id"], bool) or not isinstance(given["tmdb_id"], int | str):
            raise ConfigError("tmdb_id must be a number or a string")  # a mapping would be a MongoDB operator
        check_id(given["tmdb_id"])
        given["tmdb_id"] = names.as_kept(given["tmdb_id"])
    if "endpoint" in given:
        given["endpoints"] = names.templates_with(given.pop("endpoint"))
    return matching(**given, now=datetime.now(timezone.utc))


def check_page(sort: str, skip: int, limit: int) -> None:
    """Check the order and the part that are asked for.

    Raises:
        ConfigError: there are none such.
    """
    if sort not in SORTS:
        raise ConfigError(f"entries are sorted by one of {', '.join(SORTS)}, not by {sort!r}")
    for number in (skip, limit):
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= _MOST:
            raise ConfigError("skip and limit are numbers of entries, from 0 to 2^62")


def check_media_type(media_type: object) -> None:
    """Check that there is such a type.

    Raises:
        ConfigError: there is none.
    """
    if media_type not in names.MEDIA_TYPES:
        said = repr(media_type)[:60]
        raise ConfigError(f"media_type must be one of {', '.join(names.MEDIA_TYPES)}, not {said}")


def check_id(tmdb_id: int | str) -> None:
    """Check that MongoDB can be asked for an id, or a key.

    Raises:
        ConfigError: it cannot.
    """
    if isinstance(tmdb_id, str) and not names.is_text(tmdb_id):
        raise ConfigError("an id or a key must be text in UTF-8")
    if isinstance(tmdb_id, int) and not -_MOST <= tmdb_id <= _MOST:
        raise ConfigError("an id of TMDB's is a number of at most 18 digits")


def _age(value: Any, name: str) -> timedelta:
    try:
        return timedelta(seconds=expiration.duration(value, name))
    except OverflowError:
        return timedelta.max
    except ValueError as error:
        raise ConfigError(str(error)) from None
