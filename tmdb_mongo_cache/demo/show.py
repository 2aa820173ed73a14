"""What the demonstration prints."""

from __future__ import annotations

import json
from dataclasses import asdict

from rich.console import Console
from rich.table import Table
from rich.text import Text

from .runs import LATENCY, SCRIPT, Result, Run, run_twice


def demonstrate(uri: str, *, as_json: bool = False) -> None:
    """Run the script twice and print the table.

    Args:
        uri: which MongoDB; ``"embedded"`` for the embedded one.
        as_json: print what was measured as JSON instead.

    Raises:
        CacheError: MongoDB cannot be used, or the script failed.
    """
    console = Console(highlight=False, stderr=as_json)
    with console.status("running an old script twice …"):
        result = run_twice(uri)
    if as_json:
        print(json.dumps({"calls": result.calls, "first": asdict(result.first), "second": asdict(result.second)}))  # noqa: T201
        return
    console.print(f"\n[bold]tmdb-mongo-cache run {SCRIPT.name}[/bold], twice: an old script that knows no cache.\n")
    for line in result.second.lines:
        # Whole where somebody reads it later, in one line each where somebody looks on.
        short = console.is_terminal
        console.print(Text(line, style="dim"), no_wrap=True, overflow="ellipsis" if short else "ignore", crop=short)
    console.print()
    console.print(_table(result))
    console.print(f"\n{_verdict(result)}")
    if result.real:
        console.print("[dim]Upstream was TMDB itself, with your TMDB_API_KEY.[/dim]")
    else:
        console.print(
            f"[dim]Upstream was a stand-in for TMDB on this machine that waits {1000 * LATENCY:.0f} ms before each "
            "answer; set TMDB_API_KEY to use TMDB itself. The films are made up.[/dim]"
        )
    console.print("[dim]Your own: [/dim][bold]tmdb-mongo-cache run your_script.py[/bold]")
    console.print(
        "[dim]This product uses TMDB and the TMDB APIs but is not endorsed, certified, or otherwise approved by "
        "TMDB.[/dim]\n"
    )


def _table(result: Result) -> Table:
    def row(run: Run) -> tuple[str, str, str, str]:
        return (
            str(run.made),
            f"{result.saved(run)} of {result.calls}",
            f"{result.milliseconds(run):.1f} ms",
            f"{run.seconds:.2f} s",
        )

    first, second = row(result.first), row(result.second)
    table = Table(title=f"{result.calls} TMDB calls, twice", title_justify="left")
    table.add_column("")
    table.add_column("first run", justify="right")
    table.add_column("second run", justify="right", style="green")
    for name, one, two in zip(
        ("calls made to TMDB", "calls saved", "time per call", "all calls"), first, second, strict=True
    ):
        table.add_row(name, one, two)
    return table


def _verdict(result: Result) -> str:
    if result.first.lines != result.second.lines:
        return "[red]The two runs printed different things: please report this.[/red]"
    faster = result.first.seconds / max(result.second.seconds, 1e-6)
    return (
        f"The same output, [bold green]{faster:.0f} times as fast[/bold green], and not a line of the script changed."
    )
