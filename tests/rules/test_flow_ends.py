"""A flow that is closed, or fails, at any effect lands what it leads and releases its leases."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tmdb_mongo_cache.core.effects import AcquireLease, Prepare
from tmdb_mongo_cache.core.lease import Lease

from . import test_flow_coalescing, test_flow_fetch, test_flow_lease, test_flow_lookup, test_flow_refresh
from .drive import Driven, Scenario

MODULES = (test_flow_coalescing, test_flow_fetch, test_flow_lease, test_flow_lookup, test_flow_refresh)
SCENARIOS = [scenario for module in MODULES for scenario in module.SCENARIOS]


class OwnError(Exception):
    """An error of the caller's, which its own signal, adapter or hook raises."""


def cut(scenario: Scenario) -> Iterator[tuple[int, Driven]]:
    """Drive a scenario to each of its effects, from the beginning each time."""
    for number in range(len(scenario.steps)):
        yield number, scenario.begin().take(*scenario.steps[:number])


def leases_of(scenario: Scenario, driven: Driven, number: int) -> int:
    """Return how many leases the flow has taken before its effect of that number."""
    taken = [step.answer(driven.world, None) for step in scenario.steps[:number] if step.kind is AcquireLease]
    return sum(isinstance(lease, Lease) and lease.is_mine for lease in taken)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.says)
def test_ends(scenario: Scenario) -> None:
    """Nothing stays in flight, waiters go on, each lease is released as failed, and the error passes through."""
    for error in (None, OwnError(), KeyboardInterrupt()):
        for number, driven in cut(scenario):
            world = driven.world
            led = world.led()
            if error is None:
                driven.flow.close()
            else:
                with pytest.raises(type(error)) as raised:
                    driven.flow.throw(error)
                assert raised.value is error
            at = f"{error!r} at effect {number}, {scenario.steps[number].kind.__name__}"
            assert driven.flow.gi_frame is None, at
            assert world.led() == [], at
            assert all(flight.is_over and flight.outcome is None for flight in led), at
            released = [done[2] for done in world.leases if done[0] == "release"]
            assert released == [True] * leases_of(scenario, driven, number), at
            if isinstance(driven.effect, AcquireLease):  # it may have been acquired when the error came
                assert world.leases[-1:] == [("abandon", driven.effect.key)], at


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.says)
def test_changes_nothing_before_the_request_is_needed(scenario: Scenario) -> None:
    """Up to Prepare a flow may be dropped: no lease, no count, nothing in flight but its look-up."""
    for _, driven in cut(scenario):
        if any(isinstance(effect, Prepare) for effect in driven.effects[:-1]):
            break
        world = driven.world
        assert world.led(world.core.fetches) == []
        assert world.leases == []
        assert world.counters.unwritten() == {}
        driven.flow.close()
