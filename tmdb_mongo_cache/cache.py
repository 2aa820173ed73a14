"""``TMDBCache``: a cache as people hold it, with what they do to it by hand.

The way of a call is in :mod:`.flow`, which is imported and set up when the
first call comes: a program that only calls ``install()`` does not pay for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from types import TracebackType
from typing import TYPE_CHECKING, Any

from .config import CacheConfig
from .errors import ConfigError
from .forks import ForkSafeLock
from .jobs.methods import Jobs
from .stats import CacheStats, Counters
from .tmdb.hosts import OWN_HOSTS
from .tools.methods import Tools

if TYPE_CHECKING:
    from .flow import Flow
    from .store.document import EntryInfo
    from .store.mongo import MongoStore


class TMDBCache(Jobs, Tools):
    """A cache of TMDB's answers in MongoDB.

    ``TMDBCache()`` takes its settings from the environment, ``TMDBCache(config)``
    from a :class:`CacheConfig`; keywords change single ones. The database is
    opened at the first call, not here. Usable from many threads, and after a
    fork; a context manager that closes it.

    Raises:
        TypeError: an unknown setting.
        ConfigError: a value that cannot be used.
    """

    def __init__(self, config: CacheConfig | None = None, **settings: Any) -> None:
        if config is None:
            config = CacheConfig.from_env(**settings)
        elif not isinstance(config, CacheConfig):
            raise TypeError(f"config must be a CacheConfig, not {type(config).__name__}")
        elif settings:
            config = config.changed(**settings)
        self.config = config
        self.hosts = frozenset(config.hosts)
        self._names = (*OWN_HOSTS, *(re.sub(r":[0-9]+$", "", host) for host in self.hosts))
        self.counters = Counters()
        self._lock = ForkSafeLock()
        self._flow: Flow | None = None
        self._closed = False

    @property
    def flow(self) -> Flow:
        """The flow of this cache; made when it is first asked for."""
        flow = self._flow
        if flow is None:
            from .flow import Flow

            with self._lock:
                flow = self._flow
                if flow is None:
                    flow = Flow(self.config, self.counters)
                    if self._closed:
                        flow.close()
                    self._flow = flow
        return flow

    @property
    def _store(self) -> MongoStore:
        return self.flow.guarded.store

    def may_be_tmdb(self, url: str) -> bool:
        """Say quickly whether an URL can be TMDB's at all: one of its hosts is somewhere in it."""
        url = url.lower()
        for name in self._names:  # noqa: SIM110  any() takes three times as long, for every call to another host
            if name in url:
                return True
        return False

    def count_straight(self) -> None:
        """Count a call that went straight through."""
        self.counters.add("straight")

    # For people

    def key(self, url: str, params: Any = None) -> str | None:
        """Return the key of a call as given to ``requests.get``; None when it is not TMDB's."""
        from .tmdb import keys

        return keys.key_of_url(url, params, self.hosts)

    def stats(self) -> CacheStats:
        """Return what this process has counted since the cache was made."""
        return self.counters.snapshot()

    def invalidate(
        self,
        url: str | None = None,
        *,
        params: Any = None,
        media_type: str | None = None,
        tmdb_id: int | str | None = None,
    ) -> int:
        """Forget one call, or all about one title, person or other thing.

        Args:
            url: an URL as given to ``requests.get``, with or without a credential.
            params: its params.
            media_type: ``movie``, ``tv``, ``person``, ``collection``, …
            tmdb_id: its id; everything below it (seasons, credits, …) goes with it.

        Returns:
            how many entries that were.

        Raises:
            TypeError: neither an url nor both of the others.
            ConfigError: the URL is not TMDB's.
            StoreError: MongoDB failed.
        """
        if (url is None) == (media_type is None or tmdb_id is None) or (url and (media_type or tmdb_id)):
            raise TypeError("invalidate() takes either url= (and params=), or media_type= and tmdb_id=")
        from .store import memory

        if url is not None:
            found = self.key(url, params)
            if found is None:
                raise ConfigError("invalidate(url=…) takes an URL of TMDB, like https://api.themoviedb.org/3/movie/550")
            return self._delete({"_id": found}, lambda: memory.forget_key(found))
        if not isinstance(media_type, str) or not isinstance(tmdb_id, int | str):
            # A mapping would be a MongoDB operator, and match what nobody named.
            raise TypeError("media_type must be a string, and tmdb_id a number or a string")
        kept = _as_kept(tmdb_id)
        query = {"media_type": media_type, "tmdb_id": kept}
        return self._delete(query, lambda: memory.forget_titles(media_type, [kept]))

    def clear(self) -> int:
        """Empty the collection; return how many documents that were.

        Raises:
            StoreError: MongoDB failed.
        """
        from .store import memory

        return self._delete({}, memory.forget_everything)

    def purge(self, *, everything: bool = False) -> int:
        """Delete what must not be kept: answers of TMDB's that are older than six months, or past their ``purge_at``.

        MongoDB deletes those by itself; this is for where it does not (an index
        that could not be made), and for the end of your access to TMDB.

        Args:
            everything: all of TMDB's answers, with what the cache notes down beside
                them. Other hosts' answers, which ``MongoBackend`` may have stored, stay.

        Returns:
            how many answers that were.

        Raises:
            StoreError: MongoDB failed.
        """
        from .store import memory

        try:
            return self._store.purge(datetime.now(timezone.utc), everything=everything)
        finally:
            memory.forget_everything()
            self.flow.forget_calls()

    def _delete(self, query: dict[str, Any], forget: Callable[[], None]) -> int:
        try:
            return self._store.delete(query)
        finally:
            forget()  # also where MongoDB failed: nobody wants it from memory
            self.flow.forget_calls()

    def entries(
        self,
        *,
        media_type: str | None = None,
        tmdb_id: int | str | None = None,
        endpoint: str | None = None,
        expired: bool | None = None,
        limit: int = 0,
    ) -> Iterator[EntryInfo]:
        """List what is in the cache, in the order of the keys.

        Args:
            media_type: only of this type.
            tmdb_id: only about this id.
            endpoint: only of this endpoint, like ``/3/movie/{movie_id}``.
            expired: True for what is no longer fresh, False for what is.
            limit: at most so many; 0 for all.

        Raises:
            StoreError: MongoDB failed.
        """
        from .store.mongo import entries_query

        now = datetime.now(timezone.utc)
        query = entries_query(media_type, _as_kept(tmdb_id), endpoint, expired, now)
        return self._store.entries(query, limit)

    def close(self) -> None:
        """Let refreshes under way end and close the database; idempotent."""
        with self._lock:
            self._closed = True
            flow = self._flow
        if flow is not None:
            flow.close()

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called; calls then go straight to TMDB."""
        return self._closed

    def __enter__(self) -> TMDBCache:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"TMDBCache({self.config!r})"


def _as_kept(tmdb_id: Any) -> Any:
    # TMDB's numbers are kept as numbers, however somebody writes them.
    return int(tmdb_id) if isinstance(tmdb_id, str) and tmdb_id.isdecimal() and len(tmdb_id) < 19 else tmdb_id
