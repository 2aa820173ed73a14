"""Answers as ``requests`` knows them: built from an entry, or TMDB's own with a few attributes more."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

import requests
from requests import PreparedRequest
from requests.cookies import cookiejar_from_dict
from requests.structures import CaseInsensitiveDict
from requests.utils import get_encoding_from_headers
from urllib3 import HTTPHeaderDict, HTTPResponse

from .asking import Outcome
from .raw import make_raw
from .tmdb.calls import fill_url
from .tmdb.entry import Entry, Hop, Reply, header
from .tmdb.header_fields import storable
from .tmdb.making import age_header

_NO_TIME = timedelta(0)


class Source(NamedTuple):
    """What the late attributes of an answer from the cache are made of.

    ``url`` is where it came from; ``make_request`` gives the request, prepared;
    ``now`` is when it was looked up; ``status`` gives what ``Cache-Status`` says.
    """

    entry: Entry | Hop
    url: str
    make_request: Callable[[], PreparedRequest]
    now: datetime | None = None
    status: Callable[[], str] | None = None

    def __repr__(self) -> str:
        return "Source(…)"  # the URL and the request carry the caller's credentials


class TMDBResponse(requests.Response):
    """A ``requests.Response`` that also says what the cache did, by requests-cache's names.

    ``from_cache``, ``created_at`` (when TMDB sent it), ``expires`` (until when it
    is fresh; None when it was not stored), ``is_expired``, ``cache_key`` (empty
    when it has none) and ``revalidated``. Times are aware and in UTC. Pickled, it
    becomes a plain ``requests.Response`` with the same attributes, which can be
    read where this package is not installed.

    Of an answer from the cache ``headers``, ``request``, ``url``, ``cookies``,
    ``encoding`` and ``raw`` are made when they are first asked for.
    """

    from_cache: bool = False
    created_at: datetime | None = None
    expires: datetime | None = None
    cache_key: str = ""
    revalidated: bool = False

    _source: Source | None = None

    @property
    def is_expired(self) -> bool:
        """Whether the answer is past its expiry by now."""
        return self.expires is not None and datetime.now(timezone.utc) >= self.expires

    def __getattr__(self, name: str) -> Any:
        # Only called for what is not there: with a source, what has not been asked for yet.
        make = _LATE.get(name)
        if make is None or self._source is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        # Two threads may come here at once, and must get the same object.
        return self.__dict__.setdefault(name, make(self, self._source))

    def __dir__(self) -> Iterable[str]:
        return sorted({*super().__dir__(), *(_LATE if self._source is not None else ())})

    def close(self) -> None:
        """Release the connection, as ``requests.Response.close`` does; an answer from the cache has none."""
        if self._source is None or "raw" in self.__dict__ or not self._content_consumed:
            super().close()

    def __reduce__(self) -> tuple[Any, ...]:
        state = dict(self.__getstate__())
        for name in ("from_cache", "created_at", "expires", "is_expired", "cache_key", "revalidated"):
            state[name] = getattr(self, name)
        return requests.Response, (), state


def _late_headers(_: TMDBResponse, source: Source) -> CaseInsensitiveDict[str]:
    headers: CaseInsensitiveDict[str] = CaseInsensitiveDict(storable(source.entry.headers))
    if source.now is not None and isinstance(source.entry, Entry):
        headers["Age"] = age_header(source.entry, source.now)
    if source.status is not None:
        _add_status(headers, source.status())
    return headers


def _late_request(_: TMDBResponse, source: Source) -> PreparedRequest:
    return _redirected(source.make_request(), source.url)


def _late_encoding(_: TMDBResponse, source: Source) -> str | None:
    headers: CaseInsensitiveDict[str] = CaseInsensitiveDict()
    content_type = header(source.entry.headers, "content-type")
    if content_type is not None:
        headers["content-type"] = content_type
    return get_encoding_from_headers(headers)


def _late_raw(response: TMDBResponse, source: Source) -> HTTPResponse:
    raw = make_raw(source.entry._replace(headers=storable(source.entry.headers)), response.request.path_url)
    if response._content_consumed:
        raw.read(decode_content=False)
    return raw


_LATE: dict[str, Callable[[TMDBResponse, Source], Any]] = {
    "cookies": lambda *_: cookiejar_from_dict({}),
    "encoding": _late_encoding,
    "headers": _late_headers,
    "raw": _late_raw,
    "request": _late_request,
    "url": lambda _, source: source.url,
}


def from_entry(
    outcome: Outcome, entry: Entry, request: PreparedRequest, *, stream: bool, elapsed: timedelta
) -> TMDBResponse:
    """Build the response to this caller's request from an entry.

    Args:
        outcome: what the flow gave.
        entry: the entry in it.
        request: as this caller sent it.
        stream: whether the caller reads the body by itself.
        elapsed: what the call took.
    """
    url = _text(request.url)
    history: list[requests.Response] = []
    for index, hop in enumerate(entry.history):
        hop_url = url if index == 0 else fill_url(hop.url, url)
        before = _built(hop, Source(hop, hop_url, lambda: request))
        before.history = list(history)
        location = hop.headers.get("Location")
        if location is not None:
            before.headers["Location"] = fill_url(location, url)
        history.append(before)
    final_url = fill_url(entry.url, url) if entry.history and entry.url else url
    source = Source(entry, final_url, lambda: request, outcome.now, lambda: outcome.status)
    response = from_source(entry, source, elapsed)
    response.history, response.revalidated = history, outcome.revalidated
    if stream:
        response._content, response._content_consumed = False, False
    return response


def from_reply(
    outcome: Outcome, reply: Reply, request: PreparedRequest, *, key: str, stream: bool, elapsed: timedelta
) -> TMDBResponse:
    """Build the response that a reply to another caller, who asked for the same, is to this one.

    Args:
        outcome: what the flow gave.
        reply: the reply in it.
        request: as this caller sent it.
        key: of the call.
        stream: whether the caller reads the body by itself.
        elapsed: what the call took.
    """
    now = outcome.now
    entry = Entry(key, reply.status, reply.reason, reply.headers, reply.body, now, now, now)
    entry = entry._replace(url=reply.url, history=reply.history)
    response = from_entry(outcome, entry, request, stream=stream, elapsed=elapsed)
    response.from_cache, response.expires = False, None
    # As it came: no cache has kept it, so it has no age.
    headers: CaseInsensitiveDict[str] = CaseInsensitiveDict(reply.headers)
    _add_status(headers, outcome.status)
    response.headers = headers
    return response


def from_source(entry: Entry, source: Source, elapsed: timedelta) -> TMDBResponse:
    """Build the response that an entry is, without redirects, to a caller whose request need not be prepared.

    Args:
        entry: the entry.
        source: what the rest is made of when it is asked for.
        elapsed: what the call took.
    """
    response = _built(entry, source)
    response.elapsed = elapsed
    response.from_cache = True
    response.created_at, response.expires, response.cache_key = entry.timestamp, entry.expires_at, entry.key
    return response


def _built(entry: Entry | Hop, source: Source) -> TMDBResponse:
    """Do what ``requests.adapters.HTTPAdapter.build_response`` does, but for what can wait."""
    # Not by requests' __init__, which makes headers and a cookie jar.
    response = TMDBResponse.__new__(TMDBResponse)
    response.__dict__ = {
        "_content": entry.body,
        "_content_consumed": True,
        "_next": None,
        "_source": source,
        "status_code": entry.status,
        "reason": entry.reason,
        "history": [],
        "elapsed": _NO_TIME,
    }
    return response


def not_cached(outcome: Outcome, request: PreparedRequest, key: str) -> TMDBResponse:
    """Build the 504 that answers ``only_if_cached`` (RFC 9111 section 5.2.1.7)."""
    response = TMDBResponse()
    response.status_code, response.reason = 504, "Not Cached"
    response.url, response.request = _text(request.url), request
    response._content, response._content_consumed = b"", True
    _add_status(response.headers, outcome.status)
    response.created_at, response.cache_key = outcome.now, key
    return response


def annotate(
    response: requests.Response, status: str, *, now: datetime, key: str = "", expires: datetime | None = None
) -> requests.Response:
    """Add what the cache has to say to TMDB's own response, in place."""
    if type(response) is requests.Response:
        response.__class__ = TMDBResponse
    elif hasattr(type(response), "from_cache"):
        # requests-cache's, at the end of a redirect of one of its sessions: it says all that by itself.
        _add_status(response.headers, status)
        return response
    # Somebody else's class of response (a mock's, an adapter's) keeps it; the attributes go on the instance.
    extra: Any = response
    extra.from_cache, extra.created_at, extra.expires = False, now, expires
    extra.cache_key, extra.revalidated = key, False
    if not isinstance(response, TMDBResponse):
        extra.is_expired = False
    _add_status(response.headers, status)
    return response


def to_reply(response: requests.Response, *, stream: bool) -> Reply:
    """Take TMDB's response as the flow wants it, its body read, and still unread for a caller who streams."""
    body = response.content or b""
    reply = Reply(
        status=response.status_code,
        reason=response.reason or "",
        headers=dict(header_items(response.headers)),
        body=body,
        native=response,
        url=_text(response.url),
        history=tuple(
            Hop(_text(hop.url), hop.status_code, hop.reason or "", dict(hop.headers), hop.content or b"")
            for hop in response.history
        ),
        # A redirect may have ended in the store of a session of requests-cache: nobody knows how old that is.
        keepable=not any(getattr(each, "from_cache", False) for each in (response, *response.history)),
    )
    if stream:
        request_url = response.request.path_url if response.request is not None else None
        raw = response.raw
        headers = getattr(raw, "headers", None)
        response.raw = make_raw(reply, request_url, headers if isinstance(headers, HTTPHeaderDict) else None)
        response._content, response._content_consumed = False, False
    return reply


def _redirected(request: PreparedRequest, url: str) -> PreparedRequest:
    if url == request.url:
        return request
    redirected = request.copy()
    redirected.url = url
    return redirected


def header_items(headers: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return names and values, as ``items()`` does; of requests' own mapping without a Python call for each."""
    return tuple(headers._store.values() if type(headers) is CaseInsensitiveDict else headers.items())


def _add_status(headers: CaseInsensitiveDict[str], status: str) -> None:
    # RFC 9211 section 2: each cache adds its member at the end.
    before = headers.get("Cache-Status")
    headers["Cache-Status"] = f"{before}, {status}" if before else status


def _text(url: str | bytes | None) -> str:
    return url.decode("utf-8") if isinstance(url, bytes) else url or ""
