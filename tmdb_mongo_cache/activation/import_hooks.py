"""Import hooks for the Pythons under ``run``: the cache is installed at the first call made with ``requests``.

They are set at the start of each Python, so that nothing else is imported in a program that never uses requests.
"""

from __future__ import annotations

# The program's own folder is not on sys.path yet. Modules of the standard library that this
# package imports, and requests does not, are imported now: a "dataclasses.py" of the program
# must not be run instead.
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
from functools import partial
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from .. import deferred_install
from ..integrations.method_wrappers import wrap

_METHODS = ("request", "send")


def install_with_requests() -> None:
    """Install the cache at the first call that is made with ``requests``, and import nothing before."""
    deferred_install.schedule(_install)
    sys.meta_path.insert(0, _Finder())
    if "requests.sessions" in sys.modules:  # imported by the program's own sitecustomize, or a .pth file
        _patch(sys.modules["requests.sessions"])


def _install() -> None:
    try:
        from . import install

        install.install()
    except Exception as error:  # noqa: BLE001  it would be raised in the program's own call
        # An invalid setting in a child process, or a module of the program that shadows one of the standard library.
        text = str(error) or type(error).__name__
        logging.getLogger("tmdb_mongo_cache").warning("TMDB calls are not cached: %s", text)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds ``requests.sessions`` when it is imported or reloaded."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Find the spec that the other finders find, and wrap its loader."""
        if name != "requests.sessions":
            return None
        for finder in sys.meta_path:
            found = None if finder is self else finder.find_spec(name, path, target)
            if found is not None:
                if hasattr(found.loader, "exec_module"):
                    found.loader = _Loader(found.loader)  # type: ignore[assignment]
                return found
        return None


class _Loader:
    """Loads a module by its own loader, and patches its ``Session`` to install the cache."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def exec_module(self, module: ModuleType) -> None:
        """Execute it by its own loader, which is restored as ``__loader__``."""
        spec: Any = module.__spec__
        if spec is not None and spec.loader is self:
            spec.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        _patch(module)


def _patch(module: ModuleType) -> None:
    kind = getattr(module, "Session", None)
    if isinstance(kind, type) and all(name in vars(kind) for name in _METHODS):
        _FirstCall(kind).patch()  # else it is a module of the program with this name


class _FirstCall:
    """The first call of a session class, which installs the cache.

    The placeholders for that in the class count as our wrappers, which replace
    them: immediately, so that concurrent calls of other threads wait. Where another
    library has wrapped a placeholder by then, it stays and does what our wrapper does.
    """

    def __init__(self, kind: type) -> None:
        self._kind = kind
        self._before = {name: vars(kind)[name] for name in _METHODS}
        self._placeholders = {name: wrap(method, partial(self._wrapper, name)) for name, method in self._before.items()}

    def patch(self) -> None:
        for name, placeholder in self._placeholders.items():
            deferred_install.placeholders.append(placeholder)
            setattr(self._kind, name, placeholder)

    def _wrapper(self, name: str, wrapped: Callable[..., Any]) -> Callable[..., Any]:
        def first(session: Any, *args: Any, **kwargs: Any) -> Any:
            return self._installed(name, wrapped)(session, *args, **kwargs)

        return first

    def _installed(self, name: str, wrapped: Callable[..., Any]) -> Callable[..., Any]:
        deferred_install.run()
        for other, placeholder in self._placeholders.items():
            if vars(self._kind).get(other) is placeholder:  # the installation failed, or was undone
                setattr(self._kind, other, self._before[other])
        try:
            from ..integrations.requests.patch import wrapper_for
        except Exception:  # noqa: BLE001  the reason has been logged
            return wrapped
        found: Callable[..., Any] = wrapper_for(self._kind, name, wrapped)
        return found
