"""``@cached_tmdb`` on a function, coroutine or generator: runs it in a scope, a generator step by step."""

from __future__ import annotations

import functools
import inspect
import pkgutil
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import AbstractContextManager
from types import FunctionType, MethodType
from typing import Any

import wrapt

Within = Callable[[], AbstractContextManager[None]]
"""Creates the scope in which the function, or one step of it, runs."""


def _itself(wrapper: Any, _: Any = None) -> Any:
    return wrapper


class BoundFunction(wrapt.BoundFunctionWrapper):  # type: ignore[type-arg]
    """A decorated method, bound to an instance."""

    __copy__ = __deepcopy__ = _itself

    def __reduce_ex__(self, protocol: Any) -> Any:
        if isinstance(self.__wrapped__, FunctionType):  # of a staticmethod
            return pkgutil.resolve_name, (f"{self.__wrapped__.__module__}:{self.__wrapped__.__qualname__}",)
        return self.__wrapped__.__reduce_ex__(protocol)


class DecoratedFunction(wrapt.FunctionWrapper):  # type: ignore[type-arg]
    """A decorated function: pickled by name and copied by reference, as functions are."""

    __bound_function_wrapper__ = BoundFunction
    __copy__ = __deepcopy__ = _itself

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.__wrapped__.__qualname__


def wrapper_of(function: Any, within: Within) -> Callable[..., Any]:
    """Return the wrapper, in wrapt's form, that runs a function (each step of it) in the scope."""
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
    call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], within: Within
) -> Coroutine[Any, Any, Any]:
    """Return the coroutine of a call; the function's own is created when it starts, so none is left unawaited."""
    if _only_makes_a_coroutine(call):
        call(*args, **kwargs).close()  # raises a TypeError for wrong arguments
    coroutine = _run_coroutine(call, args, kwargs, within)
    for name in ("__name__", "__qualname__"):
        setattr(coroutine, name, getattr(call, name, getattr(coroutine, name)))
    return coroutine


def _only_makes_a_coroutine(function: Any) -> bool:
    """Return whether calling it runs no code of the program, as a decorator of the program would."""
    while type(function) is functools.partial:
        function = function.func
    if type(function) is MethodType:
        function = function.__func__
    if type(function) not in (FunctionType, DecoratedFunction, BoundFunction):
        return False
    return bool(function.__code__.co_flags & inspect.CO_COROUTINE)


async def _run_coroutine(
    call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], within: Within
) -> Any:
    with within():
        return await call(*args, **kwargs)


def _run_generator(generator: Generator[Any, Any, Any], within: Within) -> Generator[Any, Any, Any]:
    # In the scope while it runs, and out of it at each yield: its consumer is not part of the function.
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
            except BaseException as error:  # noqa: BLE001  thrown into the generator
                step = functools.partial(generator.throw, error)
    finally:
        with within():
            generator.close()


async def _run_async_generator(generator: AsyncGenerator[Any, Any], within: Within) -> AsyncGenerator[Any, Any]:
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
            except BaseException as error:  # noqa: BLE001  thrown into the generator
                step = functools.partial(generator.athrow, error)
    finally:
        with within():
            await generator.aclose()
