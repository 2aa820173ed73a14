"""The value of one field, told by its key, by the code of its shape and by what it belongs to.

The codes of `shapes.json`: b boolean, i integer, f float, n null, e empty string, d day, t and z times,
p image path, x hexadecimal id, m and a IMDb ids, u address, l language with country, s any other text.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from . import catalog
from .catalog import mix, pick

RELATION = frozenset(
    {
        "character", "credit_id", "order", "job", "department", "episode_count", "total_episode_count",
        "cast_id", "display_priority", "rating", "value", "action", "time",
    }
)  # fmt: skip
VOLATILE = frozenset(["popularity", "vote_average", "vote_count", "overview", "biography"])
TRUE = frozenset(["success", "official", "in_production"])
FALSE = frozenset(["adult", "video", "softcore", "include_adult", "locked"])
RANGES = {
    "vote_count": (1, 30_000), "runtime": (20, 180), "episode_run_time": (20, 60), "height": (500, 2160),
    "width": (500, 3840), "gender": (1, 2), "budget": (0, 200_000_000), "revenue": (0, 900_000_000),
    "display_priority": (0, 40), "display_priorities": (0, 400), "item_count": (1, 900), "type": (1, 6),
    "episode_count": (1, 24), "total_episode_count": (1, 60), "number_of_episodes": (6, 90),
    "rating": (1, 10), "number_of_seasons": (1, 6),
    "group_count": (1, 6), "favorite_count": (0, 50), "value": (1, 10),
}  # fmt: skip
FIXED: dict[str, Any] = {
    "size": 1080, "status_code": 1, "status_message": "Success.", "site": "YouTube", "note": "",
    "file_type": ".png", "episode_type": "standard", "list_type": "movie", "credit_type": "cast",
    "image_type": "poster",
}  # fmt: skip


@dataclass(frozen=True)
class Place:
    """Where in a response a field stands.

    `seed` is what the field depends on, `kind` the thing it describes ("movie", "person", …), `index` its
    position in the list around it, `language` two letters, `numbers` the ids in the path, `salt` the version
    of the response, `every` whether the version is to change every field, `entity` the thing described with its
    id ("movie:550"), `root` what the whole response is about, `offset` a number that all rows of a list share,
    `first` the number of the first row of a page.
    """

    seed: str
    kind: str = ""
    index: int = 0
    language: str = "en"
    numbers: dict[str, int] = field(default_factory=dict)
    salt: int = 0
    every: bool = False
    entity: str = ""
    root: str = ""
    offset: int = 0
    first: int = 0


def leaf(code: str, key: str, at: Place) -> Any:
    """Return the value of a field."""
    seed = at.seed if key in RELATION or not at.entity else at.entity
    if at.salt and (at.every or key in VOLATILE):
        seed = f"{seed} v{at.salt}"
    if code[0] == "?":
        if mix(seed, key, "null") % 8 == 0:
            return None
        code = code[1:]
    if key in at.numbers and code == "i":
        return at.numbers[key]
    if key in FIXED:
        return FIXED[key]
    return MAKERS[code](key, seed, at)


def integer(key: str, seed: str, at: Place) -> int:
    """Return a number in the range that is usual for the key."""
    if key in ("order", "episode_number", "season_number"):
        return at.index + (key != "order")
    if key == "genre_ids":
        return int(catalog.GENRES[(at.offset + at.index) % len(catalog.GENRES)][0])
    low, high = RANGES.get(key, (1, 1_500_000))
    return low + mix(seed, key) % (high - low + 1)


def fraction(key: str, seed: str, at: Place) -> float:
    """Return a number with a fraction."""
    if key == "aspect_ratio":
        return pick((1.778, 0.667, 1.5), seed, key)
    if key in ("rating", "value"):
        return 0.5 + mix(seed, key) % 20 / 2
    return round(mix(seed, key) % 100_000 / (10_000 if key == "vote_average" else 300), 3)


def truth(key: str, seed: str, at: Place) -> bool:
    """Return a truth value."""
    return key in TRUE or (key not in FALSE and mix(seed, key) % 2 == 1)


def moment(key: str, seed: str, at: Place) -> str:
    """Return a day and a time of day."""
    number = mix(seed, key)
    return f"{catalog.day(seed, key)} {number % 24:02}:{number // 24 % 60:02}:{number // 1440 % 60:02} UTC"


def text(key: str, seed: str, at: Place) -> str:
    """Return a text by its key, and by what it describes when the key does not tell."""
    if key in TEXTS:
        return TEXTS[key](seed, at)
    if key.endswith("_id") or key.endswith("_mid") or key in ("username", "hash", "key", "source"):
        return catalog.token(11, seed, key).lower() if key == "username" else catalog.token(11, seed, key)
    return catalog.tagline(seed, at.language)


def name(seed: str, at: Place, language: str | None = None) -> str:
    """Return the name of a thing of this kind."""
    language = language or at.language
    if at.kind in ("person", "account"):
        return catalog.person(seed)
    if at.kind == "company":
        return catalog.company(seed)
    if at.kind == "keyword":
        return pick(catalog.KEYWORDS, seed)
    return catalog.title(seed, language)


def original(seed: str) -> str:
    """Return the language a title was made in."""
    return pick(catalog.TRANSLATED, seed, "original_language")


def department(seed: str) -> str:
    """Return a department."""
    return pick(catalog.DEPARTMENTS, seed, "department")


def country(seed: str, at: Place) -> str:
    """Return the code of a country, another one for each position in a list."""
    return catalog.COUNTRIES[(at.offset + at.index) % len(catalog.COUNTRIES)][0]


TEXTS: dict[str, Callable[[str, Place], str]] = {
    "name": name,
    "title": name,
    "original_name": lambda seed, at: name(seed, at, original(seed)),
    "original_title": lambda seed, at: name(seed, at, original(seed)),
    "original_language": lambda seed, at: original(seed),
    "overview": lambda seed, at: catalog.sentences(seed, at.language),
    "biography": lambda seed, at: catalog.sentences(seed, at.language),
    "content": lambda seed, at: catalog.sentences(seed, "en"),
    "tagline": lambda seed, at: catalog.tagline(seed, at.language),
    "character": lambda seed, at: catalog.person(seed + "character"),
    "also_known_as": lambda seed, at: catalog.person(f"{seed} alias {at.index}"),
    "author": lambda seed, at: catalog.person(seed),
    "created_by": lambda seed, at: catalog.token(8, seed).lower(),
    "provider_name": lambda seed, at: catalog.company(seed),
    "place_of_birth": lambda seed, at: pick(catalog.PLACES, seed),
    "headquarters": lambda seed, at: pick(catalog.PLACES, seed),
    "known_for_department": lambda seed, at: department(seed),
    "department": lambda seed, at: department(seed),
    "job": lambda seed, at: pick(catalog.JOBS[department(seed)], seed),
    "status": lambda seed, at: "Returning Series" if at.kind == "tv" else "Released",
    "type": lambda seed, at: pick(("Trailer", "Teaser", "Clip"), seed) if at.kind == "video" else "Scripted",
    "action": lambda seed, at: pick(("added", "updated", "deleted"), seed),
    "iso_3166_1": country,
    "origin_country": country,
    "iso_639_1": lambda seed, at: pick(catalog.TRANSLATED, seed, "iso"),
    "languages": lambda seed, at: catalog.LANGUAGES[(at.offset + at.index) % len(catalog.LANGUAGES)][0],
    "certification": lambda seed, at: pick(catalog.CERTIFICATIONS, seed),
    "rating": lambda seed, at: pick(catalog.CERTIFICATIONS, seed),
    "avatar_path": lambda seed, at: f"/{catalog.token(27, seed)}.jpg",
    "production_code": lambda seed, at: catalog.token(5, seed).upper(),
    "media_title": name,
}

MAKERS: dict[str, Callable[[str, str, Place], Any]] = {
    "b": truth,
    "i": integer,
    "f": fraction,
    "n": lambda key, seed, at: None,
    "e": lambda key, seed, at: "",
    "d": lambda key, seed, at: catalog.day(seed, key).isoformat(),
    "t": lambda key, seed, at: moment(key, seed, at).replace(" UTC", ".000Z").replace(" ", "T"),
    "z": moment,
    "p": lambda key, seed, at: f"/{catalog.token(27, seed, key)}.jpg",
    "x": lambda key, seed, at: catalog.hexadecimal(24, seed, key, at.index),
    "m": lambda key, seed, at: f"tt{mix(seed, key) % 10_000_000:07}",
    "a": lambda key, seed, at: f"nm{mix(seed, key) % 10_000_000:07}",
    "u": lambda key, seed, at: f"https://{catalog.token(8, seed, key).lower()}.example/",
    "s": text,
}
