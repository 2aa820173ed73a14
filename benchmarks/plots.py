"""The pictures: latency distributions, latency against documents, throughput against threads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.ticker import FuncFormatter

from .bench import FIND, MEMORY, OURS
from .documents import ANY, SAME
from .measuring import Times

_OURS, _OTHERS, _FIND = "#01b4e4", "#b8bec4", "#0d253f"


def _colour(name: str) -> str:
    return _OURS if name in (OURS, MEMORY) else _FIND if name == FIND else _OTHERS


def draw(results: Mapping[str, Any], folder: Path) -> None:
    """Write ``latency.png``, ``documents.png`` and ``threads.png``."""
    with plt.rc_context({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False}):
        _latency(results["latency"], folder / "latency.png")
        _documents(results["documents"], folder / "documents.png")
        _threads(results["threads"], folder / "threads.png")


def _latency(results: Mapping[str, Mapping[str, Times]], path: Path) -> None:
    """Draw how long a hit takes: a box for the middle half, whiskers from the 1st to the 99th percentile."""
    figure, panels = plt.subplots(1, len(results), figsize=(13, 4.6), sharey=True, layout="constrained")
    names = sorted(next(iter(results.values())), key=lambda name: next(iter(results.values()))[name].median)[::-1]
    for panel, (size, by) in zip(panels, results.items(), strict=True):
        boxes = panel.boxplot(
            [by[name].values for name in names],
            orientation="horizontal",
            whis=(1, 99),
            showfliers=False,
            patch_artist=True,
            widths=0.6,
            medianprops={"color": "black"},
        )
        for box, name in zip(boxes["boxes"], names, strict=True):
            box.set_facecolor(_colour(name))
        for place, name in enumerate(names, 1):
            panel.annotate(f"{by[name].median:.0f}", (by[name].p99, place), (5, -3), textcoords="offset points", size=8)
        panel.set_xscale("log")
        panel.set_xlim(right=panel.get_xlim()[1] * 1.8)
        panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        panel.set_yticks(range(1, len(names) + 1), names)
        panel.set_title(size)
        panel.set_xlabel("µs per hit (median at the right)")
        panel.grid(axis="x", alpha=0.3)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _documents(results: Mapping[int, Mapping[str, Times]], path: Path) -> None:
    with _lines(path, "documents in the collection", "µs per hit from MongoDB") as panel:
        counts = list(results)
        for which, colour in ((SAME, _OURS), (ANY, _FIND)):
            times = [results[n][which] for n in counts]
            panel.plot(counts, [each.median for each in times], "o-", color=colour, label=f"median, {which}")
            panel.plot(counts, [each.p99 for each in times], "o--", color=colour, alpha=0.4, label="99th percentile")
        panel.set_xscale("log")
        panel.set_ylim(bottom=0)


def _threads(results: Mapping[str, Mapping[int, float]], path: Path) -> None:
    with _lines(path, "threads", "hits per second") as panel:
        for number, (name, by) in enumerate(results.items()):
            style = "o-" if number % 2 == 0 else "o--"
            panel.plot(list(by), list(by.values()), style, color=_colour(name), label=name)
        panel.set_xscale("log", base=2)
        panel.set_yscale("log")
        panel.set_xticks(list(next(iter(results.values()))))


@contextmanager
def _lines(path: Path, x: str, y: str) -> Iterator[Any]:
    """Give a panel for lines against one another, and write it when they are there."""
    figure, panel = plt.subplots(figsize=(6.5, 3.6), layout="constrained")
    yield panel
    for axis in (panel.xaxis, panel.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    panel.set_xlabel(x)
    panel.set_ylabel(y)
    panel.grid(alpha=0.3)
    panel.legend(fontsize=8)
    figure.savefig(path, dpi=110)
    plt.close(figure)
