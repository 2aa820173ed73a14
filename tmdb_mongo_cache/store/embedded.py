"""The embedded MongoDB: a real ``mongod`` on a unix socket that the processes of one user share.

Everything is in one folder that only its owner may enter::

    data/         what MongoDB stores            mongod.log    its log, and mongod.log.1 the one before
    mongod.sock   where it listens, unless this path is too long for a socket
    users.lock    shared by every process that uses the server
    start.lock    exclusive while a process arrives or leaves
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

from ..errors import EmbeddedServerError
from .folders import data_directory, make_private
from .locks import SharedLock, is_free, lock, no_fork, open_lock, unlock
from .mark import Mark
from .mongod import check_platform
from .mongod_process import MongodProcess

QUEUE_LIMIT = 60.0
"""Seconds for other processes to arrive or leave before us: START_LIMIT + STOP_LIMIT and some."""


class EmbeddedServer:
    """A ``mongod`` on a unix socket, shared by all processes that name the same folder.

    The first one to :meth:`start` it starts it, the last one to :meth:`stop`
    stops it. It opens no TCP port. It outlives Ctrl-C and a SIGKILL of those
    who use it; the next one to come then takes it over. What a ``mongod`` that
    was killed itself had stored is recovered at the next start.

    Usable from any thread. A forked child takes part on its own account. As a
    context manager it is started on the way in and left on the way out; who
    neither stops nor exits it leaves when Python ends.

    Args:
        folder: where data, log and locks are; made with mode 0700 if missing.
            Default: ``mongodb`` in the user's data directory for
            ``tmdb-mongo-cache``. Nothing is touched before :meth:`start`.

    Raises:
        EmbeddedServerError: no folder is given, and this user has no data directory.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = Path(folder or data_directory() / "mongodb").resolve()
        above = self.folder.parent  # the cache's own as well, unless there is a link to elsewhere
        self._top = above if folder is None and above.name == "tmdb-mongo-cache" else None
        self._mongod = MongodProcess(self.folder)
        self._part = SharedLock(self.folder / "users.lock")
        self._mark = Mark(self.folder / "kept")

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
        """Take part in the server, starting it if it does not run, and give its URI.

        Does nothing but a check (0.6 ms) when this process takes part already
        and the server answers; a server that has died since is started anew.
        Waits up to 30 s for an answer, as long as a recovery may take.

        Raises:
            EmbeddedServerError: there is no ``mongod``, it does not start, or
                its folder cannot be used. The text says why.
        """
        check_platform()
        with self._part.threads, self._translated():
            if not self._part.held or self._mongod.state() != "ready":
                make_private(self.folder, top=self._top)
                with self._alone():
                    self._join()
            return self.uri

    def stop(self) -> None:
        """Leave the server; the last process to leave stops it and waits until it is gone.

        Does nothing when this process takes no part.

        Raises:
            EmbeddedServerError: the server cannot be stopped, or its folder
                cannot be used any more. This process has left all the same.
        """
        with self._part.threads:
            if not self._part.held:
                return
            try:
                with self._translated(), self._alone():
                    self._leave()
            finally:
                self._drop()

    @property
    def is_kept(self) -> bool:
        """Whether it runs and stays when the last process leaves, by :meth:`keep`."""
        return self._mark.is_on(self.pid)

    def keep(self) -> bool:
        """Have the server run until :meth:`end`, whoever comes and goes; started if it does not run.

        It lasts no longer than its ``mongod``: after a crash or a reboot, things are as usual.

        Returns:
            whether it was started for that.

        Raises:
            EmbeddedServerError: it does not start, or it is one that runs in another container.
        """
        check_platform()
        with self._part.threads, self._translated():
            make_private(self.folder, top=self._top)
            with self._alone():
                taking_part, ran = self._part.held, self._mongod.lives()
                self._join()
                try:
                    self._check_pid()
                    self._mark.put_on(self.pid)
                finally:
                    if not taking_part:
                        self._leave()  # the mark keeps it
                return not ran

    def end(self, *, force: bool = False) -> bool:
        """Stop the server, whoever has started it, and wait until it is gone.

        Args:
            force: also where processes use it. They start it again when they next need it.

        Returns:
            whether it ran.

        Raises:
            EmbeddedServerError: processes use it, this one perhaps, or it cannot be stopped, or is another user's.
        """
        check_platform()
        with self._part.threads, self._translated():
            if not self.folder.is_dir():
                return False
            self._check_owner()
            with self._alone():
                if not self._mongod.lives():
                    self._mark.remove()
                    return False
                self._check_pid()
                if not force and self._is_used():
                    raise EmbeddedServerError(
                        "programs are using the embedded MongoDB: let them end first, "
                        "or stop it all the same with 'tmdb-mongo-cache server stop --force'"
                    )
                self._mongod.stop()
                self._mark.remove()
                return True

    def in_use(self) -> bool:
        """Say whether a process uses the server now, or is just arriving or leaving."""
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
        """Say whether a ``mongod`` runs here, from before its first answer to its end."""
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
        # Under start.lock, or a process that arrives would find the lock taken.
        return not is_free(self.folder / "users.lock", exclusive=True)

    def _check_pid(self) -> None:
        if self.pid == 0:
            raise EmbeddedServerError(f"the mongod in {self.folder} runs in another container: start and stop it there")

    def _join(self) -> None:
        self._part.take()
        _taking_part.add(self)
        try:
            if not self._mongod.lives():
                self._mark.remove()  # of one that was killed: a new one may get its pid
            self._mongod.bring_up()
            self._mongod.shorten_log()
        except (EmbeddedServerError, OSError):
            # A mongod that is still at its recovery goes on with it: killed now, it would
            # start again from the beginning, and never be ready in time.
            self._drop()
            raise
        except BaseException:
            self._leave()
            raise

    def _leave(self) -> None:
        try:
            if self._part.is_last() and not self.is_kept:
                self._mongod.stop()
        finally:
            self._drop()

    def _drop(self) -> None:
        self._part.drop()
        _taking_part.discard(self)

    @contextlib.contextmanager
    def _alone(self, seconds: float | None = None) -> Iterator[None]:
        """Hold ``start.lock``: no other process arrives or leaves meanwhile."""
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
    """Give this process's server for the default folder, always the same one; it is not started here."""
    global _shared
    with no_fork():
        if _shared is None:
            _shared = EmbeddedServer()
        return _shared


def _leave_at_exit() -> None:
    for server in list(_taking_part):
        # A start that hangs is not waited for; the next process to come finds things as they are.
        if not server._part.threads.acquire(timeout=1):
            continue
        try:
            # Nobody is left to read an error.
            with contextlib.suppress(OSError, EmbeddedServerError):
                server.stop()
        finally:
            server._part.threads.release()


_taking_part: set[EmbeddedServer] = set()  # kept alive until they leave
_shared: EmbeddedServer | None = None

atexit.register(_leave_at_exit)
