"""TMDB's daily id exports, read as they come: the ids, the most popular first; whatever is wrong is one sentence."""

from __future__ import annotations

import gzip
import json
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tmdb_mongo_cache import ConfigError, TMDBCache
from tmdb_mongo_cache.maintenance.id_exports import media_type_of, read_export
from tmdb_mongo_cache.standin import StandIn

NAME = "movie_ids_11_22_2026.json.gz"
ROWS = [{"id": 1, "popularity": 2.5}, {"id": 2, "popularity": 61.4}, {"id": 3, "popularity": 0.6}]
LINES = b"".join(json.dumps(row).encode() + b"\n" for row in ROWS)

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file and return its path."""

    def write(content: bytes, name: str = NAME) -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


def refused(path: Any, *, says: str) -> None:
    with pytest.raises(ConfigError) as raised:
        read_export(path)
    text = str(raised.value)
    assert says in text
    assert str(path) in text
    assert "\n" not in text


def test_the_most_popular_first(write: Write) -> None:
    """The ids come in the order of popularity, gzipped or not, whatever the file is called."""
    assert read_export(write(LINES, "plain.json")) == [2, 1, 3]
    assert read_export(write(gzip.compress(LINES), "packed.json")) == [2, 1, 3]
    assert read_export(str(write(gzip.compress(LINES)))) == [2, 1, 3]


def test_min_popularity(write: Write) -> None:
    """What is less popular is left out, and what is just as popular is not."""
    path = write(LINES)
    assert read_export(path, 2.5) == [2, 1]
    assert read_export(path, 2.6) == [2]
    assert read_export(path, 0) == [2, 1, 3]
    assert read_export(path, 100) == []


def test_without_popularity(write: Write) -> None:
    """Where rows have no popularity the file's order stays, and a limit leaves all of them out."""
    path = write(b'{"id": 9, "name": "x"}\n{"id": 4, "name": "y"}\n{"id": 7}\n', "keyword_ids_11_22_2026.json.gz")
    assert read_export(path) == [9, 4, 7]
    assert read_export(path, 0.0) == []


def test_as_popular(write: Write) -> None:
    """Those that are equally popular stay in the file's order."""
    lines = b"".join(b'{"id": %d, "popularity": 0.6}\n' % number for number in (5, 3, 8, 1))
    assert read_export(write(lines)) == [5, 3, 8, 1]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", []),
        (gzip.compress(b""), []),
        (b"\n\n", []),
        (LINES.rstrip(b"\n"), [2, 1, 3]),
        (LINES.replace(b"\n", b"\r\n"), [2, 1, 3]),
        (LINES.replace(b"\n", b"\n\n"), [2, 1, 3]),
        (b"\xef\xbb\xbf" + LINES, [2, 1, 3]),
        ('{"adult":true,"id":6,"original_title":"Amélie\u2028","popularity":1,"video":false}'.encode(), [6]),
        (gzip.compress(LINES[:30]) + gzip.compress(LINES[30:]), [2, 1, 3]),
    ],
    ids=["nothing", "nothing-packed", "blank", "no-last-newline", "crlf", "blank-between", "bom", "utf-8", "members"],
)
def test_looks(write: Write, content: bytes, expected: list[int]) -> None:
    """What a file may look like besides."""
    assert read_export(write(content)) == expected


@pytest.mark.parametrize("kind", ["movie", "tv_series", "person", "collection", "tv_network", "keyword"])
def test_the_stand_ins_exports(write: Write, tmdb: StandIn, kind: str) -> None:
    """An export as TMDB makes it is read to its last row."""
    name = f"{kind}_ids_11_22_2026.json.gz"
    found = read_export(write(tmdb.export(name), name))
    assert len(set(found)) == len(found) == tmdb.export_rows


def test_cut_off(write: Write) -> None:
    """A download that was cut off, anywhere, is refused and not read half."""
    whole = gzip.compress(b"".join(b'{"id": %d, "popularity": %d}\n' % (n * 7919, n) for n in range(1, 300)))
    for length in (2, 5, 12, len(whole) // 2, len(whole) - 8, len(whole) - 1):
        refused(write(whole[:length]), says="truncated or damaged")


@pytest.mark.parametrize("where", [12, 200, -6])
def test_damaged(write: Write, where: int) -> None:
    """A damaged file is refused: in its data or in its checksum."""
    whole = bytearray(gzip.compress(b"".join(b'{"id": %d, "popularity": %d}\n' % (n * 7919, n) for n in range(1, 300))))
    whole[where] ^= 0xFF
    refused(write(bytes(whole)), says=NAME)


def test_rubbish_after_it(write: Write) -> None:
    """What is no gzip after the end of one is refused."""
    refused(write(gzip.compress(LINES) + b"<html>"), says="truncated or damaged")


ODD = {
    "html": b"<!DOCTYPE html><html>",
    "half": b'{"id": 5, "popul',
    "array": b"[1, 2]",
    "number": b"550",
    "null": b"null",
    "text": b'"550"',
    "no id": b'{"popularity": 1.5}',
    "id text": b'{"id": "5", "popularity": 1.5}',
    "id true": b'{"id": true, "popularity": 1.5}',
    "id null": b'{"id": null, "popularity": 1.5}',
    "id 1.5": b'{"id": 1.5, "popularity": 1.5}',
    "popularity text": b'{"id": 5, "popularity": "much"}',
    "latin-1": '{"id": 5, "name": "Amélie"}'.encode("latin-1"),
    "zeros": b"\0\0\0\0",
    "two in a line": b'{"id": 5} {"id": 6}',
    "endless id": b'{"id": ' + b"9" * 5000 + b"}",
}


UNSEEN = {
    "nested": b"[" * 100_000,
    "popularity without end": b'{"id": 5, "popularity": 1' + b"0" * 400 + b"}",
    "popularity nan": b'{"id": 5, "popularity": NaN}',
    "id -5": b'{"id": -5, "popularity": 1.5}',
    "id 0": b'{"id": 0, "popularity": 1.5}',
    "id too long": b'{"id": 99999999999999999999, "popularity": 1.5}',
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_not_a_row(write: Write, odd: bytes) -> None:
    """A line that is no row is named by its number, and nothing is made of the rest."""
    refused(write(LINES + odd + b"\n" + LINES), says="line 4")


@pytest.mark.parametrize("odd", UNSEEN.values(), ids=UNSEEN)
def test_not_a_good_row(write: Write, odd: bytes) -> None:
    """A row with an id or a popularity that cannot be is named by its number as well."""
    refused(write(LINES + odd + b"\n" + LINES), says="line 4")


@pytest.mark.parametrize("content", [b"PK\x03\x04 a zip", b"\x1f\x8b", b"\x1f", b"\xff\xfe{\0", b"{" * 50])
def test_no_export_at_all(write: Write, content: bytes) -> None:
    """A file of another sort is refused."""
    refused(write(content), says=NAME)


def test_no_file(tmp_path: Path, write: Write) -> None:
    """A directory, a missing file, and one that must not be read are one sentence with the reason."""
    refused(tmp_path, says="cannot read")
    refused(tmp_path / "none.json.gz", says="No such file")
    refused(write(LINES) / "below", says="cannot read")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("movie_ids_11_22_2026.json.gz", "movie"),
        ("tv_series_ids_11_22_2026.json.gz", "tv"),
        ("person_ids_11_22_2026.json", "person"),
        ("collection_ids_11_22_2026.json.gz", "collection"),
        ("tv_network_ids_11_22_2026.json.gz", "network"),
        ("keyword_ids_11_22_2026.json.gz", "keyword"),
        ("production_company_ids_11_22_2026.json.gz", "company"),
        ("adult_movie_ids_11_22_2026.json.gz", "movie"),
        ("/var/person_ids_/movie_ids_11_22_2026.json.gz", "movie"),
        ("ids.json.gz", None),
        ("my_movie_ids_2026.json.gz", None),
        ("movie_ids", None),
        ("movies_ids_11_22_2026.json.gz", None),
        ("", None),
    ],
)
def test_what_the_ids_are_of(name: str, kind: str | None) -> None:
    """The name of an export says what its ids are of."""
    assert media_type_of(name) == media_type_of(Path(name)) == kind


@pytest.mark.soak
def test_a_million_rows(write: Write) -> None:
    """A real export fits into memory, and into less than what it takes to make one call a row."""
    lines = b"".join(
        b'{"adult":false,"id":%d,"original_title":"A title","popularity":%d.5,"video":false}\n' % (n, n % 97)
        for n in range(1, 100_001)
    )
    path = write(gzip.compress(lines, 1))
    began = time.process_time()
    assert len(read_export(path)) == 100_000
    took = time.process_time() - began
    tracemalloc.start()
    try:
        read_export(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert took < 10  # a million in less than two minutes, on whatever machine
    assert peak < 40e6  # 400 bytes a row; the rows as dicts would take twice that


# In warm()


def test_warm_by_an_export(write: Write, tmdb: StandIn, cache: TMDBCache) -> None:
    """An export fills the cache with what its name says, the most popular first and no less popular than wanted."""
    path = write(LINES, "tv_series_ids_11_22_2026.json.gz")
    report = cache.warm(path, min_popularity=1.0, connections=1, api_key="any", base_url=tmdb.url, rate=5000)
    assert [call.path.partition("?")[0] for call in tmdb.calls] == ["/3/tv/2", "/3/tv/1"]
    assert (report.total, report.fetched) == (2, 2)


def test_warm_by_a_nameless_export(write: Write, tmdb: StandIn, cache: TMDBCache) -> None:
    """An export whose name tells nothing needs a media type, and one is believed over the name."""
    path = write(LINES, "download.json")
    with pytest.raises(ConfigError, match="does not tell the type of its ids"):
        cache.warm(path, api_key="any", base_url=tmdb.url)
    assert cache.warm(str(path), media_type="person", api_key="any", base_url=tmdb.url, rate=5000).fetched == 3
    assert {call.path.partition("?")[0] for call in tmdb.calls} == {f"/3/person/{number}" for number in (1, 2, 3)}


def test_warm_by_an_export_with_repeats(write: Write, tmdb: StandIn, cache: TMDBCache) -> None:
    """An id that an export has twice is fetched and counted once."""
    report = cache.warm(write(LINES + LINES), api_key="any", base_url=tmdb.url, rate=5000)
    assert (report.total, report.fetched, tmdb.count) == (3, 3, 3)


@pytest.mark.parametrize("popularity", ["5", float("nan"), True], ids=repr)
def test_popularity_that_is_none(write: Write, tmdb: StandIn, cache: TMDBCache, popularity: Any) -> None:
    """A limit that is no number is one sentence."""
    with pytest.raises(ConfigError, match="min_popularity"):
        cache.warm(write(LINES), min_popularity=popularity, api_key="any", base_url=tmdb.url)
    assert tmdb.count == 0


def test_warm_by_an_export_of_another_kind(write: Write, tmdb: StandIn, cache: TMDBCache) -> None:
    """Ids of films are not fetched as shows."""
    with pytest.raises(ConfigError, match="'movie', not 'tv'"):
        cache.warm(write(LINES), media_type="tv", api_key="any", base_url=tmdb.url)
    assert tmdb.count == 0
