"""The rules by which the stand-in TMDB makes an answer: ids, keys, parts, languages, pages."""

import pytest
import requests


class TestRules:
    def test_id(self, get):
        """The id that was asked for is in the answer, also behind a slug."""
        assert get("/3/movie/550").json()["id"] == get("/3/movie/550-fight/credits").json()["id"] == 550
        assert get("/3/list/77").json()["id"] == "77"

    @pytest.mark.parametrize(
        "path",
        [
            "/3/movie/0",
            "/3/movie/999999999",
            "/3/tv/5/season/999999999",
            "/3/movie/abc",
            "/3/nothing",
            "/3/trending/tv/year",
            "/",
        ],
    )
    def test_missing(self, get, path):
        """What does not exist is 404 with code 34, without Cache-Control and ETag."""
        answer = get(path)
        assert answer.status_code == 404
        message = "The resource you requested could not be found."
        assert answer.json() == {"success": False, "status_code": 34, "status_message": message}
        assert not {"Cache-Control", "ETag"} & set(answer.headers)

    def test_huge_id(self, get):
        """A number with 5,000 digits is an id that does not exist."""
        assert get("/3/movie/" + "9" * 5_000).status_code == 404
        assert get("/3/movie/popular", page="9" * 5_000).json()["status_code"] == 22

    def test_method(self, tmdb, http_session):
        """A path that exists does not take every method."""
        assert http_session.post(tmdb.url + "/3/movie/550").json()["status_code"] == 42

    @pytest.mark.parametrize(
        ("query", "headers"),
        [
            ({}, {}),
            ({"api_key": ""}, {}),
            ({"api_key": "invalid"}, {}),
            ({}, {"Authorization": "Bearer invalid"}),
        ],
    )
    def test_no_key(self, tmdb, query, headers):
        """Without a key, or with the word "invalid", the answer is 401 with code 7 and a Cache-Control."""
        answer = requests.get(tmdb.url + "/3/movie/550", params=query, headers=headers, timeout=5)
        assert (answer.status_code, answer.json()["status_code"]) == (401, 7)
        assert answer.headers["Cache-Control"] == "public, max-age=300"

    def test_bearer(self, tmdb, get):
        """A Bearer token gives the same answer as a key."""
        headers = {"Authorization": "Bearer token"}
        assert (
            requests.get(tmdb.url + "/3/movie/550", headers=headers, timeout=5).content == get("/3/movie/550").content
        )

    def test_append(self, get):
        """Appended parts come in the order asked, without their id; unknown names are ignored."""
        names = ["watch/providers", "credits", "images"]
        whole = get("/3/movie/550", append_to_response="watch/providers,nonsense,credits,,images").json()
        assert list(whole)[-3:] == names
        assert list(whole)[:-3] == list(get("/3/movie/550").json())
        for name in names:
            alone = get(f"/3/movie/550/{name}").json()
            assert alone.pop("id") == 550
            assert whole[name] == alone

    def test_append_season(self, get):
        """A season can be appended to a series and keeps its own id; one that is not there is ignored."""
        whole = get("/3/tv/1396", append_to_response="season/1,season/999999999").json()
        assert list(whole)[-1] == "season/1"
        assert whole["season/1"] == get("/3/tv/1396/season/1").json()
        assert whole["season/1"]["episodes"][1]["id"] == get("/3/tv/1396/season/1/episode/2").json()["id"]

    def test_append_too_much(self, get):
        """More than 20 parts are 400 with code 27."""
        assert get("/3/movie/550", append_to_response=",".join(["credits"] * 20)).status_code == 200
        answer = get("/3/movie/550", append_to_response=",".join(["credits"] * 21))
        assert (answer.status_code, answer.json()["status_code"]) == (400, 27)

    def test_language(self, get):
        """Each language has its own texts; without one they are English."""
        titles = {
            language: get("/3/movie/550", language=language).json()["title"]
            for language in ("en-US", "de-DE", "fr", "es", "it", "ja-JP", "nl")
        }
        assert len(set(titles.values())) == 7
        assert get("/3/movie/550").json()["title"] == titles["en-US"]

    def test_images(self, get):
        """A language filters images, include_image_language adds others to it."""
        every = get("/3/movie/550/images").json()["posters"]
        some = get("/3/movie/550/images", language="de", include_image_language="fr,null").json()["posters"]
        assert some == [image for image in every if image["iso_639_1"] in ("de", "fr", None)]
        assert len(some) < len(every)

    def test_pages(self, get):
        """Pages have 20 rows each, no two the same; the first is what comes without a page."""
        first, second = get("/3/movie/popular", page=1), get("/3/movie/popular", page=2)
        assert first.headers["ETag"] == get("/3/movie/popular").headers["ETag"] != second.headers["ETag"]
        assert first.json()["total_results"] == 20 * first.json()["total_pages"]
        rows = first.json()["results"] + second.json()["results"]
        assert len({row["id"] for row in rows}) == 40
        assert second.json()["page"] == 2
        assert get("/3/movie/popular", page=499).json()["results"] == []

    @pytest.mark.parametrize("page", ["0", "501", "-1", "x", "²"])
    def test_page_outside(self, get, page):
        """A page outside 1 to 500 is 400 with code 22."""
        answer = get("/3/search/movie", query="x", page=page)
        assert (answer.status_code, answer.json()["status_code"]) == (400, 22)

    def test_search(self, get):
        """Another search finds something else."""
        assert get("/3/search/movie", query="a").json() != get("/3/search/movie", query="b").json()

    def test_find(self, get):
        """/find gives one result, a person for an IMDb name."""
        found = get("/3/find/nm0000001", external_source="imdb_id").json()
        assert {name: len(rows) for name, rows in found.items() if rows} == {"person_results": 1}

    def test_reference(self, get):
        """The genres of a film are in the list of genres, its countries in the list of countries."""
        film = get("/3/movie/550", language="de").json()
        genres = get("/3/genre/movie/list", language="de").json()["genres"]
        codes = [country["iso_3166_1"] for country in get("/3/configuration/countries").json()]
        assert all(genre in genres for genre in film["genres"])
        assert all(country["iso_3166_1"] in codes for country in film["production_countries"])

    def test_path_is_decoded_once(self, get):
        """TMDB's edge decodes a path once and resolves `..`."""
        assert get("/3/credit/x%2F..%2F..%2Faccount%2F5").json()["username"]
        assert get("/3/movie/550/watch%2Fproviders").json() == get("/3/movie/550/watch/providers").json()
        assert get("/3/movie%252F550").status_code == 404
