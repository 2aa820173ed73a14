"""Fork safety: objects that a forked child renews (locks held by other threads, threads that are gone), and imports.

A module that another thread was importing would stay locked in the child, so forks wait for imports.
"""

from __future__ import annotations

# They register hooks that take their locks at a fork. Imported before ours, so that theirs are taken after ours.
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
        """Reset the state in a child process, as if nothing were in progress."""


class ForkSafeLock(RenewedAfterFork):
    """A reentrant lock that is free in a forked child, whichever thread held it in the parent."""

    def __init__(self) -> None:
        self.after_fork()
        super().__init__()

    def after_fork(self) -> None:
        """Replace the lock."""
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        # In the child of a fork by its holder it is free already.
        with suppress(RuntimeError):
            self._lock.release()


_objects: weakref.WeakSet[RenewedAfterFork] = weakref.WeakSet()
_import_lock = threading.RLock()
_LONGEST = 5.0  # seconds; an import that waits for something else must not block the program


@contextmanager
def importing() -> Iterator[None]:
    """Make forks by other threads wait while modules are imported in a call."""
    _import_lock.acquire(timeout=_LONGEST)
    try:
        yield
    finally:
        _end_import()


def _await_imports() -> None:
    _import_lock.acquire(timeout=_LONGEST)


def _end_import() -> None:
    with suppress(RuntimeError):  # it was not acquired in time, or this is the child
        _import_lock.release()


def _renew_all() -> None:
    global _import_lock
    _import_lock = threading.RLock()
    for found in list(_objects):
        found.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_await_imports, after_in_parent=_end_import, after_in_child=_renew_all)
