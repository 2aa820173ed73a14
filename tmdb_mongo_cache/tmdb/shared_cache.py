"""Whether a response is for everyone who makes the same call, by its own headers.

Stored responses are shared, so this is a shared cache (RFC 9111 section 3) with one
response for a key. Other responses are passed on and not stored.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from .endpoints import MARKED_PRIVATE

_OF_NO_CONSEQUENCE: Final = frozenset({"accept-encoding", "origin", ""})
"""The fields ``Vary`` may list: bodies are stored decoded, and calls with an Origin bypass the cache.

TMDB lists both. Elements may be empty (RFC 9110 section 5.6.1.2).
"""

# Matched as a word, not as a list member: badly quoted or separated directives are
# obeyed as well. With field names (private="set-cookie") private applies to the whole
# response, as in most caches (section 5.2.2.7), and no-store beside must-understand is
# obeyed, too.
_FORBIDS = re.compile(r"(?<![a-z0-9_=-])(?:private|no-store)(?![a-z0-9_-])")

_ONE_BY_ONE = "its Vary names more than Accept-Encoding and Origin"


def why_not_shared(headers: Mapping[str, str], template: str | None) -> str:
    """Return why a response must not be stored for others, by its headers; empty where it may be.

    ``no-cache``, ``max-age`` and the like are about freshness, and ``Pragma`` has no
    meaning in a response (section 5.4).

    Args:
        headers: all of them; repeated ones are joined, as requests does.
        template: that of the path, as :func:`.endpoints.find` returns it.
    """
    for name, value in headers.items():
        lower = name.strip().lower()
        if lower == "vary":
            if not _OF_NO_CONSEQUENCE.issuperset(_elements(value)):
                return _ONE_BY_ONE
        elif lower == "cache-control":
            for said in _FORBIDS.findall(value.lower()):
                if said == "no-store" or template not in MARKED_PRIVATE:
                    return f"its Cache-Control says {said}"
    return ""


def _elements(value: str) -> Iterable[str]:
    return (item.strip(" \t").lower() for item in value.split(","))
