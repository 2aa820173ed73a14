"""``TMDBCache``'s methods that call TMDB by themselves; what they do is imported when they are called."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, cast

from ..tmdb.hosts import BASE_URL
from ..tmdb.limits import MOST_CONNECTIONS, RATE

if TYPE_CHECKING:
    from os import PathLike

    from ..cache import TMDBCache
    from .fetching import Progress
    from .following import ChangesReport
    from .warming import WarmReport


class Jobs:
    """The part of a :class:`~tmdb_mongo_cache.TMDBCache` that fills it and keeps it up to date."""

    @property
    def _cache(self) -> TMDBCache:
        return cast("TMDBCache", self)

    def refresh_changes(
        self,
        *,
        prefetch: bool = False,
        rate: float = RATE,
        connections: int = MOST_CONNECTIONS,
        api_key: str | None = None,
        base_url: str = BASE_URL,
        progress: Progress | None = None,
    ) -> ChangesReport:
        """Follow TMDB's feed of changes since the last time: what was changed there becomes stale here.

        That is every entry about a changed film, show or person, with seasons,
        episodes and sub-resources. How far it is, is kept in MongoDB; any machine
        may go on, and one at a time does. After an error run it again.

        Args:
            prefetch: fetch again what changes have made stale.
            rate: calls a second at most.
            connections: how many at once when fetching again, 20 at most.
            api_key: TMDB's key or Bearer token; None: ``TMDB_API_KEY``.
            base_url: where TMDB is; a server of one's own must be among ``hosts``.
            progress: is called with what is under way, how much of it is done, and of how much.

        Raises:
            ConfigError: something of this cannot be used.
            UpstreamError: TMDB failed, or refuses the key.
            StoreError: MongoDB failed.
        """
        from .following import Following
        from .upstream import Upstream

        with Upstream(self._cache, api_key=api_key, rate=rate, connections=connections, base_url=base_url) as upstream:
            return Following(self._cache, upstream, progress).run(prefetch=prefetch, connections=connections)

    def warm(
        self,
        ids: Iterable[int | str] | int | str | PathLike[str],
        *,
        media_type: str | None = None,
        append: Sequence[str] = (),
        coalesce_appended: bool = True,
        params: Mapping[str, str] | None = None,
        min_popularity: float | None = None,
        rate: float = RATE,
        connections: int = MOST_CONNECTIONS,
        api_key: str | None = None,
        base_url: str = BASE_URL,
        progress: Progress | None = None,
    ) -> WarmReport:
        """Fetch what is missing or stale of titles or people; what is fresh costs no call.

        What was fetched is stored at once, so who is interrupted goes on where it ended.

        Args:
            ids: TMDB's ids, or the path of one of its daily exports (``movie_ids_11_22_2026.json.gz``).
            media_type: ``movie``, ``tv``, ``person``, ``collection``, ``company``, ``network`` or ``keyword``.
                None: what the export's name says, else ``movie``.
            append: sub-resources to fetch as well: ``("credits", "images")``.
            coalesce_appended: appended to the title's details, up to twenty to a call; this answers
                programs that append the same, or, with ``reuse_appended``, parts of it. False: each by itself.
            params: for every call, like ``{"language": "de"}``: those with which the program will ask.
            min_popularity: of an export, leaves out what is less popular.
            rate: calls a second at most.
            connections: how many at once, 20 at most.
            api_key: TMDB's key or Bearer token; None: ``TMDB_API_KEY``.
            base_url: where TMDB is; a server of one's own must be among ``hosts``.
            progress: is called with what is under way, how much of it is done, and of how much.

        Raises:
            ConfigError: something of this cannot be used.
            UpstreamError: TMDB refuses the key, or fails again and again.
            StoreError: MongoDB failed.
        """
        from .upstream import Upstream
        from .warming import Warming

        with Upstream(self._cache, api_key=api_key, rate=rate, connections=connections, base_url=base_url) as upstream:
            warming = Warming(
                upstream,
                ids,
                media_type=media_type,
                append=append,
                coalesce_appended=coalesce_appended,
                params=params,
                min_popularity=min_popularity,
                progress=progress,
            )
            return warming.run(connections)
