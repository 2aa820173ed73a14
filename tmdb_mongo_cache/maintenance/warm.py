"""Warming the cache: titles and people by their ids, or from one of TMDB's daily id exports."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode

from ..errors import ConfigError
from ..formatting import Progress
from ..tmdb.appended_parts import PARTS
from ..tmdb.credentials import looks_like_credential, looks_like_credential_name
from ..tmdb.endpoint_names import is_text
from ..tmdb.endpoints import APPENDABLE, BY_ID
from .bulk_fetch import BulkFetcher, Status, Target
from .id_exports import media_type_of, read_export
from .tmdb_client import Upstream

if TYPE_CHECKING:
    from ..engine import Engine

_ID = re.compile("[0-9]{1,19}")
_SEASON = re.compile(r"season/[0-9]{1,4}")
_MOST_PARTS = 20
"""TMDB appends at most this many to one response (its error 27)."""


class WarmReport(NamedTuple):
    """The result of warming.

    Attributes:
        total: calls that the ids and parts amount to, cached or not.
        fetched: of those, responses that were fetched and stored.
        confirmed: stale responses that TMDB has revalidated (304).
        fresh: responses that were already cached and fresh.
        missing: not known to TMDB (404; cached for ``not_found_expire_after``).
        failed: those that could not be fetched, by name (``movie 550``), and why.
        calls: calls made to TMDB.
        seconds: how long it took.
    """

    total: int
    fetched: int
    confirmed: int
    fresh: int
    missing: int
    failed: tuple[tuple[str, str], ...]
    calls: int
    seconds: float


class Warmer:
    """One run of :meth:`~tmdb_mongo_cache.TMDBCache.warm`, which has the arguments; ``report`` is its state.

    Raises:
        ConfigError: an argument is invalid.
    """

    def __init__(
        self,
        upstream: Upstream,
        ids: Iterable[int | str] | int | str | PathLike[str],
        *,
        media_type: str | None = None,
        append: Sequence[str] = (),
        coalesce_appended: bool = True,
        params: Mapping[str, str] | None = None,
        min_popularity: float | None = None,
        progress: Progress | None = None,
    ) -> None:
        if (isinstance(ids, int) and not isinstance(ids, bool)) or (isinstance(ids, str) and _ID.fullmatch(ids)):
            ids = [ids]
        if isinstance(ids, str | PathLike):
            named = media_type_of(ids)
            if not Path(ids).exists():
                raise ConfigError(f"cannot read {ids}: No such file or directory")
            if media_type is None and named is None:
                raise ConfigError(f"{ids}: its name does not tell the type of its ids; give it, like 'movie'")
            if media_type is not None and named is not None and named != media_type:
                raise ConfigError(f"{ids}: its name says that its ids are of type {named!r}, not {media_type!r}")
            media_type = media_type or named
        media_type = media_type or "movie"
        if not isinstance(media_type, str) or media_type not in BY_ID:
            raise ConfigError(f"media_type must be one of {', '.join(BY_ID)}, not {media_type!r}")
        if min_popularity is not None and not isinstance(ids, str | PathLike):
            raise ConfigError("min_popularity needs an id export, which has the popularity of each id")
        self._media_type = media_type
        self._ids = read_export(ids, min_popularity) if isinstance(ids, str | PathLike) else _checked(ids)
        self._calls = _calls(_parts(media_type, append), _params(params), coalesce=coalesce_appended)
        self._upstream = upstream
        self._fetcher = BulkFetcher(upstream, progress or (lambda *_: None))
        self._began = monotonic()

    def run(self) -> WarmReport:
        """Fetch what is missing or stale; raises as :meth:`.BulkFetcher.run` does."""
        self._fetcher.run(self._targets(), len(self._ids) * len(self._calls))
        return self.report

    def _targets(self) -> Iterator[Target]:
        """Yield the calls of all ids, those of one id together."""
        before_id = BY_ID[self._media_type].partition("{")[0]
        for number in self._ids:
            for suffix, query in self._calls:
                url = self._upstream.url(f"{before_id}{number}{suffix}", query)
                yield Target(f"{self._media_type} {number}{suffix}", self._upstream.key(url), url)

    @property
    def report(self) -> WarmReport:
        """The result so far."""
        counts = self._fetcher.counts
        return WarmReport(
            total=len(self._ids) * len(self._calls),
            fetched=counts[Status.FETCHED],
            confirmed=counts[Status.REVALIDATED],
            fresh=counts[Status.FRESH],
            missing=counts[Status.NOT_FOUND],
            failed=tuple(self._fetcher.failed),
            calls=self._upstream.calls,
            seconds=monotonic() - self._began,
        )


def _checked(ids: object) -> list[int]:
    if not isinstance(ids, Iterable):
        raise ConfigError(f"ids must be TMDB ids, or the path of an id export, not {ids!r}")
    return list(dict.fromkeys(map(_checked_id, ids)))


def _checked_id(number: object) -> int:
    text = str(number) if isinstance(number, int | str) and not isinstance(number, bool) else ""
    if not _ID.fullmatch(text) or not 0 < int(text) < 2**63:
        raise ConfigError(f"{number!r:.60} is not a TMDB id: those are positive integers, like 550")
    return int(text)


def _parts(media_type: str, append: Sequence[str]) -> tuple[str, ...]:
    """Return the sub-resources to append, without duplicates."""
    if isinstance(append, str):
        append = append.split(",")
    if not isinstance(append, Iterable) or not all(isinstance(part, str) for part in append):
        raise ConfigError(f"append must be names of sub-resources, like ['credits', 'images'], not {append!r}")
    parts = tuple(dict.fromkeys(part.strip() for part in append if part.strip()))
    if parts and BY_ID[media_type] not in PARTS:
        others = ", ".join(name for name, template in BY_ID.items() if template in PARTS)
        raise ConfigError(f"TMDB appends nothing to a {media_type}, only to {others}")
    known = APPENDABLE[BY_ID[media_type]]
    for part in parts:
        if part not in known and not (media_type == "tv" and _SEASON.fullmatch(part)):
            also = " season/1" if media_type == "tv" else ""
            raise ConfigError(f"TMDB cannot append {part!r} to a {media_type}, only: {' '.join(sorted(known))}{also}")
    return parts


def _params(params: Mapping[str, str] | None) -> dict[str, str]:
    if params is not None and not isinstance(params, Mapping):
        raise ConfigError("params must be a mapping, like {'language': 'de'}")
    found = {str(name): str(value) for name, value in (params or {}).items()}
    for name in found:
        is_credential = looks_like_credential_name(name) or looks_like_credential(f"{name}={found[name]}")
        if is_credential or name in ("append_to_response", "callback"):
            raise ConfigError(f"params must not contain {name!r:.40}")
    if not all(map(is_text, (*found, *found.values()))):
        raise ConfigError("params must be text in UTF-8")
    return found


def _calls(parts: tuple[str, ...], params: Mapping[str, str], *, coalesce: bool) -> tuple[tuple[str, str], ...]:
    """Return the calls for each id: what follows it in the path, and the query."""
    if not coalesce or not parts:
        return tuple((suffix, urlencode(params)) for suffix in ("", *(f"/{part}" for part in parts)))
    groups = [parts[first : first + _MOST_PARTS] for first in range(0, len(parts), _MOST_PARTS)]
    return tuple(("", urlencode({**params, "append_to_response": ",".join(group)})) for group in groups)


def warm(engine: Engine, ids: Iterable[int | str] | int | str | PathLike[str], **options: Any) -> WarmReport:
    """Warm a cache; ``options`` are those of :class:`Warmer` and of :class:`.Upstream`."""
    of_upstream = {name: options.pop(name) for name in ("api_key", "rate", "connections", "base_url")}
    with Upstream(engine, **of_upstream) as upstream:
        return Warmer(upstream, ids, **options).run()
