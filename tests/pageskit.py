"""A page of ``docs/``, run block by block as a reader would type it.

What stands in a page::

    ```python           run; the Python blocks between two others that are run are one program, as in a
                        notebook, which shows the value of a last line; ``>>>`` in it compares what
                        follows, as doctest does
    ```console          lines that begin with "$ " are run by bash, what follows is their output; a line
                        that ends in a backslash goes on in the next; "…" stands for anything
    ```ini, ```text …   shown

An HTML comment before a block says more: ``<!-- app.py -->`` writes it to that file, ``<!-- not run: why -->``
leaves it to a test of its own, ``<!-- slow -->`` runs it where slow tests are run, ``<!-- until 3.14 -->`` on
Pythons up to that, which what it uses is for.
"""

from __future__ import annotations

import doctest
import json
import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).parent.parent / "docs"
COMPARED = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE

_BLOCK = re.compile(r"((?:^<!--(?:(?!-->).)*-->\n\n?)*)^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"<!-- (.*?) -->")
_FILE = re.compile(r"[\w./-]+\.\w+")
_NOT_RUN = "not run: "
_UNTIL = re.compile(r"until 3\.(\d+)")

# Runs the Python of a page: each block with the same names; a last line is shown as notebooks do.
_PROGRAM = """
import ast, doctest, json, sys
blocks = json.loads(sys.stdin.readline())
runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
names = {"__name__": "__main__"}
for place, source in blocks:
    if ">>> " in source:
        test = doctest.DocTestParser().get_doctest(source.replace("…", "..."), names, place, place, 0)
        test.globs = names
        if runner.run(test, clear_globs=False).failed:
            sys.exit(1)
    else:
        code = ast.parse(source, place)
        last = code.body.pop() if isinstance(code.body[-1], ast.Expr) else None
        exec(compile(code, place, "exec"), names)
        value = None if last is None else eval(compile(ast.Expression(last.value), place, "eval"), names)
        if hasattr(value, "_repr_html_"):
            assert value._repr_html_().startswith("<")
"""


@dataclass(frozen=True)
class Block:
    """A fenced block, with what the comments before it say."""

    place: str
    language: str
    text: str
    comments: tuple[str, ...]

    @property
    def file(self) -> str | None:
        """The file that it is to be written to."""
        return next((comment for comment in self.comments if _FILE.fullmatch(comment)), None)

    @property
    def is_slow(self) -> bool:
        """Whether it is run with the slow tests alone."""
        return "slow" in self.comments

    @property
    def is_for_this_python(self) -> bool:
        """Whether what it uses can be had for the Python that runs."""
        found = (_UNTIL.fullmatch(comment) for comment in self.comments)
        return all(sys.version_info[:2] <= (3, int(match[1])) for match in found if match)

    @property
    def reason(self) -> str | None:
        """Why it is not run; None where it is."""
        found = (comment for comment in self.comments if comment.startswith(_NOT_RUN))
        return next((comment.removeprefix(_NOT_RUN) for comment in found), None)


def blocks_of(page: Path) -> list[Block]:
    """Return the blocks of a page, in their order."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in _BLOCK.finditer(text):
        place = f"{page.name}:{text.count(chr(10), 0, match.start(2)) + 1}"
        found.append(Block(place, match[2], match[3], tuple(_COMMENT.findall(match[1]))))
    return found


def commands_of(text: str) -> list[tuple[str, str]]:
    """Return the commands of a console block, each with the output that is expected."""
    found: list[tuple[str, str]] = []
    going_on = False
    for line in text.splitlines(keepends=True):
        if line.startswith("$ "):
            found.append((line[2:], ""))
        elif going_on:
            found[-1] = (found[-1][0] + line, "")
        else:
            found[-1] = (found[-1][0], found[-1][1] + line)
            continue
        going_on = line.endswith("\\\n")
    return found


class Reader:
    """Somebody who types what stands in a page, in a folder of their own.

    Args:
        folder: where; it is empty.
        env: what the environment has besides the machine's own.
        instead: what stands in the page, and what is typed in its place.
        slow: run the slow blocks as well.
    """

    def __init__(self, folder: Path, env: dict[str, str], instead: dict[str, str], *, slow: bool) -> None:
        self._work = folder / "work"
        self._home = folder / "home"
        for made in (self._work, self._home):
            made.mkdir()
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        clean = {"HOME": str(self._home), "PATH": path, "PYTHONPATH": "", "COLUMNS": "100"}
        self._env = {**os.environ, **clean, **env}
        for name in ("XDG_DATA_HOME", "PYTHONPATH"):
            self._env.pop(name, None)
        self._instead = instead
        self._slow = slow
        self._state = folder / "state"
        self._output = folder / "output"
        self._groups: list[int] = []

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        # What a page leaves running behind an "&".
        for group in self._groups:
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)

    def read(self, page: Path) -> None:
        """Run a page."""
        program: list[tuple[str, str]] = []
        for block in blocks_of(page):
            if block.reason is not None or not block.is_for_this_python or (block.is_slow and not self._slow):
                continue
            text = self._typed(block.text)
            if block.file is not None:
                path = self._work / block.file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            elif block.language == "python":
                program.append((block.place, text))
            elif block.language == "console":
                self._run_python(program)
                program = []
                self._run_console(block.place, text)
        self._run_python(program)

    def _typed(self, text: str) -> str:
        for before, after in self._instead.items():
            text = text.replace(before, after)
        return text

    def _run_python(self, program: list[tuple[str, str]]) -> None:
        if not program:
            return
        line = [sys.executable, "-c", _PROGRAM]
        done = self._run(line, json.dumps(program) + "\n", with_state=True)
        said = f"{program[0][0]}\n{done.stdout}\n{done.stderr}"
        assert done.returncode == 0, said
        assert done.stderr == "", said  # no warning, no line of the log that was not requested

    def _run_console(self, place: str, text: str) -> None:
        for number, (command, expected) in enumerate(commands_of(text)):
            done = self._run(["bash", "-c", self._script(command)], "", with_state=False)
            said = f"{place}, command {number + 1}: {command}{done.stdout}"
            assert done.returncode == 0, said
            if expected:
                wanted = expected.replace("…", "...")
                assert doctest.OutputChecker().check_output(wanted, done.stdout, COMPARED), f"{said}\n{expected}"

    def _script(self, command: str) -> str:
        # A shell of its own for each command, which goes on from the one before it.
        begin = f". '{self._state}'\n" if self._state.exists() else ""
        keep = f"{{ export -p; echo cd \"'$PWD'\"; }} > '{self._state}'"
        return f"{begin}exec 2>&1\n{command}\ncode=$?\n{keep}\nexit $code"

    def _run(self, line: list[str], given: str, *, with_state: bool) -> subprocess.CompletedProcess[str]:
        if with_state and self._state.exists():
            line = ["bash", "-c", f". '{self._state}'; exec \"$@\"", "bash", *line]
        # Into files: what goes on in the background has them open as well.
        with self._output.open("w+", encoding="utf-8") as out, self._output.with_suffix(".err").open("w+") as err:
            process = subprocess.Popen(
                line,
                cwd=self._work,
                env=self._env,
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=err,
                text=True,
                start_new_session=True,
            )
            if "&\n" in line[-1]:
                self._groups.append(process.pid)
            process.communicate(given, timeout=60)
            out.seek(0)
            err.seek(0)
            return subprocess.CompletedProcess(line, process.returncode, out.read(), err.read())
