"""Removes from memory what other processes change, by a change stream.

A replica set or a sharded cluster has change streams, a single server has none:
there no thread is started, and what is in memory lasts ``memory_ttl``.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from bson.errors import BSONError
from pymongo.collection import Collection
from pymongo.errors import InvalidOperation, OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern

from ..core.memory import Memory
from ..fork import RenewedAfterFork

logger = logging.getLogger("tmdb_mongo_cache")

_WITH_CHANGE_STREAMS = frozenset({"RSPrimary", "RSSecondary", "Mongos", "LoadBalancer"})
"""pymongo's names for the kinds of server that have change streams."""

_OF_ONE = ("delete", "replace", "update")
_OF_ALL = ("drop", "dropDatabase", "invalidate", "rename")
_PIPELINE: list[Mapping[str, Any]] = [
    {"$match": {"operationType": {"$in": [*_OF_ONE, *_OF_ALL]}}},
    {"$project": {"operationType": 1, "documentKey": 1}},
]

_UNAVAILABLE = frozenset({13, 18, 20, 59, 72, 8000, 40324, 40573})
"""Error codes: not allowed, or not supported. Then it is as with a single server."""

_SMALLEST_POOL = 3

_WAIT_MS = 1000
_PAUSES = (1.0, 2.0, 5.0, 15.0, 60.0)  # seconds, after one failure, two, …


class Watcher(RenewedAfterFork):
    """Keeps a tier in step with a collection, from the first look-up on; one thread, or none.

    The thread ends with the tier, or with :meth:`close`.
    """

    def __init__(self, memory: Memory) -> None:
        self._memory = weakref.ref(memory)
        self._closed = False
        self.after_fork()
        super().__init__()

    def after_fork(self) -> None:
        """Start again, in a forked child: the thread stayed with the parent."""
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self.begun = self._closed

    def begin(self, collection: Collection[dict[str, Any]]) -> None:
        """Watch a collection that has just been read, if its server has change streams; once."""
        with self._lock:
            if self.begun:
                return
            self.begun = True
        pool = collection.database.client.options.pool_options.max_pool_size
        if pool and pool < _SMALLEST_POOL:
            return  # the stream would occupy one of its connections all the time
        servers = collection.database.client.topology_description.server_descriptions().values()
        if _WITH_CHANGE_STREAMS.isdisjoint(server.server_type_name for server in servers):
            return
        target = (collection, self._memory, self._ended)
        with suppress(RuntimeError):  # no more threads, or the interpreter is on its way out
            threading.Thread(target=_watch, args=target, name="tmdb-mongo-cache-watch", daemon=True).start()

    def close(self) -> None:
        """Let the thread end, and begin no other."""
        with self._lock:
            self._closed = self.begun = True
        self._ended.set()


def _watch(collection: Collection[dict[str, Any]], memory: weakref.ref[Memory], ended: threading.Event) -> None:
    failures = 0
    # A change stream takes no other, whatever the URI says.
    collection = collection.with_options(read_concern=ReadConcern("majority"))
    while not ended.is_set() and memory() is not None:
        try:
            with collection.watch(_PIPELINE, max_await_time_ms=_WAIT_MS) as stream:
                _forget_all(memory)  # earlier changes are not in the stream
                while stream.alive and not ended.is_set() and memory() is not None:
                    change = stream.try_next()
                    failures = 0
                    if change is not None:
                        _forget(change, memory)
        except InvalidOperation:
            return  # the client is closed
        except OperationFailure as error:
            logger.debug("there is no change stream: code %s", error.code)
            if error.code in _UNAVAILABLE:
                return
        except (PyMongoError, BSONError) as error:  # or a key that cannot be read
            logger.debug("the change stream is interrupted: %s", type(error).__name__)
        except Exception as error:  # noqa: BLE001  a thread of ours prints no traceback
            logger.debug("the change stream has ended: %s", type(error).__name__)
            return
        _forget_all(memory)
        ended.wait(_PAUSES[min(failures, len(_PAUSES) - 1)])
        failures += 1


def _forget(change: Mapping[str, Any], memory: weakref.ref[Memory]) -> None:
    key = change.get("documentKey", {}).get("_id")
    tier = memory()
    if change["operationType"] in _OF_ALL:
        _forget_all(memory)
    elif tier is not None and type(key) is str:  # a bson.Code cannot be hashed
        tier.forget(key)


def _forget_all(memory: weakref.ref[Memory]) -> None:
    tier = memory()
    if tier is not None:
        tier.forget_all()
