"""What one operation may cost a call, and whether it is worth trying at all."""

from __future__ import annotations

import math
from time import monotonic
from typing import Any

from pymongo import MongoClient
from pymongo.errors import ServerSelectionTimeoutError

CONNECT_TIMEOUT = 1.0
"""Seconds an operation may cost that has the connection to make, where ``store_timeout`` is less."""

CONNECT_EVERY = 10.0
"""Seconds between two such operations, while no server is known; those in between fail at once."""


class Deadline:
    """Bounds operations by ``store_timeout``, and one now and then, while no server is known, by a second.

    pymongo looks for a server in steps of half a second, whatever the deadline:
    so while none is known only one caller looks, and the others do not wait;
    but for the first connection of all, which all who come meanwhile wait for.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._attempted = -math.inf
        self._reached = False
        self._readable: object = None

    def limit(self, client: MongoClient[dict[str, Any]]) -> float:
        """Return the seconds that an operation may take, begun now.

        Raises:
            ServerSelectionTimeoutError: no server is known, and it was tried not long ago.
        """
        limit = self._seconds
        found = client.topology_description
        if found is self._readable:  # as it was the last time: pymongo makes a new one when anything changes
            return limit
        if found.has_readable_server():
            self._readable = found
        else:
            limit = max(limit, CONNECT_TIMEOUT)
            now = monotonic()
            since = now - self._attempted
            if since >= CONNECT_EVERY:
                self._attempted = now
            elif self._reached or since >= limit:
                raise ServerSelectionTimeoutError("no server is known, and it is too early to look again")
            else:
                limit -= since
        return limit

    def reached(self) -> None:
        """Note that an operation has ended well."""
        self._reached, self._attempted = True, -math.inf

    def forget(self) -> None:
        """Begin anew, as after a fork."""
        self._attempted, self._reached = -math.inf, False
