"""Entries and answers on a terminal, and where a program reads them."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import click

from .naming import short
from .options import bytes_text, console, json_text

if TYPE_CHECKING:
    from ...store.document import EntryInfo


def print_entries(entries: Iterable[EntryInfo]) -> None:
    """Print entries as a table: within the terminal, or with every key in one piece."""
    from rich.table import Table
    from rich.text import Text

    from ...tmdb.reasons import length

    now = datetime.now(timezone.utc)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("key", overflow="fold")
    for name in ("status", "age", "freshness", "size"):
        table.add_column(name, justify="left" if name == "freshness" else "right", no_wrap=True)
    longest = 0
    for entry in entries:
        left = (entry.expires_at - now).total_seconds()
        text = f"fresh for {_first(length(left))}" if left > 0 else f"stale since {_first(length(-left))}"
        age = _first(length(max((now - entry.timestamp).total_seconds(), 0)))
        size = "" if entry.size is None else bytes_text(entry.size)
        longest = max(longest, len(short(entry.key)))
        # Not as markup: a key may have brackets.
        table.add_row(Text(short(entry.key)), str(entry.status), age, text, size)
    shown = console()
    if not shown.is_terminal:
        shown.width = longest + 80  # a program is to find a key in one piece
    shown.print(table)


def _first(text: str) -> str:
    return " ".join(text.split(" ")[:2])


def print_rows(rows: list[tuple[str, str]]) -> None:
    """Print names and texts, wrapped in a terminal."""
    width = max(len(name) for name, _ in rows) + 2
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    for name, text in rows:
        lines = [text] if columns < width + 20 else textwrap.wrap(text, columns - width, break_on_hyphens=False)
        for number, line in enumerate(lines or [""]):
            click.echo(f"{'' if number else name:<{width}}{line}")


def pretty(body: bytes) -> str:
    """Return an answer as JSON for people; as it is where that cannot be."""
    from ...tools.showing import parsed

    data = parsed(body)
    try:
        return body.decode("utf-8", "replace") if data is None else json_text(data)
    except RecursionError:
        return body.decode("utf-8", "replace")
