"""``demo``: an unchanged script run twice, the second time without a call to TMDB."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from .options import as_json
from .output import console, echo_json, status

if TYPE_CHECKING:
    from rich.table import Table

    from ..demo.runs import Result


@click.command()
@as_json
def demo(as_json: bool) -> None:
    """Run a script twice and show what the second run saved.

    Calls a stand-in for TMDB on this machine, or TMDB itself if TMDB_API_KEY is
    set.
    """
    from ..demo.runs import run_twice
    from ..mongo.client import check_uri, resolve_uri

    uri = resolve_uri(None)
    check_uri(uri)
    with status("running an old script twice"):
        result = run_twice(uri)
    if as_json:
        echo_json({"calls": result.calls, "first": result.first, "second": result.second}, in_a_line=True)
    else:
        _print(result)


def _print(result: Result) -> None:
    from rich.text import Text

    from ..demo.runs import LATENCY, SCRIPT

    shown = console()
    shown.print(f"\n[bold]tmdb-mongo-cache run {SCRIPT.name}[/bold], twice: an old script without a cache.\n")
    short = shown.is_terminal  # each line of the script in one line
    for line in result.second.lines:
        shown.print(Text(line, style="dim"), no_wrap=True, overflow="ellipsis" if short else "ignore", crop=short)
    shown.print()
    shown.print(_table(result))
    shown.print(f"\n{_verdict(result)}")
    if result.real:
        shown.print("[dim]Upstream was TMDB itself, with your TMDB_API_KEY.[/dim]")
    else:
        shown.print(
            "[dim]Upstream was a stand-in for TMDB on this machine that delays each response by "
            f"{1000 * LATENCY:.0f} ms; set TMDB_API_KEY to use TMDB itself. The films are made up.[/dim]"
        )
    shown.print("[dim]Run your own: [/dim][bold]tmdb-mongo-cache run your_script.py[/bold]")
    shown.print(
        "[dim]This product uses TMDB and the TMDB APIs but is not endorsed, certified, or otherwise approved by "
        "TMDB.[/dim]\n"
    )


def _table(result: Result) -> Table:
    from rich.table import Table

    table = Table("", title=f"{result.calls} TMDB calls, twice", title_justify="left")
    table.add_column("first run", justify="right")
    table.add_column("second run", justify="right", style="green")
    runs = (result.first, result.second)
    table.add_row("calls made to TMDB", *(str(run.made) for run in runs))
    table.add_row("calls saved", *(f"{result.saved(run)} of {result.calls}" for run in runs))
    table.add_row("time per call", *(f"{result.milliseconds(run):.1f} ms" for run in runs))
    table.add_row("all calls", *(f"{run.seconds:.2f} s" for run in runs))
    return table


def _verdict(result: Result) -> str:
    if result.first.lines != result.second.lines:
        return "[red]The output of the two runs differs: please report this.[/red]"
    faster = result.first.seconds / max(result.second.seconds, 1e-6)
    return (
        f"The same output, [bold green]{faster:.0f} times as fast[/bold green], and not a line of the script changed."
    )
