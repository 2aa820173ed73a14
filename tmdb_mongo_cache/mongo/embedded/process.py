"""One ``mongod``: its command line, its start and its end, whether it responds, what its log says.

Nothing here depends on how many programs use it: :mod:`.mongo.embedded.server` decides when it
starts and stops, and lets one process at a time do that.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, Literal

from bson import encode

from ...errors import EmbeddedServerError
from .binary import environment, find_mongod
from .locks import POLL, is_free, lock, no_fork, open_lock, record_holder
from .paths import make_private, open_private, socket_path, why_open
from .peer_credentials import why_foreign

# All in seconds.
START_LIMIT = 30.0  # from the start of mongod to its first response, including a recovery
SILENCE_LIMIT = 10.0  # a mongod that accepts a connection and sends nothing for so long is hung
STOP_LIMIT = 15.0  # from SIGTERM to SIGKILL

LOG_LIMIT = 8 * 2**20
"""Bytes; a longer log is rotated when a process joins."""

OPTIONS = (
    "--quiet",
    "--logappend",
    "--logRotate=reopen",
    "--filePermissions=0700",
    "--wiredTigerCacheSizeGB=0.25",
    # Nothing is gained by compressing what stays on this machine, and CVE-2025-14847 is in the decompression.
    "--networkMessageCompressors=disabled",
    "--setParameter=diagnosticDataCollectionEnabled=false",
    # By default mongod writes 300 MB of empty journal ahead and reads through it when it starts.
    # Without that: 33 MB on disk, and a start on existing data takes 0.19 s instead of 0.25 s. One
    # journal file has to hold the largest record, and that is a document of 16 MB.
    "--wiredTigerEngineConfigString=log=(prealloc=false,file_max=32MB)",
)


class MongodProcess:
    """The ``mongod`` of one folder, whichever process has started it.

    Args:
        folder: where its data, its log and ``server.lock`` are.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log_path = folder / "mongod.log"
        self._data = folder / "data"
        self._lock_path = folder / "server.lock"

    @property
    def socket_path(self) -> Path:
        """Where it listens."""
        return socket_path(self.folder)

    @property
    def pid(self) -> int | None:
        """The process id of the one that runs; None when none has the data open, 0 in another container.

        The kernel tells which process has the data open, so it is never the id of
        another program, nor one that is valid in another container only.
        """
        return record_holder(self._data / "WiredTiger.lock")

    def lives(self) -> bool:
        """Return whether one runs, from before its first instruction to its end."""
        return self._lock_path.exists() and not is_free(self._lock_path)

    def state(self) -> Literal["ready", "absent", "silent"]:
        """Return whether one responds: an ``absent`` one does not listen, a ``silent`` one is hung.

        Raises:
            EmbeddedServerError: what listens is another user's, or others may enter the socket's folder.
        """
        try:
            _command(self.socket_path, {"hello": 1})
        except (TimeoutError, BlockingIOError):
            return "silent"
        except (FileNotFoundError, ConnectionError):
            return "absent"
        return "ready"

    def bring_up(self) -> None:
        """Return when one responds: the running one, or a new one where none runs or it is hung.

        Raises:
            EmbeddedServerError: there is no ``mongod``, or it ends, or it does not respond in
                time, or what listens in its place is another user's.
        """
        short = self.socket_path.parent
        if short != self.folder:
            # It stays when the server ends, so that no other user can take its name.
            make_private(short.parent.resolve() / short.name)
        launched = False
        deadline = time.monotonic() + START_LIMIT
        while (state := self.state()) != "ready":
            if not self.lives():
                if launched:
                    said = _last_error(self.log_path)
                    text = f"mongod did not start; it logged {said}; its log is {self.log_path}"
                    if "featureCompatibilityVersion" in said or "Wrong mongod version" in said:
                        text += f"; {self._data} is of another MongoDB version: remove it, or use that version"
                    raise EmbeddedServerError(text)
                self._launch()
                launched = True
            elif time.monotonic() > deadline:
                raise EmbeddedServerError(
                    f"mongod runs and has not responded on {self.socket_path} for {START_LIMIT:.0f} s, "
                    f"it logged {_last_error(self.log_path)}; its log is {self.log_path}"
                )
            elif state == "silent":
                self._kill()
            time.sleep(POLL)

    def stop(self) -> None:
        """Stop the running one: by SIGTERM, and by SIGKILL where that takes too long.

        Raises:
            EmbeddedServerError: it does not end.
        """
        if not self._ends_on(signal.SIGTERM):
            self._kill()

    def rotate_log(self) -> None:
        """Rotate a long log, so that a server that never stops does not fill the disk."""
        with contextlib.suppress(OSError):  # no reason not to use the server
            if self.log_path.stat().st_size > LOG_LIMIT:
                self._rename_log()
                _command(self.socket_path, {"logRotate": 1})

    def _rename_log(self) -> None:
        self.log_path.replace(self.log_path.with_name("mongod.log.1"))

    def _launch(self) -> None:
        program = find_mongod()
        make_private(self._data.resolve(), repair=True)  # it may be a link to another disk
        with contextlib.suppress(FileNotFoundError):
            self._rename_log()
        command = [str(program), *OPTIONS, "--dbpath", str(self._data), "--logpath", str(self.log_path)]
        # Given a path as its only address, and no socket in /tmp, it opens no port at all.
        command += ["--bind_ip", str(self.socket_path), "--nounixsocket"]
        # No fork in between: a child would hold `server.lock` for a mongod that is long dead.
        with no_fork(), contextlib.ExitStack() as stack:
            held = open_lock(self._lock_path)
            stack.callback(os.close, held)
            lock(held, exclusive=True, seconds=math.inf)
            log = stack.enter_context(open(self.log_path, "ab", opener=open_private))
            process = subprocess.Popen(  # noqa: S603 - the program is the user's own choice
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,  # what the dynamic loader says, and complaints about options
                stderr=log,
                cwd=self.folder,
                env=environment(),
                umask=0o077,
                pass_fds=(held,),  # mongod knows nothing of it, and holds it until the moment it ends
                start_new_session=True,  # Ctrl-C in the user's terminal is not meant for it
            )
        # Whichever process stops it: its parent has to reap it, or it stays a zombie.
        threading.Thread(target=process.wait, name="mongod-reaper", daemon=True).start()

    def _kill(self) -> None:
        if not self._ends_on(signal.SIGKILL):
            raise EmbeddedServerError(f"mongod (process {self.pid}) in {self.folder} does not end even when killed")

    def _ends_on(self, number: signal.Signals) -> bool:
        deadline = time.monotonic() + STOP_LIMIT
        while (pid := self.pid) is None and self.lives() and time.monotonic() < deadline:
            time.sleep(POLL)  # just started, it has not opened its data yet
        if not pid:  # it has ended, or it runs in another container, which has to stop it
            return True
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        # Not "until there is no such process": a zombie that is not reaped has ended, too.
        return is_free(self._lock_path, STOP_LIMIT)


def _command(path: Path, command: dict[str, Any]) -> None:
    """Run one command over a socket of its own (OP_MSG of MongoDB's wire protocol).

    A ``MongoClient`` would start threads and hide the difference between a server
    that does not listen and one that does not respond.
    """
    body = struct.pack("<ib", 0, 0) + encode({**command, "$db": "admin"})
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        link.settimeout(SILENCE_LIMIT)
        why = why_open(path.parent)
        if not why:
            link.connect(str(path))
            why = why_foreign(link)
        if why:
            raise EmbeddedServerError(why)
        link.sendall(struct.pack("<4i", 16 + len(body), 1, 0, 2013) + body)
        if not link.recv(65536):
            raise ConnectionResetError("the server closed the connection")


def _last_error(log_path: Path) -> str:
    """Quote the last line with an error in a log of mongod, or its last line where there is none."""
    best, said = 0, "nothing"
    with contextlib.suppress(OSError):
        for line in log_path.read_bytes().splitlines()[-200:]:
            try:
                entry = json.loads(line)
                error = entry.get("attr", {}).get("error", "")
                text = f"{entry['msg'].strip()}: {error}" if error else entry["msg"].strip()
                # After an error with a reason come "Fatal assertion" and "aborting", which say nothing.
                value = 1 if entry["s"] not in "EF" else 3 if error else 2
            except (ValueError, KeyError, AttributeError, TypeError):
                text, value = line.decode(errors="replace").strip(), 2  # from the dynamic loader, or about an option
            if text and value >= best:
                best, said = value, repr(text)
    return said
