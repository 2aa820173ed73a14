"""Waiting for what another thread or process does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def eventually(condition: Callable[[], Any], seconds: float = 5) -> Any:
    """Wait until a condition holds; return what it is then, or at the end of the time."""
    deadline = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return found


def until(condition: Callable[[], Any], what: str = "what is waited for", seconds: float = 20) -> Any:
    """Wait until a condition holds, and return what it is then; the test fails where it does not."""
    found = eventually(condition, seconds)
    assert found, what
    return found
