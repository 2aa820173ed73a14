"""The patch of requests: ``install``, ``uninstall``, ``enabled``, ``disabled``.

``requests.Session.request`` and ``requests.Session.send`` are wrapped on the
class, so that ``requests.get``, sessions made earlier, names imported earlier
and subclasses are all caught; the class itself is never replaced. Other tools
wrap the same methods (OpenTelemetry, ddtrace, New Relic), and may be taken off
in any order, so nothing is remembered about the class: what it holds is looked
up each time, and only what is exactly ours is taken off. Where somebody's
wrapper lies on ours, ours stays below it and does nothing, for without a cache
in force it calls what it wraps.

The wrappers are plain functions: importing wrapt takes longer than all of
``install()``, and calling through it longer than to see that a call is not TMDB's.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FunctionType, ModuleType
from typing import Any

from .. import scope, sessions
from ..cache import TMDBCache
from ..config import CacheConfig
from ..forks import ForkSafeLock

logger = logging.getLogger("tmdb_mongo_cache")

_lock = ForkSafeLock()
_holders = 0
_SESSION = sessions.session_class()

_made: dict[str, tuple[Any, Callable[..., Any]]] = {}
"""The last wrapper of each method, with what it wraps: a decorated function wraps them anew at each call."""

_exchange: ModuleType | None = None
_plain: ModuleType | None = None
_broken = False


def _load() -> bool:
    """Import what a call to TMDB needs, and others do not; say whether that can be had."""
    global _exchange, _plain, _broken
    if _broken:
        return False
    try:
        from .. import exchange, plain
    except Exception as error:  # noqa: BLE001  the cache is never why a program fails
        _broken = True
        logger.warning("TMDB calls are not cached: %s", error or type(error).__name__)
        return False
    _exchange, _plain = exchange, plain
    return True


active = scope.active


def _wrapped_send(wrapped: Callable[..., Any]) -> Callable[..., Any]:
    def send(self: Any, *args: Any, **kwargs: Any) -> Any:
        found = active()
        if found is None or len(args) > 1:
            return wrapped(self, *args, **kwargs)
        request = args[0] if args else kwargs.get("request")
        url = getattr(request, "url", None)
        if not found.cache.may_be_tmdb(url if type(url) is str else _text(url)):
            return wrapped(self, *args, **kwargs)
        if scope.is_inside(self) or sessions.has_own_cache(self):
            return wrapped(self, *args, **kwargs)
        if _exchange is None and not _load():
            return wrapped(self, *args, **kwargs)
        kwargs.pop("request", None)
        original = functools.partial(wrapped, self)
        return _exchange.send(found.cache, found.rules, self, request, original, kwargs)  # type: ignore[union-attr]

    return sessions.marked(send, wrapped)


def _wrapped_request(wrapped: Callable[..., Any]) -> Callable[..., Any]:
    # What lies below may change the arguments, unless it is requests itself.
    is_own = sessions.is_own(wrapped)

    def request(self: Any, *args: Any, **kwargs: Any) -> Any:
        found = active()
        if found is None:
            return wrapped(self, *args, **kwargs)
        url = kwargs["url"] if "url" in kwargs else args[1] if len(args) > 1 else None
        if type(url) is str and not found.cache.may_be_tmdb(url):
            return wrapped(self, *args, **kwargs)  # if requests makes TMDB's URL of it, send knows
        looked = None
        if not sessions.is_ours(vars(_SESSION)["send"]):
            # Somebody's wrapper on ours sees every call, as without the fast way.
            _mend()
        elif is_own and type(url) is str and sessions.takes_the_usual_way(self):
            if _plain is None and not _load():
                return wrapped(self, *args, **kwargs)
            response, looked = _plain.answer(found, self, args, kwargs)  # type: ignore[union-attr]
            if response is not None:
                return response
        if looked is None and not scope.is_inside(self):
            return wrapped(self, *args, **kwargs)
        # A call that an adapter makes while it sends another is no redirect, but a call of its own.
        with scope.inside(None), scope.handed_over(looked):
            return wrapped(self, *args, **kwargs)

    return sessions.marked(request, wrapped)


_WRAPPERS = {"request": _wrapped_request, "send": _wrapped_send}


def _text(url: Any) -> str:
    return url if isinstance(url, str) else url.decode("utf-8", "replace") if isinstance(url, bytes) else ""


def _is_in(method: Any) -> bool:
    """Say whether a wrapper of ours is somewhere in a chain of wrappers."""
    for _ in range(50):
        if method is None or sessions.is_ours(method):
            return method is not None
        method = getattr(method, "__wrapped__", None)
    return False


def _mend() -> None:
    """Put our wrapper back where another tool's removal has taken it along.

    OpenTelemetry and ddtrace take off whatever wrapper they find on top. A mock
    (no function and no wrapper of wrapt's, or a function with a ``mock``) is a test's own business.
    """
    with _lock:
        current = vars(_SESSION)["send"]
        # wrapt's wrappers pass for what they wrap.
        if _holders and isinstance(current, FunctionType) and not hasattr(current, "mock"):
            _wrap("send")


def _wrap(name: str) -> None:
    current = vars(_SESSION)[name]
    if _is_in(current):
        return
    made = _made.get(name)
    if made is None or made[0] is not current:
        made = _made[name] = (current, _WRAPPERS[name](current))
    setattr(_SESSION, name, made[1])


def hold() -> None:
    """Patch requests, if nobody has yet; each ``hold`` needs its :func:`release`."""
    global _holders
    with _lock:
        _holders += 1
        for name in _WRAPPERS:
            _wrap(name)


def release() -> None:
    """Take the patch off when the last who held it lets go."""
    global _holders
    with _lock:
        _holders -= 1
        if _holders:
            return
        for name in _WRAPPERS:
            current = vars(_SESSION)[name]
            if sessions.is_ours(current):
                setattr(_SESSION, name, current.__wrapped__)
        if _exchange is not None:
            _exchange.let_go()


def install(cache: TMDBCache | CacheConfig | None = None, **config: Any) -> TMDBCache:
    """Cache every TMDB call that this process makes with requests, from here on.

    Idempotent: without arguments a second call changes nothing; with them it
    changes to the cache they name. Nothing is imported, opened or started for
    MongoDB before the first TMDB call.

    Args:
        cache: the cache to use; None makes one of the settings, or of the environment.
        config: settings, as for :class:`~tmdb_mongo_cache.CacheConfig`.

    Returns:
        the cache in use.

    Raises:
        TypeError: an unknown setting.
        ConfigError: a value that cannot be used.
    """
    with _lock:
        before = scope.installed_cache()
        same = cache is None and (not config or before is None or CacheConfig.from_env(**config) == before.config)
        if before is not None and not before.closed and same:
            return before
        found = scope.chosen_cache(cache, config)[0] if cache is not None or config else TMDBCache()
        scope.set_installed(found)
        if before is None:
            hold()
        return found


def uninstall() -> None:
    """Undo :func:`install`; idempotent. The cache stays open: it may be in use elsewhere."""
    with _lock:
        if scope.installed_cache() is not None:
            scope.set_installed(None)
            release()
            if _plain is not None:
                _plain.forget()


def is_installed() -> bool:
    """Say whether :func:`install` is in force."""
    return scope.installed_cache() is not None


@contextmanager
def holding(found: scope.Scope) -> Iterator[None]:
    """Let a scope hold within, with requests patched for as long."""
    hold()
    try:
        with scope.entered(found):
            yield
    finally:
        release()


@contextmanager
def enabled(cache: TMDBCache | CacheConfig | None = None, **config: Any) -> Iterator[TMDBCache]:
    """Cache the TMDB calls made within, in this context (thread, task) alone.

    Nests, and restores what was before. A cache that was made for it is closed
    at the end.

    Args:
        cache: the cache to use; None takes the one in force, or makes one of the settings.
        config: settings, as for :class:`~tmdb_mongo_cache.CacheConfig`.

    Raises:
        TypeError: an unknown setting, or a cache and settings.
        ConfigError: a value that cannot be used.
    """
    found, own = scope.chosen_cache(cache, config)
    try:
        with holding(scope.scope_of(found)):
            yield found
    finally:
        if own:
            found.close()


@contextmanager
def disabled() -> Iterator[None]:
    """Cache nothing within, in this context (thread, task) alone; nests, and restores what was before."""
    with scope.entered(scope.Scope(None)):
        yield
