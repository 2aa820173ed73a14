"""Sending one call of a session to TMDB, so that nothing of it shows that a cache stood between."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from requests import PreparedRequest, Response
from requests.exceptions import ChunkedEncodingError, ContentDecodingError, RetryError
from requests.hooks import default_hooks

from . import responses
from .scope import inside
from .tmdb.entry import Reply

Original = Callable[..., Response]
"""``Session.send`` as it is without the cache, bound to the session."""

_FAILURES = (
    requests.ConnectionError,
    requests.Timeout,
    ChunkedEncodingError,
    ContentDecodingError,
    RetryError,
    urllib3.exceptions.HTTPError,
)
"""What requests raises when the other side fails; its other errors are the caller's own."""


_BEHIND = 10.0
"""Seconds, as requests' ``timeout``, for what is sent when nobody waits for it."""


class NoResponse(Exception):
    """Raised to hand a caller what somebody's own ``send`` (a test's mock) returned instead of a response."""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value


class Transmission:
    """One call's way to TMDB; called by the flow, once or twice, with headers to add.

    ``raised`` is the caller's own error that it ended in, if it did: what the
    flow raises besides is a fault of the cache.
    """

    def __init__(
        self,
        session: requests.Session,
        request: PreparedRequest,
        original: Original,
        options: Mapping[str, Any],
        *,
        stream: bool,
    ) -> None:
        self._session = session
        self._request = request
        self._original = original
        self._options = options
        self._stream = stream
        self._last: Reply | None = None
        self.raised: BaseException | None = None

    def __call__(self, headers: Mapping[str, str]) -> Reply:
        """Send the request with these headers added; failures of the other side come back in the reply."""
        # A copy: the caller's request must not show our condition, and the caller's hooks
        # must not see what the caller does not get (a 304, a failure that a stored answer covers).
        outgoing = _copy(self._request)
        outgoing.hooks = default_hooks()
        outgoing.headers.update(headers)
        try:
            with inside(self._session):
                response = self._original(outgoing, **self._options)
            if not isinstance(response, Response):
                raise NoResponse(response)
            reply = responses.to_reply(response, stream=self._stream)
        except BaseException as error:
            if isinstance(error, requests.RequestException) and error.request is not None:
                error.request = self._request
            if not isinstance(error, _FAILURES):
                self.raised = error
                raise
            reply = Reply(error=error)
        else:
            _give_back(self._request, response, headers)
        # A 304 to a condition of ours is no answer to the caller.
        self._last = None if reply.status == 304 and headers else reply
        return reply

    @property
    def patience(self) -> float | None:
        """The seconds that the caller waits for an answer (requests' read ``timeout``); None: as long as it takes."""
        found = self._options.get("timeout")
        if isinstance(found, tuple) and len(found) == 2:
            found = found[1]
        elif isinstance(found, urllib3.Timeout):
            found = found.read_timeout
        return float(found) if isinstance(found, int | float) else None

    def late(self) -> Reply:
        """Return what requests would raise when the caller's patience is at an end."""
        host = urlsplit(self._request.url or "").hostname
        text = f"{host}: Read timed out. (read timeout={self.patience})"
        return Reply(error=requests.ReadTimeout(text, request=self._request))

    def behind(self) -> Transmission:
        """Return what sends the same request when its caller has been answered already; it does not wait for ever."""
        options = {**self._options, "timeout": self._options.get("timeout") or _BEHIND}
        return Transmission(self._session, self._request, self._original, options, stream=False)

    def without_the_cache(self) -> Response:
        """Return what the caller would have had without the cache; sends only if nothing has come yet."""
        if self._last is None:
            with inside(self._session):
                return self._original(self._request, **self._options)
        if self._last.error is not None:
            raise self._last.error
        response: Response = self._last.native
        return response


def _copy(request: PreparedRequest) -> PreparedRequest:
    """Copy a request as its ``copy()`` does, but for the jar of cookies: requests copies it before it changes it."""
    if type(request) is not PreparedRequest:
        return request.copy()
    copied = PreparedRequest()
    vars(copied).update(vars(request))
    copied.headers = request.headers.copy()
    return copied


def _give_back(request: PreparedRequest, response: Response, added: Mapping[str, str]) -> None:
    """Make the response point at the caller's own request, without what was added to it."""
    if not response.history:
        response.request = request
        return
    response.history[0].request = request
    for redirected in [*(hop.request for hop in response.history[1:]), response.request]:
        redirected.hooks = request.hooks
        for name in added:
            redirected.headers.pop(name, None)
