"""Numbers and tables as people read them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def bytes_text(count: float) -> str:
    """Return a number of bytes for people: ``873 B``, ``24.1 kB``, ``1.3 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            break
        count /= 1000
    return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"


def time_text(seconds: float) -> str:
    """Return a length of time for people, in one unit: ``12.0 ms``, ``45 s``, ``23 min``, ``17 h``, ``12 days``."""
    if seconds < 1:
        return f"{seconds * 1000:.1f} ms"
    for unit, size, most in (("s", 1, 120), ("min", 60, 120), ("h", 3600, 48)):
        if seconds < size * most:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86400:.0f} days"


def html_table(title: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table without scripts or styles of its own; ``heads`` may be empty."""
    from html import escape

    head = "".join(f"<th>{escape(cell)}</th>" for cell in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    head = f"<thead><tr>{head}</tr></thead>" if head else ""
    return f"<table><caption>{escape(title)}</caption>{head}<tbody>{body}</tbody></table>"
