"""The stand-in's feed of changes: whose ids it lists, for which days, on which pages."""

import datetime as dt

import pytest
import requests

from tmdb_mongo_cache.standin import StandIn
from tmdb_mongo_cache.standin.change_feed import ids_of, today

from ..flowkit import ANY_KEY

DAY = dt.date(2024, 2, 28)
LATER = [DAY + dt.timedelta(days=n) for n in range(16)]


@pytest.fixture
def read(get):
    """Read a page of the feed for a range of days."""

    def read(start, end, page=1, kind="movie"):
        return get(f"/3/{kind}/changes", start_date=start, end_date=end, page=page).json()

    return read


@pytest.fixture
def ids(read):
    """Read the ids of all pages for a range of days."""

    def ids(start, end, kind="movie"):
        pages = range(1, read(start, end, 1, kind)["total_pages"] + 1)
        return [row["id"] for page in pages for row in read(start, end, page, kind)["results"]]

    return ids


class TestPages:
    def test_feed(self, get):
        """A feed has pages of 100 ids."""
        page = get("/3/movie/changes", page=2).json()
        assert list(page) == ["results", "page", "total_pages", "total_results"]
        assert len(page["results"]) == 100
        assert page["total_pages"] == 68
        assert get("/3/movie/changes", page=69).json()["results"] == []

    def test_changed(self, tmdb, get):
        """What change() changed comes first, the latest first, in the feed of its kind alone."""
        for path in ("/3/movie/1", "/3/movie/550/credits", "/3/tv/3"):
            tmdb.change(path)
        assert [row["id"] for row in get("/3/movie/changes").json()["results"][:2]] == [550, 1]
        assert get("/3/tv/changes").json()["results"][0]["id"] == 3
        past = get("/3/tv/changes", start_date="2020-01-01", end_date="2020-01-08").json()
        assert past["results"][0]["id"] != 3
        assert past["total_pages"] == 7 * 28

    @pytest.mark.parametrize(
        ("start", "end", "code"),
        [("2024-01-01", "2024-01-16", 20), ("2024-01-02", "2024-01-01", 20), ("nonsense", "2024-01-01", 5)],
    )
    def test_range(self, get, start, end, code):
        """More than 14 days are 422 with code 20."""
        answer = get("/3/person/changes", start_date=start, end_date=end)
        assert (answer.status_code, answer.json()["status_code"]) == (422, code)
        assert get("/3/person/changes", start_date="2024-01-01", end_date="2024-01-15").status_code == 200


class TestDays:
    @pytest.fixture(autouse=True)
    def short(self, tmdb):
        """Only what is changed here is in the feed."""
        tmdb.feed_pages = {"movie": 0, "tv": 0, "person": 0}

    def test_ends_included(self, tmdb, ids):
        """A change is in the feed of its day, whichever end of the range that is, and of no other day."""
        tmdb.change("/3/movie/5", LATER[2])
        ranges = [(2, 2), (0, 2), (2, 9), (1, 3)]
        assert [ids(LATER[start], LATER[end]) for start, end in ranges] == [[5]] * 4
        assert ids(LATER[0], LATER[1]) == ids(LATER[3], LATER[9]) == []

    def test_latest_first(self, tmdb, ids):
        """The latest change comes first, by the day and then by the order of the calls."""
        for number, day in [(1, 4), (2, 4), (3, 2), (4, 6), (1, 4)]:
            tmdb.change(f"/3/movie/{number}", LATER[day])
        assert ids(LATER[0], LATER[9]) == [4, 1, 2, 3]

    def test_twice(self, tmdb, ids):
        """What changed on two days is in the feed of each, and once where both are asked for."""
        for day in (0, 3):
            tmdb.change("/3/movie/5", LATER[day])
            tmdb.change("/3/movie/6", LATER[day])
        assert ids(LATER[0], LATER[0]) == ids(LATER[3], LATER[3]) == ids(LATER[0], LATER[3]) == [6, 5]

    def test_whose_id(self, tmdb, ids):
        """A season, an episode and a sub-resource are told by the id of their show, title or person."""
        for path in ("/3/tv/7/season/1", "/3/tv/8/season/1/episode/2", "/3/tv/9/credits", "/3/tv/popular"):
            tmdb.change(path, DAY)
        tmdb.change("/3/person/3/images", DAY)
        assert ids(DAY, DAY, "tv") == [9, 8, 7]
        assert ids(DAY, DAY, "person") == [3]
        assert ids(DAY, DAY) == []

    def test_default(self, tmdb, get):
        """Without dates the feed is that of yesterday and today, and a change without a day is today's."""
        for number, days in [(1, 2), (2, 1), (3, 0)]:
            tmdb.change(f"/3/movie/{number}", today() - dt.timedelta(days))
        tmdb.change("/3/movie/4")
        assert [row["id"] for row in get("/3/movie/changes").json()["results"]] == [4, 3, 2]

    def test_at_once(self, tmdb, get):
        """A change of a past day changes the answer at once."""
        before = get("/3/movie/5").headers["ETag"]
        tmdb.change("/3/movie/5", DAY)
        assert get("/3/movie/5").headers["ETag"] != before

    def test_pages_needed(self, tmdb, read):
        """Without made-up ids the feed has as many pages as the changes need, and one at least."""
        assert read(DAY, DAY) == {"results": [], "page": 1, "total_pages": 1, "total_results": 0}
        for number in range(1, 102):
            tmdb.change(f"/3/movie/{number}", DAY)
        assert (read(DAY, DAY)["total_pages"], read(DAY, DAY)["total_results"]) == (2, 101)
        assert [row["id"] for row in read(DAY, DAY, 2)["results"]] == [1]

    def test_reset(self, tmdb, read):
        """reset() forgets the changes and restores the number of pages."""
        tmdb.change("/3/movie/5", DAY)
        tmdb.reset()
        assert tmdb.feed_pages == {"movie": 68, "tv": 28, "person": 60}
        assert read(DAY, DAY)["total_results"] == 6_800
        assert read(DAY, DAY)["results"][0]["id"] != 5


class TestMadeUp:
    @pytest.fixture(autouse=True)
    def short(self, tmdb):
        """A day has a page of films, two of series."""
        tmdb.feed_pages = {"movie": 1, "tv": 2}

    def test_union(self, ids):
        """The ids of a range are those of its days; its last one is left out, unless it is the only one."""
        days = [ids(day, day) for day in LATER[:4]]
        assert [len(day) for day in days] == [100] * 4
        assert ids(LATER[0], LATER[3]) == days[0] + days[1] + days[2]
        assert ids(LATER[1], LATER[2]) == days[1]
        assert days[0] != days[1]

    def test_today(self, ids):
        """Today's ids are there where the range ends today or later, and no day after it has any."""
        now = today()
        yesterday, tomorrow = now - dt.timedelta(1), now + dt.timedelta(1)
        both = ids(yesterday, yesterday) + ids(now, now)
        assert len(both) == 200
        assert ids(yesterday, now) == ids(yesterday, tomorrow) == both
        assert ids(tomorrow, tomorrow) == []

    def test_size(self, tmdb, get, read):
        """How many pages a day has may be changed at any time, for all kinds or for one."""
        sizes = [read(DAY, DAY, kind=kind)["total_pages"] for kind in ("movie", "tv", "person")]
        assert sizes == [1, 2, 60]
        assert get("/3/movie/changes").json()["total_pages"] == 1
        tmdb.feed_pages["movie"] = 3
        assert read(DAY, DAY)["total_pages"] == get("/3/movie/changes").json()["total_pages"] == 3

    def test_same_elsewhere(self, ids):
        """Another stand-in has the same ids for the same day."""
        with StandIn() as other:
            query = {**ANY_KEY, "start_date": DAY, "end_date": DAY}
            again = requests.get(f"{other.url}/3/movie/changes", params=query, timeout=5).json()
        assert [row["id"] for row in again["results"]] == ids(DAY, DAY)

    @pytest.mark.parametrize("kind", ["movie", "tv", "person"])
    def test_distinct(self, kind):
        """No id comes twice in the longest range that may be asked for."""
        found = [number for day in LATER for number in ids_of(kind, day.toordinal(), 10_000)]
        assert len(set(found)) == len(found) == 160_000

    def test_changed_once(self, tmdb, ids):
        """An id that is made up for a day and was changed here comes once, in front."""
        usual = ids(DAY, DAY)
        tmdb.change(f"/3/movie/{usual[40]}", DAY)
        assert ids(DAY, DAY) == [usual[40], *usual[:40], *usual[41:]]

    def test_nulls(self, tmdb, read):
        """Some flags are null and some ids, about one in 150, and those are the same each time."""
        tmdb.feed_pages["movie"] = 30
        rows = [row for page in range(1, 31) for row in read(DAY, DAY, page)["results"]]
        assert rows[:100] == read(DAY, LATER[3])["results"]
        counts = {name: sum(row[name] is None for row in rows) for name in ("id", "adult", "softcore")}
        assert 10 <= counts["id"] <= 35
        assert counts["adult"] > 30
        assert counts["softcore"] > 20
        assert {row["adult"] for row in rows} == {False, None}

    def test_never_null(self, tmdb, read):
        """The id of what was changed here is never null, also where it would be as a made-up one."""
        tmdb.feed_pages["movie"] = 30
        made_up = ids_of("movie", DAY.toordinal(), 3_000)
        shown = [row["id"] for page in range(1, 31) for row in read(DAY, DAY, page)["results"]]
        nulls = [number for number, seen in zip(made_up, shown, strict=True) if seen is None]
        for number in nulls:
            tmdb.change(f"/3/movie/{number}", DAY)
        found = [row["id"] for row in read(DAY, DAY)["results"]]
        assert found[: len(nulls)] == nulls[::-1]
        assert nulls


class TestShifting:
    def test_shifted(self, tmdb, read):
        """A change between two pages moves the last id of the first page to the second."""
        tmdb.feed_pages["movie"] = 2
        made_up = ids_of("movie", DAY.toordinal(), 200)
        tmdb.on_call = lambda call: dict(call.query)["page"] == "2" and tmdb.change("/3/movie/5", DAY)
        first, second = read(DAY, DAY, 1), read(DAY, DAY, 2)
        assert first["results"][99] == second["results"][0]
        assert first["results"][99]["id"] == made_up[99]
        assert (first["total_pages"], second["total_pages"]) == (2, 3)

    def test_on_call(self, tmdb, get):
        """on_call gets each call before its answer is made and counted, until reset()."""
        seen = []
        tmdb.on_call = lambda call: seen.append((call, call.path, call.status, tmdb.count))
        get("/3/movie/5")
        get("/3/movie/0")
        assert [entry[1:] for entry in seen] == [("/3/movie/5", 0, 0), ("/3/movie/0", 0, 1)]
        assert [entry[0] for entry in seen] == tmdb.calls
        assert [call.status for call in tmdb.calls] == [200, 404]
        tmdb.reset()
        get("/3/movie/5")
        assert len(seen) == 2

    def test_call_within(self, tmdb, get):
        """on_call may make a call of its own: nothing is locked meanwhile."""

        def once(call):
            tmdb.on_call = None
            assert requests.get(tmdb.url + "/3/movie/7", params=ANY_KEY, timeout=2).json()["id"] == 7

        tmdb.on_call = once
        assert get("/3/movie/5").json()["id"] == 5
        assert [call.path for call in tmdb.calls] == ["/3/movie/7", "/3/movie/5"]


class TestAge:
    def test_max_age(self, get):
        """A range that is past is kept for long, one that ends today is not."""
        ages = [
            int(get("/3/movie/changes", start_date=end, end_date=end).headers["Cache-Control"].rpartition("=")[2])
            for end in (DAY, today())
        ]
        assert ages[0] == 77_000
        assert 284 <= ages[1] <= 581
