"""``python -m benchmarks.month``: a month of a library of 100,000 titles, with TMDB's feed of changes and without."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.ticker import PercentFormatter
from rich.console import Console

from .simulation import Array, Model, Outcome, Plan, World, simulate

ROOT = Path(__file__).parent.parent
PAGE, PICTURE = ROOT / "docs" / "change-feed.md", ROOT / "docs" / "change-feed.png"
RESULTS = ROOT / "benchmarks" / "results" / "month.json"

_DAY = 86400.0
A_DAY, WITHOUT = "24 hours", "30 days, no feed"
HOURLY, SIX_HOURLY, DAILY = "30 days, feed every hour", "30 days, feed every 6 hours", "30 days, feed once a day"
PREFETCH = f"{HOURLY}, prefetch"

PLANS: dict[str, Plan] = {
    A_DAY: Plan(_DAY),
    HOURLY: Plan(30 * _DAY, tuple(hour + 1 / 3 for hour in range(24))),  # begun at twenty past
    SIX_HOURLY: Plan(30 * _DAY, (0.0, 6.0, 12.0, 18.0)),
    DAILY: Plan(30 * _DAY, (6.0,)),
    PREFETCH: Plan(30 * _DAY, tuple(hour + 1 / 3 for hour in range(24)), prefetch=True),
    WITHOUT: Plan(30 * _DAY),
}

MAIN, FAR, EVEN, BROWSING = "scan", "far", "even", "browsing"
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    MAIN: ("Nightly scan and browsing", {}),
    FAR: ("The same; popular titles change far more often", {"change_skew": 1.0}),
    EVEN: ("The same; all titles change equally often", {"change_skew": 0.0}),
    BROWSING: ("Browsing alone", {"scan": None}),
}
SCAN_ALONE = "scan alone"

Figures = dict[str, float]


def figures(outcome: Outcome, days: int) -> Figures:
    """Return what a plan came to, as the tables have it: calls a day, hours."""
    return {
        "titles": outcome.fetches.sum() / days,
        "pages": outcome.pages / days,
        "calls": outcome.calls / days,
        "answers": outcome.responses / days,
        "older": outcome.older / outcome.responses,
        "median": float(np.median(outcome.behind)) if outcome.older else 0.0,
        "worst": float(outcome.behind.max()) if outcome.older else 0.0,
    }


def measure_case(name: str, model: Model) -> dict[str, Any]:
    """Simulate all plans of a case; of the scan alone, from how many titles on each feed needs fewer calls."""
    if name == SCAN_ALONE:
        world = World(replace(model, views=0))
        each_day = simulate(world, PLANS[A_DAY])
        feeds = {plan: simulate(world, PLANS[plan]) for plan in (HOURLY, SIX_HOURLY, DAILY)}
        return {
            plan: {which: break_even(model, each_day, followed, which) for which in ("any", "popular")}
            for plan, followed in feeds.items()
        }
    world = World(replace(model, **CASES[name][1]))
    owned = [int((ranks < model.kinds[kind].library).sum()) for kind, (_, ranks) in world.changed.items()]
    plans = [plan for plan in PLANS if plan != PREFETCH or name == MAIN]
    found = {plan: figures(simulate(world, PLANS[plan]), model.days) for plan in plans}
    for by in found.values():
        by["share"] = by["calls"] / found[A_DAY]["calls"]
    return {"changes": sum(owned) / (model.warm_up + model.days), "plans": found}


def break_even(model: Model, each_day: Outcome, followed: Outcome, which: str) -> int | None:
    """Return from how many titles on following the feed needs fewer calls than 24 hours do; None: never.

    Args:
        model: what was simulated.
        each_day: what 24 hours came to.
        followed: what following the feed came to.
        which: what a small library has: the most ``popular`` titles, or ``any`` of the large one's.
    """
    if which == "any":
        saved = (each_day.fetches.sum() - followed.fetches.sum()) / len(each_day.fetches)
        return int(followed.pages / saved) + 1 if saved > 0 else None
    order = np.argsort(np.concatenate([np.arange(kind.library) / kind.library for kind in model.kinds.values()]))
    saved_by: Array = np.cumsum((each_day.fetches - followed.fetches)[order])
    more = np.flatnonzero(saved_by <= followed.pages)
    return int(more[-1]) + 2 if more[-1] + 1 < len(saved_by) else None


def measure(model: Model, workers: int = 2) -> dict[str, Any]:
    """Simulate all cases."""
    names = [*CASES, SCAN_ALONE]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        found = dict(zip(names, pool.map(measure_case, names, [model] * len(names)), strict=True))
    return {"seed": model.seed, "days": model.days, "break_even": found.pop(SCAN_ALONE), "cases": found}


def table(plans: Mapping[str, Figures]) -> str:
    """Write what the plans came to as a table."""
    rows = [
        "| kept for | calls a day | for titles | for the feed | of the calls of 24 hours | answers older than TMDB's "
        "| behind by (median) | at worst |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, by in plans.items():
        counts = " | ".join(f"{by[what]:,.0f}" for what in ("calls", "titles", "pages"))
        hours = " | ".join(_length(by[what]) for what in ("median", "worst"))
        rows.append(f"| {name} | {counts} | {by['share']:.1%} | {by['older']:.2%} | {hours} |")
    return "\n".join(rows) + "\n"


def others_table(cases: Mapping[str, Any]) -> str:
    """Write all cases beside one another: calls as a share of those with 24 hours, and answers older than TMDB's."""
    rows = ["| | " + " | ".join(CASES[name][0] for name in cases) + " |", "|---|" + "---:|" * len(cases)]
    changed = [f"{case['changes']:,.0f}" for case in cases.values()]
    rows.append(f"| changes a day in the library | {' | '.join(changed)} |")
    rows.append(f"| calls a day with 24 hours | {' | '.join(_calls(case) for case in cases.values())} |")
    for plan in PLANS:
        if all(plan in case["plans"] for case in cases.values()):
            found = [case["plans"][plan] for case in cases.values()]
            cells = [f"{by['share']:.1%}, {by['older']:.2%} older" for by in found]
            rows.append(f"| {plan} | {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def _calls(case: Mapping[str, Any]) -> str:
    return f"{case['plans'][A_DAY]['calls']:,.0f}"


def _length(hours: float) -> str:
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} days"


def break_even_table(found: Mapping[str, Mapping[str, int | None]]) -> str:
    """Write from how many titles on the feed pays."""
    rows = ["| | any of the 100,000 | the most popular |", "|---|---:|---:|"]
    for name, by in found.items():
        cells = ["never" if by[which] is None else f"{by[which]:,}" for which in ("any", "popular")]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def tables(results: Mapping[str, Any]) -> dict[str, str]:
    """Return the generated parts of the page, by their names in it."""
    cases = results["cases"]
    return {
        "main": table(cases[MAIN]["plans"]),
        "others": others_table(cases),
        "break even": break_even_table(results["break_even"]),
    }


def with_tables(page: str, parts: Mapping[str, str]) -> str:
    """Put the parts into the page, each between ``<!-- its name -->`` and ``<!-- end -->``."""
    for name, text in parts.items():
        around = "\n" if text.endswith("\n") else ""
        begin, found, rest = page.partition(f"<!-- {name} -->")
        if not found:
            raise ValueError(f"the page has no place for {name!r}")
        page = f"{begin}{found}{around}{text}{rest[rest.index('<!-- end -->') :]}"
    return page


def draw(results: Mapping[str, Any], path: Path) -> None:
    """Draw calls, and beside them the share of answers that were older than TMDB's."""
    cases = results["cases"]
    with plt.rc_context({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False}):
        figure, rows = plt.subplots(len(cases), 2, figsize=(11, 2.2 * len(cases)), layout="constrained")
        for (calls, older), (name, case) in zip(rows, cases.items(), strict=True):
            names = list(case["plans"])[::-1]
            by = [case["plans"][plan] for plan in names]
            first = case["plans"][A_DAY]["calls"]
            titles = [one["titles"] / first for one in by]
            calls.barh(names, titles, color="#01b4e4", label="for titles")
            calls.barh(names, [one["pages"] / first for one in by], left=titles, color="#0d253f", label="for the feed")
            older.barh(names, [one["older"] for one in by], color="#b8bec4")
            for panel, values, form in ((calls, "share", ".1%"), (older, "older", ".2%")):
                for place, one in enumerate(by):
                    offset = {"textcoords": "offset points", "size": 8}
                    panel.annotate(format(one[values], form), (one[values], place), (4, -3), **offset)
                panel.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
                panel.set_xlim(right=panel.get_xlim()[1] * 1.08)
                panel.grid(axis="x", alpha=0.3)
                panel.set_axisbelow(True)
            older.set_yticks([])
            calls.set_title(CASES[name][0], loc="left", size=10)
        rows[-1][0].set_xlabel("calls to TMDB, as a share of those with 24 hours")
        rows[-1][1].set_xlabel("answers older than TMDB's")
        rows[0][0].legend(fontsize=8, loc="lower right")
        figure.savefig(path, dpi=110)
        plt.close(figure)


def main(arguments: list[str] | None = None) -> None:
    """Simulate the month, and write the tables of the page, the picture and the numbers again."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.month", description=__doc__)
    parser.add_argument("--workers", type=int, default=2, help="processes that share the work")
    given = parser.parse_args(arguments)
    console = Console()
    results = measure(Model(), given.workers)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8"), tables(results)), encoding="utf-8")
    draw(results, PICTURE)
    for name, text in tables(results).items():
        console.print(f"{name}:\n{text}", markup=False, highlight=False, soft_wrap=True)
    written = ", ".join(str(path.relative_to(ROOT)) for path in (PAGE, PICTURE, RESULTS))
    console.print(f"written to {written}")


if __name__ == "__main__":
    main(sys.argv[1:])
