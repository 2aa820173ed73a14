"""Whether the process that listens on the embedded server's socket is this user's, according to the kernel."""

from __future__ import annotations

import os
import socket
import struct
import sys

_refusals: list[str] = []


def note_refusal(why: str | None) -> None:
    """Record why a connection to the embedded server was refused; None where it was not."""
    _refusals[:] = [why] if why else []


def last_refusal() -> str | None:
    """Return why this process's last connection to the embedded server was refused; None where it was not."""
    return next(iter(_refusals), None)


def uid_of(link: socket.socket) -> int | None:
    """Return the user at the other end of a unix socket; None where the system does not tell."""
    if sys.platform == "linux":
        credentials = link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("iII"))
        return int(struct.unpack("iII", credentials)[1])  # struct ucred: process, user, group
    if sys.platform == "darwin":
        credentials = link.getsockopt(0, 1, 76)  # SOL_LOCAL, LOCAL_PEERCRED; struct xucred: version, user, groups
        return int(struct.unpack_from("=II", credentials)[1])
    return None


def why_foreign(link: socket.socket) -> str | None:
    """Return why the process at the other end of a unix socket is not trusted; None where it is this user's."""
    found = uid_of(link)
    if found is None or found == os.geteuid():
        return None
    return (
        f"what listens on {link.getpeername()} is a process of another user (uid {found}), "
        "and not this user's MongoDB: end it, and remove that socket"
    )
