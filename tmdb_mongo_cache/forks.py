"""Objects that a forked child must renew: locks that another thread held, threads that did not come along."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable


class RenewedAfterFork:
    """An object whose :meth:`after_fork` is called in every forked child."""

    def __init__(self) -> None:
        _objects.add(self)

    def after_fork(self) -> None:
        """Begin anew in a child process, as if nothing were under way."""


_objects: weakref.WeakSet[RenewedAfterFork] = weakref.WeakSet()


def _renew_all() -> None:
    for found in list(_objects):
        found.after_fork()


def in_forked_children(renew: Callable[[], None]) -> None:
    """Have a module's own state renewed in every forked child."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=renew)


in_forked_children(_renew_all)
