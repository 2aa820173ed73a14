"""What a notebook shows of a cache and its usage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..display import bytes_text, html_table, time_text
from .surroundings import where

if TYPE_CHECKING:
    from ..cache import TMDBCache
    from .usage import Usage, UsageReport

_MOST_ROWS = 30


def of_cache(cache: TMDBCache) -> str:
    """Show where a cache keeps its answers, what is not as it is by default, and what it has counted."""
    config = cache.config
    plain = type(config)()
    rows = [("MongoDB", where(config)), ("collection", f"{config.database}.{config.collection}")]
    rows += [
        (name, repr(getattr(config, name)))
        for name in type(config).__dataclass_fields__
        if name not in ("uri", "client", "database", "collection", "on_event", "urls_expire_after")
        and getattr(config, name) != getattr(plain, name)
    ]
    if config.urls_expire_after:
        rows.append(("urls_expire_after", repr(config.urls_expire_after)))
    state = "closed" if cache.closed else "this process"
    return html_table("TMDBCache", (), rows) + html_table(f"Calls ({state})", (), cache.stats().rows())


def of_report(report: UsageReport) -> str:
    """Show what all processes have saved, by day and by endpoint."""
    total = report.total
    text = (
        f"<p>{total.calls_saved} of {total.calls} calls saved, {bytes_text(total.bytes_saved)} and "
        f"{time_text(max(total.seconds_saved, 0))}</p>"
    )
    heads = ("", "calls", "hits", "stale", "misses", "saved")
    days = [(f"{day}", *_usage_cells(row)) for day, row in report.days[-_MOST_ROWS:]]
    endpoints = [(name, *_usage_cells(row)) for name, row in report.endpoints[:_MOST_ROWS]]
    return text + html_table("By day", heads, days) + html_table("By endpoint", heads, endpoints)


def _usage_cells(row: Usage) -> tuple[str, ...]:
    return (
        f"{row.calls}",
        f"{row.hits}",
        f"{row.stale}",
        f"{row.misses}",
        time_text(max(row.seconds_saved, 0)),
    )
