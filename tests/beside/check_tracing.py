"""Next to tools that trace requests, for real: put on and taken off before the cache and after it."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from .tracing import TOOLS

NOTHING: list[list[str]] = [[], [], [], [], []]
HITS = (2, 3)
"""Which of the five calls are answered from the cache."""

# Whose spans a hit has: of those that stand above the cache's wrapper, or (X-Ray) on Session.request.
SEES_HITS = {"after": {"opentelemetry", "datadog", "elastic", "xray"}, "before": {"xray"}}

ORDERS = {
    ("before", "tool first"): ("start", "install", "stop", "uninstall"),
    ("before", "cache first"): ("start", "install", "uninstall", "stop"),
    ("after", "tool first"): ("install", "start", "stop", "uninstall"),
    ("after", "cache first"): ("install", "start", "uninstall", "stop"),
    ("after", "put on again"): ("install", "start", "stop", "start", "uninstall", "install", "stop", "uninstall"),
}


def run(tool: str, uri: str, database: str, *steps: str) -> tuple[list[tuple[str, bool, list[object]]], object]:
    program = Path(__file__).with_name("tracing.py")
    line = [sys.executable, str(program), tool, uri, database, *steps]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    *rows, last = map(json.loads, done.stdout.splitlines())
    return rows, last


@cache
def without(tool: str) -> tuple[list[list[str]], list[list[str]], object]:
    """Return the spans of a program without the cache, while the tool is on and when it is off, and what it leaves."""
    (on, off), left = run(tool, "", "", "start", "stop")
    return [spans for _, spans in on[2]], [spans for _, spans in off[2]], left


AGAIN = ("after", "put on again")
STAY = {"xray", "sentry", "newrelic"}
"""Those that cannot be taken off."""


@pytest.mark.parametrize(
    ("tool", "order"), [(tool, order) for tool in TOOLS for order in ORDERS if order != AGAIN or tool not in STAY]
)
def test_spans(mongo_uri: str, database: str, tool: str, order: tuple[str, str]) -> None:
    """A call that goes out has the spans that it has without the cache, at every moment; so has a hit, or none."""
    on, off, left_alone = without(tool)
    rows, left = run(tool, mongo_uri, database, *ORDERS[order])
    is_on = has_been_on = False
    for step, is_installed, calls in rows:
        is_on = is_on if step in ("install", "uninstall") else step == "start"
        has_been_on = has_been_on or is_on
        usual = on if is_on else off if has_been_on else NOTHING
        expected = list(usual)
        if is_installed and tool not in SEES_HITS[order[0]]:
            expected = [[] if number in HITS else spans for number, spans in enumerate(usual)]
        assert [spans for _, spans in calls] == expected, step
        cached = [None, False, True, True, False] if is_installed else [None] * 5
        assert [from_cache for from_cache, _ in calls] == cached, step
    assert left == left_alone
