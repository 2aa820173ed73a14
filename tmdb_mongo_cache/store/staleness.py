"""Making entries stale before their time, and finding those that were.

They stay where they are: their ETag is still good for asking TMDB, and they
stand in when it fails. Every update is one command by an index, and those who
are stale already are left alone, so that a repetition changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from ..tmdb.writes import Touched
from . import memory, written
from .document import RAW, readable
from .indexes import Indexes, Operation

_ANY_TIME = {"$gt": datetime(1970, 1, 1, tzinfo=timezone.utc)}  # what an index that is sparse can be asked for


class Staleness:
    """Makes entries of one collection stale; every method may raise ``StoreError``.

    Args:
        operation: gives the collection for one operation; see :meth:`.client.Connection.operation`.
        indexes: the collection's.
    """

    def __init__(self, operation: Operation, indexes: Indexes) -> None:
        self._operation = operation
        self._indexes = indexes

    def of_titles(self, media_type: str, ids: Sequence[int], before: datetime, now: datetime) -> int:
        """Make stale what is known of titles or people, and was fetched or confirmed before a moment.

        Args:
            media_type: theirs.
            ids: theirs; seasons, episodes and sub-resources carry their title's.
            before: the moment.
            now: the time; what is stale by then is left alone.

        Returns:
            how many entries that were.
        """
        query = {"media_type": media_type, "tmdb_id": {"$in": list(ids)}, **_fetched_before(before)}
        try:
            return self._update(query, now, {"changed_at": now}, bounded=False)
        finally:
            memory.forget_titles(media_type, frozenset(ids))

    def of_all(self, media_type: str, before: datetime, now: datetime) -> int:
        """Make stale what is known of all titles of a kind, as :meth:`of_titles` does."""
        query = {"media_type": media_type, **_fetched_before(before)}
        try:
            return self._update(query, now, {"changed_at": now}, bounded=False)
        finally:
            memory.forget_everything()

    def of_touched(self, touched: Sequence[Touched], now: datetime, *, probing: bool = False) -> int:
        """Make stale what a write has touched; within the time that one call may cost."""
        queries: list[dict[str, Any]] = []
        for keys, endpoint, pattern in touched:
            for key in keys:
                # "$" comes after "#", "@" after "?".
                queries += [{"_id": key}, _between(f"{key}#", f"{key}$"), _between(f"{key}?", f"{key}@")]
            if endpoint is not None:
                about = {"media_type": endpoint.media_type, "tmdb_id": endpoint.tmdb_id}
                spelt = {"_id": {"$regex": pattern}} if pattern else {}
                queries.append({**about, "endpoint": endpoint.template, **spelt})
        written.note(touched)
        try:
            return self._update({"$or": queries}, now, {}, probing=probing)
        finally:
            memory.forget_touched(touched)

    def _update(self, query: Mapping[str, Any], now: datetime, also: Mapping[str, Any], **options: bool) -> int:
        with self._operation(writing=True, **options) as collection:
            self._indexes.make(collection)
            changes = {"$set": {"expires_at": now, **also}}
            return collection.update_many({**query, "expires_at": {"$gt": now}}, changes).modified_count

    def changed(self) -> list[tuple[str, str | None]]:
        """Return keys, and URLs where those do not tell them, of what a change made stale and nobody fetched since."""
        with self._operation(bounded=False) as collection:
            # All at once: fetching them takes longer than a cursor lives.
            fields = {"url": 1, "history.url": 1}
            found = list(collection.with_options(codec_options=RAW).find({"changed_at": _ANY_TIME}, fields))
        return [(item["_id"], _asked_url(item)) for item in readable(found) if type(item["_id"]) is str]


def _asked_url(document: Mapping[str, Any]) -> str | None:
    """Return the URL that was asked for, where a key ends in a digest instead; after redirects, the first."""
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
