"""A MongoDB cache for programs that call TMDB with requests, without changes to their code.

>>> import tmdb_mongo_cache
>>> cache = tmdb_mongo_cache.install()  # from now on every TMDB call made with requests is cached
>>> tmdb_mongo_cache.is_installed()
True
>>> tmdb_mongo_cache.uninstall()

(PYTEST_DONT_REWRITE: under ``tmdb-mongo-cache run -m pytest`` this is imported before pytest, which would warn.)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._version import __version__

if TYPE_CHECKING:
    from .activation.decorator import cached_tmdb
    from .activation.install import disabled, enabled, install, is_installed, uninstall
    from .activation.session import TMDBSession
    from .cache import TMDBCache
    from .config import CacheConfig
    from .doctor.verdicts import Verdict
    from .errors import (
        CacheError,
        ConfigError,
        EmbeddedServerError,
        OfflineError,
        StoreError,
        StoreUnavailable,
        UpstreamError,
    )
    from .inspection.explain import Explanation
    from .inspection.usage import UsageReport
    from .integrations.requests.response import TMDBResponse
    from .integrations.requests_cache.backend import MongoBackend
    from .maintenance.change_feed import ChangesReport
    from .maintenance.warm import WarmReport
    from .metrics.counters import CacheEvent, CacheStats
    from .mongo.document import EntryInfo
    from .transfer.importer import ImportReport

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

# Imported when first accessed: requests-cache and pymongo take too long for a program
# that only calls install() at its start.
_HOMES = {
    "CacheConfig": "config",
    "CacheError": "errors",
    "CacheEvent": "metrics.counters",
    "CacheStats": "metrics.counters",
    "ChangesReport": "maintenance.change_feed",
    "ConfigError": "errors",
    "EmbeddedServerError": "errors",
    "EntryInfo": "mongo.document",
    "Explanation": "inspection.explain",
    "ImportReport": "transfer.importer",
    "MongoBackend": "integrations.requests_cache.version_check",
    "OfflineError": "errors",
    "StoreError": "errors",
    "StoreUnavailable": "errors",
    "TMDBCache": "cache",
    "TMDBResponse": "integrations.requests.response",
    "TMDBSession": "activation.session",
    "UpstreamError": "errors",
    "UsageReport": "inspection.usage",
    "Verdict": "doctor.verdicts",
    "WarmReport": "maintenance.warm",
    "cached_tmdb": "activation.decorator",
    "disabled": "activation.install",
    "enabled": "activation.install",
    "install": "activation.install",
    "is_installed": "activation.install",
    "uninstall": "activation.install",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f".{home}", __name__)
    # All names of the module, so that they are of one copy if a program imports this package again.
    globals().update({other: getattr(module, other) for other, where in _HOMES.items() if where == home})
    return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
