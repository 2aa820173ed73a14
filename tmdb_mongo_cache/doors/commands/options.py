"""What the commands share: their options, the cache they name, and how they say what they found."""

from __future__ import annotations

import json
import logging
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime, timezone
from typing import TYPE_CHECKING, Any

import click

from ...cache import TMDBCache
from ...config import CacheConfig
from ...display import bytes_text, time_text
from ...environment import PREFIX, read_seconds
from ...errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

__all__ = [
    "INTERRUPTED",
    "as_json",
    "bytes_text",
    "combined",
    "common",
    "console",
    "echo_json",
    "json_text",
    "open_cache",
    "progress_bar",
    "seconds",
    "time_text",
]

INTERRUPTED = 130
"""The exit code after Ctrl-C, as shells have it."""

as_json = click.option("--json", "as_json", is_flag=True, help="For programs: JSON on standard output.")


def combined(command: Callable[..., Any], *options: Callable[..., Any]) -> Callable[..., Any]:
    """Add options to a command, in the order in which its help shows them."""
    for option in reversed(options):
        command = option(command)
    return command


def common(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that name a cache, and ``--json``; the function gets the former as ``**settings``."""
    return combined(
        command,
        as_json,
        click.option("--uri", help="MongoDB URI, or 'embedded'.  [env: TMDB_CACHE_URI]"),
        click.option("--database", help="Name of the database.  [env: TMDB_CACHE_DATABASE]"),
        click.option("--collection", help="Name of the collection.  [env: TMDB_CACHE_COLLECTION]"),
    )


def open_cache(settings: Mapping[str, str | None]) -> TMDBCache:
    """Open the cache that the options name, as ``run`` names it to a program: by the environment."""
    given = {f"{PREFIX}{name.upper()}": value for name, value in settings.items() if value is not None}
    os.environ.update(given)
    # What fails is said at the end, once, and not in the log as well.
    logging.getLogger("tmdb_mongo_cache").setLevel(logging.ERROR)
    return TMDBCache(CacheConfig.from_env())


def seconds(text: str, name: str) -> float:
    """Read a time like 90, 30m, 6h or 1d.

    Raises:
        ConfigError: it is none.
    """
    try:
        found = read_seconds(text)
    except ValueError:
        found = 0.0
    if found <= 0:
        raise ConfigError(f"{name} is a time like 90, 30m, 6h or 1d, not {text!r}")
    return found


def echo_json(value: Any, *, in_a_line: bool = False) -> None:
    """Print a value as one JSON document: named tuples as objects, times in ISO 8601 and UTC."""
    click.echo(json_text(_plain(value), indent=None if in_a_line else 2))


def json_text(value: Any, *, indent: int | None = 2) -> str:
    """Write a value as JSON in the letters that standard output has; the others are escaped."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(value, indent=indent)
    return text


def _plain(value: Any) -> Any:
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, datetime):
        return value.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return None  # JSON has no such number
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def console(*, err: bool = False) -> Console:
    """Return where tables go; made when it is wanted, for "run" is not to pay for it."""
    from rich.console import Console

    return Console(stderr=err, highlight=False)


@contextmanager
def progress_bar() -> Iterator[Callable[[str, int, int], None]]:
    """Show a progress bar where somebody looks on."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    shown = console(err=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=shown, transient=True, disable=not shown.is_terminal) as bar:
        task = bar.add_task("", total=None)
        yield lambda text, done, total: bar.update(task, description=text, completed=done, total=total or None)
