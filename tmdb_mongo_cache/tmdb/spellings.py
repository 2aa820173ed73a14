"""Looking for values in texts and bodies in whatever spelling: in any case, escaped, or in Base64.

What is looked in is written in small letters first; only where there is an escape
that may hide one of the values it is decoded and looked through again, a few
times over. Without one that costs a body of 365 kB half a millisecond. Pure.
"""

from __future__ import annotations

import html
import re
from base64 import b64encode
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

_ROUNDS = 4
"""Decodings of what was decoded: escaped twice by a proxy, inside JSON, inside JSON."""

SHORTEST = 6
"""Characters; shorter values are words that stand in many answers by chance: TMDB's keys have 32, its tokens more."""

_FEW = 16
LONGEST_KNOWN = 2048
"""Characters of what is not worked out anew each time."""

_SHORTEST_CODED = 8
"""Characters of Base64 that are no coincidence in a large body."""

# As these are looked for, all letters are small.
_NUMBERED = re.compile(rb"\\(?:u([0-9a-f]{4})|x([0-9a-f]{2}))")
_ESCAPED_AGAIN = re.compile(rb"\\{2,}")
_PERCENT = re.compile(rb"%(?:u([0-9a-f]{4})|([0-9a-f]{2}))")
_ENTITY = re.compile(rb"&(?:#|[a-z]{2,8};)")

# Escapes of printable ASCII, which is what nearly all credentials are of: bodies are
# full of other escapes ("\n", "\u00e9"), and most have none of these.
_OF_ASCII = re.compile(rb"\\(?:u00[2-7]|x[2-7]|\\)"), re.compile(rb"%(?:[2-7][0-9a-f]|u00)")
_OF_ASCII_OR_SLASH = re.compile(rb"\\(?:u00[2-7]|x[2-7]|[\\/])"), _OF_ASCII[1]
_OF_ANY = re.compile(rb"\\[ux\\/\"']"), re.compile(rb"%(?:[0-9a-f]|u)")
_PLAIN = re.compile(rb"[0-9a-z._~+/=-]*")


class Sought(NamedTuple):
    """What is looked for, in small letters, and what a text must have that hides it."""

    needles: tuple[bytes, ...]
    escapes: tuple[re.Pattern[bytes], re.Pattern[bytes]]

    def __repr__(self) -> str:
        return f"Sought({len(self.needles)} spellings)"


def sought(values: Iterable[str]) -> Sought:
    """Return what a text with one of the values in it contains, once it is in small letters and decoded."""
    found = frozenset(values)
    return (_sought_known if sum(map(len, found)) <= LONGEST_KNOWN else _sought)(found)


def forget() -> None:
    """Drop what is known of values."""
    _sought_known.cache_clear()


def _sought(values: frozenset[str]) -> Sought:
    found: dict[bytes, None] = {}
    for value in values:
        if len(value) < SHORTEST:
            continue
        raw = _encoded(value)
        low = raw.lower()
        # As it is; as a form has it; where it is escaped itself.
        forms = [low, low.replace(b" ", b"+"), _decoded(low)]
        if not value.isascii():
            # bytes.lower() knows ASCII alone; and as in a header, or in UTF-16 without its NULs.
            cases = (value, value.lower(), value.upper())
            forms += [*map(_encoded, cases), *(case.encode("latin-1", "ignore") for case in cases)]
        found |= dict.fromkeys(form.lower() for form in forms if len(form) >= SHORTEST)
        found |= dict.fromkeys(_coded(raw))
    needles = tuple(found)
    text = b"".join(needles)
    if not _PLAIN.fullmatch(text):
        return Sought(needles, _OF_ANY)
    return Sought(needles, _OF_ASCII_OR_SLASH if b"/" in text else _OF_ASCII)


_sought_known = lru_cache(maxsize=64)(_sought)  # one call looks for the same several times


def _coded(raw: bytes) -> list[bytes]:
    """Return what Base64 makes of the bytes wherever they stand in what is coded, but for the edges."""
    found = []
    for before in range(3):
        coded = b64encode(b"\0" * before + raw)
        # Of the first and the last group as much as comes from these bytes alone.
        first, over = (0, 2, 3)[before], (before + len(raw)) % 3
        middle = coded[first : len(coded) - (0, 3, 2)[over]].lower()
        if len(middle) >= _SHORTEST_CODED:
            found += [middle, middle.translate(_URL_SAFE)]
    return found


_URL_SAFE = bytes.maketrans(b"+/", b"-_")


def contains(text: str | bytes, what: Sought) -> bool:
    """Say whether a text has any of what is sought in it, in whatever spelling."""
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
    """Return a text in small letters, full-width ones as usual ones, its escapes decoded as often as there are any."""
    low = text.translate(_FULL_WIDTH).casefold() if not text.isascii() else text.lower()
    if "%" in low or "\\" in low or "&" in low or "\0" in low:
        low = _decoded(_encoded(low)).decode("utf-8", "replace").translate(_FULL_WIDTH).casefold()
    return low


_FULL_WIDTH = {0xFF01 + place: 0x21 + place for place in range(94)}


def _may_hide(data: bytes, what: Sought) -> bool:
    """Say whether something in the data may be an escape of what is sought."""
    if b"\0" in data:
        return True  # UTF-16, UTF-32
    backslashed, percent = what.escapes
    return _has(data, b"\\", backslashed) or _has(data, b"%", percent) or _has(data, b"&", _ENTITY)


def _has(data: bytes, mark: bytes, escape: re.Pattern[bytes]) -> bool:
    """Say whether a mark begins an escape; where few do, that is faster than to look for the escape."""
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
    """Decode one layer of escapes of every kind, in data in small letters."""
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
    except UnicodeEncodeError:  # half of a pair, which no answer repeats
        return text.encode("utf-8", "surrogatepass")
