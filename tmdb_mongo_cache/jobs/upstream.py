"""TMDB as the jobs call it: with a key, within a rate and a number of connections, and with patience."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

import requests
from pyrate_limiter import Duration, Limiter, Rate
from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter

from ..asking import Outcome, utcnow
from ..errors import CLOSED, ConfigError, StoreError, UpstreamError
from ..scope import Scope, entered
from ..sending import Transmission
from ..tmdb import urls
from ..tmdb.calls import classify
from ..tmdb.limits import pause_at_limit, retry_after

if TYPE_CHECKING:
    from ..cache import TMDBCache

BASE_URL = "https://api.themoviedb.org"
KEY_VARIABLE = "TMDB_API_KEY"
MOST_CONNECTIONS = 20
"""TMDB's own limit for one address."""

RATE = 20.0
"""Calls a second: half of what TMDB allows (40 to 50), for programs run beside this."""

MOST_A_SECOND = 10_000.0

_TIMEOUT = (10.0, 30.0)
_ATTEMPTS = 5
_LONGEST_PAUSE = 20.0  # well within the lease of who follows the feed
_UNREADABLE = (requests.RequestException, ValueError)


class Upstream:
    """TMDB, for one job; usable from many threads, a context manager.

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
        self._cache = cache
        self._base = _checked_base(base_url, cache)
        self._limiter = _limiter(rate)
        check_connections(connections)
        if cache.closed:
            raise StoreError(CLOSED)
        if cache.config.offline or cache.config.disabled:
            raise ConfigError("this calls TMDB and fills the cache, so neither offline nor disabled may be set")
        # Slow to come or limited is no reason to give an id up: nobody waits for it.
        self._rules = cache.config.policy._replace(wait_on_rate_limit=True)
        self._stopped = threading.Event()
        self.calls = 0
        self._lock = threading.Lock()
        self._session = requests.Session()
        self._authenticate(api_key)
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, HTTPAdapter(pool_connections=1, pool_maxsize=connections, pool_block=True))

    def _authenticate(self, api_key: str | None) -> None:
        key = (api_key or os.environ.get(KEY_VARIABLE, "")).strip()
        if not key:
            raise ConfigError(f"TMDB wants a key: set {KEY_VARIABLE}, or give api_key=")
        if not key.isascii() or not key.isprintable() or " " in key:
            raise ConfigError("the key for TMDB has characters that no key has; is it whole?")
        # A v3 key is 32 hexadecimal digits; what is longer and has dots is a token.
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

    def stop(self) -> None:
        """Begin no call any more."""
        self._stopped.set()

    @property
    def stopped(self) -> bool:
        """Whether :meth:`stop` was called."""
        return self._stopped.is_set()

    def url(self, path: str, query: str = "") -> str:
        """Return the URL of a path at TMDB, without the key."""
        return f"{self._base}{path}?{query}" if query else f"{self._base}{path}"

    def key(self, url: str) -> str:
        """Return the key of the answer at an URL; empty where it is none that is ever cached."""
        call = classify("GET", url, {}, hosts=self._cache.hosts)
        return "" if call is None else call.key

    def fetch(self, url: str) -> Outcome | None:
        """Have the cache fetch what it has no fresh answer for; None where it has one.

        Raises:
            UpstreamError: the URL is none that is ever cached.
        """
        request = self._session.prepare_request(requests.Request("GET", url))
        call = classify("GET", request.url, request.headers, hosts=self._cache.hosts)
        if call is None or call.straight:
            raise UpstreamError(f"{url}: never cached" + (f": {call.straight}" if call is not None else ""))
        options = {"timeout": _TIMEOUT, "allow_redirects": True, **self._environment(request)}
        transmission = Transmission(self._session, request, self._send, options, stream=False)
        return self._cache.flow.renew(call, self._rules, transmission)

    def json(self, path: str, params: Mapping[str, str]) -> Any:
        """Get an answer from TMDB itself, past the cache; what fails is tried again for a while.

        Raises:
            UpstreamError: TMDB failed again and again, or refuses the call.
        """
        request = self._session.prepare_request(requests.Request("GET", self.url(path), params=dict(params)))
        options = self._environment(request)
        why = ""
        for attempt in range(1, _ATTEMPTS + 1):
            said: Mapping[str, str] = {}
            try:
                response = self._send(request, timeout=_TIMEOUT, **options)
                if response.status_code == 200:
                    return response.json()
                why, said = f"status {response.status_code}", response.headers
            except _UNREADABLE as error:
                why = type(error).__name__
            else:
                if response.status_code in (401, 403):
                    raise UpstreamError(f"TMDB does not accept the key (status {response.status_code})")
                if response.status_code < 500 and response.status_code != 429:
                    break
            pause = min(pause_at_limit(attempt, retry_after(said, utcnow())), _LONGEST_PAUSE)
            if attempt == _ATTEMPTS or self._stopped.wait(pause):
                break
        raise UpstreamError(f"TMDB failed for {path} ({why}); run it again to go on")

    def _environment(self, request: PreparedRequest) -> dict[str, Any]:
        """Return the proxies and certificates that the environment names, as ``Session.request`` does."""
        return dict(self._session.merge_environment_settings(request.url or "", {}, False, None, None))

    def _send(self, request: PreparedRequest, **options: Any) -> Response:
        """Send, when the rate allows it, and as if no door of this package were open in this process."""
        self._limiter.try_acquire("tmdb")
        with self._lock:
            self.calls += 1
        with entered(Scope(None)):
            return self._session.send(request, **options)


def _checked_base(base_url: str, cache: TMDBCache) -> str:
    base = base_url.rstrip("/").removesuffix("/3") if isinstance(base_url, str) else ""
    target = urls.split(base)
    if target is None or target.path or target.query or not urls.is_tmdb(target, cache.hosts):
        raise ConfigError(
            f"base_url must be {BASE_URL}, or a server whose name is in hosts, like http://localhost:8080"
        )
    return base


def _limiter(rate: float) -> Limiter:
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate <= MOST_A_SECOND:
        raise ConfigError(f"rate must be calls a second, more than 0 and {MOST_A_SECOND:g} at most, not {rate!r}")
    most = max(int(rate), 1)
    return Limiter(Rate(most, math.ceil(most * Duration.SECOND / rate)))


def check_connections(connections: int) -> int:
    """Return a number of connections that TMDB allows.

    Raises:
        ConfigError: it is none.
    """
    if isinstance(connections, bool) or not isinstance(connections, int) or not 1 <= connections <= MOST_CONNECTIONS:
        raise ConfigError(f"connections must be from 1 to {MOST_CONNECTIONS}, as TMDB allows, not {connections!r}")
    return connections
