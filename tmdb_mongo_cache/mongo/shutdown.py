"""The end of a process: it does not wait for pymongo's monitors."""

from __future__ import annotations

import atexit
import weakref
from contextlib import suppress
from typing import Any

from pymongo import MongoClient

# By identity: clients of the same server are equal.
_ours: weakref.WeakValueDictionary[int, MongoClient[dict[str, Any]]] = weakref.WeakValueDictionary()


def is_ours(client: MongoClient[dict[str, Any]]) -> None:
    """Note that a client is this package's own, and no thread of it has to be waited for."""
    _ours[id(client)] = client


def _do_not_wait() -> None:
    """Let the process end without waiting for pymongo's monitors.

    At exit pymongo tells its threads to end and waits for them, up to half a
    second each, for they sleep. They are daemons, and have nothing to finish.
    Where the program has a client of its own, all stays as pymongo does it.
    """
    with suppress(Exception):  # names that pymongo may change
        from pymongo.synchronous import monitor

        if all(_ours.get(id(client)) is client for client in list(MongoClient._clients.values())):
            # pymongo's function looks these two up when it is called. It cannot be taken off the list here: since
            # Python 3.14 everything is called that is on it when the end begins.
            vars(monitor).update(dict.fromkeys(("_shutdown_monitors", "_shutdown_executors"), lambda: None))


# pymongo has registered by now, and what is registered last is done first.
atexit.register(_do_not_wait)
