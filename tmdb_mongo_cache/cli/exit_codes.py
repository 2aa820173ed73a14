"""Exit codes, and how a command that can be resumed ends."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NoReturn

import click

from ..errors import CacheError

NOT_RUNNING = 3
"""Of ``server status`` where the server does not run, as ``systemctl status`` has it."""

INTERRUPTED = 130
"""After Ctrl-C, as shells have it."""


@dataclass
class Run:
    """A run of a command that resumes when it is run again: the error that ended it, and whether Ctrl-C did."""

    failure: CacheError | None = None
    interrupted: bool = False

    def end(self, *, failed: bool) -> NoReturn:
        """End the command: with its error, after Ctrl-C, or by whether items failed."""
        if self.failure is not None:
            raise self.failure
        if self.interrupted:
            click.echo("interrupted; run the same command again to resume", err=True)
            sys.exit(INTERRUPTED)
        sys.exit(1 if failed else 0)


@contextmanager
def resumable() -> Iterator[Run]:
    """Note what ends a run, so that the command can report what it has done before it ends."""
    run = Run()
    try:
        yield run
    except KeyboardInterrupt:
        run.interrupted = True
    except CacheError as error:
        run.failure = error
