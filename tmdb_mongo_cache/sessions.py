"""Sessions of requests: its own class, and which of them do nothing unusual on the way to ``send``."""

from __future__ import annotations

import sys
from typing import Any

import requests.sessions


def session_class() -> type[requests.Session]:
    """Return requests' own ``Session``, also while ``requests_cache.install_cache()`` has a subclass in its place."""
    for candidate in requests.sessions.Session.__mro__:
        if candidate.__module__ == "requests.sessions":
            return candidate
    return requests.sessions.Session


_SESSION = session_class()

# What a call passes through before, and in, ``send``.
_WAY = ("__getattribute__", "__getattr__", "merge_environment_settings", "prepare_request", "send")
_OWN = {name: vars(_SESSION).get(name) for name in ("merge_environment_settings", "prepare_request")}


def has_own_cache(session: Any) -> bool:
    """Say whether a session does its own caching: a TMDBSession, or requests-cache's."""
    if getattr(session, "_tmdb_own_cache", False):
        return True
    module = sys.modules.get("requests_cache.session")
    # () while another thread is importing it.
    return module is not None and isinstance(session, getattr(module, "CacheMixin", ()))


def is_own(function: Any) -> bool:
    """Say whether a function is requests' own, and no wrapper of somebody's."""
    return getattr(function, "__globals__", None) is vars(requests.sessions) and not hasattr(function, "__wrapped__")


def takes_the_usual_way(session: Any, *, send_of: type | None = None) -> bool:
    """Say whether a session prepares and sends as requests does, so that its calls are known by their arguments.

    Args:
        session: a session.
        send_of: the class whose ``send`` it may have besides requests' own.
    """
    for cls in type(session).__mro__:
        if cls is _SESSION:
            break  # at once, mostly
        if cls is not send_of and not _WAY_SET.isdisjoint(vars(cls)):
            return False
    found = vars(_SESSION)
    return (
        found["prepare_request"] is _OWN["prepare_request"]
        and found["merge_environment_settings"] is _OWN["merge_environment_settings"]
        and _WAY_SET.isdisjoint(vars(session))
    )


_WAY_SET = frozenset(_WAY)
