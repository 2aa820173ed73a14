"""Compares the indexes with those the cache needs, and creates or changes them; those of others are not dropped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal, NamedTuple

import pymongo
from pymongo import IndexModel
from pymongo.collection import Collection
from pymongo.errors import OperationFailure, PyMongoError

from .permissions import is_forbidden

_ONE = 5.0  # seconds for what reads no documents
_BUILD = 30.0
_CONFLICTS = (85, 86)  # IndexOptionsConflict, IndexKeySpecsConflict
_CANNOT_CREATE = 67

Refusal = Literal["forbidden", "in the way", "full", "other"]


class IndexCheck(NamedTuple):
    """One of our indexes that is not as it should be.

    Attributes:
        collection: where it belongs.
        name: which one; empty where the user may not list the indexes, and nothing is known.
        state: ``missing``, ``different`` or ``unknown``.
        done: how it was repaired: it was ``made``, ``changed``, or ``dropped and made``; empty: nothing.
        refused: why it could not be repaired; empty where that was not tried.
        in_the_way: the user's own indexes of the same name, or of the same fields with other options.
    """

    collection: str
    name: str
    state: Literal["missing", "different", "unknown"]
    done: Literal["", "made", "changed", "dropped and made"] = ""
    refused: Refusal | Literal[""] = ""
    in_the_way: tuple[str, ...] = ()


def check(
    collection: Collection[dict[str, Any]], models: Sequence[IndexModel], *, repair: bool
) -> Iterator[IndexCheck]:
    """Compare the indexes of a collection with ours, and yield those that differ, repaired if that is wanted."""
    try:
        with pymongo.timeout(_ONE):
            there = [*collection.list_indexes()]
    except OperationFailure as error:
        if not is_forbidden(error):
            raise
        yield IndexCheck(collection.name, "", "unknown")
        return
    for model in models:
        wanted = model.document
        if any(_key(one) == _key(wanted) and _options(one) == _options(wanted) for one in there):
            continue
        ours = next((one for one in there if one["name"] == wanted["name"] and _key(one) == _key(wanted)), None)
        others = [
            one for one in there if one is not ours and (one["name"] == wanted["name"] or _key(one) == _key(wanted))
        ]
        found = IndexCheck(
            collection.name,
            wanted["name"],
            "missing" if ours is None else "different",
            in_the_way=tuple(one["name"] for one in others),
        )
        yield _repaired(collection, model, ours, found) if repair else found


def _repaired(
    collection: Collection[dict[str, Any]], model: IndexModel, ours: Mapping[str, Any] | None, found: IndexCheck
) -> IndexCheck:
    try:
        if ours is None:
            with pymongo.timeout(_BUILD):
                collection.create_indexes([model])
            return found._replace(done="made")
        if _is_changed(collection, model.document, ours):
            return found._replace(done="changed")
        _replace(collection, model, ours)
        return found._replace(done="dropped and made")
    except OperationFailure as error:
        if error.timeout:
            raise
        return found._replace(refused=_refusal(error, found))


def _refusal(error: OperationFailure, found: IndexCheck) -> Refusal:
    if is_forbidden(error):
        return "forbidden"
    if error.code in _CONFLICTS and found.in_the_way:
        return "in the way"
    return "full" if error.code == _CANNOT_CREATE and "too many" in str(error) else "other"


def _is_changed(collection: Collection[dict[str, Any]], wanted: Mapping[str, Any], ours: Mapping[str, Any]) -> bool:
    """Change ours in place, if that is possible: only ``expireAfterSeconds`` and ``hidden`` can be changed."""
    right, wrong = _options(wanted), _options(ours)
    changes: dict[str, Any] = {}
    if wrong.pop("hidden", False):
        changes["hidden"] = False
    seconds = right.pop("expireAfterSeconds", None)
    if seconds is not None and wrong.pop("expireAfterSeconds", None) != seconds:
        changes["expireAfterSeconds"] = seconds
    if right != wrong:
        return False
    try:
        with pymongo.timeout(_ONE):
            collection.database.command("collMod", collection.name, index={"name": ours["name"], **changes})
    except OperationFailure as error:
        if error.timeout:
            raise
        return False  # before MongoDB 5.1 an index without TTL cannot get one; and collMod is a right of its own
    return True


def _replace(collection: Collection[dict[str, Any]], model: IndexModel, ours: Mapping[str, Any]) -> None:
    with pymongo.timeout(_ONE):
        collection.drop_index(ours["name"])
    try:
        collection.create_indexes([model])  # however long it takes, now that there is none
    except BaseException:
        before = {name: value for name, value in ours.items() if name != "ns"}
        with suppress(PyMongoError):
            collection.database.command("createIndexes", collection.name, indexes=[before])
        raise


def _key(index: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(name, int(way) if isinstance(way, int | float) else way) for name, way in index["key"].items()]


def _options(index: Mapping[str, Any]) -> dict[str, Any]:
    # Not the collation: each index inherits that of its collection, unless it sets another.
    names = ("sparse", "unique", "expireAfterSeconds", "partialFilterExpression", "hidden")
    return {name: index[name] for name in names if index.get(name) is not None and index[name] is not False}
