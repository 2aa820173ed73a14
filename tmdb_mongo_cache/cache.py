"""``TMDBCache``, the facade: each method calls one function on the engine, imported when it is needed.

And the cache to use where none is given.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from . import deferred_install
from .config import CacheConfig
from .context import active, installed_cache
from .engine import Engine
from .environment import config_environment, configure_log
from .errors import CLOSED, StoreError
from .fork import ForkSafeLock
from .metrics.counters import CacheStats
from .tmdb.hosts import BASE_URL
from .tmdb.rate_limit import DEFAULT_RATE, MAX_CONNECTIONS

if TYPE_CHECKING:
    from os import PathLike

    from pymongo.collection import Collection

    from .doctor.verdicts import Verdict
    from .formatting import Progress
    from .inspection.explain import Explanation
    from .inspection.usage import UsageReport
    from .maintenance.change_feed import ChangesReport
    from .maintenance.warm import WarmReport
    from .mongo.document import EntryInfo
    from .transfer.importer import ImportReport


class TMDBCache:
    """A cache of TMDB's responses in MongoDB.

    ``TMDBCache()`` reads its settings from the environment, ``TMDBCache(config)``
    from a :class:`CacheConfig`; keyword arguments override single settings. It
    connects to MongoDB at the first call. Thread-safe and fork-safe; a context
    manager that closes it.

    Raises:
        TypeError: an unknown setting.
        ConfigError: an invalid value.
    """

    def __init__(self, config: CacheConfig | None = None, **settings: Any) -> None:
        if config is None:
            config = CacheConfig.from_env(**settings)
        elif not isinstance(config, CacheConfig):
            raise TypeError(f"config must be a CacheConfig, not {type(config).__name__}")
        elif settings:
            config = config.changed(**settings)
        configure_log()
        self.engine = Engine(config)

    @property
    def config(self) -> CacheConfig:
        """The settings."""
        return self.engine.config

    def key(self, url: str, params: Any = None) -> str | None:
        """Return the cache key of a call, with the arguments of ``requests.get``; None if it is never cached."""
        from .tmdb import call as calls
        from .tmdb import urls

        target = urls.split_arguments(url, params)
        call = None if target is None else calls.classify("GET", target.url, {}, hosts=self.engine.hosts)
        return (call.key or None) if call is not None else None

    def stats(self) -> CacheStats:
        """Return the counts of this process since the cache was created."""
        return self.engine.recorder.counters.snapshot()

    def invalidate(
        self,
        url: str | None = None,
        *,
        params: Any = None,
        key: str | None = None,
        media_type: str | None = None,
        tmdb_id: int | str | None = None,
    ) -> int:
        """Delete the responses to one call, or everything about one title, person or other thing.

        Args:
            url: a URL as given to ``requests.get``, with or without a credential; responses are deleted
                whether they came by http or https.
            params: its params.
            key: instead, the key of an entry (``response.cache_key``).
            media_type: ``movie``, ``tv``, ``person``, ``collection``, …
            tmdb_id: its id; everything below it (seasons, credits, …) is deleted as well.

        Returns:
            the number of deleted entries.

        Raises:
            TypeError: not exactly one of a URL, a key, and a type with an id.
            ConfigError: the URL is not TMDB's, or there is no such type.
            StoreError: MongoDB failed.
        """
        from .maintenance import deletion

        return deletion.invalidate(self.engine, url, params=params, key=key, media_type=media_type, tmdb_id=tmdb_id)

    def clear(self) -> int:
        """Empty the collection; return the number of deleted documents.

        Raises:
            StoreError: MongoDB failed.
        """
        from .maintenance import deletion

        return deletion.clear(self.engine)

    def purge(self, *, everything: bool = False) -> int:
        """Delete responses that must no longer be stored: older than six months, or past their ``purge_at``.

        MongoDB deletes those by itself; use this where it does not (the index could
        not be created), and when your access to TMDB ends.

        Args:
            everything: delete all TMDB responses, and the cache's own state. Responses of
                other hosts, which ``MongoBackend`` may have stored, stay.

        Returns:
            the number of deleted responses.

        Raises:
            StoreError: MongoDB failed.
        """
        from .maintenance import deletion

        return deletion.purge(self.engine, everything=everything)

    def refresh_changes(
        self,
        *,
        prefetch: bool = False,
        rate: float = DEFAULT_RATE,
        connections: int = MAX_CONNECTIONS,
        api_key: str | None = None,
        base_url: str = BASE_URL,
        progress: Progress | None = None,
    ) -> ChangesReport:
        """Follow TMDB's change feed from where the last run ended: what has changed there becomes stale here.

        That is every entry about a changed film, show or person, with seasons,
        episodes and sub-resources. The position in the feed is stored in MongoDB;
        any machine can continue, one at a time. After an error, run it again.

        Args:
            prefetch: fetch again what changes have made stale.
            rate: maximum calls per second.
            connections: maximum concurrent calls when fetching again, at most 20.
            api_key: a TMDB API key or Bearer token; None: ``TMDB_API_KEY``.
            base_url: TMDB's base URL; any other server must be listed in ``hosts``.
            progress: is called with the current step, how much of it is done, and its total.

        Raises:
            ConfigError: an argument is invalid.
            UpstreamError: TMDB failed, or rejects the API key.
            StoreError: MongoDB failed.
        """
        from .maintenance.change_feed import refresh_changes

        return refresh_changes(
            self.engine,
            prefetch=prefetch,
            rate=rate,
            connections=connections,
            api_key=api_key,
            base_url=base_url,
            progress=progress,
        )

    def warm(
        self,
        ids: Iterable[int | str] | int | str | PathLike[str],
        *,
        media_type: str | None = None,
        append: Sequence[str] = (),
        coalesce_appended: bool = True,
        params: Mapping[str, str] | None = None,
        min_popularity: float | None = None,
        rate: float = DEFAULT_RATE,
        connections: int = MAX_CONNECTIONS,
        api_key: str | None = None,
        base_url: str = BASE_URL,
        progress: Progress | None = None,
    ) -> WarmReport:
        """Fetch titles or people that are missing from the cache or stale; fresh ones cost no call.

        Each response is stored at once, so that an interrupted run resumes where it ended.

        Args:
            ids: TMDB ids, or the path of one of TMDB's daily id exports (``movie_ids_11_22_2026.json.gz``).
            media_type: ``movie``, ``tv``, ``person``, ``collection``, ``company``, ``network`` or ``keyword``.
                None: by the name of the export, else ``movie``.
            append: sub-resources to fetch as well: ``("credits", "images")``.
            coalesce_appended: append them to the title's details, up to twenty per call; this serves programs
                that append the same, or, with ``reuse_appended``, parts of it. False: each by a call of its own.
            params: the params of the program's calls, like ``{"language": "de"}``.
            min_popularity: skip less popular ids of an export.
            rate: maximum calls per second.
            connections: maximum concurrent calls, at most 20.
            api_key: a TMDB API key or Bearer token; None: ``TMDB_API_KEY``.
            base_url: TMDB's base URL; any other server must be listed in ``hosts``.
            progress: is called with the current step, how much of it is done, and its total.

        Raises:
            ConfigError: an argument is invalid.
            UpstreamError: TMDB rejects the API key, or fails repeatedly.
            StoreError: MongoDB failed.
        """
        from .maintenance.warm import warm

        return warm(
            self.engine,
            ids,
            media_type=media_type,
            append=append,
            coalesce_appended=coalesce_appended,
            params=params,
            min_popularity=min_popularity,
            rate=rate,
            connections=connections,
            api_key=api_key,
            base_url=base_url,
            progress=progress,
        )

    def entries(
        self,
        *,
        media_type: str | None = None,
        tmdb_id: int | str | None = None,
        endpoint: str | None = None,
        status: int | None = None,
        expired: bool | None = None,
        older_than: float | timedelta | None = None,
        newer_than: float | timedelta | None = None,
        sort: str = "key",
        reverse: bool = False,
        skip: int = 0,
        limit: int = 0,
    ) -> Iterator[EntryInfo]:
        """List entries.

        Args:
            media_type: only of this type.
            tmdb_id: only about this id.
            endpoint: only of this endpoint: ``/3/movie/{movie_id}``, or a part of it like ``credits``.
            status: only with this status: 200, or 404 for what TMDB does not know.
            expired: True for stale entries only, False for fresh ones only.
            older_than: only those fetched longer ago than this (seconds or a ``timedelta``).
            newer_than: only those fetched more recently than this.
            sort: ``key``, ``age``, ``expires`` or ``size``, in ascending order.
            reverse: in descending order.
            skip: skip this many.
            limit: return at most this many; 0 for all.

        Raises:
            ConfigError: an invalid filter.
            StoreError: MongoDB failed.
        """
        from .mongo.filters import check_page, query_of

        check_page(sort, skip, limit)
        query = query_of(
            media_type=media_type,
            tmdb_id=tmdb_id,
            endpoint=endpoint,
            status=status,
            expired=expired,
            older_than=older_than,
            newer_than=newer_than,
        )
        return self.engine.store.queries.entries(query, sort=sort, reverse=reverse, skip=skip, limit=limit)

    def count_entries(self, **filters: Any) -> int:
        """Count entries.

        Args:
            filters: those of :meth:`entries`.

        Raises:
            TypeError: an unknown filter.
            ConfigError: an invalid filter.
            StoreError: MongoDB failed.
        """
        from .mongo.filters import query_of

        return self.engine.store.queries.count(query_of(**filters))

    @property
    def collection(self) -> Collection[dict[str, Any]]:
        """The documents, as pymongo's ``Collection``, for your own queries over ``data``.

        It can be used until the cache is closed. Its errors are pymongo's, and what you
        change in it is your own responsibility.

        Raises:
            StoreError: MongoDB is not available.
        """
        with self.engine.store.connection.operation(bounded=False) as found:
            return found

    def explain(
        self,
        url: str,
        params: Any = None,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        verify: bool = True,
    ) -> Explanation:
        """Explain what the cache would do with a call now, and why, without making it.

        TMDB is not called; nothing is written, counted or stored in memory. MongoDB
        is read; if it is not available, the explanation says so.

        Args:
            url: as given to ``requests.get``, with or without a credential.
            params: its params.
            method: as given to ``requests.request``.
            headers: the headers of the call; ``Cache-Control`` is respected.
            verify: whether the call verifies TLS certificates.

        Returns:
            the explanation; ``print()`` shows it.
        """
        from .inspection.explain import explain

        return explain(self.engine, url, params, method=method, headers=headers, verify=verify)

    def usage(self, *, days: int = 30) -> UsageReport:
        """Return the counts of all processes and machines that share this cache, and what it has saved.

        Each process adds its counts to the collection ``<collection>_stats`` after a
        second, later within half a minute, and when it exits (``statistics=False``: never).

        Args:
            days: number of days (UTC), including today.

        Raises:
            ConfigError: ``days`` is not a number of days.
            StoreError: MongoDB failed.
        """
        from .inspection.usage import usage

        return usage(self.engine, days)

    def export_entries(
        self,
        path: str | PathLike[str],
        *,
        media_type: str | None = None,
        force: bool = False,
        progress: Progress | None = None,
    ) -> int:
        """Export TMDB's responses to a file, for another machine or for tests: JSON Lines, bodies byte for byte.

        The file is written as ``FILE.part`` first. If that exists, because an export
        was interrupted less than a day ago, the export resumes after its last whole line.
        Stale responses are exported as well; those of other hosts are not, nor those
        that a requests-cache session stores under its own keys. Responses that an
        import would refuse, such as those of a host that is not in this cache's
        ``hosts``, are left out, and a warning in the log says how many and why.

        Args:
            path: the file.
            media_type: only of this type: ``movie``, ``tv``, ``person``, …
            force: overwrite an existing file.
            progress: is called with the current step, how much of it is done, and its total.

        Returns:
            the number of entries in the file.

        Raises:
            ConfigError: the file exists or cannot be written, or there is no such type.
            StoreError: MongoDB failed.
        """
        from .transfer.exporter import Exporter

        return Exporter(self.engine, media_type=media_type, progress=progress).to_file(path, force=force)

    def import_entries(self, path: str | PathLike[str], *, progress: Progress | None = None) -> ImportReport:
        """Import the entries of a file that :meth:`export_entries` has written.

        A cached response that was fetched at the same time or later is not replaced, so
        after an interruption it is enough to run it again. Each line is validated as
        if a stranger had written it; invalid lines are refused, the others imported.

        Args:
            path: the file.
            progress: is called with the current step, how much of it is done, and its total (kB).

        Raises:
            ConfigError: the file cannot be read, or is not an export.
            StoreError: MongoDB failed.
        """
        from .transfer.importer import Importer

        return Importer(self.engine, progress=progress).from_file(path)

    def _repr_html_(self) -> str:
        """Return the settings and the counts of this process as tables, for notebooks; does not use MongoDB."""
        from .inspection.notebook import of_cache

        return of_cache(self.engine, self.stats())

    def doctor(self, *, mend: bool = True) -> tuple[Verdict, ...]:
        """Diagnose settings, connection, permissions, latency, indexes, clocks and the six months of TMDB's terms.

        If MongoDB is not available, that is a verdict, not an error, after at most ten seconds.

        Args:
            mend: create or correct indexes where needed; False changes nothing.

        Returns:
            a :class:`~tmdb_mongo_cache.Verdict` for each check, with what to do about it.
        """
        from .doctor.checkup import examine

        return examine(self.engine, mend=mend)

    def close(self) -> None:
        """Let refreshes in flight end, and close the connection to MongoDB; idempotent."""
        self.engine.close()

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called; calls then bypass the cache."""
        return self.engine.closed

    def __enter__(self) -> TMDBCache:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"TMDBCache({self.config!r})"


_lock = ForkSafeLock()
_default: tuple[tuple[str | None, ...], TMDBCache] | None = None


def default_cache() -> TMDBCache:
    """Return the cache to use when none is given: the one in force, or one configured by the environment."""
    global _default
    deferred_install.run()
    found = active()
    for cache in (None if found is None else found.cache, installed_cache()):
        if cache is not None and not cache.closed:
            return cache  # type: ignore[no-any-return]
    environment = config_environment()
    default = _default
    if default is not None and default[0] == environment and not default[1].closed:
        return default[1]
    with _lock:
        if _default is None or _default[0] != environment or _default[1].closed:
            _default = (environment, TMDBCache())
        return _default[1]


def resolve_cache(cache: TMDBCache | CacheConfig | None, config: Mapping[str, Any]) -> tuple[TMDBCache, bool]:
    """Return the cache that an integration's arguments select, and whether it was created for them.

    Raises:
        TypeError: both a cache and settings, or something that is not a cache.
        ConfigError: an invalid setting.
        StoreError: the cache is closed.
    """
    if isinstance(cache, TMDBCache):
        if config:
            raise TypeError("give either a cache or settings for a new one, not both")
        if cache.closed:
            raise StoreError(CLOSED)
        return cache, False
    if cache is None and not config:
        return default_cache(), False
    if cache is not None and not isinstance(cache, CacheConfig):
        raise TypeError(f"cache must be a TMDBCache, not {type(cache).__name__}")
    return TMDBCache(cache, **config), True
