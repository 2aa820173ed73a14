"""Where a redirect in a stranger's file leads: to TMDB, or the line is refused."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

from tmdb_mongo_cache import TMDBCache
from tmdb_mongo_cache.httpcache.models import Entry, Hop
from tmdb_mongo_cache.mongo.bulk import Copy
from tmdb_mongo_cache.transfer import file_format

from .rules.test_transfer_locations import MOVIE, NOW
from .transferkit import file_fixture  # noqa: F401 - the fixture is used by its name


def test_import(cache: TMDBCache, file: Path) -> None:
    """Such a line is refused by an import, and the others go in."""
    lines = [file_format.header_line().decode()]
    moment = NOW - timedelta(minutes=1)
    times = (moment, moment + timedelta(days=1), moment + timedelta(days=2))
    for number, location in enumerate(["https://evil.example/?api_key=", "551?api_key="]):
        key = f"GET api.themoviedb.org/3/movie/{number}"
        hop = Hop(f"{MOVIE}{number}", 302, "Found", {"Location": location}, b"")
        entry = Entry(key, 200, "OK", {}, json.dumps({"id": number}).encode(), *times, url=f"{MOVIE}1", history=(hop,))
        lines.append(file_format.to_line(Copy(entry)).decode())
    file.write_text("".join(lines), encoding="utf-8")
    report = cache.import_entries(file)
    assert (report.imported, [number for number, _ in report.refused]) == (1, [2])
