"""Waiting until it is this process's turn to fetch, while another process, or machine, has it."""

from __future__ import annotations

from time import monotonic, sleep
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .asking import Send
    from .store.guard import GuardedStore
    from .store.leases import Taken

_FIRST_PAUSE, _LONGEST_PAUSE, _GROWTH = 0.01, 0.25, 1.5


def wait_for_turn(guarded: GuardedStore, key: str, send: Send, end: float, *, refreshing: bool) -> Taken | None:
    """Take the lease of a key as soon as nobody else has it.

    Looks again with short, growing pauses: an answer that takes a tenth of a
    second is seen soon, and one that takes seconds costs MongoDB four looks in each.

    Args:
        guarded: where the leases are.
        key: whose.
        refreshing: whether there is an older answer.
        send: who waits.
        end: the moment (``time.monotonic()``) until which it waits at most.

    Returns:
        whose turn it is: another's only where patience is at an end; None where MongoDB does not say.
    """
    pause = _FIRST_PAUSE
    while True:
        taken = guarded.take(key, refreshing)
        if taken is None or not taken.is_anothers:
            return taken
        left = end - monotonic()
        if left <= 0:
            return taken
        send.wait(sleep, min(pause, left))
        pause = min(pause * _GROWTH, _LONGEST_PAUSE)
