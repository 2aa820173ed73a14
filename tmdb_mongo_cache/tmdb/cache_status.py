"""The Cache-Status header (RFC 9211): what the cache did with one call."""

from __future__ import annotations

NAME = "tmdb-mongo-cache"


def cache_status(
    *,
    hit: bool = False,
    fwd: str | None = None,
    fwd_status: int | None = None,
    stored: bool = False,
    collapsed: bool = False,
    ttl: int | None = None,
    detail: str | None = None,
) -> str:
    """Write one member of the header.

    Args:
        hit: the answer came from the cache without asking TMDB.
        fwd: why TMDB was asked: ``bypass``, ``uri-miss``, ``stale``, ``request``.
        fwd_status: what TMDB answered, where it is not the status the caller sees.
        stored: the answer was stored.
        collapsed: another caller's request to TMDB was waited for instead of making one.
        ttl: seconds of freshness left, negative when stale.
        detail: where the answer came from.
    """
    parts = [NAME]
    if hit:
        parts.append("hit")
    if fwd:
        parts.append(f"fwd={fwd}")
    if fwd_status:
        parts.append(f"fwd-status={fwd_status}")
    if stored:
        parts.append("stored")
    if collapsed:
        parts.append("collapsed")
    if ttl is not None:
        parts.append(f"ttl={ttl}")
    if detail:
        parts.append(f"detail={detail}")
    return "; ".join(parts)
