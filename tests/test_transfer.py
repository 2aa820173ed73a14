"""Copies of a cache: what is exported, and that it comes back byte for byte."""

from __future__ import annotations

import base64
import re
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from tmdb_mongo_cache import ConfigError, ImportReport, StoreUnavailable, TMDBCache, enabled
from tmdb_mongo_cache.standin import StandIn
from tmdb_mongo_cache.transfer.exporter import Exporter

from .flowkit import API_KEY, KEY, MOVIE, ODD, STANDIN, START, expire, get, now
from .transferkit import (  # noqa: F401 - the fixtures are used by their names
    DAY,
    Other,
    file_fixture,
    films_fixture,
    lines_of,
    other_fixture,
    raw_documents,
)

SURROGATE = b'{"id": 6, "title": "\\ud800 \\u0000"}'

BIG = b'{"id": 123456789012345678901234567890, "x": 9223372036854775807, "y": -2147483649, "z": 1e400}'

INVALID = b'{"id": 1, "title": "\xed\xa0\x80"}'  # a lone surrogate in its bytes, which Python reads
# a lone surrogate in its bytes, which Python reads


def test_everything_comes_back_byte_for_byte(
    cache: TMDBCache, other: Other, collection: Any, tmdb: StandIn, file: Path
) -> None:
    """The documents after an import are those of the original, to the byte, whatever TMDB has sent."""
    bodies = [
        SURROGATE,
        BIG,
        INVALID,
        '{"id": 8, "title": "a\u2028b\u2029c\x85 \U0001f600 \x7f ä"}'.encode(),
        b'\xef\xbb\xbf{"id": 1}',
        '{"id": 9}'.encode("utf-16"),
        b'{"id":\r\n\t10}\n',
        b"[[]]",
        b'{"a":' * 150 + b"9223372036854775808" + b"}" * 150,
        b'{"a":' * 101 + b"1" + b"}" * 101,
        b'{"$set": {"a.b": 1}, "": NaN}',
    ]
    with enabled(cache):
        for number, body in enumerate(bodies):
            headers = {"Content-Type": "application/json", "X-Z": "1", "X-A": "ä"}
            tmdb.answer(f"{ODD}/{number}", body=body, headers=headers)
            get(tmdb, f"{ODD}/{number}")
        tmdb.answer("/3/movie/404", status=404, body=b'{"success":false,"status_code":34,"status_message":"-"}')
        get(tmdb, "/3/movie/404")
        tmdb.answer("/3/movie/99", status=301, headers={"Location": "/3/movie/98"}, body=b"\0moved")
        tmdb.answer("/3/movie/98", status=302, headers={"Location": f"{tmdb.url}{MOVIE}?api_key={API_KEY}"})
        get(tmdb, "/3/movie/99")
        get(tmdb, "/3/search/movie", params={"query": "x" * 600})
        get(tmdb)
        expire(collection)
        assert get(tmdb).headers["Cache-Status"].count("304")
        moment = datetime.now(timezone.utc)
        cache.engine.store.invalidation.expire_titles("movie", [99, 404, 550], moment + DAY, moment)
    original = raw_documents(collection)
    assert cache.export_entries(file) == len(original) == len(bodies) + 4
    assert sum(b"changed_at" in document for document in original) == 3
    assert b"validated_at" in b"".join(original)
    copy, documents = other
    assert copy.import_entries(file) == ImportReport(imported=len(original))
    assert raw_documents(documents) == original
    assert documents.index_information().keys() == collection.index_information().keys()
    assert API_KEY.encode() not in file.read_bytes()


def test_the_file_can_be_read(cache: TMDBCache, films: list[str], tmdb: StandIn, file: Path) -> None:
    """A header and a line an entry, sorted by key, with the document's names, times in UTC and the body as text."""
    tmdb.answer("/3/movie/1", body=INVALID)
    with enabled(cache):
        film = get(tmdb)
        get(tmdb, "/3/movie/1")
    assert cache.export_entries(file) == 11
    header, *entries = lines_of(file)
    assert (header["tmdb-mongo-cache"], header["collection"]) == (1, "tmdb_cache")
    assert [entry["_id"] for entry in entries] == sorted([*films, f"{START}/3/movie/1"])
    found = entries[1]
    assert (found["_id"], found["tmdb_id"], found["media_type"], found["status"]) == (KEY, 550, "movie", 200)
    assert found["body"] == film.text
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", found["timestamp"])
    assert base64.b64decode(entries[0]["body_base64"]) == INVALID
    assert not found.keys() & {"data", "checksum", "schema"}


def test_what_is_exported(cache: TMDBCache, collection: Any, tmdb: StandIn, films: list[str], file: Path) -> None:
    """Stale answers are, others' documents and what may be kept no longer are not; a type narrows it down."""
    with enabled(cache):
        get(tmdb, "/3/tv/1399/season/1")
        get(tmdb, "/3/movie/popular")
    expire(collection, films[0])
    collection.update_one({"_id": films[1]}, {"$set": {"purge_at": now() - DAY}})
    collection.update_one({"_id": films[2]}, {"$set": {"schema": 2}})
    collection.update_one({"_id": films[3]}, {"$set": {"body": "no bytes"}})
    collection.update_one({"_id": films[4]}, {"$set": {"headers": {"Set-Cookie": "a=b"}}})
    collection.insert_one({"_id": "abcdef", "data": {"url": "https://example.org/"}})
    collection.insert_one({"_id": f"{START}/3/movie/1#Accept=x", "schema": 1})
    assert cache.export_entries(file) == 8
    assert films[0] in file.read_text(encoding="utf-8")
    assert cache.export_entries(file, media_type="tv", force=True) == 1
    with pytest.raises(ConfigError, match="movie, tv, person"):
        cache.export_entries(file, media_type="film", force=True)


def test_left_out(cache: TMDBCache, collection: Any, films: list[str], file: Path, caplog: Any) -> None:
    """What is left out is counted, by its reason, and a warning says so."""
    collection.update_one({"_id": films[1]}, {"$set": {"purge_at": now() - DAY}})
    collection.update_one({"_id": films[4]}, {"$set": {"headers": {"Set-Cookie": "a=b"}}})
    collection.update_one({"_id": films[5]}, {"$set": {"headers": {"Set-Cookie": "a=b"}}})
    exporter = Exporter(cache.engine)
    exporter.to_file(file)
    assert (exporter.count, exporter.left_out) == (7, 3)
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("WARNING", "2 responses left out: a credential or a cookie in its headers"),
        ("WARNING", "1 response left out: past the time for which they may be stored"),
    ]


def test_mongodb_away(films: list[str], cache: TMDBCache, file: Path) -> None:
    """Where MongoDB does not answer both say so."""
    cache.export_entries(file)
    whole = file.read_bytes()
    nowhere = "mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=50"
    with TMDBCache(uri=nowhere, hosts=(STANDIN.host,), statistics=False) as away:
        with pytest.raises(StoreUnavailable, match="does not answer"):
            away.import_entries(file)
        with pytest.raises(StoreUnavailable, match="does not answer"):
            away.export_entries(file, force=True)
    assert file.read_bytes() == whole


def test_progress(cache: TMDBCache, films: list[str], file: Path) -> None:
    """Both say how far they are."""
    told: list[tuple[str, int, int]] = []
    cache.export_entries(file, progress=lambda *what: told.append(what))
    assert told[-1] == ("exporting", 10, 10)
    cache.import_entries(file, progress=lambda *what: told.append(what))
    text, done, total = told[-1]
    assert (text, total) == ("importing (kB)", file.stat().st_size // 1000)
    assert 0 < done <= total
