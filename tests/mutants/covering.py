"""Which tests run which lines: found by coverage, one context for each test, and kept for each file of tests."""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "tmdb_mongo_cache"
KEPT = ROOT / ".mutants"
RULES = Path("tests/rules")
"""The tests that need no server: of the modules that modules.toml names as rules, no others are tried."""


def options(tests: Iterable[str | Path]) -> list[str]:
    """Return pytest's options for files of tests; those of the rules do without the fixtures of the others."""
    are_rules = all(RULES in Path(test).parents for test in tests)
    return ["-n0", "-q", "-p", "no:cacheprovider", "--timeout=60", *([f"--confcutdir={RULES}"] if are_rules else [])]


class Covered(NamedTuple):
    """A test that passed: how long it took, how many lines of the package it ran, and which of each module, as bits."""

    name: str
    seconds: float
    lines: int
    modules: dict[str, int]


def covered(copy: Path, uri: str, workers: int, without: Sequence[str], *, anew: bool, rules: bool) -> list[Covered]:
    """Return all tests that are not slow, with what they run.

    Args:
        copy: a copy of the tree, to run them there.
        uri: of a mongod.
        workers: how many to run at once.
        without: patterns of the files to leave out.
        rules: only those of the rules.
        anew: run all; else those in files that have changed. Lines are followed through what has changed around them.
    """
    folders = [RULES] if rules else [RULES, RULES.parent]
    paths = sorted(path for folder in folders for path in (copy / folder).glob("test_*.py"))
    chosen = [path for path in paths if not any(path.match(f"{pattern}.py") for pattern in without)]
    files = {path: KEPT / f"{path.parent.name}-{path.stem}.json" for path in chosen}
    missing = [path for path, kept in files.items() if anew or _read(kept).get("digest") != _digest(path)]
    if missing:
        print(f"looking what the tests in {len(missing)} files run …", flush=True)
        KEPT.mkdir(exist_ok=True)
        for module in (copy / PACKAGE).rglob("*.py"):
            (KEPT / f"{_digest(module)}.py").write_bytes(module.read_bytes())
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(lambda path: _run(copy, path, files[path], uri), missing))
    found = [_read(kept) for kept in files.values()]
    used = {digest for one in found for digest in one.get("sources", {}).values()}
    for old in KEPT.glob("*"):
        if old.suffix == ".py" and old.stem not in used:
            old.unlink()
    followed = _Followed(copy)
    return [
        Covered(name, test["seconds"], test["lines"], followed.lines(one["sources"], test["modules"]))
        for one in found
        for name, test in one.get("tests", {}).items()
    ]


class _Followed:
    """Lines of modules as they were when the tests were run, as lines of the modules as they are."""

    def __init__(self, copy: Path) -> None:
        self._package = copy / PACKAGE
        self._moved: dict[tuple[str, str], dict[int, int]] = {}

    def lines(self, sources: dict[str, str], modules: dict[str, list[int]]) -> dict[str, int]:
        """Return the lines of the modules that are still there."""
        return {
            module: bits(moved[line] for line in lines if line in moved)
            for module, lines in modules.items()
            if (moved := self._of(module, sources[module]))
        }

    def _of(self, module: str, digest: str) -> dict[int, int]:
        if (module, digest) not in self._moved:
            path = self._package / module
            new = path.read_text().splitlines() if path.exists() else []
            old = (KEPT / f"{digest}.py").read_text().splitlines()
            blocks = difflib.SequenceMatcher(None, old, new, autojunk=False).get_matching_blocks()
            moved = {a + at + 1: b + at + 1 for a, b, size in blocks for at in range(size)}
            self._moved[module, digest] = moved
        return self._moved[module, digest]


def bits(lines: Iterable[int]) -> int:
    """Return lines as the bits of a number."""
    found = bytearray(1250)
    for line in lines:
        found[line // 8] |= 1 << line % 8
    return int.from_bytes(found, "little")


def _read(kept: Path) -> dict[str, Any]:
    return dict(json.loads(kept.read_text())) if kept.exists() else {}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:20]


def _run(copy: Path, path: Path, result: Path, uri: str) -> None:
    # Not as a module of the tests: pytest wants to be the one that imports those.
    line = [sys.executable, copy / "tests/mutants/covering.py", path.relative_to(copy), result]
    env = {**os.environ, "PYTHONPATH": str(copy), "TESTS_MONGO_URI": uri, "COVERAGE_CORE": "ctrace"}
    subprocess.run([str(item) for item in line], cwd=copy, env=env, stdout=subprocess.DEVNULL, check=False)
    if _read(result).get("digest") != _digest(path):
        print(f"{path.name} could not be run, and is left out", flush=True)


class _Contexts:
    """Gives what runs during a test that test's name."""

    def __init__(self, cover: Any) -> None:
        self._cover = cover
        self.seconds: dict[str, float] = {}
        self.failed: set[str] = set()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Any:
        self._cover.switch_context(item.nodeid)
        try:
            return (yield)
        finally:
            self._cover.switch_context("")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration
        if report.failed:
            self.failed.add(report.nodeid)


def _main(path: str, result: str) -> None:
    import coverage  # for the runs alone, not for who reads what they found

    cover = coverage.Coverage(data_file=None, config_file=False, source=[str(ROOT / PACKAGE)], concurrency=["thread"])
    contexts = _Contexts(cover)
    cover.start()
    pytest.main([*options([path]), path], plugins=[contexts])
    cover.stop()
    data = cover.get_data()
    found: dict[str, dict[str, list[int]]] = {}
    for file in data.measured_files():
        module = Path(file).relative_to(ROOT / PACKAGE).as_posix()
        for line, names in data.contexts_by_lineno(file).items():
            for name in names:
                found.setdefault(name, {}).setdefault(module, []).append(line)
    passed = {name: seconds for name, seconds in contexts.seconds.items() if name not in contexts.failed}
    sources = {module: _digest(ROOT / PACKAGE / module) for lines in found.values() for module in lines}
    written = {
        name: {
            "seconds": round(seconds, 3),
            "lines": sum(map(len, found.get(name, {}).values())),
            "modules": found.get(name, {}),
        }
        for name, seconds in passed.items()
    }
    part = Path(result).with_suffix(".part")
    part.write_text(json.dumps({"digest": _digest(ROOT / path), "sources": sources, "tests": written}))
    part.replace(result)


if __name__ == "__main__":
    sys.path[0] = str(ROOT)
    _main(*sys.argv[1:])
    sys.stdout.flush()
    os._exit(0)  # whatever threads are left
