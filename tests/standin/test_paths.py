"""What the stand-in TMDB answers on each path of TMDB."""

import json
import re
from pathlib import Path

import pytest
import requests

from tmdb_mongo_cache.standin import StandIn
from tmdb_mongo_cache.standin.shapes import OPERATIONS, resolve, route

from ..flowkit import ANY_KEY

OPENAPI = Path(__file__).parents[3] / "shared" / "reference" / "tmdb-openapi.json"
GETS = [operation.removeprefix("GET ") for operation in OPERATIONS if operation.startswith("GET ")]


def example(template):
    """Return a path of the template, with an id that exists in each place."""
    path = template.replace("{time_window}", "week").replace("{external_id}", "tt0000001")
    return re.sub(r"\{\w+\}", "7", path)


class TestPaths:
    def test_openapi(self):
        """Every operation of TMDB's description is served; the description is not part of the project."""
        described = json.loads(OPENAPI.read_text("utf-8"))["paths"] if OPENAPI.exists() else {}
        operations = {f"{method.upper()} {path}" for path, methods in described.items() for method in methods}
        assert operations - set(OPERATIONS) == set()
        assert len(OPERATIONS) >= 152

    @pytest.mark.parametrize("operation", OPERATIONS)
    def test_keys(self, tmdb, http_session, operation):
        """An operation answers 200 and JSON with the keys of its shape."""
        method, template = operation.split(" ")
        answer = http_session.request(method, tmdb.url + example(template))
        assert answer.status_code == 200
        shape = resolve(route(method, example(template)).shape)
        if isinstance(shape, list):
            assert answer.json()
        else:
            assert set(answer.json()) >= set(shape)
            assert method != "GET" or list(answer.json()) == list(shape)

    @pytest.mark.parametrize("template", [path for path in GETS if "authentication" not in path])
    def test_change(self, tmdb, get, template):
        """change() gives any path another answer and another ETag, each time; the keys stay."""
        path = example(template)
        if template.endswith("/changes") and "{" not in template:
            path = path.replace("/changes", "/550/changes")
        answers = [get(path)]
        for _ in range(2):
            tmdb.change(path)
            answers.append(get(path))
        first, second, third = (answer.headers["ETag"] for answer in answers)
        assert first != second != third
        if isinstance(answers[0].json(), dict):
            assert {tuple(answer.json()) for answer in answers} == {tuple(answers[0].json())}

    def test_deterministic(self, get):
        """Another stand-in gives the same answer to the same request."""
        with StandIn() as other:
            again = requests.get(f"{other.url}/3/tv/1396", params=ANY_KEY, timeout=5)
        assert again.content == get("/3/tv/1396").content

    def test_same_film(self, get):
        """A film has the same title in a list as in its details."""
        row = get("/3/movie/popular").json()["results"][3]
        assert get(f"/3/movie/{row['id']}").json()["title"] == row["title"]

    def test_sizes(self, get):
        """A film is about 2 kB, and with six parts about 20 kB."""
        assert 1_500 < len(get("/3/movie/550").content) < 3_000
        parts = "credits,images,videos,keywords,release_dates,recommendations"
        assert 15_000 < len(get("/3/movie/550", append_to_response=parts).content) < 40_000


class TestPrivate:
    def test_tokens(self, get):
        """Every call gets a new token, and `public` beside it, as with TMDB."""
        first, second = get("/3/authentication/token/new"), get("/3/authentication/token/new")
        assert first.json()["request_token"] != second.json()["request_token"]
        assert first.headers["Cache-Control"] == "public, max-age=0"

    def test_users(self, get):
        """Two users have two accounts' worth of answers."""
        one, two = (get("/3/account/5/favorite/movies", session_id=user).json() for user in "ab")
        assert one != two

    @pytest.mark.parametrize("path", ["/3/movie/550", "/3/tv/1399/season/1"])
    def test_appended_states(self, tmdb, get, path):
        """account_states that are appended are those of who asks, with a session or a token."""
        marks = [{"session_id": "a"}, {"session_id": "b"}, {"guest_session_id": "c"}]
        found = [get(path, append_to_response="account_states", **mark).json() for mark in marks]
        found.append(get(path, {"Authorization": "Bearer d"}, append_to_response="account_states").json())
        assert len({json.dumps(answer.pop("account_states")) for answer in found}) > 1
        assert [answer == found[0] for answer in found] == [True] * 4

    @pytest.mark.parametrize("path", ["/3/movie/550", "/3/tv/1399/season/1"])
    def test_states_of_nobody(self, tmdb, get, path):
        """With a key alone they are an error, nothing but False, or missing, as states_of_nobody says."""
        found = {}
        for form in ("error", "false", "missing"):
            tmdb.states_of_nobody = form
            found[form] = get(path, append_to_response="account_states,credits").json()
            assert "cast" in found[form]["credits"]
        assert found["error"]["account_states"]["success"] is False
        assert not re.search("true|value", json.dumps(found["false"]["account_states"]))
        assert "rated" in json.dumps(found["false"]["account_states"])
        assert "account_states" not in found["missing"]
        tmdb.reset()
        assert get(path, append_to_response="account_states,credits").json() == found["error"]
        with pytest.raises(ValueError, match="error, false, missing"):
            tmdb.states_of_nobody = "true"

    def test_writing(self, tmdb, http_session):
        """POST and DELETE succeed with TMDB's codes."""
        url = tmdb.url + "/3/movie/550/rating"
        assert http_session.post(url, json={"value": 8}).json()["status_code"] == 1
        assert http_session.delete(url).json()["status_code"] == 13
        assert http_session.post(tmdb.url + "/3/list/1/add_item", json={}).json()["status_code"] == 12
        assert tmdb.calls[0].body == b'{"value": 8}'

    def test_version_four(self, get):
        """Any path of the v4 API answers, never twice the same where tokens are made."""
        assert get("/4/account/abc/lists").json()["results"] == []
        assert get("/4/auth/request_token").content != get("/4/auth/request_token").content
