"""Objects that a forked child must renew: locks that another thread held, threads that did not come along."""

from __future__ import annotations

import os
import threading
import weakref
from contextlib import suppress


class RenewedAfterFork:
    """An object whose :meth:`after_fork` is called in every forked child."""

    def __init__(self) -> None:
        _objects.add(self)

    def after_fork(self) -> None:
        """Begin anew in a child process, as if nothing were under way."""


class ForkSafeLock(RenewedAfterFork):
    """A reentrant lock that a forked child finds free, whichever thread held it in the parent."""

    def __init__(self) -> None:
        self.after_fork()
        super().__init__()

    def after_fork(self) -> None:
        """Be free."""
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        # Forked by its holder: free already.
        with suppress(RuntimeError):
            self._lock.release()


_objects: weakref.WeakSet[RenewedAfterFork] = weakref.WeakSet()


def _renew_all() -> None:
    for found in list(_objects):
        found.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
