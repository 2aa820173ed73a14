"""``expire_after="adaptive"``: how long a response is fresh by the age of what it is about, as a pure rule."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tmdb_mongo_cache import CacheConfig
from tmdb_mongo_cache.core.entries import make_entry, renewed_entry
from tmdb_mongo_cache.httpcache.models import Reply
from tmdb_mongo_cache.tmdb.call import classify
from tmdb_mongo_cache.tmdb.endpoints import CLASSES
from tmdb_mongo_cache.tmdb.freshness import LONGEST, SHORTEST, adaptive_seconds, seconds_of, with_jitter

from ..entrykit import NOW

DAY = 86400.0
SHORT, LONG = DAY, 30 * DAY
URL = "https://api.themoviedb.org/3/movie/550"


def ago(days: int) -> str:
    return (NOW.date() - timedelta(days=days)).isoformat()


def seconds(data: Any) -> float:
    return adaptive_seconds("details", data, NOW)


def film(days: int, **more: Any) -> dict[str, Any]:
    return {"id": 550, "title": "x", "status": "Released", "release_date": ago(days), **more}


def show(days: int, **more: Any) -> dict[str, Any]:
    dates = {"first_air_date": ago(days + 900), "last_air_date": ago(days)}
    return {"id": 1399, "status": "Ended", "in_production": False, "next_episode_to_air": None, **dates, **more}


def test_the_bounds() -> None:
    """The rule chooses between 24 hours and 30 days."""
    assert (SHORTEST, LONGEST) == (SHORT, LONG)


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        (-40_000, 1), (-1, 1), (0, 1), (1, 1), (9, 1), (10, 1), (11, 1.1), (100, 10), (299, 29.9), (300, 30), (301, 30),
        (10_000, 30), (700_000, 30),
    ],
)  # fmt: skip
def test_a_tenth_of_the_age(days: int, expected: float) -> None:
    """A tenth of the time since the release or the last broadcast; what is to come is requested again tomorrow."""
    assert seconds(film(days)) == pytest.approx(expected * DAY)
    if days > -40_000:
        assert seconds(show(days)) == pytest.approx(expected * DAY)
        assert seconds({"id": 1, "air_date": ago(days)}) == pytest.approx(expected * DAY)
        assert seconds({"id": 1, "first_air_date": ago(days)}) == pytest.approx(expected * DAY)


@pytest.mark.parametrize(
    "data",
    [
        {}, [], None, "", "2001-01-01", 7, True, ["2001-01-01"], [{"release_date": "2001-01-01"}],
        {"id": 550, "cast": [{"release_date": "2001-01-01"}], "crew": []},  # credits
        {"id": 287, "name": "x", "birthday": "1963-12-18", "deathday": None},
        {"id": 550, "backdrops": [], "posters": []},
        {"results": [{"release_date": "2001-01-01"}]},
        {"id": 550, "created_at": "2001-01-01", "date": "2001-01-01"},
    ],
)  # fmt: skip
def test_no_date(data: Any) -> None:
    """What names no date of its own is fresh for 24 hours."""
    assert seconds(data) == SHORT


NONSENSE = [
    "", " ", "soon", "2001", "2001-13-01", "2001-02-30", "0000-00-00", "01.02.2001", "-001-01-01", "2001-1-1", None, 0,
    20010101, 1.5, True, [], ["2001-01-01"], {}, {"date": "2001-01-01"}, "２００１-01-01x", "\ud800",
]  # fmt: skip


@pytest.mark.parametrize("value", NONSENSE)
def test_nonsense_for_a_date(value: Any) -> None:
    """A date that is none counts as none, and another one beside it counts."""
    assert seconds({"release_date": value}) == SHORT
    assert seconds({"first_air_date": ago(200), "last_air_date": value}) == pytest.approx(20 * DAY)
    assert seconds({"parts": [{"release_date": value}, {"release_date": ago(200)}]}) == pytest.approx(20 * DAY)


def test_a_time_after_the_date() -> None:
    """A date with a time of day is that date."""
    assert seconds({"release_date": ago(200) + "T00:00:00.000Z"}) == pytest.approx(20 * DAY)


@pytest.mark.parametrize("value", [None, 7, "x", True, {}, {"0": {"air_date": ago(1)}}, [], [None], [7, "x", [], True]])
@pytest.mark.parametrize("name", ["parts", "episodes"])
def test_nonsense_for_a_list(name: str, value: Any) -> None:
    """Parts and episodes that are none count as none."""
    assert seconds({**film(200), name: value}) == pytest.approx(20 * DAY)


@pytest.mark.parametrize(
    "status",
    [
        *(None, 7, True, "", "released", "Something new"),
        *([], {}, ["Released"]),
    ],
)
def test_nonsense_for_a_status(status: Any) -> None:
    """A status of any type that says nothing of being made changes nothing."""
    assert seconds(film(200, status=status)) == pytest.approx(20 * DAY)


@pytest.mark.parametrize(
    "status", ["Rumored", "Planned", "In Production", "Post Production", "Returning Series", "Pilot"]
)
def test_still_being_made(status: str) -> None:
    """A film or show that is still being made is requested again tomorrow, however old it is."""
    assert seconds(film(5000, status=status)) == SHORT
    assert seconds(show(5000, status=status)) == SHORT


@pytest.mark.parametrize("status", ["Released", "Canceled", "Ended"])
def test_over(status: str) -> None:
    """One that is over goes by its age."""
    assert seconds(film(5000, status=status)) == seconds(show(5000, status=status)) == LONG


def test_a_show_that_goes_on() -> None:
    """A show in production, or with an episode to come, is requested again tomorrow."""
    assert seconds(show(5000, in_production=True)) == SHORT
    assert seconds(show(5000, next_episode_to_air={"id": 1, "air_date": ago(-7)})) == SHORT
    for value in (False, None, 0, "yes"):
        assert seconds(show(5000, in_production=value)) == LONG
    for value in (None, [], "x"):
        assert seconds(show(5000, next_episode_to_air=value)) == LONG


def test_the_latest_date_counts() -> None:
    """A show that began long ago goes by its last broadcast."""
    assert seconds(show(50)) == pytest.approx(5 * DAY)
    assert seconds({"first_air_date": ago(9000), "last_air_date": ago(50)}) == pytest.approx(5 * DAY)
    assert seconds(show(-3)) == SHORT


def test_seasons_and_episodes() -> None:
    """A season goes by its latest episode, an episode by its own date."""
    episodes = [{"air_date": ago(days)} for days in (400, 200, 300)] + [{"air_date": None}, {}]
    assert seconds({"air_date": ago(400), "episodes": episodes}) == pytest.approx(20 * DAY)
    assert seconds({"air_date": ago(400), "episodes": [*episodes, {"air_date": ago(-5)}]}) == SHORT
    assert seconds({"air_date": ago(400), "episodes": []}) == LONG
    assert seconds({"id": 63056, "air_date": ago(200), "episode_number": 1, "guest_stars": []}) == pytest.approx(
        20 * DAY
    )


def test_collections() -> None:
    """A collection goes by its latest film, also one that is still to come."""
    parts = [{"release_date": ago(days)} for days in (4000, 150, 3000)]
    assert seconds({"id": 10, "parts": parts}) == pytest.approx(15 * DAY)
    assert seconds({"id": 10, "parts": [*parts, {"release_date": ""}]}) == pytest.approx(15 * DAY)
    assert seconds({"id": 10, "parts": [*parts, {"release_date": ago(-400)}]}) == SHORT
    assert seconds({"id": 10, "parts": []}) == SHORT


def test_what_is_appended_does_not_count() -> None:
    """The dates of what was appended (recommendations, similar ones) are those of other titles."""
    others = {"results": [{"release_date": ago(0)}, {"release_date": ago(-90)}]}
    assert seconds(film(5000, recommendations=others, similar=others)) == LONG


_DATED = ("release_date", "last_air_date", "first_air_date", "air_date", "parts", "episodes")
_NAMES = st.sampled_from((*_DATED, "status", "in_production", "next_episode_to_air", "id"))
_PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=12),
    st.dates().map(date.isoformat),
    st.sampled_from(("Released", "Ended", "Planned", "Returning Series")),
)
_ANY = st.recursive(_PLAIN, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_NAMES, inner, max_size=6))


@settings(max_examples=300, deadline=None)
@example(data={"status": []})
@given(data=_ANY)
def test_any_answer(data: Any) -> None:
    """Whatever a response holds, it is fresh for no less than 24 hours and no more than 30 days."""
    assert SHORT <= seconds(data) <= LONG


@settings(max_examples=100, deadline=None)
@given(days=st.integers(-3000, 30_000), more=st.integers(0, 3000))
def test_older_lives_longer(days: int, more: int) -> None:
    """Of two films the older one never has the shorter time."""
    assert seconds(film(days)) <= seconds(film(days + more))


@pytest.mark.parametrize("kind", sorted(CLASSES - {"details", "others"}))
def test_other_classes(kind: str) -> None:
    """Only details and collections go by age; every other class keeps the table's time."""
    for data in (film(5000), film(0), show(5000), {}, None):
        assert adaptive_seconds(kind, data, NOW) == seconds_of(kind)


@pytest.mark.parametrize("config", [{"expire_after": "adaptive"}, {"expire_after": {"details": "adaptive"}}])
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (json.dumps(film(5000)).encode(), LONG),
        (json.dumps(film(200)).encode(), 20 * DAY),
        (json.dumps(film(5000, status="In Production")).encode(), SHORT),
        (b'{"id": 550}', SHORT),
        (b"no JSON, as somebody has edited it", SHORT),
        (b"\xff\xfe\x00", SHORT),
        (b"", SHORT),
    ],
)
def test_after_a_304(config: dict[str, Any], body: bytes, expected: float) -> None:
    """What TMDB confirms is fresh again for what its age says by then, read from the body that was kept."""
    call = classify("GET", URL, {})
    assert call is not None
    rules = CacheConfig(**config).policy
    made = make_entry(call, rules, Reply(status=200, body=body), None, NOW - timedelta(days=40))
    again = renewed_entry(call, rules, Reply(status=304), made, NOW)
    assert again.expires_at == NOW + timedelta(seconds=with_jitter(expected, call.key))
    assert (again.timestamp, again.body) == (made.timestamp, body)


def test_a_304_sees_the_title_grow_old() -> None:
    """The same response lives longer each time that it is confirmed, and never past its six months."""
    call = classify("GET", URL, {})
    assert call is not None
    rules, data = CacheConfig(expire_after="adaptive").policy, film(20)
    made = make_entry(call, rules, Reply(status=200, body=json.dumps(data).encode()), data, NOW)
    lives = []
    for days in (0, 30, 100, 150, 179):
        at = NOW + timedelta(days=days)
        made = renewed_entry(call, rules, Reply(status=304), made, at)
        lives.append(made.expires_at - at)
        assert made.expires_at <= made.purge_at <= NOW + timedelta(days=180)
    assert lives[:4] == [timedelta(seconds=with_jitter(DAY * part, call.key)) for part in (2, 5, 12, 17)]
    assert lives[4] == timedelta(days=1)
