"""Answers as ``requests`` knows them: built from an entry, or TMDB's own with a few attributes more."""

from __future__ import annotations

import gzip
import zlib
from datetime import datetime, timedelta, timezone
from io import BytesIO
from typing import Any

import requests
from requests import PreparedRequest
from requests.structures import CaseInsensitiveDict
from requests.utils import get_encoding_from_headers
from urllib3 import HTTPHeaderDict, HTTPResponse

from .cache import Outcome
from .tmdb.calls import fill_url
from .tmdb.entry import Entry, Hop, Reply, header
from .tmdb.making import age_header


class TMDBResponse(requests.Response):
    """A ``requests.Response`` that also says what the cache did, by requests-cache's names.

    ``from_cache``, ``created_at`` (when TMDB sent it), ``expires`` (until when it
    is fresh; None when it was not stored), ``is_expired``, ``cache_key`` (empty
    when it has none) and ``revalidated``. Times are aware and in UTC. Pickled, it
    becomes a plain ``requests.Response`` with the same attributes, which can be
    read where this package is not installed.
    """

    from_cache: bool = False
    created_at: datetime | None = None
    expires: datetime | None = None
    cache_key: str = ""
    revalidated: bool = False

    _raw: HTTPResponse | None = None
    _encoded: tuple[Entry | Hop, str] | None = None

    @property
    def is_expired(self) -> bool:
        """Whether the answer is past its expiry by now."""
        return self.expires is not None and datetime.now(timezone.utc) >= self.expires

    @property
    def raw(self) -> Any:
        """The urllib3 response; of an answer from the cache it is made when it is first asked for."""
        if self._raw is None and self._encoded is not None:
            self._raw = _raw(*self._encoded)
            if self._content_consumed:
                self._raw.read(decode_content=False)
        return self._raw

    @raw.setter
    def raw(self, value: Any) -> None:
        self._raw = value

    def __reduce__(self) -> tuple[Any, ...]:
        state = dict(self.__getstate__())
        for name in ("from_cache", "created_at", "expires", "is_expired", "cache_key", "revalidated"):
            state[name] = getattr(self, name)
        return requests.Response, (), state


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
        history.append(_build(hop, hop_url, _redirected(request, hop_url), stream=False))
        history[-1].history = history[:-1]
        location = hop.headers.get("Location")
        if location is not None:
            history[-1].headers["Location"] = fill_url(location, url)
    final_url = fill_url(entry.url, url) if entry.history and entry.url else url
    response = _build(entry, final_url, _redirected(request, final_url), stream=stream)
    response.history = list(history)
    response.elapsed = elapsed
    response.headers["Age"] = age_header(entry, outcome.now)
    _add_status(response, outcome.status)
    response.from_cache = True
    response.created_at, response.expires = entry.timestamp, entry.expires_at
    response.cache_key, response.revalidated = entry.key, outcome.revalidated
    return response


def not_cached(outcome: Outcome, request: PreparedRequest, key: str) -> TMDBResponse:
    """Build the 504 that answers ``only_if_cached`` (RFC 9111 section 5.2.1.7)."""
    response = TMDBResponse()
    response.status_code, response.reason = 504, "Not Cached"
    response.url, response.request = _text(request.url), request
    response._content, response._content_consumed = b"", True
    _add_status(response, outcome.status)
    response.created_at, response.cache_key = outcome.now, key
    return response


def annotate(
    response: requests.Response, status: str, *, now: datetime, key: str = "", expires: datetime | None = None
) -> requests.Response:
    """Add what the cache has to say to TMDB's own response, in place."""
    if type(response) is requests.Response:
        raw = response.__dict__.pop("raw", None)
        response.__class__ = TMDBResponse
        response.raw = raw
    # Somebody else's class of response (a mock's, an adapter's) keeps it; the attributes go on the instance.
    extra: Any = response
    extra.from_cache, extra.created_at, extra.expires = False, now, expires
    extra.cache_key, extra.revalidated = key, False
    if not isinstance(response, TMDBResponse):
        extra.is_expired = False
    _add_status(response, status)
    return response


def to_reply(response: requests.Response, *, stream: bool) -> Reply:
    """Take TMDB's response as the flow wants it, its body read, and still unread for a caller who streams."""
    body = response.content or b""
    reply = Reply(
        status=response.status_code,
        reason=response.reason or "",
        headers=dict(response.headers),
        body=body,
        native=response,
        url=_text(response.url),
        history=tuple(
            Hop(_text(hop.url), hop.status_code, hop.reason or "", dict(hop.headers), hop.content or b"")
            for hop in response.history
        ),
    )
    if stream:
        request_url = response.request.path_url if response.request is not None else None
        raw = response.raw
        headers = getattr(raw, "headers", None)
        response.raw = _raw(reply, request_url, headers if isinstance(headers, HTTPHeaderDict) else None)
        response._content, response._content_consumed = False, False
    return reply


def _build(entry: Entry | Hop, url: str, request: PreparedRequest, *, stream: bool) -> TMDBResponse:
    """Do what ``requests.adapters.HTTPAdapter.build_response`` does."""
    response = TMDBResponse()
    response.status_code, response.reason = entry.status, entry.reason
    response.headers = CaseInsensitiveDict(entry.headers)
    response.encoding = get_encoding_from_headers(response.headers)
    response.url, response.request = url, request
    response._encoded = (entry, request.path_url)
    if not stream:
        response._content, response._content_consumed = entry.body, True
    return response


def _raw(entry: Entry | Hop | Reply, request_url: str | None, headers: HTTPHeaderDict | None = None) -> HTTPResponse:
    """Make the urllib3 response: the stored body in the encoding that its headers name."""
    sent = HTTPHeaderDict(headers if headers is not None else entry.headers)
    encoding = (header(entry.headers, "content-encoding") or "").strip().lower()
    body = entry.body
    if encoding in ("gzip", "x-gzip"):
        body = gzip.compress(body, 1, mtime=0)
    elif encoding == "deflate":
        body = zlib.compress(body, 1)
    elif encoding:
        sent.discard("Content-Encoding")
    return HTTPResponse(
        body=_Body(body),
        headers=sent,
        status=entry.status,
        version=11,
        version_string="HTTP/1.1",
        reason=entry.reason,
        preload_content=False,
        decode_content=False,
        request_method="GET",
        request_url=request_url,
        # Content-Length is that of TMDB's own compression.
        enforce_content_length=False,
    )


class _Body(BytesIO):
    """A body that counts as closed when it has been read up, as that of ``http.client`` does.

    ``raw.stream()`` goes on until then.
    """

    def isclosed(self) -> bool:
        """Whether there is nothing left to read."""
        return self.closed or self.tell() >= self.getbuffer().nbytes


def _redirected(request: PreparedRequest, url: str) -> PreparedRequest:
    if url == request.url:
        return request
    redirected = request.copy()
    redirected.url = url
    return redirected


def _add_status(response: requests.Response, status: str) -> None:
    # RFC 9211 section 2: each cache adds its member at the end.
    before = response.headers.get("Cache-Status")
    response.headers["Cache-Status"] = f"{before}, {status}" if before else status


def _text(url: str | bytes | None) -> str:
    return url.decode("utf-8") if isinstance(url, bytes) else url or ""
