"""TMDB's public v3 endpoints by class, and what a path is about.

Source: TMDB's OpenAPI description (148 paths). The keys of :data:`ENDPOINTS` are the
classes whose expiration a user may set: ``expire_after={"details": ...}``.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_SUB_RESOURCES = {
    "/3/movie/{movie_id}": "alternative_titles credits external_ids images keywords lists recommendations "
    "release_dates reviews similar translations videos watch/providers",
    "/3/person/{person_id}": "combined_credits external_ids images movie_credits tv_credits tagged_images translations",
    "/3/tv/{series_id}": "aggregate_credits alternative_titles content_ratings credits episode_groups external_ids "
    "images keywords lists recommendations reviews screened_theatrically similar translations videos "
    "watch/providers",
    "/3/tv/{series_id}/season/{season_number}": "aggregate_credits credits external_ids images translations videos "
    "watch/providers",
    "/3/tv/{series_id}/season/{season_number}/episode/{episode_number}": "credits external_ids images translations "
    "videos",
    "/3/collection/{collection_id}": "images translations",
    "/3/company/{company_id}": "alternative_names images",
    "/3/network/{network_id}": "alternative_names images",
    "/3/keyword/{keyword_id}": "movies",
    "/3/credit/{credit_id}": "",
    "/3/review/{review_id}": "",
    "/3/find/{external_id}": "",
    "/3/tv/episode_group/{tv_episode_group_id}": "",
}

_FOLLOWED = ("/3/movie/", "/3/person/", "/3/tv/{series_id}")


def _details(*, followed: bool) -> tuple[str, ...]:
    return tuple(
        path if not part else f"{path}/{part}"
        for path, parts in _SUB_RESOURCES.items()
        if path.startswith(_FOLLOWED) == followed
        for part in ["", *parts.split()]
    )


ENDPOINTS: dict[str, tuple[str, ...]] = {
    # In TMDB's change feed (tmdb/change_feed.py), and not.
    "details": _details(followed=True),
    "others": _details(followed=False),
    "search": tuple(
        f"/3/search/{what}" for what in ("collection", "company", "keyword", "movie", "multi", "person", "tv")
    ),
    "discover": ("/3/discover/movie", "/3/discover/tv"),
    "lists": (
        "/3/movie/now_playing",
        "/3/movie/popular",
        "/3/movie/top_rated",
        "/3/movie/upcoming",
        "/3/person/popular",
        "/3/tv/airing_today",
        "/3/tv/on_the_air",
        "/3/tv/popular",
        "/3/tv/top_rated",
    ),
    "trending": tuple(f"/3/trending/{what}/{{time_window}}" for what in ("all", "movie", "person", "tv")),
    "changes": (
        "/3/movie/changes",
        "/3/person/changes",
        "/3/tv/changes",
        "/3/movie/{movie_id}/changes",
        "/3/person/{person_id}/changes",
        "/3/tv/{series_id}/changes",
        "/3/tv/season/{season_id}/changes",
        "/3/tv/episode/{episode_id}/changes",
    ),
    "latest": ("/3/movie/latest", "/3/person/latest", "/3/tv/latest"),
    "configuration": (
        "/3/certification/movie/list",
        "/3/certification/tv/list",
        "/3/configuration",
        "/3/configuration/countries",
        "/3/configuration/jobs",
        "/3/configuration/languages",
        "/3/configuration/primary_translations",
        "/3/configuration/timezones",
        "/3/genre/movie/list",
        "/3/genre/tv/list",
        "/3/watch/providers/movie",
        "/3/watch/providers/regions",
        "/3/watch/providers/tv",
    ),
}
"""Path templates by class; :data:`.freshness.TABLE` has their expirations."""

_ACCOUNT = (
    "favorite favorite/movies favorite/tv lists rated/movies rated/tv rated/tv/episodes watchlist watchlist/movies "
    "watchlist/tv"
)
_AUTHENTICATION = "guest_session/new session session/convert/4 session/new token/new token/validate_with_login"
_EPISODE = "/3/tv/{series_id}/season/{season_number}/episode/{episode_number}"

PRIVATE: tuple[str, ...] = (
    "/3/account/{account_id}",
    *(f"/3/account/{{account_id}}/{part}" for part in _ACCOUNT.split()),
    "/3/authentication",
    *(f"/3/authentication/{part}" for part in _AUTHENTICATION.split()),
    *(f"/3/guest_session/{{guest_session_id}}/rated/{part}" for part in ("movies", "tv", "tv/episodes")),
    "/3/list",
    "/3/list/{list_id}",
    *(f"/3/list/{{list_id}}/{part}" for part in ("add_item", "clear", "item_status", "remove_item")),
    "/3/movie/{movie_id}/account_states",
    "/3/movie/{movie_id}/rating",
    "/3/tv/{series_id}/account_states",
    "/3/tv/{series_id}/rating",
    "/3/tv/{series_id}/season/{season_number}/account_states",
    f"{_EPISODE}/account_states",
    f"{_EPISODE}/rating",
)
"""The other paths, which are never cached. For reference: :mod:`.privacy` decides, without a list."""

MARKED_PRIVATE = frozenset({"/3/certification/movie/list", "/3/certification/tv/list"})
"""Public endpoints whose responses TMDB marks ``private`` though they are the same for everyone (December 2025)."""

APPENDABLE = {path: frozenset(parts.split()) for path, parts in _SUB_RESOURCES.items()}
"""The parts that ``append_to_response`` always adds, by path template.

TMDB leaves out unknown parts (programs still request some that were renamed years
ago) and seasons that do not exist, so only these may be missed.
"""

BY_ID = {
    "movie": "/3/movie/{movie_id}",
    "tv": "/3/tv/{series_id}",
    "person": "/3/person/{person_id}",
    "collection": "/3/collection/{collection_id}",
    "company": "/3/company/{company_id}",
    "network": "/3/network/{network_id}",
    "keyword": "/3/keyword/{keyword_id}",
}
"""The details endpoint of each media type."""

CLASSES = frozenset({*ENDPOINTS, "unknown"})
"""The keys of a mapping given as ``expire_after``."""

# Params whose id is not that of the segment before them.
_MEDIA_TYPES = {"season_id": "season", "episode_id": "episode", "tv_episode_group_id": "episode_group"}
_NO_ID = frozenset({"external_id", "time_window"})
_MAX_ID = 2**63 - 1  # the largest of BSON


class Endpoint(NamedTuple):
    """The endpoint of a path, and the resource it is about.

    ``tmdb_id`` is a number, or a string where TMDB has no numbers (credits, reviews);
    seasons and episodes have their show's id.
    """

    template: str | None
    kind: str
    media_type: str | None
    tmdb_id: int | str | None


class _Node:
    """A segment in the tree of paths: the segments that may follow, and the template that ends here."""

    __slots__ = ("literal", "parameter", "template")

    def __init__(self) -> None:
        self.literal: dict[str, _Node] = {}
        self.parameter: tuple[str, _Node] | None = None
        self.template: tuple[str, str] | None = None


def _tree() -> _Node:
    root = _Node()
    for kind, templates in ENDPOINTS.items():
        for template in templates:
            node = root
            for segment in template.strip("/").split("/"):
                if segment.startswith("{"):
                    if node.parameter is None:
                        node.parameter = (segment[1:-1], _Node())
                    node = node.parameter[1]
                else:
                    node = node.literal.setdefault(segment, _Node())
            node.template = (template, kind)
    return root


_ROOT = _tree()


def find(path: str) -> Endpoint:
    """Return the endpoint of a path, ignoring empty segments; literal segments go before params."""
    node: _Node | None = _ROOT
    media_type: str | None = None
    tmdb_id: int | str | None = None
    before = ""
    for segment in filter(None, path.split("/")):
        if node is None:
            break
        if segment in node.literal:
            node = node.literal[segment]
        elif node.parameter is not None:
            name, node = node.parameter
            if media_type is None and name not in _NO_ID:
                media_type, tmdb_id = _MEDIA_TYPES.get(name, before), _parse_id(segment)
        else:
            node = None
        before = segment
    template, kind = node.template if node is not None and node.template else (None, "unknown")
    return Endpoint(template, kind, media_type, tmdb_id)


def _parse_id(segment: str) -> int | str | None:
    # TMDB takes "550-fight-club" for 550.
    number = re.fullmatch(r"([0-9]{1,19})(?:-.*)?", segment)
    if number:
        value = int(number[1])
        return value if value <= _MAX_ID else None
    return segment if re.fullmatch(r"[0-9a-f]{24}", segment) else None
