"""The embedded MongoDB: a real ``mongod`` on a unix socket that the processes of one user share.

Everything is in one folder that only its owner may enter::

    data/         what MongoDB stores            mongod.log    its log, and mongod.log.1 the one before
    mongod.sock   where it listens, unless this path is too long for a socket
    users.lock    shared by every process that uses the server
    start.lock    exclusive while a process joins or leaves
    server.lock   exclusive as long as the mongod lives
    kept          the pid of a mongod that stays when the last process leaves
"""

from __future__ import annotations

import atexit
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from ...errors import EmbeddedServerError
from .binary import check_platform
from .locks import SharedLock, is_free, lock, no_fork, open_lock, unlock
from .paths import data_directory, make_private
from .pidfile import PidFile
from .process import MongodProcess

QUEUE_LIMIT = 60.0
"""Seconds for other processes to join or leave before this one: more than START_LIMIT + STOP_LIMIT."""


class EmbeddedServer:
    """A ``mongod`` on a unix socket, shared by all processes that name the same folder.

    The first process that calls :meth:`start` starts it, the last one that calls
    :meth:`stop` stops it. It opens no TCP port. It survives Ctrl-C and a SIGKILL
    of its users; the next process then takes it over. The data of a ``mongod``
    that was itself killed is recovered at the next start.

    Usable from any thread. A forked child is a user of its own. As a context
    manager it is started on entry and left on exit; a process that does neither
    leaves it when Python ends.

    Args:
        folder: where data, log and locks are; made with mode 0700 if missing.
            Default: ``mongodb`` in the user's data directory for
            ``tmdb-mongo-cache``. Nothing is created before :meth:`start`.

    Raises:
        EmbeddedServerError: no folder is given, and this user has no data directory.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = Path(folder or data_directory() / "mongodb").resolve()
        above = self.folder.parent  # the cache's own as well, unless there is a link to elsewhere
        self._top = above if folder is None and above.name == "tmdb-mongo-cache" else None
        self._mongod = MongodProcess(self.folder)
        self._users = SharedLock(self.folder / "users.lock")
        self._kept = PidFile(self.folder / "kept")

    def __repr__(self) -> str:
        return f"EmbeddedServer({str(self.folder)!r})"

    def __enter__(self) -> EmbeddedServer:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    @property
    def socket_path(self) -> Path:
        """Where the server listens: in the folder, or in a short one where that path is too long."""
        return self._mongod.socket_path

    @property
    def log_path(self) -> Path:
        """Where the server writes its log."""
        return self._mongod.log_path

    @property
    def uri(self) -> str:
        """The MongoDB URI of the server, running or not."""
        return f"mongodb://{quote(str(self.socket_path), safe='')}/?directConnection=true"

    @property
    def pid(self) -> int | None:
        """The process id of the running ``mongod``, or None; 0 when it runs in another container."""
        return self._mongod.pid

    def start(self) -> str:
        """Join the users of the server, starting it if it does not run, and return its URI.

        Only checks (0.6 ms) where this process has joined already and the server
        responds; a server that has died since is started again. Waits up to 30 s
        for a response, as long as a recovery may take.

        Raises:
            EmbeddedServerError: there is no ``mongod``, it does not start, or
                its folder cannot be used. The text says why.
        """
        check_platform()
        with self._users.threads, self._translated():
            if not self._users.held or self._mongod.state() != "ready":
                make_private(self.folder, top=self._top)
                with self._alone():
                    self._join()
            return self.uri

    def stop(self) -> None:
        """Leave the server; the last process to leave stops it and waits until it is gone.

        Does nothing when this process has not joined.

        Raises:
            EmbeddedServerError: the server cannot be stopped, or its folder
                cannot be used any more. This process has left all the same.
        """
        with self._users.threads:
            if not self._users.held:
                return
            try:
                with self._translated(), self._alone():
                    self._leave()
            finally:
                self._drop()

    @property
    def is_kept(self) -> bool:
        """Whether it runs and stays when the last process leaves, by :meth:`keep`."""
        return self._kept.names(self.pid)

    def keep(self) -> bool:
        """Keep the server running until :meth:`end`, even without users; start it if it does not run.

        This ends with its ``mongod``: after a crash or a reboot nothing of it is left.

        Returns:
            whether it was started for that.

        Raises:
            EmbeddedServerError: it does not start, or it is one that runs in another container.
        """
        check_platform()
        with self._users.threads, self._translated():
            make_private(self.folder, top=self._top)
            with self._alone():
                has_joined, ran = self._users.held, self._mongod.lives()
                self._join()
                try:
                    self._check_pid()
                    self._kept.write(self.pid)
                finally:
                    if not has_joined:
                        self._leave()  # it keeps running because of the file
                return not ran

    def end(self, *, force: bool = False) -> bool:
        """Stop the server, whichever process started it, and wait until it is gone.

        Args:
            force: also while processes use it. They start it again when they next need it.

        Returns:
            whether it ran.

        Raises:
            EmbeddedServerError: processes use it, this one perhaps, or it cannot be stopped, or is another user's.
        """
        check_platform()
        with self._users.threads, self._translated():
            if not self.folder.is_dir():
                return False
            self._check_owner()
            with self._alone():
                if not self._mongod.lives():
                    self._kept.remove()
                    return False
                self._check_pid()
                if not force and self._is_used():
                    raise EmbeddedServerError(
                        "programs are using the embedded MongoDB: let them end first, "
                        "or stop it anyway with 'tmdb-mongo-cache server stop --force'"
                    )
                self._mongod.stop()
                self._kept.remove()
                return True

    def in_use(self) -> bool:
        """Return whether a process uses the server now, or is just joining or leaving."""
        with self._translated():
            if not (self.folder / "users.lock").exists():
                return False
            self._check_owner()
            try:
                with self._alone(seconds=1):
                    return self._is_used()
            except EmbeddedServerError:
                return True

    def lives(self) -> bool:
        """Return whether a ``mongod`` runs here, from before its first response to its end."""
        check_platform()
        with self._translated():
            if self.folder.is_dir():
                self._check_owner()
            return self._mongod.lives()

    def _check_owner(self) -> None:
        # A lock that root made here the owner could not open.
        owner = self.folder.stat().st_uid
        if owner != os.geteuid():
            raise EmbeddedServerError(f"{self.folder} belongs to another user (uid {owner}): run this as that user")

    def _is_used(self) -> bool:
        # Under start.lock, because a process that joins would find this lock taken.
        return not is_free(self.folder / "users.lock", exclusive=True)

    def _check_pid(self) -> None:
        if self.pid == 0:
            raise EmbeddedServerError(f"the mongod in {self.folder} runs in another container: start and stop it there")

    def _join(self) -> None:
        self._users.acquire()
        _joined.add(self)
        try:
            if not self._mongod.lives():
                self._kept.remove()  # of one that was killed: a new one may get its pid
            self._mongod.bring_up()
            self._mongod.rotate_log()
        except (EmbeddedServerError, OSError):
            # A mongod that is still recovering goes on: killed now, it would start from the
            # beginning again, and never be ready in time.
            self._drop()
            raise
        except BaseException:
            self._leave()
            raise

    def _leave(self) -> None:
        try:
            if self._users.is_last() and not self.is_kept:
                self._mongod.stop()
        finally:
            self._drop()

    def _drop(self) -> None:
        self._users.release()
        _joined.discard(self)

    @contextlib.contextmanager
    def _alone(self, seconds: float | None = None) -> Iterator[None]:
        """Hold ``start.lock``: no other process joins or leaves meanwhile."""
        seconds = QUEUE_LIMIT if seconds is None else seconds
        descriptor = open_lock(self.folder / "start.lock")
        try:
            if not lock(descriptor, exclusive=True, seconds=seconds):
                raise EmbeddedServerError(
                    f"another process has been starting or stopping the MongoDB in {self.folder} "
                    f"for {seconds:.0f} s: look for a hanging program that uses it"
                )
            yield
        finally:
            unlock(descriptor)

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise EmbeddedServerError(f"the embedded MongoDB cannot use {self.folder}: {error}") from error


def shared_server() -> EmbeddedServer:
    """Return this process's server for the default folder, always the same one, without starting it."""
    global _shared
    with no_fork():
        if _shared is None:
            _shared = EmbeddedServer()
        return _shared


def _leave_at_exit() -> None:
    for server in list(_joined):
        # A start that hangs is not waited for; the next process takes over.
        if not server._users.threads.acquire(timeout=1):
            continue
        try:
            # No caller is left that could handle an error.
            with contextlib.suppress(OSError, EmbeddedServerError):
                server.stop()
        finally:
            server._users.threads.release()


_joined: set[EmbeddedServer] = set()  # kept alive until they leave
_shared: EmbeddedServer | None = None

atexit.register(_leave_at_exit)
