"""The embedded MongoDB: a real ``mongod`` on a unix socket that the processes of one user share.

Everything is in one folder that only its owner may enter::

    data/         what MongoDB stores            mongod.log    its log, and mongod.log.1 the one before
    mongod.sock   where it listens (where this path is too long for a socket: a link to the place)
    users.lock    shared by every process that uses the server
    start.lock    exclusive while a process arrives or leaves
    server.lock   exclusive as long as the mongod lives

The three locks are ``flock`` locks. The kernel drops them when their holder
ends, however it ends, so none of them is ever stale. The files are never
deleted: two processes that lock two files of the same name do not exclude
each other.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import json
import os
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import platformdirs

from tmdb_mongo_cache.errors import EmbeddedServerError
from tmdb_mongo_cache.store.mongod import find_mongod

if sys.platform != "win32":
    import fcntl

__all__ = ["EmbeddedServer", "shared_server"]

# All in seconds.
START_LIMIT = 30.0  # from the start of mongod to its first answer; a recovery is in it
SILENCE_LIMIT = 10.0  # a mongod that accepts a connection and says nothing for so long is hung
STOP_LIMIT = 15.0  # from SIGTERM to SIGKILL
QUEUE_LIMIT = 60.0  # for other processes to arrive or leave before us: START_LIMIT + STOP_LIMIT and some
POLL = 0.005

LOG_LIMIT = 8 * 2**20  # bytes; a longer log is put aside when a process joins
PATH_LIMIT = 103  # bytes in the path of a unix socket: 104 on macOS, 108 on Linux, with the closing NUL

OPTIONS = (
    "--quiet",
    "--logappend",
    "--logRotate=reopen",
    "--filePermissions=0700",
    "--wiredTigerCacheSizeGB=0.25",
    "--setParameter=diagnosticDataCollectionEnabled=false",
    # By default mongod writes 300 MB of empty journal ahead and reads through it when it starts.
    # Without that: 33 MB on disk, and a start on existing data takes 0.19 s instead of 0.25 s. One
    # journal file has to hold the largest record, and that is a document of 16 MB.
    "--wiredTigerEngineConfigString=log=(prealloc=false,file_max=32MB)",
)


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
            ``tmdb-mongo-cache``.
    """

    def __init__(self, folder: Path | None = None) -> None:
        """Remember the folder; nothing is touched before :meth:`start`."""
        if folder is None:
            folder = Path(platformdirs.user_data_dir("tmdb-mongo-cache")) / "mongodb"
        self.folder = Path(folder).resolve()
        self.log_path = self.folder / "mongod.log"
        self._lock = threading.RLock()
        self._users: int | None = None  # the descriptor of users.lock, while this process takes part
        self._spare: int | None = None  # the one that a child being forked will take part with
        _servers.add(self)

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
        near = self.folder / "mongod.sock"
        if _fits(near):
            return near
        # The link is what processes with different TMPDIR agree by.
        with contextlib.suppress(OSError):
            return near.readlink()
        return _far_folder(self.folder) / "mongod.sock"

    @property
    def uri(self) -> str:
        """The MongoDB URI of the server, running or not."""
        return f"mongodb://{quote(str(self.socket_path), safe='')}/?directConnection=true"

    @property
    def pid(self) -> int | None:
        """The process id of the running ``mongod``, or None.

        It is the kernel's word on who has the data open, so it is never a
        number that now belongs to another program, nor one that means
        something in another container only.
        """
        try:
            with open(self.folder / "data" / "WiredTiger.lock", "rb") as file:
                return _holder(file.fileno())
        except OSError:
            return None

    def start(self) -> str:
        """Take part in the server, starting it if it does not run, and give its URI.

        Does nothing but a check (0.6 ms) when this process takes part already
        and the server answers; a server that has died since is started anew.
        Waits up to 30 s for an answer, as long as a recovery may take.

        Raises:
            EmbeddedServerError: there is no ``mongod``, it does not start, or
                its folder cannot be used. The text says why.
        """
        if sys.platform == "win32":
            raise EmbeddedServerError("The embedded MongoDB does not run on Windows: give a MongoDB URI.")
        with self._lock, self._translated():
            if self._users is not None and self._state() == "ready":
                return self.uri
            _private_folder(self.folder)
            with self._alone():
                if self._users is None:
                    self._users = self._open("users.lock")
                    fcntl.flock(self._users, fcntl.LOCK_SH)
                    _taking_part.add(self)
                try:
                    self._bring_up()
                    self._shorten_log()
                except (EmbeddedServerError, OSError):
                    # A mongod that is still at its recovery goes on with it: killed now, it would
                    # start again from the beginning, and never be ready in time.
                    self._drop()
                    raise
                except BaseException:
                    self._leave()
                    raise
            return self.uri

    def stop(self) -> None:
        """Leave the server; the last process to leave stops it and waits until it is gone.

        Does nothing when this process takes no part.

        Raises:
            EmbeddedServerError: the server cannot be stopped, or its folder
                cannot be used any more. This process has left all the same.
        """
        with self._lock:
            if self._users is None:
                return
            try:
                with self._translated(), self._alone():
                    self._leave()
            finally:
                self._drop()

    def _bring_up(self) -> None:
        """Return when a server answers; the caller holds ``start.lock``."""
        near = self.folder / "mongod.sock"
        if not _fits(near) and not self._lives():
            near.unlink(missing_ok=True)  # where the last one listened; that place may be gone
        path = self.socket_path
        if path != near:
            _private_folder(path.parent)
        process: subprocess.Popen[bytes] | None = None
        deadline = time.monotonic() + START_LIMIT
        while (state := self._state()) != "ready":
            if not self._lives():
                if process is not None:
                    raise EmbeddedServerError(
                        f"mongod did not start, {_last_error(self.log_path)}; its log is {self.log_path}."
                    )
                if path != near:
                    near.unlink(missing_ok=True)
                    near.symlink_to(path)
                process = self._launch(path)
            elif time.monotonic() > deadline:
                raise EmbeddedServerError(
                    f"mongod runs and has not answered on {path} for {START_LIMIT:.0f} s, "
                    f"{_last_error(self.log_path)}; its log is {self.log_path}."
                )
            elif state == "silent":
                self._end((signal.SIGKILL,))
            time.sleep(POLL)

    def _launch(self, path: Path) -> subprocess.Popen[bytes]:
        program = find_mongod()
        data = self.folder / "data"
        data.mkdir(mode=0o700, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            self.log_path.replace(self.log_path.with_name("mongod.log.1"))
        command = [str(program), *OPTIONS, "--dbpath", str(data), "--logpath", str(self.log_path)]
        # Given a path as its only address, and no socket in /tmp, it opens no port at all.
        command += ["--bind_ip", str(path), "--nounixsocket"]
        # No fork in between: a child would hold `server.lock` for a mongod that is long dead.
        with _no_fork, contextlib.ExitStack() as stack:
            lock = self._open("server.lock")
            stack.callback(os.close, lock)
            fcntl.flock(lock, fcntl.LOCK_EX)
            log = stack.enter_context(open(self.log_path, "ab", opener=_private_opener))
            process = subprocess.Popen(  # noqa: S603 - the program is the user's own choice
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,  # what the dynamic loader says, and complaints about options
                stderr=log,
                cwd=self.folder,
                close_fds=True,
                pass_fds=(lock,),  # mongod knows nothing of it, and holds it until the moment it ends
                start_new_session=True,  # Ctrl-C in the user's terminal is not meant for it
            )
        # Whoever stops it: its parent has to collect it, or it stays as a zombie.
        threading.Thread(target=process.wait, name="mongod-reaper", daemon=True).start()
        return process

    def _leave(self) -> None:
        """Give up this process's part and stop the server if it was the last; needs ``start.lock``."""
        if self._users is not None:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(self._users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._end((signal.SIGTERM, signal.SIGKILL))
                if self.socket_path.parent != self.folder:
                    with contextlib.suppress(OSError):
                        self.socket_path.parent.rmdir()
        self._drop()

    def _drop(self) -> None:
        if self._users is not None:
            # Unlocked by name: a child forked this instant shares the lock, and closing leaves it to it.
            fcntl.flock(self._users, fcntl.LOCK_UN)
            os.close(self._users)
            self._users = None
            _taking_part.discard(self)

    def _end(self, signals: tuple[signal.Signals, ...]) -> None:
        """Send each signal in turn until the server has ended, 15 s for each."""
        for number in signals:
            pid = self.pid
            if not pid:  # it has ended, or it runs in another container and is for that one to stop
                return
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
            # A zombie in a container where nobody collects it holds no lock, and is gone for us.
            if _wait(lambda: not self._lives(), STOP_LIMIT):
                _wait(lambda pid=pid: not _exists(pid), 0.1)  # type: ignore[misc]
                return
        raise EmbeddedServerError(f"mongod (process {pid}) in {self.folder} does not end even when killed.")

    def _lives(self) -> bool:
        """Tell whether a mongod of this folder runs, from before its first instruction to its end."""
        lock = self._open("server.lock")
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        else:
            return False
        finally:
            os.close(lock)

    def _state(self) -> Literal["ready", "absent", "silent"]:
        try:
            _command(self.socket_path, {"hello": 1}, SILENCE_LIMIT)
        except (TimeoutError, BlockingIOError):
            return "silent"
        except (FileNotFoundError, ConnectionError):
            return "absent"
        return "ready"

    def _shorten_log(self) -> None:
        """Put a long log aside, so that a server which never stops does not fill the disk."""
        with contextlib.suppress(OSError):  # nothing to refuse the server for
            if self.log_path.stat().st_size > LOG_LIMIT:
                self.log_path.replace(self.log_path.with_name("mongod.log.1"))
                _command(self.socket_path, {"logRotate": 1}, SILENCE_LIMIT)

    def _open(self, name: str) -> int:
        return _private_opener(str(self.folder / name), os.O_RDWR | os.O_CREAT)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold ``start.lock``: no other process arrives or leaves meanwhile."""
        lock = self._open("start.lock")
        try:
            if not _wait(lambda: _try_exclusive(lock), QUEUE_LIMIT):
                raise EmbeddedServerError(
                    f"Another process has been starting or stopping the MongoDB in {self.folder} "
                    f"for {QUEUE_LIMIT:.0f} s: look for a hanging program that uses it."
                )
            try:
                yield
            finally:
                fcntl.flock(lock, fcntl.LOCK_UN)  # by name, as in _drop
        finally:
            os.close(lock)

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            raise EmbeddedServerError(f"The embedded MongoDB cannot use {self.folder}: {exc}.") from exc

    def _before_fork(self) -> None:
        """Take part a second time, for the child.

        A ``flock`` belongs to the open file, which parent and child share: made
        exclusive by one of them, it would look as if nobody used the server.
        So the child gets an open file of its own, and gets it before it
        exists, so that the parent cannot stop the server in between.
        """
        if self._users is not None:
            with contextlib.suppress(OSError):  # BlockingIOError: the server is just being stopped
                spare = self._open("users.lock")
                try:
                    fcntl.flock(spare, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except OSError:
                    os.close(spare)
                else:
                    self._spare = spare

    def _after_fork(self, child: bool) -> None:
        # Closed without unlocking: what one of the two closes here stays locked by the other.
        unwanted, self._spare = self._spare, None
        if child:
            self._lock = threading.RLock()  # the one inherited may be held by a thread that is not here
            self._users, unwanted = unwanted, self._users
        if unwanted is not None:
            os.close(unwanted)


def shared_server() -> EmbeddedServer:
    """Give this process's server for the default folder, always the same one; it is not started here."""
    global _shared
    with _no_fork:
        if _shared is None:
            _shared = EmbeddedServer()
        return _shared


def _command(path: Path, command: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Send one command over a socket of its own (OP_MSG of MongoDB's wire protocol), and give the answer.

    A ``MongoClient`` would start threads and hide the difference between
    "nobody listens" and "nobody answers".
    """
    from bson import decode, encode

    body = struct.pack("<ib", 0, 0) + encode({**command, "$db": "admin"})
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        link.settimeout(seconds)
        link.connect(str(path))
        link.sendall(struct.pack("<4i", 16 + len(body), 1, 0, 2013) + body)
        with link.makefile("rb") as reader:
            head = reader.read(16)
            answer = reader.read(struct.unpack("<i", head[:4])[0] - 16) if len(head) == 16 else b""
    if not answer:
        raise ConnectionResetError("the server closed the connection")
    return decode(answer[5:])


def _holder(descriptor: int) -> int | None:
    """Give the process that has an fcntl lock on the file; 0 when it is in another container."""
    # struct flock: type, whence, start, length, pid on Linux; start, length, pid, type, whence on macOS.
    if sys.platform == "darwin":
        layout, request, kind, pid = "qqihh", (0, 0, 0, fcntl.F_WRLCK, os.SEEK_SET), 3, 2
    else:
        layout, request, kind, pid = "hhqqi", (fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0), 0, 4
    found = struct.unpack(layout, fcntl.fcntl(descriptor, fcntl.F_GETLK, struct.pack(layout, *request)))
    return None if found[kind] == fcntl.F_UNLCK else max(0, int(found[pid]))


def _try_exclusive(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _wait(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL)
    return True


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _private_opener(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def _private_folder(path: Path) -> None:
    """Make the folder with mode 0700, or see to it that nobody but this user may enter it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    found = path.lstat()  # not through a link: in a temporary folder anybody may have made one
    if not stat.S_ISDIR(found.st_mode):
        raise EmbeddedServerError(f"{path} is not a folder: the embedded MongoDB needs one of its own.")
    if found.st_uid != os.geteuid():
        raise EmbeddedServerError(
            f"{path} belongs to another user (uid {found.st_uid}): the embedded MongoDB needs its own folder."
        )
    if found.st_mode & 0o077 and not any(path.iterdir()):
        path.chmod(0o700)
    elif found.st_mode & 0o077:
        raise EmbeddedServerError(
            f"Other users may enter {path}, and the embedded MongoDB has no password: run 'chmod 700' on it."
        )


def _fits(path: Path) -> bool:
    # mongod takes a comma in the path for the end of one address.
    return len(os.fsencode(path)) <= PATH_LIMIT and "," not in str(path)


def _far_folder(folder: Path) -> Path:
    """Name a folder with a short path for the socket of a server whose own path is too long."""
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
    for base in (os.environ.get("XDG_RUNTIME_DIR", ""), tempfile.gettempdir(), "/tmp"):  # noqa: S108 - checked by _private_folder
        far = Path(base) / f"tmdb-mongo-cache-{os.geteuid()}-{digest}"
        if os.path.isabs(base) and os.path.isdir(base) and _fits(far / "mongod.sock"):
            return far
    raise EmbeddedServerError(f"{folder} is too long for a unix socket: set TMDB_CACHE_URI or use a short TMPDIR.")


def _last_error(log_path: Path) -> str:
    """Quote the last line that tells an error in a log of mongod, or its last line where none does."""
    best, said = 0, "nothing"
    with contextlib.suppress(OSError):
        for line in log_path.read_bytes()[-65536:].decode(errors="replace").splitlines():
            try:
                entry = json.loads(line)
                error = entry.get("attr", {}).get("error", "")
                text = f"{entry['msg'].strip()}: {error}" if error else entry["msg"].strip()
                # After an error with a reason come "Fatal assertion" and "aborting", which tell nothing.
                value = 1 if entry["s"] not in "EF" else 3 if error else 2
            except (ValueError, KeyError, AttributeError, TypeError):
                text, value = line.strip(), 2  # from the dynamic loader, or about an option
            if text and value >= best:
                best, said = value, repr(text)
    return f"it said {said}"


def _before_fork() -> None:
    _no_fork.acquire()
    for server in list(_servers):
        server._before_fork()


def _after_fork_in_parent() -> None:
    for server in list(_servers):
        server._after_fork(child=False)
    _no_fork.release()


def _after_fork_in_child() -> None:
    global _no_fork
    _no_fork = threading.Lock()
    for server in list(_servers):
        server._after_fork(child=True)


def _leave_at_exit() -> None:
    for server in list(_servers):
        # Nobody is left to read an error; the next process to come finds things as they are.
        with contextlib.suppress(OSError, EmbeddedServerError):
            server.stop()


_servers: weakref.WeakSet[EmbeddedServer] = weakref.WeakSet()
_taking_part: set[EmbeddedServer] = set()  # kept alive until they leave
_shared: EmbeddedServer | None = None
_no_fork = threading.Lock()

atexit.register(_leave_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
