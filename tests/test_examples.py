"""The examples do what they say."""

from __future__ import annotations

from pathlib import Path

import pytest

from tmdb_mongo_cache.standin import StandIn

from .processkit import Runner

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.py"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_example(example: Path, runner: Runner, tls_tmdb: StandIn) -> None:
    """An example runs, and a second run of it makes no call but the one it asks for by name."""
    first = runner.start(example)
    made = tls_tmdb.count
    second = runner.start(example)
    assert first.stderr == second.stderr == ""
    assert first.stdout.splitlines()[0].split()[:3] == second.stdout.splitlines()[0].split()[:3]
    assert [call.status for call in tls_tmdb.calls[made:]] == ([304] if example.stem == "session" else [])
