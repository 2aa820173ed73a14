"""What a client sends to MongoDB."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from pymongo.monitoring import CommandListener


class Commands(CommandListener):
    """Records a client's commands, and does something else once, before or after a command of a name."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.before: dict[str, Callable[[], Any]] = {}
        self.after: dict[str, Callable[[], Any]] = {}

    @property
    def names(self) -> list[str]:
        return [next(iter(command)) for command in self.seen]

    def take(self) -> list[str]:
        """Return the sorted names of the commands since the last time."""
        names = sorted(self.names)
        self.seen.clear()
        return names

    def started(self, event: Any) -> None:
        self.seen.append(event.command)
        self._do(self.before.pop(event.command_name, None))

    def succeeded(self, event: Any) -> None:
        self._do(self.after.pop(event.command_name, None))

    def failed(self, event: Any) -> None:
        pass

    def _do(self, what: Callable[[], Any] | None) -> None:
        if what is not None:
            thread = threading.Thread(target=what)
            thread.start()
            thread.join()
