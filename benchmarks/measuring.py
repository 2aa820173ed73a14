"""Timing calls by turns: who is measured when, and what is made of the times."""

from __future__ import annotations

import gc
import random
import statistics
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from time import perf_counter_ns

WARM_UP = 5
"""Calls at the beginning of a block that do not count: the caches of the processor hold another contender's code."""


@dataclass(frozen=True)
class Contender:
    """Something to time: one call of it, and what has to be in force around a block of calls."""

    name: str
    call: Callable[[], object]
    around: Callable[[], AbstractContextManager[object]] = nullcontext


@dataclass(frozen=True)
class Times:
    """The times of one contender, in µs, block by block."""

    values: tuple[float, ...]
    block: int = 1

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def p99(self) -> float:
        return statistics.quantiles(self.values, n=100)[98] if len(self.values) > 1 else self.values[0]


def more(of: Times, than: Times) -> float:
    """Return how much longer one takes than another, in µs: the median over the rounds, each compared with itself."""
    starts = range(0, len(of.values), of.block)
    blocks = [(of.values[n : n + of.block], than.values[n : n + of.block]) for n in starts]
    return statistics.median(statistics.median(first) - statistics.median(second) for first, second in blocks)


def by_turns(contenders: Sequence[Contender], *, rounds: int, block: int) -> dict[str, Times]:
    """Time every contender ``rounds`` times ``block`` calls, in turns of another order each round.

    A block is a loop as programs have it: its first calls are for warming up.
    The garbage collector rests while a block runs.
    """
    times: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    order = list(contenders)
    shuffled = random.Random(1)
    for _ in range(rounds):
        shuffled.shuffle(order)
        for contender in order:
            with contender.around():
                times[contender.name] += _block(contender.call, block)
    return {name: Times(tuple(found), block) for name, found in times.items()}


def _block(call: Callable[[], object], block: int) -> list[float]:
    for _ in range(WARM_UP):
        call()
    found = []
    gc.collect(0)
    gc.disable()
    try:
        for _ in range(block):
            start = perf_counter_ns()
            call()
            found.append((perf_counter_ns() - start) / 1000)
    finally:
        gc.enable()
    return found
