"""Text normalization: names and paths as any server may read them, whatever case, width, escapes and punctuation.

Frameworks differ: PHP makes one name of ``session.id``, ``session id`` and
``session_id``, Rails and qs take ``session_id[]`` for it, and a proxy may
normalise non-ASCII text. So names are compared by what all of these keep. All
functions take time in proportion to the length of the text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

from ..httpcache.memoize import memoize

_ROUNDS = 8

# Where some servers begin a new item of a query: "&amp;", a second "?", ";".
_SEPARATOR = re.compile("[&;?]")

# Letters by category that normalization drops (Default_Ignorable_Code_Point).
_FILLERS = frozenset("\u115f\u1160\u3164\uffa0")

_OF_IIS = re.compile("%[Uu]([0-9A-Fa-f]{4})")


def decoded(text: str) -> str:
    """Decode percent-encoding repeatedly, up to eight times; invalid UTF-8 becomes U+FFFD."""
    text = text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    for _ in range(_ROUNDS):
        if "%" not in text:
            break
        found = unquote_to_bytes(_OF_IIS.sub(_by_number, text)).decode("utf-8", "replace")
        if found == text:
            break
        text = found
    return text


def _by_number(found: re.Match[str]) -> str:
    return chr(int(found[1], 16)).encode("utf-8", "replace").decode()


def plain(text: str) -> str:
    """Return a text in lower case, every letter in its usual width."""
    if not text.isascii():
        # One by one, because ordering a long run of accents takes quadratic time. By way of upper
        # case, which is ASCII of "ſ" and "ı".
        text = "".join(letter if letter.isascii() else _compatible(letter).upper() for letter in text)
    return text.casefold()


@memoize(512, longest=32)  # programs use the same names with each call
def folded(name: str) -> str:
    """Return the letters and digits of a name in one spelling: ``sessionid`` of ``Session-ID[]``.

    Letters with a form in ASCII (full-width ones, ``ſ``, the Kelvin sign, ``ı``) become
    that, and accents are dropped.
    """
    name = plain(name)
    if not name.isascii():
        name = "".join(unicodedata.normalize("NFKD", letter) for letter in name)
    return "".join(filter(str.isalnum, name))


def names(query: str) -> Iterator[str]:
    """Yield the folded names of a query's items, by any server's idea of an item."""
    for item in _SEPARATOR.split(query):
        yield folded(item.partition("=")[0])


def is_itself(text: str) -> bool:
    """Return whether a text has only one reading: no letter has a form in ASCII, none is invisible."""
    if text.isascii():
        return text.isprintable()
    return text.isprintable() and all(map(_is_itself, set(text)))


def _is_itself(letter: str) -> bool:
    if letter.isascii():
        return True
    forms = _compatible(letter) + letter.upper() + letter.lower() + letter.casefold()
    return letter.isalnum() and letter not in _FILLERS and not any(map(str.isascii, forms))


def _compatible(letter: str) -> str:
    return unicodedata.normalize("NFKC", letter)
