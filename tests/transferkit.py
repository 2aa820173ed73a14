"""Copies of entries: caches with films, their files, and changes to those."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from bson.raw_bson import RawBSONDocument

from tmdb_mongo_cache import TMDBCache, enabled
from tmdb_mongo_cache.standin import StandIn

from .flowkit import get

DAY = timedelta(days=1)
Other = tuple[TMDBCache, Any]


@pytest.fixture(name="other")
def other_fixture(make_cache: Callable[..., TMDBCache], collection: Any) -> Other:
    """Another cache, and its collection."""
    return make_cache(collection="other"), collection.database["other"]


@pytest.fixture(name="file")
def file_fixture(tmp_path: Path) -> Path:
    return tmp_path / "copy.jsonl"


@pytest.fixture(name="films")
def films_fixture(cache: TMDBCache, tmdb: StandIn) -> list[str]:
    """Store ten films; return their keys in order."""
    with enabled(cache):
        return sorted(get(tmdb, f"/3/movie/{number}").cache_key for number in range(550, 560))


def raw_documents(collection: Any) -> list[bytes]:
    plain = collection.database.client.get_database(collection.database.name)
    found = plain.get_collection(collection.name, collection.codec_options.with_options(document_class=RawBSONDocument))
    return [bytes(document.raw) for document in found.find({}).sort("_id", 1)]


def lines_of(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_bytes().splitlines()]


def rewrite(file: Path, change: Callable[[dict[str, Any]], Any], line: int = 1) -> None:
    """Change a line of a file, 0 being its header; what the function returns, if anything, is the line."""
    lines = lines_of(file)
    lines[line] = change(lines[line]) or lines[line]
    file.write_text("".join(json.dumps(item) + "\n" for item in lines), encoding="utf-8")


def later(**delta: int) -> str:
    moment = datetime.now(timezone.utc) + timedelta(**delta)
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
