"""Responses made of what the flow gave, and what the flow wants made of responses."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import requests
from requests import PreparedRequest
from requests.adapters import BaseAdapter, HTTPAdapter
from urllib3 import HTTPResponse
from urllib3._collections import HTTPHeaderDict

from .asking import Outcome
from .raw import make_raw
from .responses import ADDED, TMDBResponse, add_status, built, from_source, header_items, text
from .tmdb.entry import Entry, Hop, Reply

_BUILD = HTTPAdapter.build_response


class _Source(NamedTuple):
    """What a response to a prepared request is made of: see :class:`~.responses.Source`."""

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


def builds_as_usual(adapter: Any) -> bool:
    """Say whether an adapter's responses are what requests' own makes of what has come, with nothing added."""
    kind = type(adapter)
    built = kind.build_response if kind is HTTPAdapter else getattr(kind, "build_response", _BUILD)
    return built is _BUILD and "build_response" not in adapter.__dict__


def from_entry(
    outcome: Outcome, entry: Entry, request: PreparedRequest, adapter: BaseAdapter, *, unread: bool, elapsed: timedelta
) -> requests.Response:
    """Build the response to this caller's request from an entry, its redirects not regarded.

    Args:
        outcome: what the flow gave.
        entry: the entry in it.
        request: as this caller sent it.
        adapter: what would have sent it.
        unread: whether the body is left to be read.
        elapsed: what the call took.
    """
    response = from_source(entry, _Source(entry, request, outcome.now, outcome.status), adapter, elapsed)
    response.revalidated = outcome.revalidated
    return _finished(response, adapter, unread=unread)


def from_reply(
    outcome: Outcome,
    reply: Reply,
    request: PreparedRequest,
    adapter: BaseAdapter,
    *,
    key: str,
    unread: bool,
    elapsed: timedelta,
) -> requests.Response:
    """Build the response that a reply to another caller, who asked for the same, is to this one.

    Args:
        outcome: what the flow gave.
        reply: the reply in it.
        request: as this caller sent it.
        adapter: what would have sent it.
        key: of the call.
        unread: whether the body is left to be read.
        elapsed: what the call took.
    """
    # As it came: no cache has kept it, so it has no age.
    response = built(reply, _Source(reply, request, None, outcome.status), adapter)
    response.elapsed, response.created_at, response.cache_key = elapsed, outcome.now, key
    return _finished(response, adapter, unread=unread)


def from_hop(hop: Hop, request: PreparedRequest, adapter: BaseAdapter, elapsed: timedelta) -> requests.Response:
    """Build the response that a redirect on the way to an entry was.

    Args:
        hop: the redirect, with the ``Location`` that it has for this caller.
        request: what led there.
        adapter: what would have sent it.
        elapsed: what the call took.
    """
    response = built(hop, _Source(hop, request), adapter)
    response.elapsed = elapsed
    return _finished(response, adapter, unread=False)


def _finished(response: TMDBResponse, adapter: BaseAdapter, *, unread: bool) -> requests.Response:
    usual = builds_as_usual(adapter)
    if unread or not usual:
        response._content, response._content_consumed = False, False
    return response if usual else _built_by(adapter, response, unread=unread)


def _built_by(adapter: Any, found: TMDBResponse, *, unread: bool) -> requests.Response:
    """Return a response as a program's own adapter builds its responses."""
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


def not_cached(outcome: Outcome, request: PreparedRequest, key: str) -> TMDBResponse:
    """Build the 504 that answers ``only_if_cached`` (RFC 9111 section 5.2.1.7)."""
    response = TMDBResponse()
    response.status_code, response.reason = 504, "Not Cached"
    response.url, response.request = text(request.url), request
    response._content, response._content_consumed = b"", True
    add_status(response.headers, outcome.status)
    response.created_at, response.cache_key = outcome.now, key
    return response


def to_reply(response: requests.Response, body: bytes) -> Reply:
    """Take TMDB's response as the flow wants it, with the body that it has."""
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
        # A redirect may have ended in the store of a session of requests-cache: nobody knows how old that is.
        keepable=not any(getattr(each, "from_cache", False) for each in (response, *response.history)),
    )


def leave_unread(response: requests.Response, reply: Reply) -> None:
    """Leave a response to be read, though its body has been."""
    raw = response.raw
    if isinstance(raw, HTTPResponse):
        came = raw.headers if isinstance(raw.headers, HTTPHeaderDict) else None
        response.raw = make_raw(reply, text(response.url), "*", came, retries=raw.retries)
    elif raw is not None and hasattr(raw, "seek"):
        raw.seek(raw.tell() - len(reply.body))
    elif raw is not None:
        return  # nobody can read it twice
    response._content, response._content_consumed = False, False
