"""The made-up catalogue: titles, people, places and numbers, each a pure function of a seed.

Nothing here is TMDB's. The same seed always gives the same value, in this and every other process, and the
word lists of `words.json` run parallel, so that the title of a film in another language is its translation.
"""

import base64
import datetime as dt
import hashlib
import json
import zlib
from collections.abc import Sequence
from importlib.resources import files
from typing import Any, TypeVar

T = TypeVar("T")

WORDS: dict[str, Any] = json.loads((files(__package__) / "words.json").read_text("utf-8"))
PLACES: list[str] = WORDS["places"]
KEYWORDS: list[str] = WORDS["keywords"]
CERTIFICATIONS: list[str] = WORDS["certifications"]
JOBS: dict[str, list[str]] = WORDS["jobs"]
COUNTRIES: list[tuple[str, str, str]] = [tuple(row) for row in WORDS["countries"]]
LANGUAGES: list[tuple[str, str, str]] = [tuple(row) for row in WORDS["languages"]]
GENRES: list[list[Any]] = WORDS["genres"]
TRANSLATED: list[str] = list(WORDS["texts"])
COUNTRY_OF = {language: code for code, _, language in reversed(COUNTRIES)}
DEPARTMENTS = list(JOBS)
EPOCH = dt.date(1960, 1, 1)
SPAN = 1_299_989  # a prime, see scattered()


def mix(*parts: object) -> int:
    """Return a number below 2**32 that depends on every part and looks random."""
    value = zlib.crc32("\x1f".join(map(str, parts)).encode())
    value = (value ^ (value >> 15)) * 0x2C1B3C6D & 0xFFFFFFFF
    value = (value ^ (value >> 12)) * 0x297A2D39 & 0xFFFFFFFF
    return value ^ (value >> 15)


def scattered(place: int) -> int:
    """Return an id from 1 to SPAN that looks random; SPAN places in a row have different ones."""
    return 1 + place * 794_537 % SPAN


def pick(options: Sequence[T], *seed: object) -> T:
    """Return one of the options, always the same for the same seed."""
    return options[mix(*seed) % len(options)]


def token(length: int, *seed: object) -> str:
    """Return letters and digits, as in TMDB's image names."""
    digest = hashlib.blake2b(repr(seed).encode(), digest_size=48).digest()
    return base64.b64encode(digest).decode().translate(str.maketrans("", "", "+/="))[:length]


def hexadecimal(length: int, *seed: object) -> str:
    """Return hexadecimal digits, as in TMDB's credit ids."""
    return hashlib.blake2b(repr(seed).encode(), digest_size=32).hexdigest()[:length]


def day(*seed: object) -> dt.date:
    """Return a day between 1960 and 2025."""
    return EPOCH + dt.timedelta(days=mix(*seed) % 24_000)


def texts(language: str) -> dict[str, Any]:
    """Return the word lists of a language, those of English when there are none."""
    found: dict[str, Any] = WORDS["texts"].get(language, WORDS["texts"]["en"])
    return found


def mark(language: str) -> str:
    """Return what tells a text apart in a language that has no word lists: `" [nl]"`."""
    return "" if language in WORDS["texts"] else f" [{language}]"


def title(seed: str, language: str) -> str:
    """Return a title: "Der stille Leuchtturm in Ōmizu"."""
    words = texts(language)
    parts = [pick(words["subject"], seed, "subject"), pick(words["rest"], seed, "rest")]
    if mix(seed, "in") % 2:
        parts.append(words["in"].format(pick(PLACES, seed, "place")))
    gap = "" if language == "ja" else " "
    return gap.join(filter(None, parts)) + mark(language)


def sentences(seed: str, language: str) -> str:
    """Return an overview of two sentences."""
    words = texts(language)
    one = pick(words["one"], seed, "one").format(hero=person(seed), place=pick(PLACES, seed, "place"))
    gap = "" if language == "ja" else " "
    return f"{one}{gap}{pick(words['two'], seed, 'two')}{mark(language)}"


def tagline(seed: str, language: str) -> str:
    """Return a tagline."""
    return str(pick(texts(language)["tag"], seed, "tag")) + mark(language)


def person(seed: str) -> str:
    """Return the name of a person, the same in every language."""
    return f"{pick(WORDS['first'], seed, 'first')} {pick(WORDS['last'], seed, 'last')}"


def company(seed: str) -> str:
    """Return the name of a company or a network."""
    sort = pick(("Pictures", "Films", "Studio", "Television"), seed, "sort")
    return f"{pick(WORDS['companies'], seed)} {sort}"


def genre(row: Sequence[Any], language: str) -> str:
    """Return the name of one row of `GENRES`."""
    known = language in TRANSLATED
    return str(row[1 + TRANSLATED.index(language)]) if known else f"{row[1]}{mark(language)}"
