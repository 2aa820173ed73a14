"""What people may call endpoints and media types: all of the table's names, and parts of them."""

from __future__ import annotations

import re

from .endpoints import ENDPOINTS, find

TEMPLATES: tuple[str, ...] = tuple(template for templates in ENDPOINTS.values() for template in templates)
"""The public v3 paths; what a document has as ``endpoint`` is one of them."""

_BY_TEMPLATE = {template: find(re.sub(r"\{[^}]*\}", "1", template)).media_type for template in TEMPLATES}

MEDIA_TYPES: tuple[str, ...] = tuple(dict.fromkeys(found for found in _BY_TEMPLATE.values() if found is not None))
"""The media types that occur, those that most is known of first."""


def templates_with(name: str) -> tuple[str, ...]:
    """Return the path templates that a name stands for: a template, or whole segments that are in one.

    ``credits`` stands for ``/3/movie/{movie_id}/credits`` and others, not for
    ``…/movie_credits``.
    """
    wanted = name.strip("/")
    if not wanted:
        return ()
    if name in TEMPLATES:
        return (name,)
    return tuple(template for template in TEMPLATES if f"/{wanted}/" in f"{template}/")


def parts() -> tuple[str, ...]:
    """Return names of endpoints for who types one: what they end in, then all templates."""
    ends = (template.rpartition("/")[2] for template in TEMPLATES)
    return (*sorted({end for end in ends if not end.startswith("{")}), *sorted(TEMPLATES))


def is_text(text: str) -> bool:
    """Say whether a text can be written as UTF-8, as MongoDB has it; arguments of a command may be any bytes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def as_kept(tmdb_id: int | str) -> int | str:
    """Return an id as it is kept: TMDB's numbers as numbers, however somebody writes them."""
    is_number = isinstance(tmdb_id, str) and tmdb_id.isascii() and tmdb_id.isdecimal() and len(tmdb_id) < 19
    return int(tmdb_id) if is_number else tmdb_id
