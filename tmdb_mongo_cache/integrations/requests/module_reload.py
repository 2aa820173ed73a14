"""Reloads of requests: this package's modules that import its classes are imported again.

A program may reload requests, or remove it from ``sys.modules`` and import it
again: then its sessions, responses and exceptions are other classes. The modules
of this package that subclass them are imported again as well; those for the older
classes continue to serve these.
"""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from importlib import import_module
from types import ModuleType
from typing import Any

import requests.sessions

from ...fork import importing
from . import session_checks

logger = logging.getLogger("tmdb_mongo_cache")

_HERE = __name__.rpartition(".")[0]
_PACKAGE = __name__.partition(".")[0]
_package, _here = sys.modules[_PACKAGE], sys.modules[_HERE]
_INDEPENDENT = (__name__, f"{_HERE}.patch")
_PUBLIC = ("TMDBResponse", "TMDBSession")


class Library:
    """One import of requests.

    ``session_checks``, ``fast_path`` and ``adapter`` are this package's modules for it,
    the latter two after :meth:`load`.
    """

    def __init__(self, module: ModuleType) -> None:
        self.module = module
        self.session_checks: Any = session_checks
        self.fast_path: Any = None
        self.adapter: Any = None
        self._is_broken = False

    def renew(self) -> None:
        """Import the dependent modules again if the classes of requests have changed."""
        module: Any = sys.modules.get(self.session_checks.__name__)
        is_current = module is self.session_checks and vars(_here).get("session_checks") is module
        if is_current and session_checks.in_use() == module.MADE_FOR:
            return
        if sys.modules.get(_PACKAGE) is not _package:
            return  # removed as well: the program's next import gives another copy
        for library in libraries:
            library.leave()
        for name in list(sys.modules):
            if name.startswith(f"{_HERE}.") and name not in _INDEPENDENT:
                sys.modules.pop(name, None)
                vars(_here).pop(name.rpartition(".")[2], None)
        sys.modules.pop(f"{_PACKAGE}.activation.session", None)  # has a subclass of Session
        for name in _PUBLIC:
            vars(_package).pop(name, None)
        self.session_checks, self.fast_path, self.adapter = import_module(f"{_HERE}.session_checks"), None, None
        self._is_broken = False

    def is_in_use(self, kind: type) -> bool:
        """Return whether a session class is the one that a program imports now."""
        module = sys.modules.get("requests.sessions")
        return module is self.module and kind is session_checks.session_class()

    def leave(self) -> None:
        """Prevent a later :meth:`load`, which would import the classes of another import of requests."""
        self._is_broken = self._is_broken or self.adapter is None

    def load(self) -> bool:
        """Import the modules that only calls to TMDB need; return whether that succeeded."""
        if self.adapter is not None:
            return True
        if self._is_broken:
            return False
        try:
            with importing():
                self.fast_path, self.adapter = (import_module(f"{_HERE}.{name}") for name in ("fast_path", "adapter"))
        except Exception as error:  # noqa: BLE001  the cache must never make a program fail
            self._is_broken = True
            logger.warning("TMDB calls are not cached: %s", error or type(error).__name__)
        return not self._is_broken


libraries = [Library(requests.sessions)]
"""All imports of requests so far, the latest last."""


def current() -> Library:
    """Return requests as a program imports it now."""
    module: Any = None
    with suppress(Exception):  # replaced by a mock in a test
        module = import_module("requests.sessions")
    if not all(isinstance(one, type) for one in (module and module.Session, *session_checks.in_use())):
        return libraries[-1]
    library = next((library for library in libraries if library.module is module), None)
    if library is None:
        library = Library(module)
        libraries.append(library)
    library.renew()
    return library
