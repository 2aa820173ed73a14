"""Expirations: what a user may write, what is made of it, and when an entry ends.

A user may give seconds, a ``timedelta``, a ``datetime``, or requests-cache's
constants ``NEVER_EXPIRE`` (-1), ``EXPIRE_IMMEDIATELY`` (0) and ``DO_NOT_CACHE``;
here it becomes, once, seconds as a float (``math.inf`` for never), an aware
``datetime``, :data:`DO_NOT_CACHE`, or :data:`ADAPTIVE`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, Final

DEFAULT: Final = 24 * 3600.0
"""Seconds for whatever is not known better; :data:`.freshness.TABLE` has what is."""

LONGEST: Final = timedelta(days=180)
"""TMDB's terms allow keeping an answer for six months; nothing is kept longer after its fetch."""

DO_NOT_CACHE: Final = 0x0D0E0200020704
"""requests-cache's constant of this name and value: fetch, and store nothing."""

ADAPTIVE: Final = "adaptive"
"""By the age of the film or show, see :func:`.freshness.adaptive_seconds`."""

Expiration = float | datetime | int
"""A normalised expiration: seconds, a moment, or :data:`DO_NOT_CACHE` (the only ``int``)."""

Wanted = Expiration | str
"""What a setting may ask for: an expiration, or :data:`ADAPTIVE` (the only ``str``)."""


def normalise(value: Any, name: str) -> Expiration:
    """Turn one expiration as users write it into its normal form.

    Raises:
        ValueError: the value is none; the text says what would be one.
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
    """Say what is to be written in a program for what would do in the environment."""
    found = re.fullmatch("([0-9]+(?:[.][0-9]+)?) ?([smhdw]?)", value) if isinstance(value, str) else None
    if found is None:
        return ""
    python = f"timedelta({_UNITS[found[2]]}={found[1]})" if found[2] else found[1]
    return f": in Python write {python}, for {value!r} is what the environment takes"


def wanted(value: Any, name: str) -> Wanted:
    """Turn what a user may give as ``expire_after`` into its normal form: an expiration, or ``"adaptive"``.

    Raises:
        ValueError: the value is neither; the text says what would be one.
    """
    if isinstance(value, str):
        if value == ADAPTIVE:
            return ADAPTIVE
        raise ValueError(
            f"{name} must be seconds, a timedelta, a datetime or {ADAPTIVE!r}, not {value!r}{_hint(value)}"
        )
    return normalise(value, name)


def duration(value: Any, name: str) -> float:
    """Turn a length of time (seconds, a timedelta, True for ever, False for none) into seconds.

    Raises:
        ValueError: the value is none; the text says what would be one.
    """
    if value is True:
        return math.inf
    if value is False or value is None:
        return 0.0
    normal = None if isinstance(value, datetime) else normalise(value, name)
    if normal is None or isinstance(normal, int | datetime):
        raise ValueError(f"{name} must be seconds or a timedelta, not {value!r}{_hint(value)}")
    return normal


def by_class(value: Mapping[str, Any], name: str) -> dict[str, Wanted]:
    """Turn a mapping from classes of endpoints into its normal form.

    Raises:
        ValueError: a class is unknown or a value is none.
    """
    from .endpoints import CLASSES  # a table of all paths, which most programs' settings do not need

    unknown = sorted(str(key) for key in value if key not in CLASSES)
    if unknown:
        raise ValueError(f"{name} has no class {unknown[0]!r}; the classes are: {', '.join(sorted(CLASSES))}")
    return {key: wanted(item, f"{name}[{key!r}]") for key, item in value.items()}


def expires_at(expiration: Expiration, fetched: datetime, now: datetime) -> datetime:
    """Return until when an answer is fresh.

    Args:
        expiration: normalised; seconds count from ``now``.
        fetched: when TMDB sent the answer.
        now: when it was fetched or validated.
    """
    last = fetched + LONGEST
    if isinstance(expiration, datetime):
        return min(expiration, last)
    if expiration >= LONGEST.total_seconds():
        return last
    return min(now + timedelta(seconds=expiration), last)


def purge_at(expires: datetime, fetched: datetime, stale_if_error: float) -> datetime:
    """Return when an entry is to be deleted: its expiry and ``stale_if_error`` seconds, at most six months."""
    last = fetched + LONGEST
    if stale_if_error >= LONGEST.total_seconds():
        return last
    return min(expires + timedelta(seconds=stale_if_error), last)
