"""pymongo's connections to the embedded server, each checked when it is made."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import AutoReconnect
from pymongo.synchronous.pool import Connection, Pool

from .paths import why_open
from .peer_credentials import note_refusal, why_foreign


class OwnPool(Pool):
    """Connects to a server of this user, and to no other.

    The folder of the socket is checked before each connection, and the process at
    the other end after it, when nothing but the handshake has been sent.
    """

    def connect(self, handler: Any = None) -> Connection:
        """Connect, as pymongo's own pool does.

        Raises:
            AutoReconnect: the socket's folder, or the process that listens there, is not this user's.
        """
        try:
            _refuse_if(why_open(Path(self.address[0]).parent))
        except OSError as error:  # it is gone
            raise AutoReconnect(str(error)) from error
        made = super().connect(handler)
        link: Any = made.conn
        why = why_foreign(getattr(link, "sock", link))  # before pymongo 4.11 it is the socket itself
        if why:
            with suppress(AttributeError):  # names that pymongo may change; it is not used in any case
                with self.lock:
                    self.active_contexts.discard(made.cancel_context)
                made.close_conn(None)
        _refuse_if(why)
        return made


def _refuse_if(why: str | None) -> None:
    note_refusal(why)
    if why:
        raise AutoReconnect(why)


# Where pymongo no longer has what this relies on, connections would be made unchecked, or not at all.
if not hasattr(Pool, "connect"):
    raise ImportError("pymongo makes its connections elsewhere")
MongoClient[Any](connect=False, _pool_class=OwnPool).close()
