"""Which public answers a write at TMDB makes stale (RFC 9111 section 4.4). Pure."""

from __future__ import annotations

from typing import NamedTuple

from . import endpoints, urls
from .endpoints import Endpoint
from .hosts import HOST

_SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


class Touched(NamedTuple):
    """A resource that a write has changed, or may have.

    ``key`` is how the keys of its entries begin, up to their query. ``endpoint``
    is what it is about, where that alone tells it: a film is the same in every
    spelling of its path.
    """

    key: str
    endpoint: Endpoint | None


def is_write(method: str | None, status: int) -> bool:
    """Say whether a call may have changed something: an unsafe method and an answer that is no error."""
    return bool(method) and str(method).upper() not in _SAFE and 200 <= status < 400


def touched_by(url: str) -> tuple[Touched, ...]:
    """Return what a write to an URL of TMDB touches: the resource itself, and what it is a part of.

    A rating (``/3/movie/550/rating``) has no public answer of its own: it is
    the film's average that changes.
    """
    target = urls.split(url)
    if target is None:
        return ()
    path = urls.canonical_path(target.path).rstrip("/")
    endpoint = endpoints.find(path)
    found = [_touched(path, endpoint)]
    if endpoint.template is None:
        parent = path.rpartition("/")[0]
        above = endpoints.find(parent)
        if above.template is not None:
            found.append(_touched(parent, above))
    return tuple(found)


def _touched(path: str, endpoint: Endpoint) -> Touched:
    template = endpoint.template or ""
    alone = endpoint.tmdb_id is not None and endpoint.media_type is not None and template.count("{") == 1
    return Touched(f"GET {HOST}{path}", endpoint if alone else None)
