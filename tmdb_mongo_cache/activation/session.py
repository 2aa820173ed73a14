"""``TMDBSession``: a session whose TMDB calls are cached, with requests-cache's arguments for single calls."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import requests
from requests import PreparedRequest, Response

from .. import context
from ..cache import TMDBCache, resolve_cache
from ..config import CacheConfig
from ..integrations.requests import adapter, fast_path, session_checks

_call: ContextVar[dict[str, Any] | None] = ContextVar("tmdb_mongo_cache_session_call", default=None)


if TYPE_CHECKING:
    _Base = requests.Session
else:
    _Base = session_checks.session_class()


class TMDBSession(_Base):
    """A ``requests.Session`` whose TMDB calls are cached; all others are not affected.

    Args:
        cache: the cache to use; None uses the one in effect, or creates one from the settings.
        config: settings, as for :class:`~tmdb_mongo_cache.CacheConfig`.

    Every method that sends a request takes four more arguments, named as in requests-cache:
    ``expire_after`` (of this response), ``only_if_cached`` (a 504 instead of a
    call), ``refresh`` (revalidate with TMDB) and ``force_refresh`` (fetch again).
    A cache that was created for the session is closed with it.

    Raises:
        TypeError: an unknown setting, or both a cache and settings.
        ConfigError: an invalid value.
    """

    _tmdb_own_cache = True

    def __init__(self, cache: TMDBCache | CacheConfig | None = None, **config: Any) -> None:
        super().__init__()
        self.cache, self._owns_cache = resolve_cache(cache, config)

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
        """Prepare and send a request; see the class for the additional arguments."""
        changes = _changes(expire_after, only_if_cached, refresh, force_refresh)
        pending, found = None, self._active(changes)
        if (
            found is not None
            and isinstance(url, str)
            and found.engine.may_be_tmdb(url)
            and session_checks.requests_as_usual()
            and session_checks.takes_the_usual_way(self, send_of=TMDBSession)
        ):
            response, pending = fast_path.answer(found, self, (method, url, *args), kwargs)
            if response is not None:
                return response
        token = _call.set(changes)
        try:
            with context.inside(pending):
                return super().request(method, url, *args, **kwargs)
        finally:
            _call.reset(token)

    def get(self, url: str | bytes, params: Any = None, **kwargs: Any) -> Response:
        """Send a GET; see the class for the additional arguments."""
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
        """Send a prepared request; see the class for the additional arguments."""
        original = super().send
        if context.is_inside(self):
            return original(request, **kwargs)
        changes = {**(_call.get() or {}), **_changes(expire_after, only_if_cached, refresh, force_refresh)}
        found = self._active(changes)
        if found is None:
            return original(request, **kwargs)
        return adapter.send(found, self, request, original, kwargs)

    def _active(self, changes: dict[str, Any]) -> context.Active | None:
        current = context.current_scope()
        if current is not None and current.active is None:
            return None  # disabled() applies to everything in its context
        return context.overridden(context.scope_of(self.cache, changes).active)

    def close(self) -> None:
        """Close the session, and its cache if that was created for it."""
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
    return context.call_settings(**given)
