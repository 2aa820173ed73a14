"""Conversion between the flow's results and requests' responses."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import requests
from requests import PreparedRequest
from requests.adapters import BaseAdapter
from urllib3 import HTTPResponse
from urllib3._collections import HTTPHeaderDict

from ...httpcache.models import Entry, Hop, Reply
from ...httpcache.result import Result
from .raw_response import make_raw
from .response import ADDED, TMDBResponse, add_status, build, from_source, header_items, text
from .session_checks import builds_as_usual


class _Source(NamedTuple):
    """The :class:`~.integrations.requests.response.Source` of a response to a prepared request."""

    entry: Entry | Hop | Reply
    request: PreparedRequest
    now: datetime | None = None
    said: str = ""

    def __repr__(self) -> str:
        return "_Source(…)"  # the request carries the caller's credentials

    @property
    def url(self) -> str:
        return text(self.request.url)

    @property
    def sent(self) -> Mapping[str, str | bytes]:
        return self.request.headers or {}

    def make_request(self) -> PreparedRequest:
        return self.request

    def status(self) -> str:
        return self.said


def from_entry(
    result: Result, entry: Entry, request: PreparedRequest, adapter: BaseAdapter, *, unread: bool, elapsed: timedelta
) -> requests.Response:
    """Build the response to the caller's request from an entry, without its redirects.

    Args:
        result: the result of the flow.
        entry: the entry in it.
        request: as this caller sent it.
        adapter: the adapter that would have sent it.
        unread: whether the body is left unread.
        elapsed: the duration of the call.
    """
    response = from_source(entry, _Source(entry, request, result.now, result.cache_status()), adapter, elapsed)
    response.revalidated = result.revalidated
    return _finished(response, adapter, unread=unread)


def from_reply(
    result: Result,
    reply: Reply,
    request: PreparedRequest,
    adapter: BaseAdapter,
    *,
    key: str,
    unread: bool,
    elapsed: timedelta,
) -> requests.Response:
    """Build the response to this caller from the reply to another caller's equal request.

    Args:
        result: the result of the flow.
        reply: the reply in it.
        request: as this caller sent it.
        adapter: the adapter that would have sent it.
        key: the key of the call.
        unread: whether the body is left unread.
        elapsed: the duration of the call.
    """
    # It was not stored, so it has no age.
    response = build(reply, _Source(reply, request, None, result.cache_status()), adapter)
    response.elapsed, response.created_at, response.cache_key = elapsed, result.now, key
    return _finished(response, adapter, unread=unread)


def from_hop(hop: Hop, request: PreparedRequest, adapter: BaseAdapter, elapsed: timedelta) -> requests.Response:
    """Build the response of a redirect that leads to an entry.

    Args:
        hop: the redirect, with the ``Location`` for this caller.
        request: the request that was redirected.
        adapter: the adapter that would have sent it.
        elapsed: the duration of the call.
    """
    response = build(hop, _Source(hop, request), adapter)
    response.elapsed = elapsed
    return _finished(response, adapter, unread=False)


def _finished(response: TMDBResponse, adapter: BaseAdapter, *, unread: bool) -> requests.Response:
    usual = builds_as_usual(adapter)
    if unread or not usual:
        response._content, response._content_consumed = False, False
    return response if usual else _built_by(adapter, response, unread=unread)


def _built_by(adapter: Any, found: TMDBResponse, *, unread: bool) -> requests.Response:
    """Return a response that is built by the program's own adapter."""
    own: requests.Response = adapter.build_response(found.request, found.raw)
    if type(own) is requests.Response:
        own.__class__ = TMDBResponse
    extra: Any = own
    extra.elapsed = found.elapsed
    for name in ("Age", "Cache-Status"):
        if name in found.headers:
            own.headers[name] = found.headers[name]
    for name in ADDED:
        if name != "is_expired" or not isinstance(own, TMDBResponse):
            setattr(extra, name, getattr(found, name))
    if not unread:
        own.content  # noqa: B018  reads it
    return own


def not_cached(result: Result, request: PreparedRequest, key: str) -> TMDBResponse:
    """Build the 504 that answers ``only_if_cached`` (RFC 9111 section 5.2.1.7)."""
    response = TMDBResponse()
    response.status_code, response.reason = 504, "Not Cached"
    response.url, response.request = text(request.url), request
    response._content, response._content_consumed = b"", True
    add_status(response.headers, result.cache_status())
    response.created_at, response.cache_key = result.now, key
    return response


def to_reply(response: requests.Response, body: bytes) -> Reply:
    """Convert TMDB's response, with its decoded body, for the flow."""
    return Reply(
        status=response.status_code,
        reason=response.reason or "",
        headers=dict(header_items(response.headers)),
        body=body,
        native=response,
        url=text(response.url),
        history=tuple(
            Hop(text(hop.url), hop.status_code, hop.reason or "", dict(hop.headers), hop.content or b"")
            for hop in response.history
        ),
        # A redirect may have been answered by a requests-cache session, so its age is unknown.
        storable=not any(getattr(each, "from_cache", False) for each in (response, *response.history)),
    )


def leave_unread(response: requests.Response, reply: Reply) -> None:
    """Make a response unread again, although its body has been read."""
    raw = response.raw
    if isinstance(raw, HTTPResponse):
        came = raw.headers if isinstance(raw.headers, HTTPHeaderDict) else None
        response.raw = make_raw(reply, text(response.url), "*", came, retries=raw.retries)
    elif raw is not None and hasattr(raw, "seek"):
        raw.seek(raw.tell() - len(reply.body))
    elif raw is not None:
        return  # it cannot be read twice
    response._content, response._content_consumed = False, False
