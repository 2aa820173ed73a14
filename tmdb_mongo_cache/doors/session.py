"""``TMDBSession``: a session whose TMDB calls are cached, with requests-cache's arguments for single calls."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import requests
from requests import PreparedRequest, Response

from .. import exchange, plain, scope, sessions
from ..cache import TMDBCache
from ..config import CacheConfig

_call: ContextVar[dict[str, Any] | None] = ContextVar("tmdb_mongo_cache_session_call", default=None)


if TYPE_CHECKING:
    _Base = requests.Session
else:
    _Base = sessions.session_class()


class TMDBSession(_Base):
    """A ``requests.Session`` whose TMDB calls are cached; all others go as they always do.

    Args:
        cache: the cache to use; None takes the one in force, or makes one of the settings.
        config: settings, as for :class:`~tmdb_mongo_cache.CacheConfig`.

    Every method that sends takes four arguments more, by requests-cache's names:
    ``expire_after`` (for this answer), ``only_if_cached`` (a 504 instead of a
    call), ``refresh`` (ask TMDB whether it has changed) and ``force_refresh``
    (fetch it anew). A cache that was made for the session is closed with it.

    Raises:
        TypeError: an unknown setting, or a cache and settings.
        ConfigError: a value that cannot be used.
    """

    _tmdb_own_cache = True

    def __init__(self, cache: TMDBCache | CacheConfig | None = None, **config: Any) -> None:
        super().__init__()
        self.cache, self._owns_cache = scope.chosen_cache(cache, config)

    def request(
        self,
        method: str,
        url: str | bytes,
        *args: Any,
        expire_after: Any = None,
        only_if_cached: bool = False,
        refresh: bool = False,
        force_refresh: bool = False,
        **kwargs: Any,
    ) -> Response:
        """Prepare and send a request; see the class for the arguments that requests has not."""
        changes = _changes(expire_after, only_if_cached, refresh, force_refresh)
        looked, found = None, self._scope(changes)
        if (
            found is not None
            and isinstance(url, str)
            and found.cache.may_be_tmdb(url)
            and sessions.requests_as_usual()
            and sessions.takes_the_usual_way(self, send_of=TMDBSession)
        ):
            response, looked = plain.answer(found, self, (method, url, *args), kwargs)
            if response is not None:
                return response
        token = _call.set(changes)
        try:
            with scope.inside(None), scope.handed_over(looked):
                return super().request(method, url, *args, **kwargs)
        finally:
            _call.reset(token)

    def get(self, url: str | bytes, params: Any = None, **kwargs: Any) -> Response:
        """Send a GET; see the class for the arguments that requests has not."""
        kwargs.setdefault("allow_redirects", True)
        return self.request("GET", url, params=params, **kwargs)

    def send(
        self,
        request: PreparedRequest,
        *,
        expire_after: Any = None,
        only_if_cached: bool = False,
        refresh: bool = False,
        force_refresh: bool = False,
        **kwargs: Any,
    ) -> Response:
        """Send a prepared request; see the class for the arguments that requests has not."""
        original = super().send
        if scope.is_inside(self):
            return original(request, **kwargs)
        changes = {**(_call.get() or {}), **_changes(expire_after, only_if_cached, refresh, force_refresh)}
        found = self._scope(changes)
        if found is None:
            return original(request, **kwargs)
        return exchange.send(found.cache, found.rules, self, request, original, kwargs)

    def _scope(self, changes: dict[str, Any]) -> scope.Active | None:
        now = scope.current_scope()
        if now is not None and now.active is None:
            return None  # disabled() is for everything in its context
        return scope.scope_of(self.cache, changes).active

    def close(self) -> None:
        """Close the session, and the cache if it was made for it."""
        super().close()
        if self._owns_cache:
            self.cache.close()

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())  # type: ignore[no-untyped-call, unused-ignore]
        state["_config"] = self.cache.config
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        config = state.pop("_config")
        super().__setstate__(state)  # type: ignore[no-untyped-call, unused-ignore]
        self.cache, self._owns_cache = TMDBCache(config), True


def _changes(expire_after: Any, only_if_cached: bool, refresh: bool, force_refresh: bool) -> dict[str, Any]:
    given = {
        "expire_after": expire_after,
        "only_if_cached": only_if_cached or None,
        "refresh": refresh or None,
        "force_refresh": force_refresh or None,
    }
    return scope.call_settings(**given)
