"""Threads that a decorated function starts belong to it, for as long as any such function runs.

``threading.Thread.start`` and ``ThreadPoolExecutor.submit`` are wrapped while
they have to be, and only what is exactly ours is taken off again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import wrapt

from .. import scope
from ..forks import ForkSafeLock
from .patch import holding

_submitting: ContextVar[bool] = ContextVar("tmdb_mongo_cache_submitting", default=False)

# Threads of the database's, and of the cache's own: they go on when the function has returned.
_NOT_THE_FUNCTIONS = ("pymongo_", "tmdb-mongo-cache")

_follow_lock = ForkSafeLock()
_followed = 0


@contextmanager
def threads_follow() -> Iterator[None]:
    """Let threads started within inherit the scope, for as long as any decorated function runs."""
    global _followed
    with _follow_lock:
        _followed += 1
        if _followed == 1:
            _wrap_threads()
    try:
        yield
    finally:
        with _follow_lock:
            _followed -= 1
            if not _followed:
                _unwrap_threads()


class _ThreadPatch(wrapt.FunctionWrapper):  # type: ignore[type-arg]
    """A wrapper of ours, told from other people's by its class."""


_THREADS: dict[tuple[type, str], Callable[..., Any]] = {}


def _wrap_threads() -> None:
    for (owner, name), wrapper in _THREADS.items():
        if not isinstance(vars(owner)[name], _ThreadPatch):
            setattr(owner, name, _ThreadPatch(vars(owner)[name], wrapper))


def _unwrap_threads() -> None:
    for owner, name in _THREADS:
        current = vars(owner)[name]
        if isinstance(current, _ThreadPatch):
            setattr(owner, name, current.__wrapped__)


def _carried(found: scope.Scope, function: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        with threads_follow(), holding(found):
            return function(*args, **kwargs)

    return run


def _start(wrapped: Callable[..., Any], thread: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    found = scope.current_scope()
    if found is None or not found.inherited or _submitting.get() or thread.name.startswith(_NOT_THE_FUNCTIONS):
        return wrapped(*args, **kwargs)
    # On the instance: subclasses override run().
    thread.run = _carried(found, thread.run)
    return wrapped(*args, **kwargs)


def _submit(wrapped: Callable[..., Any], pool: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    found = scope.current_scope()
    if found is None or not found.inherited or not args:
        return wrapped(*args, **kwargs)
    # The work belongs to the function, the pool's threads do not: they may outlive it
    # and serve others.
    token = _submitting.set(True)
    try:
        return wrapped(_carried(found, args[0]), *args[1:], **kwargs)
    finally:
        _submitting.reset(token)


_THREADS[(threading.Thread, "start")] = _start
_THREADS[(ThreadPoolExecutor, "submit")] = _submit
