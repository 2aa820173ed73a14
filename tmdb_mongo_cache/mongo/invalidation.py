"""Making entries stale before their time, and finding those that were.

They stay where they are: their ETag still validates them, and they are served
stale when TMDB fails. Every update is one command by an index, and entries that
are stale already stay as they are, so that a repetition changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from ..core import memory
from ..tmdb.invalidation import Touched
from .command import Commands, runs, update
from .connection import Connection
from .document import RAW, readable
from .indexes import Indexes

_ANY_TIME = {"$gt": datetime(1970, 1, 1, tzinfo=timezone.utc)}  # a condition that a sparse index can serve


class Invalidation:
    """Makes entries of one collection stale; every method may raise ``StoreError``.

    Args:
        connection: to MongoDB.
        indexes: the collection's.
    """

    def __init__(self, connection: Connection, indexes: Indexes) -> None:
        self._operation, self._run = connection.operation, connection.run
        self._indexes = indexes

    # In memory also where MongoDB fails.

    def expire_titles(self, media_type: str, ids: Sequence[int], before: datetime, now: datetime) -> int:
        """Make stale what is known of titles or people, and was fetched or confirmed before a moment.

        Args:
            media_type: theirs.
            ids: theirs; seasons, episodes and sub-resources carry their title's.
            before: the moment.
            now: the time; what is stale by then stays as it is.

        Returns:
            how many entries that were.
        """
        query = {"media_type": media_type, "tmdb_id": {"$in": list(ids)}, **_fetched_before(before)}
        try:
            return self._expire(query, now)
        finally:
            memory.forget_titles(media_type, frozenset(ids))

    def expire_all(self, media_type: str, before: datetime, now: datetime) -> int:
        """Make stale what is known of all titles of a kind, as :meth:`expire_titles` does."""
        query = {"media_type": media_type, **_fetched_before(before)}
        try:
            return self._expire(query, now)
        finally:
            memory.forget_everything()

    @runs(bounded=False, writing=True)
    def _expire(self, query: Mapping[str, Any], now: datetime) -> Commands[int]:
        return expire(self._indexes, query, now, changed_at=now)

    def changed(self) -> list[tuple[str, str | None]]:
        """Return keys, and URLs where those do not tell them, that a change made stale and no fetch has renewed."""
        with self._operation(bounded=False) as collection:
            # All at once: fetching them takes longer than a cursor lives.
            fields = {"url": 1, "history.url": 1}
            found = list(collection.with_options(codec_options=RAW).find({"changed_at": _ANY_TIME}, fields))
        return [(item["_id"], _requested_url(item)) for item in readable(found) if type(item["_id"]) is str]


def about(touched: Sequence[Touched]) -> dict[str, Any]:
    """Match what a write has touched."""
    queries: list[dict[str, Any]] = []
    for keys, endpoint, pattern in touched:
        for key in keys:
            # "$" comes after "#", "@" after "?".
            queries += [{"_id": key}, _between(f"{key}#", f"{key}$"), _between(f"{key}?", f"{key}@")]
        if endpoint is not None:
            title = {"media_type": endpoint.media_type, "tmdb_id": endpoint.tmdb_id}
            spelt = {"_id": {"$regex": pattern}} if pattern else {}
            queries.append({**title, "endpoint": endpoint.template, **spelt})
    return {"$or": queries}


def expire(indexes: Indexes, query: Mapping[str, Any], now: datetime, **also: Any) -> Commands[int]:
    """Make stale what matches and is fresh, and set other fields with it; return how many entries that were."""
    yield from indexes.make()
    reply = yield update({**query, "expires_at": {"$gt": now}}, {"$set": {"expires_at": now, **also}}, many=True)
    return int(reply.get("nModified", 0))


def _requested_url(document: Mapping[str, Any]) -> str | None:
    """Return the URL that was requested, where a key ends in a digest instead; after redirects, the first."""
    if "#" not in document["_id"]:
        return None
    history, url = document.get("history"), document.get("url")
    first = history[0] if isinstance(history, list) and history else None
    url = first.get("url") if isinstance(first, Mapping) else url
    return url if isinstance(url, str) else None


def _between(first: str, end: str) -> dict[str, Any]:
    return {"_id": {"$gte": first, "$lt": end}}


def _fetched_before(moment: datetime) -> dict[str, Any]:
    """Match what was last fetched or confirmed before a moment."""
    return {"$or": [{"validated_at": {"$lt": moment}}, {"validated_at": None, "timestamp": {"$lt": moment}}]}
