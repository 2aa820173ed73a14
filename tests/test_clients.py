"""The Python clients people use, unmodified, each in a process of its own under ``run``, over TLS."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tmdb_mongo_cache.standin import StandIn

from .processkit import Runner

pytestmark = pytest.mark.versions

PROGRAMS = Path(__file__).with_name("programs")
CLIENTS = ["tmdbsimple", "tmdbv3api", "tmdbapis"]
if sys.version_info < (3, 15):  # which themoviedb refuses
    CLIENTS.append("themoviedb")


# Runs programs one after the other, each after a call that says which.
EACH = """
import runpy, sys
import requests
for number, path in enumerate(sys.argv[1:]):
    requests.get("https://api.themoviedb.org/3/configuration", params={"api_key": "any", "number": number}, timeout=10)
    print("program", number)
    runpy.run_path(path, run_name="__main__")
"""


def test_second_process_makes_no_call(runner: Runner, tls_tmdb: StandIn) -> None:
    """Unmodified programs, each with its library, run twice: the second run prints the same and makes no call."""
    line = ("-c", EACH, *(PROGRAMS / f"use_{client}.py" for client in CLIENTS))
    first = runner.run(*line)
    calls = "".join("|" if "number" in dict(call.query) else "." for call in tls_tmdb.calls)
    second = runner.run(*line)
    assert len(tls_tmdb.calls) == len(calls)
    assert second.stdout == first.stdout
    assert first.stderr == second.stderr == ""
    for client, printed, made in zip(CLIENTS, first.stdout.split("program ")[1:], calls.split("|")[1:], strict=True):
        assert len(printed.splitlines()) > 6, client
        assert made, client
    assert calls.count(".") >= 12


@pytest.mark.soak
def test_without_the_cache_every_run_calls(runner: Runner, tls_tmdb: StandIn) -> None:
    """Without the cache the same program makes its calls again, and prints what it prints with it."""
    cached = runner.run(PROGRAMS / "use_tmdbsimple.py")
    made = tls_tmdb.count
    plain = runner.run(PROGRAMS / "use_tmdbsimple.py", TMDB_CACHE_DISABLED="1")
    assert tls_tmdb.count == 2 * made
    assert plain.stdout == cached.stdout


@pytest.mark.soak
def test_clients_share_entries(runner: Runner, tls_tmdb: StandIn, collection: Any) -> None:
    """What one client has fetched the others are served, whatever library and credential they use."""
    asked: dict[str, set[str]] = {}
    for client in CLIENTS:
        tls_tmdb.reset()
        runner.run(PROGRAMS / f"use_{client}.py")
        asked[client] = {f"{call.path}?{sorted(call.query)}" for call in tls_tmdb.calls}
    assert collection.count_documents({"_id": "GET api.themoviedb.org/3/movie/550?language=en-US"}) == 1
    # Asked for by an earlier client, so not asked for again: the details, the credits, a search, the genres.
    later = asked["tmdbv3api"]
    assert not [call for call in later if call.startswith("/3/movie/550/credits") or "/3/search/movie" in call]
    assert not [call for call in later if call.startswith("/3/genre/movie/list")]
    assert not [call for call in later if call.startswith("/3/movie/550?") and "append" not in call]
    assert not [call for call in asked["tmdbapis"] if call.startswith(("/3/search/movie", "/3/genre/movie/list"))]


@pytest.mark.soak
@pytest.mark.parametrize("form", ["error", "false", "missing"])
@pytest.mark.parametrize("program", ["use_tmdbapis_objects.py", "manage_a_library.py"])
def test_all_of_tmdbapis(runner: Runner, tls_tmdb: StandIn, program: str, form: str) -> None:
    """A second process that uses all of tmdbapis' objects, as Kometa does, makes no call, account_states or not."""
    tls_tmdb.states_of_nobody = form
    first = runner.run(PROGRAMS / program)
    asked = [str(call.query) for call in tls_tmdb.calls]
    second = runner.run(PROGRAMS / program)
    assert [call.path for call in tls_tmdb.calls[len(asked) :]] == []
    assert (second.stdout, second.stderr) == (first.stdout, first.stderr)
    assert any("account_states" in query for query in asked)
    assert len(asked) > 30
