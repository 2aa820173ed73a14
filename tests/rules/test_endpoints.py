"""TMDB's public endpoints as its documentation lists them: their classes, and what they are about."""

from __future__ import annotations

import re

import pytest

from tmdb_mongo_cache.tmdb import endpoints
from tmdb_mongo_cache.tmdb.freshness import seconds_of
from tmdb_mongo_cache.tmdb.privacy import bypass_reason

DAY, HOUR, MINUTE = 86400, 3600, 60

SECONDS = {
    **{"details": DAY, "others": DAY, "search": 6 * HOUR, "discover": 6 * HOUR, "lists": 6 * HOUR},
    **{"trending": 15 * MINUTE, "changes": 10 * MINUTE, "latest": MINUTE, "configuration": 7 * DAY, "unknown": DAY},
}

PATHS = {
    "search": "/3/search/ collection company keyword movie multi person tv",
    "discover": "/3/discover/ movie tv",
    "lists": "/3/ movie/now_playing movie/popular movie/top_rated movie/upcoming person/popular tv/airing_today "
    "tv/on_the_air tv/popular tv/top_rated",
    "trending": "/3/trending/ all/day movie/week person/day tv/week",
    "changes": "/3/ movie/changes person/changes tv/changes movie/550/changes person/287/changes tv/1399/changes "
    "tv/season/3624/changes tv/episode/63056/changes",
    "latest": "/3/ movie/latest person/latest tv/latest",
    "configuration": "/3/ certification/movie/list certification/tv/list configuration configuration/countries "
    "configuration/jobs configuration/languages configuration/primary_translations configuration/timezones "
    "genre/movie/list genre/tv/list watch/providers/movie watch/providers/regions watch/providers/tv",
    "others": "/3/ collection/10 collection/10/images collection/10/translations company/1 "
    "company/1/alternative_names company/1/images network/1 network/1/alternative_names network/1/images keyword/1 "
    "keyword/1/movies credit/5488c29bc3a3686f4a00004a review/5488c29bc3a3686f4a00004a find/tt0137523 "
    "tv/episode_group/5488c29bc3a3686f4a00004a",
    "details": "/3/ movie/550 movie/550/release_dates movie/550/watch/providers person/287 "
    "person/287/combined_credits person/287/tagged_images tv/1399 tv/1399/aggregate_credits tv/1399/content_ratings "
    "tv/1399/screened_theatrically tv/1399/season/1 tv/1399/season/1/watch/providers tv/1399/season/1/episode/2 "
    "tv/1399/season/1/episode/2/credits tv/1399/season/1/episode/2/videos",
    "unknown": "/3/ odd movie movie/550/odd movie/550/credits/odd tv/season tv/season/1 trending/movie movie//x/y "
    "account watch/providers search find configuration/odd certification/movie",
}
PARTS = {
    "/3/movie/550": "alternative_titles credits external_ids images keywords lists recommendations release_dates "
    "reviews similar translations videos watch/providers",
    "/3/person/287": "combined_credits external_ids images movie_credits tagged_images translations tv_credits",
    "/3/tv/1399": "aggregate_credits alternative_titles content_ratings credits episode_groups external_ids images "
    "keywords lists recommendations reviews screened_theatrically similar translations videos watch/providers",
    "/3/tv/1399/season/1": "aggregate_credits credits external_ids images translations videos watch/providers",
    "/3/tv/1399/season/1/episode/2": "credits external_ids images translations videos",
}


@pytest.mark.parametrize("kind", PATHS)
def test_classes(kind: str) -> None:
    """Each path is of its class, with empty segments or without, and a class has its seconds."""
    start, *rest = PATHS[kind].split()
    for path in rest:
        found = endpoints.find(start + path)
        assert found.kind == kind, path
        assert (found.template is None) is (kind == "unknown"), path
        assert endpoints.find(f"//3//{found.template or 'x'}"[2:]) is not None
        assert endpoints.find(f"{start}{path}//") == found
    assert seconds_of(kind) == SECONDS[kind]


@pytest.mark.parametrize("path", PARTS)
def test_parts(path: str) -> None:
    """What can be appended is a path of its own, of the same class and about the same."""
    whole = endpoints.find(path)
    assert whole.template is not None
    for part in PARTS[path].split():
        found = endpoints.find(f"{path}/{part}")
        assert found == (f"{whole.template}/{part}", "details", whole.media_type, whole.tmdb_id)
    assert endpoints.APPENDABLE[whole.template] == set(PARTS[path].split())


@pytest.mark.parametrize(
    ("path", "media_type", "tmdb_id"),
    [
        *(("/3/movie/550", "movie", 550), ("/3/movie/550-fight-club", "movie", 550), ("/3/movie/0550", "movie", 550)),
        *(
            ("/3/movie/550/credits", "movie", 550),
            ("/3/movie/tt0137523", "movie", None),
            ("/3/movie/-1", "movie", None),
        ),
        *(("/3/tv/1399/season/2/episode/3", "tv", 1399), ("/3/tv/season/3624/changes", "season", 3624)),
        *(("/3/tv/episode/63056/changes", "episode", 63056), ("/3/keyword/1/movies", "keyword", 1)),
        ("/3/tv/episode_group/5488c29bc3a3686f4a00004a", "episode_group", "5488c29bc3a3686f4a00004a"),
        ("/3/credit/5488c29bc3a3686f4a00004a", "credit", "5488c29bc3a3686f4a00004a"),
        ("/3/review/5488c29bc3a3686f4a00004A", "review", None),
        ("/3/review/5488c29bc3a3686f4a00004", "review", None),
        *(("/3/find/tt0137523", None, None), ("/3/trending/movie/day", None, None), ("/3/movie/popular", None, None)),
        *((f"/3/movie/{2**63 - 1}", "movie", 2**63 - 1), (f"/3/movie/{2**63}", "movie", None)),
        *(("/3/movie/9" + "9" * 19, "movie", None), ("/3/movie/", None, None), ("/3/movie/550x", "movie", None)),
    ],
)
def test_ids(path: str, media_type: str | None, tmdb_id: int | str | None) -> None:
    """A path is about the id in it, where TMDB has made that id."""
    found = endpoints.find(path)
    assert (found.media_type, found.tmdb_id) == (media_type, tmdb_id)


@pytest.mark.parametrize("path", ["/3/certification/movie/list", "/3/certification/tv/list"])
def test_marked_private(path: str) -> None:
    """Two endpoints are for everyone though TMDB marks their responses private."""
    assert endpoints.find(path).template in endpoints.MARKED_PRIVATE
    assert len(endpoints.MARKED_PRIVATE) == 2


def test_all_of_them() -> None:
    """The documentation has 148 paths; these and the private ones are all of them."""
    public = [template for templates in endpoints.ENDPOINTS.values() for template in templates]
    assert len(set(public)) == len(public)
    assert len({*public, *endpoints.PRIVATE}) == 148
    assert not set(public) & set(endpoints.PRIVATE)
    assert {*SECONDS} == endpoints.CLASSES
    for template in endpoints.PRIVATE:
        path = re.sub(r"\{[a-z_]+\}", "1", template)
        assert bypass_reason("GET", path, has_body=False).endswith(" private"), template
