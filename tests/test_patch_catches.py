"""What the patch catches: every way into requests, whenever it was imported or made."""

import pytest
import requests
from requests import Session as ImportedSession
from requests import get as imported_get

from tmdb_mongo_cache import install, uninstall

from .flowkit import ANY_KEY


def test_requests_get(installed, film, tmdb):
    """requests.get is cached: the second call does not reach TMDB and gives the same body."""
    first, second = requests.get(film, params=ANY_KEY), requests.get(film, params=ANY_KEY)
    assert (first.from_cache, second.from_cache, tmdb.count) == (False, True, 1)
    assert first.content == second.content
    assert second.json()["id"] == 550


@pytest.mark.parametrize("verb", ["get", "request"])
def test_module_functions(installed, film, tmdb, verb):
    """requests.get and requests.request share the entry."""
    requests.get(film, params=ANY_KEY)
    call = {
        "get": lambda: requests.get(film, ANY_KEY),
        "request": lambda: requests.request("get", film, params=ANY_KEY),
    }
    assert call[verb]().from_cache
    assert tmdb.count == 1


def test_names_imported_before(installed, film, tmdb):
    """`from requests import get, Session` before install() is caught."""
    assert not imported_get(film, params=ANY_KEY).from_cache
    assert imported_get(film, params=ANY_KEY).from_cache
    with ImportedSession() as session:
        assert session.get(film, params=ANY_KEY).from_cache
    assert tmdb.count == 1


def test_sessions_made_before(plain_session, cache, film, tmdb):
    """A session made, and used, before install() is caught, and free again after uninstall()."""
    plain_session.get(film, params=ANY_KEY)
    install(cache)
    assert not plain_session.get(film, params=ANY_KEY).from_cache
    assert plain_session.get(film, params=ANY_KEY).from_cache
    uninstall()
    assert not hasattr(plain_session.get(film, params=ANY_KEY), "from_cache")
    assert tmdb.count == 3


def test_a_bound_method_taken_before(plain_session, cache, film, tmdb):
    """`get = session.get` taken before install() is caught."""
    get = plain_session.get
    install(cache)
    get(film, params=ANY_KEY)
    assert get(film, params=ANY_KEY).from_cache
    assert tmdb.count == 1


class Subclass(requests.Session):
    pass


class Overriding(requests.Session):
    def __init__(self):
        super().__init__()
        self.seen = []

    def request(self, method, url, *args, **kwargs):
        self.seen.append("request")
        kwargs.setdefault("timeout", 5)
        return super().request(method, url, *args, **kwargs)

    def send(self, request, **kwargs):
        self.seen.append("send")
        request.headers["X-Mine"] = "yes"
        return super().send(request, **kwargs)


class OldStyle(requests.Session):
    def send(self, *args, **kwargs):
        return requests.Session.send(self, *args, **kwargs)

    def request(self, *args, **kwargs):
        return requests.Session.request(self, *args, **kwargs)


@pytest.mark.parametrize("kind", [Subclass, Overriding, OldStyle])
def test_subclasses(installed, film, tmdb, kind):
    """Subclasses of Session are caught, also those that override request or send and call the base's."""
    with kind() as session:
        assert not session.get(film, params=ANY_KEY).from_cache
        assert session.get(film, params=ANY_KEY).from_cache
    assert tmdb.count == 1


def test_an_overriding_subclass_sees_every_call(installed, film, tmdb):
    """What a subclass does in request and send happens on hits and misses alike, and reaches TMDB."""
    with Overriding() as session:
        for _ in range(2):
            response = session.get(film, params=ANY_KEY)
            assert response.request.headers["X-Mine"] == "yes"
    assert session.seen == ["request", "send"] * 2
    assert tmdb.calls[0].header("x-mine") == "yes"


def test_prepared_requests(installed, plain_session, film, tmdb):
    """A prepared request through session.send is cached, and shares its entry with requests.get."""
    prepared = plain_session.prepare_request(requests.Request("GET", film, params=ANY_KEY))
    assert not plain_session.send(prepared).from_cache
    hit = plain_session.send(prepared, timeout=3)
    assert hit.from_cache
    assert hit.request is prepared
    assert requests.get(film, params=ANY_KEY).from_cache
    assert tmdb.count == 1


def test_send_through_the_class(installed, plain_session, film, tmdb):
    """requests.Session.send(session, prepared) is cached like session.send(prepared)."""
    prepared = requests.Request("GET", film, params=ANY_KEY).prepare()
    requests.Session.send(plain_session, prepared)
    assert requests.Session.send(plain_session, prepared).from_cache
    assert requests.Session.send(plain_session, request=prepared).status_code == 200
    assert requests.Session.request(plain_session, "GET", film, params=ANY_KEY).from_cache


def test_send_with_the_request_by_keyword(installed, plain_session, film, tmdb):
    """session.send(request=prepared) is cached like session.send(prepared)."""
    prepared = requests.Request("GET", film, params=ANY_KEY).prepare()
    plain_session.send(request=prepared)
    assert plain_session.send(request=prepared).from_cache
    assert tmdb.count == 1
