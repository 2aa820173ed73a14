"""Sending one call of a session to TMDB, so that nothing of it shows that a cache stood between."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from requests.exceptions import ChunkedEncodingError, ContentDecodingError, ProxyError, RetryError, SSLError
from requests.hooks import default_hooks
from requests.structures import CaseInsensitiveDict

from . import network, responses
from .asking import Waited
from .scope import inside
from .tmdb.calls import may_be_for_a_user
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
        hosts: frozenset[str] = frozenset(),
    ) -> None:
        self._session = session
        self._request = request
        self._original = original
        self._options = options
        self._stream = stream
        self._hosts = hosts
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
            real = network.is_from_network(response, self._request.url or "", self._hosts, self._session)
            reply = responses.to_reply(response, stream=self._stream)
            reply = reply._replace(keepable=real, of_a_user=_is_of_a_user(response))
        except BaseException as error:
            if isinstance(error, requests.RequestException) and error.request is not None:
                error.request = self._request
            if not isinstance(error, _FAILURES):
                self.raised = error
                raise
            reply = Reply(error=error, keepable=not isinstance(error, ProxyError | SSLError))
        else:
            _give_back(self._request, response, headers)
        # A 304 to a condition of ours is no answer to the caller.
        self._last = None if reply.status == 304 and headers else reply
        return reply

    @property
    def patience(self) -> float | None:
        """The seconds that the caller waits for an answer (requests' read ``timeout``); None: as long as it takes."""
        _, read = _connect_and_read(self._options.get("timeout"))
        return read

    @property
    def manner(self) -> Hashable:
        """What a failure may come of: the request itself, its way, and how long it was waited for."""
        try:
            return self._manner()
        except Exception:  # noqa: BLE001  something unheard of in a session: no other call is made like this one
            return id(self)

    def _manner(self) -> Hashable:
        session, options = self._session, self._options
        adapter = session.get_adapter(self._request.url or "")
        proxies = options.get("proxies") or session.proxies
        return (
            self._request.url,
            repr(sorted(self._request.headers.items())),
            # requests' own adapters are alike.
            "requests" if type(adapter) is HTTPAdapter and not _retries(adapter) else id(adapter),
            repr(_connect_and_read(options.get("timeout"))),
            repr(sorted(proxies.items())),
            repr((options.get("verify", session.verify), options.get("cert", session.cert))),
            bool(options.get("allow_redirects", True)),
        )

    def wait(self, wait: Callable[[float], Waited], seconds: float) -> Waited:
        """Wait; what is raised meanwhile (a time limit of the program's, by a signal) is the caller's own."""
        try:
            return wait(seconds)
        except BaseException as error:
            self.raised = error
            raise

    def late(self) -> Reply:
        """Return what requests would raise when the caller's patience is at an end."""
        parts = urlsplit(self._request.url or "")
        kind, port = ("HTTPS", 443) if parts.scheme == "https" else ("HTTP", 80)
        pool = f"{kind}ConnectionPool(host={parts.hostname!r}, port={parts.port or port})"
        text = f"{pool}: Read timed out. (read timeout={self.patience:g})"
        return Reply(error=requests.ReadTimeout(text, request=self._request))

    def behind(self) -> Transmission:
        """Return what sends the same request when its caller has been answered already; it does not wait for ever."""
        connect, read = _connect_and_read(self._options.get("timeout"))
        longest = (min(connect or _BEHIND, _BEHIND), min(read or _BEHIND, _BEHIND))
        options = {**self._options, "timeout": longest}
        return Transmission(self._session, self._request, self._original, options, stream=False, hosts=self._hosts)

    def without_the_cache(self) -> Response:
        """Return what the caller would have had without the cache; sends only if nothing has come yet."""
        if self._last is None:
            with inside(self._session):
                return self._original(self._request, **self._options)
        if self._last.error is not None:
            raise self._last.error
        response: Response = self._last.native
        return response


def _retries(adapter: HTTPAdapter) -> Any:
    """Return what an adapter has for the number of retries: requests wants a ``Retry`` there, and takes a number."""
    retries: Any = adapter.max_retries
    return getattr(retries, "total", retries)


def _connect_and_read(timeout: Any) -> tuple[float | None, float | None]:
    """Return the seconds of requests' ``timeout``, in any of its forms; None where there is no limit."""
    total = None
    if isinstance(timeout, urllib3.Timeout):
        connect, read, total = timeout._connect, timeout._read, timeout.total
    elif isinstance(timeout, tuple) and len(timeout) == 2:
        connect, read = timeout
    else:
        connect = read = timeout
    return _least(connect, total), _least(read, total)


def _least(*seconds: Any) -> float | None:
    return min((float(found) for found in seconds if isinstance(found, int | float)), default=None)


def _copy(request: PreparedRequest) -> PreparedRequest:
    """Copy a request as its ``copy()`` does, but for the jar of cookies: requests copies it before it changes it."""
    if type(request) is not PreparedRequest:
        return request.copy()
    copied = PreparedRequest()
    vars(copied).update(vars(request))
    copied.headers = CaseInsensitiveDict() if request.headers is None else request.headers.copy()
    return copied


def _is_of_a_user(response: Response) -> bool:
    """Say whether something was sent on the way to a response that may say who asks."""
    return any(
        may_be_for_a_user(step.request.url, step.request.headers or {})
        for step in (*response.history, response)
        if step.request is not None
    )


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
