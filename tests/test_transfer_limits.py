"""What a file of copies may cost who reads it: a line has a limit, and memory stays below ten times that."""

from __future__ import annotations

import gzip
import io
import itertools
import json
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, cast

import pytest

import tmdb_mongo_cache
from tmdb_mongo_cache import ConfigError, TMDBCache
from tmdb_mongo_cache.cli.import_ import import_
from tmdb_mongo_cache.httpcache.models import Entry
from tmdb_mongo_cache.maintenance.id_exports import read_export
from tmdb_mongo_cache.mongo.bulk import Copy
from tmdb_mongo_cache.transfer import file_format, partial_file
from tmdb_mongo_cache.transfer.file_format import LONGEST_LINE
from tmdb_mongo_cache.transfer.importer import Importer, ImportReport

from .flowkit import KEY

pytestmark = pytest.mark.any_database

MIB = 2**20
LINE_END = b"\n"


def line_with(body: str, **more: Any) -> bytes:
    moment = datetime.now(timezone.utc) - timedelta(minutes=1)
    times = (moment, moment + timedelta(days=1), moment + timedelta(days=2))
    line = file_format.to_line(Copy(Entry(KEY, 200, "OK", {}, body.encode(), *times)))
    return json.dumps({**json.loads(line), **more}).encode() + LINE_END if more else line


def times(unit: str, size: int) -> str:
    return unit * (size // len(unit))


def names(size: int) -> bytes:
    return b",".join(b'"%x":""' % n for n in range(size // 10))


def answer_of(unit: str, size: int) -> str:
    return f'{{"id": 550, "account_states": {{}}, "x": [{times(unit, size)}1]}}'


# Of each the line, given how large it is to be.
HOSTILE: dict[str, Callable[[int], bytes]] = {
    "lists": lambda size: b'{"_id": [' + times("[],", size).encode() + b"[]]}",
    "objects": lambda size: b'{"_id": [' + times("{},", size).encode() + b"{}]}",
    "strings": lambda size: b'{"_id": [' + times('"ab",', size).encode() + b"1]}",
    "names": lambda size: b"{" + names(size) + b"}",
    "floats": lambda size: b'{"_id": [' + times("1.5,", size).encode() + b"1]}",
    "digits": lambda size: b'{"_id": ' + b"9" * size + b"}",
    "escapes": lambda size: b'{"_id": "' + times('\\"', size).encode() + b'"}',
    "wide letters": lambda size: line_with("\U0001f600" + "x" * size),
    "depth": lambda size: times('{"a":', size).encode(),
    "UTF-16": lambda size: times('{"∢":[],', size).encode("utf-16-be"),
    "headers": lambda size: line_with("{}").replace(b'"headers":{', b'"headers":{' + names(size)),
    "redirects": lambda size: line_with("{}")[:-2] + b',"history":[' + times("{},", size).encode() + b"{}]}",
    "lists in the answer": lambda size: line_with(answer_of("[],", size)),
    "pairs in the answer": lambda size: line_with(answer_of('{"":0},', size)),
    "strings in the answer": lambda size: line_with(answer_of('"ab",', size)),
    "no end": lambda size: b"x" * size,
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_memory(cache: TMDBCache, kind: str) -> None:
    """Reading a line takes less than ten times its own size, whatever is in it."""
    size = 8 * MIB
    file = io.BytesIO(file_format.header_line() + HOSTILE[kind](size).rstrip() + LINE_END)
    importer = Importer(cache.engine)
    tracemalloc.start()
    try:
        importer.from_stream(file, "it")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (importer.report.imported, len(importer.report.refused)) == (0, 1)
    assert peak < 10 * size


@pytest.mark.soak
@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the peak of a process")
@pytest.mark.parametrize("kind", HOSTILE)
def test_memory_at_the_limit(mongo_uri: str, tmp_path: Path, kind: str) -> None:
    """What a whole process takes for the largest line is below ten times the limit that is stated."""
    path = tmp_path / "hostile.jsonl"
    path.write_bytes(file_format.header_line() + HOSTILE[kind](LONGEST_LINE - 2000)[:LONGEST_LINE].rstrip() + LINE_END)
    code = (
        "from pathlib import Path\nfrom tmdb_mongo_cache import TMDBCache\n"
        f"print(len(TMDBCache(uri={mongo_uri!r}).import_entries({str(path)!r}).refused))\n"
        "print(Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0])\n"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(tmdb_mongo_cache.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    refused, kilobytes = map(int, done.stdout.split())
    assert refused == 1
    assert kilobytes * 1024 < 10 * LONGEST_LINE


class Endless(io.RawIOBase):
    """A stream whose first line is an export's, and whose second one has no end."""

    def __init__(self, most: int) -> None:
        self.left = most
        self._chunks: Iterator[bytes] = itertools.chain([file_format.header_line()], itertools.repeat(b"x" * MIB))

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        chunk = next(self._chunks) if self.left > 0 else b""
        self.left -= len(chunk)
        buffer[: len(chunk)] = chunk
        return len(chunk)


def test_a_line_without_end(cache: TMDBCache) -> None:
    """A line is refused as soon as it is longer than the limit, with the limit, and nothing of the rest is kept."""
    importer = Importer(cache.engine)
    stream = io.BufferedReader(Endless(2 * LONGEST_LINE), MIB)
    tracemalloc.start()
    try:
        importer.from_stream(cast("Any", stream), "it")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert importer.report.refused == ((2, "longer than any entry can be (50 MiB)"),)
    assert peak < 5 * LONGEST_LINE


def test_many_bad_lines(cache: TMDBCache) -> None:
    """Of refused lines ten thousand are listed, and the others counted."""
    importer = Importer(cache.engine)
    importer.from_stream(io.BytesIO(file_format.header_line() + b"x\n" * 12_000), "it")
    report = importer.report
    assert (len(report.refused), report.unlisted) == (10_000, 2000)
    assert report == ImportReport(refused=report.refused, unlisted=2000)


def test_the_rest_goes_in(cache: TMDBCache, tmp_path: Path) -> None:
    """Lines around a hostile one are taken."""
    path = tmp_path / "copy.jsonl"
    good = [line_with('{"id": 550}'), line_with('{"id": 551}', _id=KEY.replace("550", "551"))]
    bad = [HOSTILE[kind](2 * MIB).rstrip() + LINE_END for kind in ("depth", "lists", "UTF-16")]
    path.write_bytes(file_format.header_line() + good[0] + b"".join(bad) + good[1])
    report = cache.import_entries(path)
    assert (report.imported, [number for number, _ in report.refused]) == (2, [3, 4, 5])


BOMBS = {
    "one line": b" " * (16 * MIB),
    "one row": b'{"id": 5, "name": "' + b"x" * (16 * MIB) + b'"}',
    "lists": b'{"id": 5, "x": [' + b"[]," * (4 * MIB) + b"[]]}",
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_packed_bomb(tmp_path: Path, name: str) -> None:
    """A small id export that unpacks to a line of many megabytes is refused by its line, and takes no memory."""
    path = tmp_path / "movie_ids_11_22_2026.json.gz"
    path.write_bytes(gzip.compress(b'{"id": 7}\n' + BOMBS[name], 1))
    tracemalloc.start()
    try:
        with pytest.raises(ConfigError, match=r"line 2: not a row .* at most 64 KiB$"):
            read_export(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MIB


def test_rows_of_one_id(tmp_path: Path) -> None:
    """Rows that name an id again take no memory, and it stands where it is most popular."""
    path = tmp_path / "movie_ids_11_22_2026.json.gz"
    rows = [(5, 1), (6, 3), (7, 2), (5, 2), (6, 2), (8, 3), (7, 2), *([(5, 1)] * 10_000)]
    path.write_bytes(gzip.compress(b"".join(b'{"id": %d, "popularity": %d}\n' % row for row in rows)))
    tracemalloc.start()
    try:
        assert read_export(path) == [6, 8, 7, 5]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MIB // 2


@pytest.mark.parametrize("lengths", [(3, 5), (MIB - 1, 7), (MIB, 1), (MIB + 1, MIB), (3 * MIB + 17, 2)])
def test_last_lines(tmp_path: Path, lengths: tuple[int, ...]) -> None:
    """An interrupted export is read from its end, line by line, whatever their lengths."""
    lines = [b"x" * (length - 1) + LINE_END for length in lengths]
    path = tmp_path / "copy.jsonl.part"
    path.write_bytes(b"".join(lines))
    with open(path, "rb") as file:
        end, found = path.stat().st_size, list[bytes]()
        while end > 0:
            end, line = partial_file._last_line(file, end)
            found.insert(0, line)
    assert found == lines


def test_a_last_line_without_end(tmp_path: Path) -> None:
    """What a power cut has left, however long, takes no memory and no time that grows with its square."""
    path = tmp_path / "copy.jsonl.part"
    with open(path, "wb") as file:
        file.write(b"{}\n")
        file.truncate(LONGEST_LINE + 2**28)
    tracemalloc.start()
    try:
        with open(path, "rb") as file:
            assert partial_file._last_line(file, path.stat().st_size) == (3, b"")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3 * LONGEST_LINE


def test_the_limit_is_told() -> None:
    """The help of "import" says what a line may have."""
    assert f"a line is limited to {LONGEST_LINE // MIB} MiB" in " ".join((import_.help or "").split())
