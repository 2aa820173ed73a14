"""What happens at the start of a Python under ``run``: next to nothing, until ``requests`` is imported.

Apart from :mod:`.runner`, so that a program without requests does not import it here.
"""

from __future__ import annotations

# The program's own folder is not on the path yet. What this package needs of Python's own
# modules, and requests does not, is imported while it is not: a "dataclasses.py" of the
# program's must not be run because we want Python's.
import asyncio  # noqa: F401
import concurrent.futures.thread  # noqa: F401
import dataclasses  # noqa: F401
import decimal  # noqa: F401
import difflib  # noqa: F401
import gzip  # noqa: F401
import importlib.abc
import logging
import numbers  # noqa: F401
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from .. import pending
from ..wrappers import wrap

_METHODS = ("request", "send")


def install_with_requests() -> None:
    """Install the cache at the first call that is made with ``requests``, and import nothing before."""
    pending.want(_install)
    sys.meta_path.insert(0, _Finder())
    if "requests.sessions" in sys.modules:  # by the program's own sitecustomize, or a .pth file
        _catch(sys.modules["requests.sessions"])


def _install() -> None:
    try:
        from . import patch

        patch.install()
    except Exception as error:  # noqa: BLE001  it would be raised by the program's own call
        # A setting that a child has changed, or a module of the program's that stands before one of Python's.
        text = str(error) or type(error).__name__
        logging.getLogger("tmdb_mongo_cache").warning("TMDB calls are not cached: %s", text)


class _Finder(importlib.abc.MetaPathFinder):
    """Sees the sessions of requests being imported, and reloaded."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Find what the others find."""
        if name != "requests.sessions":
            return None
        for finder in sys.meta_path:
            found = None if finder is self else finder.find_spec(name, path, target)
            if found is not None:
                if hasattr(found.loader, "exec_module"):
                    found.loader = _Loader(found.loader)
                return found
        return None


class _Loader(importlib.abc.Loader):
    """Loads a module as its own loader does, and puts on its class of sessions what installs the cache."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Create it as its own loader does."""
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Execute it as its own loader does, which is what it keeps for its loader."""
        spec = module.__spec__
        if spec is not None and spec.loader is self:
            spec.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        _catch(module)


def _catch(module: ModuleType) -> None:
    kind = getattr(module, "Session", None)
    if isinstance(kind, type) and all(name in vars(kind) for name in _METHODS):
        _First(kind).put()  # else it is the program's own module of this name


class _First:
    """The first call of a class of sessions, which installs the cache.

    What stands for that in the class counts as a wrapper of ours, which takes
    its place: at once, so that threads that call meanwhile wait for it. It stays
    where somebody's wrapper lies on it by then, and does what ours does.
    """

    def __init__(self, kind: type) -> None:
        self._kind = kind
        self._before = {name: vars(kind)[name] for name in _METHODS}
        self._put = {name: wrap(thing, self._maker(name)) for name, thing in self._before.items()}

    def put(self) -> None:
        for name, thing in self._put.items():
            pending.stands_in(thing)
            setattr(self._kind, name, thing)

    def _maker(self, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        def make(wrapped: Callable[..., Any]) -> Callable[..., Any]:
            def first(session: Any, *args: Any, **kwargs: Any) -> Any:
                return self._settled(name, wrapped)(session, *args, **kwargs)

            return first

        return make

    def _settled(self, name: str, wrapped: Callable[..., Any]) -> Callable[..., Any]:
        pending.settle()
        for other, thing in self._put.items():
            if vars(self._kind).get(other) is thing:  # it could not be installed, or is not in force
                setattr(self._kind, other, self._before[other])
        try:
            from .held import wrapper_for
        except Exception:  # noqa: BLE001  it has been said why
            return wrapped
        found: Callable[..., Any] = wrapper_for(self._kind, name, wrapped)
        return found
