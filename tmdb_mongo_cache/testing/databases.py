"""Scratch databases for tests: each is new, used by every cache of the process while it exists, and dropped."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from ..config import CacheConfig, overrides
from ..core import memory
from ..errors import CacheError
from ..mongo.client import open_client
from ..mongo.connection import Connection
from ..mongo.embedded.paths import forget_socket
from ..mongo.embedded.pool_options import pool_options
from ..mongo.embedded.server import EmbeddedServer

logger = logging.getLogger("tmdb_mongo_cache")

_PREFIX = "tmdb_cache_test_"


class Scratch:
    """A MongoDB server with scratch databases."""

    def __init__(self, uri: str, connection: Connection) -> None:
        self.uri = uri
        self._connection = connection
        self._names: set[str] = set()

    @contextmanager
    def database(self, **others: Any) -> Iterator[str]:
        """Create a unique database, redirect every cache to it, and drop it at the end.

        Caches that are created within use it permanently. The collection of a cache
        keeps its name, and its settings are not changed.

        Args:
            others: more of :class:`~.config.Overrides`.
        """
        name = f"{_PREFIX}{os.getpid()}_{uuid4().hex}"
        self._names.add(name)
        memory.forget_everything()
        try:
            with pytest.MonkeyPatch.context() as patch:
                for field, value in {"uri": self.uri, "database": name, **others}.items():
                    patch.setattr(overrides, field, value)
                yield name
        finally:
            memory.forget_everything()
            self._drop(name)

    def clean(self) -> None:
        """Drop databases that a cache has written to after they were dropped, because it is still open."""
        self._drop()
        self._connection.close()

    def _drop(self, name: str | None = None) -> None:
        try:
            with self._connection.operation(bounded=False) as collection:
                client = collection.database.client
                for found in self._names.intersection(client.list_database_names()) if name is None else (name,):
                    client.drop_database(found)
        except CacheError as error:
            logger.warning("databases named %s… may remain: %s", _PREFIX, error)


@contextmanager
def scratch(uri: str | None, folder: Path) -> Iterator[Scratch]:
    """Connect to a MongoDB server for scratch databases.

    Args:
        uri: its URI; None or ``"embedded"``: an embedded server in the folder, shared
            by all processes that use it, and stopped by the last one.
        folder: the folder for that.

    Raises:
        ConfigError: the URI is invalid.
        StoreError: MongoDB does not respond, or does not start.
    """
    with ExitStack() as stack:
        config = CacheConfig(uri=uri or "embedded")
        if config.uri == "embedded":
            server = EmbeddedServer(folder)
            stack.callback(forget_socket, server.folder)  # the next run has another folder
            uri = stack.enter_context(server).uri
            config = CacheConfig(client=stack.enter_context(open_client(uri, **pool_options())))
        connection = Connection(config)
        with connection.operation(bounded=False) as collection:
            collection.database.client.admin.command("ping")
        found = Scratch(str(uri), connection)
        stack.callback(found.clean)
        yield found
