"""How long one operation may take, and whether a server is available for it."""

from __future__ import annotations

from time import monotonic, sleep
from typing import Any

from pymongo import MongoClient
from pymongo.errors import ServerSelectionTimeoutError

CONNECT_TIMEOUT = 0.9
"""Seconds that the first connection of a process may take, where ``store_timeout`` is less."""

_LOOK_EVERY = 0.002
_PYMONGO_LOOKS_AFTER = 0.5


class Deadline:
    """Bounds operations by ``store_timeout``, except for the first connection of a process and for probes.

    pymongo's server selection proceeds in steps of half a second, whatever the
    deadline. So a call does not select: while no server is known it fails at once.
    Only the first connection of a process is waited for, by all calls that come
    meanwhile, until it is there, every server has refused, or :data:`CONNECT_TIMEOUT`
    is over.

    Args:
        seconds: ``store_timeout``.
        looks: whether the client discovers servers by itself, from the moment it is
            made; one that the program has made may wait for its first operation.
    """

    def __init__(self, seconds: float, *, looks: bool = True) -> None:
        self._seconds = seconds
        self._looks = looks
        self._known: object = None
        self._writable: object = None
        self.has_reached = False
        self._began = 0.0

    def limit(self, client: MongoClient[dict[str, Any]], *, writing: bool = False, probing: bool = False) -> float:
        """Return the seconds that an operation may take, begun now.

        Args:
            client: whose operation it is.
            writing: whether it needs a server that accepts writes.
            probing: whether no call waits for it; it may wait for a server.

        Raises:
            ServerSelectionTimeoutError: no server is known.
        """
        found = client.topology_description
        if writing and found is not self._writable:
            if has_secondaries_alone(client):
                raise ServerSelectionTimeoutError("no primary is known")
            self._writable = found
        if found is self._known:  # as it was the last time: pymongo makes a new one when anything changes
            return self._seconds
        if self.has_reached and found.has_readable_server(client.read_preference):
            self._known = found
            return self._seconds
        longer = max(self._seconds, CONNECT_TIMEOUT)
        if probing:
            return longer
        if self.has_reached:
            raise ServerSelectionTimeoutError("no server is known")
        now = monotonic()
        if not self._began:
            self._began = now
        end = self._began + longer
        if self._looks and not _appears(client, end):
            raise ServerSelectionTimeoutError("no server answers")
        return max(end - monotonic(), self._seconds if self._looks else 0.001)

    def is_back(self, client: MongoClient[dict[str, Any]]) -> bool:
        """Say whether a server is available, after a connection has broken."""
        before = client.topology_description
        if before.has_readable_server(client.read_preference):
            return True
        if self._seconds <= _PYMONGO_LOOKS_AFTER:
            return False  # too short for another selection
        end = monotonic() + self._seconds
        while client.topology_description is before:
            if monotonic() >= end:
                return False
            sleep(_LOOK_EVERY)
        return _appears(client, end)

    def forget(self) -> None:
        """Start again, as after a fork."""
        self.has_reached, self._began = False, 0.0


def _appears(client: MongoClient[dict[str, Any]], end: float) -> bool:
    """Wait until a server is known; not beyond a moment, and not when every server has refused."""
    while True:
        found = client.topology_description
        if found.has_readable_server(client.read_preference):
            return True
        servers = found.server_descriptions().values()
        if monotonic() >= end or (servers and all(server.error for server in servers)):
            return False
        sleep(_LOOK_EVERY)


def has_secondaries_alone(client: MongoClient[dict[str, Any]]) -> bool:
    """Say whether there are servers to read from, and none that accepts writes."""
    found = client.topology_description
    return found.has_readable_server(client.read_preference) and not found.has_writable_server()
