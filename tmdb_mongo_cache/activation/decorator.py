"""``@cached_tmdb``: caches every TMDB call made in a function and in the threads it starts."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar, overload

from .. import context
from ..cache import TMDBCache, default_cache
from ..config import CacheConfig
from ..errors import CLOSED, StoreError
from .decorated_class import decorate_class
from .decorated_function import DecoratedFunction, wrapper_of
from .install import patched
from .threads import threads_inherit

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


@overload
def cached_tmdb(wrapped: Decorated, /) -> Decorated: ...
@overload
def cached_tmdb(
    *, cache: TMDBCache | CacheConfig | None = None, **settings: Any
) -> Callable[[Decorated], Decorated]: ...


def cached_tmdb(wrapped: Any = None, /, *, cache: TMDBCache | CacheConfig | None = None, **settings: Any) -> Any:
    """Cache the TMDB calls made with requests while a function runs.

    Decorates functions, methods, classmethods, staticmethods, classes (all their
    methods), coroutines, generators and async generators; below or above
    ``@classmethod``, ``@staticmethod`` and ``@property``, and below
    ``@contextmanager``. Name, signature, docstring and pickling are preserved.
    Threads that the function starts (``threading.Thread``, ``ThreadPoolExecutor``)
    are included; other calls of the program are not.

    Args:
        wrapped: the function or class.
        cache: the cache to use; None uses the one in effect when the function
            is called, or one created from the environment.
        settings: settings of the calls made within: ``expire_after``, ``stale_if_error``,
            ``stale_while_revalidate``, ``not_found_expire_after``,
            ``cache_control``, ``wait_on_rate_limit``, ``reuse_appended``,
            ``only_if_cached``, ``refresh``, ``force_refresh``, ``offline``.

    Raises:
        TypeError: an unknown setting, or an object that is not callable.
        ConfigError: an invalid value.
    """
    changes = context.call_settings(**settings)
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
        current = context.current_scope()
        if current is not None and current.active is None:
            yield  # disabled() applies to everything in its context
            return
        scope = context.scope_of(cache or default_cache(), changes, inherited=True)
        with threads_inherit(), patched(scope):
            yield

    function = wrapped.__func__ if isinstance(wrapped, classmethod | staticmethod) else wrapped
    return DecoratedFunction(wrapped, wrapper_of(function, within))
