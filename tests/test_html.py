"""What a notebook shows of a cache, its counts and its usage."""

from __future__ import annotations

from collections.abc import Callable
from html.parser import HTMLParser

import pytest

from tmdb_mongo_cache import TMDBCache, enabled
from tmdb_mongo_cache.formatting import bytes_text
from tmdb_mongo_cache.standin import StandIn

from .flowkit import get


class Cells(HTMLParser):
    """The texts of a table's rows, and its tags, which must be in balance."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert attrs == []
        self.open.append(tag)
        self.seen.add(tag)
        if tag == "tr":
            self.rows.append([])

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1] in ("td", "th"):
            self.rows[-1].append(data)


def test_a_cache(make_cache: Callable[..., TMDBCache], tmdb: StandIn, database: str) -> None:
    """It shows where the answers are, the settings that are not the default, and the counts."""
    cache = make_cache(urls_expire_after={"<b>*": 5}, reuse_appended=True)
    with enabled(cache):
        get(tmdb)
        get(tmdb)
    rows = dict(row for row in Cells(cache._repr_html_()).rows if len(row) == 2)
    assert rows["collection"] == f"{database}.tmdb_cache"
    assert rows["reuse_appended"] == "True"
    assert rows["urls_expire_after"] == "{'<b>*': 5}"
    assert "offline" not in rows
    assert (rows["calls"], rows["hits"], rows["misses"], rows["hit ratio"]) == ("2", "1", "1", "50%")


def test_it_shows_no_password_and_opens_nothing() -> None:
    """The URI is masked, and a database that is away is not asked."""
    shown = TMDBCache(uri="mongodb://user:secret@127.0.0.1:9/")._repr_html_()
    assert "secret" not in shown
    assert "***@127.0.0.1:9" in shown


def test_stats(cache: TMDBCache, tmdb: StandIn) -> None:
    """The counts of a process are a table."""
    with enabled(cache):
        answer = get(tmdb)
        get(tmdb)
    rows = dict(Cells(cache.stats()._repr_html_()).rows)
    assert rows["hits"] == "1"
    assert rows["bytes saved"] == f"{len(answer.content) / 1000:.1f} kB" or rows["bytes saved"].endswith(" B")


def test_an_explanation(cache: TMDBCache) -> None:
    """What explain() gives is a table, too."""
    rows = dict(Cells(cache.explain("https://api.themoviedb.org/3/movie/550?api_key=secret")._repr_html_()).rows)
    assert rows["key"] == "GET api.themoviedb.org/3/movie/550"
    assert "secret" not in str(rows)


def test_usage(cache: TMDBCache, tmdb: StandIn) -> None:
    """What all processes have saved is two tables, by day and by endpoint."""
    with enabled(cache):
        get(tmdb)
        get(tmdb)
    shown = Cells(cache.usage()._repr_html_())
    assert ["/3/movie/{movie_id}", "2", "1", "0", "1"] in [row[:5] for row in shown.rows]


@pytest.mark.parametrize("count", [0, 999, 1000, 24_100, 1_300_000, 5_000_000_000, 9e15])
def test_sizes(count: float) -> None:
    """A size has a unit in which it is readable."""
    number, unit = bytes_text(count).split()
    assert float(number) * {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9}[unit] == pytest.approx(count, rel=0.05)
    assert unit == "GB" or float(number) < 1000
