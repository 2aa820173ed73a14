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

from tmdb_mongo_cache.mongo.embedded.binary import find_mongod


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
            # One alone has nobody to miss; others, on a loaded machine, miss each other soon enough.
            settings = {"electionTimeoutMillis": 1000 if len(members) == 1 else 2500, "heartbeatIntervalMillis": 500}
            while True:
                try:
                    client.admin.command("replSetInitiate", {"_id": "test", "members": members, "settings": settings})
                    break
                except PyMongoError:
                    assert time.monotonic() < end
                    time.sleep(0.1)
        with pymongo.MongoClient(self.uri, serverSelectionTimeoutMS=60_000) as client:
            client.admin.command("ping")

    def states(self) -> dict[int, str]:
        """Return what each member says that it is: ``primary``, ``secondary`` or ``down``."""
        return {port: self._state(port) for port in self.ports}

    def _state(self, port: int) -> str:
        options = {"directConnection": True, "serverSelectionTimeoutMS": 500, "socketTimeoutMS": 2000}
        try:
            with pymongo.MongoClient("127.0.0.1", port, **options) as client:
                found = client.admin.command("hello")
        except PyMongoError:
            return "down"
        return "primary" if found["isWritablePrimary"] else "secondary" if found["secondary"] else "down"

    def primary(self) -> int:
        """Return the port of the primary, once there is one."""
        end = time.monotonic() + 30
        while True:
            found = [port for port, state in self.states().items() if state == "primary"]
            if len(found) == 1:
                return found[0]
            assert time.monotonic() < end, found
            time.sleep(0.05)

    def kill(self, port: int) -> None:
        """Kill one member (SIGKILL)."""
        self.members[port].kill()
        self.members[port].wait()

    def step_down(self, seconds: int = 5) -> None:
        """Let the primary step down, not to be elected again for some seconds."""
        with pymongo.MongoClient("127.0.0.1", self.primary(), directConnection=True) as client:
            command = {"replSetStepDown": seconds, "secondaryCatchUpPeriodSecs": min(2, seconds), "force": True}
            client.admin.command(command)

    def heal(self) -> None:
        """Start the members that are down, and wait until there is a primary and all others follow it."""
        for port, member in list(self.members.items()):
            if member.poll() is not None:
                self.start(port)
        end = time.monotonic() + 60
        while sorted(self.states().values()) != ["primary", *["secondary"] * (len(self.ports) - 1)]:
            assert time.monotonic() < end, self.states()
            time.sleep(0.05)

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
