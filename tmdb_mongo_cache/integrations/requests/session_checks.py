"""Checks of sessions: whether they are requests' own, have a cache, or prepare their calls in the usual way."""

from __future__ import annotations

import sys
from operator import itemgetter
from types import FunctionType
from typing import Any

import requests.sessions
from requests import PreparedRequest

from ..method_wrappers import is_ours, wrapped_by


def session_class() -> type[requests.Session]:
    """Return requests' own ``Session``, also while ``requests_cache.install_cache()`` has replaced it by a subclass."""
    found: Any = getattr(sys.modules.get("requests.sessions"), "Session", None)
    if not isinstance(found, type):
        return _SESSION  # replaced by a mock in a test
    for candidate in found.__mro__:
        if candidate.__module__ == "requests.sessions":
            return candidate
    return found


def in_use() -> tuple[Any, ...]:
    """Return the classes that a program gets which imports requests now: other ones after a reload."""
    places = {
        "requests": ("Response", "PreparedRequest", "RequestException"),
        "requests.sessions": ("PreparedRequest",),
        "requests.adapters": ("Response",),
    }
    found = [getattr(sys.modules.get(module), name, None) for module, names in places.items() for name in names]
    return (session_class(), *found)


_SESSION: type[requests.Session] = requests.Session
_SESSION = session_class()

MADE_FOR = in_use()
"""The classes of requests that this module, and those that import it, have imported."""

_MODULE, _REQUEST = vars(requests.sessions), vars(PreparedRequest)


def is_own(function: Any) -> bool:
    """Return whether a function is defined in ``requests.sessions`` (wrapt's wrappers only look like it)."""
    return type(function) is FunctionType and function.__globals__ is _MODULE


def has_own_cache(session: Any) -> bool:
    """Return whether a session uses our cache by itself: a TMDBSession, or requests-cache's with a MongoBackend."""
    if getattr(session, "_tmdb_own_cache", False):
        return True
    return is_downstream(session) and getattr(getattr(session, "cache", None), "_tmdb_own_cache", False)


def is_downstream(session: Any) -> bool:
    """Return whether a session is one of requests-cache, which stores responses by its own rules."""
    module = sys.modules.get("requests_cache.session")
    # () while another thread imports it.
    return module is not None and isinstance(session, getattr(module, "CacheMixin", ()))


# What a call passes before and in ``send``. If one of these is overridden, the arguments of a
# call do not determine its request.
_METHODS = frozenset(
    {"__getattr__", "__getattribute__", "get_adapter", "merge_environment_settings", "prepare_request", "send"}
)
_of_session = itemgetter("get_adapter", "merge_environment_settings", "prepare_request")
_NAMES = ("PreparedRequest", "Request", "get_netrc_auth", "merge_cookies", "merge_hooks", "merge_setting")
_of_module = itemgetter(*_NAMES)
for _name in _NAMES:
    getattr(requests.sessions, _name)  # resolves it if imports are lazy (-X lazy_imports=all)
_of_request = itemgetter(*(name for name in vars(PreparedRequest) if name.startswith(("prepare", "_encode"))))


def _is_untouched() -> bool:
    """Return whether it was not patched when this package was imported."""
    first, second, *functions = _of_module(vars(requests.sessions))
    methods = [getattr(each, "__func__", each) for each in _of_request(vars(PreparedRequest))]
    own = {"requests.cookies", "requests.models", "requests.sessions", "requests.utils"}
    return (first.__module__, second.__module__) == ("requests.models", "requests.models") and all(
        type(each) is FunctionType and each.__globals__["__name__"] in own
        for each in [*_of_session(vars(_SESSION)), *methods, *functions]
    )


_ORIGINAL = (
    (_of_session(vars(_SESSION)), _of_module(vars(requests.sessions)), _of_request(vars(PreparedRequest)))
    if _is_untouched()
    else None
)


def takes_the_usual_way(session: Any, *, send_of: type | None = None) -> bool:
    """Return whether a session prepares and sends as requests does, so that the arguments of a call determine it.

    Args:
        session: a session.
        send_of: a class whose ``send`` is allowed besides requests' own.
    """
    for cls in type(session).__mro__:
        if cls is _SESSION:
            break  # the usual case
        if cls is not send_of and not _METHODS.isdisjoint(vars(cls)):
            return False
    found = vars(_SESSION)
    return (
        _METHODS.isdisjoint(vars(session))
        and "__getattribute__" not in found
        and "__getattr__" not in found
        and (_of_session(found), _of_module(_MODULE), _of_request(_REQUEST)) == _ORIGINAL
    )


def requests_as_usual() -> bool:
    """Return whether ``Session.request`` is requests' own, with at most our wrapper on it."""
    found = vars(_SESSION).get("request")
    return is_own(wrapped_by(found) if is_ours(found) else found)
