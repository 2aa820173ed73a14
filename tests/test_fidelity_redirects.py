"""Redirects: what is followed, what is kept, and what never is."""

import pytest
import requests

from tmdb_mongo_cache import TMDBSession, enabled
from tmdb_mongo_cache.standin import StandIn

from .fidelitykit import HEADERS, comparable, three
from .flowkit import API_KEY, KEY, MOVIE, expire, get

pytestmark = [pytest.mark.versions, pytest.mark.any_database]

OLD = "/3/movie/550-fight-club"


@pytest.fixture
def moved(tmdb):
    """Let one path redirect to another; return the Location."""
    location = f"{tmdb.url}{MOVIE}?api_key={API_KEY}"
    tmdb.answer(OLD, status=301, headers={"Location": location, "X-Hop": "1"}, body=b"moved")
    headers = {"Content-Type": "application/json", "ETag": '"1"', "Date": HEADERS["Date"]}
    tmdb.answer(MOVIE, headers=headers, body=b'{"id": 550}')
    return location


def hops(response):
    """Return what a program sees of the way to a response."""
    return [
        (
            hop.status_code,
            hop.reason,
            hop.url,
            hop.request.url,
            hop.request.method,
            hop.headers["Location"],
            hop.headers["X-Hop"],
            hop.content,
            hop.is_redirect,
            hop.is_permanent_redirect,
            len(hop.history),
        )
        for hop in response.history
    ]


class TestFollowed:
    def test_history(self, tmdb, cache, moved):
        """A redirect to another public path is kept with its history, and served without a call."""
        plain, live, cached = three(tmdb, cache, path=OLD)
        assert hops(plain) == hops(live) == hops(cached)
        assert len(cached.history) == 1
        for response in (live, cached):
            found, expected = comparable(response), comparable(plain)
            assert found.pop("history")
            expected.pop("history")
            assert found == expected
            assert response.url == moved
        assert tmdb.count == 4

    def test_own_key(self, tmdb, cache, moved):
        """The URLs of a cached history and answer have this caller's key and no other's."""
        with enabled(cache):
            get(tmdb, OLD)
            response = get(tmdb, OLD, params={"api_key": "f" * 32})
        assert response.from_cache
        urls = [response.url, response.request.url, *(hop.url for hop in response.history)]
        urls += [hop.headers["Location"] for hop in response.history]
        assert API_KEY not in str(urls)
        assert response.url.endswith(f"{MOVIE}?api_key={'f' * 32}")

    def test_two_hops(self, tmdb, cache, moved):
        """Every redirect on the way is kept."""
        tmdb.answer("/3/movie/551", status=302, headers={"Location": OLD, "X-Hop": "0"})
        plain, live, cached = three(tmdb, cache, path="/3/movie/551")
        assert hops(plain) == hops(live) == hops(cached)
        assert [hop.status_code for hop in cached.history] == [302, 301]

    def test_not_followed(self, tmdb, cache, moved, collection):
        """A redirect that the caller does not want followed is passed on as it is and never stored."""
        with enabled(cache):
            for _ in range(2):
                response = get(tmdb, OLD, allow_redirects=False)
                assert (response.status_code, response.history, response.is_redirect) == (301, [], True)
                assert response.next.url == moved
            assert collection.count_documents({}) == 0
            get(tmdb, OLD)
            assert get(tmdb, OLD, allow_redirects=False).status_code == 301
            assert get(tmdb, OLD).from_cache

    def test_not_redirected(self, tmdb, cache):
        """A caller who follows no redirects shares the entries that came without one."""
        with enabled(cache):
            get(tmdb)
            assert get(tmdb, allow_redirects=False).from_cache

    def test_same_key(self, tmdb, cache, collection):
        """A redirect to another spelling of the same call leaves no history for the next caller."""
        other = f"{tmdb.url}/3/movie/%3550?api_key={API_KEY}"
        tmdb.answer(MOVIE, status=301, headers={"Location": other})
        with enabled(cache), requests.Session() as session:
            session.max_redirects = 2
            with pytest.raises(requests.TooManyRedirects):
                get(tmdb, session=session)
        assert collection.count_documents({}) == 0

    def test_validated(self, tmdb, cache, moved, collection):
        """An expired answer that came by a redirect is validated or fetched, and none the worse for it."""
        with enabled(cache):
            key = get(tmdb, OLD).cache_key
            expire(collection, key)
            for _ in range(2):
                response = get(tmdb, OLD)
                assert (response.status_code, response.content) == (200, b'{"id": 550}')
                assert [hop.status_code for hop in response.history] == [301]
                requests_made = [hop.request for hop in response.history] + [response.request]
                assert all("If-None-Match" not in request.headers for request in requests_made)

    def test_fails_behind(self, tmdb, cache, moved, collection):
        """TMDB failing behind a redirect is covered by the last good answer."""
        with enabled(cache):
            key = get(tmdb, OLD).cache_key
            expire(collection, key)
            tmdb.fail("503", path=MOVIE)
            response = get(tmdb, OLD)
        assert (response.status_code, response.from_cache) == (200, True)

    def test_session_door(self, tmdb, cache, moved):
        """A TMDBSession keeps redirects as install() does."""
        with TMDBSession(cache) as session:
            first, second = get(tmdb, OLD, session=session), get(tmdb, OLD, session=session)
        assert (second.from_cache, tmdb.count) == (True, 2)
        assert hops(first) == hops(second)

    def test_hop_changed(self, tmdb, cache, moved):
        """What a program does to a history stays its own."""
        with enabled(cache):
            for _ in range(3):
                response = get(tmdb, OLD)
                assert len(response.history) == 1
                response.history[0].headers.clear()
                response.history.clear()


class TestNeverKept:
    @pytest.mark.parametrize(
        "path", ["/3/account", "/3/account/1/lists", "/3/movie/550/account_states", "/4/list/1", "/3/x/%2E%2E/account"]
    )
    def test_private(self, tmdb, cache, collection, path):
        """A redirect that ends at a private path is never stored."""
        tmdb.answer(MOVIE, status=302, headers={"Location": f"{path}?api_key={API_KEY}"})
        with enabled(cache):
            for _ in range(2):
                response = get(tmdb)
                assert not response.from_cache
                assert response.history[0].status_code == 302
        assert tmdb.count == 4
        assert collection.count_documents({}) == 0

    def test_by_way_of_private(self, tmdb, cache, collection):
        """A redirect by way of a private path is never stored, though it ends at a public one."""
        tmdb.answer("/3/movie/1", status=302, headers={"Location": "/3/account/x"})
        tmdb.answer("/3/account/x", status=302, headers={"Location": f"{MOVIE}?api_key={API_KEY}"})
        with enabled(cache):
            assert get(tmdb, "/3/movie/1").json()["id"]
        assert collection.count_documents({}) == 0

    def test_session_added(self, tmdb, cache, collection):
        """A redirect that adds a session is never stored."""
        tmdb.answer("/3/movie/1", status=302, headers={"Location": f"{MOVIE}?api_key={API_KEY}&session_id=s"})
        with enabled(cache):
            assert get(tmdb, "/3/movie/1").json()["id"]
        assert collection.count_documents({}) == 0

    def test_another_host(self, tmdb, cache, collection):
        """A redirect to a host that is not TMDB's is followed and never stored."""
        with StandIn() as other:
            tmdb.answer(MOVIE, status=302, headers={"Location": f"{other.url}{MOVIE}?api_key={API_KEY}"})
            with enabled(cache):
                for _ in range(2):
                    response = get(tmdb)
                    assert response.url.startswith(other.url)
                    assert not response.from_cache
            assert (tmdb.count, other.count) == (2, 2)
        assert collection.count_documents({}) == 0

    def test_from_another_host(self, tmdb, cache, collection):
        """A call elsewhere that is redirected to TMDB stores nothing under TMDB's key but TMDB's own answer."""
        with StandIn() as other:
            other.answer("/x", status=302, headers={"Location": f"{tmdb.url}{MOVIE}?api_key={API_KEY}"})
            with enabled(cache):
                assert requests.get(other.url + "/x", timeout=5).json()["id"]
                response = get(tmdb)
        assert response.history == []
        assert [document["_id"] for document in collection.find()] == [KEY]

    def test_private_to_public(self, tmdb, cache, collection):
        """A private call that is redirected to a public path stores nothing."""
        tmdb.answer("/3/account", status=302, headers={"Location": f"{MOVIE}?api_key={API_KEY}"})
        with enabled(cache):
            assert get(tmdb, "/3/account").json()["id"]
        assert collection.count_documents({}) == 0
