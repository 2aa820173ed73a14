"""Imports while others write the same keys: the newer answer is there in the end, and nothing is raised."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pymongo
import pytest
from pymongo.monitoring import CommandListener

from tmdb_mongo_cache import ImportReport, TMDBCache

from .flowkit import START
from .transferkit import DAY, file_fixture, films_fixture, later, lines_of  # noqa: F401 - fixtures, by their names


class Between(CommandListener):
    """Lets something happen after each look of an import at what is there, before it writes."""

    def __init__(self, happens: Callable[[int], object]) -> None:
        self._happens = happens
        self.looks = 0

    def started(self, event: Any) -> None: ...
    def failed(self, event: Any) -> None: ...

    def succeeded(self, event: Any) -> None:
        if event.command_name == "find":
            self.looks += 1
            self._happens(self.looks)


@pytest.fixture
def importer(make_cache: Callable[..., TMDBCache], mongo_uri: str) -> Callable[[Between], Any]:
    """Give a cache whose connection has a listener."""

    @contextmanager
    def give(between: Between) -> Iterator[TMDBCache]:
        with pymongo.MongoClient[dict[str, Any]](mongo_uri, event_listeners=[between]) as client:
            yield make_cache(uri=None, client=client)

    return give


@pytest.mark.parametrize("data", [True, False])
@pytest.mark.parametrize("first", [True, False])
def test_a_program_stores_the_same_meanwhile(
    cache: TMDBCache, films: list[str], collection: Any, file: Path, importer: Any, first: bool, data: bool
) -> None:
    """What is stored between look and write stays where it is newer, and goes where it is older."""
    cache.export_entries(file)
    documents = {document["_id"]: document for document in collection.find({})}
    if not data:  # MongoDB takes these without it alone
        lines = lines_of(file)
        for line in lines[1:]:
            line["body"] = f'{{"id":{line["tmdb_id"]},"a":' + '{"a":' * 150 + "1" + "}" * 151
        file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    if first:
        collection.delete_many({})
    else:
        collection.update_many({}, {"$set": {"timestamp": documents[films[0]]["timestamp"] - DAY}})
    older, newer = documents[films[0]], documents[films[1]]
    older["timestamp"] -= DAY / 2
    newer["timestamp"] += DAY / 48 / 10  # three minutes

    def write(look: int) -> None:
        if look == 1:
            for document in (older, newer):
                collection.replace_one({"_id": document["_id"]}, document, upsert=True)

    with importer(Between(write)) as other:
        assert other.import_entries(file) == ImportReport(imported=9, kept=1)
    assert collection.find_one({"_id": films[1]}) == newer
    assert collection.find_one({"_id": films[0]})["timestamp"] == older["timestamp"] + DAY / 2
    assert collection.count_documents({}) == 10


def test_what_goes_between_look_and_write(
    cache: TMDBCache, films: list[str], collection: Any, file: Path, importer: Any
) -> None:
    """What is deleted while an import is about to replace it is written all the same."""
    cache.export_entries(file)
    collection.update_many({}, {"$set": {"timestamp": collection.find_one({})["timestamp"] - DAY}})

    def delete(look: int) -> None:
        if look == 1:
            collection.delete_one({"_id": films[0]})

    with importer(Between(delete)) as other:
        assert other.import_entries(file) == ImportReport(imported=10)
    assert collection.count_documents({}) == 10


def test_a_key_that_never_rests(cache: TMDBCache, films: list[str], collection: Any, file: Path, importer: Any) -> None:
    """A key that others write all the time is left to them, after some looks."""
    cache.export_entries(file)
    collection.delete_many({"_id": {"$ne": films[0]}})
    moment = collection.find_one({})["timestamp"] - DAY

    def write(look: int) -> None:
        collection.update_one({"_id": films[0]}, {"$set": {"timestamp": moment + look * DAY / 86400}})

    write(0)
    between = Between(write)
    with importer(between) as other:
        assert other.import_entries(file) == ImportReport(imported=9, kept=1)
    assert between.looks == 10


def test_imports_at_once(
    make_cache: Callable[..., TMDBCache], cache: TMDBCache, films: list[str], collection: Any, tmp_path: Path
) -> None:
    """Of two files that are imported at the same time the newer answers are there in the end, whoever comes first."""
    template = tmp_path / "template"
    cache.export_entries(template)
    header, line, *_ = lines_of(template)
    files = [tmp_path / "first", tmp_path / "second"]
    for number, file in enumerate(files):
        lines = [header]
        for film in range(600):
            newer = film % 2 == number
            body = json.dumps({"id": film, "newer": newer})
            moments = {"timestamp": later(seconds=60 if newer else 0)}
            lines.append({**line, "_id": f"{START}/3/movie/{film}", "body": body, **moments})
        file.write_text("".join(json.dumps(item) + "\n" for item in lines), encoding="utf-8")
    collection.delete_many({})
    caches = [make_cache(), make_cache()]
    with ThreadPoolExecutor(2) as pool:
        reports = list(pool.map(lambda pair: pair[0].import_entries(pair[1]), zip(caches, files, strict=True)))
    assert all(report.imported + report.kept == 600 and not report.refused for report in reports)
    assert sum(report.imported for report in reports) >= 600
    assert collection.count_documents({"data.newer": True}) == collection.count_documents({}) == 600
