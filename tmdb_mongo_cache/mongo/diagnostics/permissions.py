"""What the user may do in MongoDB: each operation is tried, without leaving anything behind."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple
from uuid import uuid4

import pymongo
from pymongo.collection import Collection
from pymongo.errors import OperationFailure

from .. import change_feed_state, leases, stats
from ..connection import Connection
from ..executor import beside

_ONE = 5.0  # seconds for one operation on a server that has responded before
_UNAUTHORISED = 13
_ATLAS_ERROR = 8000  # any error of Atlas' shared tiers
_NO_PRIMARY = (10107, 13435)


class Rights(NamedTuple):
    """What the user may not do, by display names, and whether the connection is anonymous."""

    missing: tuple[str, ...]
    anonymous: bool


def rights(connection: Connection) -> Rights:
    """Try each operation of a cache.

    Raises:
        StoreError: the server does not respond.
    """
    with connection.operation(bounded=False) as collection:
        missing = tuple(name for name, attempts in _tries(collection).items() if any(map(_fails, attempts)))
        return Rights(missing, bool(missing) and _is_anonymous(collection))


def _tries(entries: Collection[dict[str, Any]]) -> dict[str, tuple[Callable[[], Any], ...]]:
    database = entries.database
    held, counts, state = (beside(entries, module.BESIDE) for module in (leases, stats, change_feed_state))
    absent = {"_id": f"doctor {uuid4().hex}"}
    update: Any = [{"$set": {"doctor": "$$NOW"}}]
    # No document may have such an _id, and no index such a key: rights are checked before that.
    refused: dict[str, Any] = {"_id": []}
    indexes = [{"key": {}, "name": "doctor"}]
    modify = {"findAndModify": held.name, "query": absent, "update": update}

    return {
        "read": (partial(entries.find_one, absent),),
        "store": (partial(entries.insert_one, refused),),
        "change": (partial(entries.update_one, absent, update),),
        "delete": (partial(entries.delete_one, absent),),
        "make indexes": (partial(database.command, "createIndexes", entries.name, indexes=indexes),),
        "take leases": (partial(database.command, modify), partial(held.insert_one, refused)),
        "count its calls": (partial(counts.update_one, absent, update), partial(counts.insert_one, refused)),
        "read the counts": (partial(counts.find_one, absent),),
        "follow TMDB's changes": (
            partial(state.find_one, absent),
            partial(state.update_one, absent, update),
            partial(state.insert_one, refused),
            partial(state.delete_one, absent),
        ),
    }


def _fails(attempt: Callable[[], Any]) -> bool:
    try:
        with pymongo.timeout(_ONE):
            attempt()
    except OperationFailure as error:
        if error.timeout or error.code in _NO_PRIMARY:  # not a matter of rights
            raise
        return is_forbidden(error)
    return False


def is_forbidden(error: OperationFailure) -> bool:
    """Say whether an operation failed because the user lacks a right."""
    if error.code != _ATLAS_ERROR:
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
