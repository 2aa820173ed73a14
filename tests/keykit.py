"""Arguments of calls: an address, made-up parameters, and what requests sends for them."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from requests import PreparedRequest

BASE = "https://api.themoviedb.org/3/movie/343611"
TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
PAIRS = st.lists(st.tuples(TEXT, TEXT), max_size=5, unique_by=lambda pair: pair[0])
fast = settings(max_examples=120, deadline=None)


def prepared_url(url: Any, params: Any = None) -> str | None:
    """Return what requests sends for these arguments; None where it refuses them."""
    request = PreparedRequest()
    try:
        request.prepare(method="GET", url=url, params=params)
    except (ValueError, TypeError, OSError):
        return None
    return request.url
