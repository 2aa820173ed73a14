"""The errors of this package.

::

    CacheError
    ├── ConfigError (also a ValueError)
    ├── OfflineError (also a requests.ConnectionError)
    ├── StoreError
    │   ├── EmbeddedServerError
    │   └── StoreUnavailable
    └── UpstreamError

A program whose calls are cached never sees a :class:`StoreError`: a database
that fails makes a call go to TMDB. The errors of this tree reach whoever talks
to the cache itself: its settings, its maintenance methods, its command line.
An :class:`UpstreamError` is for those who have the cache call TMDB by itself.
"""

from __future__ import annotations

from typing import Any

import requests

CLOSED = "this cache is closed; make a new one"


class CacheError(Exception):
    """Root of the tree: raised only through the classes below it.

    A text that repeats what somebody has typed or set is freed of credentials here.
    """

    def __init__(self, *args: object, **options: Any) -> None:
        from .tmdb.secrets import redact  # who only installs the cache need not pay for it

        super().__init__(*(redact(text) if isinstance(text, str) else text for text in args), **options)


class ConfigError(CacheError, ValueError):
    """Raised when a setting has a value that cannot be used; the text says which and what would do."""


class OfflineError(CacheError, requests.ConnectionError):
    """Raised when ``offline=True`` and the call is not in the cache.

    It is a :class:`requests.ConnectionError`, so that a program which copes
    with a lost network copes with this.
    """


class StoreError(CacheError):
    """Raised when MongoDB refuses or fails an operation that somebody asked for by name."""


class StoreUnavailable(StoreError):
    """Raised when MongoDB cannot be reached, or does not answer in time."""


class EmbeddedServerError(StoreError):
    """Raised when the embedded MongoDB cannot be found or does not start."""


class UpstreamError(CacheError):
    """Raised when TMDB fails or refuses what ``refresh_changes()`` or ``warm()`` ask of it."""
