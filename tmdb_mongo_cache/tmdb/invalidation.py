"""Which public responses a write to TMDB invalidates (RFC 9111 section 4.4)."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from . import endpoints, privacy, urls
from .cache_key import starts_of
from .credentials import looks_like_credential
from .endpoints import Endpoint

_SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


class Touched(NamedTuple):
    """A resource that a write may have changed.

    ``keys`` are the starts of its keys, up to the query, over any kind of connection.
    ``endpoint`` identifies it where it has a number, in every spelling of its path and
    from any host. Where that is ambiguous (an episode has its show's id), ``pattern``
    is a regular expression for its keys.
    """

    keys: tuple[str, ...]
    endpoint: Endpoint | None
    pattern: str

    def holds(self, key: str, about: tuple[str | None, str | None, int | str | None]) -> bool:
        """Return whether an entry is of this resource: by its key, or by its endpoint, media type and id."""
        if any(key == own or key.startswith((f"{own}?", f"{own}#")) for own in self.keys):
            return True
        found = self.endpoint
        if found is None or about != (found.template, found.media_type, found.tmdb_id):
            return False
        return not self.pattern or re.match(self.pattern, key) is not None


def is_unsafe(method: Any) -> bool:
    """Return whether a method is unsafe (RFC 9110 section 9.2.1)."""
    return isinstance(method, str) and method.upper() not in _SAFE


def is_write(method: Any, status: Any) -> bool:
    """Return whether a call may have changed something: an unsafe method, and no error."""
    return is_unsafe(method) and isinstance(status, int) and 200 <= status < 400


def touched_by(url: str) -> tuple[Touched, ...]:
    """Return the resources that a write to an URL of TMDB invalidates: its own, and the one it is part of.

    A rating (``/3/movie/550/rating``) has no public response: it changes the film's
    average.
    """
    target = urls.split(url)
    if target is None or len(target.path) > urls.LONGEST_URL:  # never stored, and writes are remembered
        return ()
    path = "/".join(["", *filter(None, target.path.split("/"))])
    if looks_like_credential(path):
        return ()
    endpoint = endpoints.find(path)
    starts = starts_of(target)
    # What is private is never stored, nor named.
    is_kept = not privacy.bypass_reason("GET", path, has_body=False)
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
        return Touched(keys, endpoint, "")  # the number is enough: films have ids of other databases as well
    number = str(endpoint.tmdb_id)
    # TMDB takes "550-fight-club" for 550.
    segments = [
        f"{number}(?:-[^/?#]*)?" if re.match(rf"{number}(?:-|$)", segment) else re.escape(segment)
        for segment in path.split("/")
    ]
    return Touched(keys, endpoint, f"^GET (?:https?://)?[^/?#]+{'/'.join(segments)}(?:[?#]|$)")
