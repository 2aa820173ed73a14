"""The clocks of the flow, injected so that a test can stop them."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timezone
from typing import NamedTuple

_UTC = timezone.utc

# Both look their function up each time: a program's tests may set the time (freezegun).


def now() -> datetime:
    """Return the time in UTC."""
    return datetime.now(_UTC)


def monotonic() -> float:
    """Return seconds that only grow."""
    return time.monotonic()


def utcnow() -> datetime:
    """Return the time in UTC with MongoDB's precision (milliseconds): what is written is what is read."""
    return whole_milliseconds(now())


def whole_milliseconds(moment: datetime) -> datetime:
    """Return a moment with MongoDB's precision."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


class Clock(NamedTuple):
    """The time of day, and seconds that only grow."""

    now: Callable[[], datetime] = now
    monotonic: Callable[[], float] = monotonic


SYSTEM = Clock()
