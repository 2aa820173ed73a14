"""Which days of the feed of changes are read, and what they make stale: the rules, without a feed or a database."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tmdb_mongo_cache.tmdb import change_feed
from tmdb_mongo_cache.tmdb.change_feed import DAYS, LAG, Mark, Seen

UTC = timezone.utc
DAY = date(2026, 3, 1)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
OVER = datetime(2026, 3, 2, 8, tzinfo=UTC)
SECOND = timedelta(seconds=1)
moments = st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31), timezones=st.just(UTC))
days = st.dates(date(2025, 1, 1), date(2027, 12, 31))
ids = st.lists(st.integers(1, 9), max_size=6)


def stale(marks: tuple[Mark, ...], number: int, fetched: datetime) -> bool:
    return any(number in mark.ids and fetched < mark.before for mark in marks)


def start(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


@given(st.none() | days, st.none() | moments, moments)
def test_the_window_is_whole_days_in_a_row_up_to_today(done: date | None, oldest: datetime | None, now: datetime):
    """The days to read follow one another, end today, are fourteen at most, and leave out what is done."""
    found = change_feed.window(done, oldest, now).days
    assert found[-1] == now.date()
    assert 1 <= len(found) <= DAYS
    assert all(after - before == timedelta(days=1) for before, after in pairwise(found))
    assert done is None or found[0] >= min(done, now.date())


@given(st.none() | days, st.none() | moments, moments)
def test_no_day_is_left_out(done: date | None, oldest: datetime | None, now: datetime):
    """A day that is neither done nor before all entries is read, or what was fetched before its changes is stale."""
    window = change_feed.window(done, oldest, now)
    begin = done or (now if oldest is None else oldest - LAG).date()
    if begin >= window.days[0]:
        assert window.unknown_before is None
    else:
        assert window.unknown_before == start(window.days[0]) + LAG


@pytest.mark.parametrize(("ago", "gap"), [(13, False), (14, True)])
def test_the_gap_begins_with_the_fifteenth_day(ago: int, gap: bool):
    """Whoever was away for thirteen whole days has missed nothing; for fourteen, it may have."""
    now = start(DAY) + timedelta(hours=1)
    window = change_feed.window(DAY - timedelta(days=ago), None, now)
    assert len(window.days) == DAYS
    assert (window.unknown_before is not None) is gap


def test_the_first_reading_goes_back_as_far_as_the_entries():
    """A first reading begins with the day that TMDB's caches may have had at the oldest entry's fetch."""
    now = start(DAY) + timedelta(hours=12)
    at_seven = start(DAY) + timedelta(hours=7)
    assert change_feed.window(None, at_seven, now).days == (DAY - timedelta(days=1), DAY)
    assert change_feed.window(None, at_seven + timedelta(hours=1), now).days == (DAY,)
    assert change_feed.window(None, None, now).days == (DAY,)


@pytest.mark.parametrize(("now", "over"), [(OVER - SECOND, False), (OVER, True)])
def test_a_day_is_over_eight_hours_after_its_end(now: datetime, over: bool):
    """A day is done when it is read eight hours after its end, and not a second before."""
    assert change_feed.is_over(DAY, now) is over
    assert (change_feed.marks(DAY, [1], (), now).seen is None) is over
    assert change_feed.known_after(DAY, now) == now if not over else OVER


def test_first_look():
    """What is new is stale whenever it was fetched, and what was seen before is left alone."""
    seen = (Seen(NOON - timedelta(hours=1), (1,)),)
    marks, note = change_feed.marks(DAY, [1, 2, 2], seen, NOON)
    assert marks == (Mark((2,), NOON),)
    assert note == (*seen, Seen(NOON, (2,)))


@pytest.mark.parametrize(("after", "due"), [(LAG - SECOND, False), (LAG, True)])
def test_second_look(after: timedelta, due: bool):
    """Eight hours after it was seen, and once, what was fetched until then is stale."""
    seen = (Seen(NOON, (1, 2)),)
    marks, note = change_feed.marks(DAY, [], seen, NOON + after)
    assert marks == ((Mark((1, 2), NOON + LAG),) if due else ())
    assert note == (Seen(NOON, (1, 2), settled=due),)
    assert due == (change_feed.marks(DAY, [], note, NOON + after + timedelta(hours=1)).marks == ())


def test_last_look():
    """When the day is over, all that was ever seen on it and fetched before that is stale."""
    seen = (Seen(NOON, (1,), settled=True), Seen(NOON, (2,)))
    assert change_feed.marks(DAY, [2, 3], seen, OVER).seen is None
    (mark,) = change_feed.marks(DAY, [2, 3], seen, OVER + timedelta(days=5)).marks
    assert (set(mark.ids), mark.before) == ({1, 2, 3}, OVER)
    assert change_feed.marks(DAY, [], seen, OVER).marks[0].before == OVER


def test_half_a_day_is_not_done():
    """A day that was read half-way is not done, however long it is over."""
    found = change_feed.marks(DAY, [1], (), OVER + timedelta(days=2), complete=False)
    assert found.seen is not None
    assert found.seen[0].ids == (1,)
    assert stale(found.marks, 1, NOON)


def test_half_a_day_that_is_over_leaves_alone_what_has_its_changes():
    """What was fetched after a day was over for eight hours is left alone, also where reading ended half-way."""
    found = change_feed.marks(DAY, [1], (), OVER + timedelta(days=2), complete=False)
    assert not stale(found.marks, 1, OVER + timedelta(hours=1))


@given(st.lists(st.tuples(st.timedeltas(timedelta(0), timedelta(hours=13)), ids, st.booleans()), max_size=6))
def test_however_often_a_day_is_read(readings: list[tuple[timedelta, list[int], bool]]):
    """However often a day is read, a response from before the last look at its id is stale, and none from after it."""
    now, seen, all_marks = start(DAY), (), []
    first: dict[int, datetime] = {}
    for later, listed, complete in readings:
        if change_feed.is_over(DAY, now + later):
            break
        now += later
        found, seen = change_feed.marks(DAY, listed, seen, now, complete=complete)
        all_marks += found
        assert change_feed.marks(DAY, listed, seen, now, complete=complete) == ((), seen)  # a repetition is nothing
        for number in listed:
            first.setdefault(number, now)
    marked = tuple(all_marks)
    for number, at in first.items():
        assert stale(marked, number, at - SECOND)
        assert stale(marked, number, at + LAG - SECOND) == (now >= at + LAG)
        assert not stale(marked, number, at + LAG)
    assert {number for mark in marked for number in mark.ids} == set(first)
    last = change_feed.marks(DAY, [], seen, OVER)
    assert {number for mark in last.marks for number in mark.ids} == set(first)


def test_a_note_from_the_end_of_time():
    """A moment that somebody has damaged beyond all sums stops nothing."""
    seen = (Seen(datetime.max.replace(tzinfo=UTC), (1,)),)
    assert change_feed.marks(DAY, [2], seen, NOON).marks == (Mark((2,), NOON),)


def test_an_entry_from_the_beginning_of_time():
    """An entry whose time somebody has damaged stops nothing."""
    assert change_feed.window(None, datetime.min.replace(tzinfo=UTC), NOON).unknown_before is not None


@pytest.mark.parametrize("page", [None, [], 5, "results", {}, {"results": None}, {"results": {}}, {"success": False}])
def test_what_is_no_page(page: object):
    """What is no page of a feed is an error."""
    with pytest.raises(ValueError, match="not a page of changes"):
        change_feed.ids_of(page)


def test_rows():
    """Rows without a usable id are left out, the others kept in their order."""
    rows = [{"id": 3}, {"id": None}, None, 7, {}, {"id": "4"}, {"id": True}, {"id": 0}, {"id": -1}, {"id": 1.5}]
    assert change_feed.ids_of({"results": [*rows, {"id": 2}], "total_pages": 4}) == ([3, 2], 4)


@pytest.mark.parametrize("total", [None, "7", 2.5, True, [], {}])
def test_nonsense_for_a_number_of_pages(total: object):
    """A number of pages that is none is not taken for one."""
    assert change_feed.ids_of({"results": [], "total_pages": total}) == ([], None)


def test_a_day_without_a_change():
    """A list that is empty is not believed before the day has been over for three days."""
    assert change_feed.marks(DAY, [], (), OVER + timedelta(days=1)) == ((), ())
    assert change_feed.marks(DAY, [], (), OVER + timedelta(days=4)).seen is None


def test_an_id_that_no_database_holds():
    """An id beyond 64 bits is left out."""
    assert change_feed.ids_of({"results": [{"id": 2**63}, {"id": 1}]})[0] == [1]


@given(days, st.integers(1, 500))
def test_params(day: date, page: int):
    """A day is requested up to the next one."""
    found = change_feed.params(day, page)
    assert date.fromisoformat(found["start_date"]) == day
    assert date.fromisoformat(found["end_date"]) - day == timedelta(days=1)
    assert found["page"] == str(page)
