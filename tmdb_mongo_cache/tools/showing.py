"""One entry whole, for people and as JSON; and what there is near it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from ..tmdb import bodies, reasons, urls
from ..tmdb.calls import Call, classify
from ..tmdb.endpoints import BY_ID
from ..tmdb.entry import Entry, header
from ..tmdb.keys import START, Parts, parts_of
from . import lasting

if TYPE_CHECKING:
    from ..cache import TMDBCache
    from ..store.document import EntryInfo
    from ..store.listing import Kept

_TOLD = ("content-type", "date", "age", "cache-control", "etag", "last-modified", "via", "x-cache", "x-memc")


def kept(cache: TMDBCache, key: str) -> Kept | None:
    """Return what is kept under a key."""
    return cache._store.listing.get(key, bounded=False)


def near(cache: TMDBCache, key: str) -> list[str]:
    """Return keys of the same path with another query: other languages, other params."""
    return [found for found in cache._store.listing.same_path(key.partition("?")[0]) if found != key]


def count_documents(cache: TMDBCache) -> int:
    """Return how many documents are in the collection, whosoever they are."""
    return cache._store.listing.count({})


def place(cache: TMDBCache) -> str:
    """Name the collection and where it is, without a credential."""
    return f"{cache.config.database}.{cache.config.collection} at {cache._store.connection.where}"


def details_key(entries: list[EntryInfo], media_type: str, tmdb_id: int | str) -> str | None:
    """Return the key of a title's details among its entries: those without params, else the first there are."""
    template = BY_ID.get(media_type)
    found = [entry.key for entry in entries if entry.status == 200 and (template is None or entry.endpoint == template)]
    plain = f"/3/{media_type}/{tmdb_id}"

    def order(key: str) -> tuple[bool, bool, int, str]:
        parts = parts_of(key)
        rest = "" if parts is None else parts.path + parts.query
        return rest != plain, parts is None or parts.start != START, len(rest), key

    return min(found, key=order, default=None)


def stands_in_until(cache: TMDBCache, entry: Entry) -> datetime:
    """Return until when an entry may stand in for a TMDB that fails."""
    longer = cache.config.policy.stale_if_error
    with suppress(OverflowError):
        return min(entry.expires_at + timedelta(seconds=longer), entry.purge_at)
    return entry.purge_at


def url_of(entry: Entry) -> str | None:
    """Return an URL that has the key of an entry; None where there is none (or nobody knows it)."""
    parts = parts_of(entry.key)
    if parts is not None and "#" in entry.key:  # the key does not tell it
        target = urls.split(entry.url)
        parts = None if target is None else parts._replace(path=target.path, query=f"?{target.query}")
    call = None if parts is None else _call(parts)
    return call.url if call is not None and call.key == entry.key else None


def _call(parts: Parts) -> Call | None:
    """Return the call of a key, whatever host that is of."""
    return classify("GET", parts.url, {}, hosts=frozenset({parts.place}))


def rule(cache: TMDBCache, entry: Entry, now: datetime) -> str:
    """Say how long the answer would be fresh by the settings here if it came now; empty where that is not known."""
    rules, url = cache.config.policy, url_of(entry)
    if entry.status == 404:
        return f"{lasting.of_missing(rules)}, by not_found_expire_after"
    target = urls.split(url)
    call = None if target is None else classify("GET", url, {}, hosts=frozenset({target.host}))
    if url is None or call is None:
        return ""
    found = lasting.of(call, rules, entry, now, cache.config.matching_pattern(url))
    return found.rule if found.rule.startswith("not kept") else f"fresh for {found.rule}"


def as_document(cache: TMDBCache, found: Kept, entry: Entry, now: datetime) -> dict[str, Any]:
    """Return all that is known of an entry, its answer parsed, by stable names."""
    return {
        "key": entry.key,
        "media_type": entry.media_type,
        "tmdb_id": entry.tmdb_id,
        "endpoint": entry.endpoint,
        "status": entry.status,
        "reason": entry.reason,
        "fresh": now < entry.expires_at,
        "timestamp": entry.timestamp,
        "validated_at": entry.validated_at,
        "changed_at": found.changed_at,
        "expires_at": entry.expires_at,
        "rule": rule(cache, entry, now),
        "stands_in_until": stands_in_until(cache, entry),
        "purge_at": entry.purge_at,
        "size": len(entry.body),
        "url": entry.url,
        "history": [{"url": hop.url, "status": hop.status} for hop in entry.history],
        "headers": dict(entry.headers),
        "data": bodies.parse_if_whole(entry.body),
    }


def rows(cache: TMDBCache, found: Kept, entry: Entry, now: datetime) -> list[tuple[str, str]]:
    """Return what is known of an entry, but for its answer, as names and texts."""
    about = f"{entry.media_type} {entry.tmdb_id}" if entry.media_type and entry.tmdb_id is not None else ""
    lines = [
        ("key", entry.key),
        ("about", about),
        ("endpoint", entry.endpoint or ""),
        ("status", f"{entry.status} {entry.reason}".strip()),
        ("size", f"{len(entry.body)} bytes"),
        ("fetched", _moment(entry.timestamp, now)),
        ("confirmed", _moment(entry.validated_at, now)),
        ("changed", _moment(found.changed_at, now, " (TMDB's feed of changes)")),
        ("fresh until" if now < entry.expires_at else "stale since", _moment(entry.expires_at, now)),
        ("by settings", rule(cache, entry, now)),
        ("stands in", f"until {_moment(stands_in_until(cache, entry), now)}, when TMDB fails"),
        ("deleted", _moment(entry.purge_at, now)),
        ("led to", (entry.url or "") if entry.history else ""),
        *((name, text) for name, text in _told(entry.headers)),
    ]
    return [(name, text) for name, text in lines if text]


def _told(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(name, value) for name in _TOLD if (value := header(headers, name)) is not None]


def _moment(moment: datetime | None, now: datetime, more: str = "") -> str:
    if moment is None:
        return ""
    seconds = (now - moment).total_seconds()
    away = f"{reasons.length(seconds)} ago" if seconds >= 0 else f"in {reasons.length(-seconds)}"
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC, {away}{more}"
