"""One call of ``Session.send``, taken through the cache and back: what the doors for requests share."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timedelta, timezone
from time import perf_counter
from typing import Any

import requests
import urllib3
from requests import PreparedRequest, Response
from requests.auth import AuthBase
from requests.exceptions import ChunkedEncodingError, ContentDecodingError, RetryError
from requests.hooks import default_hooks, dispatch_hook

from . import responses
from .cache import TMDBCache
from .errors import OfflineError
from .tmdb.cache_status import cache_status
from .tmdb.calls import Call, classify
from .tmdb.entry import Reply
from .tmdb.expiration import DO_NOT_CACHE
from .tmdb.policy import Policy

logger = logging.getLogger("tmdb_mongo_cache")

Original = Callable[..., Response]
"""``Session.send`` as it is without the cache, bound to the session."""

_FAILURES = (
    requests.ConnectionError,
    requests.Timeout,
    ChunkedEncodingError,
    ContentDecodingError,
    RetryError,
    urllib3.exceptions.HTTPError,
)
"""What requests raises when the other side fails; its other errors are the caller's own."""

_inside: ContextVar[requests.Session | None] = ContextVar("tmdb_mongo_cache_inside", default=None)


def session_class() -> type[requests.Session]:
    """Return requests' own ``Session``, also while ``requests_cache.install_cache()`` has a subclass in its place."""
    for candidate in requests.sessions.Session.__mro__:
        if candidate.__module__ == "requests.sessions":
            return candidate
    return requests.sessions.Session


class _NoResponse(Exception):
    """Raised to hand a caller what somebody's own ``send`` (a test's mock) returned instead of a response."""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value


def is_inside(session: requests.Session) -> bool:
    """Say whether this is a redirect of the session's call that is under way, which enters ``send`` again."""
    return _inside.get() is session


@contextmanager
def inside(session: requests.Session | None) -> Iterator[None]:
    """Mark what a session sends within as part of its call under way, or (None) as a call of its own."""
    token = _inside.set(session)
    try:
        yield
    finally:
        _inside.reset(token)


def send(
    cache: TMDBCache,
    rules: Policy,
    session: requests.Session,
    request: PreparedRequest,
    original: Original,
    options: Mapping[str, Any],
) -> Response:
    """Send a prepared request through the cache.

    What is not TMDB's goes to ``original`` untouched.

    Args:
        cache: the cache to use.
        rules: its settings as they are for this call.
        session: whose ``send`` was called.
        request: as the caller sent it; it is not changed.
        original: what would have happened without the cache.
        options: the keyword arguments of ``send``.

    Returns:
        the caller's response, with what requests-cache adds to one.

    Raises:
        OfflineError: ``offline`` is set and the answer is not in the cache.
        Exception: whatever ``original`` raises, where no stored answer can stand in.
    """
    try:
        call = classify(
            request.method,
            request.url,
            request.headers or {},
            has_body=bool(request.body),
            follows_redirects=bool(options.get("allow_redirects", True)),
            hosts=cache.hosts,
        )
    except Exception as error:  # noqa: BLE001  the cache is never why a program fails
        logger.debug("a request that cannot be classified goes straight through: %s", type(error).__name__)
        call = None
    if call is None:
        return original(request, **options)
    if call.straight or rules.call_expire_after == DO_NOT_CACHE or _authenticates(request):
        return _send_straight(cache, rules, session, request, original, options)
    started = perf_counter()
    stream = bool(options.get("stream", session.stream))
    transmit = _transmitter(session, request, original, options, stream=stream)
    try:
        outcome = cache.fetch(call, rules, transmit)
    except _NoResponse as returned:
        return returned.value  # type: ignore[no-any-return]
    if outcome.entry is not None:
        response: Response = responses.from_entry(
            outcome,
            outcome.entry,
            request,
            stream=stream,
            elapsed=timedelta(seconds=perf_counter() - started),
        )
    elif outcome.reply is None:
        if rules.offline:
            raise _offline(request, call)
        response = responses.not_cached(outcome, request, call.key)
    elif outcome.reply.error is not None:
        raise outcome.reply.error
    else:
        expires = outcome.stored.expires_at if outcome.stored is not None else None
        response = responses.annotate(
            outcome.reply.native, outcome.status, now=outcome.now, key=call.key, expires=expires
        )
    return _run_hooks(session, request, response, options)


def _send_straight(
    cache: TMDBCache,
    rules: Policy,
    session: requests.Session,
    request: PreparedRequest,
    original: Original,
    options: Mapping[str, Any],
) -> Response:
    if rules.offline:
        raise OfflineError("offline is set and this call is never cached: it cannot be answered", request=request)
    cache.count_straight()
    with inside(session):
        response = original(request, **options)
    if not isinstance(response, Response):
        return response
    return responses.annotate(response, cache_status(fwd="bypass"), now=datetime.now(timezone.utc))


def _transmitter(
    session: requests.Session,
    request: PreparedRequest,
    original: Original,
    options: Mapping[str, Any],
    *,
    stream: bool,
) -> Callable[[Mapping[str, str]], Reply]:
    def transmit(headers: Mapping[str, str]) -> Reply:
        # A copy: the caller's request must not show our condition, and the caller's hooks
        # must not see what the caller does not get (a 304, a failure that a stored answer covers).
        outgoing = request.copy()
        outgoing.hooks = default_hooks()
        outgoing.headers.update(headers)
        try:
            with inside(session):
                response = original(outgoing, **options)
            if not isinstance(response, Response):
                raise _NoResponse(response)
            reply = responses.to_reply(response, stream=stream)
        except Exception as error:
            if isinstance(error, requests.RequestException) and error.request is not None:
                error.request = request
            if not isinstance(error, _FAILURES):
                raise
            return Reply(error=error)
        _give_back(request, response, headers)
        return reply

    return transmit


def _give_back(request: PreparedRequest, response: Response, added: Mapping[str, str]) -> None:
    """Make the response point at the caller's own request, without what was added to it."""
    if not response.history:
        response.request = request
        return
    response.history[0].request = request
    for redirected in [*(hop.request for hop in response.history[1:]), response.request]:
        redirected.hooks = request.hooks
        for name in added:
            redirected.headers.pop(name, None)


def _run_hooks(
    session: requests.Session, request: PreparedRequest, response: Response, options: Mapping[str, Any]
) -> Response:
    """Call the caller's response hooks, as ``Session.send`` does, for every redirect and the answer."""
    if not request.hooks.get("response"):
        return response
    given = {
        "stream": session.stream,
        "verify": session.verify,
        "cert": session.cert,
        "proxies": session.proxies,
        **options,
    }
    given.pop("allow_redirects", None)
    for hop in response.history:
        dispatch_hook("response", request.hooks, hop, **given)
    result: Response = dispatch_hook("response", request.hooks, response, **given)
    return result


def _authenticates(request: PreparedRequest) -> bool:
    """Say whether a hook is part of an authentication (Digest), which must see every answer itself."""
    return any(isinstance(getattr(hook, "__self__", None), AuthBase) for hook in request.hooks.get("response", ()))


def _offline(request: PreparedRequest, call: Call) -> OfflineError:
    return OfflineError(f"offline is set and the cache has no answer for {call.key}", request=request)
