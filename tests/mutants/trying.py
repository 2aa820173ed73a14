"""Trying one change: in a copy of the tree, in a forked process, with the tests that run what is changed."""

from __future__ import annotations

import ast
import os
import re
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing import Queue
from pathlib import Path
from typing import NamedTuple

import pytest

from .changes import Change
from .covering import PACKAGE, ROOT, Covered, bits, options

_COPIED = ("tests", PACKAGE, "docs", "examples", "benchmarks", "README.md", "CHANGELOG.md", "CONTRIBUTING.md")
_CONFIGURATION = ("pyproject.toml", "setup.cfg", "MANIFEST.in", "LICENSE")
_FIRST = 4.0
"""Seconds of tests that are tried first, from no more than three files: most changes are noticed by them."""

_QUICK = 0.3
"""Seconds: what a test that takes longer notices may be the load, so it is asked twice."""

_SLOWEST = 8.0
"""Seconds: a test that takes longer is not tried."""


class Tried(NamedTuple):
    """What came of a change."""

    change: Change
    by: str
    """The test that noticed it; empty where none did."""
    tests: int
    seconds: float


class Chosen(NamedTuple):
    """A test, and how long it takes."""

    name: str
    seconds: float


class Copy:
    """A copy of the tree, to change it there."""

    def __init__(self, folder: Path, uri: str) -> None:
        self.folder, self._uri = folder, uri
        self._stamp = int(time.time())
        folder.mkdir(parents=True)
        ignored = shutil.ignore_patterns("__pycache__", ".mutants")
        for name in (*_COPIED, *_CONFIGURATION):
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, folder / name, ignore=ignored)
            elif source.exists():
                shutil.copy2(source, folder / name)

    def fails(self, names: Sequence[str], timeout: float) -> str:
        """Run tests; return the first that fails, "time" where they take too long, and nothing where they pass."""
        result = self.folder.with_suffix(".failed")
        result.write_text("nothing came of it")
        child = os.fork()
        if not child:
            _run(self.folder, self._uri, list(names), result)
        deadline = time.monotonic() + timeout
        while os.waitpid(child, os.WNOHANG) == (0, 0):
            if time.monotonic() > deadline:
                result.write_text("time")
                os.killpg(child, signal.SIGKILL)
                os.waitpid(child, 0)
                break
            time.sleep(0.02)
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)  # programs that its tests started
        return result.read_text()

    def check(self, test: str) -> None:
        """Raise an error where not even the unchanged tree passes a test."""
        failed = self.fails([test], 120.0)
        if failed:
            log = self.folder.with_suffix(".log").read_text()
            raise RuntimeError(f"the unchanged tree fails in {failed}:\n{log}")

    def try_out(self, change: Change, chosen: Sequence[Chosen]) -> Tried:
        """Make a change, see which of the tests fails, and unmake it."""
        began = time.monotonic()
        path = self.folder / PACKAGE / change.module
        source = path.read_bytes()
        self._write(path, change.apply(source))
        by = ""
        slow = {test.name for test in chosen if test.seconds > _QUICK}
        try:
            for group in _in_turns(chosen):
                names = [test.name for test in group]
                while names and not by:
                    by = self.fails(names, 60.0 + 5 * sum(test.seconds for test in group))
                    # Once more, where it may be the load that was noticed.
                    if by in slow and not self.fails([by], 90.0):
                        names, by = names[names.index(by) + 1 :], ""
                    else:
                        break
                if by:
                    break
        finally:
            self._write(path, source)
        return Tried(change, by, len(chosen), time.monotonic() - began)

    def _write(self, path: Path, source: bytes) -> None:
        path.write_bytes(source)
        # Python knows compiled modules by the second in which their source was written.
        self._stamp += 1
        os.utime(path, (self._stamp, self._stamp))


def _in_turns(chosen: Sequence[Chosen]) -> list[list[Chosen]]:
    first: list[Chosen] = []
    files: set[str] = set()
    for test in chosen:
        file = test.name.partition("::")[0]
        if (file in files or len(files) < 3) and sum(found.seconds for found in first) + test.seconds < _FIRST:
            files.add(file)
            first.append(test)
    return [group for group in (first, [test for test in chosen if test not in first]) if group]


def choose(
    change: Change, lines: dict[str, set[int]], naming: set[str], tests: Sequence[Covered], most: float
) -> list[Chosen]:
    """Return the tests that name what is changed, and those that run what it is about, the most specific first.

    Args:
        change: what is changed.
        lines: of modules, those that it is about.
        naming: the files of tests that name it.
        tests: all there are.
        most: seconds that they may take together.
    """
    wanted = {module: bits(found) for module, found in lines.items()}
    named = {test.name for test in tests if test.name.partition("::")[0] in naming}
    found = [
        test
        for test in tests
        if test.name in named or any(mask & test.modules.get(module, 0) for module, mask in wanted.items())
    ]
    if not found:
        found = [test for test in tests if change.module in test.modules]
    wanted[change.module] = -1  # all of it
    ran = {test.name: sum((wanted[at] & test.modules.get(at, 0)).bit_count() for at in wanted) for test in found}
    found.sort(key=lambda test: (test.name not in named, -ran[test.name] / max(test.lines, 1)))
    chosen, seconds = list[Chosen](), 0.0
    for test in found:
        if test.seconds < _SLOWEST and seconds + test.seconds <= most:
            chosen.append(Chosen(test.name, test.seconds))
            seconds += test.seconds
    return chosen


def files_naming(change: Change, folder: Path) -> set[str]:
    """Return the files of tests that name what a module-level change binds."""
    if change.scope in ("", "?"):
        return set()
    word = re.compile(rf"\b{re.escape(change.scope)}\b")
    return {
        path.relative_to(folder).as_posix()
        for path in (folder / "tests").rglob("test_*.py")
        if word.search(path.read_text())
    }


def lines_about(change: Change, folder: Path) -> dict[str, set[int]]:
    """Return the lines that a change is about: its own, or those that name what it binds, in whatever module."""
    path = folder / PACKAGE / change.module
    if not change.scope:
        return {change.module: _lines_around(change.line, ast.parse(path.read_bytes()))}
    names = {change.scope}
    own = _lines_naming(names, ast.parse(path.read_bytes()))
    others = {
        other.relative_to(folder / PACKAGE).as_posix(): _lines_naming(set(names), ast.parse(other.read_bytes()))
        for other in (folder / PACKAGE).rglob("*.py")
        if other != path and path.stem in (text := other.read_text()) and any(name in text for name in names)
    }
    return {change.module: own, **others}


def _lines_around(line: int, tree: ast.Module) -> set[int]:
    around = [
        node for node in ast.walk(tree) if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or 0)
    ]
    inner = max(around, key=lambda node: (node.lineno, -(node.end_lineno or 0)))
    first, last = inner.lineno, inner.end_lineno or 0
    if isinstance(inner, ast.FunctionDef):  # a default: whatever the function does
        first = inner.body[0].lineno
    elif isinstance(inner, ast.If | ast.For | ast.While | ast.With | ast.Try):
        last = max(inner.body[0].lineno - 1, first)
    return set(range(first, last + 1))


def _lines_naming(names: set[str], tree: ast.Module) -> set[int]:
    """Return the lines in functions that name what a module binds, or what is made of it, which is added."""
    lines = set[int]()
    for statement in tree.body:
        nodes = [node for node in ast.walk(statement) if isinstance(node, ast.Name | ast.Attribute)]
        found = [(node.lineno, node.id if isinstance(node, ast.Name) else node.attr, node) for node in nodes]
        if isinstance(statement, ast.Assign | ast.AnnAssign):
            if any(name in names for _, name, _ in found):
                names |= {name for _, name, node in found if isinstance(node.ctx, ast.Store)}
        else:
            lines |= {line for line, name, _ in found if name in names}
    return lines


class _Only:
    """Leaves the chosen tests, in their order, and writes down the first that fails."""

    def __init__(self, names: list[str], result: Path) -> None:
        self._places = {name: place for place, name in enumerate(names)}
        self._result = result

    def pytest_configure(self) -> None:
        from hypothesis import Phase, settings  # not before pytest, which rewrites it

        settings.register_profile("mutants", phases=[Phase.explicit, Phase.generate], database=None)
        settings.load_profile("mutants")  # that it fails is enough: no smaller example is looked for

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted((item for item in items if item.nodeid in self._places), key=self._place)

    def _place(self, item: pytest.Item) -> int:
        return self._places[item.nodeid]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._result.write_text(report.nodeid)

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        if exitstatus == 0:
            self._result.write_text("")


def _run(folder: Path, uri: str, names: list[str], result: Path) -> None:
    """Run tests of a copy, in a process that ends with them."""
    os.setsid()
    with open(folder.with_suffix(".log"), "wb") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    os.chdir(folder)
    os.environ |= {"PYTHONPATH": str(folder), "TESTS_MONGO_URI": uri}
    for name in list(sys.modules):
        if name.partition(".")[0] in ("tests", PACKAGE):
            del sys.modules[name]
    sys.path[:0] = [str(folder)]
    files = list(dict.fromkeys(name.partition("::")[0] for name in names))
    arguments = [
        *options(files),
        "-x",
        "--hypothesis-seed=0",
        f"--basetemp={folder.with_suffix('.tmp')}",
        "--rootdir",
        str(folder),
    ]
    try:
        pytest.main([*arguments, *files], plugins=[_Only(names, result)])
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(0)


def work(copy: Copy, test: str, waiting: Queue[tuple[Change, list[Chosen]] | None], done: Queue[Tried | None]) -> None:
    """Try what is waiting until there is nothing more, in a process with a copy of its own."""
    for name in ("bson", "django", "pymongo", "requests", "requests_cache", "rich", "trustme"):
        with suppress(ImportError):
            __import__(name)  # once for all the processes that are forked from this one
    copy.check(test)
    while (item := waiting.get()) is not None:
        done.put(copy.try_out(*item))
    done.put(None)
