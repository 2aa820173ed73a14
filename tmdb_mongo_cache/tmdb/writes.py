"""Which public answers a write at TMDB makes stale (RFC 9111 section 4.4). Pure."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from . import endpoints, privacy, urls
from .credentials import looks_like_one
from .endpoints import Endpoint
from .keys import starts_of

_SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


class Touched(NamedTuple):
    """A resource that a write has changed, or may have.

    ``keys`` are how the keys of its entries begin, up to their query: those of its
    host, by every channel. ``endpoint`` is what it is about, where that has a
    number: a film is the same in every spelling of its path, and whatever host
    has told of it. Where that does not tell all (episodes have their show's),
    ``pattern`` is a regular expression for the keys.
    """

    keys: tuple[str, ...]
    endpoint: Endpoint | None
    pattern: str

    def holds(self, key: str, about: tuple[str | None, str | None, int | str | None]) -> bool:
        """Say whether an entry is one of the resource's: by its key, or by its endpoint, media type and id."""
        if any(key == own or key.startswith((f"{own}?", f"{own}#")) for own in self.keys):
            return True
        found = self.endpoint
        if found is None or about != (found.template, found.media_type, found.tmdb_id):
            return False
        return not self.pattern or re.match(self.pattern, key) is not None


def is_unsafe(method: Any) -> bool:
    """Say whether a method may change something (RFC 9110 section 9.2.1)."""
    return isinstance(method, str) and method.upper() not in _SAFE


def is_write(method: Any, status: Any) -> bool:
    """Say whether a call may have changed something: an unsafe method and an answer that is no error."""
    return is_unsafe(method) and isinstance(status, int) and 200 <= status < 400


def touched_by(url: str) -> tuple[Touched, ...]:
    """Return what a write to an URL of TMDB touches: the resource itself, and what it is a part of.

    A rating (``/3/movie/550/rating``) has no public answer of its own: it is
    the film's average that changes.
    """
    target = urls.split(url)
    if target is None or len(target.path) > urls.LONGEST_URL:  # of which nothing is kept, and writes are remembered
        return ()
    path = "/".join(["", *filter(None, target.path.split("/"))])
    if looks_like_one(path):
        return ()
    endpoint = endpoints.find(path)
    starts = starts_of(target)
    # Of what is private nothing is kept, nor is it to be named.
    is_kept = not privacy.why_straight("GET", path, has_body=False)
    found = [_touched(starts, path, endpoint)] if is_kept else []
    if endpoint.template is None:
        parent = path.rpartition("/")[0]
        above = endpoints.find(parent)
        if above.template is not None:
            found.append(_touched(starts, parent, above))
    return tuple(found)


def _touched(starts: tuple[str, ...], path: str, endpoint: Endpoint) -> Touched:
    keys = tuple(f"{start}{path}" for start in starts)
    if endpoint.template is None or endpoint.media_type is None or not isinstance(endpoint.tmdb_id, int):
        return Touched(keys, None, "")
    if endpoint.template.count("{") == 1:
        return Touched(keys, endpoint, "")  # the number says it all, and films have names of other databases
    number = str(endpoint.tmdb_id)
    # TMDB takes "550-fight-club" for 550.
    segments = [
        f"{number}(?:-[^/?#]*)?" if re.match(rf"{number}(?:-|$)", segment) else re.escape(segment)
        for segment in path.split("/")
    ]
    return Touched(keys, endpoint, f"^GET (?:https?://)?[^/?#]+{'/'.join(segments)}(?:[?#]|$)")
