"""Whether an answer is for everyone who makes the same call, by what its own headers say of that.

Many share what is stored, so this is a shared cache (RFC 9111 section 3), and it
has one answer for a key. What the rules here find is passed on and not stored.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from .endpoints import SAID_PRIVATE

_OF_NO_CONSEQUENCE: Final = frozenset({"accept-encoding", "origin", ""})
"""What ``Vary`` may name: bodies are kept decoded, and a call with an Origin of its own goes straight through.

TMDB names both. The list may have empty elements (RFC 9110 section 5.6.1.2).
"""

# Looked for as a word and not as a member of the list: what is badly quoted, or
# divided by something other than commas, is meant all the same. With field names
# (private="set-cookie") private is taken for the whole answer, as most caches do
# (section 5.2.2.7). A no-store beside must-understand is obeyed, too.
_FORBIDS = re.compile(r"(?<![a-z0-9_=-])(?:private|no-store)(?![a-z0-9_-])")

_ONE_BY_ONE = "its Vary names more than Accept-Encoding and Origin"


def why_not_shared(headers: Mapping[str, str], template: str | None) -> str:
    """Say why an answer must not be stored for others; empty where nothing in its headers speaks against that.

    ``no-cache``, ``max-age`` and their like say how long it is good, which is
    another matter, and ``Pragma`` means nothing in an answer (section 5.4).

    Args:
        headers: all of them; those that come twice are joined, as requests does.
        template: that of the path, as :func:`.endpoints.find` gives it.
    """
    for name, value in headers.items():
        lower = name.strip().lower()
        if lower == "vary":
            if not _OF_NO_CONSEQUENCE.issuperset(_elements(value)):
                return _ONE_BY_ONE
        elif lower == "cache-control":
            for said in _FORBIDS.findall(value.lower()):
                if said == "no-store" or template not in SAID_PRIVATE:
                    return f"its Cache-Control says {said}"
    return ""


def _elements(value: str) -> Iterable[str]:
    return (item.strip(" \t").lower() for item in value.split(","))
