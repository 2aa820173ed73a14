"""Reference data: genres, countries, languages, jobs and time zones, the same in every response.

Clients look the codes of a response up in these tables, so a response names nothing that they lack.
"""

from typing import Any

from . import catalog
from .fields import Place

Row = dict[str, Any]
SIZES = ["w92", "w154", "w185", "w300", "w500", "w780", "original"]


def countries() -> list[Row]:
    """Return every country."""
    return [{"iso_3166_1": code, "english_name": name, "native_name": name} for code, name, _ in catalog.COUNTRIES]


def table(operation: str, language: str) -> Any:
    """Return the response of an operation that lists reference data, None for any other."""
    match operation:
        case "GET /3/genre/movie/list" | "GET /3/genre/tv/list":
            return {"genres": [{"id": row[0], "name": catalog.genre(row, language)} for row in catalog.GENRES]}
        case "GET /3/configuration":
            images = {
                "base_url": "http://image.tmdb.org/t/p/",
                "secure_base_url": "https://image.tmdb.org/t/p/",
                **{f"{name}_sizes": SIZES for name in ("backdrop", "logo", "poster", "profile", "still")},
            }
            return {"images": images, "change_keys": catalog.WORDS["keys"]}
        case "GET /3/configuration/countries":
            return countries()
        case "GET /3/watch/providers/regions":
            return {"results": countries()}
        case "GET /3/configuration/languages":
            return [{"iso_639_1": code, "english_name": name, "name": own} for code, name, own in catalog.LANGUAGES]
        case "GET /3/configuration/primary_translations":
            return [f"{code}-{catalog.COUNTRY_OF[code]}" for code, _, _ in catalog.LANGUAGES]
        case "GET /3/configuration/jobs":
            return [{"department": name, "jobs": jobs} for name, jobs in catalog.WORDS["jobs"].items()]
        case "GET /3/configuration/timezones":
            zones = catalog.WORDS["zones"]
            return [{"iso_3166_1": code, "zones": zones.get(code, ["Etc/UTC"])} for code, _, _ in catalog.COUNTRIES]
    return None


def row(key: str, shape: dict[str, Any], at: Place) -> Row:
    """Return the fields that a row of a response takes from these tables."""
    number = at.offset + at.index
    if key == "genres":
        found = catalog.GENRES[number % len(catalog.GENRES)]
        return {"id": found[0], "name": catalog.genre(found, at.language)}
    if "iso_3166_1" in shape and not {"name", "english_name"}.isdisjoint(shape) and "iso_639_1" not in shape:
        code, name, _ = catalog.COUNTRIES[number % len(catalog.COUNTRIES)]
        return {"iso_3166_1": code, "name": name, "english_name": name, "native_name": name}
    if "iso_639_1" in shape and "english_name" in shape:
        code, name, own = catalog.LANGUAGES[number % len(catalog.LANGUAGES)]
        return {
            "iso_639_1": code, "english_name": name, "name": own, "iso_3166_1": catalog.COUNTRY_OF[code],
            **({"translation": True} if "data" in shape else {}),
        }  # fmt: skip
    return {}
