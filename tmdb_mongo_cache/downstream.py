"""A program's own requests-cache session: a cache that is filled from ours, and to which the age of an answer counts.

Such a session asks when it has nothing, or nothing fresh. It takes whatever it
gets as new, and keeps it for as long as its settings say, counted from then: an
answer of ours that is 20 hours old would be kept for another 24. So what it gets
carries until when it may be kept, and its decision (``CacheActions``, the same
in requests-cache 0.9 to 1.3) is cut to that: by the age that the answer has, and
to the moment at which it expires here. What TMDB has just sent or confirmed is
new, and is kept as without us. Nor does it get what is older than it would keep.
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

from .raw import make_raw
from .responses import TMDBResponse
from .tmdb.calls import Call
from .tmdb.directives import parse
from .tmdb.entry import Reply
from .wrappers import below, is_ours, wrap

logger = logging.getLogger("tmdb_mongo_cache")

_METHOD = "update_from_response"
_LIMIT = "_tmdb_mongo_cache_limit"
_OURS = ("from_cache", "created_at", "expires", "cache_key", "revalidated", "is_expired")
_NEVER_SERVED = -1.0
_CONDITIONS = ("If-None-Match", "If-Modified-Since")
_OF_304 = frozenset({"age", "cache-control", "content-location", "date", "etag", "expires", "vary"})
"""What a 304 says (RFC 9110 section 15.4.5), and how old that is."""


class _Limit(NamedTuple):
    """Until when an answer may be kept, its age here, and that with the time it had been on its way."""

    expires: datetime
    age: timedelta
    whole_age: timedelta


def longest(session: Any, request: PreparedRequest) -> float | None:
    """Return how old an answer may be in seconds for a session to keep it; None for any age.

    Negative where the session is not to cache it at all, or cannot be told of
    an answer's age: then it is left alone.
    """
    try:
        actions = sys.modules["requests_cache.session"].CacheActions
        if not _take_hold(actions):
            return _NEVER_SERVED
        library = sys.modules[actions.__module__]  # has all of this in every version
        settings = getattr(session, "settings", session)  # attributes of the session before 0.9.3
        wanted = library.get_url_expiration(request.url, settings.urls_expire_after)
        wanted = settings.expire_after if wanted is None else wanted
        off = getattr(settings, "disabled", False) or getattr(session, "_disabled", False)
        if off or wanted == library.DO_NOT_CACHE:
            return _NEVER_SERVED
        seconds = library.get_expiration_seconds(wanted)
    except Exception as error:  # noqa: BLE001  the cache is never why a program fails
        logger.debug("a session of requests-cache is left alone: %s", type(error).__name__)
        return _NEVER_SERVED
    # -1 and None are "never"; a datetime that is over gives less than nothing, which may be -1 as well.
    return None if seconds is None or wanted in (None, -1) else max(0.0, float(seconds))


def limited(call: Call, request: PreparedRequest, oldest: float | None) -> Call:
    """Return a call to which no answer may be older than its session would keep it."""
    asked = call.ask.directives
    said = request.headers.get("Cache-Control") or ""
    # requests-cache's own sign for "refresh" (a request has no such directive), and for one call's "expire_after".
    if "must-revalidate" in parse(said if isinstance(said, str) else said.decode("latin-1")):
        asked = asked._replace(no_cache=True)
    if asked.max_age is None:
        asked = asked._replace(max_age=oldest)
    return call._replace(ask=call.ask._replace(directives=asked))


def without_condition(session: Any, request: PreparedRequest) -> PreparedRequest:
    """Return a request without the condition that a session has put on it because what it has is stale.

    With the condition it would pass by our cache, and neither find what somebody
    has fetched meanwhile nor tell it that nothing has changed. What the program
    wants confirmed by TMDB (``always_revalidate``, ``cache_control``) stays as it is.
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
    """Return a 304 where an answer is what the session has, by the ETag in its request (RFC 9111 section 4.3.2)."""
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
    response.headers = CaseInsensitiveDict({k: v for k, v in response.headers.items() if k.lower() in _OF_304})
    response._content, response._content_consumed = b"", True
    response.raw = make_raw(Reply(304, response.reason, response.headers), request.url or "", None)
    response.request = request
    return response


def handed_over(response: Response, session: requests.Session) -> Response:
    """Return an answer as requests itself would give it, with what it may be kept for.

    Of what the cache says ``Age`` stays. ``Cache-Status`` does not: the session
    would give it out again, with what it says of this call.
    """
    limit = None
    _drop_status(response)
    if not isinstance(response, TMDBResponse):
        if not hasattr(type(response), "from_cache"):
            _drop_attributes(response)
        return response
    source = getattr(response, "_source", None)
    if source is None and not response.from_cache:  # TMDB's own response
        _drop_attributes(response)
        response.__class__ = requests.Response
        return response
    if response.from_cache and not response.revalidated and response.expires is not None:
        whole = timedelta(seconds=int(response.headers.get("Age", 0)))
        age = whole if source is None else source.entry.age(datetime.now(timezone.utc))
        limit = _Limit(response.expires, age, whole)
    plain = requests.Response()
    names = ("_content", "_content_consumed", "_next", "raw", *requests.Response.__attrs__)
    vars(plain).update({name: getattr(response, name) for name in names})
    plain.history = [handed_over(hop, session) for hop in response.history]
    vars(plain)["connection"] = session.get_adapter(response.url)
    if limit is not None:
        setattr(plain, _LIMIT, limit)
    return plain


def _drop_attributes(response: Response) -> None:
    for name in _OURS:
        vars(response).pop(name, None)


def _drop_status(response: Response) -> None:
    others, _, own = response.headers.get("Cache-Status", "").rpartition("tmdb-mongo-cache")
    if own:
        del response.headers["Cache-Status"]
        if others.rstrip(", "):
            response.headers["Cache-Status"] = others.rstrip(", ")


def _take_hold(actions: type) -> bool:
    """Have requests-cache's decisions heed the age of what it gets; say whether it has such as we know."""
    found = getattr(actions, _METHOD, None)
    if not callable(found) or not hasattr(actions, "expires"):
        return False
    if not is_ours(found):
        setattr(actions, _METHOD, wrap(found, _limiting))
    return True


def let_go() -> None:
    """Leave requests-cache as it was."""
    actions = getattr(sys.modules.get("requests_cache.session"), "CacheActions", None)
    found = getattr(actions, _METHOD, None)
    if found is not None and is_ours(found):
        setattr(actions, _METHOD, below(found))


def _limiting(update: Callable[..., Any]) -> Callable[..., Any]:
    def update_from_response(self: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        before = self.expire_after
        result = update(self, response, *args, **kwargs)
        limit = getattr(response, "__dict__", {}).pop(_LIMIT, None)
        if limit is not None:
            self.expire_after = _kept_until(self, limit, by_header=self.expire_after != before)
        return result

    return update_from_response


def _kept_until(actions: Any, limit: _Limit, *, by_header: bool) -> datetime:
    expires: datetime | None = actions.expires
    if expires is None:
        return limit.expires
    expires = expires if expires.tzinfo else expires.replace(tzinfo=timezone.utc)  # before 1.0 without
    # What a header says is counted from when TMDB's own caches had it (RFC 9111 section 4.2.3).
    age = limit.whole_age if by_header else limit.age
    return min(limit.expires, expires if isinstance(actions.expire_after, datetime) else expires - age)
