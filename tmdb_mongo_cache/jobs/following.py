"""Following TMDB's feed of changes: what has changed there becomes stale here, and is fetched again if wanted."""

from __future__ import annotations

import logging
from datetime import date
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from ..asking import utcnow
from ..errors import StoreError, UpstreamError
from ..tmdb import changes
from ..tmdb.changes import KINDS, LAST_PAGE, Mark
from ..tmdb.keys import parts_of
from .fetching import Came, Fetching, Progress, Wish
from .upstream import Refused, Upstream

if TYPE_CHECKING:
    from ..cache import TMDBCache

logger = logging.getLogger("tmdb_mongo_cache")

_NONE: tuple[int, ...] = ()
_READINGS = 3
"""How often a day that is over is read at most, where its pages move while they are read."""

_BATCH = 1000
"""Ids for one update: some 12 kB of command."""


class ChangesReport(NamedTuple):
    """What following the feed came to.

    Attributes:
        followed: False where another process was just doing it, and nothing was done.
        pages: of the feed that were read.
        changed: titles and people that the feed named, each once.
        stale: entries that became stale.
        unknown: of those, entries that became stale because nobody had read the feed for longer than it goes back.
        fetched: entries that were fetched again.
        failed: what could not be, by key, and why.
    """

    followed: bool = True
    pages: int = 0
    changed: int = 0
    stale: int = 0
    unknown: int = 0
    fetched: int = 0
    failed: tuple[tuple[str, str], ...] = ()


class Following:
    """One round of following the feed.

    Args:
        cache: the cache.
        upstream: TMDB.
        progress: is told how far it is.
    """

    def __init__(self, cache: TMDBCache, upstream: Upstream, progress: Progress | None = None) -> None:
        self._cache = cache
        self._store = upstream.store
        self._upstream = upstream
        self._progress = progress or (lambda *_: None)
        self.report = ChangesReport()
        self._changed: set[tuple[str, int]] = set()

    def run(self, *, prefetch: bool = False, connections: int = 1) -> ChangesReport:
        """Read what has changed since the last time and make stale what that touches; see :mod:`.tmdb.changes`.

        Args:
            prefetch: whether to fetch again what changes have made stale, in this round or before.
            connections: how many at once.

        Raises:
            UpstreamError: TMDB failed; what was read until then is done.
            StoreError: MongoDB failed.
        """
        if not self._store.feed.take():
            self.report = self.report._replace(followed=False)
            return self.report
        failure = None
        try:
            for kind in KINDS:
                try:
                    self._follow(kind)
                except UpstreamError as error:
                    failure = failure or error  # one feed that fails is no reason to leave the others alone
        finally:
            self._store.feed.give_back()
            self._cache.flow.forget_calls()
        if failure is not None:
            raise failure
        if prefetch:
            self._prefetch(connections)
        return self.report

    def _prefetch(self, connections: int) -> None:
        """Fetch again what changes have made stale, in whatever round, and nobody has fetched since."""
        wishes = []
        for key, url in self._store.staleness.changed():
            parts = parts_of(key)
            if parts is None:
                continue
            found = self._upstream.url(f"{parts.path}{parts.query}" if url is None else _path_of(url))
            # What came from another host, or by another channel, is not to be had here; and what a session
            # of requests-cache matches by rules of its own is fetched by that session alone.
            if self._upstream.key(found) == key:
                wishes.append(Wish(key, key, found))
        fetching = Fetching(self._upstream, self._progress)
        try:
            fetching.run(wishes, len(wishes), connections)
        finally:
            counts = fetching.counts
            fetched = counts[Came.FETCHED] + counts[Came.CONFIRMED] + counts[Came.MISSING]
            self.report = self.report._replace(fetched=fetched, failed=tuple(counts.failed))

    def _follow(self, kind: str) -> None:
        feed, now = self._store.feed, self._store.now()
        if not self._store.has(kind):
            feed.finish(kind, changes.quiet_until(now))
            return
        done_until = feed.done_until(kind)
        oldest = self._store.oldest(kind, now) if done_until is None else None
        days, unknown_before = changes.window(done_until, oldest, now)
        if unknown_before is not None:
            count = self._store.staleness.of_all(kind, unknown_before, utcnow())
            logger.info("%s: nobody knows what was changed until %s; %d entries are stale", kind, days[0], count)
            self._add(stale=count, unknown=count)
        in_a_row = True
        for number, day in enumerate(days):
            self._progress(f"{kind}: changes of {day}", number, len(days))
            is_done = self._follow_day(kind, day)
            in_a_row = in_a_row and is_done
            if in_a_row:
                feed.finish(kind, days[number + 1] if number + 1 < len(days) else day)
        self._progress(f"{kind}: changes", len(days), len(days))

    def _follow_day(self, kind: str, day: date) -> bool:
        """Read a day and make stale what it touches; say whether it is done."""
        feed = self._store.feed
        seen, ids, failure, whole = feed.seen(kind, day), dict.fromkeys(_NONE), None, True
        try:
            for _ in range(_READINGS):
                whole, quiet = self._read(kind, day, ids)
                if quiet or not changes.is_over(day, self._store.now()):
                    break
        except UpstreamError as error:
            failure = error  # what was read is not to be lost
        now = self._store.now()
        marks, note = changes.marks(day, ids, seen, now, complete=failure is None)
        for mark in marks:
            self._mark(kind, mark)
        if not whole and changes.is_over(day, now):
            logger.warning("%s: the changes of %s are more than TMDB tells; all entries become stale", kind, day)
            self._add(stale=self._store.staleness.of_all(kind, changes.known_after(day, now), utcnow()))
        # Not before: who is killed in between does it once more.
        if note is not None and note != seen:
            feed.note(kind, day, note)
        if failure is not None:
            raise failure
        return note is None

    def _read(self, kind: str, day: date, ids: dict[int, None]) -> tuple[bool, bool]:
        """Read the pages of a day into ``ids``; say whether those were all, and whether nothing moved meanwhile.

        A row that goes to another page between two requests may be missed. Days
        that are not over are read again in any case.
        """
        page, pages, totals = 1, 1, set()
        while page <= min(pages, LAST_PAGE):
            if not self._store.feed.take():
                raise StoreError("another process follows the feed now, for this one was too slow")
            found = self._page(kind, day, page)
            try:
                listed, total = changes.ids_of(found)
                if page == 1 and total is None:
                    raise ValueError("no page that says how many there are")  # the rest would be lost
            except ValueError as error:
                raise UpstreamError(f"TMDB's answer for /3/{kind}/changes is {error}; run it again to go on") from None
            ids.update(dict.fromkeys(listed))
            self._changed.update((kind, number) for number in listed)
            self.report = self.report._replace(pages=self.report.pages + 1, changed=len(self._changed))
            totals.add((str(found.get("total_results")), total))
            pages = max(pages, total or 1)
            page += 1
        return pages <= LAST_PAGE, len(totals) == 1

    def _page(self, kind: str, day: date, page: int) -> Any:
        path = f"/3/{kind}/changes"
        try:
            return self._upstream.json(path, changes.params(day, page))
        except Refused:
            return self._upstream.json(path, changes.params(day, page, alone=True))

    def _mark(self, kind: str, mark: Mark) -> None:
        for first in range(0, len(mark.ids), _BATCH):
            batch = mark.ids[first : first + _BATCH]
            self._add(stale=self._store.staleness.of_titles(kind, batch, mark.before, utcnow()))

    def _add(self, *, stale: int = 0, unknown: int = 0) -> None:
        report = self.report
        self.report = report._replace(stale=report.stale + stale, unknown=report.unknown + unknown)


def _path_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path
