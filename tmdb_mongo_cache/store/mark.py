"""The mark on a ``mongod`` that stays when the last process leaves: a file that holds its process id."""

from __future__ import annotations

from pathlib import Path

from .folders import open_private


class Mark:
    """A mark for one ``mongod``; for any other, and after a reboot, it means nothing.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def is_on(self, pid: int | None) -> bool:
        """Say whether the process of this id has it; None and 0 have none."""
        try:
            return bool(pid) and int(self._path.read_text()) == pid
        except (OSError, ValueError):
            return False

    def put_on(self, pid: int | None) -> None:
        """Put it on a process, in place of any other."""
        with open(self._path, "w", opener=open_private) as file:
            file.write(f"{pid}\n")

    def remove(self) -> None:
        """Take it away."""
        self._path.unlink(missing_ok=True)
