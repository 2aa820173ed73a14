"""What the doctor checks without MongoDB: settings, packages, and patches of requests by other packages."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of
from types import FunctionType
from typing import Any

import requests.adapters

from ..config import CacheConfig
from ..environment import PREFIX, read_environment, unknown_variables
from ..errors import ConfigError
from ..integrations import method_wrappers
from ..integrations.requests import session_checks
from .verdicts import Verdict, package

OLDEST: Mapping[str, str] = {"requests": "2.32", "requests-cache": "0.9.6", "pymongo": "4.9", "wrapt": "1.17"}
"""The oldest versions that the package works with, as in its metadata."""

_OWN_MODULES = frozenset({"requests.sessions", "requests.adapters"})
_PLACES = {
    **{f"Session.{name}": (session_checks.session_class(), name) for name in ("request", "send", "get_adapter")},
    "HTTPAdapter.send": (requests.adapters.HTTPAdapter, "send"),
}


def bad_settings(error: ConfigError) -> tuple[Verdict, ...]:
    """Judge settings that are invalid, and what can be judged without a cache."""
    names = [item.name for item in fields(CacheConfig)]
    errors = {}
    for name in names:
        try:
            CacheConfig(**read_environment({other for other in names if other != name}))
        except ConfigError as found:
            errors[name] = str(found)
    bad = [
        Verdict("settings", "problem", text, f"correct {PREFIX}{name.upper()}, or remove it")
        for name, text in errors.items()
    ]
    return (
        *(bad or [Verdict("settings", "problem", str(error), "correct it, or remove it")]),
        packages(),
        patches(),
    )


def settings(config: CacheConfig) -> Verdict:
    """Judge the settings: where they come from, unknown variables, and whether anything is switched off."""
    unknown = unknown_variables()
    if unknown:
        text = f"{', '.join(unknown)}: there {'is' if len(unknown) == 1 else 'are'} no such setting"
        return Verdict("settings", "problem", text, "correct the name (the README lists them all), or unset it")
    if config.disabled:
        advice = f"unset {PREFIX}DISABLED, or take disabled=True away"
        return Verdict("settings", "note", "the cache is switched off: every call goes to TMDB", advice)
    if config.offline:
        advice = f"unset {PREFIX}OFFLINE, or take offline=True away"
        return Verdict("settings", "note", "offline: what is not in the cache is an error", advice)
    found = sorted(name for name, value in os.environ.items() if name.startswith(PREFIX) and value.strip())
    return Verdict("settings", "ok", f"set by {', '.join(found)}" if found else "all are the defaults")


def uri(config: CacheConfig) -> Verdict:
    """Report which MongoDB is used, and by which setting."""
    from ..mongo.client import where
    from ..mongo.embedded.binary import embedded_available

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
    found: dict[str, str] = {}
    for name in OLDEST:
        with suppress(PackageNotFoundError):
            found[name] = version_of(name)
    bad = [verdict for name, oldest in OLDEST.items() if (verdict := package(name, found.get(name), oldest))]
    if bad:
        return Verdict("packages", "problem", "; ".join(one.text for one in bad), "; ".join(one.advice for one in bad))
    python = ".".join(map(str, sys.version_info[:3]))
    return Verdict("packages", "ok", ", ".join(f"{name} {found[name]}" for name in OLDEST) + f", Python {python}")


def patches() -> Verdict:
    """Report which other packages have patched requests in this Python."""
    wrappers = {place: _wrappers(vars(kind).get(name)) for place, (kind, name) in _PLACES.items()}
    found = [f"{place} by {', '.join(who)}" for place, who in wrappers.items() if who]
    if requests.sessions.Session is not session_checks.session_class():
        found.append(f"Session replaced by {requests.sessions.Session.__module__}")
    here = f"the requests of {sys.executable}"
    if not found:
        return Verdict("requests", "ok", f"{here} is not patched")
    startup = getattr(sys.modules.get("sitecustomize"), "__file__", None)
    also = f", perhaps from {startup}" if startup else ""
    return Verdict(
        "requests",
        "note",
        f"{here} is patched: {'; '.join(found)}{also}",
        "the cache works with wrappers that call what they wrap; where calls are not cached, try without this package",
    )


def _wrappers(method: Any) -> list[str]:
    """Return the modules of the wrappers on one of requests' methods, the outermost first, without ours."""
    found: list[str] = []
    while method is not None and len(found) < 20:
        if type(method) is FunctionType and method.__globals__.get("__name__") in _OWN_MODULES:
            return found
        if not method_wrappers.is_ours(method):
            found.append(_module_of(method))
        method = method_wrappers.wrapped_by(method)
    return found


def _module_of(method: Any) -> str:
    # wrapt's wrappers pass for what they wrap; functools.wraps copies __module__.
    method = getattr(method, "_self_wrapper", method)
    if type(method) is FunctionType:
        return str(method.__globals__.get("__name__"))
    return type(method).__module__
