"""The cache that ``run`` is to install, and has not yet: it does so when the first call is made, or somebody asks.

Until then nothing of the package is imported, so it does not matter what the
program imports first, nor in which thread; and the program may set variables
of the environment until then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .forks import ForkSafeLock

_lock = ForkSafeLock()
_install: Callable[[], None] | None = None
_is_under_way = False
_standing_in: list[Any] = []


def stands_in(thing: Any) -> None:
    """Note that something stands in a class until the cache is installed."""
    _standing_in.append(thing)


def is_standing_in(thing: Any) -> bool:
    """Say whether something is exactly such a thing, which a wrapper is to replace."""
    return any(thing is one for one in _standing_in)


def want(install: Callable[[], None]) -> None:
    """Have the cache be installed by a function when it is first needed."""
    global _install
    _install = install


def settle() -> None:
    """Install the cache if that is still to be done."""
    global _install, _is_under_way
    if _install is None:
        return
    with _lock:
        if _install is None or _is_under_way:
            return
        _is_under_way = True
        try:
            _install()
        finally:
            _install, _is_under_way = None, False
