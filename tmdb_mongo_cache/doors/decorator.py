"""``@cached_tmdb``: every TMDB call made in a function, and in the threads it starts, is cached."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar, overload

from .. import scope
from ..cache import TMDBCache
from ..config import CacheConfig
from ..errors import CLOSED, StoreError
from . import patch
from .classes import decorate_class
from .running import DecoratedFunction, runner
from .threads import threads_follow

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


@overload
def cached_tmdb(wrapped: Decorated, /) -> Decorated: ...
@overload
def cached_tmdb(
    *, cache: TMDBCache | CacheConfig | None = None, **settings: Any
) -> Callable[[Decorated], Decorated]: ...


def cached_tmdb(wrapped: Any = None, /, *, cache: TMDBCache | CacheConfig | None = None, **settings: Any) -> Any:
    """Cache the TMDB calls made with requests while a function runs.

    For functions, methods, classmethods, staticmethods, classes (all their
    methods), coroutines, generators and async generators; below or above
    ``@classmethod``, ``@staticmethod`` and ``@property``, and below
    ``@contextmanager``. Name, signature,
    docstring and pickling stay as they were. Threads that the function starts
    (``threading.Thread``, ``ThreadPoolExecutor``) belong to it; other calls of
    the program do not.

    Args:
        wrapped: what is decorated.
        cache: the cache to use; None takes the one in force when the function
            is called, or one made from the environment.
        settings: for the calls made within: ``expire_after``, ``stale_if_error``,
            ``stale_while_revalidate``, ``not_found_expire_after``,
            ``cache_control``, ``only_if_cached``, ``refresh``,
            ``force_refresh``, ``offline``.

    Raises:
        TypeError: an unknown setting, or something that cannot be called.
        ConfigError: a value that cannot be used.
    """
    changes = scope.call_settings(**settings)
    if isinstance(cache, CacheConfig):
        cache = TMDBCache(cache)
    if cache is not None and not isinstance(cache, TMDBCache):
        raise TypeError(f"cache must be a TMDBCache, not {type(cache).__name__}")
    if cache is not None and cache.closed:
        raise StoreError(CLOSED)
    if wrapped is None:
        return lambda function: _decorate(function, cache, changes)
    return _decorate(wrapped, cache, changes)


def _decorate(wrapped: Any, cache: TMDBCache | None, changes: Mapping[str, Any]) -> Any:
    if isinstance(wrapped, type):
        return decorate_class(wrapped, lambda method: _decorate(method, cache, changes))
    if isinstance(wrapped, property):
        parts = (wrapped.fget, wrapped.fset, wrapped.fdel)
        fget, fset, fdel = (part and _decorate(part, cache, changes) for part in parts)
        return property(fget, fset, fdel, wrapped.__doc__)
    if isinstance(wrapped, functools.partialmethod):
        return functools.partialmethod(_decorate(wrapped.func, cache, changes), *wrapped.args, **wrapped.keywords)
    if isinstance(wrapped, functools.cached_property):
        wrapped.func = _decorate(wrapped.func, cache, changes)
        return wrapped
    if not callable(wrapped) and not isinstance(wrapped, classmethod | staticmethod):
        raise TypeError(f"cached_tmdb decorates functions and classes, not {type(wrapped).__name__}")

    @contextmanager
    def within() -> Iterator[None]:
        now = scope.current_scope()
        if now is not None and now.active is None:
            yield  # disabled() is for everything in its context
            return
        found = scope.scope_of(cache or scope.usual_cache(), changes, inherited=True)
        with threads_follow(), patch.holding(found):
            yield

    function = wrapped.__func__ if isinstance(wrapped, classmethod | staticmethod) else wrapped
    return DecoratedFunction(wrapped, runner(function, within))
