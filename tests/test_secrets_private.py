"""What is private goes straight through, both ways, in every spelling and through every door."""

import pytest
import requests

from tmdb_mongo_cache import enabled

from .flowkit import KEY, MOVIE, START, get

pytestmark = pytest.mark.any_database

PATHS = [
    "/3/account",
    "/3/account/1/favorite/movies",
    "/3/authentication/token/new",
    "/3/authentication/guest_session/new",
    "/3/guest_session/1/rated/movies",
    "/3/list/1",
    "/3/movie/550/account_states",
    "/3/tv/1/season/1/account_states",
    "/4/account/1/movie/favorites",
    "/4/list/1",
    "/4/list/1/clear",
    "/4/auth/request_token",
    "/3/%61ccount",
    "/3/ACCOUNT",
    "//3/account",
    "/3//account",
    "/./3/account",
    "/3/credit/x%2F..%2F..%2Faccount",
    "/3/movie/../account",
    "/3/movie/550/account%5Fstates",
    "/%33/account",
    "/3/account/",
    "/3/account;x=1",
    "/3/x/%252e%252e/account",
]
PARAMS = [
    {"session_id": "s"},
    {"guest_session_id": "s"},
    {"SESSION_ID": "s"},
    {"append_to_response": "credits,account_states", "session_id": "s"},
    {"append_to_response": "credits,account_states", "access_token": "s"},
    {"append_to_response": "account%5Fstates"},
    {"callback": "f"},
]


class TestStraight:
    def test_paths(self, tmdb, entry_point, collection):
        """A private path is never looked up and never stored, in whatever spelling."""
        for path in PATHS:
            tmdb.reset()
            responses = [entry_point(tmdb, path) for _ in range(2)]
            assert tmdb.count == 2, path
            assert not any(response.from_cache for response in responses), path
            assert "if-none-match" not in str([call.headers for call in tmdb.calls]).lower()
        assert collection.count_documents({}) == 0

    def test_params(self, tmdb, entry_point, collection):
        """A session, a user's account_states or a callback makes any call private."""
        entry_point(tmdb)
        for params in PARAMS:
            tmdb.reset()
            for _ in range(2):
                assert not entry_point(tmdb, params=params).from_cache, params
            assert tmdb.count == 2, params
        assert [document["_id"] for document in collection.find()] == [KEY]

    def test_no_entry_is_looked_up(self, tmdb, entry_point, collection):
        """An entry that somebody has put under a private path is never served."""
        entry_point(tmdb)
        document = collection.find_one({})
        for path in ("/3/account", "/3/movie/550/account_states", "/4/list/1"):
            collection.insert_one({**document, "_id": f"{START}{path}"})
            assert not entry_point(tmdb, path).from_cache

    def test_token_is_new(self, tmdb, entry_point):
        """Every request for a login token reaches TMDB and gets a token of its own."""
        tokens = {entry_point(tmdb, "/3/authentication/token/new").json()["request_token"] for _ in range(3)}
        assert len(tokens) == 3

    def test_users(self, tmdb, entry_point):
        """User B never gets what user A got of a private path."""
        answers = []
        for session in ("a" * 40, "b" * 40):
            answers.append(entry_point(tmdb, "/3/account", params={"session_id": session}).content)
        assert answers[0] != answers[1]
        assert [dict(call.query)["session_id"][0] for call in tmdb.calls] == ["a", "b"]

    def test_public_is_shared(self, tmdb, entry_point):
        """What is public is shared by users with different keys: that is the point."""
        entry_point(tmdb, params={"api_key": "a" * 32})
        response = entry_point(tmdb, params={"api_key": "b" * 32})
        assert response.from_cache
        assert response.url.endswith("b" * 32)

    def test_as_it_was_sent(self, tmdb, entry_point):
        """A private call reaches TMDB exactly as it does without the cache."""
        plain_path, params = "/3/account?z=1&a=2", {"session_id": "s p"}
        get(tmdb, plain_path, params=params)
        entry_point(tmdb, plain_path, params=params)
        one, two = tmdb.calls
        assert (one.method, one.path, one.query, one.headers) == (two.method, two.path, two.query, two.headers)

    def test_with_body(self, tmdb, cache, collection):
        """A GET with a body goes straight through."""
        with enabled(cache):
            for given in ({"json": {"session_id": "s"}}, {"data": b"x"}, {"data": {"a": "b"}}):
                assert not get(tmdb, **given).from_cache
        assert collection.count_documents({}) == 0

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "get"])
    def test_methods(self, tmdb, cache, collection, method):
        """Anything but a GET is neither looked up nor stored; requests itself makes a GET of "get"."""
        with enabled(cache):
            get(tmdb)
            response = requests.request(method, tmdb.url + MOVIE, params={"api_key": "any"}, timeout=5)
        assert response.from_cache == (method == "get")
        assert tmdb.count == 1 + (method != "get")
        assert collection.count_documents({}) == 1
