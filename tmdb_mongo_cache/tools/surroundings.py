"""What the doctor looks at without MongoDB: settings, packages, and what others have done to requests."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import fields
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of
from types import FunctionType
from typing import Any

import requests.adapters

from .. import sessions, wrappers
from ..config import CacheConfig, mask
from ..environment import PREFIX, read_environment, unknown_variables
from ..errors import ConfigError
from .verdicts import Verdict, package

OLDEST: Mapping[str, str] = {"requests": "2.32", "requests-cache": "0.9.6", "pymongo": "4.9", "wrapt": "1.17"}
"""What the package needs, as its metadata has it."""

_OWN_MODULES = frozenset({"requests.sessions", "requests.adapters"})
_PLACES = {
    "Session.request": (sessions.session_class(), "request"),
    "Session.send": (sessions.session_class(), "send"),
    "Session.get_adapter": (sessions.session_class(), "get_adapter"),
    "HTTPAdapter.send": (requests.adapters.HTTPAdapter, "send"),
}


def bad_settings(error: ConfigError) -> tuple[Verdict, ...]:
    """Judge settings that no cache can be made of, and what can be judged without one."""
    names = [item.name for item in fields(CacheConfig)]
    errors = {}
    for name in names:
        try:
            CacheConfig(**read_environment({other for other in names if other != name}))
        except ConfigError as found:
            errors[name] = str(found)
    bad = [
        Verdict("settings", "problem", text, f"correct {PREFIX}{name.upper()}, or leave it out")
        for name, text in errors.items()
    ]
    return (
        *(bad or [Verdict("settings", "problem", str(error), "correct it, or leave it out")]),
        packages(),
        patches(),
    )


def settings(config: CacheConfig) -> Verdict:
    """Judge the settings: where they come from, variables that are none, and whether anything is switched off."""
    unknown = unknown_variables()
    if unknown:
        text = f"{', '.join(unknown)}: there {'is' if len(unknown) == 1 else 'are'} no such setting"
        return Verdict("settings", "problem", text, "correct the name (the README has them all), or unset it")
    if config.disabled:
        advice = f"unset {PREFIX}DISABLED, or take disabled=True away"
        return Verdict("settings", "note", "the cache is switched off: every call goes to TMDB", advice)
    if config.offline:
        advice = f"unset {PREFIX}OFFLINE, or take offline=True away"
        return Verdict("settings", "note", "offline: what is not in the cache is an error", advice)
    found = sorted(name for name, value in os.environ.items() if name.startswith(PREFIX) and value.strip())
    return Verdict("settings", "ok", f"set by {', '.join(found)}" if found else "all are the defaults")


def where(config: CacheConfig) -> str:
    """Return which MongoDB it is, as people may see it."""
    from ..store.client import resolve_uri
    from ..store.failures import EMBEDDED

    if config.client is not None:
        return "the client given"
    found = resolve_uri(config.uri)
    return EMBEDDED if found == "embedded" else mask(found)


def uri(config: CacheConfig) -> Verdict:
    """Say which MongoDB it is, and by which setting."""
    from ..store.mongod import embedded_available

    if config.client is not None:
        source = "by client="
    elif config.uri is None:
        installed = "installed" if embedded_available() else "not installed"
        source = f"no URI is set, and the extra 'embedded' is {installed}"
    elif config.uri == os.environ.get(f"{PREFIX}URI", "").strip():
        source = f"by {PREFIX}URI"
    else:
        source = "by uri="
    return Verdict("uri", "ok", f"{where(config)} ({source}), database {config.database}.{config.collection}")


def packages() -> Verdict:
    """Judge the versions of the packages that this one works with."""
    found: dict[str, str | None] = {}
    for name in OLDEST:
        try:
            found[name] = version_of(name)
        except PackageNotFoundError:
            found[name] = None
    bad = [verdict for name, oldest in OLDEST.items() if (verdict := package(name, found[name], oldest))]
    if bad:
        return Verdict("packages", "problem", "; ".join(one.text for one in bad), "; ".join(one.advice for one in bad))
    python = ".".join(map(str, sys.version_info[:3]))
    return Verdict("packages", "ok", ", ".join(f"{name} {found[name]}" for name in OLDEST) + f", Python {python}")


def patches() -> Verdict:
    """Say who else has changed requests, in this Python."""
    found = [f"{place} by {', '.join(who)}" for place, who in _patched().items()]
    if requests.sessions.Session is not sessions.session_class():
        found.append(f"Session replaced by {requests.sessions.Session.__module__}")
    here = f"the requests of {sys.executable}"
    if not found:
        return Verdict("requests", "ok", f"nobody has changed {here}")
    startup = getattr(sys.modules.get("sitecustomize"), "__file__", None)
    also = f", perhaps from {startup}" if startup else ""
    return Verdict(
        "requests",
        "note",
        f"{here} is changed: {'; '.join(found)}{also}",
        "the cache works with wrappers that call what they wrap; where calls are not cached, try without this one",
    )


def _patched() -> dict[str, list[str]]:
    wrappers = {place: _wrappers(vars(kind).get(name)) for place, (kind, name) in _PLACES.items()}
    return {place: found for place, found in wrappers.items() if found}


def _wrappers(method: Any) -> list[str]:
    """Return the modules of the wrappers on one of requests' methods, the outermost first, without ours."""
    found: list[str] = []
    while method is not None and len(found) < 20:
        if type(method) is FunctionType and method.__globals__.get("__name__") in _OWN_MODULES:
            return found
        if not wrappers.is_ours(method):
            found.append(_module_of(method))
        method = wrappers.below(method)
    return found


def _module_of(method: Any) -> str:
    # wrapt's wrappers pass for what they wrap; functools.wraps copies __module__.
    method = getattr(method, "_self_wrapper", method)
    if type(method) is FunctionType:
        return str(method.__globals__.get("__name__"))
    return type(method).__module__
