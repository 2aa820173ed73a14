"""One call per key across processes and machines: a lease in MongoDB, by the server's clock.

A document per key, in a collection of its own::

    _id        the key
    owner      who fetches, or fetched last
    until      the lease's end; whoever comes after it may take it
    rest_until no refresh of this key before that: the last one failed
    open_until nobody waits for anybody before that: the last call failed
    purge_at   deleted at (TTL index)

Who fetches longer than a second renews its leases, so they are short, and a
process that was killed is not waited for any longer than what is left of one.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
import weakref
from contextlib import suppress
from datetime import datetime, timezone
from typing import Any, NamedTuple
from uuid import uuid4

from pymongo import IndexModel
from pymongo.collection import Collection
from pymongo.errors import OperationFailure
from pymongo.write_concern import WriteConcern

from ..forks import RenewedAfterFork
from ..tmdb.limits import LEASE
from .document import CODEC
from .indexes import Indexes, Operation

logger = logging.getLogger("tmdb_mongo_cache")

_RENEW_EVERY = 1.0
_LONGEST = 15.0
"""Seconds after which a lease is renewed no more: a call that hangs is not to hold up other processes for ever."""

_IDLE = 10  # rounds of that without a lease, after which the thread that renews them ends
_OPEN = 1.0
_KEPT = 60.0
_DUPLICATE_KEY = 11000
_LONG_AGO = datetime(1970, 1, 1, tzinfo=timezone.utc)
INDEX = IndexModel([("purge_at", 1)], name="purge_at", expireAfterSeconds=0)


class Taken(NamedTuple):
    """What came of an attempt to take a lease: whose turn it is to fetch.

    ``is_mine``: the caller's; ``after`` is how long ago somebody had it before, in
    seconds, if that is not long: the answer may be there already. ``is_anothers``:
    it is to be waited for. Neither, where the last call failed just now and nobody waits for
    anybody. ``rest``: seconds in which nobody is to refresh, for that failed.
    """

    is_mine: bool = False
    is_anothers: bool = False
    after: float | None = None
    rest: float = 0.0


class Leases(RenewedAfterFork):
    """The leases that one cache takes in a process; every method but :meth:`close` may raise ``StoreError``.

    Args:
        operation: gives the collection of the entries, for one operation; told by ``probing`` that no call waits.
    """

    def __init__(self, operation: Operation) -> None:
        self._operation = operation
        self._index = Indexes(INDEX)
        self._closed = False
        self.after_fork()
        super().__init__()

    def after_fork(self) -> None:
        """Begin anew, in a forked child: the parent's leases are the parent's."""
        self.owner = f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:12]}"
        self._lock = threading.Lock()
        self._held: dict[str, float] = {}
        self._renewing = False
        self._idle = 0
        self._ended = threading.Event()
        self._changes = {refreshing: _changes(self.owner, refreshing=refreshing) for refreshing in (False, True)}

    def take(self, key: str, refreshing: bool, *, probing: bool = False) -> Taken:
        """Take the lease of a key, unless another has it; say whose turn it is.

        Args:
            key: whose.
            refreshing: whether there is an older answer; else nobody has to rest.
            probing: that no call waits for it.
        """
        with self._operation(probing=probing) as entries:
            leases = of(entries)
            self._index.make(leases)
            try:
                found = self._take(leases, key, refreshing)
            except OperationFailure as error:
                if error.code != _DUPLICATE_KEY:
                    raise
                # Two were the first at once.
                found = self._take(leases, key, refreshing)
        taken = _read(found, self.owner)
        if taken.is_mine:
            with self._lock:
                self._held[key] = time.monotonic()
            self._keep_renewing()
        return taken

    def _take(self, leases: Collection[dict[str, Any]], key: str, refreshing: bool) -> Any:
        # The command itself: beside find_one_and_update() it takes a sixth less.
        command = {
            "findAndModify": leases.name,
            "query": {"_id": key},
            "update": self._changes[refreshing],
            "upsert": True,
            "new": True,
            "writeConcern": leases.write_concern.document,
        }
        return leases.database.command(command, codec_options=CODEC)["value"]

    def drop(self, key: str) -> None:
        """Renew a lease no more."""
        with self._lock:
            self._held.pop(key, None)

    def open(self, key: str, *, probing: bool = False) -> None:
        """Let nobody wait for who has the lease of a key, for a while: it has taken too long for one who did."""
        with self._operation(probing=probing) as entries:
            leases = of(entries).with_options(write_concern=WriteConcern(0))
            leases.update_one({"_id": key}, [{"$set": {"open_until": _from_now(_OPEN)}}])

    def give_back(self, key: str, failed: bool, rest: float, *, probing: bool = False) -> None:
        """Give a lease back, without waiting for MongoDB to say that it has it.

        Args:
            key: whose.
            failed: there is no new answer; those who wait need not wait for each other.
            rest: seconds in which nobody is to refresh the key.
            probing: that no call waits for it.
        """
        changes: dict[str, Any] = {
            "until": "$$NOW",
            # None, not this moment: to an attempt that began a moment before, and had to wait, that lies ahead.
            "rest_until": _from_now(rest) if rest else None,
            "open_until": _from_now(_OPEN) if failed else None,
        }
        with self._operation(probing=probing) as entries:
            leases = of(entries).with_options(write_concern=WriteConcern(0))
            leases.update_one({"_id": key, "owner": self.owner}, [{"$set": changes}])

    def _keep_renewing(self) -> None:
        if self._renewing or self._closed:
            return
        with self._lock:
            if not self._renewing:
                # Not a method: the thread must not keep what nobody else uses any more.
                args = (weakref.ref(self), self._ended)
                thread = threading.Thread(target=_renew, args=args, name="tmdb-mongo-cache-leases", daemon=True)
                with suppress(RuntimeError):  # no more threads, or the interpreter is on its way out
                    thread.start()
                    self._renewing = True

    def due(self) -> list[str] | None:
        """Return the keys whose leases are to be renewed; None where no thread is needed for that any more."""
        now = time.monotonic()
        with self._lock:
            self._idle = 0 if self._held else self._idle + 1
            if self._idle >= _IDLE:
                self._renewing, self._idle = False, 0
                return None
            return [key for key, since in self._held.items() if _RENEW_EVERY / 2 <= now - since < _LONGEST]

    def renew(self, keys: list[str]) -> None:
        """Renew leases, those that are still this cache's."""
        longer = [{"$set": {"until": _from_now(LEASE), "purge_at": _from_now(_KEPT)}}]
        with self._operation(probing=True) as entries:
            of(entries).update_many({"_id": {"$in": keys}, "owner": self.owner}, longer)

    def close(self) -> None:
        """Renew none any more; idempotent."""
        self._closed = True
        self._ended.set()


def _renew(found: weakref.ref[Leases], ended: threading.Event) -> None:
    """Renew the leases of a cache as long as there are any, in a thread."""
    while not ended.wait(_RENEW_EVERY) and (leases := found()) is not None:
        try:
            keys = leases.due()
            if keys is None:
                return
            if keys:
                leases.renew(keys)
        except Exception as error:  # noqa: BLE001  a thread of ours prints no traceback; a lease ends by itself
            logger.debug("leases could not be renewed: %s", error)
        del leases


def of(entries: Collection[dict[str, Any]]) -> Collection[dict[str, Any]]:
    """Return the collection of leases beside one of entries."""
    return entries.database.get_collection(f"{entries.name}_leases", write_concern=entries.write_concern)


def _from_now(seconds: float) -> dict[str, Any]:
    return {"$add": ["$$NOW", int(seconds * 1000)]}


def _changes(owner: str, *, refreshing: bool) -> list[dict[str, Any]]:
    """Return the update that takes a lease where it may be taken, and notes what there was."""
    until = {"$ifNull": ["$until", _LONG_AGO]}
    # What ends later than any lease can is somebody's nonsense.
    over = {"$or": [{"$lte": [until, "$$NOW"]}, {"$gt": [until, _from_now(2 * LEASE)]}]}
    opened, resting = _lies_ahead("$open_until", _OPEN), _lies_ahead("$rest_until", _KEPT)
    mine = {"$and": [over, {"$not": [{"$or": [opened, resting] if refreshing else [opened]}]}]}
    taken = {
        "owner": owner,
        "until": _from_now(LEASE),
        "after": {"$cond": [_lies_ahead("$until", 2 * LEASE, back=_KEPT), {"$subtract": ["$$NOW", "$until"]}, None]},
        "purge_at": _from_now(_KEPT),
    }
    fields: dict[str, Any] = {name: {"$cond": [mine, value, f"${name}"]} for name, value in taken.items()}
    fields["taken"] = mine
    fields["open"] = opened
    fields["rest"] = {"$cond": [resting, {"$subtract": ["$rest_until", "$$NOW"]}, 0]} if refreshing else 0
    return [{"$set": fields}]


def _lies_ahead(field: str, at_most: float, *, back: float = 0.0) -> dict[str, Any]:
    moment = {"$ifNull": [field, _LONG_AGO]}
    return {"$and": [{"$gt": [moment, _from_now(-back)]}, {"$lte": [moment, _from_now(at_most + 1.0)]}]}


def _read(found: Any, owner: str) -> Taken:
    rest = found.get("rest", 0)
    if isinstance(rest, (int, float)) and rest > 0:
        return Taken(rest=rest / 1000)
    if found.get("taken") is True and found.get("owner") == owner:
        after = found.get("after")
        return Taken(is_mine=True, after=after / 1000 if isinstance(after, (int, float)) else None)
    if found.get("owner") == owner:
        # This very process has it: to be waited for, or not, where that is known to be under way. Or it has
        # just been given back, and that has not come to MongoDB yet.
        return Taken(after=0.0)
    return Taken(is_anothers=found.get("open") is not True)
