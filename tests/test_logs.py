"""``TMDB_CACHE_LOG``: the log on standard error, for scripts that configure none."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests

from tmdb_mongo_cache import ConfigError, TMDBCache, enabled
from tmdb_mongo_cache.standin import StandIn

from .processkit import Runner

ASK = 'requests.get("https://api.themoviedb.org/3/movie/550?api_key=secret").raise_for_status()\n'


def script(folder: Path, text: str) -> Path:
    path = folder / "script.py"
    path.write_text(text, encoding="utf-8")
    return path


def test_debug(runner: Runner, tmp_path: Path) -> None:
    """With debug a script that configures no logging shows each decision, without the key; without it, nothing."""
    path = script(tmp_path, "import requests\n" + 2 * ASK)
    assert runner.run(path).stderr == ""
    shown = runner.run(path, TMDB_CACHE_LOG="debug").stderr.splitlines()
    key = "GET api.themoviedb.org/3/movie/550"
    assert [line.partition(" DEBUG ")[2] for line in shown if key in line] == [
        f"{key}: hit (mongodb)",
        f"{key}: hit (memory)",
    ]
    assert "secret" not in "".join(shown)


def test_a_call_that_is_never_cached(cache: TMDBCache, tmdb: StandIn, caplog: pytest.LogCaptureFixture) -> None:
    """The log says why a call bypassed the cache, without its credential."""
    caplog.set_level("DEBUG", "tmdb_mongo_cache")
    with enabled(cache):
        requests.get(f"{tmdb.url}/3/movie/550/account_states?api_key=any&session_id=secret")
        requests.get(f"{tmdb.url}/3/movie/550?api_key=any", headers={"Cache-Control": "no-store"})
    said = [record.getMessage() for record in caplog.records if "bypass" in record.getMessage()]
    assert said == [
        "a call: bypass (account_states are private)",
        "/3/movie/{movie_id}: bypass (the request says no-store)",
    ]


def test_a_script_that_configures_logging(runner: Runner, tmp_path: Path) -> None:
    """Who configures logging, even later, has each line once."""
    later = "import requests\n" + ASK + "import logging; logging.basicConfig(level=logging.DEBUG)\n" + ASK
    shown = runner.run(script(tmp_path, later), TMDB_CACHE_LOG="Debug").stderr
    assert shown.count("hit (memory)") == 1


@pytest.mark.parametrize("text", ["loud", "10", "debug,info"])
def test_no_such_level(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Anything but a level is a ConfigError that names the levels."""
    monkeypatch.setenv("TMDB_CACHE_LOG", text)
    with pytest.raises(ConfigError, match=r"TMDB_CACHE_LOG: there is no level .*; the levels are: debug, info"):
        TMDBCache()


@pytest.mark.parametrize("text", ["", " "])
def test_empty(monkeypatch: pytest.MonkeyPatch, text: str, caplog: pytest.LogCaptureFixture) -> None:
    """An empty variable is no variable."""
    monkeypatch.setenv("TMDB_CACHE_LOG", text)
    TMDBCache()
    assert caplog.records == []


def test_tmdbv3api_has_a_variable_like_ours(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """TMDB_CACHE_ENABLED, which tmdbv3api sets for itself, is no unknown setting of ours."""
    monkeypatch.setenv("TMDB_CACHE_ENABLED", "False")
    TMDBCache()
    assert caplog.records == []
