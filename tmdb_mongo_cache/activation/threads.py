"""Threads that a decorated function starts inherit its scope.

``threading.Thread.start`` and ``ThreadPoolExecutor.submit`` are patched while a
decorated function runs; only our own wrappers are removed again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import wrapt

from .. import context
from ..fork import ForkSafeLock
from .install import patched

_submitting: ContextVar[bool] = ContextVar("tmdb_mongo_cache_submitting", default=False)

# Threads of pymongo and of the cache itself: they outlive the function.
_EXCLUDED = ("pymongo_", "tmdb-mongo-cache")

_lock = ForkSafeLock()
_users = 0


@contextmanager
def threads_inherit() -> Iterator[None]:
    """Have threads started within inherit the scope, while any decorated function runs."""
    global _users
    with _lock:
        _users += 1
        if _users == 1:
            _patch(wrap=True)
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if not _users:
                _patch(wrap=False)


class _ThreadPatch(wrapt.FunctionWrapper):  # type: ignore[type-arg]
    """Our wrapper; the class distinguishes it from those of other libraries."""


def _in_scope(scope: context.Scope, function: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        with threads_inherit(), patched(scope):
            return function(*args, **kwargs)

    return run


def _start(wrapped: Callable[..., Any], thread: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    scope = context.current_scope()
    if scope is None or not scope.inherited or _submitting.get() or thread.name.startswith(_EXCLUDED):
        return wrapped(*args, **kwargs)
    # On the instance: subclasses override run().
    thread.run = _in_scope(scope, thread.run)
    return wrapped(*args, **kwargs)


def _submit(wrapped: Callable[..., Any], pool: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    scope = context.current_scope()
    if scope is None or not scope.inherited or not args:
        return wrapped(*args, **kwargs)
    # The task inherits the scope, the threads of the pool do not: they may outlive the
    # function and serve others.
    token = _submitting.set(True)
    try:
        return wrapped(_in_scope(scope, args[0]), *args[1:], **kwargs)
    finally:
        _submitting.reset(token)


_WRAPPERS: dict[tuple[type, str], Callable[..., Any]] = {
    (threading.Thread, "start"): _start,
    (ThreadPoolExecutor, "submit"): _submit,
}


def _patch(*, wrap: bool) -> None:
    for (owner, name), wrapper in _WRAPPERS.items():
        current = vars(owner)[name]
        if isinstance(current, _ThreadPatch) != wrap:
            setattr(owner, name, _ThreadPatch(current, wrapper) if wrap else current.__wrapped__)
