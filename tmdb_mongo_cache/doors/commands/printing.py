"""Entries and answers on a terminal, and where a program reads them."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import click

from ...tmdb.secrets import redact
from .naming import short
from .options import bytes_text, json_text

if TYPE_CHECKING:
    from ...store.document import EntryInfo


_COLUMNS = ("key", "status", "age", "freshness", "size")
_GAP = "  "


def print_entries(entries: Iterable[EntryInfo]) -> None:
    """Print entries as a table: within the terminal, but with every key in one piece, so that it can be copied."""
    from ...tmdb.reasons import length

    now = datetime.now(timezone.utc)
    rows = []
    for entry in entries:
        left = (entry.expires_at - now).total_seconds()
        text = f"fresh for {_first(length(left))}" if left > 0 else f"stale since {_first(length(-left))}"
        age = _first(length(max((now - entry.timestamp).total_seconds(), 0)))
        size = "" if entry.size is None else bytes_text(entry.size)
        rows.append((_printable(short(entry.key)), str(entry.status), age, text, size))
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    for number, line in enumerate(lines_of(rows, columns)):
        click.echo(line if number else click.style(line, bold=True))


def lines_of(rows: list[tuple[str, str, str, str, str]], columns: int) -> list[str]:
    """Lay entries out in lines; a key for which there is no room stands in a line of its own, which it may exceed.

    Args:
        rows: the cells.
        columns: how wide the terminal is; 0 where there is none.
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
    """Return a key without credentials and what would move the cursor: somebody else may have written it."""
    key = redact(key)
    return key if key.isprintable() else key.encode("unicode_escape").decode()


def _first(text: str) -> str:
    return " ".join(text.split(" ")[:2])


def print_rows(rows: list[tuple[str, str]]) -> None:
    """Print names and texts, wrapped in a terminal."""
    width = max(len(name) for name, _ in rows) + 2
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    for name, text in ((name, redact(text)) for name, text in rows):
        lines = [text] if columns < width + 20 else textwrap.wrap(text, columns - width, break_on_hyphens=False)
        for number, line in enumerate(lines or [""]):
            click.echo(f"{'' if number else name:<{width}}{line}")


def pretty(body: bytes) -> str:
    """Return an answer as JSON for people; as it is where that cannot be."""
    from ...tmdb.bodies import parse_if_whole

    data = parse_if_whole(body)
    try:
        return body.decode("utf-8", "replace") if data is None else json_text(data)
    except RecursionError:
        return body.decode("utf-8", "replace")
