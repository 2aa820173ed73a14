"""Fetching many calls into the cache: what is missing or stale, on several connections, until it is done or stopped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from enum import Enum, auto
from itertools import islice
from typing import NamedTuple

import requests

from ..asking import Outcome, utcnow
from ..errors import CacheError, UpstreamError
from .failing import why_failed
from .pausing import Stopped
from .upstream import KeyRefused, Upstream

_BATCH = 500
_TELL = 1.0  # seconds
_REFUSED = frozenset({"status 401", "status 403"})
_STRIKES = 20
"""Failures in a row after which TMDB, and not the one or other id, is at fault."""

Progress = Callable[[str, int, int], None]
"""Is told what is under way, how much of it is done, and of how much (0: not known)."""


class Wish(NamedTuple):
    """One call: how people know it, its key, and its URL without the key for TMDB."""

    name: str
    key: str
    url: str


class Came(Enum):
    """What became of one wish."""

    FETCHED = auto()
    CONFIRMED = auto()
    FRESH = auto()
    MISSING = auto()
    FAILED = auto()
    NOT_KEPT = auto()
    NOT_BEGUN = auto()


class Counts:
    """What became of the wishes so far; ``failed`` are their names, and why."""

    def __init__(self) -> None:
        self._of: Counter[Came] = Counter()
        self.failed: list[tuple[str, str]] = []

    def add(self, came: Came, number: int = 1) -> None:
        """Count some."""
        self._of[came] += number

    def __getitem__(self, came: Came) -> int:
        return self._of[came]

    @property
    def done(self) -> int:
        """How many wishes have come to an end."""
        return sum(self._of.values()) + len(self.failed)


class Fetching:
    """Fetches wishes; what was fetched is stored at once, so whoever begins again begins where this one ended.

    Args:
        upstream: TMDB, and where the answers are kept.
        progress: is told how far it is.
    """

    def __init__(self, upstream: Upstream, progress: Progress) -> None:
        self._upstream = upstream
        self._progress = progress
        self._strikes = 0
        self.counts = Counts()

    def run(self, wishes: Iterable[Wish], total: int, connections: int) -> None:
        """Fetch what has no fresh answer; ``total`` is how many wishes there are, for the progress.

        Where it is interrupted, no call is begun any more, and those under way are brought to their end.

        Raises:
            UpstreamError: TMDB refuses the key, or fails again and again.
            StoreError: MongoDB failed.
        """
        with ThreadPoolExecutor(connections, thread_name_prefix="tmdb-mongo-cache-fetch") as pool:
            for batch in _batches(wishes, _BATCH):
                fresh = self._upstream.store.fresh([wish.key for wish in batch], utcnow())
                self.counts.add(Came.FRESH, len(fresh))
                self._run(pool, [wish for wish in batch if wish.key not in fresh], total)

    def _run(self, pool: ThreadPoolExecutor, wishes: Iterable[Wish], total: int) -> None:
        under_way: dict[Future[tuple[Came, str]], Wish] = {}
        try:
            for wish in wishes:
                under_way[pool.submit(self._fetch, wish.url)] = wish
            while under_way:
                self._progress(self._what(), self.counts.done, total)
                for future in wait(under_way, timeout=_TELL, return_when=FIRST_COMPLETED).done:
                    self._count(under_way.pop(future), *future.result())
            self._progress(self._what(), self.counts.done, total)
        except BaseException:
            self._upstream.stop()
            # What is under way will be stored, and nobody will fetch it again: it is counted.
            for future, wish in under_way.items():
                if not future.cancel():
                    with suppress(CacheError):
                        self._count(wish, *future.result())
            raise

    def _what(self) -> str:
        return "waiting: TMDB limits the rate" if self._upstream.is_limited else "fetching"

    def _fetch(self, url: str) -> tuple[Came, str]:
        try:
            came, why = _what_came(self._upstream.fetch(url), url)
            if came is Came.NOT_KEPT:
                # By MongoDB's fault, or by the answer's own.
                kept_before = self._upstream.keeps
                self._upstream.store.check_writing()
                if not kept_before:
                    came, why = _what_came(self._upstream.fetch(url), url)
        except Stopped:
            return Came.NOT_BEGUN, ""
        except UpstreamError as error:
            return Came.FAILED, str(error)
        except requests.RequestException as error:
            return Came.FAILED, why_failed(error, url)
        return (Came.FAILED, why) if came is Came.NOT_KEPT else (came, why)

    def _count(self, wish: Wish, came: Came, why: str) -> None:
        counts = self.counts
        if came is Came.NOT_BEGUN:
            return
        if came is not Came.FAILED:
            self._strikes = 0
            counts.add(came)
            return
        counts.failed.append((wish.name, why))
        self._strikes += 1
        if why in _REFUSED:
            raise KeyRefused(f"TMDB does not accept the key ({why})")
        if self._strikes >= _STRIKES:
            raise UpstreamError(f"TMDB fails again and again (the last time: {why}); run it again to go on")


def _what_came(outcome: Outcome | None, url: str) -> tuple[Came, str]:
    """Say what became of one wish, and why where it failed."""
    if outcome is None:
        return Came.FRESH, ""
    if outcome.entry is not None:
        if outcome.revalidated:
            return (Came.CONFIRMED, "") if outcome.stored else (Came.NOT_KEPT, "confirmed, but not noted down")
        # Somebody else has fetched it meanwhile; or TMDB has failed, and there is an older answer.
        is_fresh = outcome.entry.expires_at > utcnow()
        return (Came.FRESH, "") if is_fresh else (Came.FAILED, "TMDB failed, the older answer stays")
    reply = outcome.reply
    if reply is None:
        return Came.FAILED, "no answer"
    if reply.error is not None:
        return Came.FAILED, why_failed(reply.error, url)
    if outcome.stored is None:
        if reply.status in (200, 404):
            return Came.NOT_KEPT, f"status {reply.status}, but the answer is none that is kept"
        return Came.FAILED, f"status {reply.status}"
    return (Came.MISSING if reply.status == 404 else Came.FETCHED), ""


def _batches(wishes: Iterable[Wish], size: int) -> Iterator[list[Wish]]:
    left = iter(wishes)
    while batch := list(islice(left, size)):
        yield batch
