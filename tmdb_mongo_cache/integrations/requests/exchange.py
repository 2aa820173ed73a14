"""Sending one call of a session to TMDB, so that the program notices no difference to a call without a cache."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
import urllib3
from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from requests.exceptions import ChunkedEncodingError, ContentDecodingError, ProxyError, RetryError, SSLError
from requests.hooks import default_hooks

from ...context import inside
from ...core.effects import Caller
from ...httpcache.models import Reply
from ...tmdb.call import Call, classify, credentials_of, may_identify_user
from . import mock_detection, tls_verification
from .original_request import copy_request, restore_in_error, restore_in_response
from .read_ahead import read_ahead
from .response_builder import leave_unread, to_reply

Waited = TypeVar("Waited")

Original = Callable[..., Response]
"""``Session.send`` without the cache, bound to the session."""

_FAILURES = (
    requests.ConnectionError,
    requests.Timeout,
    ChunkedEncodingError,
    ContentDecodingError,
    RetryError,
    urllib3.exceptions.HTTPError,
)
"""What requests raises when the server fails; its other errors are the caller's own."""


_BACKGROUND_TIMEOUT = 10.0
"""Seconds, as requests' ``timeout``, for requests in the background."""


class NoResponse(Exception):
    """Raised to pass to the caller what a replaced ``send`` (a test's mock) returned instead of a response."""


class RequestsExchange:
    """Sends one call to TMDB; called by the flow, once or twice, with headers to add.

    ``raised`` is the caller's own error that it ended in, if any: any other exception
    of the flow is an error of the cache. ``came`` is TMDB's response, if the caller
    may get it, and ``failure`` the failure of the server. ``unread`` says whether the
    caller gets its response with the body unread.

    Args:
        session: the caller's.
        request: as the caller sent it; changes that are made while sending are applied to it.
        original: sends it.
        options: the keyword arguments of ``send``.
        call: the classified call.
        hooked: whether it has response hooks. They are not called here, because they must not see a 304 to a
            condition of ours, nor a failure for which a stale response is served; redirects are not followed.
    """

    def __init__(
        self,
        session: requests.Session,
        request: PreparedRequest,
        original: Original,
        options: Mapping[str, Any],
        call: Call,
        *,
        hooked: bool = False,
    ) -> None:
        self.session, self.request, self.call = session, request, call
        self.options, self.hooked = options, hooked
        self._original = original
        self._sent = {**options, "stream": True, "allow_redirects": False} if hooked else options
        self.unread = hooked or bool(options.get("stream", session.stream))
        self._to_release: list[Response] = []
        self.failure: BaseException | None = None
        self.came: Response | None = None
        self.raised: BaseException | None = None

    def send(self, headers: Mapping[str, str]) -> Reply:
        """Send the request with these headers added; failures of the server are returned in the reply."""
        self.release()
        self.came = self.failure = None
        # A copy, because the caller's request must not contain our condition.
        outgoing = copy_request(self.request)
        hook = tls_verification.VerificationHook(self.call.hosts)
        outgoing.hooks = {**default_hooks(), "response": [hook]}
        outgoing.headers.update(headers)
        method, url, said = self.request.method, self.request.url, dict(self.request.headers or {})
        try:
            with inside(self.session):
                response = self._original(outgoing, **self._sent)
        except BaseException as error:
            restore_in_error(error, self.request, outgoing, headers)
            if not isinstance(error, _FAILURES):
                self.raised = error
                raise
            self.failure = error
            return Reply(error=error, storable=not isinstance(error, ProxyError | SSLError))
        if not isinstance(response, Response):
            raise NoResponse(response)
        # The caller must not get a 304 to a condition of ours.
        self.came = None if response.status_code == 304 and headers else response
        restore_in_response(response, self.request, outgoing, headers)
        real = mock_detection.is_from_network(response, self.request.url or "", self.call.hosts, self.session)
        by = self.session, self._sent.get("verify", self.session.verify)
        *led, verified = [hook.verified(step, *by) for step in (*response.history, response)]
        reply = self._reply(response)
        reply = reply._replace(storable=reply.storable and real, verified=verified, redirects_verified=all(led))
        sent = [step.request for step in (*response.history, response) if step.request is not None]
        unchanged = (self.request.method, self.request.url) == (method, url) and self.request.headers == said
        if unchanged and sent == [self.request]:
            # As the call was classified.
            by_user = bool(self.call.request.appended) and may_identify_user(url, said)
            return reply._replace(identifies_user=by_user, credentials=self.call.credentials)
        return reply._replace(
            storable=reply.storable and not self._became_bypass(response, sent),
            identifies_user=any(may_identify_user(one.url, one.headers or {}) for one in sent),
            credentials=frozenset().union(*(credentials_of(one.url, one.headers or {}) for one in sent)),
        )

    def _became_bypass(self, response: Response, sent: Sequence[PreparedRequest]) -> bool:
        """Return whether something added while sending (a Host, by an adapter) makes the call bypass the cache.

        A condition does not count, because the adapter has the response to it.
        """
        if not response.history and not mock_detection.may_add(self.session.get_adapter(self.request.url or "")):
            return False
        for one in sent:
            said = {k: v for k, v in (one.headers or {}).items() if not str(k).lower().startswith("if-")}
            call = classify(one.method, one.url, said, hosts=self.call.hosts)
            if call is not None and call.bypass:
                return True
        return False

    def _reply(self, response: Response) -> Reply:
        if not self.unread:
            return to_reply(response, response.content or b"")
        self._to_release.append(response)
        was_read = response._content_consumed
        copy = read_ahead(response)
        try:
            body = (response if copy is None else copy).content or b""
        except _FAILURES as error:
            if copy is None:
                self.failure = error
            # Otherwise it is raised when the caller reads the body.
            return Reply(error=error, native=None if copy is None else response)
        reply = to_reply(response, body)
        if copy is None and (not was_read or (self.hooked and response.is_redirect)):
            leave_unread(response, reply)
        return reply

    def release(self, returned: Response | None = None) -> None:
        """Read unread responses, so that their connections can be reused.

        Args:
            returned: the response that the caller gets.
        """
        for response in self._to_release:
            if response is not returned:
                try:
                    response.content  # noqa: B018  reads it
                except Exception:  # noqa: BLE001  any failure closes it
                    response.close()
        self._to_release = []

    def caller(self) -> Caller:
        """Return how long the caller waits (requests' read ``timeout``), and its share key."""
        _, read = _connect_and_read(self._sent.get("timeout"))
        try:
            share_key = self._share_key()
        except Exception:  # noqa: BLE001  an unusual session, whose calls are not shared
            share_key = id(self)
        return Caller(read, share_key, self._timed_out)

    def _share_key(self) -> Hashable:
        """Return everything that a failure may depend on: the request, the adapter, the timeout and the like."""
        session, options = self.session, self._sent
        adapter: Any = session.get_adapter(self.request.url or "")
        is_own = type(adapter) is HTTPAdapter
        proxies = options.get("proxies") or session.proxies
        return (
            self.request.url,
            repr(sorted(self.request.headers.items())),
            # requests' own adapters are alike; their max_retries is a Retry, or was set to a number.
            "requests" if is_own and not getattr(adapter.max_retries, "total", adapter.max_retries) else id(adapter),
            repr(_connect_and_read(options.get("timeout"))),
            repr(sorted(proxies.items())),
            repr((options.get("verify", session.verify), options.get("cert", session.cert))),
            bool(options.get("allow_redirects", True)),
            self.unread,  # an incomplete body raises at another place
        )

    def wait(self, wait: Callable[[float], Waited], seconds: float) -> Waited:
        """Wait; an exception meanwhile (a time limit of the program, by a signal) is the caller's own."""
        try:
            return wait(seconds)
        except BaseException as error:
            self.raised = error
            raise

    def _timed_out(self) -> Reply:
        """Return what requests would raise after the caller's timeout."""
        _, read = _connect_and_read(self._sent.get("timeout"))
        text = f"Read timed out. (read timeout={read})"
        cause = urllib3.exceptions.ReadTimeoutError(self._pool(), self.request.path_url, text)
        error = requests.ReadTimeout(cause, request=self.request)
        error.__context__ = cause
        return Reply(error=error)

    def _pool(self) -> urllib3.HTTPConnectionPool:
        """Return the connection pool of the request, for the text of an error."""
        options, session = self._sent, self.session
        adapter: Any = session.get_adapter(self.request.url or "")
        try:
            proxies = options.get("proxies", session.proxies)
            verify, cert = options.get("verify", session.verify), options.get("cert", session.cert)
            found: urllib3.HTTPConnectionPool = adapter.get_connection_with_tls_context(
                self.request, verify, proxies=proxies, cert=cert
            )
        except Exception:  # noqa: BLE001  an adapter without one, or with its own
            parts = urlsplit(self.request.url or "")
            kind = urllib3.HTTPSConnectionPool if parts.scheme == "https" else urllib3.HTTPConnectionPool
            return kind(parts.hostname or "", parts.port)
        return found

    def behind(self) -> RequestsExchange:
        """Return an exchange that sends the same request in the background, with a limited timeout."""
        given = _connect_and_read(self.options.get("timeout"))
        timeout = tuple(min(seconds or _BACKGROUND_TIMEOUT, _BACKGROUND_TIMEOUT) for seconds in given)
        options = {**self.options, "timeout": timeout, "stream": False}
        return RequestsExchange(self.session, self.request, self._original, options, self.call)

    def without_cache(self) -> Response:
        """Send the request as without the cache."""
        with inside(self.session):
            return self._original(self.request, **self.options)


def _connect_and_read(timeout: Any) -> tuple[float | None, float | None]:
    """Return the seconds of requests' ``timeout``, in any of its forms; None without a limit."""
    total = None
    if isinstance(timeout, urllib3.Timeout):
        connect, read, total = timeout._connect, timeout._read, timeout.total
    elif isinstance(timeout, tuple) and len(timeout) == 2:
        connect, read = timeout
    else:
        connect = read = timeout
    return _least(connect, total), _least(read, total)


def _least(*seconds: Any) -> float | None:
    return min((found for found in seconds if isinstance(found, int | float)), default=None)
