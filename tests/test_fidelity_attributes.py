"""Whatever way an answer came, a program finds in the response what it finds without the cache, and nothing else."""

import copy
import pickle
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import requests
from requests import PreparedRequest
from requests.adapters import HTTPAdapter
from requests.cookies import RequestsCookieJar
from requests.structures import CaseInsensitiveDict

from tmdb_mongo_cache import enabled, install

from .flowkit import API_KEY, MOVIE, expire, get, status_of

pytestmark = [pytest.mark.versions, pytest.mark.any_database]

ADDED = {"from_cache", "created_at", "expires", "is_expired", "cache_key", "revalidated"}
OLD = "/3/movie/1"
OF_A_MOMENT = ("age", "cache-status", "date", "x-cache")
WAYS = {
    "get": lambda url, session, **options: requests.get(url, timeout=5, **options),
    "session": lambda url, session, **options: session.get(url, timeout=5, **options),
    "send": lambda url, session, **options: session.send(
        session.prepare_request(requests.Request("GET", url)), timeout=5, **options
    ),
}
OF_RAW = ["status", "version", "reason", "closed", "length_remaining", "enforce_content_length", "decode_content"]


class Page(requests.Response):
    """A response made of another, as requests_html makes them."""

    def __init__(self, response):
        super().__init__()
        self.__dict__.update(response.__dict__)


def known(value):
    """Return what can be compared of a value in a response."""
    if isinstance(value, CaseInsensitiveDict):
        return [(k, v) for k, v in value.items() if k.lower() not in OF_A_MOMENT]
    if isinstance(value, PreparedRequest):
        return value.method, value.url, dict(value.headers), value.body, value.hooks, sorted(vars(value))
    if isinstance(value, RequestsCookieJar):
        return type(value), type(value._policy), value.items()
    if isinstance(value, requests.Response):
        return fields(value)
    if isinstance(value, list):
        return [known(item) for item in value]
    if isinstance(value, timedelta):
        return value > timedelta(0)
    if isinstance(value, HTTPAdapter):
        return type(value)
    if hasattr(value, "release_conn"):
        sent = [(k, v) for k, v in value.headers.items() if k.lower() not in OF_A_MOMENT]
        found = [getattr(value, name) for name in OF_RAW]
        tried = value.retries and (value.retries.total, value.retries.read, value.retries.history)
        return found, value.geturl(), value.tell(), tried, sent, value._connection is None
    return value


def fields(response):
    return {name: known(value) for name, value in vars(response).items() if name not in ADDED}


def seen(response):
    """Return all that a program can see of a response; it is read."""
    before = fields(response)
    names = [name for name in dir(response) if name not in ADDED and not name.startswith("__")]
    # The twice underlined ones are those of the class; instances have added nothing to them.
    found = {
        "names": [name for name in names if not callable(getattr(type(response), name, None))],
        "before": before,
        "page": fields(Page(response)),
        "attributes": {name: known(getattr(response, name)) for name in before},
        "repr": repr(response),
        "true": bool(response),
    }
    with response as same:
        assert same is response
        found["chunks"] = b"".join(response)
        found["again"] = response._content is False or b"".join(response) == response.content
    found["after"] = fields(response)
    if response._content is not False:
        found["state"] = {name: known(value) for name, value in response.__getstate__().items()}
        for how, made in {
            "copy": copy.copy(response),
            "deepcopy": copy.deepcopy(response),
            "pickle": pickle.loads(pickle.dumps(response)),
            "oldest pickle": pickle.loads(pickle.dumps(response, 0)),
        }.items():
            assert type(made) is requests.Response
            found[how] = fields(made)
    return found


@pytest.fixture
def reach(tmdb, make_cache, collection):
    """Answer a call in each of the ways that there are; the last response is the one in question."""

    def reach(how, ask):
        cache = make_cache(memory_ttl=60 if how == "memory" else 0)
        with enabled(cache):
            if how == "miss":
                return ask()
            if how == "waited":
                tmdb.latency = 0.3
                with ThreadPoolExecutor(1, initializer=install, initargs=[cache]) as pool:
                    first = pool.submit(ask)
                    while not tmdb.count:
                        time.sleep(0.01)
                    response = ask()
                    assert "collapsed" in status_of(response)
                    first.result().close()
                return response
            ask().close()
            if how in ("revalidated", "stale"):
                expire(collection, collection.find_one({})["_id"])
            if how == "stale":
                tmdb.fail("503")
            response = ask()
            assert response.from_cache
            return response

    return reach


HOWS = ["miss", "mongodb", "memory", "revalidated", "stale", "waited"]


@pytest.mark.parametrize("path", [MOVIE, OLD], ids=["straight", "redirected"])
@pytest.mark.parametrize("stream", [False, True], ids=["", "stream"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("how", HOWS)
def test_the_same(tmdb, reach, plain_session, how, way, stream, path):
    """vars(), dir(), every attribute, copies, pickles and what a subclass makes of it are those of a live response."""
    tmdb.answer(OLD, status=301, headers={"X-A": "1", "location": f"{MOVIE}?api_key={API_KEY}#there"}, body=b"moved")

    def ask():
        return WAYS[way](f"{tmdb.url}{path}?api_key={API_KEY}", plain_session, stream=stream)

    ask().close()  # the stand-in's own cache is warm now
    plain = ask()
    wanted = seen(plain)
    tmdb.calls.clear()
    assert seen(reach(how, ask)) == wanted


@pytest.mark.parametrize("stream", [False, True], ids=["", "stream"])
@pytest.mark.parametrize("status", [301, 404, 401, 500])
def test_waited_for_what_is_not_stored(tmdb, reach, plain_session, status, stream):
    """Who waits for another's call gets what a live response has, also where that is not stored."""
    tmdb.answer(MOVIE, status=status, headers={"Location": "/3/tv/1?language=de"}, body=b'{"status_code": 1}')

    def ask():
        return get(tmdb, session=plain_session, stream=stream, allow_redirects=False)

    plain = seen(ask())
    tmdb.calls.clear()
    assert seen(reach("waited", ask)) == plain


@pytest.mark.parametrize("name", ["nothing", "_source", "__nothing__", "_content_read"])
def test_what_is_not_there(tmdb, cache, stored, name):
    """An attribute that no response has is an AttributeError on a hit too, and none of the cache's own shows."""
    with enabled(cache):
        response = get(tmdb)
    assert response.from_cache
    response.headers, vars(response)
    assert not hasattr(response, name)
    assert name not in dir(response)


def test_changed_by_the_program(tmdb, cache, stored):
    """What a program sets or deletes in vars() of a hit is set or deleted."""
    with enabled(cache):
        response = get(tmdb)
    vars(response)["mine"] = 1
    response.__dict__["url"] = "other"
    assert (response.mine, response.url) == (1, "other")
    del response.headers
    assert not hasattr(response, "headers")
    assert "headers" not in vars(response)


class Own(requests.Response):
    """A class of responses of the program's own."""


@pytest.mark.parametrize("how", HOWS)
def test_made_one_of_another_class(tmdb, reach, how):
    """A response whose class a program sets to its own (locust does) has what it has without the cache."""

    def ask():
        response = get(tmdb)
        response.__class__ = Own
        return response

    plain = fields(ask())
    tmdb.calls.clear()
    assert fields(reach(how, ask)) == plain


class Tagging(HTTPAdapter):
    """An adapter that adds to each request and to each response."""

    def send(self, request, **options):
        request.headers["X-Signed"] = "1"
        return super().send(request, **options)

    def build_response(self, req, resp):
        response = super().build_response(req, resp)
        response.tag, response.raw_status = "mine", resp.status
        return response


class Making(HTTPAdapter):
    """An adapter whose responses are of a class of its own."""

    def build_response(self, req, resp):
        made, found = Own(), super().build_response(req, resp)
        made.__dict__.update(found.__dict__)
        return made


@pytest.mark.parametrize("stream", [False, True], ids=["", "stream"])
@pytest.mark.parametrize("path", [MOVIE, OLD], ids=["straight", "redirected"])
@pytest.mark.parametrize("how", HOWS)
def test_adapters_responses(tmdb, reach, plain_session, how, path, stream):
    """What a program's adapter puts on the responses it builds is on each, redirects included."""
    tmdb.answer(OLD, status=301, headers={"Location": f"{MOVIE}?api_key={API_KEY}"})
    plain_session.mount(tmdb.url, Tagging())

    def ask():
        return get(tmdb, path, session=plain_session, stream=stream)

    response = reach(how, ask)
    assert [one.tag for one in [*response.history, response]] == ["mine"] * (1 + (path == OLD))
    assert (response.raw_status, response.json()["id"]) == (200, 550)
    assert type(response.connection) is Tagging


def test_adapters_class(tmdb, reach, plain_session):
    """A response class of the program's adapter is that of hits too."""
    plain_session.mount(tmdb.url, Making())
    response = reach("mongodb", lambda: get(tmdb, session=plain_session))
    assert type(response) is Own
    assert (response.json()["id"], response.from_cache) == (550, True)


def test_what_an_adapter_sends(tmdb, cache, plain_session):
    """What an adapter adds to a request is in response.request where it was sent; a hit sends nothing."""
    plain_session.mount(tmdb.url, Tagging())
    with enabled(cache):
        live, hit = get(tmdb, session=plain_session), get(tmdb, session=plain_session)
        prepared = plain_session.prepare_request(requests.Request("GET", f"{tmdb.url}/3/movie/2"))
        assert plain_session.send(prepared, timeout=5).request is prepared
    assert live.request.headers["X-Signed"] == prepared.headers["X-Signed"] == "1"
    assert hit.from_cache
    assert "X-Signed" not in hit.request.headers
