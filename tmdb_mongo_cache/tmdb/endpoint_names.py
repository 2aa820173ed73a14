"""Names of endpoints and media types for filters: all of the table's, and parts of them."""

from __future__ import annotations

from .endpoints import ENDPOINTS, find

TEMPLATES: tuple[str, ...] = tuple(template for templates in ENDPOINTS.values() for template in templates)
"""The public v3 path templates: the possible values of ``endpoint`` in a document."""

MEDIA_TYPES: tuple[str, ...] = tuple(
    dict.fromkeys(found for template in TEMPLATES if (found := find(template).media_type) is not None)
)
"""The media types, in the order of the endpoints."""


def templates_with(name: str) -> tuple[str, ...]:
    """Return the path templates that match a name: a template, or whole segments of it.

    ``credits`` matches ``/3/movie/{movie_id}/credits`` and others, but not
    ``…/movie_credits``.
    """
    wanted = name.strip("/")
    if not wanted:
        return ()
    if name in TEMPLATES:
        return (name,)
    return tuple(template for template in TEMPLATES if f"/{wanted}/" in f"{template}/")


def parts() -> tuple[str, ...]:
    """Return names for completion: the last segments, then all templates."""
    ends = (template.rpartition("/")[2] for template in TEMPLATES)
    return (*sorted({end for end in ends if not end.startswith("{")}), *sorted(TEMPLATES))


def is_text(text: str) -> bool:
    """Return whether a text can be encoded as UTF-8, as MongoDB requires; command-line arguments may not."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def normalise_id(tmdb_id: int | str) -> int | str:
    """Return an id as it is stored: TMDB's numbers as ``int``."""
    is_number = isinstance(tmdb_id, str) and tmdb_id.isascii() and tmdb_id.isdecimal() and len(tmdb_id) < 19
    return int(tmdb_id) if is_number else tmdb_id
