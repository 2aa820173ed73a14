"""The log of this package: what is in no line of it, and ``TMDB_CACHE_LOG=debug``.

The latter writes it to standard error, for a program that configures no logging.
"""

from __future__ import annotations

import logging
import os

from .errors import ConfigError

VARIABLE = "TMDB_CACHE_LOG"
_logger = logging.getLogger("tmdb_mongo_cache")
_LEVELS = ("debug", "info", "warning", "error")


def _without_credentials(record: logging.LogRecord) -> bool:
    """Leave out of a line what looks like a credential: the texts of others' errors are in some."""
    from .tmdb.secrets import redact  # who only installs the cache need not pay for it

    try:
        text = record.getMessage()
        shown = redact(text)
    except Exception as error:  # noqa: BLE001  an object that cannot be written; logging would show all arguments
        text, shown = "", f"a line that cannot be written ({type(error).__name__})"
    if shown != text:
        record.msg, record.args = shown, ()
    return True


_logger.addFilter(_without_credentials)


class _Handler(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes as long as the program has no handler of its own: who configures logging later sees each line once."""

    def emit(self, record: logging.LogRecord) -> None:
        if not logging.getLogger().handlers and len(_logger.handlers) == 1:
            super().emit(record)


def log_as_the_environment_says() -> None:
    """Log to standard error if ``TMDB_CACHE_LOG`` names a level; once per process.

    Raises:
        ConfigError: it names none.
    """
    text = os.environ.get(VARIABLE, "").strip().lower()
    if not text:
        return
    if text not in _LEVELS:
        raise ConfigError(f"{VARIABLE}: there is no level {text!r}; the levels are: {', '.join(_LEVELS)}")
    if not any(isinstance(handler, _Handler) for handler in _logger.handlers):
        handler = _Handler()
        handler.setFormatter(logging.Formatter("%(asctime)s tmdb-mongo-cache %(levelname)s %(message)s"))
        _logger.addHandler(handler)
        _logger.setLevel(text.upper())
