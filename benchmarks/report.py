"""The results as they are written: the requirements, a table in Markdown, everything in JSON."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from .bench import FIND, MEMORY, NO_CACHE, NOTHING, OURS, PEER_MEMORY, PEER_MONGODB
from .costs import MORE
from .documents import ANY, SAME
from .measuring import Times


@dataclass(frozen=True)
class Target:
    """One requirement, and whether the results meet it."""

    what: str
    limit: str
    value: float
    unit: str
    met: bool

    @property
    def row(self) -> str:
        return f"| {self.what} | {self.limit} | **{self.value:.2f}{self.unit}** | {'yes' if self.met else 'no'} |"


def targets(results: Mapping[str, Any]) -> list[Target]:
    """Compare the results with the requirements."""
    found: list[Target] = []

    def most(what: str, value: float, limit: float, unit: str = "") -> None:
        found.append(Target(what, f"≤ {limit:g}{unit}", value, unit, value <= limit))

    def least(what: str, value: float, limit: float, unit: str = "") -> None:
        found.append(Target(what, f"≥ {limit:g}{unit}", value, unit, value >= limit))

    hits = {size: {name: times.median for name, times in by.items()} for size, by in results["latency"].items()}
    for size in ("2 kB", "24 kB"):
        most(f"a hit from MongoDB ÷ `find_one` of the same document, {size}", hits[size][OURS] / hits[size][FIND], 1.2)
    for size in ("2 kB", "24 kB"):
        least(f"requests-cache's MongoDB hit ÷ ours, {size}", hits[size][PEER_MONGODB] / hits[size][OURS], 2.8)
    for size in ("2 kB", "24 kB"):
        least(
            f"requests-cache's memory hit ÷ ours from memory, {size}", hits[size][PEER_MEMORY] / hits[size][MEMORY], 15
        )
        least(f"requests doing nothing ÷ ours from memory, {size}", hits[size][NOTHING] / hits[size][MEMORY], 8)
    parsed = results["with_json"]["24 kB"]
    ratio = parsed[PEER_MONGODB].median / parsed[OURS].median
    least("requests-cache's MongoDB hit with `.json()` ÷ ours, 24 kB", ratio, 2.5)
    most("a call to another host, after `install()` less before", results["other_host"][MORE], 3, " µs")
    most("a miss less the uncached call, a `find_one` and a `replace_one`", results["miss"][MORE], 200, " µs")
    sizes = results["documents"]
    few, many = min(sizes), max(sizes)
    for which in (SAME, ANY):
        ratio = sizes[many][which].median / sizes[few][which].median
        most(f"a hit with {many:,} documents ÷ with {few:,}, {which}", ratio, 1.15)
    per_second = results["threads"]
    most_threads = max(per_second[OURS])
    ratio = per_second[OURS][most_threads] / per_second[PEER_MONGODB][most_threads]
    least(f"hits per second from MongoDB with {most_threads} threads ÷ requests-cache's", ratio, 2.5)
    alone, both = results["importing"].values()
    most("`import tmdb_mongo_cache; install()` over `import requests`", both - alone, 30, " ms")
    memory = results["memory"]
    over = (memory["grown"] - memory["memory_max_bytes"]) / 2**20
    most(f"growth of a process by {memory['hits']:,} hits over `memory_max_bytes`", over, 30, " MB")
    return found


def machine() -> dict[str, str]:
    """Name the machine and what runs on it."""
    found = {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": sys.version.split()[0],
    }
    for name in ("tmdb-mongo-cache", "requests", "requests-cache", "CacheControl", "pymongo", "urllib3"):
        found[name] = version(name)
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def as_json(results: Mapping[str, Any]) -> dict[str, Any]:
    """Bring the results into the form that is stored: medians and 99th percentiles, in the units measured."""
    return {name: _plain(value) for name, value in results.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Times):
        return {"median": round(value.median, 2), "p99": round(value.p99, 2), "calls": len(value.values)}
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    return round(value, 3) if isinstance(value, float) else value


def as_markdown(results: Mapping[str, Any], found: list[Target], command: str) -> str:
    """Write the page: ratios first, then what they are made of."""
    lines = [
        "# Benchmarks",
        "",
        f"Written by `{command}`. Only the ratios travel to another machine; this one is:",
        "",
        "; ".join(f"{name} {value}" for name, value in results["machine"].items()) + ".",
        "",
        "| what | asked | measured | met |",
        "|---|---|---|---|",
        *(target.row for target in found),
        "",
    ]
    lines += _hits("A hit, up to the body's bytes", results["latency"])
    lines += _hits("A hit, up to what `.json()` gives", results["with_json"])
    lines += _hits("A hit, up to its status, headers, URL, request, encoding, cookies and bytes", results["looked_at"])
    lines += _values("A hit from memory by each of the ways in, µs", results["ways_in"])
    lines += _values("A call to another host, µs", results["other_host"])
    lines += _values("A miss and what it is made of, µs", results["miss"])
    lines += _values("A hit from MongoDB that is new to the process, µs", results["new_calls"])
    lines += _values("Importing, ms", results["importing"])
    lines += ["## A hit from MongoDB against the number of documents", "", "![](documents.png)", ""]
    lines += ["No call is known to the process from before (each has another `api_key`). mongod's cache has 256 MB:"]
    lines += ["a collection of a million is beyond it, and is read from the disk's cache.", ""]
    lines += ["| documents | asked for | median µs | p99 µs |", "|---:|---|---:|---:|"]
    lines += [
        f"| {n:,} | {which} | {times.median:.0f} | {times.p99:.0f} |"
        for n, by in results["documents"].items()
        for which, times in by.items()
    ]
    lines += [""]
    memory = results["memory"]
    lines += ["## Memory of a process", ""]
    lines += [
        f"{memory['hits']:,} different hits of {memory['each']:,} bytes, with "
        f"`memory_max_bytes={memory['memory_max_bytes']:,}`: "
        f"the process has grown by {memory['grown'] / 2**20:.1f} MB.",
        "",
    ]
    per_second = results["threads"]
    counts = list(next(iter(per_second.values())))
    lines += ["## Hits per second against threads", "", "![](threads.png)", ""]
    lines += [f"| contender | {' | '.join(map(str, counts))} |", "|---|" + "---:|" * len(counts)]
    lines += [f"| {name} | {' | '.join(f'{by[n]:,.0f}' for n in counts)} |" for name, by in per_second.items()] + [""]
    return "\n".join(lines)


def _hits(title: str, results: Mapping[str, Mapping[str, Times]]) -> list[str]:
    lines = [f"## {title}", ""]
    if any(FIND in by for by in results.values()):
        lines += ["![](latency.png)", ""]
    lines += ["| size | contender | ÷ ours from MongoDB | median µs | p99 µs |", "|---|---|---:|---:|---:|"]
    for size, by in results.items():
        ours = by[OURS].median
        for name, times in sorted(by.items(), key=lambda item: item[1].median):
            if name == NO_CACHE:
                name = f"{name} (TMDB on this machine, answering at once)"
            lines.append(f"| {size} | {name} | {times.median / ours:.2f} | {times.median:.0f} | {times.p99:.0f} |")
    return [*lines, ""]


def _values(title: str, values: Mapping[str, float]) -> list[str]:
    lines = [f"## {title}", "", "| what | median |", "|---|---:|"]
    return [*lines, *(f"| {name} | {value:.1f} |" for name, value in values.items()), ""]


def write(results: Mapping[str, Any], folder: Path, command: str) -> list[Target]:
    """Write ``results.json`` and ``results.md``; return the requirements and whether they are met."""
    found = targets(results)
    stored = {
        **as_json(results),
        "asked": [
            {"what": one.what, "limit": one.limit, "value": round(one.value, 3), "met": one.met} for one in found
        ],
    }
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(stored, indent=2, ensure_ascii=False)
    (folder / "results.json").write_text(text + "\n", encoding="utf-8")
    (folder / "results.md").write_text(as_markdown(results, found, command), encoding="utf-8")
    return found
