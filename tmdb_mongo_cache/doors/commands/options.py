"""What the commands share: their options, the cache they name, and how they say what they found."""

from __future__ import annotations

import json
import logging
import math
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import date, datetime, timezone
from typing import TYPE_CHECKING, Any, NoReturn

import click

from ...config import CacheConfig
from ...display import bytes_text, time_text
from ...environment import PREFIX, read_seconds
from ...errors import CacheError, ConfigError

if TYPE_CHECKING:
    from rich.console import Console

    from ...cache import TMDBCache

__all__ = [
    "INTERRUPTED",
    "as_json",
    "bytes_text",
    "combined",
    "common",
    "console",
    "echo_json",
    "end_of_job",
    "json_text",
    "open_cache",
    "progress_bar",
    "read_settings",
    "say_no_more",
    "seconds",
    "time_text",
    "variables",
    "waiting",
]

_PATIENCE = 1.5  # seconds

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
    """Open the cache that the options name.

    Raises:
        ConfigError: an option or a variable cannot be used.
    """
    from ...cache import TMDBCache

    config = read_settings(settings)
    # An option of the URI that nobody knows is otherwise a warning of Python's. (Of a "+srv" it takes DNS to know.)
    if config.uri is not None and config.uri.startswith("mongodb://"):
        from ...store.client import check_uri

        check_uri(config.uri)
    return TMDBCache(config)


def read_settings(settings: Mapping[str, str | None]) -> CacheConfig:
    """Read the settings, those that options name as ``run`` names them to a program: by the environment.

    Raises:
        ConfigError: an option or a variable cannot be used.
    """
    os.environ.update(variables(settings))
    # What fails is said at the end, once, and not in the log as well.
    logging.getLogger("tmdb_mongo_cache").setLevel(logging.ERROR)
    try:
        return CacheConfig.from_env()
    except ConfigError as error:
        variable, _, text = str(error).partition(": ")
        if variable not in variables(settings):
            raise
        option = variable.removeprefix(PREFIX).lower().replace("_", "-")
        raise ConfigError(f"--{option}: {text}") from None


def variables(settings: Mapping[str, str | None]) -> dict[str, str]:
    """Return the variables that stand for what options say."""
    return {f"{PREFIX}{name.upper()}": value for name, value in settings.items() if value is not None}


def say_no_more(error: click.Abort, advice: str) -> NoReturn:
    """Say what to do where a question found nobody who answers; go on with what else ended it."""
    if isinstance(error.__context__, EOFError):
        click.echo(err=True)
        raise click.UsageError(advice)
    raise error


@contextmanager
def waiting(text: str, *, after: float = _PATIENCE) -> Iterator[None]:
    """Say what is being done where it takes longer, and somebody looks on."""

    def say() -> None:
        with suppress(OSError):
            click.echo(f"{text} …", err=True)

    timer = threading.Timer(after, say)
    timer.daemon = True
    if sys.stderr.isatty():
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


def end_of_job(failure: CacheError | None, *, interrupted: bool, failed: bool) -> NoReturn:
    """End a command that goes on from where it stopped: with its error, after Ctrl-C, or by what failed."""
    if failure is not None:
        raise failure
    if interrupted:
        click.echo("interrupted; the same command goes on from here", err=True)
        sys.exit(INTERRUPTED)
    sys.exit(1 if failed else 0)


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
    shown = console(err=True)
    if not shown.is_terminal:
        yield lambda text, done, total: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=shown, transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda text, done, total: bar.update(task, description=text, completed=done, total=total or None)
