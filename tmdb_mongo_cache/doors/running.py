"""Running a function in a scope: at once, or piece by piece where it is a coroutine or a generator."""

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
"""Makes the scope in which a piece of the function is to run."""


class BoundFunction(wrapt.BoundFunctionWrapper):  # type: ignore[type-arg]
    """A decorated method as it is read from an object."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        if isinstance(self.__wrapped__, FunctionType):  # of a staticmethod
            return pkgutil.resolve_name, (f"{self.__wrapped__.__module__}:{self.__wrapped__.__qualname__}",)
        return self.__wrapped__.__reduce_ex__(protocol)

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: Any) -> Any:
        return self


class DecoratedFunction(wrapt.FunctionWrapper):  # type: ignore[type-arg]
    """A decorated function: pickled by its name and copied by reference, as functions are."""

    __bound_function_wrapper__ = BoundFunction

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.__wrapped__.__qualname__

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: Any) -> Any:
        return self


def runner(function: Any, within: Within) -> Callable[..., Any]:
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
    call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], within: Within
) -> Coroutine[Any, Any, Any]:
    """Return the coroutine of a call; the function's own is made when it starts, lest it complain of being unused."""
    if _only_makes_a_coroutine(call):
        call(*args, **kwargs).close()  # raises what the function raises for wrong arguments
    coroutine = _run_coroutine(call, args, kwargs, within)
    for name in ("__name__", "__qualname__"):
        setattr(coroutine, name, getattr(call, name, getattr(coroutine, name)))
    return coroutine


def _only_makes_a_coroutine(function: Any) -> bool:
    """Tell whether nothing of anybody's runs when it is called: a decorator of the program's may do anything."""
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
            except BaseException as error:  # noqa: BLE001  it is handed on
                step = functools.partial(generator.athrow, error)
    finally:
        with within():
            await generator.aclose()
