"""One call of ``Session.send`` through the cache, for patched sessions and ``TMDBSession``."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from functools import partial
from time import perf_counter
from typing import Any

import requests
from requests import PreparedRequest, Response, TooManyRedirects
from requests.auth import AuthBase

from ...config import overrides
from ...context import Active, take_pending
from ...core.coalescing import COLLAPSED
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
from .redirects import RedirectChanged, finish, followed, next_request

logger = logging.getLogger("tmdb_mongo_cache")

_Offline: type[OfflineError] = OfflineError
if not issubclass(OfflineError, requests.ConnectionError):  # requests has been imported again
    _Offline = type("OfflineError", (OfflineError, requests.ConnectionError), {})


def send(
    active: Active, session: requests.Session, request: PreparedRequest, original: Original, options: Mapping[str, Any]
) -> Response:
    """Send a prepared request through the cache.

    A call to another host is passed to ``original`` unchanged.

    Args:
        active: the cache to use, and its settings for this call.
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
        return _send(active, session, request, original, options)
    oldest = cached_session.max_age(session, request)
    if oldest is not None and oldest < 0:
        return original(request, **options)
    limit = partial(cached_session.with_max_age, request=request, oldest=oldest)
    sent = cached_session.without_condition(session, request)
    response = cached_session.plain_response(_send(active, session, sent, original, options, limit), session)
    return response if sent is request else cached_session.answer_condition(response, request)


def _send(
    active: Active,
    session: requests.Session,
    request: PreparedRequest,
    original: Original,
    options: Mapping[str, Any],
    limit: Callable[[Call], Call] | None = None,
) -> Response:
    engine, rules = active.engine, active.rules
    try:
        hooks = _response_hooks(request)
        verify = options.get("verify", session.verify)
        verified = tls_verification.is_to_be_verified(session, responses.text(request.url), verify)
        pending = take_pending(engine, session, request)
        if pending is not None and is_verified(pending.call.key) == verified:
            call: Call | None = pending.call
        else:
            pending = None
            call = classify(
                request.method,
                request.url,
                request.headers or {},
                has_body=bool(request.body),
                # Hooks see every redirect and may change it, so redirects are followed after the hooks.
                follows_redirects=bool(options.get("allow_redirects", True)) and not hooks,
                hosts=engine.hosts,
                verified=verified,
            )
        if call is not None and limit is not None:
            call = limit(call)
    except Exception as error:  # noqa: BLE001  the cache must never make a program fail
        logger.debug("a request that cannot be classified bypasses the cache: %s", type(error).__name__)
        call = None
    if call is None:
        return original(request, **options)
    exchange = RequestsExchange(session, request, original, options, call, hooked=bool(hooks))
    reason = call.bypass or mock_detection.bypass_reason(session, call.url, engine.hosts, call.request.appended)
    if reason or rules.call_expire_after == DO_NOT_CACHE or _authenticates(hooks):
        return _send_without_cache(active, exchange, call._replace(bypass=reason))
    response = None
    try:
        started = perf_counter()
        result = engine.driver.answer(call, rules, exchange, pending.begun if pending else None)
        response = _response(result, exchange, started)
    except NoResponse as returned:
        return returned.args[0]  # type: ignore[no-any-return]
    except (TooManyRedirects, OfflineError):
        raise
    except RedirectChanged:
        return _send_without_cache(active, exchange, call)
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
            if exchange.failure is not None:
                raise exchange.failure  # noqa: B904  its cause is requests' own
            return exchange.without_cache()
    finally:
        exchange.release(response)
    return finish(session, request, response, options) if hooks else response


def _response_hooks(request: PreparedRequest) -> list[Any]:
    """Return the response hooks of a request, given in any form."""
    hooks = (request.hooks or {}).get("response")
    return [hooks] if callable(hooks) else list(hooks or ())


def _authenticates(hooks: list[Any]) -> bool:
    """Return whether a hook is part of an authentication (Digest), which must see every response."""
    return any(isinstance(getattr(hook, "__self__", None), AuthBase) for hook in hooks)


def _frames(error: BaseException) -> str:
    """Return the traceback of an error without its text, which may contain a URL with credentials."""
    frames = traceback.extract_tb(error.__traceback__)
    return "; ".join(f"{frame.name} ({frame.filename}:{frame.lineno})" for frame in frames)


def _response(result: Result, exchange: RequestsExchange, started: float) -> Response:
    """Return the caller's response, or raise its error."""
    session, request, options = exchange.session, exchange.request, exchange.options
    reply, key = result.reply, exchange.call.key
    part: Entry | Reply | None = result.entry or reply
    if part is None:
        if result.offline:
            text = f"offline is set and the cache has no response for {key}{overrides.offline_hint}"
            raise _Offline(text, request=request)
        part = Reply(504, "Not Cached")  # of only_if_cached (RFC 9111 section 5.2.1.7)
    if reply is not None and reply.native is not None:
        expires = None
        if result.stored is not None:
            key, expires = result.stored.key, result.stored.expires_at
        return responses.annotate(reply.native, result.cache_status(), now=result.now, key=key, expires=expires)
    if reply is not None and reply.error is not None:
        if result.kind == COLLAPSED and isinstance(reply.error, requests.RequestException):
            other = reply.error.request
            if isinstance(other, PreparedRequest):  # another caller's
                reply.error.request = request if other.url == request.url else other.copy()
        exchange.raised = reply.error
        raise reply.error
    elapsed = timedelta(seconds=perf_counter() - started)
    history: list[Response] = []
    if part.history:
        history, request = followed(session, request, part, options, hosts=exchange.call.hosts, elapsed=elapsed)
    adapter = session.get_adapter(request.url or "")
    source = responses.Source(part, request, result)
    response = response_builder.build_response(source, adapter, elapsed, key=key, unread=exchange.unread)
    if part is reply and not exchange.hooked and not options.get("allow_redirects", True):
        response._next = next_request(session, response, request, options)
    if history:
        response.history = history
    return response


def _send_without_cache(active: Active, exchange: RequestsExchange, call: Call) -> Response:
    driver, request = active.engine.driver, exchange.request
    if active.rules.offline:
        driver.unanswered(call)
        raise _Offline("offline is set and this call is never cached: it cannot be answered", request=request)
    status, started = 0, perf_counter()
    try:
        response = exchange.without_cache()
        status = getattr(response, "status_code", 0)
    except requests.RequestException:
        raise
    except Exception:
        # Raised by a hook of the caller, so the write may have succeeded.
        if is_unsafe(request.method):
            driver.written([request.url])
        raise
    finally:
        driver.bypassed(call, status, perf_counter() - started)
    if not isinstance(response, Response):
        return response
    try:
        steps = [(step.request, step.status_code) for step in (*(response.history or ()), response)]
        changed = [sent.url for sent, status in steps if sent is not None and is_write(sent.method, status)]
        if changed:
            driver.written(changed)
        return responses.annotate(response, cache_status(fwd="bypass"), now=datetime.now(timezone.utc))
    except Exception as error:  # noqa: BLE001  a class of response of the program
        logger.debug("a response is not annotated: %s", type(error).__name__)
        return response
