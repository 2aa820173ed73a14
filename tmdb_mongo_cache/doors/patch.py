"""The patch of requests: ``install``, ``uninstall``, ``enabled``, ``disabled``.

``requests.Session.request`` and ``requests.Session.send`` are wrapped on the
class, so that ``requests.get``, sessions made earlier, names imported earlier
and subclasses are all caught; the class itself is never replaced. Other tools
wrap the same methods (OpenTelemetry, ddtrace, New Relic), and may be taken off
in any order, so nothing is remembered about the class: what it holds is looked
up each time, and only what is exactly ours is taken off. Where somebody's
wrapper lies on ours, ours stays below it and does nothing, for without a cache
in force it calls what it wraps.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FunctionType
from typing import Any

import wrapt

from .. import exchange, scope, sending
from ..cache import TMDBCache
from ..config import CacheConfig
from ..forks import ForkSafeLock

_lock = ForkSafeLock()
_holders = 0


class _Patch(wrapt.FunctionWrapper):  # type: ignore[type-arg]
    """A wrapper of ours, told from other people's by its class."""

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        # Read from the class it is itself, as a function is: tools that save `Session.send`
        # and put it back later, or take `Session.send.__wrapped__`, then handle what the class holds.
        return self if instance is None else super().__get__(instance, owner)


_SESSION = exchange.session_class()


def _send(wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    found = scope.active()
    if found is None:
        return wrapped(*args, **kwargs)
    if instance is None and args:  # called through the class
        instance, wrapped, args = args[0], partial(wrapped, args[0]), args[1:]
    if sending.is_inside(instance) or _has_own_cache(instance):
        return wrapped(*args, **kwargs)
    if not args and "request" in kwargs:
        kwargs = dict(kwargs)
        args = (kwargs.pop("request"),)
    if len(args) != 1:
        return wrapped(*args, **kwargs)
    return exchange.send(found.cache, found.rules, instance, args[0], wrapped, kwargs)


def _request(wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if scope.active() is None:
        return wrapped(*args, **kwargs)
    if not isinstance(vars(_SESSION)["send"], _Patch):
        _mend()
    if sending.is_inside(instance if instance is not None or not args else args[0]):
        # A call that an adapter makes while it sends another: no redirect, a call of its own.
        with sending.inside(None):
            return wrapped(*args, **kwargs)
    return wrapped(*args, **kwargs)


_WRAPPERS = {"request": _request, "send": _send}


def _has_own_cache(session: Any) -> bool:
    """Say whether a session does its own caching: a TMDBSession, or requests-cache's."""
    if getattr(session, "_tmdb_own_cache", False):
        return True
    module = sys.modules.get("requests_cache.session")
    # () while another thread is importing it.
    return module is not None and isinstance(session, getattr(module, "CacheMixin", ()))


def _is_in(method: Any) -> bool:
    """Say whether a wrapper of ours is somewhere in a chain of wrappers."""
    for _ in range(50):
        if isinstance(method, _Patch):
            return True
        if method is None:
            return False
        method = getattr(method, "__wrapped__", None)
    return False


def _mend() -> None:
    """Put our wrapper back where another tool's removal has taken it along.

    OpenTelemetry and ddtrace take off whatever wrapper they find on top. A mock
    (no function and no wrapper of wrapt's, or a function with a ``mock``) is a test's own business.
    """
    with _lock:
        current = vars(_SESSION)["send"]
        if _holders and isinstance(current, FunctionType | wrapt.FunctionWrapper) and not hasattr(current, "mock"):
            _wrap("send")


def _wrap(name: str) -> None:
    current = vars(_SESSION)[name]
    if not _is_in(current):
        setattr(_SESSION, name, _Patch(current, _WRAPPERS[name]))


def hold() -> None:
    """Patch requests, if nobody has yet; each ``hold`` needs its :func:`release`."""
    global _holders
    with _lock:
        _holders += 1
        for name in _WRAPPERS:
            _wrap(name)


def release() -> None:
    """Take the patch off when the last who held it lets go."""
    global _holders
    with _lock:
        _holders -= 1
        if _holders:
            return
        for name in _WRAPPERS:
            current = vars(_SESSION)[name]
            if isinstance(current, _Patch):
                setattr(_SESSION, name, current.__wrapped__)


def install(cache: TMDBCache | CacheConfig | None = None, **config: Any) -> TMDBCache:
    """Cache every TMDB call that this process makes with requests, from here on.

    Idempotent: without arguments a second call changes nothing; with them it
    changes to the cache they name. Nothing is imported, opened or started for
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
    with _lock:
        before = scope.installed_cache()
        same = cache is None and (not config or before is None or CacheConfig.from_env(**config) == before.config)
        if before is not None and not before.closed and same:
            return before
        found = scope.chosen_cache(cache, config)[0] if cache is not None or config else TMDBCache()
        scope.set_installed(found)
        if before is None:
            hold()
        return found


def uninstall() -> None:
    """Undo :func:`install`; idempotent. The cache stays open: it may be in use elsewhere."""
    with _lock:
        if scope.installed_cache() is not None:
            scope.set_installed(None)
            release()


def is_installed() -> bool:
    """Say whether :func:`install` is in force."""
    return scope.installed_cache() is not None


@contextmanager
def holding(found: scope.Scope) -> Iterator[None]:
    """Let a scope hold within, with requests patched for as long."""
    hold()
    try:
        with scope.entered(found):
            yield
    finally:
        release()


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
