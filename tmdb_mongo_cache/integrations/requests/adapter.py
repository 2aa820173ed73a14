"""One call of ``Session.send`` through the cache, for patched sessions and ``TMDBSession``."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from functools import partial
from time import perf_counter
from typing import Any, NamedTuple

import requests
from requests import PreparedRequest, Response, TooManyRedirects

from ...context import inside, take_pending
from ...core.coalescing import COLLAPSED
from ...core.settings import Policy
from ...engine import Engine
from ...errors import OfflineError
from ...httpcache.cache_status import cache_status
from ...httpcache.expiration import DO_NOT_CACHE
from ...httpcache.models import Entry, Reply
from ...httpcache.result import Result
from ...tmdb.call import Call, classify
from ...tmdb.invalidation import is_unsafe, is_write
from ...tmdb.transport_security import is_verified
from . import cached_session, mock_detection, response_builder, session_checks, tls_verification
from . import response as responses
from .exchange import NoResponse, Original, RequestsExchange
from .redirects import RedirectChanged, authenticates, finish, followed, note_next, response_hooks

logger = logging.getLogger("tmdb_mongo_cache")

_Offline: type[OfflineError] = OfflineError
if not issubclass(OfflineError, requests.ConnectionError):  # requests has been imported again

    class _OfflineNow(OfflineError, requests.ConnectionError):
        pass

    _OfflineNow.__name__ = _OfflineNow.__qualname__ = "OfflineError"
    _Offline = _OfflineNow


def send(
    engine: Engine,
    rules: Policy,
    session: requests.Session,
    request: PreparedRequest,
    original: Original,
    options: Mapping[str, Any],
) -> Response:
    """Send a prepared request through the cache.

    A call to another host is passed to ``original`` unchanged.

    Args:
        engine: the cache to use.
        rules: its settings for this call.
        session: the caller's.
        request: as the caller sent it; it is not changed.
        original: ``Session.send`` without the cache.
        options: the keyword arguments of ``send``.

    Returns:
        the caller's response, with the attributes of requests-cache.

    Raises:
        OfflineError: ``offline`` is set and the response is not in the cache.
        Exception: any exception of ``original``, if no stale response can be served.
    """
    if not session_checks.is_downstream(session):
        return _send(engine, rules, session, request, original, options)
    oldest = cached_session.max_age(session, request)
    if oldest is not None and oldest < 0:
        return original(request, **options)
    limit = partial(cached_session.with_max_age, request=request, oldest=oldest)
    sent = cached_session.without_condition(session, request)
    response = cached_session.plain_response(_send(engine, rules, session, sent, original, options, limit), session)
    return response if sent is request else cached_session.answer_condition(response, request)


unpatch = cached_session.unpatch


def _send(
    engine: Engine,
    rules: Policy,
    session: requests.Session,
    request: PreparedRequest,
    original: Original,
    options: Mapping[str, Any],
    limit: Callable[[Call], Call] | None = None,
) -> Response:
    try:
        hooks = response_hooks(request)
        verify = options.get("verify", session.verify)
        verified = tls_verification.is_to_be_verified(session, responses.text(request.url), verify)
        pending = take_pending(engine, session, request)
        # Hooks see every redirect and may change it, so redirects are followed after the hooks.
        follows = bool(options.get("allow_redirects", True)) and not hooks
        if pending is not None:
            known = pending.call
            if is_verified(known.key) != verified or known.request.follows_redirects != follows:
                pending = None
        call = pending.call if pending else _call(engine, request, follows=follows, verified=verified)
        if call is not None and limit is not None:
            call = limit(call)
    except Exception as error:  # noqa: BLE001  the cache must never make a program fail
        logger.debug("a request that cannot be classified bypasses the cache: %s", type(error).__name__)
        call = None
    if call is None:
        return original(request, **options)
    reason = call.bypass or mock_detection.bypass_reason(session, call.url, engine.hosts, call.request.appended)
    if reason or rules.call_expire_after == DO_NOT_CACHE or authenticates(hooks):
        call = call._replace(bypass=reason)
        return _send_without_cache(engine, rules, session, request, original, options, call)
    caller = _Caller(session, request, options, call, bool(options.get("stream", session.stream)), bool(hooks))
    exchange = RequestsExchange(session, request, original, options, call, stream=caller.stream, hooked=caller.hooked)
    response, result = None, None
    try:
        started = perf_counter()
        result = engine.driver.answer(call, rules, exchange, pending.begun if pending else None)
        response = _response(result, caller, started)
    except NoResponse as returned:
        return returned.value  # type: ignore[no-any-return]
    except TooManyRedirects:
        raise
    except RedirectChanged:
        return _send_without_cache(engine, rules, session, request, original, options, call)
    except Exception as error:
        if error is exchange.raised:
            raise
        if error.__cause__ is not None and error.__cause__ is exchange.raised:
            raise error.__cause__ from None  # a StopIteration, which a generator turns into a RuntimeError
        # The cache must never make a program fail.
        logger.warning("%s: the cache failed (%s); the call goes on without it", call.key, type(error).__name__)
        logger.debug("%s: %s", call.key, _frames(error))
        response = exchange.came
        if response is None:
            if rules.offline:
                text = f"offline is set and the cache failed for {call.key}"
                raise _Offline(text, request=request) from None
            return exchange.without_the_cache()
    finally:
        exchange.release(response)
    if response is None:
        if result is not None and result.reply is not None and result.reply.error is not None:
            raise _own_error(result, result.reply.error, request)
        text = f"offline is set and the cache has no response for {call.key}{engine.offline_hint}"
        raise _Offline(text, request=request)
    return finish(session, request, response, **options) if caller.hooked else response


class _Caller(NamedTuple):
    """What the response to a call depends on."""

    session: requests.Session
    request: PreparedRequest
    options: Mapping[str, Any]
    call: Call
    stream: bool
    hooked: bool

    def __repr__(self) -> str:
        return f"_Caller({self.call!r})"


def _frames(error: BaseException) -> str:
    """Return the traceback of an error without its text, which may contain a URL with credentials."""
    frames = traceback.extract_tb(error.__traceback__)
    return "; ".join(f"{frame.name} ({frame.filename}:{frame.lineno})" for frame in frames)


def _call(engine: Engine, request: PreparedRequest, *, follows: bool, verified: bool) -> Call | None:
    return classify(
        request.method,
        request.url,
        request.headers or {},
        has_body=bool(request.body),
        follows_redirects=follows,
        hosts=engine.hosts,
        verified=verified,
    )


def _response(result: Result, caller: _Caller, started: float) -> Response | None:
    """Return the caller's response; None if it gets an error."""
    session, reply, key, unread = caller.session, result.reply, caller.call.key, caller.stream or caller.hooked
    if result.entry is None and reply is None:
        return None if result.offline else response_builder.not_cached(result, caller.request, key)
    if reply is not None and reply.native is not None:
        expires = None
        if result.stored is not None:
            key, expires = result.stored.key, result.stored.expires_at
        return responses.annotate(reply.native, result.cache_status(), now=result.now, key=key, expires=expires)
    part: Entry | Reply | None = result.entry or reply
    if part is None or (reply is not None and reply.error is not None):
        return None
    elapsed, request = timedelta(seconds=perf_counter() - started), caller.request
    history: list[Response] = []
    if part.history:
        hosts = caller.call.hosts
        history, request = followed(session, request, part, caller.options, hosts=hosts, elapsed=elapsed)
    adapter = session.get_adapter(request.url or "")
    source = responses.Source(part, request, result)
    response = response_builder.build_response(source, adapter, elapsed, key=key, unread=unread)
    if part is reply and not caller.hooked and not caller.options.get("allow_redirects", True):
        note_next(session, response, request, **caller.options)
    if history:
        response.history = history
    return response


def _own_error(result: Result, error: BaseException, request: PreparedRequest) -> BaseException:
    """Return an error to raise; that of another caller's request refers to this one's."""
    if result.kind == COLLAPSED and isinstance(error, requests.RequestException):
        other = error.request
        if isinstance(other, PreparedRequest):
            error.request = request if other.url == request.url else other.copy()
    return error


def _send_without_cache(
    engine: Engine,
    rules: Policy,
    session: requests.Session,
    request: PreparedRequest,
    original: Original,
    options: Mapping[str, Any],
    call: Call,
) -> Response:
    if rules.offline:
        engine.driver.unanswered(call)
        raise _Offline("offline is set and this call is never cached: it cannot be answered", request=request)
    status, started = 0, perf_counter()
    try:
        with inside(session):
            response = original(request, **options)
        status = getattr(response, "status_code", 0)
    except requests.RequestException:
        raise
    except Exception:
        # Raised by a hook of the caller, so the write may have succeeded.
        if is_unsafe(request.method):
            engine.driver.written([request.url])
        raise
    finally:
        engine.driver.bypassed(call, status, perf_counter() - started)
    if not isinstance(response, Response):
        return response
    try:
        steps = [(step.request, step.status_code) for step in (*(response.history or ()), response)]
        changed = [sent.url for sent, status in steps if sent is not None and is_write(sent.method, status)]
        if changed:
            engine.driver.written(changed)
        return responses.annotate(response, cache_status(fwd="bypass"), now=datetime.now(timezone.utc))
    except Exception as error:  # noqa: BLE001  a class of response of the program
        logger.debug("a response is not annotated: %s", type(error).__name__)
        return response
