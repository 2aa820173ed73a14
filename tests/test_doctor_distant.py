"""The doctor and a MongoDB that is well, and far away."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from urllib.parse import unquote

import pytest

from tmdb_mongo_cache import CacheConfig, TMDBCache
from tmdb_mongo_cache.mongo.connection import Connection
from tmdb_mongo_cache.mongo.diagnostics.connection import Health

from .test_doctor import named

ROUND_TRIP = 0.25  # seconds, as between Europe and Australia


@contextmanager
def far_away(uri: str) -> Iterator[str]:
    """Give the URI of the same MongoDB, every word to which takes a while."""
    path = unquote(uri.partition("://")[2].partition("/?")[0])
    links: list[socket.socket] = []

    def carry(source: socket.socket, target: socket.socket, seconds: float) -> None:
        with suppress(OSError):
            while said := source.recv(1 << 16):
                time.sleep(seconds)
                target.sendall(said)
        for each in (source, target):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def serve(listening: socket.socket) -> None:
        with suppress(OSError):
            while True:
                near = listening.accept()[0]
                far = socket.socket(socket.AF_UNIX)
                far.connect(path)
                links.extend((near, far))
                for ways in ((near, far, ROUND_TRIP), (far, near, 0.0)):
                    threading.Thread(target=carry, args=ways, daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, args=(listening,))
        thread.start()
        try:
            yield f"mongodb://127.0.0.1:{listening.getsockname()[1]}/?directConnection=true"
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()
            for link in links:
                link.close()


def test_look_ups(mongo_uri: str) -> None:
    """Of look-ups that take long, fewer are made: no more than some seconds of them."""
    with far_away(mongo_uri) as uri:
        config = CacheConfig(uri=uri)
        connection = Connection(config)
        try:
            taken = Health(connection, config).round_trips()
        finally:
            connection.close()
    assert 1 <= len(taken) <= 8
    assert min(taken) >= ROUND_TRIP


@pytest.mark.soak
def test_nothing_is_lost(make_cache: Callable[..., TMDBCache], mongo_uri: str) -> None:
    """Distance alone is no problem but for store_timeout, however many look-ups it takes to see everything."""
    with far_away(mongo_uri) as uri:
        cache = make_cache(uri=uri, store_timeout=5)
        found = named(cache.doctor())
        cache.close()
    assert {verdict.level for name, verdict in found.items() if name != "server"} == {"ok"}
    assert {"latency", "indexes", "expiry", "six-months"} <= set(found)
