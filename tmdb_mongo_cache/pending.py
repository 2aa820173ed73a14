"""The cache that ``run`` is to install, and has not yet: it does so when the first call is made, or somebody asks.

Until then nothing of the package is imported, so it does not matter what the
program imports first, nor in which thread; and the program may set variables
of the environment until then.
"""

from __future__ import annotations

from collections.abc import Callable

from .forks import ForkSafeLock

_lock = ForkSafeLock()
_install: Callable[[], None] | None = None
_is_under_way = False


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
