"""Locks between processes: ``flock`` locks on files, and what a fork does to them.

The kernel drops such a lock when its holder ends, however it ends, so none of
them is ever stale. The files are never deleted: two processes that lock two
files of the same name do not exclude each other.
"""

from __future__ import annotations

import contextlib
import os
import struct
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path

from .paths import open_private

if sys.platform != "win32":
    import fcntl

POLL = 0.005
"""Seconds between two checks of something that is waited for."""


def open_lock(path: Path) -> int:
    """Open a file to lock, made if missing; to be closed with :func:`unlock`."""
    return open_private(path, os.O_RDWR | os.O_CREAT)


def lock(descriptor: int, *, exclusive: bool, seconds: float = 0) -> bool:
    """Lock an open file, if that is possible within so many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(POLL)
        else:
            return True


def unlock(descriptor: int) -> None:
    """Unlock an open file and close it.

    By name: a child forked this instant shares the lock, and closing alone would leave it to the child.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)


def is_free(path: Path, seconds: float = 0, *, exclusive: bool = False) -> bool:
    """Return whether no process locks the file exclusively (or at all), now or within so many seconds."""
    descriptor = open_lock(path)
    try:
        return lock(descriptor, exclusive=exclusive, seconds=seconds)
    finally:
        unlock(descriptor)


def record_holder(path: Path) -> int | None:
    """Return the process that has a record lock (``fcntl``, not ``flock``) on a file.

    None when there is no such process or file, 0 when it is in another container.
    """
    try:
        with open(path, "rb") as file:
            # struct flock: type, whence, start, length, pid on Linux; start, length, pid, type, whence on macOS.
            if sys.platform == "darwin":
                layout, request, kind, pid = "qqihh", (0, 0, 0, fcntl.F_WRLCK, os.SEEK_SET), 3, 2
            else:
                layout, request, kind, pid = "hhqqi", (fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0), 0, 4
            found = struct.unpack(layout, fcntl.fcntl(file, fcntl.F_GETLK, struct.pack(layout, *request)))
    except OSError:
        return None
    return None if found[kind] == fcntl.F_UNLCK else max(0, int(found[pid]))


class SharedLock:
    """A lock that many processes hold at a time, and that a forked child holds by itself.

    A ``flock`` belongs to the open file, which parent and child share: made
    exclusive by one of them, it would look as if no other process held it. So the
    child gets an open file of its own, and gets it before it exists, so that
    there is no instant at which the parent seems to be alone.

    Attributes:
        threads: keeps the threads of this process apart; a forked child has a
            new one, as a thread that is not there may hold the one inherited.
    """

    def __init__(self, path: Path) -> None:
        self.threads = threading.RLock()
        self._path = path
        self._descriptor: int | None = None  # None: not held
        self._spare: int | None = None  # the one that a child being forked will hold
        _shared_locks.add(self)

    @property
    def held(self) -> bool:
        """Whether this process holds it."""
        return self._descriptor is not None

    def acquire(self) -> None:
        """Hold it.

        Raises:
            OSError: the file cannot be opened, or another process holds it alone.
        """
        if self._descriptor is None:
            self._descriptor = self._opened()

    def is_last(self) -> bool:
        """Return whether no other process holds it; if so, none can acquire it before :meth:`release`.

        Whatever the result, the caller has to drop it next.
        """
        return self._descriptor is not None and lock(self._descriptor, exclusive=True)

    def release(self) -> None:
        """Hold it no longer; does nothing when it is not held."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            unlock(descriptor)

    def before_fork(self) -> None:
        """Take it a second time, for the child; without success when it is just being released."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                self._spare = self._opened()

    def after_fork(self, child: bool) -> None:
        """Keep the one of the two that is this process's own."""
        unwanted, self._spare = self._spare, None
        if child:
            self.threads = threading.RLock()
            self._descriptor, unwanted = unwanted, self._descriptor
        if unwanted is not None:
            os.close(unwanted)  # not unlocked: what one of the two closes here stays locked by the other

    def _opened(self) -> int:
        descriptor = open_lock(self._path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor


@contextlib.contextmanager
def no_fork() -> Iterator[None]:
    """Let no other thread fork meanwhile, and one thread at a time do this."""
    with _fork_lock:
        yield


def _before_fork() -> None:
    _fork_lock.acquire()
    for shared in list(_shared_locks):
        shared.before_fork()


def _after_fork_in_parent() -> None:
    for shared in list(_shared_locks):
        shared.after_fork(child=False)
    with contextlib.suppress(RuntimeError):  # imported while the fork was waiting
        _fork_lock.release()


def _after_fork_in_child() -> None:
    global _fork_lock
    _fork_lock = threading.Lock()
    for shared in list(_shared_locks):
        shared.after_fork(child=True)


_shared_locks: weakref.WeakSet[SharedLock] = weakref.WeakSet()
_fork_lock = threading.Lock()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
