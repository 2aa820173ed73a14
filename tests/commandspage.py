"""Writes ``docs/commands.md``, from what ``--help`` says: ``python -m tests.commandspage``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from tmdb_mongo_cache.cli.main import cli

PAGE = Path(__file__).parent.parent / "docs" / "commands.md"
NAME = "tmdb-mongo-cache"

_HEAD = """\
# The command line

What `--help` says of each command; written by `python -m tests.commandspage`. What a command says is for people, and \
with `--json` for programs.
"""


def every_command() -> Iterator[tuple[str, click.Command]]:
    """List every command with its full name, those within others behind them."""
    yield from _within(cli, NAME)


def _within(group: click.Group, name: str) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group, info_name=name)
    for found in group.list_commands(context):
        command = group.get_command(context, found)
        assert command is not None, found
        yield f"{name} {found}", command
        if isinstance(command, click.Group):
            yield from _within(command, f"{name} {found}")


def page() -> str:
    """Return the page as it should be."""
    parts = [_HEAD]
    for name, command in every_command():
        with click.Context(command, info_name=name, terminal_width=100, help_option_names=["-h", "--help"]) as context:
            help_text = command.get_help(context)
        parts.append(f"## {name.removeprefix(NAME).strip()}\n\n```text\n{help_text}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
