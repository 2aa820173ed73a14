"""``TMDBCache``'s methods for people; what they do is imported when they are called."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from ..cache import TMDBCache


class Tools:
    """The part of a :class:`~tmdb_mongo_cache.TMDBCache` that shows what it does, and copies it."""

    @property
    def _tooled(self) -> TMDBCache:
        return cast("TMDBCache", self)
