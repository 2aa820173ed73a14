"""Objects that a forked child must renew: locks that another thread held, threads that did not come along.

And imports, which it cannot: what another thread was importing is locked in the child for ever.
"""

from __future__ import annotations

# A fork takes their locks as well. Imported now: after ours, and not while a fork waits for ours already.
import concurrent.futures.thread  # noqa: F401
import logging  # noqa: F401
import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress


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
_import_lock = threading.RLock()
_LONGEST = 5.0  # seconds: an import that waits for something else must not keep a program from going on


@contextmanager
def importing() -> Iterator[None]:
    """Let no other thread fork while modules are imported in the middle of a call."""
    _import_lock.acquire(timeout=_LONGEST)
    try:
        yield
    finally:
        _end_import()


def _await_imports() -> None:
    _import_lock.acquire(timeout=_LONGEST)


def _end_import() -> None:
    with suppress(RuntimeError):  # it was not to be had in that time, or this is a child of the fork
        _import_lock.release()


def _renew_all() -> None:
    global _import_lock
    _import_lock = threading.RLock()
    for found in list(_objects):
        found.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_await_imports, after_in_parent=_end_import, after_in_child=_renew_all)
