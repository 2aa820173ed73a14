"""How a process ends that has used the cache."""

from __future__ import annotations

from pathlib import Path

import pytest

from .processkit import Runner

# What pymongo does at the end, made visible.
SCRIPT = """
import os, requests, threading
join = threading.Thread.join
def joined(thread, *arguments):
    if "pymongo" in thread.name:
        print("waited")
    join(thread, *arguments)
threading.Thread.join = joined
own = None
if {own}:
    import pymongo
    own = pymongo.MongoClient(os.environ["TMDB_CACHE_URI"])
    own.admin.command("ping")
assert requests.get("https://api.themoviedb.org/3/movie/550?api_key=any").from_cache is False
"""


@pytest.mark.parametrize("own", [False, True])
def test_pymongo_is_not_waited_for(runner: Runner, tmp_path: Path, own: bool) -> None:
    """At the end nothing waits for pymongo's threads (half a second), unless the program has a client of its own."""
    path = tmp_path / "script.py"
    path.write_text(SCRIPT.format(own=own), encoding="utf-8")
    done = runner.run(path)
    assert ("waited" in done.stdout, done.stderr) == (own, "")
