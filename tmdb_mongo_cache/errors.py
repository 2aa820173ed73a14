"""The errors of this package.

::

    CacheError
    ├── ConfigError (also a ValueError)
    ├── OfflineError (also a requests.ConnectionError)
    ├── StoreError
    │   ├── EmbeddedServerError
    │   └── StoreUnavailable
    └── UpstreamError

A cached call never raises a :class:`StoreError`: if MongoDB fails, the call goes
to TMDB. These errors are raised by the cache's own interface: its settings, its
maintenance methods, its command line. :class:`UpstreamError` is raised by methods
that call TMDB by themselves.
"""

from __future__ import annotations

from typing import Any

import requests

CLOSED = "this cache is closed; make a new one"


class CacheError(Exception):
    """Base class; only its subclasses are raised.

    Credentials in its text, which may repeat input or settings, are redacted.
    """

    def __init__(self, *args: object, **options: Any) -> None:
        from .tmdb.redaction import redact  # imported late, because install() does not need it

        super().__init__(*(redact(text) if isinstance(text, str) else text for text in args), **options)


class ConfigError(CacheError, ValueError):
    """Raised when a setting or argument is invalid; the text says which, and what is valid."""


class OfflineError(CacheError, requests.ConnectionError):
    """Raised when ``offline=True`` and the call is not in the cache.

    It is a :class:`requests.ConnectionError`, so a program that handles a lost
    network handles it as well.
    """


class StoreError(CacheError):
    """Raised when MongoDB refuses or fails an explicitly requested operation."""


class StoreUnavailable(StoreError):
    """Raised when MongoDB cannot be reached, or does not respond in time."""


class EmbeddedServerError(StoreError):
    """Raised when the embedded MongoDB cannot be found or does not start."""


class UpstreamError(CacheError):
    """Raised when TMDB fails, or refuses a request of ``refresh_changes()`` or ``warm()``."""
