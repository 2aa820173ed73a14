"""``doctor``: diagnose problems of the cache and what it depends on."""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from ..environment import PREFIX
from ..errors import ConfigError
from .options import Settings, common, open_cache
from .output import echo_json

if TYPE_CHECKING:
    from ..doctor.verdicts import Verdict

_COLOURS = {"ok": "green", "note": "yellow", "problem": "red"}
_INDENT = 22


@click.command()
@click.option("--no-mend", is_flag=True, help="Change nothing: report missing indexes, but do not create them.")
@common
def doctor(no_mend: bool, as_json: bool, settings: Settings) -> None:
    """Diagnose problems, and say how to fix them.

    Checks the settings, the connection, the server, permissions, latency, indexes,
    sizes, clocks, the six months of TMDB's terms, and the requests of this Python.
    The cache's own indexes are created or corrected where needed; no other index is
    touched. The exit code is 1 if there is a problem.
    """
    from ..doctor.environment import bad_settings

    try:
        cache = open_cache(settings)
    except ConfigError as error:
        found: Sequence[Verdict] = bad_settings(error)
    else:
        with cache:
            found = cache.doctor(mend=not no_mend)
    found = [_by_options(verdict, settings) for verdict in found]
    healthy = all(verdict.level != "problem" for verdict in found)
    if as_json:
        echo_json({"healthy": healthy, "verdicts": found})
    else:
        _show(found)
    sys.exit(0 if healthy else 1)


def _by_options(verdict: Verdict, settings: Settings) -> Verdict:
    """Name the option if a setting was given by one: the cache reads it from the environment either way."""
    for name, value in settings.items():
        if value is not None:
            variable = rf"\b{PREFIX}{name.upper()}\b"
            text, advice = (re.sub(variable, f"--{name}", said) for said in (verdict.text, verdict.advice))
            verdict = verdict._replace(text=text, advice=advice)
    return verdict


def _show(verdicts: Sequence[Verdict]) -> None:
    # One line each where another program reads them; else within the terminal, and no URI is broken.
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 10**6
    blank = " " * _INDENT
    for verdict in verdicts:
        level = click.style(f"{verdict.level:<8}", fg=_COLOURS[verdict.level])
        texts = [verdict.text, *([f"-> {verdict.advice}"] if verdict.advice else [])]
        lines = [
            line
            for text in texts
            for line in textwrap.wrap(text, max(width - _INDENT, 30), break_long_words=False, break_on_hyphens=False)
        ]
        click.echo(f"{level}{verdict.name:<{_INDENT - 8}}{lines[0]}")
        for line in lines[1:]:
            click.echo(blank + line)
