"""Retry-After (RFC 9110 section 10.2.3), and how long to back off after failures and 429s."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

from .models import header

LONGEST_PAUSE = 3600.0
"""Seconds: a longer ``Retry-After`` counts as this."""

_SLOW = 1.0
_PAUSES = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return the seconds to wait by a response's ``Retry-After`` (RFC 9110 section 10.2.3); None without."""
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
    except OverflowError:  # with its time zone it is out of range
        return None


def pause_after(failures: int, took: float = 0.0, said: float | None = None) -> float:
    """Return the seconds to back off after failures, while a stale response is served.

    After the first failure the next caller tries again at once, unless the failure
    took long or had a ``Retry-After``. After that the pauses grow, up to half a minute.

    Args:
        failures: how many there were in a row.
        took: seconds that the last one took; the pause after a slow failure is as long.
        said: the seconds of its ``Retry-After``.
    """
    growing = _PAUSES[min(max(failures, 1), len(_PAUSES)) - 1]
    return max(growing, min(max(took if took >= _SLOW else 0.0, said or 0.0), _PAUSES[-1]))


def pause_at_limit(limited: int, said: float | None) -> float:
    """Return the seconds to wait after a 429: those of its ``Retry-After``, else 1, 2, 4, … up to 32.

    Args:
        limited: how many there were in a row.
        said: the seconds of its ``Retry-After``.
    """
    if said is None:
        return math.ldexp(1.0, min(max(limited, 1), 6) - 1)
    return said if limited <= 1 else max(said, 1.0)  # a second 429 after "Retry-After: 0" shows that it was wrong
