"""Which parts ``append_to_response`` adds, and which of them are responses of their own.

Source: TMDB's OpenAPI description (the five operations that have the param, and
the schemas of their sub-resources).
"""

from __future__ import annotations

_CREDITS = "cast crew id"
_PAGE = "page results total_pages total_results"
_PAGE_WITH_ID = f"id {_PAGE}"

PARTS: dict[str, dict[str, str]] = {
    "/3/movie/{movie_id}": {
        "alternative_titles": "id titles",
        "credits": "id cast crew",
        "external_ids": "id imdb_id wikidata_id",
        "images": "id backdrops logos posters",
        "keywords": "id keywords",
        "lists": _PAGE_WITH_ID,
        "recommendations": _PAGE,
        "release_dates": "id results",
        "reviews": _PAGE_WITH_ID,
        "similar": _PAGE,
        "translations": "id translations",
        "videos": "id results",
        "watch/providers": "id results",
    },
    "/3/person/{person_id}": {
        "combined_credits": _CREDITS,
        "external_ids": "id imdb_id wikidata_id",
        "images": "id profiles",
        "movie_credits": _CREDITS,
        "tagged_images": _PAGE_WITH_ID,
        "translations": "id translations",
        "tv_credits": _CREDITS,
    },
    "/3/tv/{series_id}": {
        "aggregate_credits": _CREDITS,
        "alternative_titles": "id results",
        "content_ratings": "results id",
        "credits": _CREDITS,
        "episode_groups": "results id",
        "external_ids": "id imdb_id wikidata_id",
        "images": "id backdrops logos posters",
        "keywords": "id results",
        "lists": _PAGE_WITH_ID,
        "recommendations": _PAGE,
        "reviews": _PAGE_WITH_ID,
        "screened_theatrically": "id results",
        "similar": _PAGE,
        "translations": "id translations",
        "videos": "id results",
        "watch/providers": "id results",
    },
    "/3/tv/{series_id}/season/{season_number}": {
        "aggregate_credits": _CREDITS,
        "credits": _CREDITS,
        "external_ids": "id tvdb_id wikidata_id",
        "images": "id posters",
        "translations": "id translations",
        "videos": "id results",
        "watch/providers": "id results",
    },
    "/3/tv/{series_id}/season/{season_number}/episode/{episode_number}": {
        "credits": "cast crew guest_stars id",
        "external_ids": "id imdb_id wikidata_id",
        "images": "id stills",
        "translations": "id translations",
    },
}
"""Parts that are served as responses of their own, with the members of those responses.

``id`` is that of the film, person, show, season or episode. TMDB leaves it out of
a part; it is added first or last, as in the sub-resource's own response, and left
out where that has none. Of a paged sub-resource the part is the first page, so
calls with a ``page`` are not answered from it.
"""

NOT_SERVED: dict[str, frozenset[str]] = {
    # What changed in the last day: too short-lived to be taken from a longer-lived response.
    "/3/movie/{movie_id}": frozenset({"changes"}),
    "/3/person/{person_id}": frozenset({"changes"}),
    "/3/tv/{series_id}": frozenset({"changes"}),
    "/3/tv/{series_id}/season/{season_number}": frozenset(),
    # In the description's example it is the id of the season.
    "/3/tv/{series_id}/season/{season_number}/episode/{episode_number}": frozenset({"videos"}),
}
"""Documented parts that are only left out, never served.

Any other part (``season/1``, names of former versions) is neither served nor left
out: all that is known is that two calls with it get the same. Nothing is taken
from a response with ``account_states``.
"""
