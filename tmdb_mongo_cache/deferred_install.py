"""The installation that ``run`` defers to the first call made with requests, or to the first use of the cache.

Nothing else of this package is imported before, so the order of the program's
imports and their threads do not matter, and the program may set environment
variables until then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .fork import ForkSafeLock

_lock = ForkSafeLock()
_install: Callable[[], None] | None = None
_is_under_way = False
placeholders: list[Any] = []
"""Methods that are in a class until the cache is installed, and are then replaced by a wrapper."""


def is_placeholder(method: Any) -> bool:
    """Return whether a method is one of :data:`placeholders`."""
    return any(method is one for one in placeholders)


def schedule(install: Callable[[], None]) -> None:
    """Defer an installation to the first call of :func:`run`."""
    global _install
    _install = install


def run() -> None:
    """Run the deferred installation, if there is one."""
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
