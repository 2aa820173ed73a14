"""Published programs and libraries, unmodified, each in an environment of its own, installed for these tests."""

from __future__ import annotations

import os
import subprocess
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

from tmdb_mongo_cache.standin import StandIn

from .processkit import Runner

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]

ROOT = Path(__file__).parent.parent
PINS = {line.partition("==")[0]: line for line in (ROOT / "tests" / "published.txt").read_text().splitlines()}
MOCKS = ["responses", "requests_mock", "httpretty", "pook", "mocket", "vcr", "vcr_that_records", "betamax"]


@pytest.fixture(scope="module")
def installed_with(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return the Python of an environment with this package and some of the published ones."""
    made: dict[tuple[str, ...], Path] = {}

    def install(*names: str) -> Path:
        if names not in made:
            folder = tmp_path_factory.mktemp("published")
            venv.create(folder, with_pip=True)
            python = folder / "bin" / "python"
            line = [python, "-m", "pip", "install", "--quiet", "-e", ROOT, *(PINS[name] for name in names)]
            subprocess.run(line, check=True, timeout=800)
            made[names] = python
        return made[names]

    return install


@pytest.mark.parametrize("library", MOCKS)
def test_mocks(
    installed_with: Callable[..., Path], tmdb: StandIn, mongo_uri: str, database: str, mongo: object, library: str
) -> None:
    """Each mocking library is asked each time, as without the cache, and nothing of it is stored."""
    python = installed_with("betamax", "httpretty", "mocket", "pook", "requests-mock", "responses", "vcrpy")
    address, program = f"{tmdb.url}/3/movie/550", ROOT / "tests" / "programs" / "ask_mocks.py"
    env = {"TMDB_CACHE_URI": mongo_uri, "TMDB_CACHE_DATABASE": database, "TMDB_CACHE_HOSTS": tmdb.host}
    lines = [[python, program], [python, "-m", "tmdb_mongo_cache", "run", program]]
    found = []
    for line in lines:
        done = subprocess.run(
            [*map(str, line), address, library],
            env={**os.environ, **env},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        found.append(done.stdout.split("\n"))
    assert found[0] == found[1]
    assert found[0][1:3] == ["first", "second"]
    recorded = 2 if library == "vcr_that_records" else 0
    # Without the cache the film is asked for twice, and with it once.
    assert tmdb.count == 3 + 2 * recorded


def test_flexget(installed_with: Callable[..., Path], runner: Runner, tls_tmdb: StandIn, tmp_path: Path) -> None:
    """FlexGet's TMDB lookup, its own database gone, makes no call in a second process and finds the same."""
    python = installed_with("flexget")
    (tmp_path / "config.yml").write_text("""
tasks:
  films:
    mock:
      - {title: "Fight Club 1999 1080p", url: "http://127.0.0.1/1", tmdb_id: 550}
      - {title: "The Storm 2004 720p", url: "http://127.0.0.1/2"}
      - {title: "The Matrix", url: "http://127.0.0.1/3", imdb_id: tt0133093}
    tmdb_lookup: yes
    if:
      - "tmdb_id and tmdb_year": accept
""")
    line = [python.with_name("flexget"), "-c", "config.yml", "execute", "--now", "--dump", "eval"]
    found, calls = [], []
    for _ in range(2):
        for path in tmp_path.glob("db-config.sqlite*"):
            path.unlink()
        before = tls_tmdb.count
        done = subprocess.run(
            [str(python), "-m", "tmdb_mongo_cache", "run", *map(str, line)],
            cwd=tmp_path,
            env={**os.environ, **runner.env, "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        found.append([said for said in done.stdout.splitlines() if said.startswith("tmdb_")])
        calls.append(tls_tmdb.count - before)
    assert calls[0] >= 7
    assert calls[1] == 0
    assert found[0] == found[1]
    assert any(said.startswith("tmdb_name") for said in found[0])
