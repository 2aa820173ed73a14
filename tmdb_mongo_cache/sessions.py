"""Sessions of requests: its own class, and which sessions do nothing unusual on the way to ``send``."""

from __future__ import annotations

import sys
from operator import itemgetter
from types import FunctionType
from typing import Any

import requests.sessions
from requests import PreparedRequest

from .wrappers import below, is_ours


def session_class() -> type[requests.Session]:
    """Return requests' own ``Session``, also while ``requests_cache.install_cache()`` has a subclass in its place."""
    found: Any = getattr(sys.modules.get("requests.sessions"), "Session", None)
    if not isinstance(found, type):
        return _SESSION  # a test has its mock there
    for candidate in found.__mro__:
        if candidate.__module__ == "requests.sessions":
            return candidate
    return found


def in_use() -> tuple[Any, ...]:
    """Return the classes that a program gets which imports requests now: other ones once it has been reloaded."""
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
"""The classes that this module, and those that import it, are made for."""

_MODULE, _REQUEST = vars(requests.sessions), vars(PreparedRequest)


def is_own(function: Any) -> bool:
    """Say whether a function is of requests' sessions, and nobody's wrapper (wrapt's pass for what they wrap)."""
    return type(function) is FunctionType and function.__globals__ is _MODULE


def has_own_cache(session: Any) -> bool:
    """Say whether a session asks our caches by itself: a TMDBSession, or requests-cache's with a MongoBackend."""
    if getattr(session, "_tmdb_own_cache", False):
        return True
    return is_downstream(session) and getattr(getattr(session, "cache", None), "_tmdb_own_cache", False)


def is_downstream(session: Any) -> bool:
    """Say whether a session is one of requests-cache's, which keeps what it gets by its own rules."""
    module = sys.modules.get("requests_cache.session")
    # () while another thread is importing it.
    return module is not None and isinstance(session, getattr(module, "CacheMixin", ()))


# What a call passes through on its way to ``send``, and in it. Whoever changes one of these
# is to be asked: such a call is not known by its arguments.
_METHODS = frozenset(
    {"__getattr__", "__getattribute__", "get_adapter", "merge_environment_settings", "prepare_request", "send"}
)
_of_session = itemgetter("get_adapter", "merge_environment_settings", "prepare_request")
_NAMES = ("PreparedRequest", "Request", "get_netrc_auth", "merge_cookies", "merge_hooks", "merge_setting")
_of_module = itemgetter(*_NAMES)
for _name in _NAMES:
    getattr(requests.sessions, _name)  # where imports are lazy (-X lazy_imports=all), it is in its place only now
_of_request = itemgetter(*(name for name in vars(PreparedRequest) if name.startswith(("prepare", "_encode"))))


def _is_untouched() -> bool:
    """Say whether nobody had changed it when this package was imported."""
    first, second, *functions = _of_module(vars(requests.sessions))
    methods = [getattr(each, "__func__", each) for each in _of_request(vars(PreparedRequest))]
    own = {"requests.cookies", "requests.models", "requests.sessions", "requests.utils"}
    return (first.__module__, second.__module__) == ("requests.models", "requests.models") and all(
        type(each) is FunctionType and each.__globals__["__name__"] in own
        for each in [*_of_session(vars(_SESSION)), *methods, *functions]
    )


_OWN_WAY = (
    (_of_session(vars(_SESSION)), _of_module(vars(requests.sessions)), _of_request(vars(PreparedRequest)))
    if _is_untouched()
    else (None, None, None)
)


def takes_the_usual_way(session: Any, *, send_of: type | None = None) -> bool:
    """Say whether a session prepares and sends as requests does, so that its calls are known by their arguments.

    Args:
        session: a session.
        send_of: the class whose ``send`` it may have besides requests' own.
    """
    for cls in type(session).__mro__:
        if cls is _SESSION:
            break  # at once, mostly
        if cls is not send_of and not _METHODS.isdisjoint(vars(cls)):
            return False
    found = vars(_SESSION)
    return (
        _METHODS.isdisjoint(vars(session))
        and "__getattribute__" not in found
        and "__getattr__" not in found
        and _of_session(found) == _OWN_WAY[0]
        and _of_module(_MODULE) == _OWN_WAY[1]
        and _of_request(_REQUEST) == _OWN_WAY[2]
    )


def requests_as_usual() -> bool:
    """Say whether ``Session.request`` is requests' own, with nothing but a wrapper of ours on it."""
    found = vars(_SESSION).get("request")
    return is_own(below(found) if is_ours(found) else found)
