"""A MongoDB cache under every program that calls TMDB with requests, without a change to its code.

>>> import tmdb_mongo_cache
>>> cache = tmdb_mongo_cache.install()  # from here on every TMDB call made with requests is cached
>>> tmdb_mongo_cache.is_installed()
True
>>> tmdb_mongo_cache.uninstall()

(PYTEST_DONT_REWRITE: under ``tmdb-mongo-cache run -m pytest`` this is imported before pytest, which would warn of it.)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._version import __version__

if TYPE_CHECKING:
    from .cache import TMDBCache
    from .config import CacheConfig
    from .doors.backend import MongoBackend
    from .doors.decorator import cached_tmdb
    from .doors.patch import disabled, enabled, install, is_installed, uninstall
    from .doors.session import TMDBSession
    from .errors import (
        CacheError,
        ConfigError,
        EmbeddedServerError,
        OfflineError,
        StoreError,
        StoreUnavailable,
        UpstreamError,
    )
    from .jobs.following import ChangesReport
    from .jobs.warming import WarmReport
    from .responses import TMDBResponse
    from .stats import CacheEvent, CacheStats
    from .store.document import EntryInfo
    from .tools.explaining import Explanation
    from .tools.importing import ImportReport
    from .tools.usage import UsageReport
    from .tools.verdicts import Verdict

__all__ = [
    "CacheConfig",
    "CacheError",
    "CacheEvent",
    "CacheStats",
    "ChangesReport",
    "ConfigError",
    "EmbeddedServerError",
    "EntryInfo",
    "Explanation",
    "ImportReport",
    "MongoBackend",
    "OfflineError",
    "StoreError",
    "StoreUnavailable",
    "TMDBCache",
    "TMDBResponse",
    "TMDBSession",
    "UpstreamError",
    "UsageReport",
    "Verdict",
    "WarmReport",
    "__version__",
    "cached_tmdb",
    "disabled",
    "enabled",
    "install",
    "is_installed",
    "uninstall",
]

# Imported when first asked for: requests-cache and pymongo cost more than a
# program that only wants install() should pay at its start.
_HOMES = {
    "CacheConfig": "config",
    "CacheError": "errors",
    "CacheEvent": "stats",
    "CacheStats": "stats",
    "ChangesReport": "jobs.following",
    "ConfigError": "errors",
    "EmbeddedServerError": "errors",
    "EntryInfo": "store.document",
    "Explanation": "tools.explaining",
    "ImportReport": "tools.importing",
    "MongoBackend": "doors.any_backend",
    "OfflineError": "errors",
    "StoreError": "errors",
    "StoreUnavailable": "errors",
    "TMDBCache": "cache",
    "TMDBResponse": "responses",
    "TMDBSession": "doors.session",
    "UpstreamError": "errors",
    "UsageReport": "tools.usage",
    "Verdict": "tools.verdicts",
    "WarmReport": "jobs.warming",
    "cached_tmdb": "doors.decorator",
    "disabled": "doors.patch",
    "enabled": "doors.patch",
    "install": "doors.patch",
    "is_installed": "doors.patch",
    "uninstall": "doors.patch",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f".{home}", __name__)
    # With its neighbours: should a program import this package anew, the names of one copy stay together.
    globals().update({other: getattr(module, other) for other, where in _HOMES.items() if where == home})
    return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
