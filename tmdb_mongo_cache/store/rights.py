"""What the user may do in MongoDB: tried, without leaving anything."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple
from uuid import uuid4

import pymongo
from pymongo.collection import Collection
from pymongo.errors import OperationFailure

from . import feed, sums
from .client import Connection
from .leases import of as leases_of

_ONE = 5.0  # seconds for one operation on a server that has answered before
_UNAUTHORISED = 13
_OF_ATLAS = 8000  # AtlasError, whatever it is that Atlas' shared tiers do not want
_NO_PRIMARY = (10107, 13435)


class Rights(NamedTuple):
    """What the user may not do, by names that are for people, and whether there is a user at all."""

    missing: tuple[str, ...]
    anonymous: bool


def rights(connection: Connection) -> Rights:
    """Try what a cache does.

    Raises:
        StoreError: the server does not answer.
    """
    with connection.operation(bounded=False) as collection:
        missing = tuple(name for name, attempts in _tries(collection).items() if any(map(_fails, attempts)))
        return Rights(missing, bool(missing) and _is_anonymous(collection))


def _tries(entries: Collection[dict[str, Any]]) -> dict[str, tuple[Callable[[], Any], ...]]:
    database, leases, stats, state = entries.database, leases_of(entries), sums.beside(entries), feed.beside(entries)
    nobody = {"_id": f"doctor {uuid4().hex}"}
    update: Any = [{"$set": {"doctor": "$$NOW"}}]
    # No document may have such an _id, and no index such a key: rights are looked at before that.
    refused: dict[str, Any] = {"_id": []}
    indexes = [{"key": {}, "name": "doctor"}]
    modify = {"findAndModify": leases.name, "query": nobody, "update": update}

    def find(collection: Collection[dict[str, Any]]) -> Callable[[], Any]:
        return lambda: collection.find_one(nobody)

    def insert(collection: Collection[dict[str, Any]]) -> Callable[[], Any]:
        return lambda: collection.insert_one(dict(refused))

    def change(collection: Collection[dict[str, Any]]) -> Callable[[], Any]:
        return lambda: collection.update_one(nobody, update)

    def delete(collection: Collection[dict[str, Any]]) -> Callable[[], Any]:
        return lambda: collection.delete_one(nobody)

    return {
        "read": (find(entries),),
        "store": (insert(entries),),
        "change": (change(entries),),
        "delete": (delete(entries),),
        "make indexes": (lambda: database.command("createIndexes", entries.name, indexes=indexes),),
        "take leases": (lambda: database.command(modify), insert(leases)),
        "count its calls": (change(stats), insert(stats)),
        "read the counts": (find(stats),),
        "follow TMDB's changes": (find(state), change(state), insert(state), delete(state)),
    }


def _fails(attempt: Callable[[], Any]) -> bool:
    try:
        with pymongo.timeout(_ONE):
            attempt()
    except OperationFailure as error:
        if error.timeout or error.code in _NO_PRIMARY:  # that is no question of rights
            raise
        return is_forbidden(error)
    return False


def is_forbidden(error: OperationFailure) -> bool:
    """Say whether it is for want of a right that an operation failed."""
    if error.code != _OF_ATLAS:
        return error.code == _UNAUTHORISED
    return any(words in str(error).lower() for words in ("not allowed", "not authorized", "unauthorized"))


def _is_anonymous(collection: Collection[dict[str, Any]]) -> bool:
    try:
        with pymongo.timeout(_ONE):
            said = collection.database.client.admin.command("connectionStatus")
    except OperationFailure as error:
        if error.timeout:
            raise
        return False
    return not said.get("authInfo", {}).get("authenticatedUsers", True)
