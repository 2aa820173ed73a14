"""What an import takes, keeps and refuses."""

from __future__ import annotations

import errno
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tmdb_mongo_cache import ConfigError, ImportReport, TMDBCache, enabled
from tmdb_mongo_cache.standin import StandIn
from tmdb_mongo_cache.transfer.importer import Importer

from .flowkit import API_KEY, KEY, MOVIE, START, get, now
from .transferkit import (  # noqa: F401 - the fixtures are used by their names
    DAY,
    Other,
    file_fixture,
    films_fixture,
    later,
    lines_of,
    other_fixture,
    raw_documents,
    rewrite,
)


def test_import_keeps_what_is_newer(
    cache: TMDBCache, films: list[str], tmdb: StandIn, collection: Any, file: Path
) -> None:
    """What was fetched or confirmed later stays; what is older, unreadable or nonsense is replaced."""
    cache.export_entries(file)
    whole = raw_documents(collection)
    assert cache.import_entries(file) == ImportReport(kept=10)
    past, future = now() - DAY, now() + DAY
    for number, changes in enumerate(
        [{"timestamp": past}, {"schema": 7}, {"timestamp": "x"}, {"timestamp": future}, {"purge_at": past}]
    ):
        collection.update_one({"_id": films[number]}, {"$set": changes})
    collection.delete_one({"_id": films[5]})
    collection.update_one({"_id": films[6]}, {"$set": {"timestamp": past, "validated_at": now()}})
    assert cache.import_entries(file) == ImportReport(imported=6, kept=4)
    after = raw_documents(collection)
    assert after[:6] + after[7:] == whole[:6] + whole[7:]
    assert after[6] != whole[6]


def test_memory_follows_an_import(make_cache: Callable[..., TMDBCache], tmdb: StandIn, file: Path) -> None:
    """What this process has in memory of an entry is forgotten when an import brings a newer one."""
    with make_cache(memory_ttl=60) as cache, enabled(cache):
        get(tmdb)
        cache.export_entries(file)
        rewrite(file, lambda line: line.update(body='{"id": 550}', validated_at=later(seconds=1)))
        assert get(tmdb).headers["Cache-Status"].endswith("detail=memory")
        assert cache.import_entries(file) == ImportReport(imported=1)
        assert (get(tmdb).json(), tmdb.count) == ({"id": 550}, 1)


LONG = f"{START}/3/search/movie?query=" + "x" * 403 + "#" + "0" * 64


REFUSED: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "not an object": (lambda line: [1], "not a JSON object"),
    "no key": (lambda line: line.pop("_id") and None, "_id is missing"),
    "null": (lambda line: line.update(reason=None), "reason is missing"),
    "other host": (lambda line: line.update(_id="GET example.org/3/movie/550"), "not TMDB"),
    "private": (lambda line: line.update(_id=f"{START}/3/account/1"), "/3/account is private"),
    "states": (lambda line: line.update(_id=f"{START}/3/movie/1/account_states"), "are private"),
    "v4": (lambda line: line.update(_id=f"{START}/4/list/1"), "none of TMDB's"),
    "session": (lambda line: line.update(_id=KEY + "?session_id=abcdef"), "session"),
    "spelling": (lambda line: line.update(_id=KEY + "?b=1&a=2"), "not that of its call"),
    "key in key": (lambda line: line.update(_id=f"{KEY}?api_key={API_KEY}"), "a credential in an url"),
    "digest": (lambda line: line.update(_id=LONG), "no url tells"),
    "wrong digest": (lambda line: line.update(_id=LONG, url="https://api.themoviedb.org/3/movie/1"), "not that of"),
    "url": (lambda line: line.update(url="https://evil.example/3/movie/550"), "TMDB_CACHE_HOSTS"),
    "key in url": (lambda line: line.update(url=f"https://api.tmdb.org{MOVIE}?api_key={API_KEY}"), "credential"),
    "cookie": (lambda line: line.update(headers={"set-cookie": "a=b"}), "cookie"),
    "bearer": (lambda line: line.update(headers={"X": "Bearer abc.def"}), "credential"),
    "location": (lambda line: line.update(headers={"Location": f"/?api_key={API_KEY}"}), "credential"),
    "vary": (lambda line: line.update(headers={"vary": "Origin, Cookie"}), "its Vary names more"),
    "another vary": (lambda line: line.update(headers={"Vary": "Origin", "VARY": "*"}), "its Vary names more"),
    "marked private": (
        lambda line: line.update(headers={"Cache-Control": "private"}),
        "Cache-Control says private",
    ),
    "no-store": (lambda line: line.update(headers={"cache-control": "no-store"}), "Cache-Control says no-store"),
    "dollar": (lambda line: line.update(headers={"$x": "1"}), "cannot be stored"),
    "control": (lambda line: line.update(headers={"X": "a\nb"}), "an invalid value"),
    "header type": (lambda line: line.update(headers={"X": 1}), "an invalid value"),
    "status": (lambda line: line.update(status=500), "an invalid value"),
    "history": (lambda line: line.update(history=[1]), "an invalid value"),
    "time": (lambda line: line.update(timestamp="2026-13-01T00:00:00Z"), "timestamp is not a time"),
    "future": (lambda line: line.update(timestamp=later(hours=1)), "future"),
    "confirmed in the future": (lambda line: line.update(validated_at=later(hours=1)), "future"),
    "changed in the future": (lambda line: line.update(changed_at=later(hours=1)), "future"),
    "year 9999": (lambda line: line.update(timestamp="9999-12-31T23:59:59.999Z"), "future"),
    "for ever": (lambda line: line.update(purge_at=later(days=181)), "180 days"),
    "fresh for ever": (lambda line: line.update(expires_at=later(days=181)), "180 days"),
    "no body": (lambda line: line.pop("body") and None, "needs a body"),
    "two bodies": (lambda line: line.update(body_base64="AAAA"), "needs a body"),
    "base64": (lambda line: line.update(body_base64="A!", body=None), "body cannot be read"),
    "surrogate": (lambda line: line.update(body='{"a": "\ud800"}'), "body cannot be read"),
    "no JSON": (lambda line: line.update(body="<html>"), "a body that is not JSON"),
    "an error": (lambda line: line.update(body='{"success": false}'), "says it failed"),
    "404": (lambda line: line.update(status=404, body="{}"), "not TMDB's"),
    "reason that is no text": (lambda line: line.update(reason="\ud800"), "cannot be encoded"),
    "key that is no text": (lambda line: line.update(_id=f"{KEY}?a=\ud800"), "cannot be encoded"),
    "url that is no text": (lambda line: line.update(url=f"https://api.tmdb.org{MOVIE}?a=\udfff"), "cannot be encoded"),
    "header that is no text": (lambda line: line.update(headers={"X": "\ud800"}), "cannot be encoded"),
    "lines in its reason": (lambda line: line.update(reason="OK\r\nSet-Cookie: a=b"), "an invalid reason"),
    "NUL in its reason": (lambda line: line.update(reason="\0"), "an invalid reason"),
    "key in its reason": (lambda line: line.update(reason=f"api_key={API_KEY}"), "an invalid reason"),
    "header's name": (lambda line: line.update(headers={"X: y": "1"}), "cannot be stored"),
    "no header's name": (lambda line: line.update(headers={"": "1"}), "cannot be stored"),
    "another url": (lambda line: line.update(url="https://api.tmdb.org/3/movie/551"), "not that of its call"),
    "private answer": (lambda line: line.update(body='{"id": 550, "account_states": {"rated": 9}}'), "are private"),
    "escaped": (lambda line: line.update(body='{"account\\u005fstates": {"rated": 9}}'), "are private"),
    "appended": (
        lambda line: line.update(body='{"season/1/account_states": {"results": [{"rated": {}}, 1]}}'),
        "are private",
    ),
    "deep": (lambda line: line.update(body='{"account_states": ' + "[" * 9999 + "]" * 9999 + "}"), "nests too deeply"),
    "too large": (
        lambda line: line.update(body='{"id": 550, "a": "' + "x" * 17_000_000 + '"}'),
        "MongoDB cannot hold it",
    ),
}


def test_bad_lines(cache: TMDBCache, films: list[str], other: Other, file: Path) -> None:
    """A line that is no entry which may be kept is refused by its number, with the reason; the others go in."""
    cache.export_entries(file)
    header, line, *rest = lines_of(file)
    lines = [header, *rest]
    for change, _ in REFUSED.values():
        bad = json.loads(json.dumps(line))
        lines.append(change(bad) or bad)
    text = "".join(json.dumps(item) + "\n" for item in lines)
    file.write_text(text + '\n\r\n{"tmdb-mongo-cache": 1}\nnonsense\n{"_id": "cut', encoding="utf-8")
    copy, documents = other
    report = copy.import_entries(file)
    assert (report.imported, report.kept, report.skipped) == (9, 0, 0)
    found = dict(report.refused)
    for number, (name, (_, why)) in enumerate(REFUSED.items(), start=11):
        assert why in found[number], (name, found[number])
    number = len(lines)
    assert found[number + 4] == "not JSON"
    assert "cut off" in found[number + 5]
    assert len(found) == len(REFUSED) + 2
    assert documents.count_documents({}) == 9


def test_labels_are_worked_out(cache: TMDBCache, films: list[str], other: Other, tmdb: StandIn, file: Path) -> None:
    """What an entry is about is told by its key and its answer, whatever the file says."""
    with enabled(cache):
        get(tmdb, "/3/movie/tt0137523")
        tmdb.answer("/3/movie/tt0137523/credits", body=b'{"cast": [], "id": 550}')
        get(tmdb, "/3/movie/tt0137523/credits")
    cache.export_entries(file)
    for number, wrong in enumerate(
        [
            {"media_type": "tv"},
            {"tmdb_id": [1]},
            {"tmdb_id": {"$gt": ""}},
            {"tmdb_id": 7, "endpoint": "/3/account"},
            {"media_type": f"api_key={API_KEY}"},
            {"tmdb_id": None, "media_type": None, "endpoint": None},
        ],
        start=1,
    ):
        rewrite(file, lambda line, wrong=wrong: line.update(wrong), number)
    rewrite(file, lambda line: line.update(tmdb_id=8), 12)
    copy, documents = other
    assert copy.import_entries(file) == ImportReport(imported=12)
    fields = {"_id": 0, "tmdb_id": 1, "media_type": 1, "endpoint": 1}
    found = [(d["tmdb_id"], d["media_type"], d["endpoint"]) for d in documents.find({}, fields).sort("_id", 1)]
    movie = "/3/movie/{movie_id}"
    ids = {number: found.count((number, "movie", movie)) for number in range(550, 560)}
    assert (set(ids.values()), found[-1]) == ({1}, (550, "movie", f"{movie}/credits"))
    assert copy.invalidate(media_type="movie", tmdb_id=551) == 1


def test_what_may_be_kept_no_longer(cache: TMDBCache, films: list[str], file: Path, collection: Any) -> None:
    """An entry past its time, or fetched 180 days ago, is skipped."""
    cache.export_entries(file)
    rewrite(file, lambda line: line.update(purge_at=later(seconds=-1)), 1)
    old = {"timestamp": later(days=-181), "expires_at": later(days=-2), "purge_at": later(days=-1, seconds=-1)}
    rewrite(file, lambda line: line.update(old), 2)
    collection.delete_many({})
    assert cache.import_entries(file) == ImportReport(imported=8, skipped=2)


def test_no_export(cache: TMDBCache, file: Path) -> None:
    """A file that is none of ours, or of a newer format, is one sentence."""
    for text, says in (
        ("", "is empty"),
        ("hello\n", "is not an export"),
        ("[1]\n", "is not an export"),
        ('{"id": 1}\n', "is not an export"),
        ('{"tmdb-mongo-cache": true}\n', "is not an export"),
        ('{"tmdb-mongo-cache": 2}\n', "newer tmdb-mongo-cache"),
        ("\0" * 200_000, "is not an export"),
    ):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(ConfigError, match=says):
            cache.import_entries(file)


class _Breaking(io.RawIOBase):
    """A file on a disk that fails behind the first bytes."""

    def __init__(self, text: bytes) -> None:
        self._text = text

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._text:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        count = min(len(buffer), len(self._text))
        buffer[:count], self._text = self._text[:count], self._text[count:]
        return count


def test_a_disk_that_fails(cache: TMDBCache, films: list[str], file: Path) -> None:
    """A file that cannot be read to its end is one sentence."""
    cache.export_entries(file)
    text = file.read_bytes()
    for length in (0, 20, len(text) - 20):
        importer = Importer(cache.engine)
        with pytest.raises(ConfigError, match=f"cannot read the tape to its end: {os.strerror(errno.EIO)}"):
            importer.from_stream(io.BufferedReader(_Breaking(text[:length])), "the tape")


def test_no_file(cache: TMDBCache, tmp_path: Path) -> None:
    """A missing file and a folder are one sentence."""
    with pytest.raises(ConfigError, match=f"cannot read .*: {os.strerror(errno.ENOENT)}"):
        cache.import_entries(tmp_path / "none")
    with pytest.raises(ConfigError, match=f"cannot read .*: {os.strerror(errno.EISDIR)}"):
        cache.import_entries(tmp_path)
