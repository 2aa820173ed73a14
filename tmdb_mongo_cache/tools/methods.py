"""``TMDBCache``'s methods for people; what they do is imported when they are called."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from os import PathLike

    from pymongo.collection import Collection

    from ..cache import TMDBCache
    from ..store.document import EntryInfo
    from .explaining import Explanation
    from .exporting import Progress
    from .importing import ImportReport
    from .usage import UsageReport
    from .verdicts import Verdict


class Tools:
    """The part of a :class:`~tmdb_mongo_cache.TMDBCache` that shows what it does, and copies it."""

    @property
    def _tooled(self) -> TMDBCache:
        return cast("TMDBCache", self)

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
        """List what is in the cache.

        Args:
            media_type: only of this type.
            tmdb_id: only about this id.
            endpoint: only of this endpoint: ``/3/movie/{movie_id}``, or a part of it like ``credits``.
            status: only with this one: 200, or 404 for what TMDB does not know.
            expired: True for what is no longer fresh, False for what is.
            older_than: only what was fetched longer ago (seconds or a ``timedelta``).
            newer_than: only what was fetched since.
            sort: ``key``, ``age``, ``expires`` or ``size``, the smallest first.
            reverse: the largest first.
            skip: pass over so many.
            limit: at most so many; 0 for all.

        Raises:
            ConfigError: a filter that cannot be used.
            StoreError: MongoDB failed.
        """
        from .listing import check_page, query_of

        check_page(sort, skip, limit)
        filters = {
            "media_type": media_type,
            "tmdb_id": tmdb_id,
            "endpoint": endpoint,
            "status": status,
            "expired": expired,
            "older_than": older_than,
            "newer_than": newer_than,
        }
        listing = self._tooled._store.listing
        return listing.entries(query_of(filters), sort=sort, reverse=reverse, skip=skip, limit=limit)

    def count_entries(self, **filters: Any) -> int:
        """Return how many entries there are.

        Args:
            filters: those of :meth:`entries`.

        Raises:
            TypeError: an unknown filter.
            ConfigError: a filter that cannot be used.
            StoreError: MongoDB failed.
        """
        from .listing import query_of

        return self._tooled._store.listing.count(query_of(filters))

    @property
    def collection(self) -> Collection[dict[str, Any]]:
        """The documents, as pymongo's ``Collection``: for queries of your own over ``data``.

        It belongs to this cache, and is of no use when that is closed. What fails in
        it is pymongo's error, and what is changed by it is your own responsibility.

        Raises:
            StoreError: MongoDB cannot be opened.
        """
        with self._tooled._store.connection.operation(bounded=False) as found:
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
        """Say what the cache would do with a call now, and why, without making it.

        TMDB is not called, nothing is written, counted or put into memory. MongoDB
        is looked into; where it is away the explanation says so.

        Args:
            url: as given to ``requests.get``, with or without a credential.
            params: its params.
            method: as given to ``requests.request``.
            headers: the call's own; its ``Cache-Control`` counts.
            verify: whether the call verifies the certificate of a server that has one.

        Returns:
            the explanation; ``print()`` shows it.
        """
        from .explaining import explain

        return explain(self._tooled, url, params, method=method, headers=headers, verify=verify)

    def usage(self, *, days: int = 30) -> UsageReport:
        """Return what all processes and machines that share this cache have counted, and what that saved.

        Each process adds its counts to the collection ``<collection>_stats`` after a
        second, later within half a minute, and when it ends (``statistics=False``: never).

        Args:
            days: how many days (UTC), today included.

        Raises:
            ConfigError: ``days`` is no number of days.
            StoreError: MongoDB failed.
        """
        from .usage import usage

        return usage(self._tooled, days)

    def export_entries(
        self,
        path: str | PathLike[str],
        *,
        media_type: str | None = None,
        force: bool = False,
        progress: Progress | None = None,
    ) -> int:
        """Write TMDB's answers to a file, for another machine or for tests: JSON, an entry a line, byte for byte.

        It is written as ``FILE.part`` first. Where that is there, because an
        export was interrupted less than a day ago, this one goes on behind its last
        whole line.
        Stale answers are written as well; what other hosts sent is not, nor what
        a requests-cache session keeps under keys of its own. An answer that an import
        would refuse, such as one of a host that is not in this cache's ``hosts``, is
        left out, and a warning in the log says how many and why
        (``tools.exporting.Exporting.left_out`` is the number).

        Args:
            path: the file.
            media_type: only of this type: ``movie``, ``tv``, ``person``, …
            force: replace a file that is there.
            progress: is called with what is under way, how much of it is done, and of how much.

        Returns:
            how many entries are in the file.

        Raises:
            ConfigError: the file is there already or cannot be written, or there is no such type.
            StoreError: MongoDB failed.
        """
        from .exporting import Exporting

        exporting = Exporting(self._tooled, media_type=media_type, progress=progress)
        exporting.to_file(path, force=force)
        return exporting.count

    def import_entries(self, path: str | PathLike[str], *, progress: Progress | None = None) -> ImportReport:
        """Take the entries of a file that :meth:`export_entries` has written.

        What is there already with the same fetch or a newer one stays, so after an
        interruption it is enough to begin again. Each line is checked as if a
        stranger had written it; one that must not be kept is refused, and the others go in.

        Args:
            path: the file.
            progress: is called with what is under way, how much of it is done, and of how much (kB).

        Raises:
            ConfigError: the file cannot be read, or is no export.
            StoreError: MongoDB failed.
        """
        from .importing import Importing

        importing = Importing(self._tooled, progress=progress)
        importing.from_file(path)
        return importing.report

    def _repr_html_(self) -> str:
        """Return the settings and the counts of this process as tables, for notebooks; asks no database."""
        from .html import of_cache

        return of_cache(self._tooled)

    def doctor(self, *, mend: bool = True) -> tuple[Verdict, ...]:
        """Look at all that the cache stands on: settings, connection, rights, speed, indexes, clocks, the six months.

        Where MongoDB is away that takes no more than ten seconds, and is a verdict, not an error.

        Args:
            mend: make indexes that are missing or different; False changes nothing.

        Returns:
            a :class:`~tmdb_mongo_cache.Verdict` on each thing, with what to do about it.
        """
        from .doctor import examine

        cache = self._tooled
        return examine(cache, cache._store, mend=mend)
