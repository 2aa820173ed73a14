"""URL patterns of ``urls_expire_after``, as in requests-cache."""

from __future__ import annotations

import re
from fnmatch import fnmatch


def matches(url: str, pattern: str | re.Pattern[str]) -> bool:
    """Return whether an URL matches a pattern: a regular expression found in it, or a glob.

    A glob is matched without the scheme, and with everything below:
    ``"api.themoviedb.org/3/movie"`` and ``"*/movie/*"`` both match a film's credits.
    """
    if isinstance(pattern, re.Pattern):
        return pattern.search(url) is not None
    return fnmatch(url.split("://")[-1], pattern.split("://")[-1].rstrip("*") + "**")
