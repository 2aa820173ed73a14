"""Copies of a cache: what is exported, byte for byte, and what an import takes, keeps and refuses."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from bson.raw_bson import RawBSONDocument

from tmdb_mongo_cache import ConfigError, ImportReport, StoreUnavailable, TMDBCache, enabled
from tmdb_mongo_cache.standin import StandIn
from tmdb_mongo_cache.tools import exporting

from .flowkit import API_KEY, KEY, MOVIE, expire, get, now

DAY = timedelta(days=1)
SURROGATE = b'{"id": 6, "title": "\\ud800 \\u0000"}'
BIG = b'{"id": 123456789012345678901234567890, "x": 9223372036854775807, "y": -2147483649, "z": 1e400}'
INVALID = b'{"id": 7, "title": "\xed\xa0\x80"}'  # a lone surrogate in its bytes, which Python reads


def raw_documents(collection: Any) -> list[bytes]:
    plain = collection.database.client.get_database(collection.database.name)
    found = plain.get_collection(collection.name, collection.codec_options.with_options(document_class=RawBSONDocument))
    return [bytes(document.raw) for document in found.find({}).sort("_id", 1)]


@pytest.fixture
def other(make_cache: Callable[..., TMDBCache], collection: Any) -> tuple[TMDBCache, Any]:
    """Another cache, and its collection."""
    return make_cache(collection="other"), collection.database["other"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "copy.jsonl"


@pytest.fixture
def films(cache: TMDBCache, tmdb: StandIn) -> list[str]:
    """Store ten films; return their keys in order."""
    with enabled(cache):
        return sorted(get(tmdb, f"/3/movie/{number}").cache_key for number in range(550, 560))


def lines_of(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_bytes().splitlines()]


def rewrite(file: Path, change: Callable[[dict[str, Any]], Any], line: int = 1) -> None:
    """Change a line of a file, 0 being its header; what the function returns, if anything, is the line."""
    lines = lines_of(file)
    lines[line] = change(lines[line]) or lines[line]
    file.write_text("".join(json.dumps(item) + "\n" for item in lines), encoding="utf-8")


def test_everything_comes_back_byte_for_byte(
    cache: TMDBCache, other: tuple[TMDBCache, Any], collection: Any, tmdb: StandIn, file: Path
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
        b"[]",
        b'{"a":' * 150 + b"9223372036854775808" + b"}" * 150,
        b'{"a":' * 101 + b"1" + b"}" * 101,
        b'{"$set": {"a.b": 1}, "": NaN}',
    ]
    with enabled(cache):
        for number, body in enumerate(bodies):
            headers = {"Content-Type": "application/json", "X-Z": "1", "X-A": "ä"}
            tmdb.answer(f"/3/movie/{number + 1}", body=body, headers=headers)
            get(tmdb, f"/3/movie/{number + 1}")
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
        cache._store.staleness.of_titles("movie", [2, 99, 550], moment + DAY, moment)
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
    assert [entry["_id"] for entry in entries] == sorted([*films, "GET api.themoviedb.org/3/movie/1"])
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
    collection.insert_one({"_id": "GET api.themoviedb.org/3/movie/1#Accept=x", "schema": 1})
    assert cache.export_entries(file) == 8
    assert films[0] in file.read_text(encoding="utf-8")
    assert cache.export_entries(file, media_type="tv", force=True) == 1
    with pytest.raises(ConfigError, match="movie, tv, person"):
        cache.export_entries(file, media_type="film", force=True)


def test_wrong_places(cache: TMDBCache, films: list[str], tmp_path: Path, file: Path) -> None:
    """A file that is there is not replaced unless that is said, and what cannot be written is one sentence."""
    file.write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigError, match="is there already"):
        cache.export_entries(file)
    assert file.read_text(encoding="utf-8") == "mine"
    with pytest.raises(ConfigError, match="is a folder"):
        cache.export_entries(tmp_path, force=True)
    with pytest.raises(ConfigError, match=r"cannot be written: No such file"):
        cache.export_entries(tmp_path / "none" / "x")
    assert cache.export_entries(file, force=True) == 10
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["copy.jsonl"]


def test_an_export_goes_on(cache: TMDBCache, films: list[str], file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where FILE.part is there, cut off anywhere or spoilt at its end, the file is in the end as if in one go."""
    monkeypatch.setattr(exporting, "_CHUNK", 1000)  # so that lines are longer than what is read at a time
    cache.export_entries(file)
    whole = file.read_bytes()
    header = whole[: whole.index(b"\n") + 1]
    cuts = [whole[: int(len(whole) * share)] for share in (0.0, 0.001, 0.3, 0.7, 0.9999, 1.0)]
    part = file.with_name("copy.jsonl.part")
    for left in (*cuts, header, whole[: len(whole) // 2] + b"\0" * 5000, header + b"\0\0\n\0\n"):
        file.unlink()
        part.write_bytes(left)
        assert cache.export_entries(file) == 10
        assert (file.read_bytes(), part.exists()) == (whole, False), left[-100:]


def test_an_export_does_not_begin_again(cache: TMDBCache, films: list[str], file: Path, collection: Any) -> None:
    """What is in FILE.part is not read again: a document that has gone since is still in the file."""
    cache.export_entries(file)
    whole = file.read_bytes()
    file.rename(file.with_name("copy.jsonl.part"))
    collection.delete_many({"_id": {"$lt": films[9]}})
    assert cache.export_entries(file) == 10
    assert file.read_bytes() == whole


def test_another_export(cache: TMDBCache, films: list[str], file: Path) -> None:
    """A FILE.part of another export, or that another process is just writing, is left alone."""
    part = file.with_name("copy.jsonl.part")
    cache.export_entries(part)
    before = part.read_bytes()
    with pytest.raises(ConfigError, match="of another export"):
        cache.export_entries(file, media_type="movie")
    with exporting._alone(part), pytest.raises(ConfigError, match="another process"):
        cache.export_entries(file)
    assert part.read_bytes() == before


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
        rewrite(file, lambda line: line.update(body='{"id": 7}', validated_at=later(seconds=1)))
        assert get(tmdb).headers["Cache-Status"].endswith("detail=memory")
        assert cache.import_entries(file) == ImportReport(imported=1)
        assert (get(tmdb).json(), tmdb.count) == ({"id": 7}, 1)


def later(**delta: int) -> str:
    moment = datetime.now(timezone.utc) + timedelta(**delta)
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


LONG = "GET api.themoviedb.org/3/search/movie?query=" + "x" * 403 + "#" + "0" * 64
REFUSED: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "not an object": (lambda line: [1], "not a JSON object"),
    "no key": (lambda line: line.pop("_id") and None, "_id is missing"),
    "null": (lambda line: line.update(reason=None), "reason is missing"),
    "other host": (lambda line: line.update(_id="GET example.org/3/movie/550"), "none of TMDB's"),
    "private": (lambda line: line.update(_id="GET api.themoviedb.org/3/account/1"), "/3/account is private"),
    "states": (lambda line: line.update(_id="GET api.themoviedb.org/3/movie/1/account_states"), "are private"),
    "v4": (lambda line: line.update(_id="GET api.themoviedb.org/4/list/1"), "v4"),
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
    "dollar": (lambda line: line.update(headers={"$x": "1"}), "cannot be kept"),
    "control": (lambda line: line.update(headers={"X": "a\nb"}), "a value that none can have"),
    "header type": (lambda line: line.update(headers={"X": 1}), "a value that none can have"),
    "status": (lambda line: line.update(status=500), "a value that none can have"),
    "history": (lambda line: line.update(history=[1]), "a value that none can have"),
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
    "for BSON": (lambda line: line.update(reason="\ud800"), "MongoDB cannot hold it"),
    "too large": (lambda line: line.update(body='{"a": "' + "x" * 17_000_000 + '"}'), "MongoDB cannot hold it"),
}


def test_bad_lines(cache: TMDBCache, films: list[str], other: tuple[TMDBCache, Any], file: Path) -> None:
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


def test_what_may_be_kept_no_longer(cache: TMDBCache, films: list[str], file: Path, collection: Any) -> None:
    """An entry past its time, or fetched 180 days ago, is skipped."""
    cache.export_entries(file)
    rewrite(file, lambda line: line.update(purge_at=later(seconds=-1)), 1)
    old = {"timestamp": later(days=-181), "expires_at": later(days=-2), "purge_at": later(days=-1)}
    rewrite(file, lambda line: line.update(old), 2)
    collection.delete_many({})
    assert cache.import_entries(file) == ImportReport(imported=8, skipped=2)


def test_no_export(cache: TMDBCache, file: Path) -> None:
    """A file that is none of ours, or of a newer format, is one sentence."""
    for text, says in (
        ("", "is empty"),
        ("hello\n", "is no export"),
        ("[1]\n", "is no export"),
        ('{"id": 1}\n', "is no export"),
        ('{"tmdb-mongo-cache": true}\n', "is no export"),
        ('{"tmdb-mongo-cache": 2}\n', "newer tmdb-mongo-cache"),
        ("\0" * 200_000, "is no export"),
    ):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(ConfigError, match=says):
            cache.import_entries(file)


def test_no_file(cache: TMDBCache, tmp_path: Path) -> None:
    """A missing file and a folder are one sentence."""
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        cache.import_entries(tmp_path / "none")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        cache.import_entries(tmp_path)


def test_mongodb_away(films: list[str], cache: TMDBCache, file: Path) -> None:
    """Where MongoDB does not answer both say so."""
    cache.export_entries(file)
    whole = file.read_bytes()
    with TMDBCache(uri="mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=50", statistics=False) as away:
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
