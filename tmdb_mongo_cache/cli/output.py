"""What commands print: tables, JSON, progress, questions."""

from __future__ import annotations

import json
import math
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, is_dataclass
from datetime import date, datetime, timezone
from typing import TYPE_CHECKING, Any

import click

from ..formatting import Progress, bytes_text, duration_text
from ..tmdb.redaction import redact
from .arguments import short

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status

    from ..mongo.document import EntryInfo

MOST_LISTED = 50
"""Failures that are listed one by one."""

_COLUMNS = ("key", "status", "age", "freshness", "size")
_GAP = "  "


def echo_json(value: Any, *, in_a_line: bool = False) -> None:
    """Print a value as one JSON document: named tuples and dataclasses as objects, times in ISO 8601 and UTC."""
    click.echo(json_text(_plain(value), indent=None if in_a_line else 2))


def json_text(value: Any, *, indent: int | None = 2) -> str:
    """Return a value as JSON; characters that standard output cannot encode are escaped."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(value, indent=indent)
    return text


def _plain(value: Any) -> Any:
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        value = value._asdict()
    elif is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
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
    """Return the console that tables go to; rich is imported only where it is needed."""
    from rich.console import Console

    return Console(stderr=err, highlight=False)


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """Show a progress bar on a terminal."""
    shown = console(err=True)
    if not shown.is_terminal:
        yield lambda text, done, total: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=shown, transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda text, done, total: bar.update(task, description=text, completed=done, total=total or None)


def status(text: str) -> Status | nullcontext[None]:
    """Show on a terminal what is being done."""
    return console(err=True).status(f"{text} …") if sys.stderr.isatty() else nullcontext()


def confirm(question: str, command: str) -> None:
    """Ask a question on standard error and go on after a yes.

    Raises:
        click.Abort: the answer is no, or Ctrl-C.
        click.UsageError: standard input has ended.
    """
    try:
        click.confirm(question, abort=True, err=True)
    except click.Abort as error:
        if not isinstance(error.__context__, EOFError):
            raise
        click.echo(err=True)
        raise click.UsageError(f"{command} asks for confirmation; pass --yes where there is no terminal.") from None


def print_failures(failed: Sequence[tuple[str, str]]) -> None:
    """Print on standard error what could not be fetched, and why."""
    for name, why in failed[:MOST_LISTED]:
        click.echo(f"{name}: {why}", err=True)
    if len(failed) > MOST_LISTED:
        rest = " ".join(name.rpartition(" ")[2] for name, _ in failed[MOST_LISTED:])
        click.echo(f"and {len(failed) - MOST_LISTED} more: {rest}", err=True)


def print_entries(entries: Iterable[EntryInfo]) -> None:
    """Print entries as a table that fits the terminal; no key is broken, so that it can be copied."""
    now = datetime.now(timezone.utc)
    rows = []
    for entry in entries:
        left = (entry.expires_at - now).total_seconds()
        since = duration_text(abs(left), largest_unit_only=True)
        text = f"fresh for {since}" if left > 0 else f"stale since {since}"
        age = duration_text(max((now - entry.timestamp).total_seconds(), 0), largest_unit_only=True)
        size = "" if entry.size is None else bytes_text(entry.size)
        rows.append((_printable(short(entry.key)), str(entry.status), age, text, size))
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    for number, line in enumerate(lines_of(rows, columns)):
        click.echo(line if number else click.style(line, bold=True))


def lines_of(rows: list[tuple[str, str, str, str, str]], columns: int) -> list[str]:
    """Lay entries out in lines; a key that does not fit gets a line of its own, however long it is.

    Args:
        rows: the cells.
        columns: the width of the terminal; 0 where there is none.
    """
    widths = [max(map(len, cells)) for cells in zip(_COLUMNS, *rows, strict=True)]
    if columns:
        room = columns - sum(widths[1:]) - len(_GAP) * len(widths[1:])
        widths[0] = max((len(row[0]) for row in (_COLUMNS, *rows) if len(row[0]) <= room), default=len(_COLUMNS[0]))
    lines = []
    for key, status, age, text, size in (_COLUMNS, *rows):
        if len(key) > widths[0]:
            lines.append(key)
            key = ""
        cells = [f"{key:<{widths[0]}}", f"{status:>{widths[1]}}", f"{age:>{widths[2]}}"]
        lines.append(_GAP.join([*cells, f"{text:<{widths[3]}}", f"{size:>{widths[4]}}"]))
    return lines


def _printable(key: str) -> str:
    """Return a key without credentials and control characters: another program may have written it."""
    key = redact(key)
    return key if key.isprintable() else key.encode("unicode_escape").decode()


def print_counts(*counts: tuple[int, str]) -> None:
    """Print numbers, each with what it counts."""
    for number, text in counts:
        click.echo(f"{number:>9} {text}")


def print_rows(rows: list[tuple[str, str]]) -> None:
    """Print names and texts, wrapped on a terminal."""
    width = max(len(name) for name, _ in rows) + 2
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    for name, text in ((name, redact(text)) for name, text in rows):
        lines = [text] if columns < width + 20 else textwrap.wrap(text, columns - width, break_on_hyphens=False)
        for number, line in enumerate(lines or [""]):
            click.echo(f"{'' if number else name:<{width}}{line}")


def pretty(body: bytes) -> str:
    """Return a response body as indented JSON; as it is where it is not JSON."""
    from ..httpcache.json_body import parse_if_whole

    data = parse_if_whole(body)
    try:
        return body.decode("utf-8", "replace") if data is None else json_text(data)
    except RecursionError:
        return body.decode("utf-8", "replace")
