"""Options that commands share, and the cache that they select."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from ..config import CacheConfig
from ..environment import PREFIX, read_seconds
from ..errors import ConfigError
from ..tmdb.hosts import BASE_URL
from ..tmdb.rate_limit import DEFAULT_RATE, MAX_CONNECTIONS

if TYPE_CHECKING:
    from ..cache import TMDBCache

Settings = Mapping[str, str | None]
"""Settings that were given as options, by name."""

_SETTINGS = ("uri", "database", "collection", "expire_after")


def setting(name: str, text: str, **options: Any) -> Callable[..., Any]:
    """Return the option of a setting, with the name of its variable in the help."""
    variable = f"{PREFIX}{name.upper().replace('-', '_')}"
    return click.option(f"--{name}", help=f"{text}  [env: {variable}]", **options)


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for other programs.")
yes = click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
uri = setting("uri", "MongoDB URI, or 'embedded'.")
database = setting("database", "Database name.")


def common(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--json`` and the options that select a cache; the function gets the latter as ``settings``."""

    @wraps(command)
    def with_settings(**values: Any) -> Any:
        settings = {name: values.pop(name) for name in _SETTINGS if name in values}
        return command(settings=settings, **values)

    return _combined(with_settings, as_json, uri, database, setting("collection", "Collection name."))


def calls_tmdb(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a command that calls TMDB, and those of :func:`common`."""
    connections = f"Number of concurrent calls, at most {MAX_CONNECTIONS}."
    base_url = "Base URL of TMDB; the host of any other server must be listed in TMDB_CACHE_HOSTS."
    return _combined(
        command,
        click.option("--rate", type=float, default=DEFAULT_RATE, show_default=True, help="Maximum calls per second."),
        click.option("--connections", type=int, default=MAX_CONNECTIONS, show_default=True, help=connections),
        click.option("--base-url", default=BASE_URL, show_default=True, help=base_url),
        setting("expire-after", "How long fetched responses stay fresh: 36h, 30d, adaptive, …", metavar="TIME"),
        common,
    )


def _combined(command: Callable[..., Any], *options: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(options):  # the first one is the first in the help
        command = option(command)
    return command


def open_cache(settings: Settings) -> TMDBCache:
    """Open the cache that the options select.

    Raises:
        ConfigError: an option or a variable is invalid.
    """
    from ..cache import TMDBCache

    config = read_settings(settings)
    # pymongo only warns about an unknown option of the URI. (With "+srv", checking it takes DNS.)
    if config.uri is not None and config.uri.startswith("mongodb://"):
        from ..mongo.client import check_uri

        check_uri(config.uri)
    return TMDBCache(config)


def read_settings(settings: Settings) -> CacheConfig:
    """Read the settings; options go through the environment, as ``run`` passes them to a program.

    Raises:
        ConfigError: an option or a variable is invalid.
    """
    os.environ.update(variables(settings))
    # A failure is reported once, at the end, and not in the log as well.
    logging.getLogger("tmdb_mongo_cache").setLevel(logging.ERROR)
    try:
        return CacheConfig.from_env()
    except ConfigError as error:
        variable, _, text = str(error).partition(": ")
        if variable not in variables(settings):
            raise
        option = variable.removeprefix(PREFIX).lower().replace("_", "-")
        raise ConfigError(f"--{option}: {text}") from None


def variables(settings: Settings) -> dict[str, str]:
    """Return the environment variables that correspond to options."""
    return {f"{PREFIX}{name.upper()}": value for name, value in settings.items() if value is not None}


def seconds(text: str, name: str) -> float:
    """Read a duration like 90, 30m, 6h or 1d.

    Raises:
        ConfigError: it is not one.
    """
    try:
        found = read_seconds(text)
    except ValueError:
        found = 0.0
    if found <= 0:
        raise ConfigError(f"{name} takes a duration like 90, 30m, 6h or 1d, not {text!r}")
    return found


def pair(text: str, option: str, separator: str, example: str) -> tuple[str, str]:
    """Read a name and a value.

    Raises:
        click.UsageError: it is not a pair. The text is not repeated, as it may be a credential.
    """
    name, found, value = text.partition(separator)
    if not found or not name.strip():
        raise click.UsageError(f"{option} takes {example}.")
    return name, value
