"""The shapes of TMDB's public responses, as far as needed to tell them from other servers' responses.

Anything between a program and TMDB may respond to any path with JSON of its own and
status 200: a captive portal, a proxy that mixes up its entries. Such a response must
not be stored as a film.

Source: the example responses of TMDB's OpenAPI description. A response is recognised
by the id or number in its path, if any, and by one member that all responses of the
endpoint have.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from ..httpcache.json_body import Repeating
from . import endpoints
from .appended_parts import PARTS
from .endpoints import ENDPOINTS

_EPISODE = "/3/tv/{series_id}/season/{season_number}/episode/{episode_number}"

MEMBERS: dict[str, str] = {
    **{
        f"{template}/{part}": next(name for name in members.split() if name not in ("id", "page"))
        for template, parts in PARTS.items()
        for part, members in parts.items()
    },
    **dict.fromkeys(
        (path for kind in ("search", "discover", "lists", "trending") for path in ENDPOINTS[kind]), "results"
    ),
    **{path: "changes" if "{" in path else "results" for path in ENDPOINTS["changes"]},
    f"{_EPISODE}/videos": "results",
    "/3/collection/{collection_id}/images": "backdrops",
    "/3/collection/{collection_id}/translations": "translations",
    "/3/company/{company_id}/alternative_names": "results",
    "/3/company/{company_id}/images": "logos",
    "/3/network/{network_id}/alternative_names": "results",
    "/3/network/{network_id}/images": "logos",
    "/3/keyword/{keyword_id}/movies": "results",
    "/3/find/{external_id}": "movie_results",
    "/3/certification/movie/list": "certifications",
    "/3/certification/tv/list": "certifications",
    "/3/configuration": "images",
    "/3/genre/movie/list": "genres",
    "/3/genre/tv/list": "genres",
    "/3/watch/providers/movie": "results",
    "/3/watch/providers/regions": "results",
    "/3/watch/providers/tv": "results",
}
"""A member that every response of an endpoint has, by path template; details have their id or number."""

LISTS = {
    "/3/configuration/countries": "iso_3166_1",
    "/3/configuration/jobs": "department",
    "/3/configuration/languages": "iso_639_1",
    "/3/configuration/primary_translations": "",
    "/3/configuration/timezones": "iso_3166_1",
}
"""Endpoints whose response is a list, and a member of its items; empty where those are strings."""

_WITHOUT_ID = ("}/changes", "}/recommendations", "}/similar", "{external_id}", "{time_window}")
_WORDS = ("{credit_id}", "{review_id}", "{tv_episode_group_id}")
_SCALARS = frozenset({"imdb_id", "tvdb_id"})
_OF_FAILURE = re.compile(
    r"[\W_]*(?:(?P<success>success)|(?P<status>status[\W_]*(?:code|message))|(?P<error>errors?))[\W_]*", re.IGNORECASE
)


class _Echo(NamedTuple):
    """A member that echoes a segment of the path: as a number, or as a string."""

    segment: int
    name: str
    is_number: bool


def _echoes(template: str) -> tuple[_Echo, ...]:
    segments = template.strip("/").split("/")
    if template in ENDPOINTS["latest"]:
        return (_Echo(len(segments) - 1, "id", is_number=True),)
    if template.endswith(_WITHOUT_ID):
        return ()
    found = [index for index, segment in enumerate(segments) if segment.startswith("{")]
    if len(found) == 1:
        return (_Echo(found[0], "id", is_number=segments[found[0]] not in _WORDS),)
    # Seasons and episodes have ids of their own, which are not in the path.
    return tuple(_Echo(index, segments[index][1:-1], is_number=True) for index in found[1:] if template.endswith("}"))


ECHOED = {template: _echoes(template) for paths in ENDPOINTS.values() for template in paths}
"""The members that echo segments of the path, by path template."""


def why_invalid(path: str, data: Any) -> str:
    """Return why a response with status 200 cannot be TMDB's response to a request; empty where it can.

    Args:
        path: the requested path; for an unknown one, any response that is not an error is valid.
        data: the parsed body, as :func:`.httpcache.json_body.parse` returns it.
    """
    if not isinstance(data, dict | list):
        return "neither an object nor a list"
    if not data:
        return "there is nothing in it"
    if isinstance(data, dict):
        if isinstance(data, Repeating):
            return "a member of it is there twice, and readers differ about which of them holds"
        if is_error(data):
            return "a 200 that says it failed"
    segments = [segment for segment in path.split("/") if segment]
    template = endpoints.find("/".join(segments)).template
    if template is None:
        return ""
    if template in LISTS:
        return _why_no_list(data, LISTS[template])
    if not isinstance(data, dict):
        return "a list, where TMDB has an object"
    for index, name, is_number in ECHOED[template]:
        if not (_is_number if is_number else _is_word)(segments[index], data.get(name)):
            return f"its {name} is not that of the request"
    member = MEMBERS.get(template)
    if member is None or isinstance(data.get(member), dict | list):
        return ""
    return "" if member in _SCALARS and member in data else f"it has no {member}, as TMDB's response has"


def _why_no_list(data: Any, member: str) -> str:
    if not isinstance(data, list):
        return "an object, where TMDB has a list"
    first = data[0]
    fits = isinstance(first, dict) and member in first if member else isinstance(first, str)
    return "" if fits else "a list of something else than TMDB's is"


def is_error(data: dict[str, Any]) -> bool:
    """Return whether a response reports an error, in TMDB's spelling or another.

    No public response has such members. TMDB lists codes 21 and 40 with HTTP 200.
    """
    for name, value in data.items():
        found = _OF_FAILURE.fullmatch(name)
        kind = found.lastgroup if found is not None else None
        if kind == "status" or (kind == "success" and value is not True) or (kind == "error" and value):
            return True
    return False


def _is_number(segment: str, value: Any) -> bool:
    """Return whether a number is that of a segment: to TMDB, ``550-fight-club`` and ``0550`` are 550.

    To ids of other databases (``tt0137523``) it responds with its own.
    """
    if type(value) is not int or value < 0:
        return False
    digits = re.match(r"[0-9]+", segment)
    return digits is None or str(value) == (digits[0].lstrip("0") or "0")


def _is_word(segment: str, value: Any) -> bool:
    return isinstance(value, str) and value.casefold() == segment.casefold()
