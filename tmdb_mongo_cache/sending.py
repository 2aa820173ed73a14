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

from . import certificates, network
from .ahead import read_ahead
from .asking import Waited
from .building import leave_unread, to_reply
from .restoring import give_back, give_back_error
from .scope import inside
from .tmdb.calls import classify, credentials_of, may_be_for_a_user
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
    flow raises besides is a fault of the cache. ``came`` is TMDB's response, as
    far as it is one to the caller.

    Args:
        session: whose call it is.
        request: as the caller sent it; it shows afterwards what the sending has changed in it.
        original: what sends it.
        options: the keyword arguments of ``send``.
        stream: whether the caller reads the body by itself.
        hooked: whether it has response hooks. They are not called here, for who calls must see neither
            a 304 to a condition of ours nor a failure that a stored answer covers; redirects are not followed.
        hosts: what counts as TMDB besides its own hosts.
    """

    def __init__(
        self,
        session: requests.Session,
        request: PreparedRequest,
        original: Original,
        options: Mapping[str, Any],
        *,
        stream: bool,
        hooked: bool = False,
        hosts: frozenset[str] = frozenset(),
    ) -> None:
        self._session = session
        self._request = request
        self._original = original
        self._given = options
        self._options = {**options, "stream": True, "allow_redirects": False} if hooked else options
        self._hooked, self._hosts = hooked, hosts
        self._ahead = stream or hooked
        self._unread: list[Response] = []
        self._error: BaseException | None = None
        self.came: Response | None = None
        self.raised: BaseException | None = None

    def __call__(self, headers: Mapping[str, str]) -> Reply:
        """Send the request with these headers added; failures of the other side come back in the reply."""
        self.release()
        self.came = self._error = None
        # A copy: the caller's request must not show our condition.
        outgoing = _copy(self._request)
        witness = certificates.Witness(self._hosts)
        outgoing.hooks = {**default_hooks(), "response": [witness]}
        outgoing.headers.update(headers)
        try:
            with inside(self._session):
                response = self._original(outgoing, **self._options)
        except BaseException as error:
            give_back_error(error, self._request, outgoing, headers)
            if not isinstance(error, _FAILURES):
                self.raised = error
                raise
            self._error = error
            return Reply(error=error, keepable=not isinstance(error, ProxyError | SSLError))
        if not isinstance(response, Response):
            self.raised = NoResponse(response)
            raise self.raised
        # A 304 to a condition of ours is no answer to the caller.
        self.came = None if response.status_code == 304 and headers else response
        give_back(response, self._request, outgoing, headers)
        real = network.is_from_network(response, self._request.url or "", self._hosts, self._session)
        by = self._session, self._options.get("verify", self._session.verify)
        *led, verified = [witness.verified(step, *by) for step in (*response.history, response)]
        reply = self._reply(response)
        keepable = reply.keepable and real and not self._became_straight(response)
        reply = reply._replace(keepable=keepable, verified=verified, led_verified=all(led))
        return reply._replace(of_a_user=_is_of_a_user(response), credentials=_credentials_of(response))

    def _became_straight(self, response: Response) -> bool:
        """Say whether something was added to what was sent (a Host, by an adapter) that makes it another call.

        A condition does not: to that the adapter has the answer.
        """
        if not response.history and not network.may_add(self._session.get_adapter(self._request.url or "")):
            return False
        for sent in [step.request for step in (*response.history, response) if step.request is not None]:
            said = {k: v for k, v in (sent.headers or {}).items() if not str(k).lower().startswith("if-")}
            call = classify(sent.method, sent.url, said, hosts=self._hosts)
            if call is not None and call.straight:
                return True
        return False

    def _reply(self, response: Response) -> Reply:
        if not self._ahead:
            return to_reply(response, response.content or b"")
        self._unread.append(response)
        was_read = response._content_consumed
        copy = read_ahead(response)
        try:
            body = (response if copy is None else copy).content or b""
        except _FAILURES as error:
            if copy is None:
                self._error = error
            # Else it is raised where the caller reads the body.
            return Reply(error=error, native=None if copy is None else response)
        reply = to_reply(response, body)
        if copy is None and (not was_read or (self._hooked and response.is_redirect)):
            leave_unread(response, reply)
        return reply

    def release(self, kept: Response | None = None) -> None:
        """Read what nobody will read, so that its connection can be used again.

        Args:
            kept: the response that the caller gets.
        """
        for response in self._unread:
            if response is not kept:
                try:
                    response.content  # noqa: B018  reads it
                except Exception:  # noqa: BLE001  whatever it ends in, nobody wants it
                    response.close()
        self._unread = []

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
            self._ahead,  # what breaks off is raised elsewhere
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
        _, read = _connect_and_read(self._options.get("timeout"))
        text = f"Read timed out. (read timeout={read})"
        cause = urllib3.exceptions.ReadTimeoutError(self._pool(), self._request.path_url, text)
        error = requests.ReadTimeout(cause, request=self._request)
        error.__context__ = cause
        return Reply(error=error)

    def _pool(self) -> urllib3.HTTPConnectionPool:
        """Return the connections that the request would have taken, for the text of an error."""
        options, session = self._options, self._session
        adapter: Any = session.get_adapter(self._request.url or "")
        try:
            proxies = options.get("proxies", session.proxies)
            verify, cert = options.get("verify", session.verify), options.get("cert", session.cert)
            found: urllib3.HTTPConnectionPool = adapter.get_connection_with_tls_context(
                self._request, verify, proxies=proxies, cert=cert
            )
        except Exception:  # noqa: BLE001  an adapter without one, or with its own
            parts = urlsplit(self._request.url or "")
            kind = urllib3.HTTPSConnectionPool if parts.scheme == "https" else urllib3.HTTPConnectionPool
            return kind(parts.hostname or "", parts.port)
        return found

    def behind(self) -> Transmission:
        """Return what sends the same request when its caller has been answered already; it does not wait for ever."""
        connect, read = _connect_and_read(self._options.get("timeout"))
        longest = (min(connect or _BEHIND, _BEHIND), min(read or _BEHIND, _BEHIND))
        options = {**self._given, "timeout": longest, "stream": False}
        return Transmission(self._session, self._request, self._original, options, stream=False, hosts=self._hosts)

    def without_the_cache(self) -> Response:
        """Return what the caller would have had without the cache; for where nothing has come that is its own."""
        if self._error is not None:
            raise self._error
        with inside(self._session):
            return self._original(self._request, **self._given)


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
    return min((found for found in seconds if isinstance(found, int | float)), default=None)


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


def _credentials_of(response: Response) -> frozenset[str]:
    """Return the credentials that were sent on the way to a response."""
    return frozenset().union(
        *(
            credentials_of(step.request.url, step.request.headers or {})
            for step in (*response.history, response)
            if step.request is not None
        )
    )
