"""TMDB as the jobs call it: with a key, within a rate and a number of connections, and with patience."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Mapping
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Any

import requests
from pyrate_limiter import Duration, Limiter, Rate
from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter

from ..asking import Outcome, utcnow
from ..errors import CLOSED, ConfigError, StoreError, UpstreamError
from ..flow import Flow
from ..scope import Scope, entered
from ..sending import Transmission
from ..stats import OTHER
from ..store.mongo import MongoStore
from ..tmdb import bodies, endpoints, urls
from ..tmdb.calls import classify
from ..tmdb.hosts import BASE_URL
from ..tmdb.limits import MOST_CONNECTIONS, RATE, pause_at_limit, retry_after
from .pausing import Pause

if TYPE_CHECKING:
    from ..cache import TMDBCache

KEY_VARIABLE = "TMDB_API_KEY"
LEAST_A_SECOND, MOST_A_SECOND = 0.001, 10_000.0

_TIMEOUT = (10.0, 30.0)

# For a page of the feed: all attempts together within the lease of who follows it.
_ATTEMPTS = 4
_TIMEOUT_OF_PAGE = (3.0, 8.0)
_LONGEST_PAUSE = 10.0
_LIMITED = 10
_LOOK_UP = 0.5  # seconds after which who waits for its turn looks whether it is to go on
_STORE_TIMEOUT = 10.0
_UNREADABLE = (requests.RequestException, ValueError, RecursionError)


class KeyRefused(UpstreamError):
    """Raised when TMDB does not accept the key: nothing will work before there is another one."""


class Refused(UpstreamError):
    """Raised when TMDB does not like the params it was asked with."""


class _Limited(Exception):
    """Raised to let a call go that TMDB's rate limit has met, with its lease, until it is made again."""


class Upstream:
    """TMDB, for one job; usable from many threads, a context manager.

    It has a way to MongoDB of its own: nobody waits for these calls, so an
    operation may take seconds, and what a program's calls have met is not met here.

    Args:
        cache: the cache that the job is for.
        api_key: a v3 key or a Bearer token; None: ``TMDB_API_KEY``.
        rate: calls a second at most.
        connections: how many at once, 20 at most.
        base_url: where TMDB is: its own address, or one of the cache's ``hosts``.

    Raises:
        ConfigError: something of this cannot be used.
        StoreError: the cache is closed.
    """

    def __init__(
        self,
        cache: TMDBCache,
        *,
        api_key: str | None = None,
        rate: float = RATE,
        connections: int = MOST_CONNECTIONS,
        base_url: str = BASE_URL,
    ) -> None:
        self._base = _checked_base(base_url, cache.hosts)
        limit = _rate_of(rate)
        _check_connections(connections)
        if cache.closed:
            raise StoreError(CLOSED)
        if cache.config.offline or cache.config.disabled:
            raise ConfigError("this calls TMDB and fills the cache, so neither offline nor disabled may be set")
        self._session = requests.Session()
        self._authenticate(api_key)
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, HTTPAdapter(pool_connections=1, pool_maxsize=connections, pool_block=True))
        self._hosts, self._rules = cache.hosts, cache.config.policy
        self._recorder = cache.flow.recorder  # of the cache's own flow, which adds up what is recorded
        timeout = max(float(cache.config.store_timeout), _STORE_TIMEOUT)  # type: ignore[arg-type]
        self._flow = Flow(cache.config.changed(store_timeout=timeout, memory_ttl=0), self._recorder)
        self._limiter = Limiter(limit)
        self._pause = Pause()
        self._lock = threading.Lock()
        self.calls = 0

    def _authenticate(self, api_key: str | None) -> None:
        key = (api_key or os.environ.get(KEY_VARIABLE, "")).strip()
        if not key:
            raise ConfigError(f"TMDB wants a key: set {KEY_VARIABLE} (in a program, api_key= will do)")
        if not key.isascii() or not key.isprintable() or " " in key:
            raise ConfigError("the key for TMDB has characters that no key has; is it whole?")
        # A v3 key is 32 hexadecimal digits; a token is longer and has two dots.
        if key.count(".") == 2 and len(key) > 40:
            self._session.headers["Authorization"] = f"Bearer {key}"
        else:
            self._session.params = {"api_key": key}

    def __enter__(self) -> Upstream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._limiter.close()
        self._session.close()
        if self._recorder.summing is not None:
            self._recorder.summing.add(self._flow.guarded)
        self._flow.close()

    @property
    def store(self) -> MongoStore:
        """Where the answers are kept."""
        return self._flow.guarded.store

    @property
    def keeps(self) -> bool:
        """Whether MongoDB takes answers, as far as is known."""
        return self._flow.guarded.takes_writes

    def stop(self) -> None:
        """Begin no call any more."""
        self._pause.stop()

    @property
    def stopped(self) -> bool:
        """Whether :meth:`stop` was called."""
        return self._pause.stopped

    @property
    def is_limited(self) -> bool:
        """Whether calls wait because TMDB limits the rate."""
        return self._pause.is_on

    def url(self, path: str, query: str = "") -> str:
        """Return the URL of a path at TMDB, without the key."""
        return f"{self._base}{path}?{query}" if query else f"{self._base}{path}"

    def key(self, url: str) -> str:
        """Return the key of the answer at an URL; empty where it is none that is ever cached when this asks for it."""
        call = classify("GET", url, self._session.headers, hosts=self._hosts)
        return "" if call is None else call.key

    def fetch(self, url: str) -> Outcome | None:
        """Have the cache fetch what it has no fresh answer for; None where it has one.

        Raises:
            Stopped: it was not begun.
            UpstreamError: the URL is none that is ever cached, or TMDB limits the rate again and again.
        """
        request = self._session.prepare_request(requests.Request("GET", url))
        call = classify("GET", request.url, request.headers, hosts=self._hosts)
        if call is None or call.straight:
            raise UpstreamError(f"never cached: {call.straight if call is not None else 'not an URL of TMDB'}")
        options = {"timeout": _TIMEOUT, "allow_redirects": True, **self._environment(request)}
        for _ in range(_LIMITED):
            self._wait_for_turn()  # before the lease is taken: while this waits, programs may make the call
            transmission = Transmission(
                self._session, request, self._one_send(), options, stream=False, hosts=self._hosts
            )
            try:
                return self._flow.renew(call, self._rules, transmission)
            except _Limited:
                continue
        raise UpstreamError("status 429, again and again")

    def json(self, path: str, params: Mapping[str, str]) -> Any:
        """Get an answer from TMDB itself, past the cache; what fails is tried again for a while.

        Raises:
            Stopped: somebody has stopped it.
            UpstreamError: TMDB failed again and again, or refuses the call.
        """
        request = self._session.prepare_request(requests.Request("GET", self.url(path), params=dict(params)))
        options = self._environment(request)
        why = ""
        for attempt in range(1, _ATTEMPTS + 1):
            said: Mapping[str, str] = {}
            self._wait_for_turn()
            began, failed = perf_counter(), True
            try:
                response = self._send(request, timeout=_TIMEOUT_OF_PAGE, **options)
                failed = response.status_code >= 500 or response.status_code == 429
                if response.status_code == 200:
                    return bodies.parse(response.content)
                why, said = f"status {response.status_code}", response.headers
            except _UNREADABLE as error:
                why = type(error).__name__
            else:
                if response.status_code in (401, 403):
                    raise KeyRefused(f"TMDB does not accept the key (status {response.status_code})")
                if response.status_code == 422:
                    raise Refused(f"TMDB refuses the params of {path} (status 422)")
                if not failed:
                    break
            finally:
                self._recorder.by_itself(
                    endpoints.find(path).template or OTHER, utcnow(), perf_counter() - began, failed=failed
                )
            pause = pause_at_limit(attempt, retry_after(said, utcnow()))
            if attempt == _ATTEMPTS or pause > _LONGEST_PAUSE:
                break
            self._pause.wait(pause)
        raise UpstreamError(f"TMDB failed for {path} ({why}); run it again to go on")

    def _environment(self, request: PreparedRequest) -> dict[str, Any]:
        """Return the proxies and certificates that the environment names, as ``Session.request`` does."""
        return dict(self._session.merge_environment_settings(request.url or "", {}, False, None, None))

    def _one_send(self) -> Callable[..., Response]:
        """Return what sends a request whose turn has come; what it sends beyond that waits for a turn of its own."""
        has_turn = True

        def send(request: PreparedRequest, **options: Any) -> Response:
            nonlocal has_turn
            if not has_turn:
                self._wait_for_turn()
            has_turn = False
            response = self._send(request, **options)
            if response.status_code == 429:
                self._pause.limit.met(retry_after(response.headers, utcnow()))
                raise _Limited
            self._pause.limit.passed()
            return response

        return send

    def _wait_for_turn(self) -> None:
        self._pause.over()
        while not self._limiter.try_acquire("tmdb", timeout=_LOOK_UP):
            self._pause.over()
        self._pause.over()

    def _send(self, request: PreparedRequest, **options: Any) -> Response:
        """Send, as if no door of this package were open in this process."""
        with self._lock:
            self.calls += 1
        with entered(Scope(None)):
            return self._session.send(request, **options)


def _checked_base(base_url: str, hosts: frozenset[str]) -> str:
    base = base_url.rstrip("/").removesuffix("/3") if isinstance(base_url, str) else ""
    target = urls.split(base)
    if target is None or target.path or target.query or "@" in base or not urls.is_tmdb(target, hosts):
        raise ConfigError(
            f"base_url must be {BASE_URL}, or a server whose name is in hosts, like http://localhost:8080"
        )
    return base


def _rate_of(rate: float) -> Rate:
    is_number = isinstance(rate, int | float) and not isinstance(rate, bool)
    if not is_number or not LEAST_A_SECOND <= rate <= MOST_A_SECOND:
        raise ConfigError(f"rate must be calls a second, from {LEAST_A_SECOND:g} to {MOST_A_SECOND:g}, not {rate!r}")
    most = max(int(rate), 1)
    return Rate(most, math.ceil(most * Duration.SECOND / rate))


def _check_connections(connections: int) -> None:
    if isinstance(connections, bool) or not isinstance(connections, int) or not 1 <= connections <= MOST_CONNECTIONS:
        raise ConfigError(f"connections must be from 1 to {MOST_CONNECTIONS}, as TMDB allows, not {connections!r}")
