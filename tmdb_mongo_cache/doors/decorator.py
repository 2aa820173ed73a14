"""``@cached_tmdb``: every TMDB call made in a function, and in the threads it starts, is cached."""

from __future__ import annotations

import functools
import inspect
import pkgutil
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterator, Mapping
from contextlib import contextmanager
from types import FunctionType
from typing import Any, TypeVar, overload

import wrapt

from .. import scope
from ..cache import TMDBCache
from . import patch
from .threads import threads_follow

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

_METHODS = (
    FunctionType,
    classmethod,
    staticmethod,
    property,
    functools.cached_property,
    functools.partialmethod,
    functools._lru_cache_wrapper,
    wrapt.FunctionWrapper,
)


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
        found = patch.scope_for(cache, changes, inherited=True)
        with threads_follow(), patch.holding(found):
            yield

    function = wrapped.__func__ if isinstance(wrapped, classmethod | staticmethod) else wrapped
    return _Decorated(wrapped, _runner(function, within))


def _runner(function: Any, within: Callable[[], Any]) -> Callable[..., Any]:
    """Return what wrapt is to call: the function, in the scope each time it runs a piece."""
    while isinstance(function, functools.partial):
        function = function.func
    if inspect.iscoroutinefunction(function):
        return lambda call, _, args, kwargs: _coroutine(call, args, kwargs, within)
    if inspect.isgeneratorfunction(function):
        return lambda call, _, args, kwargs: _run_generator(call(*args, **kwargs), within)
    if inspect.isasyncgenfunction(function):
        return lambda call, _, args, kwargs: _run_async_generator(call(*args, **kwargs), within)

    def run(call: Callable[..., Any], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        with within():
            return call(*args, **kwargs)

    return run


def _coroutine(
    call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], within: Callable[[], Any]
) -> Coroutine[Any, Any, Any]:
    """Return the coroutine of a call; the function's own is made when it starts, lest it complain of being unused."""
    try:
        inspect.signature(call).bind(*args, **kwargs)
    except TypeError:
        call(*args, **kwargs)  # raises what the function raises for wrong arguments
    except ValueError:
        pass  # it has no signature to look at
    coroutine = _run_coroutine(call, args, kwargs, within)
    for name in ("__name__", "__qualname__"):
        setattr(coroutine, name, getattr(call, name, getattr(coroutine, name)))
    return coroutine


async def _run_coroutine(
    call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], within: Callable[[], Any]
) -> Any:
    with within():
        return await call(*args, **kwargs)


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
    # In place: a wrapped class would not be the class its objects, its subclasses and pickle know.
    seen: set[str] = {"__class_getitem__", "__init_subclass__"}
    for owner in cls.__mro__[:-1]:
        for name, value in list(vars(owner).items()):
            if name in seen or (name.startswith("__") and name.endswith("__") and name not in _SPECIAL):
                continue
            seen.add(name)
            if not isinstance(value, _METHODS):
                continue
            if owner is cls:
                setattr(cls, name, _decorate(value, cache, changes))
            elif not isinstance(value, functools.cached_property):
                # A cached_property keeps its name and its lock; the owner's is not ours to change.
                setattr(cls, name, _decorate(_Inherited.of(cls, name, value), cache, changes))
    return cls


class _Inherited(_Decorated):
    """A method that a decorated class inherits: found anew at each call, as ``super()`` finds it."""

    @classmethod
    def of(cls, owner: type, name: str, value: Any) -> Any:
        """Make the stand-in for an inherited method; a subclass may have another class come next."""
        if isinstance(value, staticmethod | functools.partialmethod):
            return value
        if isinstance(value, property):
            fget, fset, fdel = (
                part and functools.wraps(part)(functools.partial(_call_part, owner, name, part, kind))
                for kind, part in (("fget", value.fget), ("fset", value.fset), ("fdel", value.fdel))
            )
            return property(fget, fset, fdel, value.__doc__)

        def call(wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            found = _next_in_line(owner, name, instance)
            if found is None:
                return wrapped(*args, **kwargs)
            bound = found.__get__(None, instance) if isinstance(value, classmethod) else found.__get__(instance)
            return bound(*args, **kwargs)

        return cls(value, call)


def _call_part(owner: type, name: str, part: Any, kind: str, instance: Any, *args: Any) -> Any:
    found = getattr(_next_in_line(owner, name, instance), kind, None)
    return (found or part)(instance, *args)


def _next_in_line(owner: type, name: str, instance: Any) -> Any:
    """Return what ``super(owner, instance)`` has under a name, unbound; None where there is nothing."""
    kind = instance if isinstance(instance, type) and owner in instance.__mro__ else type(instance)
    if owner not in kind.__mro__:
        return None
    after = kind.__mro__[kind.__mro__.index(owner) + 1 :]
    return next((vars(one)[name] for one in after if name in vars(one)), None)
