"""``TMDBCache``: a cache as people hold it, with what they do to it by hand.

The way of a call is in :mod:`.flow`, which is imported and set up when the
first call comes: a program that only calls ``install()`` does not pay for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timezone
from types import TracebackType
from typing import TYPE_CHECKING, Any

from .config import CacheConfig
from .errors import ConfigError
from .forks import ForkSafeLock, importing
from .jobs.methods import Jobs
from .logs import log_as_the_environment_says
from .recording import Recorder
from .stats import CacheStats
from .tmdb.hosts import OWN_HOSTS
from .tools.methods import Tools

if TYPE_CHECKING:
    from .flow import Flow
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

    offline_hint = ""
    """What an OfflineError says besides: the pytest plugin knows how an answer comes into a recording."""

    def __init__(self, config: CacheConfig | None = None, **settings: Any) -> None:
        if config is None:
            config = CacheConfig.from_env(**settings)
        elif not isinstance(config, CacheConfig):
            raise TypeError(f"config must be a CacheConfig, not {type(config).__name__}")
        elif settings:
            config = config.changed(**settings)
        log_as_the_environment_says()
        self.config = config
        self.hosts = frozenset(config.hosts)
        self._names = (*OWN_HOSTS, *(re.sub(r":[0-9]+$", "", host) for host in self.hosts))
        self.recorder = Recorder(config.on_event, by_day=config.statistics)
        self._lock = ForkSafeLock()
        self._flow: Flow | None = None
        self._closed = False

    @property
    def flow(self) -> Flow:
        """The flow of this cache; made when it is first asked for."""
        flow = self._flow
        if flow is None:
            with importing():
                from .flow import Flow

            with self._lock:
                flow = self._flow
                if flow is None:
                    flow = Flow(self.config, self.recorder, adds_up=self.config.statistics)
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

    # For people

    def key(self, url: str, params: Any = None) -> str | None:
        """Return the key of a call as given to ``requests.get``; None for what is never cached."""
        from .tmdb import calls, urls

        target = urls.split_arguments(url, params)
        call = None if target is None else calls.classify("GET", target.url, {}, hosts=self.hosts)
        return (call.key or None) if call is not None else None

    def stats(self) -> CacheStats:
        """Return what this process has counted since the cache was made."""
        return self.recorder.counters.snapshot()

    def invalidate(
        self,
        url: str | None = None,
        *,
        params: Any = None,
        key: str | None = None,
        media_type: str | None = None,
        tmdb_id: int | str | None = None,
    ) -> int:
        """Forget one call, or all about one title, person or other thing.

        Args:
            url: an URL as given to ``requests.get``, with or without a credential; by whatever
                channel (http, https) its answers came.
            params: its params.
            key: instead, an entry's key (``response.cache_key``).
            media_type: ``movie``, ``tv``, ``person``, ``collection``, …
            tmdb_id: its id; everything below it (seasons, credits, …) goes with it.

        Returns:
            how many entries that were.

        Raises:
            TypeError: none of an url, a key, and a type with an id, or several.
            ConfigError: the URL is not TMDB's, or there is no such type.
            StoreError: MongoDB failed.
        """
        is_title = media_type is not None and tmdb_id is not None
        is_part = (media_type is None) != (tmdb_id is None)
        if (url is not None) + (key is not None) + is_title != 1 or is_part:
            raise TypeError("invalidate() takes either url= (and params=), or key=, or media_type= and tmdb_id=")
        from .store import memory
        from .tmdb.keys import keys_of_url
        from .tmdb.names import as_kept
        from .tools.listing import check_id, check_media_type

        if url is not None:
            found = keys_of_url(url, params, self.hosts)
            if not found:
                raise ConfigError("invalidate(url=…) takes an URL of TMDB, like https://api.themoviedb.org/3/movie/550")
            return self._delete_keys(found)
        if key is not None:
            if not isinstance(key, str):
                raise TypeError("key must be a string")
            check_id(key)
            return self._delete_keys((key,))
        if not isinstance(media_type, str) or not isinstance(tmdb_id, int | str):
            # A mapping would be a MongoDB operator, and match what nobody named.
            raise TypeError("media_type must be a string, and tmdb_id a number or a string")
        check_media_type(media_type)
        check_id(tmdb_id)
        kept = as_kept(tmdb_id)
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

    def _delete_keys(self, keys: tuple[str, ...]) -> int:
        from .store import memory

        def forget() -> None:
            for key in keys:
                memory.forget_key(key)

        return self._delete({"_id": {"$in": list(keys)}}, forget)

    def _delete(self, query: dict[str, Any], forget: Callable[[], None]) -> int:
        try:
            return self._store.delete(query)
        finally:
            forget()  # also where MongoDB failed: nobody wants it from memory
            self.flow.forget_calls()

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
