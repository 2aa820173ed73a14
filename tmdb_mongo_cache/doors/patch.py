"""The patch of requests for its users: ``install``, ``uninstall``, ``enabled``, ``disabled``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .. import pending, scope
from ..cache import TMDBCache
from ..config import CacheConfig
from . import held


def install(cache: TMDBCache | CacheConfig | None = None, **config: Any) -> TMDBCache:
    """Cache every TMDB call that this process makes with requests, from here on.

    Idempotent: without arguments a second call changes nothing, but that requests
    is caught again where the program has reloaded it; with them it changes to the
    cache they name. Nothing is imported, opened or started for
    MongoDB before the first TMDB call.

    Args:
        cache: the cache to use; None makes one of the settings, or of the environment.
        config: settings, as for :class:`~tmdb_mongo_cache.CacheConfig`.

    Returns:
        the cache in use.

    Raises:
        TypeError: an unknown setting.
        ConfigError: a value that cannot be used.
    """
    pending.settle()  # not within the lock: it is taken for that as well
    with held.lock:
        before = scope.installed_cache()
        same = cache is None and (not config or before is None or CacheConfig.from_env(**config) == before.config)
        if before is not None and not before.closed and same:
            held.catch()  # requests may have been reloaded
            return before
        found = scope.chosen_cache(cache, config)[0] if cache is not None or config else TMDBCache()
        scope.set_installed(found)
        if before is None:
            held.hold()
        else:
            held.catch()
        return found


def uninstall() -> None:
    """Undo :func:`install`; idempotent. The cache stays open: it may be in use elsewhere."""
    pending.settle()  # not within the lock: it is taken for that as well
    with held.lock:
        if scope.installed_cache() is not None:
            scope.set_installed(None)
            held.release()
            held.forget()


def is_installed() -> bool:
    """Say whether :func:`install` is in force, for requests as a program would import it now."""
    return scope.installed_cache() is not None and held.catches_all()


@contextmanager
def holding(found: scope.Scope) -> Iterator[None]:
    """Let a scope hold within, with requests patched for as long."""
    held.hold()
    try:
        with scope.entered(found):
            yield
    finally:
        held.release()


@contextmanager
def enabled(cache: TMDBCache | CacheConfig | None = None, **config: Any) -> Iterator[TMDBCache]:
    """Cache the TMDB calls made within, in this context (thread, task) alone.

    Nests, and restores what was before. A cache that was made for it is closed
    at the end.

    Args:
        cache: the cache to use; None takes the one in force, or makes one of the settings.
        config: settings, as for :class:`~tmdb_mongo_cache.CacheConfig`.

    Raises:
        TypeError: an unknown setting, or a cache and settings.
        ConfigError: a value that cannot be used.
    """
    found, own = scope.chosen_cache(cache, config)
    try:
        with holding(scope.scope_of(found)):
            yield found
    finally:
        if own:
            found.close()


@contextmanager
def disabled() -> Iterator[None]:
    """Cache nothing within, in this context (thread, task) alone; nests, and restores what was before."""
    with scope.entered(scope.Scope(None)):
        yield
