"""What answers a call: the network, or something in its place (a mock, a cassette, an adapter of the program's own).

What did not come from TMDB is none of its answers: it must not be stored, and
what is stored must not keep a test's mock from being asked. Before a call it is
seen who would answer it, and afterwards whether the answer came by a socket.
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

from .sessions import session_class
from .tmdb import states, urls
from .wrappers import below, reached

_STAND_INS = frozenset(
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
"""Packages whose functions and classes stand in for the network, whatever they call in the end."""

_Session = session_class()
_SESSION, _ADAPTER = vars(_Session), vars(HTTPAdapter)
_POOL, _TLS_POOL = vars(HTTPConnectionPool), vars(HTTPSConnectionPool)
_GET_ADAPTER = _SESSION["get_adapter"]
_ADDING = frozenset({"add_headers", "request_url", "send"})
"""Methods by which an adapter of the program's own may change what is sent."""
_MOST_STEPS = 100
_MOCK = "a mock stands in for the network"

_seen: tuple[Any, ...] = (None, None, None, None, None, None, False)


def why_not_asked(session: requests.Session, url: str, hosts: frozenset[str], appended: Sequence[str] = ()) -> str:
    """Say what answers a call instead of the network, as far as that can be told before; empty where it does itself.

    An adapter that the program has mounted for a host of its own is a server in
    the same process, and as good as one elsewhere. One that may add a header
    (a token) is none that may be asked where the answer depends on who asks.

    Args:
        session: makes the call.
        url: is called.
        hosts: what counts as TMDB besides its own hosts.
        appended: what is appended to the answer.
    """
    try:
        if is_mocked():
            return _MOCK
        if appended and any(map(states.is_part, appended)) and may_add(session.get_adapter(url)):
            return "an adapter of the program's own may say whose account_states are asked for"
        return _why_not_by_adapter(session, url, hosts)
    except Exception:  # noqa: BLE001  a session with something missing fails, if at all, where it sends
        return ""


def _why_not_by_adapter(session: requests.Session, url: str, hosts: frozenset[str]) -> str:
    for adapter in session.adapters.values():
        if type(adapter) is not HTTPAdapter or "send" in adapter.__dict__:
            break
    else:
        if type(session).get_adapter is _GET_ADAPTER and "get_adapter" not in session.__dict__:
            return ""
    found = session.get_adapter(url)
    own = vars(found).get("send")
    if _is_made_by_stand_in(type(found)) or (own and not _calls_one_of(own, "send", "requests.adapters")):
        return _MOCK
    if _is_http_adapter(found) or is_listed(url, hosts):
        return ""
    return "an adapter that is none of requests' answers"


def is_mocked() -> bool:
    """Say whether something in this process answers all calls in place of the network."""
    global _seen
    # Every hit asks; mostly all is as it was at the last call.
    send, urlopen, connection, tls_connection, socket_class, session_send, mocked = _seen
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
    if found != _seen[:-1]:  # what is no plain function is made anew by each look at the class
        mocked = _is_any_stand_in(*found)
        _seen = (*found, mocked)
    return bool(mocked)


def is_from_network(
    response: Response, url: str, hosts: frozenset[str], session: requests.Session | None = None
) -> bool:
    """Say whether a response, and each redirect on the way to it, has come by a socket, or from a host of one's own.

    Args:
        response: what came.
        url: was called.
        hosts: what counts as TMDB besides its own hosts.
        session: whose call it was, where that is known.
    """
    try:
        raws = [step.raw for step in (*response.history, response)]
        if is_mocked():
            return False
        if all(map(_is_of_socket, raws)):
            return True
        if not is_listed(url, hosts) or any(map(_is_of_stand_in, raws)):
            return False
        return session is None or type(session.get_adapter(url)) is not HTTPAdapter
    except Exception:  # noqa: BLE001  somebody's own kind of response
        return False


def _is_any_stand_in(
    send: Any, urlopen: Any, connection: Any, tls_connection: Any, socket_class: Any, session_send: Any
) -> bool:
    return (
        any(map(_is_made_by_stand_in, (connection, tls_connection, socket_class, *_beneath(session_send))))
        or not _calls_one_of(send, "send", "requests.adapters")
        or not _calls_one_of(urlopen, "urlopen", HTTPConnectionPool.__module__)
    )


def _is_made_by_stand_in(thing: Any) -> bool:
    if isinstance(thing, type):
        return any(kind.__module__.partition(".")[0] in _STAND_INS for kind in thing.__mro__)
    if isinstance(thing, MethodType):
        thing = thing.__func__
    if isinstance(thing, FunctionType):  # functools.wraps copies __module__
        return str(thing.__globals__.get("__name__")).partition(".")[0] in _STAND_INS
    return _is_made_by_stand_in(type(thing))


def _calls_one_of(thing: Any, name: str, module: str) -> bool:
    """Say whether what stands in a class is a function of a module, or a wrapper that has that in its hands.

    A wrapper (wrapt's, one by ``functools.wraps``, a closure) calls in the end
    what it wraps; what has no hold of that answers by itself.
    """
    for found in reached(thing):
        if _is_made_by_stand_in(found):
            return False
        if isinstance(found, FunctionType) and (found.__name__, found.__globals__.get("__name__")) == (name, module):
            return True
    return False


def _beneath(thing: Any) -> Iterator[Any]:
    """Give what stands in a class, and what its wrappers say that they wrap."""
    for _ in range(_MOST_STEPS):
        if thing is None:
            return
        yield thing
        if _is_made_by_stand_in(thing):
            return
        thing = below(thing)


def _is_http_adapter(adapter: Any) -> bool:
    """Say whether an adapter is requests' own or derived from it; by the name, for requests may have been reloaded."""
    return any(map(_is_requests_own, type(adapter).__mro__))


def _is_requests_own(kind: type) -> bool:
    return (kind.__name__, kind.__module__) == ("HTTPAdapter", "requests.adapters")


def may_add(adapter: Any) -> bool:
    """Say whether an adapter may change what it sends: it has a method for that which is not requests' own."""
    own = [vars(adapter)]
    for kind in type(adapter).__mro__:
        if _is_requests_own(kind):
            break
        own.append(vars(kind))
    return any(not _ADDING.isdisjoint(names) for names in own)


def is_listed(url: str, hosts: frozenset[str]) -> bool:
    """Say whether an URL is that of a host of one's own."""
    target = urls.split(url)
    return target is not None and urls.is_listed(target, hosts)


def _is_of_stand_in(raw: Any) -> bool:
    return any(_is_made_by_stand_in(type(part)) for part in (raw, getattr(raw, "_original_response", None)))


def _is_of_socket(raw: Any) -> bool:
    """Say whether a response was read from a connection by ``http.client`` or by urllib3, and by nothing else."""
    if _is_of_stand_in(raw):
        return False
    original = getattr(raw, "_original_response", None)
    # HTTP/2 has none, and urllib3-future reads by itself. A urllib3.HTTPResponse without one was made by hand.
    package, _, module = type(raw if original is None else original).__module__.partition(".")
    by_urllib3 = package.startswith("urllib3") and module.startswith(("backend", "http2"))
    return by_urllib3 or isinstance(original, http.client.HTTPResponse)
