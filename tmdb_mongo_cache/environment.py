"""Environment variables: the settings, ``TMDB_CACHE_<NAME>``, and ``TMDB_CACHE_LOG=debug``.

The latter logs to standard error, for a program that does not configure logging.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Callable, Container
from typing import Any

from .errors import ConfigError

logger = logging.getLogger("tmdb_mongo_cache")

PREFIX = "TMDB_CACHE_"
LOG_VARIABLE = "TMDB_CACHE_LOG"
_LEVELS = ("debug", "info", "warning", "error")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def read_environment(without: Container[str]) -> dict[str, Any]:
    """Read the settings from the environment; an empty variable counts as unset.

    Args:
        without: names of settings to ignore, because they are given explicitly.

    Raises:
        ConfigError: a variable with an invalid value.
    """
    configure_log()
    found: dict[str, Any] = {}
    for name, read in _READERS.items():
        text = os.environ.get(PREFIX + name.upper(), "").strip()
        if not text or name in without:
            continue
        try:
            found[name] = read(text)
        except ValueError:
            raise ConfigError(f"{PREFIX}{name.upper()}: invalid value {text!r}; {_hint(read)}") from None
    report_unknown_variables(logger.warning)
    return found


def config_environment() -> tuple[str | None, ...]:
    """Return the values of all variables, to detect changes."""
    return tuple(os.environ.get(name) for name in _VARIABLES)


def _hint(read: Callable[[str], Any]) -> str:
    if read is _read_flag:
        return "expected 1 or 0"
    if read is int:
        return "expected a number of bytes"
    if read is _read_expirations:
        return 'expected JSON like {"*/movie/*": "7d"}'
    also = ', or adaptive, or JSON like {"details": "30d"}' if read is _read_expire_after else ""
    return f"expected seconds, or a number with s, m, h, d or w like 36h, or -1 for as long as TMDB's terms allow{also}"


_warned: set[str] = set()


def unknown_variables() -> list[str]:
    """Return the names of variables that look like settings but are not."""
    known = {*_VARIABLES, *_OTHER_VARIABLES}
    return sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)


def report_unknown_variables(report: Callable[[str], object]) -> None:
    """Report the variables that look like settings but are not, each once per process."""
    for name in unknown_variables():
        if name not in _warned:
            _warned.add(name)
            report(f"{name} is set, but there is no such setting")


def _read_flag(text: str) -> bool:
    if text.lower() in ("1", "true", "yes", "on"):
        return True
    if text.lower() in ("0", "false", "no", "off"):
        return False
    raise ValueError(text)


def read_seconds(text: str) -> float:
    """Read a duration: a number with s, m, h, d or w, or -1.

    Raises:
        ValueError: it is not a duration.
    """
    match = re.fullmatch(r"(-1|[0-9]+(?:\.[0-9]+)?) ?([smhdw]?)", text)
    if match is None:
        raise ValueError(text)
    return float(match[1]) * (1 if match[1] == "-1" else _UNITS[match[2]])


def _read_limit(text: str) -> float | bool:
    return _read_flag(text) if text.lower() in ("true", "yes", "on", "false", "no", "off") else read_seconds(text)


def _read_expiration(text: str) -> float | str:
    return text if text == "adaptive" else read_seconds(text)


def _read_expirations(text: str) -> dict[str, float | str]:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError(text)
    return {key: _read_expiration(str(value)) for key, value in found.items()}


def _read_expire_after(text: str) -> dict[str, float | str] | float | str:
    return _read_expirations(text) if text.startswith("{") else _read_expiration(text)


_READERS: dict[str, Callable[[str], Any]] = {
    "uri": str,
    "database": str,
    "collection": str,
    "expire_after": _read_expire_after,
    "urls_expire_after": _read_expirations,
    "cache_control": _read_flag,
    "stale_if_error": _read_limit,
    "stale_while_revalidate": _read_limit,
    "not_found_expire_after": read_seconds,
    "memory_ttl": read_seconds,
    "memory_max_bytes": int,
    "hosts": str,
    "store_timeout": read_seconds,
    "wait_on_rate_limit": _read_flag,
    "reuse_appended": _read_flag,
    "statistics": _read_flag,
    "offline": _read_flag,
    "disabled": _read_flag,
}

_VARIABLES = tuple(PREFIX + name.upper() for name in _READERS)
# The last one is read by tmdbv3api.
_OTHER_VARIABLES = frozenset(
    {f"{PREFIX}MONGOD", f"{PREFIX}RUN_FIRST", f"{PREFIX}RUN_PATH", LOG_VARIABLE, f"{PREFIX}ENABLED"}
)


def _redact(record: logging.LogRecord) -> bool:
    """Redact credentials in a record; it may contain the text of another library's error."""
    from .tmdb.redaction import redact  # imported late, because install() does not need it

    try:
        text = record.getMessage()
        shown = redact(text)
    except Exception as error:  # noqa: BLE001  an argument without a valid str(); logging would print all arguments
        text, shown = "", f"a line that cannot be written ({type(error).__name__})"
    if shown != text:
        record.msg, record.args = shown, ()
    return True


logger.addFilter(_redact)


class _Handler(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes while the program has no handler of its own, so that a line is never logged twice."""

    def emit(self, record: logging.LogRecord) -> None:
        if not logging.getLogger().handlers and len(logger.handlers) == 1:
            super().emit(record)


def configure_log() -> None:
    """Log to standard error if ``TMDB_CACHE_LOG`` names a level; once per process.

    Raises:
        ConfigError: there is no such level.
    """
    text = os.environ.get(LOG_VARIABLE, "").strip().lower()
    if not text:
        return
    if text not in _LEVELS:
        raise ConfigError(f"{LOG_VARIABLE}: there is no level {text!r}; the levels are: {', '.join(_LEVELS)}")
    if not any(isinstance(handler, _Handler) for handler in logger.handlers):
        handler = _Handler()
        handler.setFormatter(logging.Formatter("%(asctime)s tmdb-mongo-cache %(levelname)s %(message)s"))
        logger.addHandler(handler)
        logger.setLevel(text.upper())
