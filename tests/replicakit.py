"""A real replica set on loopback: mongod processes of this test run's own."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pymongo
from pymongo.errors import PyMongoError

from tmdb_mongo_cache.store.mongod import find_mongod


def free_ports(number: int) -> list[int]:
    """Return ports that nobody listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for found in sockets:
            found.bind(("127.0.0.1", 0))
        return [found.getsockname()[1] for found in sockets]


class ReplicaSet:
    """Members that are up; ``uri`` names them all."""

    def __init__(self, folder: Path, size: int) -> None:
        self.ports = free_ports(size)
        self.members: dict[int, subprocess.Popen[bytes]] = {}
        self.folder = folder
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.ports)
        self.uri = f"mongodb://{hosts}/?replicaSet=test"

    def start(self, port: int) -> None:
        """Start one member, on its old data if it has any."""
        data = self.folder / str(port)
        data.mkdir(parents=True, exist_ok=True)
        command = [find_mongod(), "--replSet", "test", "--bind_ip", "127.0.0.1", "--port", str(port), "--dbpath", data]
        options = ["--nounixsocket", "--wiredTigerCacheSizeGB", "0.25", "--logpath", data / "log", "--oplogSize", "50"]
        self.members[port] = subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL)

    def initiate(self) -> None:
        """Make a replica set of the members, and wait for its primary."""
        members = [{"_id": number, "host": f"127.0.0.1:{port}"} for number, port in enumerate(self.ports)]
        end = time.monotonic() + 60
        with pymongo.MongoClient("127.0.0.1", self.ports[0], directConnection=True) as client:
            settings = {"electionTimeoutMillis": 1000, "heartbeatIntervalMillis": 500}
            while True:
                try:
                    client.admin.command("replSetInitiate", {"_id": "test", "members": members, "settings": settings})
                    break
                except PyMongoError:
                    assert time.monotonic() < end
                    time.sleep(0.1)
        with pymongo.MongoClient(self.uri, serverSelectionTimeoutMS=60_000) as client:
            client.admin.command("ping")

    def stop(self) -> None:
        """Kill every member."""
        for member in self.members.values():
            member.kill()
            member.wait()


@contextmanager
def replica_set(folder: Path, size: int = 1) -> Iterator[ReplicaSet]:
    """Run a replica set for as long as the block lasts."""
    found = ReplicaSet(folder, size)
    try:
        for port in found.ports:
            found.start(port)
        found.initiate()
        yield found
    finally:
        found.stop()
