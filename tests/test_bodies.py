"""Bodies that are nested more deeply than Python reads: what is seen of them, and what is no JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tmdb_mongo_cache.tmdb.bodies import Outline, parse, parse_if_whole


def too_deep() -> str:
    """Return lists within lists that this Python gives up on."""
    depth = 500
    while True:
        text = depth * "[" + depth * "]"
        try:
            json.loads(text)
        except RecursionError:
            return 2 * depth * "[" + 2 * depth * "]"
        depth *= 2


DEEP = too_deep()
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
few = settings(max_examples=60, deadline=None)


def outline(text: str) -> Any:
    """Return what is made of a text with a hole for a value, where that is nested too deeply to be read."""
    return parse(text.replace("HOLE", DEEP).encode())


def seen(text: str) -> Any:
    """Return what is to be seen of it: the members of the top level, nothing of what is nested."""
    found = json.loads(text.replace("HOLE", "[]"))
    if not isinstance(found, dict):
        return {}
    return {name: None if isinstance(value, dict | list) else value for name, value in found.items()}


def outcome(call: Any, *args: Any) -> Any:
    try:
        return call(*args)
    except ValueError:
        return ValueError


@pytest.mark.parametrize(
    "text",
    [
        "HOLE",
        "[HOLE]",
        '{"a": HOLE}',
        '{"id": 550, "deep": HOLE}',
        '{"deep": HOLE, "id": 550, "title": "x", "a": null, "b": true, "c": false, "d": -1.5e+10, "e": "\\u00e4\\""}',
        '{"deep": HOLE, "a": {"id": 1}, "b": [1, 2], "c": {}, "d": [], "id": 2}',
        '{"deep": {"id": HOLE}, "x": {"y": {"id": 3}}}',
        '{"a": 1, "a": HOLE, "b": [1], "b": 2}',
        ' \t\r\n{ "id" : 550 , "deep" : HOLE } \n',
    ],
)
def test_seen(text: str) -> None:
    """Of an object the members of the top level are seen, nested ones as None; of a list nothing."""
    found = outline(text)
    assert isinstance(found, Outline)
    assert found == seen(text)


@few
@given(members=st.dictionaries(st.text(max_size=3), VALUES, max_size=4), deep=st.text(max_size=3), space=st.booleans())
def test_any_object(members: dict[str, Any], deep: str, space: bool) -> None:
    """It is so for any object, whatever its names and values, and however it is spaced."""
    text = json.dumps({**members, deep: "HOLE"}, indent=1 if space else None).replace('"HOLE"', "HOLE")
    assert outline(text) == seen(text)


@few
@given(
    members=st.dictionaries(st.sampled_from("ab"), VALUES, max_size=2),
    at=st.integers(0, 60),
    cut=st.integers(0, 2),
    put=st.text(st.sampled_from('[]{}",:0-1.e+tn\\\\ x'), max_size=2),
)
def test_no_json(members: dict[str, Any], at: int, cut: int, put: str) -> None:
    """What is no JSON behind its depth is refused as Python would refuse it, and nothing else is."""
    rest = json.dumps(members)
    rest = rest[:at] + put + rest[at + cut :]
    text = f'{{"deep": HOLE, "rest": {rest}}}'
    expected = outcome(seen, text)
    assert outcome(outline, text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("HOLE]", "[HOLE", "[HOLE}", "{HOLE}", "HOLE HOLE", "HOLE,", "[HOLE,]", "[,HOLE]", "[HOLE 1]", "[HOLE:1]"),
        *('{"a": HOLE', '{"a": HOLE]', '{"a": HOLE,}', '{"a" HOLE}', '{"a": HOLE "b": 1}', '{"a": HOLE, 1: 2}'),
        *('{"a": HOLE, "b"}', '{"a": HOLE, "b": }', '{"a": HOLE, "b": 01}', '{"a": HOLE, "b": "\\x"}', '["a": HOLE]'),
        *('{"a": HOLE} x', '{"a": HOLE}}', '"a" HOLE', '{"a": HOLE, "b": tru}', '{"a": HOLE, , "b": 1}', "{[HOLE]: 1}"),
    ],
)
def test_broken(text: str) -> None:
    """Whatever is wrong behind the depth makes it no answer, as at any other depth."""
    assert outcome(outline, text) is outcome(json.loads, text.replace("HOLE", "[]")) is ValueError
    assert parse_if_whole(text.replace("HOLE", DEEP).encode()) is None


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32-le"])
def test_encodings(encoding: str) -> None:
    """It is read in whatever encoding JSON may have."""
    found = parse(f'{{"title": "Fightклуб", "deep": {DEEP}}}'.encode(encoding))
    assert found == {"title": "Fightклуб", "deep": None}


@pytest.mark.parametrize("after", [chr(number) for number in range(128)])
def test_what_follows(after: str) -> None:
    """White space of JSON's may follow, and no other character."""
    assert outcome(outline, f'{{"a": HOLE}}{after}') == outcome(seen, f'{{"a": HOLE}}{after}')


def test_half_a_pair() -> None:
    """Half a surrogate pair in UTF-8 is read as Python reads it, and what is no UTF-8 at all is no JSON."""
    body = b'{"title": "\xed\xa0\x80"}'
    assert parse(body[:-1] + f', "deep": {DEEP}}}'.encode()) == {**json.loads(body), "deep": None}
    with pytest.raises(UnicodeDecodeError):
        parse(f'{{"deep": {DEEP}, "title": "'.encode() + b'\xff"}')
