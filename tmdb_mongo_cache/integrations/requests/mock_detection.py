"""Whether a call is answered by the network or by a replacement: a mock, a cassette, an adapter of the program.

A response that did not come from TMDB must not be stored, and a stored response
must not keep a test's mock from being called. Before a call it is checked what
would answer it, and afterwards whether the response came from a socket.
"""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator, Sequence
from types import FunctionType, MethodType
from typing import Any

import requests.sessions
from requests import Response
from requests.adapters import HTTPAdapter
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from ...tmdb import account_states, urls
from ..method_wrappers import reachable, wrapped_by
from .session_checks import session_class

_MOCK_PACKAGES = frozenset(
    {
        "betamax",
        "flexmock",
        "httmock",
        "httpretty",
        "mock",
        "mocket",
        "mockito",
        "pook",
        "requests_mock",
        "responses",
        "unittest",
        "vcr",
    }
)
"""Packages whose functions and classes replace the network, whatever they call."""

_Session = session_class()
_SESSION, _ADAPTER = vars(_Session), vars(HTTPAdapter)
_POOL, _TLS_POOL = vars(HTTPConnectionPool), vars(HTTPSConnectionPool)
_GET_ADAPTER, _BUILD = _SESSION["get_adapter"], HTTPAdapter.build_response
_SENDING = frozenset({"add_headers", "request_url", "send"})
"""Methods in which an adapter of the program may change what is sent."""
_MOST_STEPS = 100
_MOCK = "a mock replaces the network"

_last_seen: tuple[Any, ...] = (None, None, None, None, None, None, False)


def bypass_reason(session: requests.Session, url: str, hosts: frozenset[str], appended: Sequence[str] = ()) -> str:
    """Return why a call bypasses the cache: what answers it instead of the network, as far as known before; or "".

    An adapter that the program has mounted for one of ``hosts`` is a server in the
    same process, and treated as one. With an adapter that may add a header (a token),
    calls whose response depends on the user bypass the cache.

    Args:
        session: the caller's.
        url: the requested URL.
        hosts: what counts as TMDB besides its own hosts.
        appended: the values of ``append_to_response``.
    """
    try:
        if is_mocked():
            return _MOCK
        if appended and any(map(account_states.is_part, appended)) and may_add(session.get_adapter(url)):
            return "an adapter of the program may add the user whose account_states are requested"
        return _adapter_reason(session, url, hosts)
    except Exception:  # noqa: BLE001  an incomplete session fails, if at all, when it sends
        return ""


def _adapter_reason(session: requests.Session, url: str, hosts: frozenset[str]) -> str:
    chooses = type(session).get_adapter is not _GET_ADAPTER or "get_adapter" in session.__dict__
    if not chooses and all(type(one) is HTTPAdapter and "send" not in vars(one) for one in session.adapters.values()):
        return ""
    found = session.get_adapter(url)
    own = vars(found).get("send")
    if _is_of_mock_package(type(found)) or (own and not _calls_one_of(own, "send", "requests.adapters")):
        return _MOCK
    if any(map(_is_requests_own, type(found).__mro__)) or is_listed(url, hosts):
        return ""
    return "it is answered by an adapter that is not requests' HTTPAdapter"


def is_mocked() -> bool:
    """Return whether a mock in this process answers all calls instead of the network."""
    global _last_seen
    # Called for every hit, and usually nothing has changed since the last call.
    send, urlopen, connection, tls_connection, socket_class, session_send, mocked = _last_seen
    if (
        HTTPAdapter.send is send
        and HTTPConnectionPool.urlopen is urlopen
        and HTTPConnectionPool.ConnectionCls is connection
        and HTTPSConnectionPool.ConnectionCls is tls_connection
        and socket.socket is socket_class
        and _Session.send is session_send
    ):
        return bool(mocked)
    found = (
        _ADAPTER.get("send"),
        _POOL.get("urlopen"),
        _POOL.get("ConnectionCls"),
        _TLS_POOL.get("ConnectionCls"),
        socket.socket,
        _SESSION.get("send"),
    )
    if found != _last_seen[:-1]:  # reading a descriptor that is not a plain function gives another object each time
        mocked = _is_any_replaced(*found)
        _last_seen = (*found, mocked)
    return bool(mocked)


def builds_as_usual(adapter: Any) -> bool:
    """Return whether an adapter builds responses as requests' own does."""
    kind = type(adapter)
    built = kind.build_response if kind is HTTPAdapter else getattr(kind, "build_response", _BUILD)
    return built is _BUILD and "build_response" not in adapter.__dict__


def is_from_network(
    response: Response, url: str, hosts: frozenset[str], session: requests.Session | None = None
) -> bool:
    """Return whether a response and its redirects came from a socket, or from one of ``hosts``.

    Args:
        response: the response.
        url: the requested URL.
        hosts: what counts as TMDB besides its own hosts.
        session: the caller's, if known.
    """
    try:
        raws = [step.raw for step in (*response.history, response)]
        if is_mocked():
            return False
        if all(map(_is_of_socket, raws)):
            return True
        if not is_listed(url, hosts) or any(map(_is_mock_response, raws)):
            return False
        return session is None or type(session.get_adapter(url)) is not HTTPAdapter
    except Exception:  # noqa: BLE001  a class of response of the program
        return False


def _is_any_replaced(send: Any, urlopen: Any, *others: Any) -> bool:
    *classes, session_send = others
    return (
        any(map(_is_of_mock_package, (*classes, *_unwrapped(session_send))))
        or not _calls_one_of(send, "send", "requests.adapters")
        or not _calls_one_of(urlopen, "urlopen", HTTPConnectionPool.__module__)
    )


def _is_of_mock_package(thing: Any) -> bool:
    if isinstance(thing, type):
        return any(kind.__module__.partition(".")[0] in _MOCK_PACKAGES for kind in thing.__mro__)
    if isinstance(thing, MethodType):
        thing = thing.__func__
    if isinstance(thing, FunctionType):  # because functools.wraps copies __module__
        return str(thing.__globals__.get("__name__")).partition(".")[0] in _MOCK_PACKAGES
    return _is_of_mock_package(type(thing))


def _calls_one_of(thing: Any, name: str, module: str) -> bool:
    """Return whether a method is a function of a module, or a wrapper that references it.

    A wrapper (of wrapt, of ``functools.wraps``, a closure) is assumed to call what it
    wraps; anything without a reference to that answers by itself.
    """
    for found in reachable(thing):
        if _is_of_mock_package(found):
            return False
        if isinstance(found, FunctionType) and (found.__name__, found.__globals__.get("__name__")) == (name, module):
            return True
    return False


def _unwrapped(thing: Any) -> Iterator[Any]:
    """Yield a method and what its wrappers declare to wrap."""
    for _ in range(_MOST_STEPS):
        if thing is None:
            return
        yield thing
        if _is_of_mock_package(thing):
            return
        thing = wrapped_by(thing)


def _is_requests_own(kind: type) -> bool:
    """Return whether a class is ``HTTPAdapter``; by its name, as requests may have been reloaded."""
    return (kind.__name__, kind.__module__) == ("HTTPAdapter", "requests.adapters")


def may_add(adapter: Any) -> bool:
    """Return whether an adapter may change what it sends: it overrides one of the methods that do."""
    own = [vars(adapter)]
    for kind in type(adapter).__mro__:
        if _is_requests_own(kind):
            break
        own.append(vars(kind))
    return any(not _SENDING.isdisjoint(names) for names in own)


def is_listed(url: str, hosts: frozenset[str]) -> bool:
    """Return whether a URL is that of one of ``hosts``."""
    target = urls.split(url)
    return target is not None and urls.is_listed(target, hosts)


def _is_mock_response(raw: Any) -> bool:
    return any(_is_of_mock_package(type(part)) for part in (raw, getattr(raw, "_original_response", None)))


def _is_of_socket(raw: Any) -> bool:
    """Return whether a response was read from a connection by ``http.client`` or urllib3."""
    if _is_mock_response(raw):
        return False
    original = getattr(raw, "_original_response", None)
    # HTTP/2 has none, and urllib3-future reads by itself. Any other urllib3.HTTPResponse without one is artificial.
    package, _, module = type(raw if original is None else original).__module__.partition(".")
    by_urllib3 = package.startswith("urllib3") and module.startswith(("backend", "http2"))
    return by_urllib3 or isinstance(original, http.client.HTTPResponse)
