"""Which cache a call belongs to: the one installed for the process, or one for this context alone.

And which call is under way in a context.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple

from . import pending
from .cache import TMDBCache
from .config import CacheConfig
from .environment import config_environment
from .errors import CLOSED, ConfigError, StoreError
from .forks import ForkSafeLock
from .tmdb import expiration
from .tmdb.rules import Policy

if TYPE_CHECKING:
    from requests import PreparedRequest, Session

    from .looking import Looked
    from .tmdb.calls import Call


class Active(NamedTuple):
    """A cache and the settings it has for the calls in question."""

    cache: TMDBCache
    rules: Policy


class Scope(NamedTuple):
    """What holds in a context: a cache, or (None) none at all."""

    active: Active | None
    inherited: bool = False


class Pending:
    """What was looked up for a call that is on its way to ``send``; to be used once."""

    __slots__ = ("cache", "call", "headers", "looked", "session", "used")

    def __init__(self, cache: TMDBCache, session: Session, call: Call, headers: int, looked: Looked) -> None:
        self.cache = cache
        self.session = session
        self.call = call
        self.headers = headers
        self.looked = looked
        self.used = False


_scope: ContextVar[Scope | None] = ContextVar("tmdb_mongo_cache_scope", default=None)
_inside: ContextVar[Session | None] = ContextVar("tmdb_mongo_cache_inside", default=None)
_pending: ContextVar[Pending | None] = ContextVar("tmdb_mongo_cache_pending", default=None)
_lock = ForkSafeLock()
_installed: TMDBCache | None = None
_installed_active: Active | None = None
_default: tuple[tuple[str | None, ...], TMDBCache] | None = None


def active() -> Active | None:
    """Return what a call made here and now belongs to; None when it is not cached."""
    scope = _scope.get()
    return _installed_active if scope is None else scope.active


def current_scope() -> Scope | None:
    """Return what was set for this context, if anything."""
    return _scope.get()


@contextmanager
def entered(scope: Scope | None) -> Iterator[None]:
    """Let a scope hold within; scopes nest and restore."""
    token = _scope.set(scope)
    try:
        yield
    finally:
        # A coroutine that was dropped half-way is closed in whatever context the collector runs in.
        with suppress(ValueError):
            _scope.reset(token)


def is_inside(session: Session) -> bool:
    """Say whether this is a redirect of the session's call that is under way, which enters ``send`` again."""
    return _inside.get() is session


@contextmanager
def inside(session: Session | None) -> Iterator[None]:
    """Mark what a session sends within as part of its call under way, or (None) as a call of its own."""
    token = _inside.set(session)
    try:
        yield
    finally:
        _inside.reset(token)


@contextmanager
def handed_over(pending: Pending | None) -> Iterator[None]:
    """Have the call made within use what was looked up for it."""
    token = _pending.set(pending)
    try:
        yield
    finally:
        _pending.reset(token)


def take_pending(cache: TMDBCache, session: Session, request: PreparedRequest) -> Pending | None:
    """Return what was looked up in a cache for this request of the session, once."""
    pending = _pending.get()
    if pending is None or pending.used or pending.cache is not cache or pending.session is not session:
        return None
    # A header more is one that the call was not known by.
    if pending.call.url != request.url or pending.headers != len(request.headers):
        return None
    pending.used = True
    return pending


def scope_of(cache: TMDBCache, changes: Mapping[str, Any] | None = None, *, inherited: bool = False) -> Scope:
    """Make a scope of a cache, with the settings of single calls.

    Args:
        cache: the cache; one that is disabled makes a scope without one.
        changes: as :func:`call_settings` gives them.
        inherited: whether threads started within belong to it.
    """
    if cache.config.disabled:
        return Scope(None, inherited)
    rules = cache.config.policy._replace(**changes) if changes else cache.config.policy
    return Scope(Active(cache, rules), inherited)


def set_installed(cache: TMDBCache | None) -> None:
    """Set the cache of the whole process."""
    global _installed, _installed_active
    _installed_active = None if cache is None else scope_of(cache).active
    _installed = cache


def installed_cache() -> TMDBCache | None:
    """Return the cache of the whole process, if there is one."""
    pending.settle()
    return _installed


def usual_cache() -> TMDBCache:
    """Return the cache that is meant when none is named: the one in force, or one made from the environment."""
    global _default
    pending.settle()
    found = active()
    for cache in (None if found is None else found.cache, installed_cache()):
        if cache is not None and not cache.closed:
            return cache
    environment = config_environment()
    default = _default
    if default is not None and default[0] == environment and not default[1].closed:
        return default[1]
    with _lock:
        if _default is None or _default[0] != environment or _default[1].closed:
            _default = (environment, TMDBCache())
        return _default[1]


def chosen_cache(cache: TMDBCache | CacheConfig | None, config: Mapping[str, Any]) -> tuple[TMDBCache, bool]:
    """Return the cache that a door's arguments name, and whether it was made for them.

    Raises:
        TypeError: both a cache and settings, or something else than a cache.
        ConfigError: a setting that cannot be used.
        StoreError: the cache is closed.
    """
    if isinstance(cache, CacheConfig):
        return TMDBCache(cache, **config), True
    if cache is not None and not isinstance(cache, TMDBCache):
        raise TypeError(f"cache must be a TMDBCache, not {type(cache).__name__}")
    if cache is not None:
        if config:
            raise TypeError("give either a cache or settings for a new one, not both")
        if cache.closed:
            raise StoreError(CLOSED)
        return cache, False
    if config:
        return TMDBCache(**config), True
    return usual_cache(), False


def _flag(value: Any, name: str) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be True or False, not {value!r}")
    return value


_CALL_SETTINGS: dict[str, tuple[str, Callable[[Any, str], Any]]] = {
    "expire_after": ("call_expire_after", expiration.wanted),
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
    """Check the settings of single calls and bring them into the form of :class:`~.tmdb.rules.Policy`.

    Raises:
        TypeError: an unknown name.
        ConfigError: a value that cannot be used.
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
