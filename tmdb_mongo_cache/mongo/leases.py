"""Request coalescing across processes and machines: a lease per key in MongoDB, by the server's clock.

A document per key, in a collection of its own::

    _id        the key
    owner      the cache that fetches, or fetched last
    until      the lease's end, after which another cache may acquire it
    rest_until the key backs off until then: the last refresh failed
    open_until no cache waits for another until then: the last request failed
    purge_at   deleted at (TTL index)

A cache that fetches longer than a second renews its leases. So they are short, and
a process that was killed is waited for only as long as the rest of one.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timezone
from typing import Any
from uuid import uuid4

from pymongo import IndexModel
from pymongo.errors import DuplicateKeyError

from ..core.lease import Lease
from ..core.settings import LEASE
from ..fork import RenewedAfterFork
from .command import Command, Commands, runs, update
from .indexes import Indexes

logger = logging.getLogger("tmdb_mongo_cache")

_RENEW_EVERY = 1.0
_LONGEST = 15.0
"""Seconds after which a lease is not renewed any more: a request that hangs must not block other processes."""

_IDLE = 10  # rounds without a lease, after which the renewing thread ends
_OPEN = 1.0
_PURGED_AFTER = 60.0
_LONG_AGO = datetime(1970, 1, 1, tzinfo=timezone.utc)
BESIDE = "_leases"
INDEX = IndexModel([("purge_at", 1)], name="purge_at", expireAfterSeconds=0)


class Leases(RenewedAfterFork):
    """The leases that one cache acquires in a process; its operations are generators of commands.

    Args:
        run: runs one, for the renewal.
    """

    def __init__(self, run: Callable[..., Any]) -> None:
        self._run = run
        self._index = Indexes(INDEX, beside=BESIDE)
        self._closed = False
        self.after_fork()
        super().__init__()

    def after_fork(self) -> None:
        """Begin again, in a forked child: the parent's leases are the parent's."""
        self.owner = f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:12]}"
        self._lock = threading.Lock()
        self._held: dict[str, float] = {}
        self._renewing = False
        self._idle = 0
        self._ended = threading.Event()
        self._changes = {refreshing: _changes(self.owner, refreshing=refreshing) for refreshing in (False, True)}

    def acquire(self, key: str, refreshing: bool) -> Commands[Lease]:
        """Acquire the lease of a key, unless another process has it.

        Args:
            key: whose.
            refreshing: whether a stale response is stored; else the key does not back off.
        """
        yield from self._index.make()
        fields = {"query": {"_id": key}, "update": self._changes[refreshing], "upsert": True, "new": True}
        command = Command("findAndModify", fields, BESIDE)
        try:
            reply = yield command
        except DuplicateKeyError:  # two were the first at once
            reply = yield command
        lease = _read(reply["value"], self.owner)
        if lease.is_mine:
            with self._lock:
                self._held[key] = time.monotonic()
            self._keep_renewing()
        return lease

    def probe(self, key: str, refreshing: bool) -> Commands[None]:
        """Acquire a lease that no call waits for, and release it."""
        lease = yield from self.acquire(key, refreshing)
        if lease.is_mine:
            self.abandon(key)
            yield from self.release(key, False, 0.0)

    def abandon(self, key: str) -> None:
        """Stop renewing a lease."""
        with self._lock:
            self._held.pop(key, None)

    def open(self, key: str) -> Commands[None]:
        """Let no process wait for the lease of a key, for a second: it took too long for one that waited."""
        changes = [{"$set": {"open_until": _from_now(_OPEN)}}]
        yield update({"_id": key}, changes, beside=BESIDE, acknowledged=False)

    def release(self, key: str, failed: bool, backoff: float) -> Commands[None]:
        """Release a lease, without waiting for MongoDB's reply.

        Args:
            key: whose.
            failed: there is no new response; processes that wait need not wait for each other.
            backoff: seconds in which the key is not refreshed.
        """
        changes: dict[str, Any] = {
            "until": "$$NOW",
            # None, not this moment: to an attempt that began a moment before, and had to wait, that lies ahead.
            "rest_until": _from_now(backoff) if backoff else None,
            "open_until": _from_now(_OPEN) if failed else None,
        }
        query = {"_id": key, "owner": self.owner}
        yield update(query, [{"$set": changes}], beside=BESIDE, acknowledged=False)

    def _keep_renewing(self) -> None:
        if self._renewing or self._closed:
            return
        with self._lock:
            if not self._renewing:
                # Not a method: the thread must not keep an unused cache alive.
                args = (weakref.ref(self), self._ended)
                thread = threading.Thread(target=_renew, args=args, name="tmdb-mongo-cache-leases", daemon=True)
                with suppress(RuntimeError):  # no more threads, or the interpreter is on its way out
                    thread.start()
                    self._renewing = True

    def due(self) -> list[str] | None:
        """Return the keys whose leases are to be renewed; None where no thread is needed any more."""
        now = time.monotonic()
        with self._lock:
            self._idle = 0 if self._held else self._idle + 1
            if self._idle >= _IDLE:
                self._renewing, self._idle = False, 0
                return None
            return [key for key, since in self._held.items() if _RENEW_EVERY / 2 <= now - since < _LONGEST]

    @runs(writing=True, probing=True)
    def renew(self, keys: list[str]) -> Commands[None]:
        """Renew those leases that are still this cache's."""
        longer = [{"$set": {"until": _from_now(LEASE), "purge_at": _from_now(_PURGED_AFTER)}}]
        yield update({"_id": {"$in": keys}, "owner": self.owner}, longer, many=True, beside=BESIDE)

    def close(self) -> None:
        """Stop renewing; idempotent."""
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


def _from_now(seconds: float) -> dict[str, Any]:
    return {"$add": ["$$NOW", int(seconds * 1000)]}


def _changes(owner: str, *, refreshing: bool) -> list[dict[str, Any]]:
    """Return the update that takes a lease where it may be taken, and notes what there was."""
    until = {"$ifNull": ["$until", _LONG_AGO]}
    # A lease never ends later than that: not written by a cache.
    over = {"$or": [{"$lte": [until, "$$NOW"]}, {"$gt": [until, _from_now(2 * LEASE)]}]}
    opened, backs_off = _is_ahead("$open_until", _OPEN), _is_ahead("$rest_until", _PURGED_AFTER)
    mine = {"$and": [over, {"$not": [{"$or": [opened, backs_off] if refreshing else [opened]}]}]}
    taken = {
        "owner": owner,
        "until": _from_now(LEASE),
        "after": {
            "$cond": [_is_ahead("$until", 2 * LEASE, back=_PURGED_AFTER), {"$subtract": ["$$NOW", "$until"]}, None]
        },
        "purge_at": _from_now(_PURGED_AFTER),
    }
    fields: dict[str, Any] = {name: {"$cond": [mine, value, f"${name}"]} for name, value in taken.items()}
    fields["taken"] = mine
    fields["open"] = opened
    fields["rest"] = {"$cond": [backs_off, {"$subtract": ["$rest_until", "$$NOW"]}, 0]} if refreshing else 0
    return [{"$set": fields}]


def _is_ahead(field: str, at_most: float, *, back: float = 0.0) -> dict[str, Any]:
    moment = {"$ifNull": [field, _LONG_AGO]}
    return {"$and": [{"$gt": [moment, _from_now(-back)]}, {"$lte": [moment, _from_now(at_most + 1.0)]}]}


def _read(found: Any, owner: str) -> Lease:
    backoff = found.get("rest", 0)
    if isinstance(backoff, (int, float)) and backoff > 0:
        return Lease(backoff=backoff / 1000)
    if found.get("taken") is True and found.get("owner") == owner:
        after = found.get("after")
        return Lease(is_mine=True, after=after / 1000 if isinstance(after, (int, float)) else None)
    if found.get("owner") == owner:
        # This process has it: its own in-flight request is waited for, not the lease. Or it was just released,
        # and MongoDB has not received that yet.
        return Lease(after=0.0)
    return Lease(is_anothers=found.get("open") is not True)
