"""The stand-in TMDB in a process of its own: in the benchmark's it would take turns with what is measured."""

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
                asked = pipe.recv()
            except EOFError:
                return
            if asked == "count":
                pipe.send(tmdb.count)
            else:
                tmdb.answer(asked.pop("path"), **asked)
                pipe.send(None)


class Upstream:
    """A stand-in TMDB elsewhere: its ``url`` and ``host``, its ``count`` of calls, and :meth:`answer`."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self.url, self.host = pipe.recv()

    def _ask(self, what: Any) -> Any:
        self._pipe.send(what)
        return self._pipe.recv()

    @property
    def count(self) -> int:
        return int(self._ask("count"))

    def answer(self, path: str, **answer: Any) -> None:
        """Have it answer a path with exactly this."""
        self._ask({"path": path, **answer})


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
