"""The stand-in's daily id exports."""

import datetime as dt
import gzip
import json

import pytest
import requests

from tmdb_mongo_cache.standin import StandIn
from tmdb_mongo_cache.standin.change_feed import today

KEYS = {
    "movie": ["adult", "id", "original_title", "popularity", "video"],
    "tv_series": ["id", "original_name", "popularity"],
    "person": ["adult", "id", "name", "popularity"],
    "collection": ["id", "name"],
    "tv_network": ["id", "name"],
    "keyword": ["id", "name"],
    "production_company": ["id", "name"],
}
PATHS = {"tv_series": "tv", "tv_network": "network", "production_company": "company"}
NAMES = {"movie": "original_title", "tv_series": "original_name"}


def file(sort="movie", ago=0):
    """Return the name of the export of so many days ago."""
    return f"{sort}_ids_{today() - dt.timedelta(days=ago):%m_%d_%Y}.json.gz"


def rows(data):
    """Return the rows of a file."""
    text = gzip.decompress(data).decode()
    assert text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def fetch(tmdb):
    """Ask for an export, without a key."""
    return lambda name: requests.get(f"{tmdb.url}/p/exports/{name}", timeout=5)


class TestFile:
    @pytest.mark.parametrize("sort", KEYS)
    def test_rows(self, fetch, sort):
        """An export is a gzip file of 1,000 rows with TMDB's keys for its kind, each with an id of its own."""
        answer = fetch(file(sort))
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == "application/gzip"
        assert "Content-Encoding" not in answer.headers
        found = rows(answer.content)
        assert [list(row) for row in found] == [KEYS[sort]] * 1_000
        assert len({row["id"] for row in found}) == 1_000

    @pytest.mark.parametrize("sort", KEYS)
    def test_details(self, tmdb, get, sort):
        """What an export lists is there, under the same name."""
        key = NAMES.get(sort, "name")
        for row in rows(tmdb.export(file(sort)))[:5]:
            details = get(f"/3/{PATHS.get(sort, sort)}/{row['id']}").json()
            assert (details["id"], details[key]) == (row["id"], row[key])

    def test_popularity(self, tmdb):
        """A small part is popular, the first rows the most, but not every row less than the one before."""
        found = [row["popularity"] for row in rows(tmdb.export(file()))]
        popular = [number for number, popularity in enumerate(found) if popularity >= 5]
        assert 20 <= len(popular) <= 100
        assert max(found[:3]) > 50
        assert popular[:10] == [*range(10)]
        assert popular != [*range(len(popular))]
        assert 0 < min(found) < 1

    def test_length(self, tmdb, fetch):
        """export_rows is the number of rows, until reset()."""
        tmdb.export_rows = 3
        assert len(rows(fetch(file()).content)) == len(rows(tmdb.export(file()))) == 3
        tmdb.reset()
        assert len(rows(fetch(file()).content)) == tmdb.export_rows == 1_000

    def test_same(self, tmdb, fetch):
        """A file is the same each time, from another stand-in, and by export()."""
        with StandIn() as other:
            assert fetch(file()).content == tmdb.export(file()) == other.export(file())
        assert tmdb.export(file())[4:8] == bytes(4), "the gzip header says when it was made"

    def test_days(self, tmdb):
        """The next day's file has the same titles, somewhat more or less popular."""
        one, two = rows(tmdb.export(file())), rows(tmdb.export(file(ago=1)))
        assert [row["id"] for row in one] == [row["id"] for row in two]
        assert [row["popularity"] for row in one] != [row["popularity"] for row in two]

    def test_head(self, tmdb):
        """HEAD has the length of the file."""
        answer = requests.head(f"{tmdb.url}/p/exports/{file()}", timeout=5)
        assert int(answer.headers["Content-Length"]) == len(tmdb.export(file()))


class TestRefused:
    @pytest.mark.parametrize(("ago", "status"), [(0, 200), (85, 200), (95, 403), (-2, 403)])
    def test_kept(self, fetch, ago, status):
        """An export is kept for three months, and there is none of a day to come."""
        assert fetch(file(ago=ago)).status_code == status

    @pytest.mark.parametrize(
        "name", ["", "movie_ids.json.gz", "film_ids_11_22_2026.json.gz", "movie_ids_13_41_2026.json.gz", "../exports"]
    )
    def test_malformed(self, tmdb, fetch, name):
        """A name that no export has is 403 with XML, as a file host says it, and a ValueError."""
        answer = fetch(name)
        assert answer.status_code == 403
        assert answer.headers["Content-Type"] == "application/xml"
        assert "<Code>AccessDenied</Code>" in answer.text
        with pytest.raises(ValueError, match=r"export|month"):
            tmdb.export(name)

    def test_any_day(self, tmdb):
        """export() has a file of any day."""
        assert len(rows(tmdb.export("movie_ids_11_22_2000.json.gz"))) == 1_000

    def test_fault(self, tmdb, fetch):
        """A fault meets an export as any other call."""
        tmdb.fail("503", times=1)
        assert [fetch(file()).status_code for _ in range(2)] == [503, 200]
        assert tmdb.count == 2
