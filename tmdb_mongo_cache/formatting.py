"""Sizes, durations and HTML tables as people read them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

Progress = Callable[[str, int, int], None]
"""Reports the current step, how much of it is done, and its total (0 if not known)."""


def bytes_text(count: float) -> str:
    """Return a number of bytes for people: ``873 B``, ``24.1 kB``, ``1.3 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            break
        count /= 1000
    return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"


def time_text(seconds: float) -> str:
    """Return a duration rounded to one unit: ``12.0 ms``, ``45 s``, ``23 min``, ``17 h``, ``12 days``."""
    if seconds < 1:
        return f"{seconds * 1000:.1f} ms"
    for unit, size, most in (("s", 1, 120), ("min", 60, 120), ("h", 3600, 48)):
        if seconds < size * most:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86400:.0f} days"


def duration_text(seconds: float, *, largest_unit_only: bool = False) -> str:
    """Return a duration in its two largest units: ``90 s``, ``24 h``, ``26 h 12 min``, ``27 days 4 h``.

    Args:
        seconds: how long it is.
        largest_unit_only: leave out the smaller unit, without rounding up: ``26 h``.
    """
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    large, name, small, smaller = (60, "min", 1, "s")
    if whole >= 3600:
        large, name, small, smaller = (3600, "h", 60, "min") if whole < 48 * 3600 else (86400, "days", 3600, "h")
    # Rounded to the smaller unit before it is split, so that there is no "1 h 60 min".
    count, rest = divmod(round(whole / small), large // small)
    return f"{count} {name}" + (f" {rest} {smaller}" if rest and not largest_unit_only else "")


def moment_text(moment: datetime, now: datetime | None = None) -> str:
    """Return a time in UTC; with ``now``, also how far away it is: ``2026-11-22 12:00:00 UTC, 3 h ago``."""
    text = f"{moment:%Y-%m-%d %H:%M:%S} UTC"
    if now is None:
        return text
    seconds = (now - moment).total_seconds()
    return f"{text}, {duration_text(seconds)} ago" if seconds >= 0 else f"{text}, in {duration_text(-seconds)}"


def count_text(number: int, noun: str) -> str:
    """Return a number with its noun: ``1 response``, ``2 responses``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def html_table(title: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table without scripts or styles of its own; ``heads`` may be empty."""
    from html import escape

    head = "".join(f"<th>{escape(cell)}</th>" for cell in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    head = f"<thead><tr>{head}</tr></thead>" if head else ""
    return f"<table><caption>{escape(title)}</caption>{head}<tbody>{body}</tbody></table>"
