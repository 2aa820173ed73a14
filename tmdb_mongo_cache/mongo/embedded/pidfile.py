"""A file with the id of a ``mongod`` that keeps running when the last process leaves."""

from __future__ import annotations

from pathlib import Path

from .paths import open_private


class PidFile:
    """The id of one process in a file; for any other process, and after a reboot, it means nothing.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def names(self, pid: int | None) -> bool:
        """Return whether this id is in it; never for None and 0."""
        try:
            return bool(pid) and int(self._path.read_text()) == pid
        except (OSError, ValueError):
            return False

    def write(self, pid: int | None) -> None:
        """Write the id, in place of any other."""
        with open(self._path, "w", opener=open_private) as file:
            file.write(f"{pid}\n")

    def remove(self) -> None:
        """Delete the file."""
        self._path.unlink(missing_ok=True)
