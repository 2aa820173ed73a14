"""``@cached_tmdb`` on a class: decorates all its methods in place, inherited ones included."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import FunctionType
from typing import Any

import wrapt

from .decorated_function import DecoratedFunction

# Special methods that are decorated as well: those in which a class may call TMDB.
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


def decorate_class(cls: type, decorate: Callable[[Any], Any]) -> type:
    """Decorate the methods of a class and return the class itself.

    In place, because a wrapper would not be the class that its instances, its
    subclasses and pickle refer to.

    Args:
        cls: the class.
        decorate: decorates one function, method object or property.
    """
    seen: set[str] = {"__class_getitem__", "__init_subclass__"}
    for owner in cls.__mro__[:-1]:
        for name, value in list(vars(owner).items()):
            if name in seen or (name.startswith("__") and name.endswith("__") and name not in _SPECIAL):
                continue
            seen.add(name)
            if not isinstance(value, _METHODS):
                continue
            if owner is cls:
                setattr(cls, name, decorate(value))
            elif not isinstance(value, functools.cached_property):
                # A cached_property has a name and a lock of its own, and must not be changed in a base class.
                setattr(cls, name, decorate(_Inherited.of(cls, name, value)))
    return cls


class _Inherited(DecoratedFunction):
    """A method that a decorated class inherits: looked up at each call, as ``super()`` does."""

    @classmethod
    def of(cls, owner: type, name: str, value: Any) -> Any:
        """Create the proxy for an inherited method; in a subclass another class may be next in the MRO."""
        if isinstance(value, staticmethod | functools.partialmethod):
            return value
        if isinstance(value, property):
            fget, fset, fdel = (
                part and functools.wraps(part)(functools.partial(_call_part, owner, name, part, kind))
                for kind, part in (("fget", value.fget), ("fset", value.fset), ("fdel", value.fdel))
            )
            return property(fget, fset, fdel, value.__doc__)

        def call(wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            found = _super_attribute(owner, name, instance)
            if found is None:
                return wrapped(*args, **kwargs)
            bound = found.__get__(None, instance) if isinstance(value, classmethod) else found.__get__(instance)
            return bound(*args, **kwargs)

        return cls(value, call)


def _call_part(owner: type, name: str, part: Any, kind: str, instance: Any, *args: Any) -> Any:
    found = getattr(_super_attribute(owner, name, instance), kind, None)
    return (found or part)(instance, *args)


def _super_attribute(owner: type, name: str, instance: Any) -> Any:
    """Return the attribute of ``super(owner, instance)``, unbound; None if there is none."""
    kind = instance if isinstance(instance, type) and owner in instance.__mro__ else type(instance)
    if owner not in kind.__mro__:
        return None
    after = kind.__mro__[kind.__mro__.index(owner) + 1 :]
    return next((vars(one)[name] for one in after if name in vars(one)), None)
