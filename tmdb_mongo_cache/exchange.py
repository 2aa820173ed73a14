"""One call of ``Session.send``, taken through the cache and back: what the doors for requests share."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from functools import partial
from time import perf_counter
from typing import Any

import requests
from requests import PreparedRequest, Response
from requests.auth import AuthBase
from requests.hooks import dispatch_hook

from . import downstream, network, responses, sessions
from .asking import Outcome
from .cache import TMDBCache
from .errors import OfflineError
from .scope import Pending, inside, take_pending
from .sending import NoResponse, Original, Transmission
from .tmdb.cache_status import cache_status
from .tmdb.calls import Call, classify
from .tmdb.expiration import DO_NOT_CACHE
from .tmdb.rules import Policy
from .tmdb.writes import is_unsafe, is_write

logger = logging.getLogger("tmdb_mongo_cache")

_Offline: type[OfflineError] = OfflineError
if not issubclass(OfflineError, requests.ConnectionError):  # requests has been imported anew

    class _OfflineNow(OfflineError, requests.ConnectionError):
        pass

    _OfflineNow.__name__ = _OfflineNow.__qualname__ = "OfflineError"
    _Offline = _OfflineNow


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
    if not sessions.is_downstream(session):
        return _send(cache, rules, session, request, original, options)
    oldest = downstream.longest(session, request)
    if oldest is not None and oldest < 0:
        return original(request, **options)
    limit = partial(downstream.limited, request=request, oldest=oldest)
    sent = downstream.without_condition(session, request)
    response = downstream.handed_over(_send(cache, rules, session, sent, original, options, limit), session)
    return response if sent is request else downstream.answer_condition(response, request)


let_go = downstream.let_go


def _send(
    cache: TMDBCache,
    rules: Policy,
    session: requests.Session,
    request: PreparedRequest,
    original: Original,
    options: Mapping[str, Any],
    limit: Callable[[Call], Call] | None = None,
) -> Response:
    try:
        pending = take_pending(cache, session, request)
        call = _call(cache, request, options, pending)
        if call is not None and limit is not None:
            call = limit(call)
    except Exception as error:  # noqa: BLE001  the cache is never why a program fails
        logger.debug("a request that cannot be classified goes straight through: %s", type(error).__name__)
        pending = call = None
    if call is None:
        return original(request, **options)
    instead = call.straight or network.why_not_asked(session, call.url, cache.hosts)
    if instead or rules.call_expire_after == DO_NOT_CACHE or _authenticates(request):
        call = call._replace(straight=instead)
        return _send_straight(cache, rules, session, request, original, options, call)
    started = perf_counter()
    stream = bool(options.get("stream", session.stream))
    transmission = Transmission(session, request, original, options, stream=stream, hosts=cache.hosts)
    try:
        outcome = cache.flow.fetch(call, rules, transmission, pending.looked if pending else None)
        response = _response(outcome, request, call, stream=stream, started=started)
    except NoResponse as returned:
        return returned.value  # type: ignore[no-any-return]
    except Exception as error:
        if error is transmission.raised:
            raise
        # The cache is never why a program fails.
        logger.warning("%s: the cache failed (%s); the call goes on without it", call.key, type(error).__name__)
        logger.debug("%s: %s", call.key, _places(error))
        if rules.offline:
            raise _Offline(f"offline is set and the cache failed for {call.key}", request=request) from None
        return transmission.without_the_cache()
    if response is None:
        if outcome.reply is not None and outcome.reply.error is not None:
            failure = outcome.reply.error
            if isinstance(failure, requests.RequestException):
                failure.request = request  # another caller's, if that made the call
            raise failure
        text = f"offline is set and the cache has no answer for {call.key}{cache.offline_hint}"
        raise _Offline(text, request=request)
    return _run_hooks(session, request, response, options)


def _places(error: BaseException) -> str:
    """Say where an error came from, without its text: that may repeat an URL, and with it a credential."""
    frames = traceback.extract_tb(error.__traceback__)
    return "; ".join(f"{frame.name} ({frame.filename}:{frame.lineno})" for frame in frames)


def _call(
    cache: TMDBCache, request: PreparedRequest, options: Mapping[str, Any], pending: Pending | None
) -> Call | None:
    follows_redirects = bool(options.get("allow_redirects", True))
    if pending is not None:
        ask = pending.call.ask._replace(follows_redirects=follows_redirects)
        return pending.call._replace(ask=ask)
    return classify(
        request.method,
        request.url,
        request.headers or {},
        has_body=bool(request.body),
        follows_redirects=follows_redirects,
        hosts=cache.hosts,
    )


def _response(
    outcome: Outcome, request: PreparedRequest, call: Call, *, stream: bool, started: float
) -> Response | None:
    """Return the caller's response; None where it gets an error."""
    if outcome.entry is not None:
        elapsed = timedelta(seconds=perf_counter() - started)
        return responses.from_entry(outcome, outcome.entry, request, stream=stream, elapsed=elapsed)
    if outcome.reply is None:
        return None if outcome.offline else responses.not_cached(outcome, request, call.key)
    if outcome.reply.error is not None:
        return None
    if outcome.reply.native is None:
        elapsed = timedelta(seconds=perf_counter() - started)
        return responses.from_reply(outcome, outcome.reply, request, key=call.key, stream=stream, elapsed=elapsed)
    expires = outcome.stored.expires_at if outcome.stored is not None else None
    return responses.annotate(outcome.reply.native, outcome.status, now=outcome.now, key=call.key, expires=expires)


def _send_straight(
    cache: TMDBCache,
    rules: Policy,
    session: requests.Session,
    request: PreparedRequest,
    original: Original,
    options: Mapping[str, Any],
    call: Call,
) -> Response:
    if rules.offline:
        cache.flow.note_unanswered(call)
        raise _Offline("offline is set and this call is never cached: it cannot be answered", request=request)
    status, started = 0, perf_counter()
    try:
        with inside(session):
            response = original(request, **options)
        status = getattr(response, "status_code", 0)
    except requests.RequestException:
        raise
    except Exception:
        # Not the sending: a hook of the caller's. Whether the write has succeeded nobody says.
        if is_unsafe(request.method):
            cache.flow.written([request.url])
        raise
    finally:
        cache.flow.note_straight(call, status, perf_counter() - started)
    if not isinstance(response, Response):
        return response
    steps = [(step.request, step.status_code) for step in (*response.history, response)]
    changed = [sent.url for sent, status in steps if sent is not None and is_write(sent.method, status)]
    if changed:
        cache.flow.written(changed)
    return responses.annotate(response, cache_status(fwd="bypass"), now=datetime.now(timezone.utc))


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
