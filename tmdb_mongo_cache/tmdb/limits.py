"""TMDB's limits and its bad moments: how long to wait, and when to try again. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

from .entry import header

MOST_CONNECTIONS = 20
"""TMDB's own limit for one address."""

RATE = 20.0
"""Calls a second that the cache makes by itself: half of what TMDB allows (40 to 50), for programs run beside it."""

LEASE = 3.0
"""Seconds that a lease lasts unless it is renewed, which it is in each of them: whose holder lives is held longer."""

LONGEST_PAUSE = 3600.0
"""Seconds: a ``Retry-After`` beyond that is taken for this."""

_SLOW = 1.0
_PAUSES = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return the seconds that an answer asks to wait (RFC 9110 section 10.2.3); None where it does not say."""
    said = (header(headers, "retry-after") or "").strip()
    if said.isascii() and said.isdigit():
        return min(float(said[:12]), LONGEST_PAUSE)
    try:
        moment = parsedate_to_datetime(said)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    try:
        return min(max((moment - now).total_seconds(), 0.0), LONGEST_PAUSE)
    except OverflowError:  # its zone takes it out of the years there are
        return None


def pause_after(failures: int, took: float = 0.0, said: float | None = None) -> float:
    """Return the seconds for which a stale answer is served without asking TMDB again.

    One failure may be an accident: the next caller tries again at once, unless
    the failure was slow to come or TMDB says when. After that the pauses grow,
    to half a minute.

    Args:
        failures: how many there were in a row.
        took: seconds that the last one took; what was slow is left alone for as long.
        said: what TMDB's ``Retry-After`` asks for.
    """
    growing = _PAUSES[min(max(failures, 1), len(_PAUSES)) - 1]
    return max(growing, min(max(took if took >= _SLOW else 0.0, said or 0.0), _PAUSES[-1]))


def pause_at_limit(limited: int, said: float | None) -> float:
    """Return the seconds to wait after a 429: as told, else one, two, four, …; TMDB does not always tell.

    Args:
        limited: how many there were in a row.
        said: what its ``Retry-After`` asks for.
    """
    if said is None:
        return math.ldexp(1.0, min(max(limited, 1), 6) - 1)
    return said if limited <= 1 else max(said, 1.0)  # who was told "at once" and was limited again was told wrong
