"""What the commands share: their options, the cache they name, and how they say what they found."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime, timezone
from typing import TYPE_CHECKING, Any

import click

from ...cache import TMDBCache
from ...config import CacheConfig
from ...environment import PREFIX, read_seconds
from ...errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

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
    click.echo(json.dumps(_plain(value), ensure_ascii=False, indent=None if in_a_line else 2))


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
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def console(*, err: bool = False) -> Console:
    """Return where tables go; made when it is wanted, for "run" is not to pay for it."""
    from rich.console import Console

    return Console(stderr=err, highlight=False)


def bytes_text(count: float) -> str:
    """Return a number of bytes for people: ``873 B``, ``24.1 kB``, ``1.3 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            break
        count /= 1000
    return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"


def time_text(seconds: float) -> str:
    """Return a length of time for people, in one unit: ``12 ms``, ``45 s``, ``23 min``, ``17 h``, ``12 days``."""
    if seconds < 1:
        return f"{seconds * 1000:.1f} ms"
    for unit, size, most in (("s", 1, 120), ("min", 60, 120), ("h", 3600, 48)):
        if seconds < size * most:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86400:.0f} days"


@contextmanager
def progress_bar() -> Iterator[Callable[[str, int, int], None]]:
    """Show a progress bar where somebody looks on."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    shown = console(err=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=shown, transient=True, disable=not shown.is_terminal) as bar:
        task = bar.add_task("", total=None)
        yield lambda text, done, total: bar.update(task, description=text, completed=done, total=total or None)
