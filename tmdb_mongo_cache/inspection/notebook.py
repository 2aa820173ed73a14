"""What a notebook shows of a cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..formatting import html_table

if TYPE_CHECKING:
    from ..engine import Engine
    from ..metrics.counters import CacheStats


def of_cache(engine: Engine, stats: CacheStats) -> str:
    """Return the collection, the settings that are not the default, and the counts, as HTML tables."""
    from ..mongo.client import where  # which imports pymongo

    config = engine.config
    plain = type(config)()
    rows = [("MongoDB", where(config)), ("collection", f"{config.database}.{config.collection}")]
    rows += [
        (name, repr(getattr(config, name)))
        for name in type(config).__dataclass_fields__
        if name not in ("uri", "client", "database", "collection", "on_event")
        and getattr(config, name) != getattr(plain, name)
    ]
    state = "closed" if engine.closed else "this process"
    return html_table("TMDBCache", (), rows) + html_table(f"Calls ({state})", (), stats.rows())
