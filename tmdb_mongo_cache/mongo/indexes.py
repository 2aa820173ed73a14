"""The indexes: each for a query that is named here, made by the first process that writes."""

from __future__ import annotations

import logging
import os

from pymongo import IndexModel
from pymongo.errors import OperationFailure

from .command import Command, Commands

logger = logging.getLogger("tmdb_mongo_cache")

INDEXES = (
    # MongoDB deletes entries past purge_at, once a minute; readers check the time themselves.
    IndexModel([("purge_at", 1)], name="purge_at", expireAfterSeconds=0),
    # invalidate(media_type=…, tmdb_id=…), entries(media_type=…), the change feed: everything about a title or person.
    IndexModel([("media_type", 1), ("tmdb_id", 1)], name="title"),
    # What the change feed made stale and no call has renewed since; nothing else is in it.
    IndexModel([("changed_at", 1)], name="changed_at", sparse=True),
)


class Indexes:
    """Makes the indexes of a collection before the first document that a process puts there.

    Args:
        models: the indexes.
        beside: what the name of the collection ends in; see :class:`.mongo.command.Command`.
    """

    def __init__(self, *models: IndexModel, beside: str = "") -> None:
        self._indexes = [model.document for model in models]
        self._beside = beside
        self._made_by: int | None = None

    def make(self) -> Commands[None]:
        """Make them, once per process; look-ups go by ``_id``, so without them only purging is slow."""
        if self._made_by == os.getpid():
            return
        try:
            yield Command("createIndexes", {"indexes": self._indexes}, self._beside)
        except OperationFailure as error:
            if error.timeout:
                raise  # the next command has no time left either
            logger.debug("the indexes could not be made: code %s", error.code)
        self._made_by = os.getpid()
