"""Calls within calls: redirects are part of a call, what a hook or an adapter asks for is a call of its own."""

import pytest
import requests
from requests.adapters import HTTPAdapter

from tmdb_mongo_cache import TMDBSession

from .flowkit import ANY_KEY, START

pytestmark = pytest.mark.any_database


@pytest.fixture
def moved(tmdb):
    """The URL of a film whose page was moved to another."""
    tmdb.answer("/3/movie/1", status=301, headers={"Location": "/3/movie/2?api_key=any"})
    return tmdb.url + "/3/movie/1"


def test_a_redirect_is_one_call(installed, moved, tmdb):
    """A redirect enters the cache once, as one call: one miss, then one hit with the same history."""
    live = requests.get(moved, params=ANY_KEY)
    assert (tmdb.count, live.from_cache, live.json()["id"]) == (2, False, 2)
    hit = requests.get(moved, params=ANY_KEY)
    assert (tmdb.count, hit.from_cache) == (2, True)
    assert (installed.stats().misses, installed.stats().hits, installed.stats().calls) == (1, 1, 2)
    assert [(hop.status_code, hop.url) for hop in hit.history] == [(hop.status_code, hop.url) for hop in live.history]
    assert (hit.url, hit.content) == (live.url, live.content)


def test_a_redirect_stores_one_entry(installed, moved, collection):
    """A redirected call is stored under the key that was asked for."""
    requests.get(moved, params=ANY_KEY)
    assert [found["_id"] for found in collection.find()] == [f"{START}/3/movie/1"]


def test_a_redirect_of_a_session_with_its_own_send(installed, moved, tmdb):
    """A subclass that overrides send sees the redirect's requests, and the call is still one."""

    class Counting(requests.Session):
        sent = 0

        def send(self, request, **kwargs):
            self.sent += 1
            return super().send(request, **kwargs)

    with Counting() as session:
        session.get(moved, params=ANY_KEY)
        assert session.sent == 2
        assert session.get(moved, params=ANY_KEY).from_cache
        assert session.sent == 3
    assert installed.stats().calls == 2


def test_redirects_not_followed(installed, moved, tmdb):
    """allow_redirects=False gives the redirect itself, whatever is in the cache."""
    requests.get(moved, params=ANY_KEY)
    assert requests.get(moved, params=ANY_KEY, allow_redirects=False).status_code == 301


def test_a_call_of_a_hook_is_its_own(installed, tmdb):
    """What a response hook asks for is cached for itself, on a miss and on a hit."""
    seen = []

    def hook(response, **_):
        seen.append(requests.get(tmdb.url + "/3/movie/8", params=ANY_KEY).from_cache)

    for _ in range(2):
        requests.get(tmdb.url + "/3/movie/7", params=ANY_KEY, hooks={"response": hook})
    assert seen == [False, True]
    assert tmdb.count == 2


def test_a_hook_on_a_private_call(installed, tmdb):
    """What a hook asks for during a call that is never cached is cached for itself, by get and by send."""
    seen = []

    def hook(response, **_):
        with requests.Session() as other:
            prepared = requests.Request("GET", tmdb.url + "/3/movie/8", params=ANY_KEY).prepare()
            seen.append(other.send(prepared).from_cache)
            seen.append(other.get(tmdb.url + "/3/movie/8", params=ANY_KEY).from_cache)

    requests.get(tmdb.url + "/3/account", params=ANY_KEY, hooks={"response": hook})
    assert seen == [False, True]


class Asking(HTTPAdapter):
    """An adapter that asks for something else before it sends."""

    def __init__(self, ask):
        super().__init__()
        self.ask = ask

    def send(self, request, **kwargs):
        self.ask()
        return super().send(request, **kwargs)


@pytest.mark.parametrize("way", ["get", "session", "send", "TMDBSession"])
def test_a_call_of_an_adapter_is_its_own(installed, tmdb, way):
    """What an adapter asks for while it sends is cached for itself, by whatever way it asks."""
    seen = []
    url = tmdb.url + "/3/configuration"

    def ask():
        if way == "get":
            seen.append(requests.get(url, params=ANY_KEY).from_cache)
            return
        with TMDBSession(installed) if way == "TMDBSession" else requests.Session() as other:
            if way == "send":
                seen.append(other.send(requests.Request("GET", url, params=ANY_KEY).prepare()).from_cache)
            else:
                seen.append(other.get(url, params=ANY_KEY).from_cache)

    with requests.Session() as session:
        session.mount("http://", Asking(ask))
        for number in (1, 2, 2):
            session.get(f"{tmdb.url}/3/movie/{number}", params=ANY_KEY)
    assert seen == [False, True]
    assert tmdb.count == 3


def test_an_adapter_sees_misses_alone(installed, tmdb):
    """A mounted adapter is used for what goes out, and not for a hit."""
    seen = []
    with requests.Session() as session:
        session.mount(tmdb.url, Asking(lambda: seen.append(1)))
        for _ in range(3):
            session.get(tmdb.url + "/3/movie/3", params=ANY_KEY)
    assert len(seen) == 1


@pytest.mark.parametrize("where", ["session", "request"])
def test_hooks_see_every_answer(installed, tmdb, where):
    """Response hooks run once for a hit as for a miss, session's and request's, and may replace the response."""
    seen, mine = [], requests.Response()

    def hook(response, **_):
        seen.append(response.from_cache)
        return mine if response.from_cache else None

    with requests.Session() as session:
        options = {"hooks": {"response": hook}} if where == "request" else {}
        if where == "session":
            session.hooks["response"].append(hook)
        first, second = (session.get(tmdb.url + "/3/movie/3", params=ANY_KEY, **options) for _ in range(2))
    assert seen == [False, True]
    assert (first.status_code, second) == (200, mine)


def test_an_exception_in_a_hook_is_the_callers(installed, tmdb):
    """What a hook raises reaches the caller, and the answer was stored all the same."""

    def hook(response, **_):
        raise KeyError("mine")

    for _ in range(2):
        with pytest.raises(KeyError, match="mine"):
            requests.get(tmdb.url + "/3/movie/3", params=ANY_KEY, hooks={"response": hook})
    assert tmdb.count == 1
