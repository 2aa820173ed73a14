"""Listing and counting entries by filters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..mongo.filters import check_page, query_of

if TYPE_CHECKING:
    from ..engine import Engine
    from ..mongo.document import EntryInfo


def entries(
    engine: Engine, *, sort: str = "key", reverse: bool = False, skip: int = 0, limit: int = 0, **filters: Any
) -> Iterator[EntryInfo]:
    """List entries; see :meth:`~tmdb_mongo_cache.TMDBCache.entries`."""
    check_page(sort, skip, limit)
    return engine.store.queries.entries(query_of(filters), sort=sort, reverse=reverse, skip=skip, limit=limit)


def count_entries(engine: Engine, **filters: Any) -> int:
    """Count entries; ``filters`` are those of :func:`entries`."""
    return engine.store.queries.count(query_of(filters))
