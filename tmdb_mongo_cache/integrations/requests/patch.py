"""The patch of ``requests.Session``, and its removal.

``Session.request`` and ``Session.send`` are wrapped on the class, so that
``requests.get``, sessions created earlier, names imported earlier and subclasses
are all patched; the class itself is never replaced. Other tools wrap the same
methods (OpenTelemetry, ddtrace, New Relic) and may be removed in any order, so no
state of the class is stored: its methods are looked up each time, and only our
own wrappers are removed. If another wrapper is above ours, ours stays and calls
what it wraps, because no cache is in effect. If ours was removed together with
another one, the remaining one of the two methods restores it; if a test restored
ours after the patch was released, it is removed at the next call.

The wrappers of functions are plain functions: importing wrapt takes longer than
all of ``install()``, and a call through it longer than the check of the host.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ... import context, deferred_install
from ...fork import ForkSafeLock
from ..method_wrappers import is_mock, is_ours, reaches_ours, wrap, wrapped_by
from .module_reload import Library, current, libraries

lock = ForkSafeLock()
_users = 0
active = context.active


class Patched:
    """A ``requests.Session`` class (another one after a reload) and our wrappers for it."""

    def __init__(self, kind: type, library: Library) -> None:
        self.kind = kind
        self.library = library
        # The last wrapper of each method, with what it wraps: each call of a decorated function patches again.
        self._made: dict[str, tuple[Any, Any]] = {}
        # What was put into the class last: comparing with that is quicker than looking for our mark on a wrapper.
        self.placed: dict[str, Any] = {}
        # The last method that was found to reach our wrapper, or to be a mock: the search takes longer than a hit.
        self._above: dict[str, Any] = {}

    def wrap(self, name: str) -> None:
        """Wrap a method, unless our wrapper is there already, or a test's mock."""
        method = vars(self.kind).get(name)
        if deferred_install.is_placeholder(method):
            method = wrapped_by(method)
        if method is None or method is self._above.get(name):
            return
        made = self._made.get(name)
        if (made is None or made[0] is not method) and (reaches_ours(method) or is_mock(method)):
            self._above[name] = method
            return
        self.placed[name] = self.wrapper(name, method)
        setattr(self.kind, name, self.placed[name])

    def wrapper(self, name: str, method: Any) -> Any:
        """Return our wrapper for a method, as it is in the class."""
        made = self._made.get(name)
        if made is None or made[0] is not method:
            made = self._made[name] = (method, wrap(method, functools.partial(_WRAPPERS[name], self)))
        return made[1]

    def unwrap(self, name: str) -> None:
        """Remove our wrapper, if it is the outermost."""
        method = vars(self.kind).get(name)
        if is_ours(method):
            setattr(self.kind, name, wrapped_by(method))

    def repair(self, name: str) -> None:
        """Restore our wrapper that was removed with another one, or remove it if a test restored it."""
        with lock:
            if _users:
                self.wrap(name)
            else:
                self.unwrap(name)

    @property
    def is_effective(self) -> bool:
        """Whether calls of its sessions reach us: not if both original methods were restored by other code."""
        return not all(self.library.session_checks.is_own(vars(self.kind).get(name)) for name in _WRAPPERS)


_patched: list[Patched] = []


def _send_wrapper(patched: Patched, wrapped: Callable[..., Any]) -> Callable[..., Any]:
    library, methods = patched.library, vars(patched.kind)

    def send(self: Any, *args: Any, **kwargs: Any) -> Any:
        found = active()
        if found is None or len(args) > 1:
            if not _users:
                patched.repair("send")
            return wrapped(self, *args, **kwargs)
        request = args[0] if args else kwargs.get("request")
        url = getattr(request, "url", None)
        if not found.engine.may_be_tmdb(url if type(url) is str else _text(url)):
            return wrapped(self, *args, **kwargs)
        if context.is_inside(self) or library.session_checks.has_own_cache(self):
            return wrapped(self, *args, **kwargs)
        if not is_ours(methods.get("request")):
            patched.repair("request")
        if library.adapter is None and not library.load():
            return wrapped(self, *args, **kwargs)
        original: Callable[..., Any] = functools.partial(wrapped, self)
        if kwargs.pop("request", None) is not None:  # a wrapper below may expect it by keyword
            original = lambda request, **options: wrapped(self, request=request, **options)  # noqa: E731
        return library.adapter.send(found, self, request, original, kwargs)

    return send


def _request_wrapper(patched: Patched, wrapped: Callable[..., Any]) -> Callable[..., Any]:
    library, methods, placed = patched.library, vars(patched.kind), patched.placed
    # A wrapper below may change the arguments; requests itself does not.
    is_own = library.session_checks.is_own(wrapped)

    def request(self: Any, *args: Any, **kwargs: Any) -> Any:
        found = active()
        if found is None:
            if not _users:
                patched.repair("request")
            return wrapped(self, *args, **kwargs)
        url = kwargs["url"] if "url" in kwargs else args[1] if len(args) > 1 else None
        if type(url) is str and not found.engine.may_be_tmdb(url):
            return wrapped(self, *args, **kwargs)  # if requests makes a URL of TMDB of it, send sees that
        pending = None
        if (send := methods.get("send")) is not placed.get("send") and not is_ours(send):
            # Another wrapper above ours must see every call, so there is no fast path.
            patched.repair("send")
        elif is_own and type(url) is str and library.session_checks.takes_the_usual_way(self):
            if library.fast_path is None and not library.load():
                return wrapped(self, *args, **kwargs)
            response, pending = library.fast_path.answer(found, self, args, kwargs)
            if response is not None:
                return response
        if pending is None and not context.is_inside(self):
            return wrapped(self, *args, **kwargs)
        # A call that an adapter makes while it sends another one is not a redirect of that.
        with context.inside(pending):
            return wrapped(self, *args, **kwargs)

    return request


_WRAPPERS = {"request": _request_wrapper, "send": _send_wrapper}


def _text(url: Any) -> str:
    return url if isinstance(url, str) else url.decode("utf-8", "replace") if isinstance(url, bytes) else ""


def apply() -> None:
    """Wrap the session class of requests as it is imported now, and earlier ones of before a reload."""
    with lock:
        library = current()
        kind = library.session_checks.session_class()
        if all(patched.kind is not kind for patched in _patched):
            _patched.append(Patched(kind, library))
        for patched in _patched:
            for name in _WRAPPERS:
                patched.wrap(name)


def acquire() -> None:
    """Patch requests if it is not patched yet; each call needs a :func:`release`."""
    global _users
    deferred_install.run()
    with lock:
        apply()
        _users += 1


def wrapper_for(kind: type, name: str, method: Any) -> Any:
    """Return our wrapper for a method of a session class; the method itself if requests is not patched."""
    with lock:
        if _users:
            apply()
        for patched in _patched:
            if _users and patched.kind is kind:
                return patched.wrapper(name, method)
    return method


def release() -> None:
    """Remove the patch, when the last user has released it."""
    global _users
    with lock:
        _users -= 1
        if _users:
            return
        for patched in _patched:
            for name in _WRAPPERS:
                patched.unwrap(name)
        for library in libraries:
            if library.adapter is not None:
                library.adapter.cached_session.unpatch()


def clear() -> None:
    """Clear the table of known calls, which contains credentials."""
    for library in libraries:
        if library.fast_path is not None:
            library.fast_path.forget()


def is_effective() -> bool:
    """Return whether requests, as a program would import it now, is patched."""
    return any(patched.is_effective for patched in _patched if patched.library.is_in_use(patched.kind))
