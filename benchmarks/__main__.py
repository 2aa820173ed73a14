"""``python -m benchmarks``: measure everything, print the requirements and the results, write tables and pictures."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from rich.console import Console
from rich.table import Table

from . import costs, plots, report
from .bench import running
from .documents import documents
from .latency import latency, looked_at, with_json
from .threads import threads

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Extent:
    """How much is measured."""

    rounds: int
    block: int
    documents: tuple[int, ...]
    seconds: float
    repeats: int
    imports: int
    films: int
    limit: int


FULL = Extent(40, 50, (1_000, 10_000, 100_000, 1_000_000), 1.5, 3, 15, 100_000, 64 * 2**20)
QUICK = Extent(10, 30, (1_000, 10_000), 0.3, 1, 5, 5_000, 4 * 2**20)
SMOKE = Extent(2, 10, (100, 600), 0.05, 1, 1, 200, 2**20)


def measure(extent: Extent, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure everything."""
    turns = {"rounds": extent.rounds, "block": extent.block}
    results: dict[str, Any] = {"machine": report.machine()}
    with running() as bench:
        results["machine"]["mongod"] = bench.client.server_info()["version"]
        steps: dict[str, Callable[[], Any]] = {
            "latency": lambda: latency(bench, **turns),
            "with_json": lambda: with_json(bench, **turns),
            "looked_at": lambda: looked_at(bench, **turns),
            "ways_in": lambda: costs.ways_in(bench, **turns),
            "other_host": lambda: costs.other_host(bench, **turns),
            "miss": lambda: costs.miss(bench, **turns),
            "new_calls": lambda: costs.new_calls(bench, **turns),
            "threads": lambda: threads(bench, seconds=extent.seconds, repeats=extent.repeats),
            "importing": lambda: costs.importing(repeats=extent.imports),
            "memory": lambda: costs.memory(bench, films=extent.films, limit=extent.limit),
            "documents": lambda: documents(bench, list(extent.documents), **turns),
        }
        for name, step in steps.items():
            start = perf_counter()
            results[name] = step()
            say(f"{name.replace('_', ' ')}: {perf_counter() - start:.0f} s")
    return results


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmarks."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--quick", action="store_true", help="less of everything, in under a minute")
    group.add_argument("--smoke", action="store_true", help="next to nothing of everything: does it run at all?")
    parser.add_argument(
        "--output", type=Path, help="where to write; results/ beside this file, results/quick/ for less"
    )
    given = parser.parse_args(arguments)
    extent, name = (QUICK, "quick") if given.quick else (SMOKE, "smoke") if given.smoke else (FULL, "")
    folder = given.output or (RESULTS / "quick" if name else RESULTS)
    console = Console()
    results = measure(extent, lambda text: console.print(text, style="dim"))
    command = f"python -m benchmarks{' --' if name else ''}{name}"
    found = report.write(results, folder, command)
    plots.draw(results, folder)
    table = Table(title="ratios of medians, one run")
    for column in ("what", "asked", "measured", ""):
        table.add_column(column, justify="right" if column in ("asked", "measured") else "left")
    for one in found:
        table.add_row(one.what, one.limit, f"{one.value:.2f}{one.unit}", "yes" if one.met else "[red]no[/red]")
    console.print(table)
    console.print(f"written to {folder}")


if __name__ == "__main__":
    main(sys.argv[1:])
