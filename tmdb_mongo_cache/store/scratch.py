"""Databases for tests: each new and empty, and gone afterwards."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from ..config import CacheConfig, mask
from .client import open_client
from .embedded import EmbeddedServer
from .failures import translation
from .folders import forget_socket
from .peers import pool_options

logger = logging.getLogger("tmdb_mongo_cache")

_PREFIX = "tmdb_cache_test_"


class Scratch:
    """A MongoDB in which databases come and go."""

    def __init__(self, uri: str, client: MongoClient[dict[str, Any]]) -> None:
        self.uri = uri
        self._client = client
        self._names: set[str] = set()

    @contextmanager
    def database(self) -> Iterator[str]:
        """Give the name of a database that nobody else has, and lead every cache there; it is dropped at the end."""
        from .leading import led

        name = f"{_PREFIX}{os.getpid()}_{uuid4().hex}"
        self._names.add(name)
        try:
            with led(self.uri, self._client, name):
                yield name
        finally:
            try:
                self._client.drop_database(name)
            except PyMongoError as error:
                logger.warning("the database %s stays: %s", name, type(error).__name__)

    def clean(self) -> None:
        """Drop databases that were dropped already and have come back: a cache that is still open wrote to them."""
        try:
            for name in self._names.intersection(self._client.list_database_names()):
                self._client.drop_database(name)
        except PyMongoError as error:
            logger.warning("databases named %s… may have stayed: %s", _PREFIX, type(error).__name__)


@contextmanager
def scratch(uri: str | None, folder: Path) -> Iterator[Scratch]:
    """Give a place for databases.

    Args:
        uri: of a MongoDB; None or ``"embedded"``: a server in the folder, which
            all processes that name it share, and the last to leave stops.
        folder: for that.

    Raises:
        ConfigError: the URI cannot be used.
        StoreError: the MongoDB does not answer, or does not start.
    """
    own: dict[str, Any] = {}
    with ExitStack() as stack:
        if uri is None or CacheConfig(uri=uri).uri == "embedded":
            server, own = EmbeddedServer(folder), pool_options()
            stack.callback(forget_socket, server.folder)  # the next run has another folder
            uri = stack.enter_context(server).uri
        client = open_client(uri, **own)
        stack.callback(_close, client)
        try:
            client.admin.command("ping")
        except PyMongoError as error:
            raise translation(error, mask(uri)) from error
        found = Scratch(uri, client)
        stack.callback(found.clean)
        yield found


def _close(client: MongoClient[dict[str, Any]]) -> None:
    with suppress(PyMongoError):
        client.close()
