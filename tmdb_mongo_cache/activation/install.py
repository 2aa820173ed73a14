"""Switching caching on and off: ``install``, ``uninstall``, ``enabled``, ``disabled``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .. import context, deferred_install
from ..cache import TMDBCache, resolve_cache
from ..config import CacheConfig
from ..integrations.requests import patch


def install(cache: TMDBCache | CacheConfig | None = None, **config: Any) -> TMDBCache:
    """Cache every TMDB call that this process makes with requests from now on.

    Idempotent: a second call without arguments only patches requests again if the
    program has reloaded it; with arguments it switches to the given cache. MongoDB
    is not imported, opened or started before the first TMDB call.

    Args:
        cache: the cache to use; None creates one from the settings or the environment.
        config: settings, as for :class:`~tmdb_mongo_cache.CacheConfig`.

    Returns:
        the cache in use.

    Raises:
        TypeError: an unknown setting.
        ConfigError: an invalid value.
    """
    deferred_install.run()  # before the lock, which it takes as well
    with patch.lock:
        before = context.installed_cache()
        same = cache is None and (not config or before is None or CacheConfig.from_env(**config) == before.config)
        if before is not None and not before.closed and same:
            patch.apply()  # requests may have been reloaded
            return before  # type: ignore[no-any-return]
        found = resolve_cache(cache, config)[0] if cache is not None or config else TMDBCache()
        context.set_installed(found)
        if before is None:
            patch.acquire()
        else:
            patch.apply()
        return found


def uninstall() -> None:
    """Undo :func:`install`; idempotent. The cache stays open, as it may be in use elsewhere."""
    deferred_install.run()  # before the lock, which it takes as well
    with patch.lock:
        if context.installed_cache() is not None:
            context.set_installed(None)
            patch.release()
            patch.clear()


def is_installed() -> bool:
    """Return whether :func:`install` is in effect, for requests as a program would import it now."""
    return context.installed_cache() is not None and patch.is_effective()


@contextmanager
def patched(scope: context.Scope) -> Iterator[None]:
    """Apply a scope within, with requests patched meanwhile."""
    patch.acquire()
    try:
        with context.entered(scope):
            yield
    finally:
        patch.release()


@contextmanager
def enabled(cache: TMDBCache | CacheConfig | None = None, **config: Any) -> Iterator[TMDBCache]:
    """Cache the TMDB calls made within, in this context (thread or task) only.

    Can be nested, and restores the previous state. A cache that was created for it is
    closed at the end.

    Args:
        cache: the cache to use; None uses the one in effect, or creates one from the settings.
        config: settings, as for :class:`~tmdb_mongo_cache.CacheConfig`.

    Raises:
        TypeError: an unknown setting, or both a cache and settings.
        ConfigError: an invalid value.
    """
    found, own = resolve_cache(cache, config)
    try:
        with patched(context.scope_of(found)):
            yield found
    finally:
        if own:
            found.close()


@contextmanager
def disabled() -> Iterator[None]:
    """Cache nothing within, in this context (thread or task) only; can be nested, and restores the previous state."""
    with context.entered(context.Scope(None)):
        yield
