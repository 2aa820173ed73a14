"""The writes to TMDB that this process has just made: responses to requests from before them are outdated."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from time import monotonic

from ..tmdb.endpoints import Endpoint
from ..tmdb.invalidation import Touched

_REMEMBERED = 120.0  # seconds: longer than a call takes
_recent: deque[tuple[float, Sequence[Touched]]] = deque(maxlen=1000)


def note(touched: Sequence[Touched]) -> None:
    """Remember a write that has just succeeded."""
    _recent.append((monotonic(), touched))


def since(moment: float, key: str, endpoint: Endpoint) -> bool:
    """Return whether the resource of a key was written to since a moment of the monotonic clock."""
    if not _recent:
        return False
    moment = max(moment, monotonic() - _REMEMBERED)
    later = [touched for at, touched in list(_recent) if at >= moment]
    about = (endpoint.template, endpoint.media_type, endpoint.tmdb_id)
    return any(item.holds(key, about) for touched in later for item in touched)
