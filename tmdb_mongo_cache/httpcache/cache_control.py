"""Cache-Control, Pragma, Expires and Age, in requests and responses (RFC 9111 section 5)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import NamedTuple
from urllib.request import parse_http_list

from .models import header

_MOST = 2**31  # seconds; RFC 9111 section 1.2.2: greater values count as this


class Directives(NamedTuple):
    """The cache directives of a request; durations in seconds."""

    no_store: bool = False
    no_cache: bool = False
    only_if_cached: bool = False
    max_age: float | None = None
    min_fresh: float = 0.0
    max_stale: float = 0.0
    stale_if_error: float | None = None


NONE = Directives()


def parse(value: str) -> dict[str, str | None]:
    """Split a Cache-Control header into its directives, names in lower case."""
    found: dict[str, str | None] = {}
    for item in parse_http_list(value):
        name, has_value, argument = item.partition("=")
        found.setdefault(name.strip().lower(), argument.strip().strip('"') if has_value else None)
    return found


def of_request(headers: Mapping[str, str | bytes]) -> Directives:
    """Read the cache directives of a request."""
    value = _text(headers.get("Cache-Control"))
    if value is None:
        # RFC 9111 section 5.4: Pragma counts only where Cache-Control is absent.
        pragma = _text(headers.get("Pragma"))
        return Directives(no_cache=True) if pragma and "no-cache" in pragma.lower() else NONE
    found = parse(value)
    return Directives(
        no_store="no-store" in found,
        no_cache="no-cache" in found,
        only_if_cached="only-if-cached" in found,
        max_age=_seconds(found.get("max-age")),
        min_fresh=_seconds(found.get("min-fresh")) or 0.0,
        max_stale=(_seconds(found["max-stale"]) or 0.0 if found["max-stale"] else float(_MOST))
        if "max-stale" in found
        else 0.0,
        stale_if_error=_seconds(found.get("stale-if-error")),
    )


class ResponseDirectives(NamedTuple):
    """The freshness that a response's headers give it; used only with the setting ``cache_control``."""

    revalidate: bool
    lifetime: float | None


def of_response(headers: Mapping[str, str], now: datetime) -> ResponseDirectives:
    """Read the freshness of a response from its headers, its age subtracted (RFC 9111 section 4.2)."""
    found = parse(header(headers, "cache-control") or "")
    lifetime = _seconds(found.get("s-maxage"))
    if lifetime is None:
        lifetime = _seconds(found.get("max-age"))
    if lifetime is not None:
        lifetime = max(0.0, lifetime - (_seconds(header(headers, "age")) or 0.0))
    elif expires := header(headers, "expires"):
        lifetime = max(0.0, (_http_date(expires, now) - now).total_seconds())
    return ResponseDirectives(revalidate="no-cache" in found, lifetime=lifetime)


def age_of(headers: Mapping[str, str]) -> float:
    """Return the Age header in seconds; 0 where it is missing or invalid."""
    return _seconds(header(headers, "age")) or 0.0


def _http_date(value: str, now: datetime) -> datetime:
    # RFC 9111 section 5.3: an invalid date means "already expired".
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return now - timedelta(seconds=1)
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def _seconds(value: str | None) -> float | None:
    text = "" if value is None else value.strip()
    if not text.isdigit() or not text.isascii():
        return None
    return float(min(int(text[:20]), _MOST))


def _text(value: str | bytes | None) -> str | None:
    return value.decode("latin-1") if isinstance(value, bytes) else value
