"""Bodies that nest deeply: what is read, what is not, in what time, and that no interpreter ends in a crash."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tmdb_mongo_cache.tmdb import policy
from tmdb_mongo_cache.tmdb.bodies import DEEPEST, parse, parse_if_whole, skeleton
from tmdb_mongo_cache.tmdb.entry import Reply
from tmdb_mongo_cache.tmdb.rules import Policy

NOW = datetime(2026, 11, 22, tzinfo=timezone.utc)
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-32-le")
UNITS = ("[", '{"a":', '[{"a":', '["[",', '{"a\\"[":', '{"\\\\":', '{"∢":')
VALUES = st.recursive(
    st.none() | st.integers() | st.text(st.sampled_from('\\"[]{}∢"a'), max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('\\"[{a', max_size=3), inner, max_size=3),
    max_leaves=8,
)


def depth_of(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth_of, inner), default=0)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("unit", UNITS)
def test_too_deep(unit: str, encoding: str) -> None:
    """What nests more deeply than Python reads is no answer that is kept, whatever it nests and is encoded in."""
    body = (unit * 100_000).encode(encoding)
    with pytest.raises(RecursionError):
        parse(body)
    assert parse_if_whole(body) is None
    judged = policy.judge(Reply(200, body=body), policy.Ask(), None, Policy(), False, NOW)
    assert judged == (policy.Verdict.PASS_ON, "JSON that nests too deeply to be read", None)


def test_no_crash() -> None:
    """Megabytes of depth crash no interpreter, though the program has set a limit that is none, and take no seconds."""
    code = (
        "import sys, time\nfrom tmdb_mongo_cache.tmdb.bodies import parse_if_whole\nsys.setrecursionlimit(10**9)\n"
        f"for unit in {UNITS}: assert parse_if_whole((unit * (5 * 2**20 // len(unit))).encode()) is None, unit\n"
        "assert time.process_time() < 20\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@pytest.mark.parametrize("depth", [1, 30, 180, DEEPEST - 500])
def test_deep(depth: int) -> None:
    """What Python reads is read, beside however many lists and objects."""
    body = b"[" + b"{}," * 5000 + b"[" * depth + b'"]["' + b"]" * depth + b"]"
    assert parse(body) == json.loads(body)


@settings(max_examples=100, deadline=None)
@given(VALUES, st.booleans())
def test_skeleton(value: Any, escaped: bool) -> None:
    """A skeleton has the brackets of the JSON, and none that stands in a string."""
    bones = skeleton(json.dumps(value, ensure_ascii=escaped).encode())
    level = deepest = 0
    for letter in bones.decode():
        level += (letter in "[{") - (letter in "]}")
        deepest = max(deepest, level)
    assert (level, deepest) == (0, depth_of(value))


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1", b'{"a": 01}', b"\xff", b"1" * 5000, b'{"a": tru}'])
def test_no_json(body: bytes) -> None:
    """What is no JSON, and a number that Python does not read for its length, is no answer."""
    with pytest.raises(ValueError):  # noqa: PT011  of the parser's own
        parse(body)
    assert parse_if_whole(body) is None
