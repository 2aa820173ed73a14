"""Response hooks see what they see without the cache, once."""

import hashlib

import pytest
import requests
from requests.auth import AuthBase, HTTPDigestAuth

from tmdb_mongo_cache import TMDBSession, enabled

from .flowkit import API_KEY, MOVIE, expire, get

pytestmark = [pytest.mark.versions, pytest.mark.any_database]


class Recorder:
    """A response hook that notes what it sees."""

    def __init__(self):
        self.seen = []

    def __call__(self, response, *args, **kwargs):
        self.seen.append((response, args, sorted(kwargs)))


@pytest.fixture
def hook():
    """Return a hook that notes what it sees."""
    return Recorder()


class TestHooks:
    def test_once(self, tmdb, cache, hook):
        """A hook is called once for each call, with the answer the caller gets, live or cached."""
        given = {"hooks": {"response": hook}}
        get(tmdb, **given)
        with enabled(cache):
            answers = [get(tmdb, **given), get(tmdb, **given)]
        assert len(hook.seen) == 3
        assert [seen[0] for seen in hook.seen[1:]] == answers
        assert [seen[0].from_cache for seen in hook.seen[1:]] == [False, True]
        assert hook.seen[0][1:] == hook.seen[1][1:] == hook.seen[2][1:]

    def test_final_answer(self, tmdb, cache, collection, hook):
        """A hook sees neither a 304 nor the failure that a stored answer covers."""
        given = {"hooks": {"response": [hook]}}
        with enabled(cache):
            get(tmdb, **given)
            expire(collection)
            get(tmdb, **given)
            expire(collection)
            tmdb.fail("503")
            get(tmdb, **given)
        assert [call.status for call in tmdb.calls] == [200, 304, 503]
        assert [seen[0].status_code for seen in hook.seen] == [200, 200, 200]
        assert all("If-None-Match" not in seen[0].request.headers for seen in hook.seen)

    def test_replaces(self, tmdb, cache):
        """A hook may replace the answer."""
        other = requests.Response()
        other.status_code = 418
        with enabled(cache):
            for _ in range(2):
                assert get(tmdb, hooks={"response": lambda *_, **__: other}) is other

    def test_raises(self, tmdb, cache, collection):
        """What a hook raises reaches the caller, and the answer is stored all the same."""

        def check(response, **_):
            response.headers["X-Seen"] = "yes"
            raise LookupError("the hook's own")

        with enabled(cache):
            for _ in range(2):
                with pytest.raises(LookupError, match="the hook's own"):
                    get(tmdb, hooks={"response": check})
        assert (tmdb.count, collection.count_documents({})) == (1, 1)

    def test_raise_for_status(self, tmdb, cache):
        """The usual raise_for_status() hook works on live and cached answers."""
        hooks = {"response": lambda response, **_: response.raise_for_status()}
        with enabled(cache):
            for _ in range(2):
                with pytest.raises(requests.HTTPError) as caught:
                    get(tmdb, "/3/movie/999000001", hooks=hooks)
                assert caught.value.response.status_code == 404
        assert tmdb.count == 1

    def test_changes_stay_out(self, tmdb, cache, collection):
        """What a hook does to an answer is not what is stored."""

        def spoil(response, **_):
            response.headers["ETag"] = "spoilt"
            response._content = b"spoilt"
            response.status_code = 500

        with enabled(cache):
            assert get(tmdb, hooks={"response": spoil}).content == b"spoilt"
            assert get(tmdb, hooks={"response": spoil}).content == b"spoilt"
            response = get(tmdb)
        assert (response.status_code, response.json()["id"] > 0) == (200, True)
        assert "spoilt" not in str(collection.find_one({}))

    @pytest.mark.parametrize("path", ["/3/account", MOVIE])
    def test_session_hooks(self, tmdb, cache, hook, path):
        """Hooks of the session are called once, too, for private calls as for others."""
        with requests.Session() as session, enabled(cache):
            session.hooks["response"].append(hook)
            for _ in range(2):
                get(tmdb, path, session=session)
        assert len(hook.seen) == 2

    def test_several(self, tmdb, cache):
        """Several hooks are called in their order, each with what the one before made of the answer."""
        order = []
        hooks = {"response": [lambda r, **_: order.append(1), lambda r, **_: order.append(2)]}
        with enabled(cache):
            get(tmdb, hooks=hooks)
            get(tmdb, hooks=hooks)
        assert order == [1, 2, 1, 2]

    def test_redirects(self, tmdb, cache, hook):
        """Without the cache a hook sees every redirect; with it, it sees the same."""
        tmdb.answer("/3/movie/1", status=302, headers={"Location": f"{MOVIE}?api_key={API_KEY}"})
        given = {"hooks": {"response": hook}}
        get(tmdb, "/3/movie/1", **given)
        plain = [seen[0].status_code for seen in hook.seen]
        hook.seen.clear()
        with enabled(cache):
            get(tmdb, "/3/movie/1", **given)
            assert [seen[0].status_code for seen in hook.seen] == plain
            hook.seen.clear()
            assert get(tmdb, "/3/movie/1", **given).from_cache
        assert [seen[0].status_code for seen in hook.seen] == plain

    def test_other_door(self, tmdb, cache, hook):
        """In a TMDBSession a hook is called once as well."""
        with TMDBSession(cache) as session:
            for _ in range(2):
                get(tmdb, session=session, hooks={"response": hook})
        assert len(hook.seen) == 2

    def test_hook_that_calls(self, tmdb, cache):
        """A hook may itself make calls, and they are cached like any other."""
        found = []

        def further(response, **_):
            found.append(get(tmdb, "/3/configuration").from_cache)

        with enabled(cache):
            get(tmdb, hooks={"response": further})
            get(tmdb, hooks={"response": further})
        assert found == [False, True]
        assert tmdb.count == 2


class TestAuth:
    def test_callable(self, tmdb, cache):
        """An auth object that only adds a header is used, and the answer cached."""

        class Token(AuthBase):
            def __call__(self, request):
                request.headers["Authorization"] = "Bearer " + hashlib.md5(b"x").hexdigest()
                return request

        with enabled(cache):
            for _ in range(2):
                response = requests.get(tmdb.url + MOVIE, auth=Token(), timeout=5)
        assert response.from_cache
        assert response.request.headers["Authorization"].startswith("Bearer ")

    def test_digest(self, tmdb, cache):
        """Digest authentication, which must see the 401 itself, works as without the cache."""
        challenge = {"WWW-Authenticate": 'Digest realm="r", nonce="n", qop="auth"'}
        tmdb.answer(MOVIE, status=401, headers=challenge, body=b"{}")
        counts = []
        with enabled(cache):
            assert get(tmdb, auth=HTTPDigestAuth("user", "password")).status_code == 401
        counts.append(tmdb.count)
        tmdb.calls.clear()
        assert get(tmdb, auth=HTTPDigestAuth("user", "password")).status_code == 401
        assert counts == [tmdb.count] == [2]
