"""What is in a response: its parts, its page, its language, its version."""

import re
from typing import Any, NamedTuple

from . import shapes, user_endpoints
from .catalog import mix
from .messages import APIError

SEARCHES = re.compile(r"/3/(search|discover|find)/.*|/3/(movie|tv)/(popular|top_rated|upcoming|now_playing|.*air.*)")
STATES = "/account_states"
COMMON = frozenset(
    {
        "api_key", "session_id", "guest_session_id", "language", "page", "append_to_response", "callback",
    }
)  # fmt: skip


class Whose(NamedTuple):
    """Whose session or token a request has, empty for an api_key alone, and which form account_states have then."""

    user: str = ""
    nobody: str = user_endpoints.NOBODY[0]


def whole(
    found: shapes.Route, path: str, arguments: dict[str, str], versions: dict[str, int], append: bool, whose: Whose
) -> Any:
    """Return the response of an operation that exists, with what is appended to it."""
    names = [name for name in arguments.get("append_to_response", "").split(",") if name]
    if len(names) > 20:
        raise APIError(27)
    own = arguments | {"session_id": whose.user}
    data = single(found, path, own if path.endswith(STATES) else arguments, versions)
    if append and shapes.children(found.operation) and isinstance(data, dict):
        for name in map(str.strip, names):
            inner = f"{path}/{name}"
            below = shapes.route("GET", inner)
            if not below or not exists(below) or (inner.endswith(STATES) and whose == ("", "missing")):
                continue
            if inner.endswith(STATES) and not whose.user:
                part = user_endpoints.states_of_nobody(below, inner, whose.nobody)
            else:
                part = single(below, inner, own if inner.endswith(STATES) else arguments, versions)
            if isinstance(part, dict) and part.get("id") == data.get("id"):
                del part["id"]
            data[name] = part
    return data


def exists(found: shapes.Route) -> bool:
    """Whether there is a thing with the ids in the path: ids from 999,000,000 and 0 belong to none."""
    ids = found.numbers
    if any(number >= 999_000_000 or (number == 0 and name.endswith("_id")) for name, number in ids.items()):
        return False
    return found.arguments.get("time_window", "day") in ("day", "week")


def single(found: shapes.Route, path: str, arguments: dict[str, str], versions: dict[str, int]) -> Any:
    """Return the response of one operation, without anything appended."""
    if not exists(found):
        raise APIError(34)
    paged = isinstance(found.shape, dict) and {"page", "results"} <= set(found.shape)
    page = page_of(arguments) if paged else 1
    language = arguments.get("language", "en").partition("-")[0].lower() or "en"
    seed, first = path, 20 * (page - 1)
    if SEARCHES.fullmatch(path) or user_endpoints.PATHS.fullmatch(path):
        seed += repr(sorted((k, v) for k, v in arguments.items() if k not in COMMON))
        seed += arguments.get("session_id", "") + arguments.get("guest_session_id", "")
    data = versioned(found, seed, language, first, versions.get(path, 0))
    if paged:
        pages = 3 + mix(seed, "pages") % 40
        data |= {"page": page, "total_pages": pages, "total_results": 20 * pages}
        if page > pages:
            data["results"] = []
    if path.startswith("/3/find/"):
        keep_found(data, path, arguments)
    if path.endswith("/images") and isinstance(data, dict):
        keep_languages(data, arguments)
    return data


def page_of(arguments: dict[str, str]) -> int:
    """Return the requested page."""
    page = arguments.get("page", "1")
    if not (re.fullmatch("[1-9][0-9]{0,2}", page) and int(page) <= 500):
        raise APIError(22)
    return int(page)


def versioned(found: shapes.Route, seed: str, language: str, first: int, version: int) -> Any:
    """Return the response as it is after so many changes.

    A change brings other ratings and another overview, where there are none other values in every field, and
    to reference data a mark in the first text.
    """
    first_version = shapes.whole(found, seed, language, first)
    if not version:
        return first_version
    data = shapes.whole(found, seed, language, first, version)
    if data == first_version:
        data = shapes.whole(found, seed, language, first, version, every=True)
    if data in (first_version, shapes.whole(found, seed, language, first, version - 1, every=True)):
        data = marked(first_version, version)
    return data


def marked(value: Any, version: int) -> Any:
    """Return a value with the version in its first name, or in whatever else it has."""
    if isinstance(value, list):
        return [marked(value[0], version), *value[1:]]
    if isinstance(value, dict):
        names = ("name", "english_name", "zones", "jobs", "change_keys", "genres", "results")
        name = next((key for key in names if key in value), next(reversed(value)))
        return value | {name: marked(value[name], version)}
    if isinstance(value, bool):
        return value ^ (version % 2 == 1)
    return value + version if isinstance(value, int) else f"{value} ({version})"


def keep_found(data: dict[str, Any], path: str, arguments: dict[str, str]) -> None:
    """Leave one result, as /find does: a person for an IMDb name, otherwise a film or a series."""
    external = path.rpartition("/")[2]
    kind = "person" if external.startswith("nm") else "tv" if mix(external) % 4 == 0 else "movie"
    kind = "tv" if arguments.get("external_source", "").startswith("tv") else kind
    for name in data:
        if name != f"{kind}_results":
            data[name] = []


def keep_languages(data: dict[str, Any], arguments: dict[str, str]) -> None:
    """Leave the images of the requested languages; all of them when none is requested."""
    wanted: list[str | None] = [arguments.get("language", "").partition("-")[0]]
    wanted += arguments.get("include_image_language", "").split(",")
    if not any(wanted):
        return
    if "null" in wanted:
        wanted.append(None)
    for name, images in data.items():
        if isinstance(images, list) and name != "profiles":
            data[name] = [image for image in images if image.get("iso_639_1") in wanted]
