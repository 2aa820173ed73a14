"""Bodies that nest deeply: what is read, what is not, in what time, and that no interpreter ends in a crash."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tmdb_mongo_cache.core import policy
from tmdb_mongo_cache.core.settings import Policy
from tmdb_mongo_cache.httpcache.json_body import (
    DEEPEST,
    Repeating,
    has_more_than,
    most_values,
    nesting,
    parse,
    parse_if_whole,
)
from tmdb_mongo_cache.httpcache.models import Reply
from tmdb_mongo_cache.tmdb.call import Request

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


def values_of(value: Any) -> Iterator[Any]:
    yield value
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for one in inner:
        yield from values_of(one)


class Emptied(str):
    """A name without letters, unlike any other."""

    __hash__ = object.__hash__
    __eq__ = object.__eq__


def emptied(value: Any) -> Any:
    """Return the same with empty strings."""
    if isinstance(value, dict):
        return {Emptied(): emptied(one) for one in value.values()}
    if isinstance(value, list):
        return [emptied(one) for one in value]
    return "" if isinstance(value, str) else value


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("unit", UNITS)
def test_too_deep(unit: str, encoding: str) -> None:
    """What nests more deeply than Python reads is no response that is stored, whatever it nests and is encoded in."""
    body = (unit * 100_000).encode(encoding)
    with pytest.raises(RecursionError):
        parse(body)
    assert parse_if_whole(body) is None
    judged = policy.judge(Reply(200, body=body), Request(), None, Policy(), False, NOW)
    assert judged == (policy.Verdict.PASS_ON, "JSON that nests too deeply to be read", None)


def test_no_crash() -> None:
    """Megabytes of depth crash no interpreter, though the program has set a limit that is none, and take no seconds."""
    code = (
        "import sys, time\nfrom tmdb_mongo_cache.httpcache.json_body import parse_if_whole\n"
        "sys.setrecursionlimit(10**9)\n"
        f"for unit in {UNITS[:2]}: assert parse_if_whole((unit * (5 * 2**20 // len(unit))).encode()) is None, unit\n"
        "assert time.process_time() < 20\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@pytest.mark.parametrize("depth", [1, 30, 180, DEEPEST - 500])
def test_deep(depth: int) -> None:
    """What Python reads is read, beside however many lists and objects."""
    body = b"[" + b"{}," * 20_000 + b"[" * depth + b'"]["' + b"]" * depth + b"]"
    assert parse(body) == json.loads(body)


@settings(max_examples=100, deadline=None)
@given(VALUES, st.booleans(), st.sampled_from(ENCODINGS))
def test_nesting(value: Any, escaped: bool, encoding: str) -> None:
    """Brackets are told from those that stand in strings, whatever is escaped, and in whatever encoding."""
    assert nesting(json.dumps(value, ensure_ascii=escaped).encode(encoding)) == depth_of(value)


@settings(max_examples=100, deadline=None)
@given(VALUES, st.booleans())
def test_what_is_besides_strings(value: Any, escaped: bool) -> None:
    """What a line has besides its strings is what it has where all of them are empty."""
    line = json.dumps(value, ensure_ascii=escaped).encode()
    length = len(json.dumps(emptied(value)).encode().replace(b'""', b'"'))
    assert has_more_than(line, length - 1)
    assert not has_more_than(line, 2 * length)
    assert most_values(line) >= sum(1 for _ in values_of(value))


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1", b'{"a": 01}', b"\xff", b"1" * 5000, b'{"a": tru}'])
def test_no_json(body: bytes) -> None:
    """What is no JSON, and a number that Python does not read for its length, is no response."""
    with pytest.raises(ValueError):  # noqa: PT011  of the parser's own
        parse(body)
    assert parse_if_whole(body) is None


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_mixed_depth(encoding: str) -> None:
    """Lists in objects in lists count alike; half of a pair in a string, as UTF-16 may have one, is a letter."""
    body = '[{"\ud800": ' * 8000 + "0" + "}]" * 8000
    with pytest.raises(RecursionError, match="900 levels"):
        parse(body.encode(encoding, "surrogatepass"))


@pytest.mark.parametrize(
    ("text", "depth"),
    [
        *(("0", 0), ("[]", 1), ('{"a": {}}', 2), ("[[], [[]]]", 3), ('["[[["]', 1), ('["a", "[", "\\"["]', 1)),
        *(('["\\\\", ["]"]]', 2), ('["", [""], "]"]', 2), ('{"": [""]}', 2), ('["\\\\\\"[["]', 1)),
    ],
)
def test_nesting_of(text: str, depth: int) -> None:
    """Escaped quotes and backslashes, and empty strings, hide no bracket and make none."""
    for encoding in ENCODINGS:
        assert nesting(text.encode(encoding)) == depth


def test_too_many_strings_to_measure() -> None:
    """Where the strings take too much memory to look between them, the depth is taken for too large."""
    assert nesting(b"[" + b'["["],' * 2**17 + b"0]") == 2
    assert nesting(b"[" + b'["["],' * (2**17 + 1) + b"0]") == math.inf


@pytest.mark.parametrize(
    ("text", "count"), [("0", 1), ("[0]", 2), ("[0, 1]", 3), ("{}", 2), ('{"a": [0, {"b": 1}]}', 5), ('"a,b"', 2)]
)
def test_most_values(text: str, count: int) -> None:
    """One for the whole, one for each list, object and comma."""
    assert most_values(text.encode()) == count


@pytest.mark.parametrize(
    ("text", "besides"),
    [("[0, 1]", 6), ('["abc", "d"]', 6), ('{"a": ""}', 6), ('["a\\"b"]', 3), ('"\\\\"', 1), ('["a"', 2), ("", 0)],
)
def test_how_much_is_besides_strings(text: str, besides: int) -> None:
    """What is not between quotes is counted, and one quote of each string."""
    assert not has_more_than(text.encode(), besides)
    assert besides == 0 or has_more_than(text.encode(), besides - 1)


def test_a_repeated_name() -> None:
    """An object that repeats a name holds the last value and says so, wherever it stands; no other does."""
    found = parse(b'[{"a": 1, "a": 2}, {"a": 1, "b": {"c": 1, "c": 1}}]')
    assert found == [{"a": 2}, {"a": 1, "b": {"c": 1}}]
    assert [type(found[0]), type(found[1]), type(found[1]["b"])] == [Repeating, dict, Repeating]
