"""Responses made from shapes.

`shapes.json` says what every operation of TMDB's v3 API responds with: which keys in which order, of which type,
which may be null or missing, how lists nest and about how long they are. It was derived by a script from the
example responses of TMDB's OpenAPI description and from MIT-licensed recorded exchanges (jellyfin/TMDbLib), and
holds none of their content. Four operations are in no description but in use: `/3/account`, and of a film
`casts`, `trailers` and `releases`. Its language:

- `{"key": shape, "sometimes?": shape}`: an object; `{"@": shape, "#": 6}`: one with six country codes as keys
- `[shape, 20]`: a list of about 20, exactly 20 for `results`
- `{"|": [shape, shape]}`: one of them; `"$7"`: the shape of that name; `"=tv"`: this constant
- any other string: a code of `fields.py`, with `?` before it when the value may be null
"""

import json
import re
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any

from . import catalog, reference_data
from .catalog import mix
from .fields import Place, leaf

Shape = Any
_FILE: dict[str, dict[str, Shape]] = json.loads((files(__package__) / "shapes.json").read_text("utf-8"))
NAMED = _FILE["shapes"]
OPERATIONS = tuple(_FILE["paths"])
WORDED = frozenset(
    {
        "external_id", "credit_id", "review_id", "guest_session_id", "tv_episode_group_id", "time_window",
        "account_id", "list_id",
    }
)  # fmt: skip
LATEST = 1_400_001
NUMBER = re.compile("[0-9]{1,18}")
KINDS = (
    ({"title", "original_title"}, "movie"), ({"first_air_date", "number_of_seasons"}, "tv"),
    ({"episode_number"}, "episode"), ({"season_number"}, "season"), ({"provider_id"}, "provider"),
    ({"profile_path", "known_for_department", "biography", "author_details"}, "person"),
    ({"site", "source"}, "video"),
    ({"logo_path", "headquarters"}, "company"), ({"parts", "backdrop_path"}, "collection"),
)  # fmt: skip


@dataclass(frozen=True)
class Route:
    """An operation and what the requested path says about it."""

    operation: str
    shape: Shape
    arguments: dict[str, str]

    @property
    def numbers(self) -> dict[str, int]:
        """The ids in the path, by their names in the responses."""
        return {name: int(value) for name, value in self.arguments.items() if NUMBER.fullmatch(value)}


@cache
def patterns() -> list[tuple[str, str, re.Pattern[str], Shape]]:
    """Return every operation as a pattern, those with fewer variables first."""
    rows = []
    for operation in sorted(OPERATIONS, key=lambda name: name.count("{")):
        method, path = operation.split(" ")
        pattern = re.sub(
            r"\{(\w+)\}",
            lambda m: f"(?P<{m[1]}>[^/]+)" if m[1] in WORDED else rf"(?P<{m[1]}>[0-9]{{1,18}})(?:-[^/]*)?",
            path,
        )
        rows.append((operation, method, re.compile(pattern), _FILE["paths"][operation]))
    return rows


def route(method: str, path: str) -> Route | None:
    """Return the operation that responses a decoded path, if there is one."""
    for operation, verb, pattern, shape in patterns():
        if verb == method and (match := pattern.fullmatch(path)):
            return Route(operation, resolve(shape), match.groupdict())
    return None


def children(operation: str) -> bool:
    """Whether `append_to_response` has something to append to the responses of an operation."""
    return operation.endswith("}") and any(name.startswith(operation + "/") for name in OPERATIONS)


def resolve(shape: Shape) -> Shape:
    """Return the shape that a name stands for."""
    return NAMED[shape] if isinstance(shape, str) and shape[0] == "$" else shape


def build(shape: Shape, key: str, at: Place) -> Any:
    """Return a value of this shape."""
    shape = resolve(shape)
    if isinstance(shape, str):
        return shape[1:] if shape[0] == "=" else leaf(shape, key, at)
    if isinstance(shape, list):
        return _list(shape[0], shape[1], key, at)
    if "|" in shape:
        options = shape["|"]
        return build(options[mix(at.seed, at.index, "variant") % len(options)], key, at)
    if "@" in shape:
        codes = [code for code, _, _ in catalog.COUNTRIES[: shape["#"]]]
        return {code: build(shape["@"], key, replace(at, seed=f"{at.seed}/{code}", entity="")) for code in codes}
    return _object(shape, key, at)


def _list(shape: Shape, length: int, key: str, at: Place) -> list[Any]:
    """Return a list; the rows of a page go on where the page before it ended."""
    offset = 0 if key == "translations" else mix(at.seed, key)
    first = at.first if key == "results" else 0
    if length > 2 and key != "results":
        length -= offset % (length // 3 + 1)
    places = (
        replace(at, seed=f"{at.seed}/{key}/{index}", index=index, offset=offset, first=0)
        for index in range(first, first + length)
    )
    return [build(shape, key, place) for place in places]


def _object(shape: dict[str, Shape], key: str, at: Place) -> dict[str, Any]:
    """Return an object; its fields depend on its id, so that a film is the same wherever it is listed."""
    at = replace(at, seed=f"{at.seed}/{key}")
    kind = next((kind for keys, kind in KINDS if not keys.isdisjoint(shape)), "")
    kind = "keyword" if set(shape) == {"id", "name"} else kind
    fixed = reference_data.row(key, shape, at)
    entity = ""
    if key == "data" and at.root:
        entity, kind = at.root, at.root.split(":")[0]
    elif kind == "provider":
        fixed = {"provider_id": 1 + mix(at.seed, "id") % 40}
        entity = f"provider:{fixed['provider_id']}"
    elif shape.get("id") == "i":
        fixed.setdefault("id", _identity(kind, at))
        entity = f"{kind}:{fixed['id']}"
    language = fixed["iso_639_1"] if "translation" in fixed else at.language
    inside = replace(at, kind=kind, entity=entity, language=language, first=0)
    made: dict[str, Any] = {}
    for name, inner in shape.items():
        if name[-1] == "?":
            if mix(at.seed, name) % 2:
                continue
            name = name[:-1]
        made[name] = fixed[name] if name in fixed else build(inner, name, inside)
    return made


def _identity(kind: str, at: Place) -> int:
    """Return the id of a thing: that of an episode follows from its series, season and number."""
    season = at.numbers.get("season_number", at.index + 1)
    if kind == "season":
        return season_id(at.numbers.get("series_id", 0), season)
    if kind == "episode":
        return episode_id(at.numbers.get("series_id", 0), season, at.index + 1)
    return 1 + mix(at.seed, "id") % 1_400_000


def season_id(series: int, season: int) -> int:
    """Return the id of a season."""
    return 1 + mix("season", series, season) % 500_000


def episode_id(series: int, season: int, episode: int) -> int:
    """Return the id of an episode."""
    return 1 + mix("episode", series, season, episode) % 7_000_000


def whole(found: Route, path: str, language: str, first: int = 0, salt: int = 0, every: bool = False) -> Any:
    """Return the whole response of an operation.

    `path` with whatever else tells two responses apart is the seed, `first` the number of the first row of a
    page, `salt` the version: it changes ratings and overviews, or with `every` everything.
    """
    kind, identity = _root(found)
    root = f"{kind}:{identity}"
    numbers = found.numbers
    if "series_id" in numbers:
        numbers["show_id"] = numbers["series_id"]
    at = Place(path, kind, 0, language, numbers, salt, every, root, root, 0, first)
    made = reference_data.table(found.operation, language)
    if made is None and isinstance(found.shape, dict):
        fixed: dict[str, Any] = {"id": identity} if "id" in found.shape else {}
        made = {name: fixed[name] if name in fixed else build(inner, name, at) for name, inner in found.shape.items()}
    return build(found.shape, "", at) if made is None else made


def _root(found: Route) -> tuple[str, int | str]:
    """Return what a response is about, and its id."""
    kind = found.operation.split("/")[2]
    given = found.arguments
    numbers = found.numbers
    if "episode_number" in given:
        return "episode", episode_id(numbers["series_id"], numbers["season_number"], numbers["episode_number"])
    if "season_number" in given:
        return "season", season_id(numbers["series_id"], numbers["season_number"])
    argument = next(iter(given.values()), str(LATEST))
    number = NUMBER.fullmatch(argument) and isinstance(found.shape, dict) and found.shape.get("id") == "i"
    return {"network": "company"}.get(kind, kind), int(argument) if number else argument
