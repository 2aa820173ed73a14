"""The simulated month: it goes by the package's rules, and its numbers move as they must."""

import json
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest

from benchmarks import month
from benchmarks.simulation import Following, Kind, Model, Plan, World, changes_a_day, simulate
from tmdb_mongo_cache.tmdb import change_feed, freshness

SMALL = Model(
    kinds={"movie": Kind(12_000, 850, 69), "tv": Kind(2_000, 150, 28)}, head=20.0, views=200, warm_up=5, days=6
)
DAY = 86400.0
FEED = (0.0, 6.0, 12.0, 18.0)


@pytest.fixture(scope="module")
def world():
    return World(SMALL)


@pytest.fixture(scope="module")
def each_day(world):
    return simulate(world, Plan(DAY))


@pytest.fixture(scope="module")
def followed(world):
    return simulate(world, Plan(30 * DAY, FEED))


def test_the_same_seed_gives_the_same_month(world, followed):
    """Two runs give the same numbers, another seed gives others."""
    again = simulate(World(SMALL), Plan(30 * DAY, FEED))
    assert month.figures(again, SMALL.days) == month.figures(followed, SMALL.days)
    other = simulate(World(replace(SMALL, seed=2)), Plan(30 * DAY, FEED))
    assert month.figures(other, SMALL.days) != month.figures(followed, SMALL.days)


def test_as_many_titles_change_as_the_feed_has():
    """The rates give as many different titles a day as asked for, however skewed they are."""
    for skew in (0.0, 0.5, 1.0):
        rates = changes_a_day((np.arange(12_000) + 20.0) ** -skew, 690)
        assert (1 - np.exp(-rates)).sum() == pytest.approx(690)


def test_every_title_is_asked_for_once_a_night(world, each_day):
    """The answers are those of the scan and the views."""
    assert each_day.responses == SMALL.days * (1000 + SMALL.views)
    when, which = world.requested
    night = (when >= 24 + 1.5) & (when < 24 + 4.5)
    assert set(which[night]) == set(range(1000))


def test_an_answer_is_older_where_tmdb_has_a_newer_one(world):
    """TMDB's answer changes within eight hours of the change, and not before."""
    when, ranks = world.changed["movie"]
    owned = ranks < 850
    newer = world.newer_since(ranks[owned], when[owned])
    assert (newer > when[owned]).all()
    assert (newer <= when[owned] + 8).all()
    assert newer.std() > 1
    assert np.isinf(world.newer_since(np.arange(1000), np.full(1000, world.end + 8))).all()


def test_what_never_expires_and_is_not_followed_is_never_fetched_again(world):
    """Without expiry and feed there are no calls, and each change makes all later answers older than TMDB's."""
    outcome = simulate(world, Plan(1e13))
    assert outcome.calls == 0
    when, which = world.requested
    counted = when >= 24 * SMALL.warm_up
    changed = world.newer_since(which[counted], np.zeros(counted.sum())) < when[counted]
    assert outcome.older == changed.sum() > 0


def test_expiring_sooner_costs_calls_and_gives_newer_answers(world, each_day):
    """Half the expiration: more calls, fewer answers that are older than TMDB's, and those by less."""
    sooner = simulate(world, Plan(DAY / 2))
    assert sooner.calls > each_day.calls
    assert sooner.older < each_day.older
    assert sooner.behind.max() <= 1.1 * 12


def test_the_feed_gives_newer_answers_than_none(world, followed, each_day):
    """30 days with the feed: fewer calls than 24 hours, and far fewer old answers than without it."""
    without = simulate(world, Plan(30 * DAY))
    assert followed.calls < each_day.calls
    assert 10 * followed.older < without.older
    assert without.pages == each_day.pages == 0


def test_reading_more_often_costs_pages(world, followed):
    """The feed's pages are counted, at least one for each kind and reading; more readings, more pages."""
    assert followed.pages >= SMALL.days * len(FEED) * 2
    assert simulate(world, Plan(30 * DAY, (6.0,))).pages < followed.pages


def test_more_changes_cost_more_calls(followed):
    """With three times as many changes the feed makes more of the library stale."""
    kinds = {name: replace(kind, daily=3 * kind.daily) for name, kind in SMALL.kinds.items()}
    assert simulate(World(replace(SMALL, kinds=kinds)), Plan(30 * DAY, FEED)).fetches.sum() > 2 * followed.fetches.sum()


def test_even_changes_touch_the_library_less(world):
    """A library of popular titles has fewer changes where all titles change equally often."""
    even = World(replace(SMALL, change_skew=0.0))
    assert (even.changed["movie"][1] < 850).sum() < (world.changed["movie"][1] < 850).sum() / 2


def test_prefetching_costs_calls(world, followed):
    """What is fetched as soon as it is stale is fetched more often than what waits until it is asked for."""
    assert simulate(world, Plan(30 * DAY, FEED, prefetch=True)).fetches.sum() > followed.fetches.sum()


def test_the_rules_of_the_package_decide(world, followed, monkeypatch):
    """The package's rules say what becomes stale: where they make nothing so, only what expires is fetched."""
    rule = change_feed.marks

    def nothing(*given, **options):
        return rule(*given, **options)._replace(marks=())

    monkeypatch.setattr(change_feed, "marks", nothing)
    ignored = simulate(world, Plan(30 * DAY, FEED))
    assert ignored.pages == followed.pages
    assert (ignored.fetches == simulate(world, Plan(30 * DAY)).fetches).all()


def test_expirations_are_spread_by_the_package(world, each_day, monkeypatch):
    """The package spreads the expirations: without that, a scan at the same hour finds other titles expired."""
    monkeypatch.setattr(freshness, "with_jitter", lambda seconds, key: seconds * 1.2)
    assert simulate(world, Plan(DAY)).fetches.sum() < each_day.fetches.sum()


def test_a_day_is_read_until_its_changes_are_past_tmdbs_caches(world):
    """A day is read until it is over for eight hours, then never again, and what was fetched before that is stale."""
    feed = Following(world, "movie")
    asked = []
    world_listed = world.listed

    class Listening:
        model, first = world.model, world.first

        def listed(self, kind, first, last, now):
            asked.append(first)
            return world_listed(kind, first, last, now)

    feed._world = Listening()
    assert list(feed.read(12.0, 0.1))
    assert list(feed.read(31.9, 0.1))
    assert {before for _, before in feed.read(32.0, 0.1)} >= {32.0}
    assert list(feed.read(33.0, 0.1))
    first = date(2026, 11, 1)
    following = first + timedelta(days=1)
    assert asked == [first, first, following, first, following, following]


def test_small_libraries_break_even_where_the_calls_are_equal(world, each_day, followed):
    """From the number of titles on that is given, the titles' calls saved are more than the feed's pages."""
    titles = month.break_even(SMALL, each_day, followed, "any")
    saved = (each_day.fetches.sum() - followed.fetches.sum()) / 1000
    assert (titles - 1) * saved <= followed.pages < titles * saved
    assert month.break_even(SMALL, followed, replace(each_day, pages=9), "any") is None
    assert month.break_even(SMALL, followed, replace(each_day, pages=9), "popular") is None


def test_the_page_has_the_numbers_of_the_committed_run():
    """The tables in docs/change-feed.md are those of benchmarks/results/month.json, and the picture is there."""
    results = json.loads(month.RESULTS.read_text(encoding="utf-8"))
    assert results["days"] == Model().days == 30
    page = month.PAGE.read_text(encoding="utf-8")
    assert page == month.with_tables(page, month.tables(results))
    assert "python -m benchmarks.month" in page
    assert month.PICTURE.read_bytes().startswith(b"\x89PNG")


def test_a_page_without_a_place_for_a_table_is_an_error():
    """Nothing is left out silently."""
    with pytest.raises(ValueError, match="no place for 'main'"):
        month.with_tables("# A page\n", {"main": "| |\n"})
