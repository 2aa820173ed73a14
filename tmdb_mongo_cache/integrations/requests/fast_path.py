"""The fast path: a hit is served before requests prepares the request.

Preparing a request and merging the environment's settings takes longer than
reading the response from MongoDB. Therefore the key of a plain GET, in which nothing
unusual affects the response, is derived from the arguments, and its request is
prepared when ``response.request`` is read. Any unusual call takes the way through
``Session.send``, and so does a plain one that is not a plain hit: its flow is paused
where the request is needed, and resumed there.
"""

from __future__ import annotations

import logging
import netrc  # noqa: F401  requests imports it during a call, where a fork may leave it locked
from collections.abc import Callable, Mapping
from datetime import timedelta
from operator import not_
from time import monotonic, perf_counter
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.cookies import RequestsCookieJar
from requests.structures import CaseInsensitiveDict

from ...context import Active, Pending
from ...httpcache.expiration import DO_NOT_CACHE
from ...runtime.sync_driver import Begun
from ...tmdb.call import Call
from ...tmdb.transport_security import is_verified
from . import mock_detection, response, tls_verification
from .known_calls import LONGEST, Known, Pairs, forget, is_in_netrc, known_call, unverified_call

__all__ = ["answer", "forget"]

logger = logging.getLogger("tmdb_mongo_cache")

_NAMES = ("method", "url", "params", "data", "headers", "cookies", "files", "auth", "timeout", "allow_redirects")
"""The first parameters of ``Session.request``, up to those that may be given by position."""

_READ = frozenset({"method", "url", "params", "headers", "stream", "verify", "allow_redirects"})
_NO_HOOKS: dict[str, list[Any]] = {"response": []}


def _is_empty(value: Any) -> bool:
    return value is None or (type(value) is dict and not value)


def _are_urls(proxies: Any) -> bool:
    return proxies is None or (type(proxies) is dict and all(type(url) is str for url in proxies.values()))


_PLAIN: dict[str, Callable[[Any], bool]] = {
    "timeout": lambda _: True,  # it does not affect a cached response, nor does "cert"
    "cert": lambda _: True,
    "auth": not_,
    "data": not_,
    "files": not_,
    "json": lambda value: value is None,
    "cookies": _is_empty,
    "hooks": _is_empty,
    "proxies": _are_urls,
}
"""The other parameters, each with the test whether the call is plain with a value."""

_new_tuple = tuple.__new__  # in a third of the time that the class takes


def answer(
    active: Active, session: requests.Session, args: tuple[Any, ...], options: Mapping[str, Any]
) -> tuple[response.TMDBResponse | None, Pending | None]:
    """Answer a call of ``Session.request`` from the cache, if it is a plain hit.

    Args:
        active: the cache to use, and its settings for this call.
        session: the caller's, which prepares and sends in the usual way.
        args: the positional arguments.
        options: the keyword arguments.

    Returns:
        the response to a plain hit, or the paused flow of another plain call;
        neither if the call is not plain.
    """
    started = perf_counter()
    try:
        known, follows = _known(active, session, args, options)
        if known is None:
            return None, None
        call, driver, mounted = known.call, active.engine.driver, session.adapters
        # session.get_adapter() takes four times as long.
        mounts_are_usual = len(mounted) == 2 and "https://" in mounted and "http://" in mounted
        adapter = mounted[known.mount] if mounts_are_usual else session.get_adapter(call.url)
        usual = type(adapter) is HTTPAdapter and "send" not in adapter.__dict__ and not known.for_a_user
        if mock_detection.is_mocked() or not mock_detection.builds_as_usual(adapter):
            return None, None
        if not usual and _is_unusual(session, call):
            return None, None
        if not follows:
            call = call._replace(request=call.request._replace(follows_redirects=False))
        result, begun = driver.begin(call, active.rules)
        if result is None or result.entry is None or result.entry.history:
            begun = begun or Begun(None, None, result)
            return None, Pending(active.engine, session, call, len(known.headers), begun)
        seconds = perf_counter() - started
        driver.recorder.answered(call, result, seconds)
        source = _new_tuple(response.Source, (result.entry, known, result))
        return response.build(source, adapter, timedelta(seconds=seconds)), None
    except Exception as error:  # noqa: BLE001  the cache must never make a program fail
        # Without its text, which may contain an invalid header or URL.
        logger.debug("a call takes the way through send: %s", type(error).__name__)
        return None, None


def _known(
    active: Active, session: requests.Session, args: tuple[Any, ...], options: Mapping[str, Any]
) -> tuple[Known | None, bool]:
    """Return the call, if it is plain, and whether redirects are followed."""
    if len(args) > len(_NAMES):
        return None, True  # more than are usually positional
    if len(args) == 2 and "method" not in options and "url" not in options:
        method, url = args
    else:
        given = dict(zip(_NAMES, args, strict=False))
        if not given.keys().isdisjoint(options):
            return None, True
        options = {**given, **options}
        method, url = options.get("method"), options.get("url")
    for name, value in options.items():
        if name not in _READ and (name not in _PLAIN or not _PLAIN[name](value)):
            return None, True
    params, headers, verify = options.get("params"), options.get("headers"), options.get("verify")
    stream, follows = options.get("stream"), bool(options.get("allow_redirects", True))
    if type(method) is not str or type(url) is not str or method.upper() != "GET" or len(url) > LONGEST:
        return None, True
    if (session.stream if stream is None else stream) or session.auth or session.hooks != _NO_HOOKS:
        return None, True
    # Without len(), which counts cookie by cookie, if the jar is new.
    if type(session.cookies) is not RequestsCookieJar or (session.cookies._cookies and session.cookies):  # type: ignore[attr-defined]
        return None, True
    if session.trust_env and is_in_netrc(url.split("/", 3)[2], int(monotonic() / 5)):
        return None, True
    if active.rules.call_expire_after == DO_NOT_CACHE:
        return None, True
    if session.params:
        if type(session.params) is not dict or not (params is None or type(params) is dict):
            return None, True
        params = {**session.params, **(params or {})}
    query = _pairs(params) if params else ()
    own, more = _items(session.headers), _items(headers) if headers is not None else ()
    if query is None or own is None or more is None:
        return None, True
    if verify is None and session.verify is True:
        return known_call(url, query, own, more, active.engine.hosts), follows
    verified = bool(tls_verification.merged_verify(session, verify))
    return (known_call if verified else unverified_call)(url, query, own, more, active.engine.hosts), follows


def _is_unusual(session: requests.Session, call: Call) -> bool:
    """Return whether an adapter replaces the network, or disables verification."""
    if mock_detection.bypass_reason(session, call.url, call.hosts, call.request.appended):
        return True
    return is_verified(call.key) and not tls_verification.is_to_be_verified(session, call.url, True)


def _pairs(params: Any) -> Pairs | None:
    """Return params converted to text as requests does; None if that should be left to requests."""
    if type(params) is not dict:
        return None
    found = []
    for name, value in params.items():
        kind = type(value)
        if kind is str:
            found.append((name, value))
        elif kind is int or kind is bool or kind is float:
            found.append((name, str(value)))
        elif value is not None:
            return None
        if type(name) is not str:
            return None
    return tuple(found)


def _items(headers: Any) -> Pairs | None:
    """Return headers as names and values; None if they are not of an expected type."""
    if type(headers) is CaseInsensitiveDict:
        return tuple(headers._store.values())  # items() makes a Python call for each
    return tuple(headers.items()) if type(headers) is dict else None
