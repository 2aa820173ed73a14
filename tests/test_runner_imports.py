"""``run`` and the order of imports: this package, requests and their neighbours, in any order and in threads."""

from __future__ import annotations

from pathlib import Path

import pytest

import tmdb_mongo_cache
from tmdb_mongo_cache.standin import StandIn

from .processkit import Runner

GET = "requests.get('https://api.themoviedb.org/3/movie/1?api_key=abcdef0123456789')"
SHOW = f"import requests\nprint(*[getattr({GET}, 'from_cache', None) for _ in range(2)])\n"

MODULES = [
    *("cache", "config", "errors", "testing.pytest_plugin", "standin", "cli.main", "activation.decorator"),
    *("integrations.requests.response", "metrics.counters"),
]

FIRST = [
    *(f"from tmdb_mongo_cache import {name}" for name in tmdb_mongo_cache.__all__),
    *(f"import tmdb_mongo_cache.{name}" for name in MODULES),
    "import tmdb_mongo_cache",
    "from tmdb_mongo_cache import *",
    "import requests_cache",
    "import requests.sessions",
    "import urllib3",
    "import threading; t = threading.Thread(target=exec, args=('import tmdb_mongo_cache.cache',)); t.start(); t.join()",
    "import threading; threading.Thread(target=exec, args=('from tmdb_mongo_cache import cached_tmdb',)).start()",
    "import threading; threading.Thread(target=exec, args=('import requests',)).start(); import tmdb_mongo_cache.cache",
]

# Every line in a Python of its own, which costs little where it is forked from one that run has started.
EACH = """
import os, sys
assert "requests" not in sys.modules
for line in {lines!r}:
    if os.fork() == 0:
        try:
            exec(line + chr(10) + {then!r})
            sys.stdout.flush()
        except BaseException as error:
            print(line, type(error), error, flush=True)
        os._exit(0)
    {wait}
while True:
    try:
        os.wait()
    except ChildProcessError:
        break
"""


SOME = [FIRST[0], "from tmdb_mongo_cache import cached_tmdb", "import tmdb_mongo_cache.cache", FIRST[-1]]


@pytest.mark.parametrize("lines", [SOME, pytest.param(FIRST, marks=pytest.mark.soak)], ids=["some", "all"])
def test_whatever_is_imported_first(runner: Runner, tls_tmdb: StandIn, lines: list[str]) -> None:
    """A program is cached whatever it imports before requests, and nothing is written to standard error."""
    done = runner.run("-c", EACH.format(lines=lines, then=SHOW, wait="os.wait()"))
    assert (done.stdout, done.stderr) == ("False True\n" + "True True\n" * (len(lines) - 1), "")
    assert tls_tmdb.count == 1


def test_settings_of_the_program(runner: Runner, tls_tmdb: StandIn, database: str) -> None:
    """Variables that a program sets before its first call hold for the cache (python-dotenv after the imports)."""
    code = "import requests, os; os.environ['TMDB_CACHE_DISABLED'] = '1'\n" + SHOW
    assert runner.run("-c", code).stdout == "None None\n"


@pytest.mark.parametrize(
    ("code", "installed"),
    [
        ("", True),
        ("t.uninstall()", False),
        ("t.install()", True),
        ("t.uninstall(); t.install()", True),
        ("t.enabled().__enter__()", True),
    ],
)
def test_asked_before_the_first_call(runner: Runner, tls_tmdb: StandIn, code: str, installed: bool) -> None:
    """What a program does with the cache before its first call is as if it had been installed from the start."""
    code = f"import tmdb_mongo_cache as t\n{code}\nimport requests\nprint(t.is_installed())\n{SHOW}"
    assert runner.run("-c", code).stdout == f"{installed}\n" + ("False True\n" if installed else "None None\n")


def test_threads_that_call_first(runner: Runner, tls_tmdb: StandIn) -> None:
    """Threads that make a program's first calls together are cached, each of them."""
    code = """
import threading, requests
barrier, found = threading.Barrier(6), []
def call(number):
    barrier.wait()
    url = f"https://api.themoviedb.org/3/movie/{number}"
    found.append(getattr(requests.get(url, params={"api_key": "any"}), "from_cache", None))
threads = [threading.Thread(target=call, args=(number,)) for number in range(1, 7)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(found)
"""
    assert runner.run("-c", code).stdout.strip() == str([False] * 6)


@pytest.mark.parametrize("how", ["sitecustomize.py", "already.pth"])
def test_requests_before_the_program(runner: Runner, tls_tmdb: StandIn, tmp_path: Path, how: str) -> None:
    """A program is cached whose own sitecustomize, or a .pth file, imports requests before its first line."""
    (tmp_path / how).write_text("import requests\n")
    if how.endswith(".pth"):
        (tmp_path / "sitecustomize.py").write_text(f"import site; site.addsitedir({str(tmp_path)!r})\n")
    code = """
import requests
print(requests.get("https://api.themoviedb.org/3/movie/1", params={"api_key": "any"}).from_cache)
"""
    done = runner.run("-c", code, PYTHONPATH=str(tmp_path))
    assert (done.stdout.strip(), done.stderr) == ("False", "")
