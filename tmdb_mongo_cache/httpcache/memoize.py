"""Memoization of pure functions within a bound of memory, as an argument may be of any length."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from functools import lru_cache, wraps
from typing import Any, TypeVar

_Argument = TypeVar("_Argument", bound=Hashable)
_Result = TypeVar("_Result")

LONGEST = 2048
"""Characters: a thousand arguments of this length take some MB."""

_caches: list[Any] = []


def memoize(
    maxsize: int, *, longest: int = LONGEST, size: Callable[[Any], int] = len
) -> Callable[[Callable[[_Argument], _Result]], Callable[[_Argument], _Result]]:
    """Memoize a function of one hashable argument; for a longer one it is called each time.

    Args:
        maxsize: how many results are remembered, the least recently used one is dropped first.
        longest: how long an argument may be.
        size: returns the length of an argument.
    """

    def decorate(function: Callable[[_Argument], _Result]) -> Callable[[_Argument], _Result]:
        cached = lru_cache(maxsize)(function)
        _caches.append(cached)

        @wraps(function)
        def memoized(argument: _Argument) -> _Result:
            return cached(argument) if size(argument) <= longest else function(argument)

        return memoized

    return decorate


def total_length(texts: Iterable[str]) -> int:
    """Return the length of some texts together."""
    return sum(map(len, texts))


def clear() -> None:
    """Forget all results: some are of texts with credentials in them."""
    for cached in _caches:
        cached.cache_clear()
