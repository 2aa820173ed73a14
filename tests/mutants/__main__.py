"""The command: ``python -m tests.mutants``."""

from __future__ import annotations

import argparse
import multiprocessing
import random
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

from .changes import Change, changes, is_python
from .covering import PACKAGE, ROOT, RULES, covered
from .trying import Chosen, Copy, Tried, choose, files_naming, lines_about, work

_SERVER = """
import signal, sys
from pathlib import Path
from typing import Any
from tmdb_mongo_cache.mongo.embedded.server import EmbeddedServer
signal.signal(signal.SIGTERM, lambda *_: sys.exit())
with EmbeddedServer(Path(sys.argv[1])) as server:
    print(server.uri, flush=True)
    signal.pause()
"""


def main() -> None:
    """Change the code in many places, one at a time, and say which changes no test notices."""
    settings = tomllib.loads(Path(__file__).with_name("modules.toml").read_text())
    given = _given(settings)
    if find_spec("coverage") is None:
        sys.exit("coverage is needed: pip install -e '.[mutants]'")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # tidied up all the same
    seed = random.randrange(10000) if given.seed is None else given.seed
    began = time.monotonic()
    names = given.modules or [*settings["rules"], *settings["modules"]]
    rules = set(names) <= set(settings["rules"])
    with _folder() as folder, nullcontext("") if rules else _server(folder) as uri:
        tree = Copy(folder / "tree", uri).folder  # stays as it is
        for beside in (base / "shared" for base in ROOT.parents):  # TMDB's description, which some tests compare with
            if beside.is_dir() and not (folder / "shared").exists():
                (folder / "shared").symlink_to(beside)
        copies = [Copy(folder / str(number), uri) for number in range(given.workers)]
        sources = {name: (tree / PACKAGE / name).read_bytes() for name in names}
        chosen = [
            change
            for module, source in sources.items()
            for change in _sample(module, source, None if given.all else given.each, seed)
        ]
        found = covered(tree, uri, given.workers, settings["without"], anew=given.anew, rules=rules)
        print(f"{len(chosen)} changes of seed {seed}; {len(found)} tests, {time.monotonic() - began:.0f} s", flush=True)
        of_rules = [test for test in found if RULES in Path(test.name).parents]
        waiting = (
            (
                change,
                choose(
                    change,
                    lines_about(change, tree),
                    files_naming(change, tree),
                    of_rules if change.module in settings["rules"] else found,
                    given.most,
                ),
            )
            for change in chosen
        )
        tried = []
        for item in _tried(copies, found[0].name, waiting):
            tried.append(item)
            by = f"noticed by {item.by}" if item.by else "NOT NOTICED"
            where = f"{len(tried)}/{len(chosen)} {item.change.module}:{item.change.line}"
            print(f"{where} {by} ({item.tests} tests, {item.seconds:.0f} s)", flush=True)
            if not item.by:
                _show(item.change, sources)
    _summary(tried, sources, settings.get("nothing", []))
    print(f"seed {seed}, {time.monotonic() - began:.0f} s")


def _given(settings: dict[str, Any]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=main.__doc__)
    add, default = parser.add_argument, "(default: %(default)s)"
    add("modules", nargs="*", help="the modules to change (default: those of modules.toml)")
    add("--each", type=int, default=settings["each"], help=f"changes of each module {default}")
    add("--all", action="store_true", help="all changes of each module")
    add("--seed", type=int, help="for the same choice again (default: another choice each time)")
    add("--most", type=float, default=settings["most"], help=f"seconds of tests for a change {default}")
    add("--workers", type=int, default=2, help=f"processes {default}")
    add("--anew", action="store_true", help="look anew which tests run which lines")
    return parser.parse_args()


def _sample(module: str, source: bytes, number: int | None, seed: int) -> list[Change]:
    """Choose changes of a module, the same ones for the same seed."""
    possible = list(changes(module, source))
    random.Random(f"{seed} {module}").shuffle(possible)
    return list(islice((change for change in possible if is_python(change.apply(source))), number))


def _tried(copies: list[Copy], test: str, todo: Iterator[tuple[Change, list[Chosen]]]) -> Iterator[Tried]:
    """Try changes, one in each copy at a time."""
    fork = multiprocessing.get_context("fork")
    waiting: multiprocessing.Queue[tuple[Change, list[Chosen]] | None] = fork.Queue()
    done: multiprocessing.Queue[Tried | None] = fork.Queue()
    workers = [fork.Process(target=work, args=(copy, test, waiting, done), daemon=True) for copy in copies]
    for worker in workers:
        worker.start()
    for item in (*islice(todo, 2 * len(workers)),):
        waiting.put(item)
    left = len(workers)
    while left:
        tried = done.get()
        if tried is None:
            left -= 1
        else:
            waiting.put(next(todo, None))
            yield tried
    for worker in workers:
        worker.join()


def _show(change: Change, sources: dict[str, bytes]) -> None:
    for sign, text in zip("-+", change.lines(sources[change.module]), strict=True):
        for line in text.splitlines() or [""]:
            print(f"    {sign} {line}", flush=True)


def _summary(tried: list[Tried], sources: dict[str, bytes], nothing: list[dict[str, str]]) -> None:
    known = {(one["module"], one["old"], one["new"]) for one in nothing}
    left = [item.change for item in tried if not item.by]
    same = [one for one in left if (one.module, *one.lines(sources[one.module])) in known]
    print(f"\n{'module':24} changes noticed")
    for module in sources:
        of_it = [item for item in tried if item.change.module == module]
        print(f"{module:24} {len(of_it):7} {sum(bool(item.by) for item in of_it):7}")
    print("\nnot noticed:")
    for change in sorted(set(left) - set(same), key=lambda change: (change.module, change.start)):
        print(f"  {PACKAGE}/{change.module}:{change.line}")
        _show(change, sources)
    number, noticed = len(tried) - len(same), len(tried) - len(left)
    print(f"\n{noticed} of {number} noticed, {100 * noticed / max(number, 1):.1f} %; {len(same)} more change nothing")


@contextmanager
def _folder() -> Iterator[Path]:
    base = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(prefix="tmdb-mutants-", dir=base, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@contextmanager
def _server(folder: Path) -> Iterator[str]:
    """Run one mongod for all, in a process of its own: this one must not import the package."""
    line = [sys.executable, "-c", _SERVER, str(folder / "mongod")]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True, cwd=ROOT) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


if __name__ == "__main__":
    main()
