"""``python -m benchmarks.reliability``: what happens when something fails, beside requests-cache."""

from __future__ import annotations

import argparse
import json
import logging
import re
import sys
from pathlib import Path

from rich.console import Console

from tmdb_mongo_cache.standin import StandIn

from . import report
from .faults import OURS, SCENARIOS, THEIRS, Figures, Program

ROOT = Path(__file__).parent.parent
PAGE, RESULTS = ROOT / "docs" / "reliability.md", ROOT / "benchmarks" / "results" / "reliability.json"
_BEGIN, _END = "<!-- measured -->\n", "<!-- end of measured -->"

Measured = dict[str, dict[str, Figures]]


def measure(names: list[str], calls: int, console: Console) -> Measured:
    """Run scenarios, each with both caches."""
    found: Measured = {}
    for name in names:
        found[name] = {}
        for cache in (OURS, THEIRS):
            with StandIn() as tmdb:
                found[name][cache] = SCENARIOS[name](Program(cache, tmdb), calls)
            console.print(f"{name}, {cache}: {found[name][cache]}", style="dim")
    return found


def table(found: Measured) -> str:
    """Write what was found as a table, each row with its command."""
    rows = [f"| what fails | | {OURS} | {THEIRS} |", "|---|---|---|---|"]
    for name, by in found.items():
        what = (SCENARIOS[name].__doc__ or "").rstrip(".")
        for number, figure in enumerate(by[OURS]):
            first = f"{what} (`python -m benchmarks.reliability {name}`)" if number == 0 else ""
            rows.append(f"| {first} | {figure} | {by[OURS][figure]} | {by[THEIRS].get(figure, '')} |")
    return "\n".join(rows) + "\n"


def main(arguments: list[str] | None = None) -> None:
    """Run the scenarios that are named, else all, and with those write the page and the results again."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reliability", description=__doc__)
    parser.add_argument("scenario", nargs="*", choices=[*SCENARIOS, []], help=", ".join(SCENARIOS))
    parser.add_argument("--calls", type=int, default=200, help="calls after the first, where MongoDB is away")
    given = parser.parse_args(arguments)
    logging.disable(logging.WARNING)
    console = Console()
    found = measure(given.scenario or list(SCENARIOS), given.calls, console)
    console.print(table(found), markup=False, highlight=False, soft_wrap=True)
    if given.scenario:
        return
    results = {"machine": report.machine(), "measured": found}
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    page = PAGE.read_text(encoding="utf-8")
    measured = f"{_BEGIN}{table(found)}{_END}"
    PAGE.write_text(re.sub(f"{_BEGIN}.*{_END}", lambda _: measured, page, flags=re.DOTALL), encoding="utf-8")
    console.print(f"written to {PAGE.relative_to(ROOT)} and {RESULTS.relative_to(ROOT)}")


if __name__ == "__main__":
    main(sys.argv[1:])
