"""What the doctor judges by numbers, what it says of this Python, and its command."""

from __future__ import annotations

import functools
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from configparser import ConfigParser
from typing import Any

import pytest
import requests
from click.testing import CliRunner

from tmdb_mongo_cache import TMDBCache, Verdict, enabled, install
from tmdb_mongo_cache.cli.main import cli
from tmdb_mongo_cache.doctor import environment, verdicts
from tmdb_mongo_cache.standin import StandIn

from .flowkit import get
from .processkit import ROOT, Runner
from .test_doctor import examine, named

__all__ = ["examine"]


# what is judged by numbers


@pytest.mark.parametrize(
    ("ahead", "level"),
    [(0.002, "ok"), (-1.9, "ok"), (2.1, "note"), (-600, "note"), (901, "problem"), (-7200, "problem")],
)
def test_clock(ahead: float, level: str) -> None:
    """Clocks may differ by two seconds, and must not by more than 15 minutes."""
    assert verdicts.clock(ahead).level == level
    assert "2 ms" in verdicts.clock(0.002).text


def test_latency(make_cache: Callable[..., TMDBCache]) -> None:
    """A round trip should be a tenth of store_timeout; the advice is a value that is enough."""
    assert verdicts.latency([0.02], 0.25).level == "ok"
    slow = verdicts.latency([0.03, 0.5, 0.031, 0.001, 0.2], 0.25)
    assert "31.0 ms (the median of 5)" in slow.text
    assert (slow.level, verdicts.latency([0.031], float(re.findall(r"[0-9.]+", slow.advice)[0])).level) == (
        "note",
        "ok",
    )
    assert verdicts.latency([0.3], 0.25).level == "problem"
    assert named(make_cache(store_timeout=0.00001).doctor())["latency"].level == "problem"


def test_numbers() -> None:
    """Packages before what the metadata asks for, and a full disk are problems."""
    assert [verdicts.disk(found).level for found in (10**8, 5 * 10**8, 10**10)] == ["problem", "note", "ok"]
    assert verdicts.package("pymongo", "4.10.1", "4.9") is None
    for found in ("4.8.9", "3.13", None):
        verdict = verdicts.package("pymongo", found, "4.9")
        assert verdict is not None
        assert "pymongo>=4.9" in verdict.advice
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    needed = setup["options"]["install_requires"].split()
    assert {f"{name}>={oldest}" for name, oldest in environment.OLDEST.items()} <= set(needed)


# this Python


def test_requests_is_patched(monkeypatch: pytest.MonkeyPatch, cache: TMDBCache) -> None:
    """Somebody else's wrapper is named with its module, below or above ours; ours alone is nothing to tell."""
    install(cache)
    assert environment.patches().level == "ok"
    original = vars(requests.Session)["send"]

    @functools.wraps(original)
    def send(*args: Any, **kwargs: Any) -> Any:
        return original(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(requests.Session, "send", send)
        found = environment.patches()
    assert (found.level, f"Session.send by {__name__}" in found.text) == ("note", True)
    assert "Session.request" not in found.text


def test_variables(
    monkeypatch: pytest.MonkeyPatch, examine: Callable[..., dict[str, Verdict]], make_cache: Callable[..., TMDBCache]
) -> None:
    """A variable that is no setting is a problem; a cache that is switched off is worth a note."""
    assert "by uri=" in examine()["uri"].text
    monkeypatch.setenv("TMDB_CACHE_EXPIRE_AFTRE", "60")
    assert "TMDB_CACHE_EXPIRE_AFTRE" in examine()["settings"].text
    monkeypatch.delenv("TMDB_CACHE_EXPIRE_AFTRE")
    assert named(make_cache(disabled=True).doctor())["settings"].level == "note"


# the command


@pytest.fixture
def env(monkeypatch: pytest.MonkeyPatch, mongo_uri: str, database: str) -> None:
    """The command's settings."""
    monkeypatch.setenv("TMDB_CACHE_URI", mongo_uri)
    monkeypatch.setenv("TMDB_CACHE_DATABASE", database)


def test_command(env: None, tmdb: StandIn, cache: TMDBCache, collection: Any) -> None:
    """The command has a line for each verdict, 1 for its code where something is a problem, and the same as JSON."""
    with enabled(cache):
        get(tmdb)
    done = CliRunner().invoke(cli, ["doctor"])
    assert (done.exit_code, done.stderr) == (0, "")
    assert re.search(r"^ok +clock +MongoDB's clock and this machine's differ by [0-9.]+ ms$", done.stdout, re.MULTILINE)
    collection.drop_index("purge_at")
    done = CliRunner().invoke(cli, ["doctor", "--no-mend"])
    assert done.exit_code == 1
    assert re.search(r"^problem +indexes .*\n +-> run 'tmdb-mongo-cache doctor' without", done.stdout, re.MULTILINE)
    done = CliRunner().invoke(cli, ["doctor", "--json"])
    said = json.loads(done.stdout)
    assert (done.exit_code, said["healthy"]) == (0, True)
    assert {"name", "level", "text", "advice"} == set(said["verdicts"][0])
    assert "by TMDB_CACHE_URI" in next(one["text"] for one in said["verdicts"] if one["name"] == "uri")


def test_command_with_bad_settings(env: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings that no cache can be made of are verdicts, all of them."""
    monkeypatch.setenv("TMDB_CACHE_STORE_TIMEOUT", "soon")
    monkeypatch.setenv("TMDB_CACHE_URI", "mongodb://somebody:s3c/r3t@localhost")
    done = CliRunner().invoke(cli, ["doctor", "--json"])
    assert done.exit_code == 1
    found = [one for one in json.loads(done.stdout)["verdicts"] if one["level"] == "problem"]
    assert len(found) == 2
    assert "r3t" not in done.output
    assert {word for one in found for word in ("STORE_TIMEOUT", "URI") if word in one["advice"]} == {
        "STORE_TIMEOUT",
        "URI",
    }


def test_settings_by_options(env: None, mongo_uri: str) -> None:
    """What was given by an option is named as the option, wherever it is named; what was not, as the variable."""
    done = CliRunner().invoke(cli, ["doctor", "--uri", "foo", "--json"])
    (wrong,) = [one for one in json.loads(done.stdout)["verdicts"] if one["level"] == "problem"]
    assert (done.exit_code, "TMDB_CACHE_URI" in done.output) == (1, False)
    assert wrong["advice"] == "correct --uri, or remove it"
    done = CliRunner().invoke(cli, ["doctor", "--uri", mongo_uri, "--json"])
    said = {one["name"]: one["text"] for one in json.loads(done.stdout)["verdicts"]}
    assert done.exit_code == 0
    assert said["settings"] == "set by TMDB_CACHE_DATABASE, --uri"
    assert "(by --uri)" in said["uri"]


def test_ctrl_c() -> None:
    """Ctrl-C while MongoDB is waited for ends it at once, with the code that shells have for that."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        line = [sys.executable, "-m", "tmdb_mongo_cache", "doctor"]
        env = {**os.environ, "TMDB_CACHE_URI": f"mongodb://127.0.0.1:{silent.getsockname()[1]}"}
        pipe = subprocess.PIPE
        with subprocess.Popen(line, env=env, stdout=pipe, stderr=pipe, text=True) as process:
            accepted = silent.accept()[0]
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        accepted.close()
    assert (process.returncode, out, err.strip()) == (130, "", "interrupted")


def test_process(mongo_uri: str, database: str) -> None:
    """As a user runs it: warnings are no verdicts, and standard error stays empty."""
    runner = Runner({"TMDB_CACHE_URI": mongo_uri, "TMDB_CACHE_DATABASE": database, "TMDB_CACHE_NONSENSE": "1"})
    done = runner.start("-W", "error", "-m", "tmdb_mongo_cache", "doctor", check=False)
    assert done.returncode == 1
    assert "TMDB_CACHE_NONSENSE: there is no such setting" in done.stdout
    assert done.stderr == ""
    done = runner.start("-m", "tmdb_mongo_cache", "doctor", check=False, TMDB_CACHE_URI=f"{mongo_uri}&films=1")
    assert (done.returncode, done.stderr, "no option films" in done.stdout) == (1, "", True)
