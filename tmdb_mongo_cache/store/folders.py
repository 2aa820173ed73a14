"""Private folders and files, and a place for a unix socket whose path is not too long."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from pathlib import Path

from ..errors import EmbeddedServerError

PATH_LIMIT = 103
"""Bytes in the path of a unix socket: 104 on macOS, 108 on Linux, with the closing NUL."""


def open_private(path: str | Path, flags: int) -> int:
    """Open a file that only its owner may read and write; also an ``opener`` for :func:`open`."""
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def make_private(path: Path) -> None:
    """Make the folder with mode 0700, or see to it that nobody but this user may enter it.

    Raises:
        EmbeddedServerError: it is no folder, or others own it or may enter it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    found = path.lstat()  # not through a link: in /tmp anybody may have made one
    if not stat.S_ISDIR(found.st_mode):
        raise EmbeddedServerError(f"{path} is not a folder: the embedded MongoDB needs one of its own")
    if found.st_uid != os.geteuid():
        raise EmbeddedServerError(
            f"{path} belongs to another user (uid {found.st_uid}): the embedded MongoDB needs a folder of its own"
        )
    if found.st_mode & 0o077:
        if any(path.iterdir()):
            raise EmbeddedServerError(
                f"other users may enter {path}, and the embedded MongoDB has no password: run 'chmod 700' on it"
            )
        path.chmod(0o700)


def socket_path(folder: Path) -> Path:
    """Name the socket of a server: in its folder, or in one below /tmp where that path is no good for a socket.

    The same for every process of a user, whatever its environment.
    """
    near = folder / "mongod.sock"
    # mongod takes a comma in the path for the end of one address.
    if len(os.fsencode(near)) <= PATH_LIMIT and "," not in str(near):
        return near
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
    return Path(f"/tmp/tmdb-mongo-cache-{os.geteuid()}-{digest}/mongod.sock")  # noqa: S108 - checked by make_private
