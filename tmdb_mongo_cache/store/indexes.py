"""The indexes: each for a query that is named here, made by the first process that writes."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from pymongo import IndexModel
from pymongo.collection import Collection
from pymongo.errors import OperationFailure

logger = logging.getLogger("tmdb_mongo_cache")

Operation = Callable[..., AbstractContextManager[Collection[dict[str, Any]]]]
"""Gives the collection of the entries for one operation; see :meth:`.client.Connection.operation`."""

INDEXES = (
    # MongoDB deletes what has outlived its use; readers check by themselves, for it sweeps once a minute.
    IndexModel([("purge_at", 1)], name="purge_at", expireAfterSeconds=0),
    # invalidate(media_type=…, tmdb_id=…), entries(media_type=…), the change feed: all about a title or person.
    IndexModel([("media_type", 1), ("tmdb_id", 1)], name="title"),
    # What a change made stale and nobody has fetched since; nothing else is in it.
    IndexModel([("changed_at", 1)], name="changed_at", sparse=True),
)


class Indexes:
    """Makes the indexes of a collection before the first document that a process puts there."""

    def __init__(self, *models: IndexModel) -> None:
        self._models = models
        self._made_by: int | None = None

    def make(self, collection: Collection[dict[str, Any]]) -> None:
        """Make them, once per process; look-ups go by ``_id``, so without them nothing is wrong, only slow to purge."""
        if self._made_by == os.getpid():
            return
        try:
            collection.create_indexes(list(self._models))
        except OperationFailure as error:
            if error.timeout:
                raise  # what comes next has no time left either
            logger.debug("the indexes could not be made: code %s", error.code)
        self._made_by = os.getpid()
