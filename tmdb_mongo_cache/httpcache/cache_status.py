"""The Cache-Status header (RFC 9211): how the cache handled a request."""

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
        hit: the response came from the cache, no request was sent to TMDB.
        fwd: why the request was forwarded: ``bypass``, ``uri-miss``, ``stale``, ``request``.
        fwd_status: the status of TMDB's response, where the caller sees another one.
        stored: the response was stored.
        collapsed: the request was coalesced with another caller's.
        ttl: seconds of freshness left, negative when stale.
        detail: where the entry was found.
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
