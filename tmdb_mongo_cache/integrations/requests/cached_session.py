"""A program's own requests-cache session, which is a downstream cache: its expirations respect the age of a response.

Such a session sends a request on a miss, or when its response is stale. It takes
any response as new, and stores it for the time in its settings, counted from now:
a response that is 20 hours old here would be stored for another 24. Therefore a
response carries its expiration, and the decision of the session (``CacheActions``,
the same in requests-cache 0.9 to 1.3) is limited to it: the age is subtracted, and
our expiration is the latest. What TMDB has just sent or revalidated is new, and
stored as without us. Nor does a session get a response that is older than it would
store.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

import requests
from requests import PreparedRequest, Response
from requests.structures import CaseInsensitiveDict

from ...httpcache.cache_control import parse
from ...httpcache.models import Reply
from ...tmdb.call import Call
from ..method_wrappers import is_ours, wrap, wrapped_by
from .raw_response import make_raw
from .response import ADDED, TMDBResponse

logger = logging.getLogger("tmdb_mongo_cache")

_METHOD = "update_from_response"
_LIMIT = "_tmdb_mongo_cache_limit"
_BYPASS = -1.0
_CONDITIONS = ("If-None-Match", "If-Modified-Since")
_HEADERS_OF_304 = frozenset({"age", "cache-control", "content-location", "date", "etag", "expires", "vary"})
"""The headers of a 304 (RFC 9110 section 15.4.5), and its age."""


class _Limit(NamedTuple):
    """When a response expires, its age here, and its age including that in TMDB's own caches."""

    expires: datetime
    age: timedelta
    whole_age: timedelta


def max_age(session: Any, request: PreparedRequest) -> float | None:
    """Return the age in seconds up to which a session stores a response; None for any age.

    Negative if the session does not store it at all, or does not know about ages:
    then it bypasses the cache.
    """
    try:
        actions = sys.modules["requests_cache.session"].CacheActions
        if not _patch(actions):
            return _BYPASS
        library = sys.modules[actions.__module__]  # in every version
        settings = getattr(session, "settings", session)  # attributes of the session before 1.0
        wanted = library.get_url_expiration(request.url, settings.urls_expire_after)
        wanted = settings.expire_after if wanted is None else wanted
        off = getattr(settings, "disabled", False) or getattr(session, "_disabled", False)
        if off or wanted == library.DO_NOT_CACHE:
            return _BYPASS
        seconds = library.get_expiration_seconds(wanted)
    except Exception as error:  # noqa: BLE001  the cache must never make a program fail
        logger.debug("a requests-cache session bypasses the cache: %s", type(error).__name__)
        return _BYPASS
    # -1 and None mean "never expires"; a datetime in the past gives a negative number, which may be -1 as well.
    return None if seconds is None or wanted in (None, -1) else max(0.0, float(seconds))


def with_max_age(call: Call, request: PreparedRequest, oldest: float | None) -> Call:
    """Return a call whose response may not be older than its session would store it."""
    directives = call.request.directives
    said = request.headers.get("Cache-Control") or ""
    # requests-cache marks "refresh" by this (not a directive of requests), and a single call's "expire_after".
    if "must-revalidate" in parse(said if isinstance(said, str) else said.decode("latin-1")):
        directives = directives._replace(no_cache=True)
    if directives.max_age is None:
        directives = directives._replace(max_age=oldest)
    return call._replace(request=call.request._replace(directives=directives))


def without_condition(session: Any, request: PreparedRequest) -> PreparedRequest:
    """Return a request without the condition that a session has added because its response is stale.

    With it the request would bypass our cache, and would neither find a newer
    response there nor renew ours. A condition that the program wants TMDB to
    evaluate (``always_revalidate``, ``cache_control``) is kept.
    """
    settings = getattr(session, "settings", session)
    if (
        "If-None-Match" not in request.headers
        or settings.cache_control
        or getattr(settings, "always_revalidate", False)
    ):
        return request
    plain = request.copy()
    for name in _CONDITIONS:
        plain.headers.pop(name, None)
    return plain


def answer_condition(response: Response, request: PreparedRequest) -> Response:
    """Return a 304 if the session has the response, by the ETag in its request (RFC 9111 section 4.3.2)."""
    wanted = request.headers.get("If-None-Match")
    etag = response.headers.get("ETag")
    limit: _Limit | None = vars(response).get(_LIMIT)
    stale = limit is not None and limit.expires <= datetime.now(timezone.utc)
    if response.status_code != 200 or not etag or wanted is None or stale or response.history:
        return response
    said = wanted if isinstance(wanted, str) else wanted.decode("latin-1")
    if etag.removeprefix("W/") not in {one.strip().removeprefix("W/") for one in said.split(",")}:
        return response
    response.close()
    response.status_code, response.reason = 304, "Not Modified"
    response.headers = CaseInsensitiveDict({k: v for k, v in response.headers.items() if k.lower() in _HEADERS_OF_304})
    response._content, response._content_consumed = b"", True
    response.raw = make_raw(Reply(304, response.reason, response.headers), request.url or "", None)
    response.request = request
    return response


def plain_response(response: Response, session: requests.Session) -> Response:
    """Return a response as a plain ``requests.Response``, with its expiration attached.

    ``Age`` is kept. ``Cache-Status`` is not, because the session would serve it
    again although it describes this call.
    """
    limit = None
    _remove_status(response)
    if not isinstance(response, TMDBResponse):
        if not hasattr(type(response), "from_cache"):
            _remove_attributes(response)
        return response
    source = getattr(response, "_source", None)
    if source is None and not response.from_cache:  # TMDB's own response
        _remove_attributes(response)
        response.__class__ = requests.Response
        return response
    if response.from_cache and not response.revalidated and response.expires is not None:
        whole = timedelta(seconds=int(response.headers.get("Age", 0)))
        age = whole if source is None else source.entry.age(datetime.now(timezone.utc))
        limit = _Limit(response.expires, age, whole)
    plain = requests.Response()
    names = ("_content", "_content_consumed", "_next", "raw", *requests.Response.__attrs__)
    vars(plain).update({name: getattr(response, name) for name in names})
    plain.history = [plain_response(hop, session) for hop in response.history]
    vars(plain)["connection"] = session.get_adapter(response.url)
    if limit is not None:
        setattr(plain, _LIMIT, limit)
    return plain


def _remove_attributes(response: Response) -> None:
    for name in ADDED:
        vars(response).pop(name, None)


def _remove_status(response: Response) -> None:
    others, _, own = response.headers.get("Cache-Status", "").rpartition("tmdb-mongo-cache")
    if own:
        del response.headers["Cache-Status"]
        if others.rstrip(", "):
            response.headers["Cache-Status"] = others.rstrip(", ")


def _patch(actions: type) -> bool:
    """Have requests-cache's decisions respect ages; return whether this version of it is supported."""
    found = getattr(actions, _METHOD, None)
    if not callable(found) or not hasattr(actions, "expires"):
        return False
    if not is_ours(found):
        setattr(actions, _METHOD, wrap(found, _limiting))
    return True


def unpatch() -> None:
    """Remove the patch of requests-cache."""
    actions = getattr(sys.modules.get("requests_cache.session"), "CacheActions", None)
    found = getattr(actions, _METHOD, None)
    if found is not None and is_ours(found):
        setattr(actions, _METHOD, wrapped_by(found))


def _limiting(update: Callable[..., Any]) -> Callable[..., Any]:
    def update_from_response(self: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        before = self.expire_after
        result = update(self, response, *args, **kwargs)
        limit = getattr(response, "__dict__", {}).pop(_LIMIT, None)
        if limit is not None:
            self.expire_after = _stored_until(self, limit, by_header=self.expire_after != before)
        return result

    return update_from_response


def _stored_until(actions: Any, limit: _Limit, *, by_header: bool) -> datetime:
    expires: datetime | None = actions.expires
    if expires is None:
        return limit.expires
    expires = expires if expires.tzinfo else expires.replace(tzinfo=timezone.utc)  # naive before 1.0
    # The time in a header counts from the response of TMDB's origin server (RFC 9111 section 4.2.3).
    age = limit.whole_age if by_header else limit.age
    return min(limit.expires, expires if isinstance(actions.expire_after, datetime) else expires - age)
