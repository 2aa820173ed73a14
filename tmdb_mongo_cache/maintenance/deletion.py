"""Deleting entries: those of a call or a title, those past their time, or all."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..core import memory
from ..core.clock import utcnow
from ..errors import ConfigError
from ..mongo.filters import check_id, check_media_type
from ..tmdb.cache_key import keys_of_url
from ..tmdb.endpoint_names import normalise_id

if TYPE_CHECKING:
    from ..engine import Engine


def invalidate(
    engine: Engine, url: str | None, *, params: Any, key: str | None, media_type: str | None, tmdb_id: int | str | None
) -> int:
    """Delete the entries of a call or of a title; see :meth:`~tmdb_mongo_cache.TMDBCache.invalidate`."""
    is_title = media_type is not None and tmdb_id is not None
    is_part = (media_type is None) != (tmdb_id is None)
    if (url is not None) + (key is not None) + is_title != 1 or is_part:
        raise TypeError("invalidate() takes either url= (and params=), or key=, or media_type= and tmdb_id=")
    if url is not None:
        keys = keys_of_url(url, params, engine.hosts)
        if not keys:
            raise ConfigError("invalidate(url=…) takes a TMDB URL, like https://api.themoviedb.org/3/movie/550")
        return _delete_keys(engine, keys)
    if key is not None:
        if not isinstance(key, str):
            raise TypeError("key must be a string")
        check_id(key)
        return _delete_keys(engine, (key,))
    if not isinstance(media_type, str) or not isinstance(tmdb_id, int | str):
        # A mapping would be a MongoDB operator, and match other entries.
        raise TypeError("media_type must be a string, and tmdb_id a number or a string")
    check_media_type(media_type)
    check_id(tmdb_id)
    number = normalise_id(tmdb_id)
    query = {"media_type": media_type, "tmdb_id": number}
    return _delete(engine, query, lambda: memory.forget_titles(media_type, [number]))


def clear(engine: Engine) -> int:
    """Empty the collection; return how many documents were deleted."""
    return _delete(engine, {}, memory.forget_everything)


def purge(engine: Engine, *, everything: bool) -> int:
    """Delete what must no longer be stored; see :meth:`~tmdb_mongo_cache.TMDBCache.purge`."""
    try:
        return engine.store.purge(utcnow(), everything=everything)
    finally:
        memory.forget_everything()
        engine.core.forget_in_flight()


def _delete_keys(engine: Engine, keys: tuple[str, ...]) -> int:
    def forget() -> None:
        for key in keys:
            memory.forget_key(key)

    return _delete(engine, {"_id": {"$in": list(keys)}}, forget)


def _delete(engine: Engine, query: dict[str, Any], forget: Callable[[], None]) -> int:
    try:
        return engine.store.delete(query)
    finally:
        forget()  # also if MongoDB failed: these entries are not wanted any more
        engine.core.forget_in_flight()
