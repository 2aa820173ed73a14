"""The client that warming and the change feed call TMDB with: authenticated, rate-limited, retrying."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import TYPE_CHECKING, Any

import requests
from pyrate_limiter import Duration, Limiter, Rate
from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter

from ..context import Scope, entered
from ..core.clock import utcnow
from ..errors import CLOSED, ConfigError, StoreError, UpstreamError
from ..httpcache import json_body
from ..httpcache.result import Result
from ..httpcache.retry_after import pause_at_limit, retry_after
from ..integrations.requests.exchange import RequestsExchange
from ..metrics.counters import OTHER
from ..mongo.store import MongoStore
from ..runtime.sync_driver import SyncDriver
from ..tmdb import endpoints, urls
from ..tmdb.call import classify
from ..tmdb.hosts import BASE_URL
from ..tmdb.rate_limit import DEFAULT_RATE, MAX_CONNECTIONS
from .throttle import Throttle

if TYPE_CHECKING:
    from ..engine import Engine

KEY_VARIABLE = "TMDB_API_KEY"
LOWEST_RATE, HIGHEST_RATE = 0.001, 10_000.0

_TIMEOUT = (10.0, 30.0)

# For a page of the change feed: all attempts together take less than the lease of the process that follows it.
_ATTEMPTS = 4
_PAGE_TIMEOUT = (3.0, 8.0)
_LONGEST_PAUSE = 10.0
_MOST_LIMITED = 10
_POLL = 0.5  # seconds between checks of whether a waiting call has been stopped
_STORE_TIMEOUT = 10.0
_UNREADABLE = (requests.RequestException, ValueError, RecursionError)


class KeyRefused(UpstreamError):
    """Raised when TMDB rejects the API key: nothing works until there is another one."""


class ParamsRejected(UpstreamError):
    """Raised when TMDB rejects the params of a call."""


class _Limited(Exception):
    """Raised when TMDB limits the rate, to release the lease of the call until it is retried."""


class Upstream:
    """TMDB, and the store of a cache; thread-safe, a context manager.

    It has its own connection to MongoDB and its own circuit breakers: no program
    waits for these calls, so that an operation may take seconds.

    Args:
        engine: the cache.
        api_key: a v3 API key or a Bearer token; None: ``TMDB_API_KEY``.
        rate: maximum calls per second.
        connections: maximum concurrent calls, at most 20.
        base_url: TMDB's base URL, or that of a server in the cache's ``hosts``.

    Raises:
        ConfigError: an argument is invalid.
        StoreError: the cache is closed.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        api_key: str | None = None,
        rate: float = DEFAULT_RATE,
        connections: int = MAX_CONNECTIONS,
        base_url: str = BASE_URL,
    ) -> None:
        self._base = _checked_base(base_url, engine.hosts)
        limit = _rate_of(rate)
        if isinstance(connections, bool) or not isinstance(connections, int) or not 1 <= connections <= MAX_CONNECTIONS:
            raise ConfigError(f"connections must be from 1 to {MAX_CONNECTIONS}, TMDB's limit, not {connections!r}")
        if engine.closed:
            raise StoreError(CLOSED)
        if engine.offline or engine.config.disabled:
            raise ConfigError(
                "this calls TMDB and fills the cache, so offline and disabled must not be set "
                "(a test with a recording is offline)"
            )
        self._session = requests.Session()
        self._authenticate(api_key)
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, HTTPAdapter(pool_connections=1, pool_maxsize=connections, pool_block=True))
        self._hosts, self._rules = engine.hosts, engine.config.policy
        self._recorder = engine.driver.recorder  # whose counts the engine's driver flushes
        timeout = max(float(engine.config.store_timeout), _STORE_TIMEOUT)  # type: ignore[arg-type]
        self._driver = SyncDriver(engine.config.changed(store_timeout=timeout, memory_ttl=0), self._recorder)
        self._limiter = Limiter(limit)
        self.throttle = Throttle()
        self._lock = threading.Lock()
        self.connections, self.calls = connections, 0

    def _authenticate(self, api_key: str | None) -> None:
        key = (api_key or os.environ.get(KEY_VARIABLE, "")).strip()
        if not key:
            raise ConfigError(f"TMDB needs an API key: set {KEY_VARIABLE} (or pass api_key= in a program)")
        if not key.isascii() or not key.isprintable() or " " in key:
            raise ConfigError("the API key contains characters that no TMDB key has; is it complete?")
        # A v3 key is 32 hexadecimal digits; a token is longer and has two dots.
        if key.count(".") == 2 and len(key) > 40:
            self._session.headers["Authorization"] = f"Bearer {key}"
        else:
            self._session.params = {"api_key": key}

    def __enter__(self) -> Upstream:
        return self

    def __exit__(self, *_: object) -> None:
        self._limiter.close()
        self._session.close()
        if self._recorder.flusher is not None:
            self._recorder.flusher.flush(self._driver.store.add_counts)
        self._driver.close()

    @property
    def store(self) -> MongoStore:
        """The store of the responses."""
        return self._driver.store.unguarded

    @property
    def can_write(self) -> bool:
        """Whether MongoDB accepts writes, as far as is known."""
        return self._driver.store.takes_writes

    def url(self, path: str, query: str = "") -> str:
        """Return the URL of a path at TMDB, without the API key."""
        return f"{self._base}{path}?{query}" if query else f"{self._base}{path}"

    def key(self, url: str) -> str:
        """Return the cache key of a call of this client; empty if it is never cached."""
        call = classify("GET", url, self._session.headers, hosts=self._hosts)
        return "" if call is None else call.key

    def fetch(self, url: str) -> Result | None:
        """Fetch a response into the cache; None if the cache has a fresh one.

        Raises:
            Stopped: it was not started.
            UpstreamError: the call is never cached, or TMDB limits the rate repeatedly.
        """
        request = self._session.prepare_request(requests.Request("GET", url))
        call = classify("GET", request.url, request.headers, hosts=self._hosts)
        if call is None or call.bypass:
            raise UpstreamError(f"never cached: {call.bypass if call is not None else 'not a TMDB URL'}")
        options = {"timeout": _TIMEOUT, "allow_redirects": True, **self._environment(request)}
        for _ in range(_MOST_LIMITED):
            self._wait_for_rate_limit()  # before it acquires the lease: meanwhile programs may make the call
            exchange = RequestsExchange(self._session, request, self._one_send(), options, call)
            try:
                return self._driver.renew(call, self._rules, exchange)
            except _Limited:
                continue
        raise UpstreamError("status 429, repeatedly")

    def json(self, path: str, params: Mapping[str, str]) -> Any:
        """Request JSON from TMDB, past the cache, with retries.

        Raises:
            Stopped: :meth:`.Throttle.stop` was called.
            UpstreamError: TMDB failed repeatedly, or rejects the call.
        """
        request = self._session.prepare_request(requests.Request("GET", self.url(path), params=dict(params)))
        options = self._environment(request)
        why = ""
        for attempt in range(1, _ATTEMPTS + 1):
            headers: Mapping[str, str] = {}
            self._wait_for_rate_limit()
            began, failed = perf_counter(), True
            try:
                response = self._send(request, timeout=_PAGE_TIMEOUT, **options)
                failed = response.status_code >= 500 or response.status_code == 429
                if response.status_code == 200:
                    return json_body.parse(response.content)
                why, headers = f"status {response.status_code}", response.headers
            except _UNREADABLE as error:
                why = type(error).__name__
            else:
                if response.status_code in (401, 403):
                    raise KeyRefused(f"TMDB rejects the API key (status {response.status_code})")
                if response.status_code == 422:
                    raise ParamsRejected(f"TMDB rejects the params of {path} (status 422)")
                if not failed:
                    break
            finally:
                self._recorder.by_itself(
                    endpoints.find(path).template or OTHER, utcnow(), perf_counter() - began, failed=failed
                )
            pause = pause_at_limit(attempt, retry_after(headers, utcnow()))
            if attempt == _ATTEMPTS or pause > _LONGEST_PAUSE:
                break
            self.throttle.sleep(pause)
        raise UpstreamError(f"TMDB failed for {path} ({why}); run the command again to resume")

    def _environment(self, request: PreparedRequest) -> dict[str, Any]:
        """Return the proxies and certificates of the environment, as ``Session.request`` does."""
        return dict(self._session.merge_environment_settings(request.url or "", {}, False, None, None))

    def _one_send(self) -> Callable[..., Response]:
        """Return a function that sends a request; from its second one on (redirects) it waits for the rate limit."""
        may_send = True

        def send(request: PreparedRequest, **options: Any) -> Response:
            nonlocal may_send
            if not may_send:
                self._wait_for_rate_limit()
            may_send = False
            response = self._send(request, **options)
            if response.status_code == 429:
                self.throttle.limit.met(retry_after(response.headers, utcnow()))
                raise _Limited
            self.throttle.limit.passed()
            return response

        return send

    def _wait_for_rate_limit(self) -> None:
        self.throttle.wait_for_limit()
        while not self._limiter.try_acquire("tmdb", timeout=_POLL):
            self.throttle.wait_for_limit()
        self.throttle.wait_for_limit()

    def _send(self, request: PreparedRequest, **options: Any) -> Response:
        """Send, without the cache that may be installed in this process."""
        with self._lock:
            self.calls += 1
        with entered(Scope(None)):
            return self._session.send(request, **options)


def _checked_base(base_url: str, hosts: frozenset[str]) -> str:
    base = base_url.rstrip("/").removesuffix("/3") if isinstance(base_url, str) else ""
    target = urls.split(base)
    if target is None or target.path or target.query or "@" in base or not urls.is_tmdb(target, hosts):
        raise ConfigError(f"base_url must be {BASE_URL}, or a server listed in hosts, like http://localhost:8080")
    return base


def _rate_of(rate: float) -> Rate:
    is_number = isinstance(rate, int | float) and not isinstance(rate, bool)
    if not is_number or not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise ConfigError(f"rate must be calls per second, from {LOWEST_RATE:g} to {HIGHEST_RATE:g}, not {rate!r}")
    most = max(int(rate), 1)
    return Rate(most, math.ceil(most * Duration.SECOND / rate))
