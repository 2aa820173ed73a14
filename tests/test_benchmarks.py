"""The benchmarks run, and write what they say they write."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"


@pytest.mark.soak
@pytest.mark.timeout(180)
def test_they_run(tmp_path):
    """One command writes the table, the numbers and the three pictures; how fast it all is, is not tested here."""
    command = [sys.executable, "-m", "benchmarks", "--smoke", "--output", tmp_path]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stderr
    written = {path.name for path in tmp_path.iterdir()}
    assert written == {"results.json", "results.md", "latency.png", "documents.png", "threads.png"}
    results = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert set(results["latency"]) == {"2 kB", "24 kB", "262 kB"}
    assert all(len(by) == 11 for by in results["latency"].values())
    assert all(times["median"] > 0 for by in results["latency"].values() for times in by.values())
    assert len(results["asked"]) == 16


def test_the_results_shown_are_those_of_a_full_run():
    """The results in the repository were written by the full run, and the README's figures are among them."""
    page = (RESULTS / "results.md").read_text(encoding="utf-8")
    assert "Written by `python -m benchmarks`." in page
    results = json.loads((RESULTS / "results.json").read_text(encoding="utf-8"))
    assert max(map(int, results["documents"])) == 1_000_000
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = readme[readme.index("## How fast") :].split("\n## ")[0]
    assert "benchmarks/results/latency.png" in section
    shown = [row.split("|")[-2].strip(" *") for row in section.splitlines() if row.startswith("| ")][1:]
    assert shown
    for figure in shown:
        assert any(figure == f"{one['value']:.2f}" for one in results["asked"]), figure
