"""Texts as a server may read them: in whatever case, width, escapes and punctuation they are written.

Frameworks differ: PHP makes one name of ``session.id``, ``session id`` and
``session_id``, Rails and qs take ``session_id[]`` for it, and a proxy may
normalise what is no ASCII. So names are compared by what all of these leave of
them. Everything here takes time in proportion to the length of its text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from urllib.parse import unquote_to_bytes

_ROUNDS = 8
_LONGEST_NAME = 32

# Where an item of a query may begin, for who reads "&amp;", a second "?" or ";" so.
_SEPARATOR = re.compile("[&;?]")

# Letters by their category, and nothing to those who normalise (Default_Ignorable_Code_Point).
_FILLERS = frozenset("\u115f\u1160\u3164\uffa0")

_OF_IIS = re.compile("%[Uu]([0-9A-Fa-f]{4})")


def decoded(text: str) -> str:
    """Undo percent-encoding until nothing changes, in eight rounds at most; what is no UTF-8 becomes U+FFFD."""
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
    """Return a text in one case, and in one width of every letter."""
    if not text.isascii():
        # One by one: the accents of a long row are put in order in quadratic time. By way of the
        # upper case, which "ſ" and "ı" have in ASCII.
        text = "".join(letter if letter.isascii() else _compatible(letter).upper() for letter in text)
    return text.casefold()


def folded(name: str) -> str:
    """Return the letters and digits of a name, in one spelling of each: ``sessionid`` of ``Session-ID[]``.

    Letters that have one in ASCII (full-width ones, ``ſ``, the Kelvin sign, ``ı``)
    become that one, and accents go.
    """
    return _folded_known(name) if len(name) <= _LONGEST_NAME else _folded(name)


def _folded(name: str) -> str:
    name = plain(name)
    if not name.isascii():
        name = "".join(unicodedata.normalize("NFKD", letter) for letter in name)
    return "".join(filter(str.isalnum, name))


_folded_known = lru_cache(maxsize=512)(_folded)  # programs use the same ones with each call


def forget_names() -> None:
    """Drop what is known of names: where a query is broken, a credential may stand for one."""
    _folded_known.cache_clear()


def names(query: str) -> Iterator[str]:
    """Give the names of a query's items, folded: of those too that only some take for items."""
    for item in _SEPARATOR.split(query):
        yield folded(item.partition("=")[0])


def is_itself(text: str) -> bool:
    """Say whether everybody reads a text in the same way: no letter has a form in ASCII, none is invisible."""
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
