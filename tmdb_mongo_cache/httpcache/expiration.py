"""Expirations: the values of settings, their normal form, and when an entry expires and is purged.

A user may give seconds, a ``timedelta``, a ``datetime``, or requests-cache's
constants ``NEVER_EXPIRE`` (-1), ``EXPIRE_IMMEDIATELY`` (0) and ``DO_NOT_CACHE``;
here it becomes, once, seconds as a float (``math.inf`` for never), an aware
``datetime``, :data:`DO_NOT_CACHE`, or :data:`ADAPTIVE`.
"""

from __future__ import annotations

import math
import re
from datetime import datetime, timedelta, timezone
from typing import Any, Final

DEFAULT: Final = 24 * 3600.0
"""Seconds, for endpoints without a value of their own."""

LONGEST: Final = timedelta(days=180)
"""The longest time that an entry is stored after its fetch, whatever the settings: six months."""

DO_NOT_CACHE: Final = 0x0D0E0200020704
"""requests-cache's constant of this name and value: the response is not stored."""

ADAPTIVE: Final = "adaptive"
"""By the age of the title that the response is about."""

Expiration = float | datetime | int
"""A normalised expiration: seconds, a moment, or :data:`DO_NOT_CACHE` (the only ``int``)."""

ExpirationSetting = Expiration | str
"""The normal form of a setting: an expiration, or :data:`ADAPTIVE` (the only ``str``)."""


def normalise(value: Any, name: str) -> Expiration:
    """Return an expiration in its normal form.

    Raises:
        ValueError: the value is invalid; the message says which values are valid.
    """
    if isinstance(value, bool):
        raise ValueError(f"{name} must be seconds, a timedelta or a datetime, not {value!r}")
    if isinstance(value, int) and value == DO_NOT_CACHE:
        return DO_NOT_CACHE
    try:
        if isinstance(value, datetime):
            return value.astimezone(timezone.utc)
        if isinstance(value, int | float | timedelta):
            seconds = value.total_seconds() if isinstance(value, timedelta) else float(value)
            if seconds >= 0:  # False for NaN
                return seconds
            if value == -1:  # the number; a timedelta of -1 s is a mistake
                return math.inf
    except OverflowError:
        raise ValueError(f"{name} is beyond what a date or a number can hold; -1 means never") from None
    hint = _hint(value)
    raise ValueError(
        f"{name} must be seconds (0 or more, -1 for never), a timedelta or a datetime, not {value!r}{hint}"
    )


_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def _hint(value: object) -> str:
    """Return what to write in Python for a value that is only valid in an environment variable."""
    found = re.fullmatch("([0-9]+(?:[.][0-9]+)?) ?([smhdw]?)", value) if isinstance(value, str) else None
    if found is None:
        return ""
    python = f"timedelta({_UNITS[found[2]]}={found[1]})" if found[2] else found[1]
    return f": in Python write {python}; {value!r} is for environment variables"


def normalise_setting(value: Any, name: str) -> ExpirationSetting:
    """Return a value of ``expire_after`` in its normal form: an expiration, or ``"adaptive"``.

    Raises:
        ValueError: the value is invalid; the message says which values are valid.
    """
    if isinstance(value, str):
        if value == ADAPTIVE:
            return ADAPTIVE
        raise ValueError(
            f"{name} must be seconds, a timedelta, a datetime or {ADAPTIVE!r}, not {value!r}{_hint(value)}"
        )
    return normalise(value, name)


def duration(value: Any, name: str) -> float:
    """Return a duration (seconds, a timedelta, True for no limit, False for none) in seconds.

    Raises:
        ValueError: the value is invalid; the message says which values are valid.
    """
    if value is True:
        return math.inf
    if value is False or value is None:
        return 0.0
    normal = None if isinstance(value, datetime) else normalise(value, name)
    if normal is None or isinstance(normal, int | datetime):
        raise ValueError(f"{name} must be seconds or a timedelta, not {value!r}{_hint(value)}")
    return normal


def expires_at(expiration: Expiration, fetched: datetime, now: datetime) -> datetime:
    """Return when a response expires.

    Args:
        expiration: normalised; seconds count from ``now``.
        fetched: when TMDB sent the response.
        now: when it was fetched or revalidated.
    """
    last = fetched + LONGEST
    if isinstance(expiration, datetime):
        return min(expiration, last)
    if expiration >= LONGEST.total_seconds():
        return last
    return min(now + timedelta(seconds=expiration), last)


def purge_at(expires: datetime, fetched: datetime, stale_if_error: float) -> datetime:
    """Return when an entry is purged: ``stale_if_error`` seconds after it expires, by six months after its fetch."""
    last = fetched + LONGEST
    if stale_if_error >= LONGEST.total_seconds():
        return last
    return min(expires + timedelta(seconds=stale_if_error), last)
