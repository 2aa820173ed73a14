"""Whether who listens on the embedded server's socket is this user, asked of the kernel."""

from __future__ import annotations

import os
import socket
import struct
import sys
from typing import Any

import pymongo

from ..errors import EmbeddedServerError

_refusals: list[str] = []


def note_refusal(why: str | None) -> None:
    """Note why a connection to the embedded server was refused; None where it was not."""
    _refusals[:] = [why] if why else []


def last_refusal() -> str | None:
    """Return why this process's last connection to the embedded server was refused; None where it was not."""
    return next(iter(_refusals), None)


def uid_of(link: socket.socket) -> int | None:
    """Give the user who listens at the other end of a unix socket; None where the system does not tell."""
    if sys.platform == "linux":
        credentials = link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("iII"))
        return int(struct.unpack("iII", credentials)[1])  # struct ucred: process, user, group
    if sys.platform == "darwin":
        credentials = link.getsockopt(0, 1, 76)  # SOL_LOCAL, LOCAL_PEERCRED; struct xucred: version, user, groups
        return int(struct.unpack_from("=II", credentials)[1])
    return None


def why_foreign(link: socket.socket) -> str | None:
    """Say why what listens at the other end of a unix socket is not to be believed; None where it is this user's."""
    found = uid_of(link)
    if found is None or found == os.geteuid():
        return None
    return (
        f"what listens on {link.getpeername()} is a process of another user (uid {found}), "
        "and not this user's MongoDB: end it, and remove that socket"
    )


def pool_options() -> dict[str, Any]:
    """Give the options of a client by which each of its connections to the embedded server is looked at.

    Raises:
        EmbeddedServerError: with this version of pymongo, which may change what is its own, that cannot be.
    """
    try:
        from .own_pool import OwnPool  # nobody needs it who has a server elsewhere
    except Exception as error:
        raise EmbeddedServerError(
            f"pymongo {pymongo.version} does not let its connections to the embedded MongoDB be checked: "
            "install an older pymongo or a newer tmdb-mongo-cache, or set TMDB_CACHE_URI to another MongoDB"
        ) from error
    return {"_pool_class": OwnPool}
