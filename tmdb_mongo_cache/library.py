"""requests, as this process has imported it, and the modules of this package that go with it.

A program may reload requests, or drop it from ``sys.modules`` and import it
anew: then there are other classes of sessions, responses and exceptions. What
this package makes for requests has those for its bases, so it is imported anew
as well, and what was made for the older ones goes on serving them.
"""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from importlib import import_module
from types import ModuleType
from typing import Any

import requests.sessions

from . import sessions
from .forks import importing

logger = logging.getLogger("tmdb_mongo_cache")

_PACKAGE = __name__.rpartition(".")[0]
_package = sys.modules[_PACKAGE]
_MADE_FOR_REQUESTS = (
    *("ahead", "building", "certificates", "downstream", "ending", "exchange", "known", "network", "plain", "raw"),
    *("responses", "restoring", "sending", "sessions"),
    "doors.session",
)
_PUBLIC = ("TMDBResponse", "TMDBSession")


class Library:
    """One import of requests.

    ``sessions``, ``plain`` and ``exchange`` are this package's modules for it,
    the latter two from :meth:`load` on.
    """

    def __init__(self, module: ModuleType) -> None:
        self.module = module
        self.sessions: Any = sessions
        self.plain: Any = None
        self.exchange: Any = None
        self._is_broken = False

    def renew(self) -> None:
        """Have the package's modules be made for the classes that are there now."""
        made: Any = sys.modules.get(self.sessions.__name__)
        is_there = made is self.sessions and vars(_package).get("sessions") is made
        if is_there and sessions.in_use() == made.MADE_FOR:
            return
        if sys.modules.get(_PACKAGE) is not _package:
            return  # dropped as well: what the program imports next is another copy
        for library in libraries:
            library.leave()
        for name in _MADE_FOR_REQUESTS:
            parent, _, last = f"{_PACKAGE}.{name}".rpartition(".")
            if sys.modules.pop(f"{parent}.{last}", None) is not None:
                vars(sys.modules[parent]).pop(last, None)
        for name in _PUBLIC:
            vars(_package).pop(name, None)
        self.sessions, self.plain, self.exchange = import_module(f"{_PACKAGE}.sessions"), None, None
        self._is_broken = False

    def is_in_use(self, kind: type) -> bool:
        """Say whether a class of sessions is the one that a program gets now."""
        module = sys.modules.get("requests.sessions")
        return module is self.module and kind is sessions.session_class()

    def leave(self) -> None:
        """Have what is not loaded stay so: it would be made for another import of requests."""
        self._is_broken = self._is_broken or self.exchange is None

    def load(self) -> bool:
        """Import what a call to TMDB needs, and others do not; say whether that can be had."""
        if self.exchange is not None:
            return True
        if self._is_broken:
            return False
        try:
            with importing():
                self.plain, self.exchange = (import_module(f"{_PACKAGE}.{name}") for name in ("plain", "exchange"))
        except Exception as error:  # noqa: BLE001  the cache is never why a program fails
            self._is_broken = True
            logger.warning("TMDB calls are not cached: %s", error or type(error).__name__)
        return not self._is_broken


libraries = [Library(requests.sessions)]
"""All that were in use when somebody looked, the latest last."""


def current() -> Library:
    """Return requests as a program gets it that imports it now."""
    module: Any = None
    with suppress(Exception):  # a test has put something else in its place
        module = import_module("requests.sessions")
    if not all(isinstance(one, type) for one in (module and module.Session, *sessions.in_use())):
        return libraries[-1]
    for library in libraries:
        if library.module is module:
            break
    else:
        library = Library(module)
        libraries.append(library)
    library.renew()
    return library
