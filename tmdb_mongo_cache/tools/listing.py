"""``TMDBCache.entries()`` and ``count_entries()``: what they may be asked, as MongoDB is."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from ..errors import ConfigError
from ..store.listing import SORTS, matching
from ..tmdb import expiration, names


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
    for name in ("media_type", "endpoint"):
        if name in given and not isinstance(given[name], str):
            raise ConfigError(f"{name} must be a string")  # a mapping would be a MongoDB operator
    if "tmdb_id" in given:
        if isinstance(given["tmdb_id"], bool) or not isinstance(given["tmdb_id"], int | str):
            raise ConfigError("tmdb_id must be a number or a string")
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
    if skip < 0 or limit < 0:
        raise ConfigError("skip and limit are numbers of entries, 0 or more")


def _age(value: Any, name: str) -> timedelta:
    try:
        return timedelta(seconds=expiration.duration(value, name))
    except OverflowError:
        return timedelta.max
    except ValueError as error:
        raise ConfigError(str(error)) from None
