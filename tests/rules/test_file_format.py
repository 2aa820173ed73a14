"""The lines of an export."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from tmdb_mongo_cache.httpcache.models import Hop
from tmdb_mongo_cache.mongo.bulk import Copy
from tmdb_mongo_cache.transfer import file_format

from ..entrykit import DAY, NOW, entry

LINE: dict[str, Any] = {
    "_id": "GET api.themoviedb.org/3/movie/550",
    **dict.fromkeys(("timestamp", "expires_at", "purge_at"), "2026-11-22T12:00:00.000Z"),
    **{"status": 200, "reason": "OK", "headers": {}, "body": "{}"},
}


def read(**changes: Any) -> dict[str, Any]:
    changed = {name: value for name, value in {**LINE, **changes}.items() if value is not ...}
    return file_format.from_line(json.dumps(changed).encode() + b"\n")


def test_the_first_line() -> None:
    """It has the version, and what else is known."""
    assert file_format.header_line(exported="x", by=None) == b'{"tmdb-mongo-cache":1,"exported":"x"}\n'
    assert file_format.version_of(file_format.header_line()) == 1


@pytest.mark.parametrize(
    ("line", "version"),
    [
        *((b'{"tmdb-mongo-cache": 2}', 2), (b'{"tmdb-mongo-cache": 0}', None), (b'{"tmdb-mongo-cache": -1}', None)),
        *((b'{"tmdb-mongo-cache": true}', None), (b'{"tmdb-mongo-cache": "1"}', None), (b"[1]", None), (b"x", None)),
        *((b'{"tmdb-mongo-cache": 1, "_id": "x"}', None), (b"{}", None), (b"", None)),
    ],
)
def test_versions(line: bytes, version: int | None) -> None:
    """A first line has a number that is one, and no key."""
    assert file_format.version_of(line) == version


def test_a_line() -> None:
    """The fields of the document in order, those that are None left out; times in milliseconds and UTC."""
    hop = Hop("https://x/", 301, "Moved", {"a": "b"}, b"\xff")
    made = entry(1, 2, body=b"\x01", history=(hop,), url="https://y/", tmdb_id=550)
    line = json.loads(file_format.to_line(Copy(made, NOW + timedelta(microseconds=1999))))
    assert list(line) == [
        *("_id", "tmdb_id", "timestamp", "expires_at", "purge_at", "changed_at", "status", "reason", "headers", "url"),
        *("history", "body_base64"),
    ]
    assert (line["timestamp"], line["changed_at"]) == ("2026-11-22T11:59:58.000Z", "2026-11-22T12:00:00.001Z")
    assert line["body_base64"] == "AQ=="
    assert line["history"] == [
        {"url": "https://x/", "status": 301, "reason": "Moved", "headers": {"a": "b"}, "body_base64": "/w=="}
    ]


@pytest.mark.parametrize("text", ["a\x85b", "a\u2028b", "a\u2029b", "ä\u2028"])
def test_one_line(text: str) -> None:
    """No character in it ends a line, for whoever reads it; all others are as they are."""
    line = file_format.to_line(Copy(entry(body=text.encode()))).decode()
    assert line.splitlines() == [line[:-1]]
    assert json.loads(line)["body"] == text
    assert ("ä" in line) is ("ä" in text)


@pytest.mark.parametrize(
    ("body", "name"),
    [
        *((b"a\tb\nc\rd", "body"), ("ä".encode(), "body"), (b"", "body"), (b"\x7f", "body")),
        *((bytes([code]), "body_base64") for code in (0, 8, 11, 12, 14, 31, 255)),
    ],
)
def test_bodies(body: bytes, name: str) -> None:
    """What people can read is text, all else Base64; both come back."""
    line = file_format.to_line(Copy(entry(body=body)))
    assert set(json.loads(line)) & {"body", "body_base64"} == {name}
    assert file_format.from_line(line)["body"] == body


def test_a_read_line() -> None:
    """Times are moments, bodies bytes, those of redirects too."""
    found = read(history=[{"url": "x", "body_base64": "AQ=="}, 5], validated_at="2026-11-22T12:00:01Z")
    assert (found["timestamp"], found["validated_at"]) == (NOW, NOW + timedelta(seconds=1))
    assert (found["body"], found["history"][0]) == (b"{}", {"url": "x", "body": b"\x01"})
    assert "body_base64" not in found
    assert read(history="x", changed_at=None)["history"] == "x"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        *(
            ({name: missing}, f"{name} is missing")
            for name in ("_id", "timestamp", "expires_at", "purge_at", "status", "reason", "headers")
            for missing in (None, ...)
        ),
        *(
            ({name: value}, f"{name} is not a time")
            for name in ("timestamp", "expires_at", "purge_at", "validated_at", "changed_at")
            for value in ("2026-13-01T00:00:00Z", "2026-11-22T12:00:00.000", "2026-11-22", 5, "x2026-11-22T12:00:00Z")
        ),
        *(({"body": body}, "its body cannot be read") for body in ("\ud800",)),
        *(({"body": ..., "body_base64": body}, "its body cannot be read") for body in ("A!", "A", "ä===")),
        *(({"body": body}, "it needs a body") for body in (None, ..., 5, ["x"])),
        *(({"body_base64": body}, "it needs a body") for body in ("AAAA", 5)),
        ({"history": [{"url": "x"}]}, "it needs a body"),
    ],
)
def test_no_entry(changes: dict[str, Any], reason: str) -> None:
    """What a line lacks or has wrong is said."""
    with pytest.raises(ValueError, match=reason):
        read(**changes)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        *((b"[]\n", "not a JSON object"), (b"x\n", "not JSON$")),
        *((b'{"a": 1', "the file is cut off here"), (b"", "cut off")),
        *((b"[" * 100_000 + b"\n", "nests too deeply"), (b'{"_id": "\0"}\n', "not JSON$")),
        ("{}".encode("utf-16") + b"\n", "not JSON$"),
        (b" " * (50 * 2**20 + 1), "longer than any entry can be .50 MiB"),
        (b"[" + b"0," * 2**20 + b"0]\n", "more lists, objects and numbers"),
    ],
)
def test_no_line(line: bytes, reason: str) -> None:
    """What is no line of an export is refused before it takes memory."""
    with pytest.raises(ValueError, match=reason):
        file_format.from_line(line)


def test_large_lines() -> None:
    """A mebibyte besides the strings is read, and so is any length of strings."""
    for line in (b" " * (2**20 - 2) + b"[]", b'["' + b"x" * 2**21 + b'"]', b" " * (2**20 - 3) + b'["x"]'):
        with pytest.raises(ValueError, match="not a JSON object"):
            file_format.from_line(line)
    for line in (b" " * (2**20 - 1) + b"[]", b" " * (2**20 - 2) + b'["x"]'):
        with pytest.raises(ValueError, match="more lists"):
            file_format.from_line(line)


@pytest.mark.parametrize(
    ("left", "age", "past"),
    [(-1, 10, False), (-10, 10, False), (5, 180 * DAY, True), (5, 180 * DAY - 1, False), (5, 181 * DAY, True)],
)
def test_past(left: float, age: float, past: bool) -> None:
    """An entry may be stored until it is purged, and for six months at most."""
    assert file_format.is_past(entry(left, age, purge_at=NOW + timedelta(seconds=5)), NOW) is past
    assert file_format.is_past(entry(left, 1, purge_at=NOW), NOW)


def test_recorded() -> None:
    """In a recording an entry is fresh for six months."""
    made = entry(5, 10, validated_at=NOW)
    last = made.timestamp + timedelta(days=180)
    assert file_format.recorded(made) == made._replace(expires_at=last, purge_at=last)
