"""Filling the cache: titles and people by their ids, or by one of TMDB's daily exports."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from time import monotonic
from typing import NamedTuple
from urllib.parse import urlencode

from ..errors import ConfigError
from ..tmdb.credentials import looks_like_one, names_one
from ..tmdb.endpoints import APPENDABLE, BY_ID
from ..tmdb.names import is_text
from ..tmdb.parts import PARTS
from .exports import media_type_of, read_export
from .fetching import Came, Counts, Fetching, Progress, Wish
from .upstream import Upstream

_ID = re.compile("[0-9]{1,19}")
_SEASON = re.compile(r"season/[0-9]{1,4}")
_MOST_PARTS = 20
"""TMDB appends no more to one answer (its error 27)."""


class WarmReport(NamedTuple):
    """What filling came to.

    Attributes:
        total: calls that were wished for.
        fetched: of those, answers that were fetched and stored.
        confirmed: stale ones of which TMDB said that nothing had changed.
        fresh: those that were there and fresh already.
        missing: those that TMDB does not know (404; kept for ``not_found_expire_after``).
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


class Warming:
    """One filling of the cache.

    Args:
        upstream: TMDB, and where the answers are kept.
        ids: TMDB's ids, or the path of an export.
        media_type: what the ids are of; None: what the export's name says, else films.
        append: sub-resources (``credits``, ``images``, ``season/1``) to fetch as well.
        coalesce_appended: fetch those appended to the title's details, twenty to a call; else each by itself.
        params: for every call, like ``{"language": "de"}``.
        min_popularity: leaves out what the export says is less popular.
        progress: is told how far it is.

    Raises:
        ConfigError: something of this cannot be used.
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
        is_file = isinstance(ids, str | PathLike)
        if is_file:
            named = media_type_of(ids)  # type: ignore[arg-type]
            if not Path(ids).exists():  # type: ignore[arg-type]
                raise ConfigError(f"{ids} cannot be read: No such file or directory")
            if media_type is None and named is None:
                raise ConfigError(f"{ids}: its name does not say what its ids are of; give the type, like 'movie'")
            if media_type is not None and named is not None and named != media_type:
                raise ConfigError(f"{ids}: by its name these are ids of type {named!r}, not {media_type!r}")
            media_type = media_type or named
        media_type = media_type or "movie"
        if not isinstance(media_type, str) or media_type not in BY_ID:
            raise ConfigError(f"media_type must be one of {', '.join(BY_ID)}, not {media_type!r}")
        if min_popularity is not None and not is_file:
            raise ConfigError("min_popularity goes with an export, which says how popular each id is")
        found = read_export(ids, min_popularity) if is_file else _checked(ids)  # type: ignore[arg-type]
        self._media_type, self._ids = media_type, found
        self._calls = _calls(_parts(media_type, append), _params(params), coalesce=coalesce_appended)
        self._upstream = upstream
        self._fetching = Fetching(upstream, progress or (lambda *_: None))
        self._began = monotonic()

    def run(self, connections: int) -> WarmReport:
        """Fetch what is missing or stale; see :meth:`.fetching.Fetching.run` for what it raises."""
        self._began = monotonic()
        self._fetching.run(self._wishes(), len(self._ids) * len(self._calls), connections)
        return self.report

    def _wishes(self) -> Iterator[Wish]:
        """Give the calls for all ids, an id's one after the other."""
        before_id = BY_ID[self._media_type].partition("{")[0]
        for number in self._ids:
            for suffix, query in self._calls:
                url = self._upstream.url(f"{before_id}{number}{suffix}", query)
                yield Wish(f"{self._media_type} {number}{suffix}", self._upstream.key(url), url)

    @property
    def report(self) -> WarmReport:
        """What it has come to by now."""
        counts: Counts = self._fetching.counts
        return WarmReport(
            total=len(self._ids) * len(self._calls),
            fetched=counts[Came.FETCHED],
            confirmed=counts[Came.CONFIRMED],
            fresh=counts[Came.FRESH],
            missing=counts[Came.MISSING],
            failed=tuple(counts.failed),
            calls=self._upstream.calls,
            seconds=monotonic() - self._began,
        )


def _checked(ids: Iterable[int | str]) -> list[int]:
    if not isinstance(ids, Iterable):
        raise ConfigError(f"ids must be TMDB's ids, or the path of an export, not {ids!r}")
    return list(dict.fromkeys(map(_checked_id, ids)))


def _checked_id(number: object) -> int:
    text = str(number) if isinstance(number, int | str) and not isinstance(number, bool) else ""
    if not _ID.fullmatch(text) or not 0 < int(text) < 2**63:
        raise ConfigError(f"{number!r:.60} is no id of TMDB's: those are whole numbers above 0, like 550")
    return int(text)


def _parts(media_type: str, append: Sequence[str]) -> tuple[str, ...]:
    """Return what is to be appended, each once."""
    if isinstance(append, str):
        append = append.split(",")
    if not isinstance(append, Iterable) or not all(isinstance(part, str) for part in append):
        raise ConfigError(f"append must be names of sub-resources, like ['credits', 'images'], not {append!r}")
    parts = tuple(dict.fromkeys(part.strip() for part in append if part.strip()))
    if parts and BY_ID[media_type] not in PARTS:
        others = ", ".join(name for name, template in BY_ID.items() if template in PARTS)
        raise ConfigError(f"TMDB appends nothing to a {media_type}; it does for {others}")
    known = APPENDABLE[BY_ID[media_type]]
    for part in parts:
        if part not in known and not (media_type == "tv" and _SEASON.fullmatch(part)):
            also = " season/1" if media_type == "tv" else ""
            raise ConfigError(f"TMDB appends no {part!r} to a {media_type}; there are: {' '.join(sorted(known))}{also}")
    return parts


def _params(params: Mapping[str, str] | None) -> dict[str, str]:
    if params is not None and not isinstance(params, Mapping):
        raise ConfigError("params must be a mapping, like {'language': 'de'}")
    found = {str(name): str(value) for name, value in (params or {}).items()}
    for name in found:
        if names_one(name) or looks_like_one(f"{name}={found[name]}") or name in ("append_to_response", "callback"):
            raise ConfigError(f"params: {name!r:.40} is not to be given here")
    if not all(map(is_text, (*found, *found.values()))):
        raise ConfigError("params must be text in UTF-8")
    return found


def _calls(parts: tuple[str, ...], params: Mapping[str, str], *, coalesce: bool) -> tuple[tuple[str, str], ...]:
    """Return what is asked for of each id: what follows it in the path, and the query."""
    if not coalesce or not parts:
        return tuple((suffix, urlencode(params)) for suffix in ("", *(f"/{part}" for part in parts)))
    groups = [parts[first : first + _MOST_PARTS] for first in range(0, len(parts), _MOST_PARTS)]
    return tuple(("", urlencode({**params, "append_to_response": ",".join(group)})) for group in groups)
