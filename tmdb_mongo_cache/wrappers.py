"""Wrappers of methods, ours and others': what stands in a class is bound and called as Python would do it.

A wrapper of ours passes for what it wraps in every attribute, ``__wrapped__``
included. Other tools find their own marks on whatever stands on top, and take
the top off: so they take theirs off, not ours alone, and ours comes back at the
next call (:mod:`.doors.patch`).
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
"""Makes a function of (session, arguments) of what is to be called with them."""

_MOST_STEPS = 100
_COPY = object()
# Of this copy of the package: a program may drop it from sys.modules and import it anew.
_MARK, _BELOW = (f"_tmdb_mongo_cache_{name}_{id(_COPY):x}" for name in ("wrapper", "below"))


def wrap(thing: Any, make: Make) -> Any:
    """Return a wrapper of ours for what stands in a class.

    Args:
        thing: a function, or any other descriptor or object: ``functools.partialmethod``, wrapt's wrappers, …
        make: makes what is to happen instead.
    """
    if type(thing) is not FunctionType:
        return _Standing(thing, make)
    wrapper = make(thing)
    for name in functools.WRAPPER_ASSIGNMENTS:
        with suppress(AttributeError):
            setattr(wrapper, name, getattr(thing, name))
    vars(wrapper).update(vars(thing))
    if "__wrapped__" not in vars(thing):
        # No __wrapped__ where there was none: ddtrace takes off whatever has one.
        with suppress(ValueError, TypeError):
            wrapper.__signature__ = inspect.signature(thing)  # type: ignore[attr-defined]
    # Other people's wrappers copy our attributes; this one tells by whom it holds.
    vars(wrapper).update({_MARK: wrapper, _BELOW: thing})
    return wrapper


def is_ours(thing: Any) -> bool:
    """Say whether something is exactly a wrapper of ours."""
    return type(thing) is _Standing or (type(thing) is FunctionType and vars(thing).get(_MARK) is thing)


def below(thing: Any) -> Any:
    """Return what a wrapper wraps, ours or anybody's; None where it wraps nothing, or does not say."""
    if is_ours(thing):
        return object.__getattribute__(thing, "below") if type(thing) is _Standing else vars(thing)[_BELOW]
    if not is_mock(thing):
        for name in ("__wrapped__", "__func__", "func"):
            with suppress(Exception):  # whatever its class makes of attributes that it has not
                return getattr(thing, name)
    return None


def has_ours(thing: Any) -> bool:
    """Say whether a wrapper of ours is beneath something, or in its hands: then whatever it sends comes by there."""
    return any(map(is_ours, reached(thing)))


def reached(thing: Any) -> Iterator[Any]:
    """Give something, and what it may call in the end: what it wraps or holds, and what that does in turn."""
    waiting: list[Any] = [thing]
    seen: list[Any] = []
    while waiting and len(seen) < _MOST_STEPS:
        found = waiting.pop(0)
        if found is None or any(found is other for other in seen):
            continue
        seen.append(found)
        yield found
        if not is_mock(found):
            waiting.extend(_held(found))


def _held(thing: Any) -> Iterator[Any]:
    """Give the callables that something may call: what it wraps or keeps, its closure, its defaults, named globals."""
    yield below(thing)
    if not isinstance(thing, FunctionType):
        yield from _attributes(thing)
        return
    for cell in thing.__closure__ or ():
        with suppress(ValueError):  # empty yet
            held = cell.cell_contents
            yield from (held, *_attributes(held))
    yield from (thing.__defaults__ or ())
    yield from (thing.__kwdefaults__ or {}).values()
    yield from (thing.__globals__[name] for name in _names(thing.__code__) if name in thing.__globals__)


def _attributes(thing: Any) -> Iterator[Any]:
    """Give the functions that an object keeps."""
    if not isinstance(thing, type | FunctionType | ModuleType):
        with suppress(Exception):
            yield from (value for value in vars(thing).values() if callable(value))


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def is_mock(thing: Any) -> bool:
    """Say whether something is of ``unittest.mock``, autospec's functions included: a test's own business."""
    if type(thing) in (staticmethod, classmethod):
        thing = thing.__func__
    if type(thing) is FunctionType:
        return "mock" in vars(thing)
    return any(kind.__name__ == "NonCallableMock" for kind in type(thing).__mro__)


def bind(thing: Any, instance: Any, owner: Any) -> Any:
    """Bind what stands in a class as reading the attribute does."""
    get = getattr(type(thing), "__get__", None)
    return thing if get is None else get(thing, instance, owner)


class _Standing:
    """Stands in a class for something that is no plain function, and is what reading that from it gives."""

    __slots__ = ("below", "instance", "make")

    def __init__(self, below: Any, make: Make, instance: Any = None) -> None:
        object.__setattr__(self, "below", below)
        object.__setattr__(self, "make", make)
        object.__setattr__(self, "instance", instance)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        below, make, before = _parts(self)
        return _Standing(bind(below, instance, owner), make, before if before is not None else instance)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        below, make, instance = _parts(self)
        if instance is not None:
            return make(lambda _, *args, **kwargs: below(*args, **kwargs))(instance, *args, **kwargs)
        # Read from the class: the first argument is the session, if there is one.
        return make(below)(*args, **kwargs) if args and hasattr(args[0], "get_adapter") else below(*args, **kwargs)

    def __getattribute__(self, name: str) -> Any:
        below = object.__getattribute__(self, "below")
        if name == "__class__":
            return type(below)
        if name == "__get__" and hasattr(type(below), name):
            return functools.partial(_Standing.__get__, self)
        if name == "__signature__":
            try:
                return inspect.signature(below)
            except (TypeError, ValueError):
                raise AttributeError(name) from None
        return getattr(below, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(object.__getattribute__(self, "below"), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(object.__getattribute__(self, "below"), name)

    def __repr__(self) -> str:
        return repr(object.__getattribute__(self, "below"))

    def __eq__(self, other: object) -> bool:
        mine = object.__getattribute__(self, "below")
        return bool(mine == (object.__getattribute__(other, "below") if type(other) is _Standing else other))

    def __hash__(self) -> int:
        return hash(object.__getattribute__(self, "below"))


def _parts(standing: _Standing) -> tuple[Any, Make, Any]:
    read = object.__getattribute__
    return read(standing, "below"), read(standing, "make"), read(standing, "instance")
