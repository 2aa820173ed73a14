"""``MongoBackend``; where requests-cache is too old for it, a class that says so."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from ...errors import ConfigError

OLDEST = (1, 2)
"""The oldest requests-cache for :class:`MongoBackend`; everything else in this package works with 0.9 as well."""

try:
    _FOUND = version("requests-cache")
except PackageNotFoundError:  # in an archive without metadata
    _FOUND = ""

if not _FOUND or tuple(int(part) for part in _FOUND.split(".")[:2] if part.isdigit()) >= OLDEST:
    from .backend import MongoBackend
else:

    class MongoBackend:  # type: ignore[no-redef]
        """A requests-cache backend, for a newer requests-cache than there is here.

        Raises:
            ConfigError: always; it says which one is wanted.
        """

        def __init__(self, *_: Any, **__: Any) -> None:
            wanted = ".".join(map(str, OLDEST))
            raise ConfigError(
                f"MongoBackend wants requests-cache {wanted} or newer, and here is {_FOUND}: "
                f"pip install 'requests-cache>={wanted}'"
            )


__all__ = ["MongoBackend"]
