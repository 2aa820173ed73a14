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
_MODULES = {
    "activation.decorator": "cached_tmdb",
    "activation.install": "disabled enabled install is_installed uninstall",
    "activation.session": "TMDBSession",
    "cache": "TMDBCache",
    "config": "CacheConfig",
    "doctor.verdicts": "Verdict",
    "errors": "CacheError ConfigError EmbeddedServerError OfflineError StoreError StoreUnavailable UpstreamError",
    "inspection.explain": "Explanation",
    "inspection.usage": "UsageReport",
    "integrations.requests.response": "TMDBResponse",
    "integrations.requests_cache.version_check": "MongoBackend",
    "maintenance.change_feed": "ChangesReport",
    "maintenance.warm": "WarmReport",
    "metrics.counters": "CacheEvent CacheStats",
    "mongo.document": "EntryInfo",
    "transfer.importer": "ImportReport",
}


def __getattr__(name: str) -> Any:
    home = next((module for module, names in _MODULES.items() if name in names.split()), None)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f".{home}", __name__)
    # All names of the module, so that they are of one copy if a program imports this package again.
    globals().update({other: getattr(module, other) for other in _MODULES[home].split()})
    return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
