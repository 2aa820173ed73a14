"""Following TMDB's change feed: what has changed there becomes stale here, and is fetched again if wanted."""

from __future__ import annotations

import logging
from datetime import date
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from ..core.clock import utcnow
from ..errors import StoreError, UpstreamError
from ..formatting import Progress
from ..tmdb import change_feed
from ..tmdb.cache_key import parts_of
from ..tmdb.change_feed import KINDS, LAST_PAGE
from .bulk_fetch import BulkFetcher, Status, Target
from .tmdb_client import ParamsRejected, Upstream

if TYPE_CHECKING:
    from ..engine import Engine

logger = logging.getLogger("tmdb_mongo_cache")

_READINGS = 3
"""Maximum times that a past day is read while its pages keep moving."""

_BATCH = 1000
"""Ids per update: about 12 kB of command."""


class ChangesReport(NamedTuple):
    """The result of following the change feed.

    Attributes:
        followed: False if another process was following it, and nothing was done.
        pages: pages of the feed that were read.
        changed: titles and people listed by the feed, each counted once.
        stale: entries that became stale.
        unknown: of those, entries that became stale because the feed was not read for longer than it goes back.
        fetched: entries that were fetched again.
        failed: entries that could not be, by key, and why.
    """

    followed: bool = True
    pages: int = 0
    changed: int = 0
    stale: int = 0
    unknown: int = 0
    fetched: int = 0
    failed: tuple[tuple[str, str], ...] = ()


class ChangeFollower:
    """One run of following the feed; ``report`` is its state.

    Args:
        engine: the cache.
        upstream: TMDB.
        progress: reports the progress.
    """

    def __init__(self, engine: Engine, upstream: Upstream, progress: Progress | None = None) -> None:
        self._engine = engine
        self._store = upstream.store
        self._upstream = upstream
        self._progress = progress or (lambda *_: None)
        self.report = ChangesReport()
        self._changed: set[tuple[str, int]] = set()

    def run(self, *, prefetch: bool = False) -> ChangesReport:
        """Read what has changed since the last run and mark it stale; see :mod:`.tmdb.change_feed`.

        Args:
            prefetch: whether to fetch again what changes have made stale, in this run or before.

        Raises:
            UpstreamError: TMDB failed; what was read until then is marked.
            StoreError: MongoDB failed.
        """
        if not self._store.feed.acquire():
            self.report = self.report._replace(followed=False)
            return self.report
        failure = None
        try:
            for kind in KINDS:
                try:
                    self._follow(kind)
                except UpstreamError as error:
                    failure = failure or error  # the other feeds are read all the same
        finally:
            self._store.feed.release()
            self._engine.core.forget_in_flight()
        if failure is not None:
            raise failure
        if prefetch:
            self._prefetch()
        return self.report

    def _prefetch(self) -> None:
        """Fetch again what changes, in any run, have made stale and is still stale."""
        targets = []
        for key, url in self._store.invalidation.changed():
            parts = parts_of(key)
            if parts is None:
                continue
            found = self._upstream.url(f"{parts.path}{parts.query}" if url is None else _path_of(url))
            # Entries of other hosts or of unverified connections cannot be fetched here, nor those of a
            # requests-cache session with its own matching rules.
            if self._upstream.key(found) == key:
                targets.append(Target(key, key, found))
        fetcher = BulkFetcher(self._upstream, self._progress)
        try:
            fetcher.run(targets, len(targets))
        finally:
            counts = fetcher.counts
            fetched = counts[Status.FETCHED] + counts[Status.REVALIDATED] + counts[Status.NOT_FOUND]
            self.report = self.report._replace(fetched=fetched, failed=tuple(fetcher.failed))

    def _follow(self, kind: str) -> None:
        feed, now = self._store.feed, self._store.now()
        if not self._store.has(kind):
            feed.finish(kind, change_feed.quiet_until(now))
            return
        done_until = feed.done_until(kind)
        oldest = self._store.oldest(kind, now) if done_until is None else None
        days, unknown_before = change_feed.window(done_until, oldest, now)
        if unknown_before is not None:
            count = self._store.invalidation.expire_all(kind, unknown_before, utcnow())
            logger.info("%s: changes before %s are unknown; %d entries became stale", kind, days[0], count)
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
        """Read a day and mark what has changed stale; return whether the day is done."""
        feed = self._store.feed
        ids: dict[int, None] = {}
        seen, failure, whole = feed.seen(kind, day), None, True
        try:
            for _ in range(_READINGS):
                whole, quiet = self._read(kind, day, ids)
                if quiet or not change_feed.is_over(day, self._store.now()):
                    break
        except UpstreamError as error:
            failure = error  # what was read is marked first
        now = self._store.now()
        marks, note = change_feed.marks(day, ids, seen, now, complete=failure is None)
        for mark in marks:
            for first in range(0, len(mark.ids), _BATCH):
                batch = mark.ids[first : first + _BATCH]
                self._add(stale=self._store.invalidation.expire_titles(kind, batch, mark.before, utcnow()))
        if not whole and change_feed.is_over(day, now):
            logger.warning("%s: TMDB lists only a part of the changes of %s; all entries become stale", kind, day)
            self._add(stale=self._store.invalidation.expire_all(kind, change_feed.known_after(day, now), utcnow()))
        # After marking: a process that is killed in between repeats it.
        if note is not None and note != seen:
            feed.note(kind, day, note)
        if failure is not None:
            raise failure
        return note is None

    def _read(self, kind: str, day: date, ids: dict[int, None]) -> tuple[bool, bool]:
        """Read the pages of a day into ``ids``; return whether those were all, and whether nothing moved meanwhile.

        A row that moves to another page between two requests may be missed. Days
        that are not over are read again anyway.
        """
        page, pages, totals = 1, 1, set()
        while page <= min(pages, LAST_PAGE):
            if not self._store.feed.acquire():
                raise StoreError("another process follows the change feed now, because this one was too slow")
            found = self._page(kind, day, page)
            try:
                listed, total = change_feed.ids_of(found)
                if page == 1 and total is None:
                    raise ValueError("not a page with the number of pages")  # the rest would be lost
            except ValueError as error:
                raise UpstreamError(
                    f"TMDB's response for /3/{kind}/changes is {error}; run the command again to resume"
                ) from None
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
            return self._upstream.json(path, change_feed.params(day, page))
        except ParamsRejected:
            return self._upstream.json(path, change_feed.params(day, page, alone=True))

    def _add(self, *, stale: int = 0, unknown: int = 0) -> None:
        report = self.report
        self.report = report._replace(stale=report.stale + stale, unknown=report.unknown + unknown)


def _path_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def refresh_changes(engine: Engine, *, prefetch: bool, progress: Progress | None, **options: Any) -> ChangesReport:
    """Follow the change feed for a cache; ``options`` are those of :class:`.Upstream`."""
    with Upstream(engine, **options) as upstream:
        return ChangeFollower(engine, upstream, progress).run(prefetch=prefetch)
