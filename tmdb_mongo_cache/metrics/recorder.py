"""Recording what became of each call: counted, told to ``on_event``, and now and then added up in MongoDB."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from .counters import OTHER, CacheEvent, Counters

if TYPE_CHECKING:
    from ..httpcache.result import Result
    from ..tmdb.call import Call
    from ..tmdb.endpoints import Endpoint
    from .flush import Flusher

logger = logging.getLogger("tmdb_mongo_cache")


class Recorder:
    """Records the calls of one cache; on the way of every hit, so it does little.

    Args:
        on_event: is called with a :class:`~tmdb_mongo_cache.CacheEvent` for each call, in the caller's thread.
        by_day: count each day for itself; a process that lives for years and adds them nowhere need not.
    """

    def __init__(self, on_event: Callable[[CacheEvent], object] | None = None, *, by_day: bool = True) -> None:
        self.counters = Counters()
        self.flusher: Flusher | None = None
        self._on_event = on_event
        self._by_day = by_day
        self._has_complained = False

    def answered(self, call: Call, result: Result, seconds: float, *, background: bool = False) -> None:
        """Record a call that went through the flow.

        Args:
            call: the call.
            result: what it got.
            seconds: how long it took.
            background: whether no caller waited for it.
        """
        kind, where, failed = result.kind, result.where, result.failed
        found = result.entry or result.reply
        size, status = (0, 0) if found is None else (len(found.body), found.status)
        counted = where if kind == "hit" else "failed" if failed and kind == "miss" else kind
        if background:
            counted = _background(failed=failed)
        self._note(result.now.toordinal(), call.endpoint[0], counted, size, seconds)
        if self._on_event is not None:
            shown = where if kind in ("hit", "stale") else ""
            self._tell(kind, call.key, call.endpoint, shown, status, failed, background, seconds, size)

    def raised(self, call: Call, now: datetime, seconds: float) -> None:
        """Record a call that ended in an exception which is none of TMDB's (too many redirects, an adapter's own)."""
        self._note(now.toordinal(), call.endpoint[0], "failed", 0, seconds)
        if self._on_event is not None:
            self._tell("miss", call.key, call.endpoint, "", 0, failed=True, seconds=seconds)

    def straight(self, endpoint: Endpoint, now: datetime, status: int, seconds: float) -> None:
        """Record a call that bypassed the cache."""
        self._note(now.toordinal(), endpoint[0], "straight", 0, seconds)
        if self._on_event is not None:
            self._tell("straight", "", endpoint, "", status, seconds=seconds)

    def unanswered(self, endpoint: Endpoint, now: datetime) -> None:
        """Record a call that would bypass the cache and was not made, because ``offline`` forbids it."""
        self._note(now.toordinal(), endpoint[0], "unanswered", 0, 0.0)
        if self._on_event is not None:
            self._tell("unanswered", "", endpoint, "", 0)

    def by_itself(self, endpoint: str, now: datetime, seconds: float, *, failed: bool) -> None:
        """Count a call that the cache made by itself and that bypasses it; ``on_event`` is not called."""
        self._note(now.toordinal(), endpoint, _background(failed=failed), 0, seconds)

    def _note(self, day: int, endpoint: str | None, kind: str, size: int, seconds: float) -> None:
        self.counters.note(day if self._by_day else 0, endpoint or OTHER, kind, size, seconds)
        if self.flusher is not None:
            self.flusher.schedule()

    def _tell(
        self,
        outcome: str,
        key: str,
        endpoint: Endpoint,
        where: str,
        status: int,
        failed: bool = False,
        background: bool = False,
        seconds: float = 0.0,
        size: int = 0,
    ) -> None:
        template, _, media_type, tmdb_id = endpoint
        event = CacheEvent(
            outcome, key, template, media_type, tmdb_id, where, status, failed, background, seconds, size
        )
        try:
            self._on_event(event)  # type: ignore[misc]
        except Exception as error:  # noqa: BLE001  the program's call is not to fail for what counts it
            level = logging.DEBUG if self._has_complained else logging.WARNING
            self._has_complained = True
            logger.log(level, "on_event raised %s; the call goes on", type(error).__name__)


def _background(*, failed: bool) -> str:
    """Return what a call of the cache's own is counted as: what TMDB failed does not tell how long a call takes."""
    return "background_failed" if failed else "background"
