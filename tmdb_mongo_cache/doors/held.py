"""What is put on requests' sessions, and taken off again.

``requests.Session.request`` and ``requests.Session.send`` are wrapped on the
class, so that ``requests.get``, sessions made earlier, names imported earlier
and subclasses are all caught; the class itself is never replaced. Other tools
wrap the same methods (OpenTelemetry, ddtrace, New Relic), and may be taken off
in any order, so nothing is remembered about the class: what it holds is looked
up each time, and only what is exactly ours is taken off. Where somebody's
wrapper lies on ours, ours stays below it and does nothing, for without a cache
in force it calls what it wraps. Where ours was taken along with another's, the
one of the two methods that is left puts the other back; where a test has put
ours back after the last who held it let go, it goes at the next call.

The wrappers of functions are plain functions: importing wrapt takes longer than
all of ``install()``, and calling through it longer than to see that a call is
not TMDB's.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from .. import pending, scope
from ..forks import ForkSafeLock
from ..library import Library, current, libraries
from ..wrappers import below, has_ours, is_mock, is_ours, wrap

lock = ForkSafeLock()
_holders = 0
active = scope.active


class Patched:
    """One class of sessions, requests' own, and the wrappers for it."""

    def __init__(self, kind: type, library: Library) -> None:
        self.kind = kind
        self.library = library
        # The last wrapper of each method, with what it wraps: a decorated function wraps them anew at each call.
        self._made: dict[str, tuple[Any, Any]] = {}
        # What was found last that has ours in its hands, or is a mock: to look takes longer than a hit.
        self._above: dict[str, Any] = {}

    def wrap(self, name: str) -> None:
        """Put a wrapper of ours on a method, unless there is one, or a test has its mock there."""
        thing = vars(self.kind).get(name)
        if pending.is_standing_in(thing):
            thing = below(thing)
        if thing is None or thing is self._above.get(name):
            return
        made = self._made.get(name)
        if (made is None or made[0] is not thing) and (has_ours(thing) or is_mock(thing)):
            self._above[name] = thing
            return
        setattr(self.kind, name, self.wrapper(name, thing))

    def wrapper(self, name: str, thing: Any) -> Any:
        """Return the wrapper of ours for what stands in a method's place."""
        made = self._made.get(name)
        if made is None or made[0] is not thing:
            made = self._made[name] = (thing, wrap(thing, functools.partial(_MAKERS[name], self)))
        return made[1]

    def unwrap(self, name: str) -> None:
        """Take a wrapper off that is exactly ours."""
        thing = vars(self.kind).get(name)
        if is_ours(thing):
            setattr(self.kind, name, below(thing))

    def settle(self, name: str) -> None:
        """Put our wrapper back that was taken along with another's, or take it off again that a test has put back."""
        with lock:
            if _holders:
                self.wrap(name)
            else:
                self.unwrap(name)

    @property
    def is_caught(self) -> bool:
        """Whether calls of its sessions come by: not where somebody has put both of requests' own methods back."""
        return not all(self.library.sessions.is_own(vars(self.kind).get(name)) for name in _MAKERS)


_patched: list[Patched] = []


def _make_send(patched: Patched, wrapped: Callable[..., Any]) -> Callable[..., Any]:
    library, methods = patched.library, vars(patched.kind)

    def send(self: Any, *args: Any, **kwargs: Any) -> Any:
        found = active()
        if found is None or len(args) > 1:
            if not _holders:
                patched.settle("send")
            return wrapped(self, *args, **kwargs)
        request = args[0] if args else kwargs.get("request")
        url = getattr(request, "url", None)
        if not found.cache.may_be_tmdb(url if type(url) is str else _text(url)):
            return wrapped(self, *args, **kwargs)
        if scope.is_inside(self) or library.sessions.has_own_cache(self):
            return wrapped(self, *args, **kwargs)
        if not is_ours(methods.get("request")):
            patched.settle("request")
        if library.exchange is None and not library.load():
            return wrapped(self, *args, **kwargs)
        original: Callable[..., Any] = functools.partial(wrapped, self)
        if kwargs.pop("request", None) is not None:  # what lies below is called in the caller's way
            original = lambda request, **options: wrapped(self, request=request, **options)  # noqa: E731
        return library.exchange.send(found.cache, found.rules, self, request, original, kwargs)

    return send


def _make_request(patched: Patched, wrapped: Callable[..., Any]) -> Callable[..., Any]:
    library, methods = patched.library, vars(patched.kind)
    # What lies below may change the arguments, unless it is requests itself.
    is_own = library.sessions.is_own(wrapped)

    def request(self: Any, *args: Any, **kwargs: Any) -> Any:
        found = active()
        if found is None:
            if not _holders:
                patched.settle("request")
            return wrapped(self, *args, **kwargs)
        url = kwargs["url"] if "url" in kwargs else args[1] if len(args) > 1 else None
        if type(url) is str and not found.cache.may_be_tmdb(url):
            return wrapped(self, *args, **kwargs)  # if requests makes TMDB's URL of it, send knows
        looked = None
        if not is_ours(methods.get("send")):
            # Somebody's wrapper on ours sees every call, as without the fast way.
            patched.settle("send")
        elif is_own and type(url) is str and library.sessions.takes_the_usual_way(self):
            if library.plain is None and not library.load():
                return wrapped(self, *args, **kwargs)
            response, looked = library.plain.answer(found, self, args, kwargs)
            if response is not None:
                return response
        if looked is None and not scope.is_inside(self):
            return wrapped(self, *args, **kwargs)
        # A call that an adapter makes while it sends another is no redirect, but a call of its own.
        with scope.inside(None), scope.handed_over(looked):
            return wrapped(self, *args, **kwargs)

    return request


_MAKERS = {"request": _make_request, "send": _make_send}


def _text(url: Any) -> str:
    return url if isinstance(url, str) else url.decode("utf-8", "replace") if isinstance(url, bytes) else ""


def catch() -> None:
    """Wrap the sessions of requests as it is imported now, and of what it was before."""
    with lock:
        library = current()
        kind = library.sessions.session_class()
        if all(patched.kind is not kind for patched in _patched):
            _patched.append(Patched(kind, library))
        for patched in _patched:
            for name in _MAKERS:
                patched.wrap(name)


def hold() -> None:
    """Patch requests, if nobody has yet; each ``hold`` needs its :func:`release`."""
    global _holders
    pending.settle()
    with lock:
        catch()
        _holders += 1


def wrapper_for(kind: type, name: str, thing: Any) -> Any:
    """Return the wrapper of ours for what stands in a class of sessions; that itself where nobody holds the patch."""
    with lock:
        if _holders:
            catch()
        for patched in _patched:
            if _holders and patched.kind is kind:
                return patched.wrapper(name, thing)
    return thing


def release() -> None:
    """Take the patch off when the last who held it lets go."""
    global _holders
    with lock:
        _holders -= 1
        if _holders:
            return
        for patched in _patched:
            for name in _MAKERS:
                patched.unwrap(name)
        for library in libraries:
            if library.exchange is not None:
                library.exchange.let_go()


def forget() -> None:
    """Drop what is known of calls, and with it their credentials."""
    for library in libraries:
        if library.plain is not None:
            library.plain.forget()


def catches_all() -> bool:
    """Say whether requests as a program would import it now is among what is patched."""
    return any(patched.is_caught for patched in _patched if patched.library.is_in_use(patched.kind))
