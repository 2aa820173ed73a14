"""Fetching many calls into the cache, those that are missing or stale, on several connections."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from enum import Enum, auto
from itertools import islice
from typing import NamedTuple
from urllib.parse import urlsplit

from requests import exceptions

from ..core.clock import utcnow
from ..errors import CacheError, UpstreamError
from ..formatting import Progress
from ..httpcache.result import Result
from .throttle import Stopped
from .tmdb_client import KeyRefused, Upstream

_BATCH = 500
_PROGRESS_INTERVAL = 1.0  # seconds
_REFUSED = frozenset({"status 401", "status 403"})
_MOST_IN_A_ROW = 20
"""Consecutive failures after which TMDB, and not a single id, is at fault."""

# The first that matches: some are subclasses of others.
_WORDS: tuple[tuple[type[BaseException], str], ...] = (
    (exceptions.ProxyError, "the proxy for {host} does not respond, or refuses"),
    (exceptions.SSLError, "no trusted TLS connection to {host}"),
    (exceptions.ConnectTimeout, "cannot reach {host} in time"),
    (exceptions.Timeout, "{host} does not respond in time"),
    (exceptions.TooManyRedirects, "{host} redirects too often"),
    (exceptions.ChunkedEncodingError, "the connection to {host} broke"),
    (exceptions.ContentDecodingError, "a response of {host} is damaged"),
    (exceptions.ConnectionError, "cannot reach {host}"),
)


class Target(NamedTuple):
    """One call: its name for reports, its key, and its URL without the API key."""

    name: str
    key: str
    url: str


class Status(Enum):
    """What has become of one target."""

    FETCHED = auto()
    REVALIDATED = auto()
    FRESH = auto()
    NOT_FOUND = auto()
    FAILED = auto()
    NOT_STORED = auto()
    NOT_STARTED = auto()


class BulkFetcher:
    """Fetches targets; each response is stored at once, so that another run resumes where this one ended.

    ``counts`` has the number of targets by status, and ``failed`` the names of failed ones, and why.

    Args:
        upstream: TMDB, and the store.
        progress: reports the progress.
    """

    def __init__(self, upstream: Upstream, progress: Progress) -> None:
        self._upstream = upstream
        self._progress = progress
        self._failed_in_a_row = 0
        self.counts: Counter[Status] = Counter()
        self.failed: list[tuple[str, str]] = []

    def run(self, targets: Iterable[Target], total: int) -> None:
        """Fetch targets without a fresh response; ``total`` is their number, for the progress.

        After an interruption no call is started, and those in flight are completed.

        Raises:
            UpstreamError: TMDB rejects the API key, or fails repeatedly.
            StoreError: MongoDB failed.
        """
        with ThreadPoolExecutor(self._upstream.connections, thread_name_prefix="tmdb-mongo-cache-fetch") as pool:
            remaining = iter(targets)
            while batch := list(islice(remaining, _BATCH)):
                fresh = self._upstream.store.fresh([target.key for target in batch], utcnow())
                self.counts[Status.FRESH] += len(fresh)
                self._run(pool, [target for target in batch if target.key not in fresh], total)

    def _run(self, pool: ThreadPoolExecutor, targets: Iterable[Target], total: int) -> None:
        in_flight: dict[Future[tuple[Status, str]], Target] = {}
        try:
            for target in targets:
                in_flight[pool.submit(self._fetch, target.url)] = target
            while in_flight:
                self._report_progress(total)
                for future in wait(in_flight, timeout=_PROGRESS_INTERVAL, return_when=FIRST_COMPLETED).done:
                    self._count(in_flight.pop(future), *future.result())
            self._report_progress(total)
        except BaseException:
            self._upstream.throttle.stop()
            # What is in flight will be stored, and is not fetched again by the next run.
            for future, target in in_flight.items():
                if not future.cancel():
                    with suppress(CacheError):
                        self._count(target, *future.result())
            raise

    def _report_progress(self, total: int) -> None:
        activity = "waiting: TMDB limits the rate" if self._upstream.throttle.is_limited else "fetching"
        self._progress(activity, self.counts.total(), total)

    def _fetch(self, url: str) -> tuple[Status, str]:
        try:
            status, why = _status_of(self._upstream.fetch(url), url)
            if status is Status.NOT_STORED:
                # Because of MongoDB, or of the response.
                could_write = self._upstream.can_write
                self._upstream.store.check_writing()
                if not could_write:
                    status, why = _status_of(self._upstream.fetch(url), url)
        except Stopped:
            return Status.NOT_STARTED, ""
        except UpstreamError as error:
            return Status.FAILED, str(error)
        except exceptions.RequestException as error:
            return Status.FAILED, why_failed(error, url)
        return (Status.FAILED, why) if status is Status.NOT_STORED else (status, why)

    def _count(self, target: Target, status: Status, why: str) -> None:
        if status is Status.NOT_STARTED:
            return
        self.counts[status] += 1
        if status is not Status.FAILED:
            self._failed_in_a_row = 0
            return
        self.failed.append((target.name, why))
        self._failed_in_a_row += 1
        if why in _REFUSED:
            raise KeyRefused(f"TMDB rejects the API key ({why})")
        if self._failed_in_a_row >= _MOST_IN_A_ROW:
            raise UpstreamError(f"TMDB fails repeatedly (most recently: {why}); run the command again to resume")


def _status_of(result: Result | None, url: str) -> tuple[Status, str]:
    """Return what has become of one target, and why it failed."""
    if result is None:
        return Status.FRESH, ""
    if result.entry is not None:
        if result.revalidated:
            return (Status.REVALIDATED, "") if result.stored else (Status.NOT_STORED, "revalidated, but not stored")
        # Another process has fetched it meanwhile; or TMDB has failed, and there is a stale response.
        is_fresh = result.entry.expires_at > utcnow()
        return (Status.FRESH, "") if is_fresh else (Status.FAILED, "TMDB failed; the stale response is kept")
    reply = result.reply
    if reply is None:
        return Status.FAILED, "no response"
    if reply.error is not None:
        return Status.FAILED, why_failed(reply.error, url)
    if result.stored is None:
        if reply.status in (200, 404):
            return Status.NOT_STORED, f"status {reply.status}, but the response cannot be cached"
        return Status.FAILED, f"status {reply.status}"
    return (Status.NOT_FOUND if reply.status == 404 else Status.FETCHED), ""


def why_failed(error: BaseException, url: str) -> str:
    """Return why a call failed: the host and the kind of error; the texts of requests repeat the API key."""
    name, host = type(error).__name__, urlsplit(url).netloc.rpartition("@")[2]
    words = next((words for kind, words in _WORDS if isinstance(error, kind)), "")
    return f"{words.format(host=host)} ({name})" if words else name
