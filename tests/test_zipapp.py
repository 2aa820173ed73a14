"""The package from an archive (zipapp): the stand-in, ``run`` and the demo, with the dependencies beside it."""

from __future__ import annotations

import compileall
import os
import subprocess
import sys
import zipapp
from pathlib import Path
from shutil import copytree, ignore_patterns
from typing import Any

import pytest

import tmdb_mongo_cache
from tmdb_mongo_cache.standin import StandIn

PACKAGE = Path(tmdb_mongo_cache.__file__).parent
CALL = (
    'import requests; print(requests.get("https://api.themoviedb.org/3/movie/1?api_key=abcdef0123456789").json()["id"])'
)
# Where a program has requests, but not this package: an editable install would give it to every Python.
WITHOUT = """
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name == "tmdb_mongo_cache" and not any(entry.endswith(".pyz") for entry in sys.path):
            raise ModuleNotFoundError(name, name=name)
sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in repr(finder)]
sys.path[:] = [entry for entry in sys.path if entry != {root!r}]
sys.meta_path.insert(0, Hidden())
"""


@pytest.fixture(scope="module", name="archive")
def archive_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package alone, as ``python -m zipapp`` makes it."""
    folder = tmp_path_factory.mktemp("zipapp")
    copytree(PACKAGE, folder / "app" / "tmdb_mongo_cache", ignore=ignore_patterns("__pycache__"))
    # As pip leaves it; to compile it anew at each start would take longer than all the rest.
    compileall.compile_dir(folder / "app", quiet=2, legacy=True)
    zipapp.create_archive(folder / "app", folder / "cache.pyz", main="tmdb_mongo_cache.cli.main:main")
    return folder / "cache.pyz"


@pytest.fixture(name="start")
def start_fixture(archive: Path, tmp_path: Path, mongo_uri: str, database: str) -> Any:
    """Start a Python that has the dependencies, and this package only where an archive gives it."""
    (tmp_path / "sitecustomize.py").write_text(WITHOUT.format(root=str(PACKAGE.parent)))
    env = {**os.environ, "PYTHONPATH": str(tmp_path), "TMDB_CACHE_URI": mongo_uri, "TMDB_CACHE_DATABASE": database}

    def start(*line: Any, check: bool = True, **more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *map(str, line)]
        folder = archive.parent
        return subprocess.run(
            command, env={**env, **more}, cwd=folder, capture_output=True, text=True, timeout=60, check=check
        )

    return start


def test_these_pythons_have_it_not(start: Any) -> None:
    """What is tried here is the archive: without it there is no such package."""
    done = start("-c", "import requests, tmdb_mongo_cache", check=False)
    assert done.stderr.splitlines()[-1] == "ModuleNotFoundError: tmdb_mongo_cache"


def test_run(start: Any, archive: Path, tls_tmdb: StandIn, tmp_path: Path) -> None:
    """``run`` from an archive, named by a relative path, caches a script and the Pythons that it starts elsewhere."""
    script = tmp_path / "old.py"
    child = f"subprocess.run([sys.executable, '-c', {CALL!r}], check=True, cwd='/')"
    script.write_text(f"import subprocess, sys\n{CALL}\nsys.stdout.flush()\n{child}\n")
    done = start(archive.name, "run", script, **tls_tmdb.env)
    assert (done.stdout, done.stderr) == ("1\n1\n", "")
    assert tls_tmdb.count == 1


def test_a_program_keeps_its_own_packages(start: Any, archive: Path, tmp_path: Path) -> None:
    """What an archive brings along stands behind the program's own packages."""
    code = "import sys; print([entry.endswith('.pyz') for entry in sys.path][-1], sys.path[0])"
    done = start(archive, "run", "-c", code)
    assert done.stdout.split() == ["True"]


def test_the_stand_in(start: Any, archive: Path) -> None:
    """The stand-in serves films from an archive that is on the path."""
    code = (
        f"import sys; sys.path.insert(0, {str(archive)!r})\n"
        "import requests, tmdb_mongo_cache; from tmdb_mongo_cache.standin import StandIn\n"
        "with StandIn() as tmdb, tmdb_mongo_cache.enabled(hosts=tmdb.host):\n"
        "    found = [requests.get(tmdb.url + '/3/movie/550?api_key=any') for _ in range(2)]\n"
        "print(tmdb_mongo_cache.__file__, found[1].json()['id'], found[1].from_cache)"
    )
    file, number, from_cache = start("-c", code).stdout.split()
    assert (archive in Path(file).parents, number, from_cache) == (True, "550", "True")


@pytest.mark.parametrize("command", [["--version"], ["explain", "https://api.themoviedb.org/3/movie/550"]])
def test_commands(start: Any, archive: Path, command: list[str]) -> None:
    """Commands work from an archive."""
    done = start(archive, *command)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.soak
def test_demo(start: Any, archive: Path) -> None:
    """The demo runs from an archive: its script twice, and no call in the second run."""
    done = start(archive, "demo")
    assert "20 of 20" in done.stdout
