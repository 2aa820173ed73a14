"""The latency of a hit beside every peer, in three sizes: up to the body's bytes, and up to the parsed answer."""

from __future__ import annotations

from .bench import FIND, Bench, contenders
from .measuring import Times, by_turns

SIZES = {"2 kB": 2_000, "24 kB": 24_000, "262 kB": 262_000}
PARSED = ("2 kB", "24 kB")  # beyond that it is json.loads that is measured


def latency(bench: Bench, *, rounds: int, block: int) -> dict[str, dict[str, Times]]:
    """Measure a hit up to the body's bytes; return the times by size and contender."""
    return {
        label: by_turns(contenders(bench, size, lambda response: response.content), rounds=rounds, block=block)
        for label, size in SIZES.items()
    }


def with_json(bench: Bench, *, rounds: int, block: int) -> dict[str, dict[str, Times]]:
    """Measure a hit up to what ``.json()`` gives; return the times by size and contender."""
    found = {}
    for label in PARSED:
        size = SIZES[label]
        reading = contenders(bench, size, lambda response: response.json())
        found[label] = by_turns([one for one in reading if one.name != FIND], rounds=rounds, block=block)
    return found
