"""What ``Session.send`` does after an adapter has answered: response hooks, cookies, redirects.

Done by requests' own functions, so that a session which goes its own way
(``rebuild_auth``, ``get_redirect_target``, ``max_redirects``) goes it here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import requests
from requests import PreparedRequest, Response, TooManyRedirects
from requests.auth import AuthBase
from requests.cookies import extract_cookies_to_jar
from requests.hooks import dispatch_hook
from requests.utils import resolve_proxies

from .building import from_hop
from .tmdb.calls import fill_url
from .tmdb.entry import Entry, Reply
from .tmdb.header_fields import storable
from .tmdb.keys import key_of_prepared


class Elsewhere(Exception):
    """Raised where the session does not follow a redirect as it was followed when the answer was stored."""


def response_hooks(request: PreparedRequest) -> list[Any]:
    """Return the response hooks of a request, in whatever form they were given."""
    hooks = (request.hooks or {}).get("response")
    return [hooks] if callable(hooks) else list(hooks or ())


def authenticates(hooks: list[Any]) -> bool:
    """Say whether a hook is part of an authentication (Digest), which must see every answer itself."""
    return any(isinstance(getattr(hook, "__self__", None), AuthBase) for hook in hooks)


def followed(
    session: requests.Session,
    request: PreparedRequest,
    part: Entry | Reply,
    options: Mapping[str, Any],
    *,
    hosts: frozenset[str],
    elapsed: timedelta,
) -> tuple[list[Response], PreparedRequest]:
    """Follow the redirects that led to an answer, as the session does, without sending anything.

    Args:
        session: whose call it is.
        request: as the caller sent it.
        part: has the redirects.
        options: the keyword arguments of ``send``.
        hosts: what counts as TMDB besides its own hosts.
        elapsed: what the call took.

    Returns:
        the history of the answer, and the request that it is the answer to.

    Raises:
        TooManyRedirects: the session follows less of them.
        Elsewhere: it follows them to another place.
    """
    history: list[Response] = []
    first = request.url or ""
    places = [hop.url for hop in part.history[1:]] + [part.url or ""]
    for hop, place in zip(part.history, places, strict=True):
        headers = {
            name: fill_url(value, first, hosts) if name.lower() == "location" else value
            for name, value in (storable(hop.headers) if isinstance(part, Entry) else hop.headers).items()
        }
        response = from_hop(hop._replace(headers=headers), request, session.get_adapter(request.url or ""), elapsed)
        if history:
            response._next = _next(session, response, request, options)
        if len(history) >= session.max_redirects:
            response.history = history
            raise TooManyRedirects(f"Exceeded {session.max_redirects} redirects.", response=response)
        following = _next(session, response, request, options)
        if following is None or key_of_prepared(following.url or "", hosts) != key_of_prepared(place, hosts):
            raise Elsewhere
        response.history = history[:]
        history.append(response)
        request = following
    return history, request


def note_next(session: requests.Session, response: Response, request: PreparedRequest, **options: Any) -> None:
    """Note on a response where it leads, for a caller who does not follow it."""
    response._next = _next(session, response, request, options)


def finish(session: requests.Session, request: PreparedRequest, response: Response, **options: Any) -> Response:
    """Do all that is left to do with a response that nobody has looked at.

    Args:
        session: whose call it is.
        request: as the caller sent it.
        response: the answer; its body is there to be read.
        options: the keyword arguments of ``send``.
    """
    given = _given(session, request, options)
    response._next = None
    response = dispatch_hook("response", request.hooks, response, **given)
    for one in [*(response.history or ()), response]:
        extract_cookies_to_jar(session.cookies, request if one is response else one.request, one.raw)
    if options.get("allow_redirects", True):
        # Where it leads is a call of its own: a hook may have changed that.
        came = list(session.resolve_redirects(response, request, **given))
        if came:
            history, response = [response, *came[:-1]], came[-1]
            response.history = history
    else:
        note_next(session, response, request, **options)
    if not given["stream"]:
        response.content  # noqa: B018  reads it
    return response


def _next(
    session: requests.Session, response: Response, request: PreparedRequest, options: Mapping[str, Any]
) -> PreparedRequest | None:
    """Return the request that a redirect leads to."""
    given = _given(session, request, options)
    found: Any = next(session.resolve_redirects(response, request, yield_requests=True, **given), None)
    return found  # type: ignore[no-any-return]


def _given(session: requests.Session, request: PreparedRequest, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keyword arguments that ``Session.send`` hands to hooks and to redirects."""
    given = {"stream": session.stream, "verify": session.verify, "cert": session.cert, **options}
    if "proxies" not in given:
        given["proxies"] = resolve_proxies(request, session.proxies, session.trust_env)
    given.pop("allow_redirects", None)
    return given
