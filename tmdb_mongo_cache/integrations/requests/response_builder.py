"""Conversion between the flow's results and requests' responses."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import requests
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict
from urllib3 import HTTPResponse
from urllib3._collections import HTTPHeaderDict

from ...httpcache.models import Entry, Hop, Reply
from .mock_detection import builds_as_usual
from .raw_response import make_raw
from .response import ADDED, Source, TMDBResponse, build, text


def build_response(
    source: Source, adapter: BaseAdapter, elapsed: timedelta, *, key: str = "", unread: bool = False
) -> requests.Response:
    """Build the response to a prepared request, without its redirects.

    Args:
        source: the request, the result of the flow, and what is served: the entry in it, the reply to another
            caller's equal request (which has no age, as it was not stored), or a redirect, with the
            ``Location`` for this caller.
        adapter: the adapter that would have sent the request.
        elapsed: the duration of the call.
        key: the key of the call, for a reply.
        unread: whether the body is left unread.
    """
    response = build(source, adapter, elapsed)
    if isinstance(source.entry, Entry):
        response.revalidated = source.result is not None and source.result.revalidated
    elif source.result is not None:
        response.created_at, response.cache_key = source.result.now, key
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


def to_reply(response: requests.Response, body: bytes) -> Reply:
    """Convert TMDB's response, with its decoded body, for the flow."""
    headers = response.headers  # whose items() makes a Python call for each
    return Reply(
        status=response.status_code,
        reason=response.reason or "",
        headers=dict(headers._store.values() if type(headers) is CaseInsensitiveDict else headers.items()),
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
