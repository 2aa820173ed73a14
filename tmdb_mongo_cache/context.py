"""Which cache a call uses: the one installed for the process, or one for the current context only.

And which call is in progress in a context.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from . import deferred_install
from .config import overrides
from .core.settings import Policy
from .errors import ConfigError
from .httpcache import expiration

if TYPE_CHECKING:
    from requests import PreparedRequest, Session

    from .engine import Engine
    from .runtime.sync_driver import Begun
    from .tmdb.call import Call


class Cached(Protocol):
    """A ``TMDBCache``, which is in a layer above this module."""

    engine: Engine


class Active(NamedTuple):
    """A cache and its settings for the calls of a context; ``cache`` is the ``TMDBCache`` itself."""

    engine: Engine
    rules: Policy
    cache: Any


class Scope(NamedTuple):
    """What is in effect in a context: a cache, or (None) no cache."""

    active: Active | None
    inherited: bool = False


class Pending(NamedTuple):
    """The paused flow of a call that is about to reach ``send``; ``headers`` is their number in its request."""

    engine: Engine
    session: Session
    call: Call
    headers: int
    begun: Begun

    def __repr__(self) -> str:
        return f"Pending({self.call!r})"


_scope: ContextVar[Scope | None] = ContextVar("tmdb_mongo_cache_scope", default=None)
_inside: ContextVar[Session | Pending | None] = ContextVar("tmdb_mongo_cache_inside", default=None)
_installed: Cached | None = None
_installed_active: Active | None = None


def active() -> Active | None:
    """Return the cache and settings of a call made now; None if it is not cached."""
    scope = _scope.get()
    found = _installed_active if scope is None else scope.active
    return overridden(found) if overrides.offline else found


def overridden(found: Active | None) -> Active | None:
    """Return a cache and its settings with ``offline`` of :data:`.config.overrides` applied."""
    return found._replace(rules=found.rules._replace(offline=True)) if found and overrides.offline else found


def current_scope() -> Scope | None:
    """Return the scope of the current context, if any."""
    return _scope.get()


@contextmanager
def entered(scope: Scope | None) -> Iterator[None]:
    """Apply a scope within; scopes can be nested, and restore the previous one."""
    token = _scope.set(scope)
    try:
        yield
    finally:
        # An abandoned coroutine is closed in the context in which the garbage collector runs.
        with suppress(ValueError):
            _scope.reset(token)


def is_inside(session: Session) -> bool:
    """Return whether this is a redirect of the session's call in progress, for which ``send`` is called again."""
    return _inside.get() is session


@contextmanager
def inside(call: Session | Pending | None) -> Iterator[None]:
    """Mark what is sent within.

    Args:
        call: the session whose call in progress it is part of; the paused flow of a
            separate call, which is resumed; or None for any other separate call.
    """
    token = _inside.set(call)
    try:
        yield
    finally:
        _inside.reset(token)


def take_pending(engine: Engine, session: Session, request: PreparedRequest) -> Pending | None:
    """Return the paused flow in a cache for this request of the session, once."""
    pending = _inside.get()
    if not isinstance(pending, Pending) or pending.engine is not engine or pending.session is not session:
        return None
    # An additional header was not known when the call was classified.
    if pending.call.url != request.url or pending.headers != len(request.headers):
        return None
    _inside.set(None)
    return pending


def scope_of(cache: Cached, changes: Mapping[str, Any] | None = None, *, inherited: bool = False) -> Scope:
    """Create the scope of a cache, with the settings of single calls.

    Args:
        cache: the cache; if it is disabled, the scope has none.
        changes: as returned by :func:`call_settings`.
        inherited: whether threads started within inherit it.
    """
    config = cache.engine.config
    if config.disabled:
        return Scope(None, inherited)
    rules = config.policy._replace(**changes) if changes else config.policy
    return Scope(Active(cache.engine, rules, cache), inherited)


def set_installed(cache: Cached | None) -> None:
    """Set the cache of the whole process."""
    global _installed, _installed_active
    _installed_active = None if cache is None else scope_of(cache).active
    _installed = cache


def installed_cache() -> Any:
    """Return the cache (a ``TMDBCache``) of the whole process, if there is one."""
    deferred_install.run()
    return _installed


def _flag(value: Any, name: str) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be True or False, not {value!r}")
    return value


_CALL_SETTINGS: dict[str, tuple[str, Callable[[Any, str], Any]]] = {
    "expire_after": ("call_expire_after", expiration.normalise_setting),
    "stale_if_error": ("stale_if_error", expiration.duration),
    "stale_while_revalidate": ("stale_while_revalidate", expiration.duration),
    "not_found_expire_after": ("not_found_expire_after", expiration.normalise),
    "cache_control": ("cache_control", _flag),
    "wait_on_rate_limit": ("wait_on_rate_limit", _flag),
    "reuse_appended": ("reuse_appended", _flag),
    "offline": ("offline", _flag),
    "only_if_cached": ("only_if_cached", _flag),
    "refresh": ("refresh", _flag),
    "force_refresh": ("force_refresh", _flag),
}


def call_settings(**settings: Any) -> dict[str, Any]:
    """Validate the settings of single calls and convert them to fields of :class:`~.core.settings.Policy`.

    Raises:
        TypeError: an unknown name.
        ConfigError: an invalid value.
    """
    changes: dict[str, Any] = {}
    for name, value in settings.items():
        if name not in _CALL_SETTINGS:
            known = ", ".join(sorted(_CALL_SETTINGS))
            raise TypeError(f"unknown setting for single calls: {name!r}; there are: {known}")
        if value is None:
            continue
        field, normal = _CALL_SETTINGS[name]
        try:
            changes[field] = normal(value, name)
        except ValueError as error:
            raise ConfigError(str(error)) from None
    return changes
