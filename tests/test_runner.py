"""``run``: scripts, modules, commands and their children, unchanged."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tmdb_mongo_cache.standin import StandIn

from .processkit import Runner

CALL = (
    'import requests; print(requests.get("https://api.themoviedb.org/3/movie/1?api_key=abcdef0123456789").json()["id"])'
)


def test_script(runner: Runner, tls_tmdb: StandIn, tmp_path: Path) -> None:
    """A script runs as under python: its arguments, its folder first on the path, __main__, its exit code."""
    script = tmp_path / "old script.py"
    (tmp_path / "neighbour.py").write_text("name = 'neighbour'\n", encoding="utf-8")
    script.write_text(
        f"import sys, neighbour\n{CALL}\nprint(sys.argv[1:], __name__, neighbour.name)\nsys.exit(7)\n",
        encoding="utf-8",
    )
    for _ in range(2):
        done = runner.run(script, "--uri", "-x", "a b", check=False)
        assert done.returncode == 7
        assert done.stdout.splitlines() == ["1", "['--uri', '-x', 'a b'] __main__ neighbour"]
        assert done.stderr == ""
    assert tls_tmdb.count == 1


def test_module_and_code(runner: Runner, tls_tmdb: StandIn, tmp_path: Path) -> None:
    """-m runs a module and -c runs code, by python -m tmdb_mongo_cache as by the command tmdb-mongo-cache."""
    (tmp_path / "an_old_module.py").write_text(CALL + "\n", encoding="utf-8")
    done = runner.run("-m", "an_old_module", PYTHONPATH=str(tmp_path))
    assert done.stdout == "1\n"
    script = Path(sys.executable).with_name("tmdb-mongo-cache")
    assert runner.command(script, "run", "-c", CALL).stdout == "1\n"
    assert tls_tmdb.count == 1


def test_command_and_children(runner: Runner, tls_tmdb: StandIn, tmp_path: Path) -> None:
    """Any command runs, and the Pythons it starts are cached too."""
    command = tmp_path / "a-command"
    command.write_text(f"#!/bin/sh\n'{sys.executable}' -c '{CALL}'\n'{sys.executable}' -c '{CALL}'\n", encoding="utf-8")
    command.chmod(0o755)
    assert runner.run(command).stdout == "1\n1\n"
    assert tls_tmdb.count == 1


@pytest.mark.soak
def test_children_of_children(runner: Runner, tls_tmdb: StandIn) -> None:
    """Multiprocessing, by whichever method, and subprocess children of a script are cached."""
    code = (
        "import subprocess, sys, multiprocessing\n"
        f"code = {CALL!r}\n"
        "if __name__ == '__main__':\n"
        "    subprocess.run([sys.executable, '-c', code], check=True)\n"
        "    for method in ('fork', 'spawn', 'forkserver'):\n"
        "        process = multiprocessing.get_context(method).Process(target=exec, args=(code,))\n"
        "        process.start(); process.join()\n"
    )
    assert runner.run("-c", code).stdout == "1\n1\n1\n1\n"
    assert tls_tmdb.count == 1


def test_users_sitecustomize_runs(runner: Runner, collection: Any, tmp_path: Path) -> None:
    """The user's own sitecustomize runs as well, before the program, which is cached."""
    (tmp_path / "sitecustomize.py").write_text("print('mine')\n", encoding="utf-8")
    done = runner.run("-c", CALL, PYTHONPATH=str(tmp_path))
    # Once in the runner's own Python, which is one like any other, and once in the program's.
    assert done.stdout == "mine\nmine\n1\n"
    assert collection.count_documents({}) == 1


@pytest.mark.soak
def test_broken_sitecustomize_is_reported_as_always(runner: Runner, tls_tmdb: StandIn, tmp_path: Path) -> None:
    """A sitecustomize of the user's that fails is reported as Python reports it, and the cache works."""
    (tmp_path / "sitecustomize.py").write_text("import nonsense_that_is_not_there\n", encoding="utf-8")
    done = runner.run("-c", CALL, PYTHONPATH=str(tmp_path))
    assert done.stdout == "1\n"
    assert "nonsense_that_is_not_there" in done.stderr
    runner.run("-c", CALL)
    assert tls_tmdb.count == 1


def test_other_interpreter_is_left_alone(runner: Runner, tmp_path: Path) -> None:
    """A Python without this package runs as it would, after one line, and hands nothing on to its children."""
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", bare], check=True)
    code = "import os, sys; print('PYTHONPATH' in os.environ, any('site' == os.path.basename(p) for p in sys.path))"
    done = runner.run(bare / "bin" / "python", "-c", code)
    assert done.stdout == "False False\n"
    assert done.stderr == f"tmdb-mongo-cache is not installed for this Python: {bare}/bin/python\n"
    # It is said of the program, not of every Python that a cached program starts.
    starts = f"import subprocess; print(subprocess.run([{str(bare / 'bin' / 'python')!r}, '-c', '1']).returncode)"
    child = runner.run("-c", starts)
    assert (child.stdout, child.stderr) == ("0\n", "")


def test_without_requests_nothing_is_imported(runner: Runner) -> None:
    """A program that does not use requests pays for no import of it, nor of pymongo."""
    code = "import sys; print(sorted({'requests', 'pymongo', 'requests_cache', 'click'} & set(sys.modules)))"
    assert runner.run("-c", code).stdout == "[]\n"


def test_own_modules_of_famous_names(runner: Runner, tls_tmdb: StandIn, tmp_path: Path) -> None:
    """A program with a module of its own called requests, or gzip, runs as it does without the cache."""
    (tmp_path / "a" / "requests").mkdir(parents=True)
    (tmp_path / "a" / "requests" / "__init__.py").write_text("name = 'not that one'\n", encoding="utf-8")
    (tmp_path / "a" / "main.py").write_text("import requests\nprint(requests.name)\n", encoding="utf-8")
    assert runner.run(tmp_path / "a" / "main.py").stdout == "not that one\n"
    (tmp_path / "gzip.py").write_text(CALL + "\n", encoding="utf-8")
    done = runner.run(tmp_path / "gzip.py", check=False)
    plain = runner.start(tmp_path / "gzip.py", check=False)
    assert (done.returncode, done.stdout) == (plain.returncode, plain.stdout)


def test_lazy_imports(runner: Runner, tls_tmdb: StandIn) -> None:
    """Where all imports are lazy, as Python 3.15 can be told, calls are cached by run and by install()."""
    lazy = {"PYTHON_LAZY_IMPORTS": "all"}
    first = runner.run("-c", CALL, **lazy)
    second = runner.start("-c", f"import tmdb_mongo_cache; tmdb_mongo_cache.install(); {CALL}", **lazy)
    assert [(done.stdout, done.stderr) for done in (first, second)] == [("1\n", ""), ("1\n", "")]
    assert tls_tmdb.count == 1


def test_a_folder_does_not_hide_a_command(runner: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of the same name, without a __main__, does not stand before a command."""
    (tmp_path / "true").mkdir()
    monkeypatch.chdir(tmp_path)
    assert runner.run("true").stderr == ""


@pytest.mark.soak
def test_executable_without_a_first_line(runner: Runner, tls_tmdb: StandIn, tmp_path: Path) -> None:
    """An executable script without a #! line is run with Python, as one that is not executable is."""
    script = tmp_path / "script"
    script.write_text(CALL + "\n", encoding="utf-8")
    for mode in (0o755, 0o644):
        script.chmod(mode)
        assert runner.run(script).stdout == "1\n"
    assert tls_tmdb.count == 1


def test_current_folder_in_pythonpath(runner: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty entry of PYTHONPATH goes on meaning the current folder."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "helper_mod.py").write_text("name = 'found'\n", encoding="utf-8")
    (tmp_path / "sub" / "s.py").write_text("import helper_mod; print(helper_mod.name)\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert runner.run(Path("sub/s.py"), PYTHONPATH=":/nowhere").stdout == "found\n"


def test_options_are_settings(runner: Runner, tls_tmdb: StandIn) -> None:
    """Options of run reach the program as settings, before those of the environment."""
    assert runner.run("--expire-after", "0", "-c", CALL, TMDB_CACHE_EXPIRE_AFTER="7d").stdout == "1\n"
    assert runner.run("--expire-after", "0", "-c", CALL).stdout == "1\n"
    assert [call.status for call in tls_tmdb.calls] == [200, 304]
    done = runner.run("--offline", "-c", CALL.replace("/movie/1?", "/movie/2?"), check=False)
    assert "OfflineError" in done.stderr
    assert tls_tmdb.count == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing_here.py"], "there is no file nothing_here.py"),
        (["no-such-command"], "there is no script and no command no-such-command"),
        (["-m"], "-m needs the name of a module"),
        (["--uri", "http://localhost", "-c", "1"], "uri must be a MongoDB URI"),
        (["--uri", "mongodb://u:s3cr3t@h:notaport", "-c", "1"], "mongodb://***@h:notaport"),
        (["--expire-after", "soon", "-c", "1"], "--expire-after: invalid value 'soon'"),
    ],
)
def test_bad_input_is_one_sentence(runner: Runner, arguments: list[str], said: str) -> None:
    """What is wrong with the command line is one sentence, without a traceback, and exit code 1 or 2."""
    done = runner.here("run", *arguments, check=False)
    assert done.returncode in (1, 2)
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "s3cr3t" not in done.stderr
    assert done.stdout == ""


def test_signals_reach_the_program(runner: Runner) -> None:
    """The program takes the runner's place: a signal is its own, and so is the way it ends."""
    line = [sys.executable, "-m", "tmdb_mongo_cache", "run", "-c", "print(1, flush=True); import time; time.sleep(30)"]
    with subprocess.Popen(line, env={**os.environ, **runner.env}, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "1\n"
        process.terminate()
        assert process.wait(10) == -signal.SIGTERM


def test_lost_database_breaks_nothing(runner: Runner, tls_tmdb: StandIn) -> None:
    """With MongoDB out of reach the program runs as without the cache, and one line says so."""
    done = runner.run("-c", CALL, TMDB_CACHE_URI="mongodb://127.0.0.1:9/", TMDB_CACHE_STORE_TIMEOUT="0.05")
    assert done.stdout == "1\n"
    assert done.stderr.count("does not answer") == 1
    assert tls_tmdb.count == 1
