"""What ``Session.send`` does after the adapter: response hooks, cookies, redirects.

By requests' own functions, so that a session that overrides them
(``rebuild_auth``, ``get_redirect_target``, ``max_redirects``) has an effect here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import requests
from requests import PreparedRequest, Response, TooManyRedirects
from requests.cookies import extract_cookies_to_jar
from requests.hooks import dispatch_hook
from requests.utils import resolve_proxies

from ...httpcache.models import Entry, Reply
from ...httpcache.storable_headers import storable
from ...tmdb.cache_key import key_of_prepared
from ...tmdb.call import restore_credentials
from .response import Source
from .response_builder import build_response


class RedirectChanged(Exception):
    """Raised if the session does not follow a redirect as it was followed when the response was stored."""


def followed(
    session: requests.Session,
    request: PreparedRequest,
    part: Entry | Reply,
    options: Mapping[str, Any],
    *,
    hosts: frozenset[str],
    elapsed: timedelta,
) -> tuple[list[Response], PreparedRequest]:
    """Follow the stored redirects of a response as the session would, without sending anything.

    Args:
        session: the caller's.
        request: as the caller sent it.
        part: has the redirects.
        options: the keyword arguments of ``send``.
        hosts: what counts as TMDB besides its own hosts.
        elapsed: the duration of the call.

    Returns:
        the history of the response, and its last request.

    Raises:
        TooManyRedirects: the session follows fewer redirects.
        RedirectChanged: it follows them to another URL.
    """
    history: list[Response] = []
    first = request.url or ""
    places = [hop.url for hop in part.history[1:]] + [part.url or ""]
    for hop, place in zip(part.history, places, strict=True):
        headers = {
            name: restore_credentials(value, first, hosts) if name.lower() == "location" else value
            for name, value in (storable(hop.headers) if isinstance(part, Entry) else hop.headers).items()
        }
        source = Source(hop._replace(headers=headers), request)
        response = build_response(source, session.get_adapter(request.url or ""), elapsed)
        if history:
            response._next = next_request(session, response, request, options)
        if len(history) >= session.max_redirects:
            response.history = history
            raise TooManyRedirects(f"Exceeded {session.max_redirects} redirects.", response=response)
        following = next_request(session, response, request, options)
        if following is None or key_of_prepared(following.url or "", hosts) != key_of_prepared(place, hosts):
            raise RedirectChanged
        response.history = history[:]
        history.append(response)
        request = following
    return history, request


def finish(
    session: requests.Session, request: PreparedRequest, response: Response, options: Mapping[str, Any]
) -> Response:
    """Do everything that ``Session.send`` does with a response after the adapter.

    Args:
        session: the caller's.
        request: as the caller sent it.
        response: the response, unread.
        options: the keyword arguments of ``send``.
    """
    given = _given(session, request, options)
    response._next = None
    response = dispatch_hook("response", request.hooks, response, **given)
    for step in [*(response.history or ()), response]:
        extract_cookies_to_jar(session.cookies, request if step is response else step.request, step.raw)
    if options.get("allow_redirects", True):
        # The redirect is a call of its own, as a hook may have changed the target.
        came = list(session.resolve_redirects(response, request, **given))
        if came:
            history, response = [response, *came[:-1]], came[-1]
            response.history = history
    else:
        response._next = next_request(session, response, request, options)
    if not given["stream"]:
        response.content  # noqa: B018  reads it
    return response


def next_request(
    session: requests.Session, response: Response, request: PreparedRequest, options: Mapping[str, Any]
) -> PreparedRequest | None:
    """Return the next request of a redirect, which is ``response.next`` if the caller does not follow it."""
    given = _given(session, request, options)
    return next(session.resolve_redirects(response, request, yield_requests=True, **given), None)  # type: ignore[return-value]


def _given(session: requests.Session, request: PreparedRequest, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keyword arguments that ``Session.send`` passes to hooks and redirects."""
    given = {"stream": session.stream, "verify": session.verify, "cert": session.cert, **options}
    if "proxies" not in given:
        given["proxies"] = resolve_proxies(request, session.proxies, session.trust_env)
    given.pop("allow_redirects", None)
    return given
