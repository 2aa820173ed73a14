"""What the flow writes into the log of the package, at DEBUG but for failures of TMDB."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tmdb_mongo_cache.core.flow import answer, write

from ..entrykit import entry
from .drive import (
    CLEAR_KEY,
    CLEAR_URL,
    FAILED,
    KEY,
    NOT_CHANGED,
    URL,
    Driven,
    World,
    call,
    find,
    lease,
    mark_stale,
    prepare,
    renew,
    rules,
    send,
    store,
)

ETAG = {"etag": 'W/"a"'}
STALE = entry(-60)


@pytest.fixture(autouse=True)
def _debug(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "tmdb_mongo_cache")


@pytest.mark.parametrize(
    ("steps", "lines"),
    [
        ([find(entry())], [f"{KEY}: hit (mongodb)"]),
        ([find(), prepare(), lease(), send(), store()], [f"{KEY}: fetch"]),
        (
            [find(), prepare(), lease(), send(FAILED)],
            [f"{KEY}: fetch", f"{KEY}: not stored: status 503"],
        ),
        ([find(STALE), prepare(), lease(refreshing=True), send(NOT_CHANGED, **ETAG), renew()], [f"{KEY}: validate"]),
    ],
    ids=["hit", "miss", "failure", "confirmed"],
)
def test_a_call(caplog: pytest.LogCaptureFixture, steps: Any, lines: list[str]) -> None:
    """Its key, and what is done with it."""
    world = World()
    Driven(world, answer(world.core, call(), rules())).take(*steps).end()
    assert caplog.messages == lines


def test_an_unverified_call(caplog: pytest.LogCaptureFixture) -> None:
    """It does not validate a verified entry."""
    world = World()
    steps = [find(STALE), find(key=CLEAR_KEY), prepare(), lease(key=CLEAR_KEY, refreshing=True), send()]
    Driven(world, answer(world.core, call(CLEAR_URL), rules())).take(*steps)
    assert caplog.messages == [f"{CLEAR_KEY}: fetch"]


def test_a_stale_hit_that_is_refreshed(caplog: pytest.LogCaptureFixture) -> None:
    """It is a hit to its caller."""
    world = World()
    Driven(world, answer(world.core, call(), rules(stale_while_revalidate=3600.0))).take(find(STALE))
    assert caplog.messages == [f"{KEY}: hit (mongodb)"]


def test_a_hit_from_memory(caplog: pytest.LogCaptureFixture) -> None:
    world = World(memory=True)
    world.remember(entry())
    Driven(world, answer(world.core, call(), rules())).end()
    assert caplog.messages == [f"{KEY}: hit (memory)"]


def test_a_call_while_its_key_backs_off(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.core.backoff.back_off(KEY, 60.0)
    Driven(world, answer(world.core, call(), rules())).take(find(STALE)).end()
    assert caplog.messages == [f"{KEY}: validate", f"{KEY}: backing off"]


def test_a_call_that_is_only_explained(caplog: pytest.LogCaptureFixture) -> None:
    """It is not made, so nothing is said of it."""
    core = World().core.for_reading(None)
    core.backoff.back_off(KEY, 60.0)
    for found in (entry(), STALE):
        flow = answer(core, call(), rules())
        next(flow)
        with pytest.raises(StopIteration):
            flow.send((found, True))
    assert caplog.messages == []


def test_a_write(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    urls = [f"{URL}/rating", "https://api.themoviedb.org/3/tv/1/rating"]
    Driven(world, write(world.core, urls)).take(mark_stale()).end()
    assert caplog.messages == [f"a write made stale: {KEY}, GET api.themoviedb.org/3/tv/1"]
