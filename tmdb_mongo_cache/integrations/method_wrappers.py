"""Wrappers of methods, ours and those of other libraries; any descriptor in a class is bound and called as Python does.

Our wrapper has every attribute of what it wraps, ``__wrapped__`` included. Other
tools look for their marks on the outermost wrapper and remove that: so they remove
theirs together with ours, which is restored at the next call
(:mod:`.integrations.requests.patch`).
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import CodeType, FunctionType, ModuleType
from typing import Any

Call = Callable[..., Any]
Make = Callable[[Call], Call]
"""Creates the replacement of a function; both take a session and its arguments."""

_MOST_STEPS = 100
_COPY = object()
# Of this copy of the package: a program may drop it from sys.modules and import it again.
_MARK, _WRAPPED = (f"_tmdb_mongo_cache_{name}_{id(_COPY):x}" for name in ("wrapper", "wrapped"))


def wrap(thing: Any, make: Make) -> Any:
    """Return our wrapper for an attribute of a class.

    Args:
        thing: a function, or any other descriptor or object: ``functools.partialmethod``, wrapt's wrappers, …
        make: creates the replacement.
    """
    if type(thing) is not FunctionType:
        return _Proxy(thing, make)
    wrapper = make(thing)
    for name in functools.WRAPPER_ASSIGNMENTS:
        with suppress(AttributeError):
            setattr(wrapper, name, getattr(thing, name))
    vars(wrapper).update(vars(thing))
    if "__wrapped__" not in vars(thing):
        # No __wrapped__ if there was none: ddtrace removes any wrapper that has one.
        with suppress(ValueError, TypeError):
            wrapper.__signature__ = inspect.signature(thing)  # type: ignore[attr-defined]
    # The wrappers of other libraries copy our attributes, so the mark refers to its owner.
    vars(wrapper).update({_MARK: wrapper, _WRAPPED: thing})
    return wrapper


def is_ours(thing: Any) -> bool:
    """Return whether an object is itself one of our wrappers."""
    return type(thing) is _Proxy or (type(thing) is FunctionType and vars(thing).get(_MARK) is thing)


def wrapped_by(thing: Any) -> Any:
    """Return what a wrapper wraps, ours or any other; None if that is nothing, or unknown."""
    if is_ours(thing):
        return object.__getattribute__(thing, "wrapped") if type(thing) is _Proxy else vars(thing)[_WRAPPED]
    if not is_mock(thing):
        for name in ("__wrapped__", "__func__", "func"):
            with suppress(Exception):  # its __getattr__ may raise anything
                return getattr(thing, name)
    return None


def reaches_ours(thing: Any) -> bool:
    """Return whether an object may call one of our wrappers, so that its calls pass through the cache."""
    return any(map(is_ours, reachable(thing)))


def reachable(thing: Any) -> Iterator[Any]:
    """Yield an object and the objects it may call, directly or indirectly: what it wraps or references."""
    queue: list[Any] = [thing]
    seen: list[Any] = []
    while queue and len(seen) < _MOST_STEPS:
        found = queue.pop(0)
        if found is None or any(found is other for other in seen):
            continue
        seen.append(found)
        yield found
        if not is_mock(found):
            queue.extend(_referenced(found))


def _referenced(thing: Any) -> Iterator[Any]:
    """Yield the callables that an object references: by wrapping, attributes, closure, defaults, global names."""
    yield wrapped_by(thing)
    if not isinstance(thing, FunctionType):
        yield from _attributes(thing)
        return
    for cell in thing.__closure__ or ():
        with suppress(ValueError):  # still empty
            value = cell.cell_contents
            yield from (value, *_attributes(value))
    yield from (thing.__defaults__ or ())
    yield from (thing.__kwdefaults__ or {}).values()
    yield from (thing.__globals__[name] for name in _names(thing.__code__) if name in thing.__globals__)


def _attributes(thing: Any) -> Iterator[Any]:
    """Yield the callable attributes of an object."""
    if not isinstance(thing, type | FunctionType | ModuleType):
        with suppress(Exception):
            yield from (value for value in vars(thing).values() if callable(value))


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def is_mock(thing: Any) -> bool:
    """Return whether an object is from ``unittest.mock``, autospec functions included; those are left as they are."""
    if type(thing) in (staticmethod, classmethod):
        thing = thing.__func__
    if type(thing) is FunctionType:
        return "mock" in vars(thing)
    return any(kind.__name__ == "NonCallableMock" for kind in type(thing).__mro__)


def bind(thing: Any, instance: Any, owner: Any) -> Any:
    """Bind an attribute of a class, as reading it does."""
    get = getattr(type(thing), "__get__", None)
    return thing if get is None else get(thing, instance, owner)


class _Proxy:
    """Our wrapper for an attribute of a class that is not a plain function, bound or not."""

    __slots__ = ("instance", "make", "wrapped")

    def __init__(self, wrapped: Any, make: Make, instance: Any = None) -> None:
        object.__setattr__(self, "wrapped", wrapped)
        object.__setattr__(self, "make", make)
        object.__setattr__(self, "instance", instance)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        wrapped, make, before = _parts(self)
        return _Proxy(bind(wrapped, instance, owner), make, before if before is not None else instance)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        wrapped, make, instance = _parts(self)
        if instance is not None:
            return make(lambda _, *args, **kwargs: wrapped(*args, **kwargs))(instance, *args, **kwargs)
        # Read from the class: the first argument is the session, if there is one.
        is_bound = args and hasattr(args[0], "get_adapter")
        return make(wrapped)(*args, **kwargs) if is_bound else wrapped(*args, **kwargs)

    def __getattribute__(self, name: str) -> Any:
        wrapped = object.__getattribute__(self, "wrapped")
        if name == "__class__":
            return type(wrapped)
        if name == "__get__" and hasattr(type(wrapped), name):
            return functools.partial(_Proxy.__get__, self)
        if name == "__signature__":
            try:
                return inspect.signature(wrapped)
            except (TypeError, ValueError):
                raise AttributeError(name) from None
        return getattr(wrapped, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(object.__getattribute__(self, "wrapped"), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(object.__getattribute__(self, "wrapped"), name)

    def __repr__(self) -> str:
        return repr(object.__getattribute__(self, "wrapped"))

    def __eq__(self, other: object) -> bool:
        own = object.__getattribute__(self, "wrapped")
        return bool(own == (object.__getattribute__(other, "wrapped") if type(other) is _Proxy else other))

    def __hash__(self) -> int:
        return hash(object.__getattribute__(self, "wrapped"))


def _parts(proxy: _Proxy) -> tuple[Any, Make, Any]:
    read = object.__getattribute__
    return read(proxy, "wrapped"), read(proxy, "make"), read(proxy, "instance")
