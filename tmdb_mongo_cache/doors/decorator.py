"""``@cached_tmdb``: every TMDB call made in a function, and in the threads it starts, is cached."""

from __future__ import annotations

import functools
import inspect
import pkgutil
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from types import FunctionType
from typing import Any, TypeVar, overload

import wrapt

from .. import scope
from ..cache import TMDBCache
from . import patch

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

# What of a class is wrapped besides its ordinary methods: the special methods in which it may call TMDB.
_SPECIAL = frozenset(
    [
        "__init__",
        "__call__",
        "__enter__",
        "__exit__",
        "__iter__",
        "__next__",
        "__getitem__",
        "__getattr__",
        "__len__",
        "__contains__",
        "__aenter__",
        "__aexit__",
        "__aiter__",
        "__anext__",
        "__await__",
        "__post_init__",
        "__bool__",
        "__str__",
        "__repr__",
    ]
)

_submitting: ContextVar[bool] = ContextVar("tmdb_mongo_cache_submitting", default=False)


class _Bound(wrapt.BoundFunctionWrapper):  # type: ignore[type-arg]
    """A decorated method as it is read from an object."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        if isinstance(self.__wrapped__, FunctionType):  # of a staticmethod
            return pkgutil.resolve_name, (f"{self.__wrapped__.__module__}:{self.__wrapped__.__qualname__}",)
        return self.__wrapped__.__reduce_ex__(protocol)

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: Any) -> Any:
        return self


class _Decorated(wrapt.FunctionWrapper):  # type: ignore[type-arg]
    """A decorated function: pickled by its name and copied by reference, as functions are."""

    __bound_function_wrapper__ = _Bound

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.__wrapped__.__qualname__

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: Any) -> Any:
        return self


@overload
def cached_tmdb(wrapped: Decorated, /) -> Decorated: ...
@overload
def cached_tmdb(*, cache: TMDBCache | None = None, **settings: Any) -> Callable[[Decorated], Decorated]: ...


def cached_tmdb(wrapped: Any = None, /, *, cache: TMDBCache | None = None, **settings: Any) -> Any:
    """Cache the TMDB calls made with requests while a function runs.

    For functions, methods, classmethods, staticmethods, classes (all their
    methods), coroutines, generators and async generators; below or above
    ``@classmethod``, ``@staticmethod`` and ``@property``. Name, signature,
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
    if cache is not None and not isinstance(cache, TMDBCache):
        raise TypeError(f"cache must be a TMDBCache, not {type(cache).__name__}")
    if wrapped is None:
        return lambda function: _decorate(function, cache, changes)
    return _decorate(wrapped, cache, changes)


def _decorate(wrapped: Any, cache: TMDBCache | None, changes: Mapping[str, Any]) -> Any:
    if isinstance(wrapped, type):
        return _decorate_class(wrapped, cache, changes)
    if isinstance(wrapped, property):
        parts = (wrapped.fget, wrapped.fset, wrapped.fdel)
        fget, fset, fdel = (part and _decorate(part, cache, changes) for part in parts)
        return property(fget, fset, fdel, wrapped.__doc__)
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
        found = patch.scope_for(cache, changes, inherited=True)
        with _threads_follow(), patch.holding(found):
            yield

    function = wrapped.__func__ if isinstance(wrapped, classmethod | staticmethod) else wrapped
    return _Decorated(wrapped, _runner(function, within))


def _runner(function: Any, within: Callable[[], Any]) -> Callable[..., Any]:
    """Return what wrapt is to call: the function, in the scope each time it runs a piece."""
    while isinstance(function, functools.partial):
        function = function.func
    if inspect.iscoroutinefunction(function):
        return lambda call, _, args, kwargs: _run_coroutine(call(*args, **kwargs), within)
    if inspect.isgeneratorfunction(function):
        return lambda call, _, args, kwargs: _run_generator(call(*args, **kwargs), within)
    if inspect.isasyncgenfunction(function):
        return lambda call, _, args, kwargs: _run_async_generator(call(*args, **kwargs), within)

    def run(call: Callable[..., Any], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        with within():
            return call(*args, **kwargs)

    return run


async def _run_coroutine(coroutine: Coroutine[Any, Any, Any], within: Callable[[], Any]) -> Any:
    with within():
        return await coroutine


def _run_generator(generator: Generator[Any, Any, Any], within: Callable[[], Any]) -> Generator[Any, Any, Any]:
    # In the scope while it runs, and out of it at each yield: what its consumer does is not its own.
    step: Callable[[], Any] = functools.partial(next, generator)
    try:
        while True:
            with within():
                try:
                    value = step()
                except StopIteration as stop:
                    return stop.value
            try:
                sent = yield value
                step = functools.partial(generator.send, sent)
            except GeneratorExit:
                raise
            except BaseException as error:  # noqa: BLE001  it is handed on
                step = functools.partial(generator.throw, error)
    finally:
        with within():
            generator.close()


async def _run_async_generator(
    generator: AsyncGenerator[Any, Any], within: Callable[[], Any]
) -> AsyncGenerator[Any, Any]:
    step = functools.partial(generator.__anext__)
    try:
        while True:
            with within():
                try:
                    value = await step()
                except StopAsyncIteration:
                    return
            try:
                sent = yield value
                step = functools.partial(generator.asend, sent)
            except GeneratorExit:
                raise
            except BaseException as error:  # noqa: BLE001  it is handed on
                step = functools.partial(generator.athrow, error)
    finally:
        with within():
            await generator.aclose()


def _decorate_class(cls: type, cache: TMDBCache | None, changes: Mapping[str, Any]) -> type:
    # In place, inherited methods included: a wrapped class would not be the class its objects,
    # its subclasses and pickle know.
    seen: set[str] = {"__class_getitem__", "__init_subclass__"}
    for owner in cls.__mro__[:-1]:
        for name, value in list(vars(owner).items()):
            if name in seen or (name.startswith("__") and name.endswith("__") and name not in _SPECIAL):
                continue
            seen.add(name)
            if isinstance(value, FunctionType | classmethod | staticmethod | property | functools.cached_property):
                if isinstance(value, functools.cached_property) and owner is not cls:
                    continue  # it keeps its name and its lock; the owner's is not ours to change
                setattr(cls, name, _decorate(value, cache, changes))
    return cls


# Threads

_follow_lock = threading.RLock()
_followed = 0


@contextmanager
def _threads_follow() -> Iterator[None]:
    """Let threads started within inherit the scope, for as long as any decorated function runs."""
    global _followed
    with _follow_lock:
        _followed += 1
        if _followed == 1:
            _wrap_threads()
    try:
        yield
    finally:
        with _follow_lock:
            _followed -= 1
            if not _followed:
                _unwrap_threads()


class _ThreadPatch(wrapt.FunctionWrapper):  # type: ignore[type-arg]
    """A wrapper of ours, told from other people's by its class."""


_THREADS: dict[tuple[type, str], Callable[..., Any]] = {}


def _wrap_threads() -> None:
    for (owner, name), wrapper in _THREADS.items():
        if not isinstance(vars(owner)[name], _ThreadPatch):
            setattr(owner, name, _ThreadPatch(vars(owner)[name], wrapper))


def _unwrap_threads() -> None:
    for owner, name in _THREADS:
        current = vars(owner)[name]
        if isinstance(current, _ThreadPatch):
            setattr(owner, name, current.__wrapped__)


def _carried(found: scope.Scope, function: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        with _threads_follow(), patch.holding(found):
            return function(*args, **kwargs)

    return run


def _start(wrapped: Callable[..., Any], thread: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    found = scope.current_scope()
    if found is None or not found.inherited or _submitting.get():
        return wrapped(*args, **kwargs)
    # On the instance: subclasses override run().
    thread.run = _carried(found, thread.run)
    return wrapped(*args, **kwargs)


def _submit(wrapped: Callable[..., Any], pool: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    found = scope.current_scope()
    if found is None or not found.inherited or not args:
        return wrapped(*args, **kwargs)
    # The work belongs to the function, the pool's threads do not: they may outlive it
    # and serve others.
    token = _submitting.set(True)
    try:
        return wrapped(_carried(found, args[0]), *args[1:], **kwargs)
    finally:
        _submitting.reset(token)


_THREADS[(threading.Thread, "start")] = _start
_THREADS[(ThreadPoolExecutor, "submit")] = _submit
