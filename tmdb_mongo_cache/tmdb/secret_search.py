"""Search for secrets in texts and bodies in any spelling: any case, escaped, or in Base64.

Texts are lower-cased first; only where an escape might hide a secret they are
decoded and searched again, a few times. Without one the search takes half a
millisecond for a body of 365 kB.
"""

from __future__ import annotations

import html
import re
from base64 import b64encode
from collections.abc import Iterable
from typing import NamedTuple

from ..httpcache.memoize import memoize, total_length

_ROUNDS = 4
"""Layers of escapes: by a proxy, in JSON within JSON."""

SHORTEST = 6
"""Characters; shorter values are in many responses by chance. TMDB's keys have 32, its tokens more."""

_FEW = 16
_SHORTEST_CODED = 8
"""Characters of Base64, too many for a coincidence in a large body."""

# These are searched for in lower-case text.
_NUMBERED = re.compile(rb"\\(?:u([0-9a-f]{4})|x([0-9a-f]{2}))")
_ESCAPED_AGAIN = re.compile(rb"\\{2,}")
_PERCENT = re.compile(rb"%(?:u([0-9a-f]{4})|([0-9a-f]{2}))")
_ENTITY = re.compile(rb"&(?:#|[a-z]{2,8};)")

# Escapes of printable ASCII, of which nearly all credentials consist: bodies are
# full of other escapes ("\n", "\u00e9"), and few have these.
_OF_ASCII = re.compile(rb"\\(?:u00[2-7]|x[2-7]|\\)"), re.compile(rb"%(?:[2-7][0-9a-f]|u00)")
_OF_ASCII_OR_SLASH = re.compile(rb"\\(?:u00[2-7]|x[2-7]|[\\/])"), _OF_ASCII[1]
_OF_ANY = re.compile(rb"\\[ux\\/\"']"), re.compile(rb"%(?:[0-9a-f]|u)")
_PLAIN = re.compile(rb"[0-9a-z._~+/=-]*")


class Needles(NamedTuple):
    """The needles, lower-cased, and the escapes that could hide them."""

    needles: tuple[bytes, ...]
    escapes: tuple[re.Pattern[bytes], re.Pattern[bytes]]

    def __repr__(self) -> str:
        return f"Needles({len(self.needles)} spellings)"


def needles_of(values: Iterable[str]) -> Needles:
    """Return the needles of some values, to be found in lower-cased and decoded text."""
    return _needles(frozenset(values))


@memoize(64, size=total_length)  # one call searches for the same values several times
def _needles(values: frozenset[str]) -> Needles:
    found: dict[bytes, None] = {}
    for value in values:
        if len(value) < SHORTEST:
            continue
        raw = _encoded(value)
        low = raw.lower()
        # As it is; form-encoded; escaped itself.
        forms = [low, low.replace(b" ", b"+"), _decoded(low)]
        if not value.isascii():
            # bytes.lower() is for ASCII only. Also as in a header, or in UTF-16 without its NULs.
            cases = (value, value.lower(), value.upper())
            forms += [*map(_encoded, cases), *(case.encode("latin-1", "ignore") for case in cases)]
        found |= dict.fromkeys(form.lower() for form in forms if len(form) >= SHORTEST)
        found |= dict.fromkeys(_coded(raw))
    needles = tuple(found)
    text = b"".join(needles)
    if not _PLAIN.fullmatch(text):
        return Needles(needles, _OF_ANY)
    return Needles(needles, _OF_ASCII_OR_SLASH if b"/" in text else _OF_ASCII)


def _coded(raw: bytes) -> list[bytes]:
    """Return the Base64 of the bytes at each alignment, without the edges."""
    found = []
    for before in range(3):
        coded = b64encode(b"\0" * before + raw)
        # Of the first and the last group the part that depends on these bytes only.
        first, over = (0, 2, 3)[before], (before + len(raw)) % 3
        middle = coded[first : len(coded) - (0, 3, 2)[over]].lower()
        if len(middle) >= _SHORTEST_CODED:
            found += [middle, middle.translate(_URL_SAFE)]
    return found


_URL_SAFE = bytes.maketrans(b"+/", b"-_")


def contains(text: str | bytes, what: Needles) -> bool:
    """Return whether a text contains any of the needles, in any spelling."""
    needles = what.needles
    if not needles:
        return False
    data = (_encoded(text) if isinstance(text, str) else text).lower()
    for _ in range(_ROUNDS):
        for needle in needles:
            if needle in data:
                return True
        if not _may_hide(data, what):
            return False
        decoded = _decoded_once(data)
        if decoded == data:
            return False
        data = decoded
    return any(needle in data for needle in needles)


def decoded(text: str) -> str:
    """Return a text in lower case, full-width characters as usual ones, its escapes decoded repeatedly."""
    low = text.translate(_FULL_WIDTH).casefold() if not text.isascii() else text.lower()
    if "%" in low or "\\" in low or "&" in low or "\0" in low:
        low = _decoded(_encoded(low)).decode("utf-8", "replace").translate(_FULL_WIDTH).casefold()
    return low


_FULL_WIDTH = {0xFF01 + place: 0x21 + place for place in range(94)}


def _may_hide(data: bytes, what: Needles) -> bool:
    """Return whether the data has an escape that could hide a needle."""
    if b"\0" in data:
        return True  # UTF-16, UTF-32
    backslashed, percent = what.escapes
    return _has(data, b"\\", backslashed) or _has(data, b"%", percent) or _has(data, b"&", _ENTITY)


def _has(data: bytes, mark: bytes, escape: re.Pattern[bytes]) -> bool:
    """Return whether a mark begins an escape; for few marks this is faster than searching for the escape."""
    place = data.find(mark)
    for _ in range(_FEW):
        if place < 0 or escape.match(data, place):
            return place >= 0
        place = data.find(mark, place + 1)
    return place >= 0 and escape.search(data, place) is not None


def _decoded(data: bytes) -> bytes:
    for _ in range(_ROUNDS):
        before, data = data, _decoded_once(data)
        if data == before:
            break
    return data


def _decoded_once(data: bytes) -> bytes:
    """Decode one layer of escapes of all kinds, in lower-cased data."""
    if b"\0" in data:
        data = data.replace(b"\0", b"")
    if b"\\" in data:
        if b"\\\\" in data:
            data = _ESCAPED_AGAIN.sub(rb"\\", data)
        for character in (b'"', b"/", b"'"):
            data = data.replace(b"\\" + character, character)
        data = _NUMBERED.sub(_character, data)
    if b"%" in data:
        data = _PERCENT.sub(_character_or_byte, data).lower()
    if b"&" in data and _ENTITY.search(data):
        text = html.unescape(data.decode("utf-8", "surrogateescape"))
        data = text.encode("utf-8", "surrogateescape").lower()
    return data


def _character(found: re.Match[bytes]) -> bytes:
    return chr(int(found[1] or found[2], 16)).encode("utf-8", "surrogatepass").lower()


def _character_or_byte(found: re.Match[bytes]) -> bytes:
    return _character(found) if found[1] else bytes([int(found[2], 16)])


def _encoded(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a lone surrogate, which no response contains
        return text.encode("utf-8", "surrogatepass")
