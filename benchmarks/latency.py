"""The latency of a hit beside every peer: up to the body's bytes, to the parsed JSON, to every attribute."""

from __future__ import annotations

from collections.abc import Callable

import requests

from .bench import FIND, Bench, contenders
from .measuring import Times, by_turns

SIZES = {"2 kB": 2_000, "24 kB": 24_000, "262 kB": 262_000}
SMALL = ("2 kB", "24 kB")  # beyond that it is json.loads that is measured

Latencies = dict[str, dict[str, Times]]


def latency(bench: Bench, *, rounds: int, block: int) -> Latencies:
    """Measure a hit up to the body's bytes; return the times by size and contender."""
    return {
        label: by_turns(contenders(bench, size, lambda response: response.content), rounds=rounds, block=block)
        for label, size in SIZES.items()
    }


def with_json(bench: Bench, *, rounds: int, block: int) -> Latencies:
    """Measure a hit up to what ``.json()`` gives."""
    return _reading(bench, lambda response: response.json(), rounds=rounds, block=block)


def looked_at(bench: Bench, *, rounds: int, block: int) -> Latencies:
    """Measure a hit with what ours builds on access: headers, URL, request, encoding and cookies."""
    return _reading(bench, _look_at, rounds=rounds, block=block)


def _look_at(response: requests.Response) -> object:
    response.raise_for_status()
    seen = (response.headers.get("Content-Type"), response.url, response.request.method, response.encoding)
    return response.content if seen and not response.cookies else None


def _reading(bench: Bench, read: Callable[[requests.Response], object], *, rounds: int, block: int) -> Latencies:
    found = {}
    for label in SMALL:
        some = [one for one in contenders(bench, SIZES[label], read) if one.name != FIND]
        found[label] = by_turns(some, rounds=rounds, block=block)
    return found
