"""What ``append_to_response`` adds to an answer, and what of that is an answer of its own.

Source: TMDB's OpenAPI description (the five operations that have the param, and
the shapes of their sub-resources).
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
"""Parts that serve as answers of their own, with members that each of these answers has.

``id`` is that of the film, person, show, season or episode, which TMDB leaves
out of a part; it stands first or last as in the sub-resource's own answer.
Where it is not named the answer has none. Of what has pages the part is the
first, so calls with a ``page`` are not served.
"""

NOT_SERVED: dict[str, frozenset[str]] = {
    # What changed in the last day: nothing to be taken from an answer that is kept for longer.
    "/3/movie/{movie_id}": frozenset({"changes"}),
    "/3/person/{person_id}": frozenset({"changes"}),
    "/3/tv/{series_id}": frozenset({"changes"}),
    "/3/tv/{series_id}/season/{season_number}": frozenset(),
    # The description's example has the id of the season.
    "/3/tv/{series_id}/season/{season_number}/episode/{episode_number}": frozenset({"videos"}),
}
"""Parts that the description has, too, but that are only left out.

Any other part (``season/1``, names of former versions) is neither served nor
left out: no more is known of it than that two calls for it get the same.
``account_states`` are no answer to anything: nothing is taken from beside them.
"""
