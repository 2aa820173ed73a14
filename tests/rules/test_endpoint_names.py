"""Names of endpoints, media types and ids, as people write them in filters."""

from __future__ import annotations

import pytest

from tmdb_mongo_cache.tmdb import endpoint_names, endpoints


@pytest.mark.parametrize(
    ("name", "some", "others"),
    [
        ("credits", {"/3/movie/{movie_id}/credits", "/3/tv/{series_id}/credits"}, {"/3/person/{person_id}/tv_credits"}),
        ("/credits/", {"/3/movie/{movie_id}/credits"}, {"/3/person/{person_id}/movie_credits"}),
        ("watch/providers", {"/3/movie/{movie_id}/watch/providers", "/3/watch/providers/tv"}, {"/3/movie/popular"}),
        ("/3/movie/{movie_id}", {"/3/movie/{movie_id}"}, {"/3/movie/{movie_id}/credits"}),
        ("3/movie/{movie_id}", {"/3/movie/{movie_id}", "/3/movie/{movie_id}/credits"}, {"/3/movie/popular"}),
        ("popular", {"/3/movie/popular", "/3/person/popular", "/3/tv/popular"}, {"/3/movie/top_rated"}),
    ],
)
def test_templates_with(name: str, some: set[str], others: set[str]) -> None:
    """A name matches a template, or whole segments of one."""
    found = set(endpoint_names.templates_with(name))
    assert some <= found
    assert not others & found


@pytest.mark.parametrize("name", ["", "/", "//", "credi", "movie/popular/x", "Credits", "popularity"])
def test_no_templates(name: str) -> None:
    """Nothing, and what is no whole segment, matches nothing."""
    assert endpoint_names.templates_with(name) == ()


def test_completion() -> None:
    """Completion has each last segment once, and each template; no param is a name."""
    found = endpoint_names.parts()
    assert len(found) == len(set(found))
    assert {"credits", "popular", "movie", "providers", "list"} <= set(found)
    assert set(endpoint_names.TEMPLATES) <= set(found)
    assert not [name for name in found if name.startswith("{")]
    ends = [name for name in found if "/" not in name]
    assert found == (*sorted(ends), *sorted(endpoint_names.TEMPLATES))


def test_media_types() -> None:
    """The media types are those that paths are about."""
    assert endpoint_names.MEDIA_TYPES[:3] == ("movie", "person", "tv")
    assert set(endpoint_names.MEDIA_TYPES) == {
        *("movie", "person", "tv", "collection", "company", "network", "keyword", "credit", "review"),
        *("episode_group", "season", "episode"),
    }


@pytest.mark.parametrize(("text", "is_text"), [("a", True), ("ä\U0001f600", True), ("", True), ("a\udcff", False)])
def test_is_text(text: str, is_text: bool) -> None:
    """An argument that was no UTF-8 cannot be in a document."""
    assert endpoint_names.is_text(text) is is_text


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        (550, 550),
        ("550", 550),
        ("0550", 550),
        ("tt0137523", "tt0137523"),
        ("5488c29bc3a3686f4a00004a", "5488c29bc3a3686f4a00004a"),
        ("", ""),
        ("-1", "-1"),
        ("1.5", "1.5"),
        ("٣", "٣"),
        ("9" * 18, 10**18 - 1),
        ("9" * 19, "9" * 19),
    ],
)
def test_ids(given: int | str, stored: int | str) -> None:
    """Numbers are stored as numbers, as far as MongoDB has them; all else as it is."""
    found = endpoint_names.normalise_id(given)
    assert (found, type(found)) == (stored, type(stored))


@pytest.mark.parametrize(
    ("media_type", "path"),
    [(kind, f"/3/{kind}/7") for kind in ("movie", "tv", "person", "collection", "company", "network", "keyword")],
)
def test_details_by_media_type(media_type: str, path: str) -> None:
    """The details of each media type are at their path."""
    template = endpoints.BY_ID[media_type]
    assert endpoints.find(path) == (template, endpoints.find(path).kind, media_type, 7)
    assert len(endpoints.BY_ID) == 7
