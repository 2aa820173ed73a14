"""One call of ``Session.send``, taken through the cache and back: what the doors for requests share."""

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

from . import building, certificates, downstream, network, responses, sessions
from .asking import Outcome
from .cache import TMDBCache
from .ending import Elsewhere, authenticates, finish, followed, note_next, response_hooks
from .errors import OfflineError
from .once import COLLAPSED
from .scope import Pending, inside, take_pending
from .sending import NoResponse, Original, Transmission
from .tmdb.cache_status import cache_status
from .tmdb.calls import Call, classify
from .tmdb.channels import is_verified
from .tmdb.entry import Entry, Reply
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
        hooks = response_hooks(request)
        verify = options.get("verify", session.verify)
        verified = certificates.is_to_be_verified(session, responses.text(request.url), verify)
        pending = take_pending(cache, session, request)
        if pending is not None and is_verified(pending.call.key) != verified:
            pending = None
        call = _call(cache, request, options, pending, hooked=bool(hooks), verified=verified)
        if call is not None and limit is not None:
            call = limit(call)
    except Exception as error:  # noqa: BLE001  the cache is never why a program fails
        logger.debug("a request that cannot be classified goes straight through: %s", type(error).__name__)
        call = None
    if call is None:
        return original(request, **options)
    instead = call.straight or network.why_not_asked(session, call.url, cache.hosts, call.ask.appended)
    if instead or rules.call_expire_after == DO_NOT_CACHE or authenticates(hooks):
        call = call._replace(straight=instead)
        return _send_straight(cache, rules, session, request, original, options, call)
    way = _Way(session, request, options, call, bool(options.get("stream", session.stream)), bool(hooks))
    transmission = Transmission(
        session, request, original, options, stream=way.stream, hooked=way.hooked, hosts=cache.hosts
    )
    response, outcome = None, None
    try:
        started = perf_counter()
        outcome = cache.flow.fetch(call, rules, transmission, pending.looked if pending else None)
        response = _response(outcome, way, started)
    except NoResponse as returned:
        return returned.value  # type: ignore[no-any-return]
    except TooManyRedirects:
        raise
    except Elsewhere:
        return _send_straight(cache, rules, session, request, original, options, call)
    except Exception as error:
        if error is transmission.raised:
            raise
        # The cache is never why a program fails.
        logger.warning("%s: the cache failed (%s); the call goes on without it", call.key, type(error).__name__)
        logger.debug("%s: %s", call.key, _places(error))
        response = transmission.came
        if response is None:
            if rules.offline:
                text = f"offline is set and the cache failed for {call.key}"
                raise _Offline(text, request=request) from None
            return transmission.without_the_cache()
    finally:
        transmission.release(response)
    if response is None:
        if outcome is not None and outcome.reply is not None and outcome.reply.error is not None:
            raise _own_error(outcome, outcome.reply.error, request)
        text = f"offline is set and the cache has no answer for {call.key}{cache.offline_hint}"
        raise _Offline(text, request=request)
    return finish(session, request, response, **options) if way.hooked else response


class _Way(NamedTuple):
    """One call of a session, as far as its response depends on it."""

    session: requests.Session
    request: PreparedRequest
    options: Mapping[str, Any]
    call: Call
    stream: bool
    hooked: bool

    def __repr__(self) -> str:
        return f"_Way({self.call!r})"


def _places(error: BaseException) -> str:
    """Say where an error came from, without its text: that may repeat an URL, and with it a credential."""
    frames = traceback.extract_tb(error.__traceback__)
    return "; ".join(f"{frame.name} ({frame.filename}:{frame.lineno})" for frame in frames)


def _call(
    cache: TMDBCache,
    request: PreparedRequest,
    options: Mapping[str, Any],
    pending: Pending | None,
    *,
    hooked: bool,
    verified: bool,
) -> Call | None:
    # Hooks see every redirect, and may change it: they are followed when they were seen.
    follows_redirects = bool(options.get("allow_redirects", True)) and not hooked
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
        verified=verified,
    )


def _response(outcome: Outcome, way: _Way, started: float) -> Response | None:
    """Return the caller's response; None where it gets an error."""
    session, reply, key, unread = way.session, outcome.reply, way.call.key, way.stream or way.hooked
    if outcome.entry is None and reply is None:
        return None if outcome.offline else building.not_cached(outcome, way.request, key)
    if reply is not None and reply.native is not None:
        expires = None
        if outcome.stored is not None:
            key, expires = outcome.stored.key, outcome.stored.expires_at
        return responses.annotate(reply.native, outcome.status, now=outcome.now, key=key, expires=expires)
    part: Entry | Reply | None = outcome.entry or reply
    if part is None or (reply is not None and reply.error is not None):
        return None
    elapsed, request = timedelta(seconds=perf_counter() - started), way.request
    history: list[Response] = []
    if part.history:
        hosts = way.call.hosts
        history, request = followed(session, request, part, way.options, hosts=hosts, elapsed=elapsed)
    adapter = session.get_adapter(request.url or "")
    if isinstance(part, Entry):
        response = building.from_entry(outcome, part, request, adapter, unread=unread, elapsed=elapsed)
    else:
        response = building.from_reply(outcome, part, request, adapter, key=key, unread=unread, elapsed=elapsed)
        if not way.hooked and not way.options.get("allow_redirects", True):
            note_next(session, response, request, **way.options)
    if history:
        response.history = history
    return response


def _own_error(outcome: Outcome, error: BaseException, request: PreparedRequest) -> BaseException:
    """Return an error to raise; one of another caller's call speaks of this one's request."""
    if outcome.kind == COLLAPSED and isinstance(error, requests.RequestException):
        other = error.request
        if isinstance(other, PreparedRequest):
            error.request = request if other.url == request.url else other.copy()
    return error


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
    try:
        steps = [(step.request, step.status_code) for step in (*(response.history or ()), response)]
        changed = [sent.url for sent, status in steps if sent is not None and is_write(sent.method, status)]
        if changed:
            cache.flow.written(changed)
        return responses.annotate(response, cache_status(fwd="bypass"), now=datetime.now(timezone.utc))
    except Exception as error:  # noqa: BLE001  somebody's own kind of response
        logger.debug("a response stays as it is: %s", type(error).__name__)
        return response
