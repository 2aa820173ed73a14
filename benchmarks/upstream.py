"""The stand-in TMDB in a process of its own, so that it does not compete for the GIL with what is measured."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

from tmdb_mongo_cache.standin import StandIn


def _serve(pipe: Connection) -> None:
    with StandIn() as tmdb:
        pipe.send((tmdb.url, tmdb.host))
        while True:
            try:
                request = pipe.recv()
            except EOFError:
                return
            if request == "count":
                pipe.send(tmdb.count)
            else:
                tmdb.answer(request.pop("path"), **request)
                pipe.send(None)


class Upstream:
    """A stand-in TMDB elsewhere: its ``url`` and ``host``, its ``count`` of calls, and :meth:`answer`."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self.url, self.host = pipe.recv()

    def _request(self, request: Any) -> Any:
        self._pipe.send(request)
        return self._pipe.recv()

    @property
    def count(self) -> int:
        return int(self._request("count"))

    def answer(self, path: str, **response: Any) -> None:
        """Make it respond to a path with exactly this."""
        self._request({"path": path, **response})


@contextmanager
def upstream() -> Iterator[Upstream]:
    """Run a stand-in TMDB in a new process."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs,), daemon=True)
    process.start()
    theirs.close()
    try:
        yield Upstream(ours)
    finally:
        ours.close()
        process.join(10)
        process.terminate()
