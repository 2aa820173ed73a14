"""Private folders and files, which users could replace them, and a short enough path for a unix socket."""

from __future__ import annotations

import hashlib
import os
import shlex
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import platformdirs

from ...errors import EmbeddedServerError

PATH_LIMIT = 103
"""Bytes in the path of a unix socket: 104 on macOS, 108 on Linux, with the closing NUL."""


def data_directory() -> Path:
    """Return the folder for the cache's data of this user; it may not exist yet.

    Raises:
        EmbeddedServerError: there is no place for it.
    """
    try:
        found = Path(platformdirs.user_data_dir("tmdb-mongo-cache"))
    except RuntimeError:
        found = Path()
    if not found.is_absolute():  # older versions of platformdirs give it with "~"
        raise EmbeddedServerError(
            f"the embedded MongoDB has no place for its data, because this user (uid {os.geteuid()}) has no home: "
            "set HOME or XDG_DATA_HOME to a folder of its own, or TMDB_CACHE_URI to another MongoDB"
        )
    return found


def open_private(path: str | Path, flags: int) -> int:
    """Open a file that only its owner may read and write, whatever the umask; also an ``opener`` for :func:`open`."""
    descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)
    if stat.S_IMODE(os.fstat(descriptor).st_mode) != 0o600:
        with suppress(OSError):
            os.fchmod(descriptor, 0o600)
    return descriptor


def make_private(path: Path, *, top: Path | None = None, repair: bool = False) -> None:
    """Make a folder with mode 0700, whatever the umask, or ensure that only this user may enter it.

    Folders that are missing above it get that mode, too.

    Args:
        path: the folder; no link in it is followed.
        top: a folder above it that is the cache's as well: from there down modes are corrected.
        repair: correct the folder's own mode whatever is in it, as others cannot enter the one above.

    Raises:
        EmbeddedServerError: it is no folder, or others own it, may enter it, or could put another in its place.
    """
    _make(path)
    chain = (*reversed(path.parents), path)
    above = [folder for folder in chain if not folder.is_relative_to(top or path)]
    for folder in chain[len(above) :]:
        _own(folder, repair=repair or folder != path)
    check_above(above)


def check_above(above: Iterable[Path]) -> None:
    """Check that only the user and root can replace a folder below these.

    Args:
        above: the folders from ``/`` down.

    Raises:
        EmbeddedServerError: another user can; the text names the folder and how to correct it.
    """
    found = [(folder, folder.lstat()) for folder in above]
    why = why_unsafe(found, os.geteuid(), is_private=_is_private)
    if why:
        raise EmbeddedServerError(f"{why}, or keep its data elsewhere (XDG_DATA_HOME)")


def why_unsafe(
    above: Iterable[tuple[Path, os.stat_result]], uid: int, *, is_private: Callable[[int], bool]
) -> str | None:
    """Return how another user could replace a folder, and how to prevent that; None where none could.

    The rule is that of sshd for what is in a home: each folder above must
    belong to the user or root, and no other user may write to it. The owner
    of ``/`` counts as root, too: in a sandbox root may have another number. Writing
    is harmless in a folder with the sticky bit, like ``/tmp``, where users rename
    only what is their own, and for a group whose only member is the user.

    Args:
        above: the folders from ``/`` down, with their ``lstat``.
        uid: the user.
        is_private: whether a group is the user's own.
    """
    trusted = {uid, 0}
    for path, found in above:
        mode = found.st_mode
        if path == path.parent:
            trusted.add(found.st_uid)
        if not stat.S_ISDIR(mode):
            return f"{path} has just been replaced: check which program did that"
        if found.st_uid not in trusted:
            owner = f"{path} belongs to another user (uid {found.st_uid}), who could replace"
            return f"{owner} the embedded MongoDB's folder below it: have it owned by yourself or root"
        if mode & 0o022 and not mode & stat.S_ISVTX and (mode & 0o002 or not is_private(found.st_gid)):
            shared = mode & 0o002 and not found.st_uid == uid != 0  # a place for all users, as /tmp should be
            command = f"{'chmod +t' if shared else 'chmod go-w'} {shlex.quote(str(path))}"
            return (
                f"other users may write to {path}, and so replace the embedded MongoDB's folder below it: "
                f"{'run' if found.st_uid == uid else 'have root run'} '{command}'"
            )
    return None


def why_open(path: Path) -> str | None:
    """Return why other users could access a folder; None where they could not."""
    found = path.lstat()  # not through a link: in /tmp any user may have made one
    if not stat.S_ISDIR(found.st_mode):
        return f"{path} is not a folder: the embedded MongoDB needs one of its own"
    if found.st_uid != os.geteuid():
        return f"{path} belongs to another user (uid {found.st_uid}): the embedded MongoDB needs a folder of its own"
    if found.st_mode & 0o077:
        command = f"chmod 700 {shlex.quote(str(path))}"
        return f"other users may enter {path}, and the embedded MongoDB has no password: run '{command}'"
    return None


def socket_path(folder: Path) -> Path:
    """Name the socket of a server: in its folder, or in one below /tmp where that path cannot be used for a socket.

    The same for every process of a user, whatever its environment.
    """
    near = folder / "mongod.sock"
    # To mongod a comma in the path ends the address.
    if len(os.fsencode(near)) <= PATH_LIMIT and "," not in str(near):
        return near
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
    return Path(f"/tmp/tmdb-mongo-cache-{os.geteuid()}-{digest}/mongod.sock")  # noqa: S108 - checked by make_private


def forget_socket(folder: Path) -> None:
    """Remove the short folder of a socket, where there is one; for a server that will not be started again."""
    if (short := socket_path(folder).parent) != folder:
        with suppress(OSError):  # it is in use, or gone
            short.rmdir()


def _make(path: Path) -> None:
    if not path.parent.exists():
        _make(path.parent)
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
        path.chmod(0o700)  # the umask may have left its owner out as well


def _own(path: Path, *, repair: bool) -> None:
    """Correct the mode of a folder where that is enough."""
    found = path.lstat()
    mode = stat.S_IMODE(found.st_mode)
    if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and mode & 0o777 != 0o700:
        # A folder that others could have changed is not trusted, and one that is not ours is not changed.
        ours = mode & 0o022 == 0 and (path / "start.lock").exists()
        if repair or ours or not mode & 0o077 or not any(path.iterdir()):
            path.chmod(0o700)
    why = why_open(path)
    if why:
        raise EmbeddedServerError(why)


def _is_private(gid: int) -> bool:
    """Return whether a group is the user's private group, as many systems create it, without other members."""
    import grp  # not there on Windows
    import pwd

    try:
        own, group = pwd.getpwuid(os.geteuid()), grp.getgrgid(gid)
    except KeyError:
        return False
    if group.gr_name != own.pw_name or not {own.pw_name}.issuperset(group.gr_mem):
        return False
    return all(one.pw_uid == own.pw_uid for one in pwd.getpwall() if one.pw_gid == gid)
