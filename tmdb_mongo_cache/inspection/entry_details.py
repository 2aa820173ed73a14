"""Everything about one entry, for people and as JSON; and entries with the same path."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from ..formatting import moment_text
from ..httpcache import json_body
from ..httpcache.models import Entry, header
from ..tmdb import urls
from ..tmdb.cache_key import START, parts_of
from ..tmdb.call import Call, classify
from ..tmdb.endpoints import BY_ID
from . import freshness_text

if TYPE_CHECKING:
    from ..engine import Engine
    from ..mongo.document import EntryInfo
    from ..mongo.queries import Stored

_HEADERS_SHOWN = ("content-type", "date", "age", "cache-control", "etag", "last-modified", "via", "x-cache", "x-memc")


def same_path(engine: Engine, key: str) -> list[str]:
    """Return keys with the same path and another query: other languages, other params."""
    return [found for found in engine.store.queries.same_path(key.partition("?")[0]) if found != key]


def place(engine: Engine) -> str:
    """Return the name of the collection and its server, without a credential."""
    return f"{engine.config.database}.{engine.config.collection} at {engine.store.connection.where}"


def details_key(entries: list[EntryInfo], media_type: str, tmdb_id: int | str) -> str | None:
    """Return the key of a title's details among its entries; those without params come first."""
    template = BY_ID.get(media_type)
    found = [entry.key for entry in entries if entry.status == 200 and (template is None or entry.endpoint == template)]
    plain = f"/3/{media_type}/{tmdb_id}"

    def order(key: str) -> tuple[bool, bool, int, str]:
        parts = parts_of(key)
        rest = "" if parts is None else parts.path + parts.query
        return rest != plain, parts is None or parts.start != START, len(rest), key

    return min(found, key=order, default=None)


def stale_until(engine: Engine, entry: Entry) -> datetime:
    """Return until when an entry may be served stale if TMDB fails (stale-if-error)."""
    longer = engine.config.policy.stale_if_error
    with suppress(OverflowError):
        return min(entry.expires_at + timedelta(seconds=longer), entry.purge_at)
    return entry.purge_at


def call_of(entry: Entry) -> Call | None:
    """Return a call that has the key of an entry; None if there is none, or its URL is not known."""
    parts = parts_of(entry.key)
    if parts is not None and "#" in entry.key:  # the key has only its beginning
        target = urls.split(entry.url)
        parts = None if target is None else parts._replace(path=target.path, query=f"?{target.query}")
    # On any host.
    call = None if parts is None else classify("GET", parts.url, {}, hosts=frozenset({parts.place}))
    return call if call is not None and call.key == entry.key else None


def rule(engine: Engine, entry: Entry, now: datetime) -> str:
    """Say how long the response would be fresh by the current settings if it came now; empty if not known."""
    rules, call = engine.config.policy, call_of(entry)
    if entry.status == 404:
        return f"{freshness_text.of_missing(rules)}, by not_found_expire_after"
    if call is None:
        return ""
    found = freshness_text.of(call, rules, entry, now, engine.config.matching_pattern(call.url))
    return found.rule if found.rule.startswith("not cached") else f"fresh for {found.rule}"


def as_document(engine: Engine, found: Stored, entry: Entry, now: datetime) -> dict[str, Any]:
    """Return everything about an entry, with its parsed body, under stable names."""
    return {
        **{name: getattr(entry, name) for name in ("key", "media_type", "tmdb_id", "endpoint", "status", "reason")},
        "fresh": now < entry.expires_at,
        "timestamp": entry.timestamp,
        "validated_at": entry.validated_at,
        "changed_at": found.changed_at,
        "expires_at": entry.expires_at,
        "rule": rule(engine, entry, now),
        "stands_in_until": stale_until(engine, entry),
        "purge_at": entry.purge_at,
        "size": len(entry.body),
        "url": entry.url,
        "history": [{"url": hop.url, "status": hop.status} for hop in entry.history],
        "headers": dict(entry.headers),
        "data": json_body.parse_if_whole(entry.body),
    }


def rows(engine: Engine, found: Stored, entry: Entry, now: datetime) -> list[tuple[str, str]]:
    """Return everything about an entry, but for its body, as names and texts."""
    about = f"{entry.media_type} {entry.tmdb_id}" if entry.media_type and entry.tmdb_id is not None else ""
    lines = [
        ("key", entry.key),
        ("about", about),
        ("endpoint", entry.endpoint or ""),
        ("status", f"{entry.status} {entry.reason}".strip()),
        ("size", f"{len(entry.body)} bytes"),
        ("fetched", moment_text(entry.timestamp, now)),
        ("revalidated", moment_text(entry.validated_at, now) if entry.validated_at else ""),
        ("changed", f"{moment_text(found.changed_at, now)} (TMDB's change feed)" if found.changed_at else ""),
        ("fresh until" if now < entry.expires_at else "stale since", moment_text(entry.expires_at, now)),
        ("by settings", rule(engine, entry, now)),
        ("served stale", f"until {moment_text(stale_until(engine, entry), now)}, if TMDB fails"),
        ("deleted", moment_text(entry.purge_at, now)),
        ("redirected to", (entry.url or "") if entry.history else ""),
        *((name, header(entry.headers, name) or "") for name in _HEADERS_SHOWN),
    ]
    return [(name, text) for name, text in lines if text]
