"""What did not come from the network is neither looked up nor stored; what calls the network is no mock."""

from __future__ import annotations

import functools
import io
import json
from collections.abc import Callable, Iterator
from http.client import HTTPMessage
from typing import Any
from unittest import mock

import pytest
import requests
import requests_mock
import responses
import urllib3
import wrapt
from cachecontrol import CacheControlAdapter
from requests.adapters import BaseAdapter, HTTPAdapter
from urllib3.connectionpool import HTTPConnectionPool

from tmdb_mongo_cache import TMDBCache, TMDBSession, cached_tmdb, enabled
from tmdb_mongo_cache.standin import StandIn

from .flowkit import ANY_KEY, MOVIE, status_of

pytestmark = pytest.mark.any_database

TMDB = "https://api.themoviedb.org"


class Canned(BaseAdapter):
    """An adapter that has its answer already, as an in-process server would."""

    def __init__(self, text: str = "mine", raw: Any = None) -> None:
        super().__init__()
        self.calls, self._body, self._raw = 0, json.dumps({"id": 550, "title": text}).encode(), raw

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        self.calls += 1
        found = requests.Response()
        found.status_code, found.url, found.request = 200, request.url or "", request
        found.headers["Content-Type"] = "application/json"
        found.raw = self._raw or urllib3.HTTPResponse(io.BytesIO(self._body), preload_content=False)
        return found

    def close(self) -> None:
        pass


class CannedHTTP(HTTPAdapter):
    """The same as a subclass of requests' own."""

    def __init__(self, text: str = "mine") -> None:
        super().__init__()
        self._canned = Canned(text)

    @property
    def calls(self) -> int:
        return self._canned.calls

    def send(self, *args: Any, **kwargs: Any) -> requests.Response:
        return self._canned.send(*args, **kwargs)


class OfItsOwn(HTTPAdapter):
    """An adapter that does what many do: another timeout, and a response of its own class."""

    class Response(requests.Response):
        """A response of its own class."""

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        return super().send(request, *args, **{**kwargs, "timeout": 5})

    def build_response(self, *args: Any) -> requests.Response:
        found = super().build_response(*args)
        found.__class__ = self.Response
        return found


def by_responses(url: str, text: str) -> Any:
    with responses.RequestsMock() as mocked:
        mocked.get(url, json={"id": 550, "title": text})
        return requests.get(url, params=ANY_KEY)


def by_requests_mock(url: str, text: str) -> Any:
    with requests_mock.Mocker() as mocked:
        mocked.get(url, json={"id": 550, "title": text})
        return requests.get(url, params=ANY_KEY)


def by_requests_mock_of_a_session(url: str, text: str) -> Any:
    with requests.Session() as session, requests_mock.Mocker(session=session) as mocked:
        mocked.get(url, json={"id": 550, "title": text})
        return session.get(url, params=ANY_KEY)


def by_an_adapter_of_requests_mock(url: str, text: str) -> Any:
    adapter = requests_mock.Adapter()
    adapter.register_uri("GET", url, json={"id": 550, "title": text})
    with requests.Session() as session:
        session.mount(url, adapter)
        return session.get(url, params=ANY_KEY)


def by_a_function(url: str, text: str) -> Any:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(HTTPAdapter, "send", lambda _, request, **options: Canned(text).send(request))
        return requests.get(url, params=ANY_KEY)


def by_a_mock(url: str, text: str) -> Any:
    answer = Canned(text).send(requests.Request("GET", url).prepare())
    with mock.patch.object(HTTPAdapter, "send", return_value=answer):
        return requests.get(url, params=ANY_KEY)


def by_autospec(url: str, text: str) -> Any:
    answer = Canned(text).send(requests.Request("GET", url).prepare())
    with mock.patch.object(HTTPAdapter, "send", autospec=True, return_value=answer):
        return requests.get(url, params=ANY_KEY)


def by_a_mock_in_an_adapter(url: str, text: str) -> Any:
    with requests.Session() as session:
        session.get_adapter(url).send = mock.Mock(side_effect=Canned(text).send)  # type: ignore[method-assign]
        return session.get(url, params=ANY_KEY)


def by_urlopen(url: str, text: str) -> Any:
    body = json.dumps({"id": 550, "title": text}).encode()
    answer = urllib3.HTTPResponse(io.BytesIO(body), preload_content=False, status=200)
    with mock.patch.object(HTTPConnectionPool, "urlopen", return_value=answer):
        return requests.get(url, params=ANY_KEY)


MOCKS = [
    by_responses,
    by_requests_mock,
    by_requests_mock_of_a_session,
    by_an_adapter_of_requests_mock,
    by_a_function,
    by_a_mock,
    by_autospec,
    by_a_mock_in_an_adapter,
    by_urlopen,
]


@pytest.mark.parametrize("ask", MOCKS)
@pytest.mark.parametrize("first", ["cache", "mock"])
class TestMocks:
    """Each of them, there before the cache or after it."""

    def test_asked_each_time(
        self, cache: TMDBCache, tmdb: StandIn, collection: Any, ask: Callable[..., Any], first: str
    ) -> None:
        """A mock is asked each time, also where MongoDB has TMDB's answer; nothing of it is stored."""
        url = tmdb.url + MOVIE
        with enabled(cache):
            stored = requests.get(url, params=ANY_KEY).content
        for text in ("first", "second"):
            assert self.asked(cache, ask, url, text, first).json()["title"] == text
            assert self.asked(cache, ask, TMDB + MOVIE, text, first).json()["title"] == text
        assert [document["body"] for document in collection.find()] == [stored]
        with enabled(cache):
            assert requests.get(url, params=ANY_KEY).from_cache

    def asked(self, cache: TMDBCache, ask: Callable[..., Any], url: str, text: str, first: str) -> Any:
        if first == "cache":
            with enabled(cache):
                return ask(url, text)
        get = requests.Session.get

        def later(session: requests.Session, *args: Any, **kwargs: Any) -> requests.Response:
            return cached_tmdb(cache=cache)(get)(session, *args, **kwargs)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(requests.Session, "get", later)
            patched.setattr(
                requests,
                "get",
                lambda url, **options: cached_tmdb(cache=cache)(requests.request)("GET", url, **options),
            )
            return ask(url, text)


class TestAdapters:
    """Adapters that a program mounts."""

    def test_for_tmdb(self, cache: TMDBCache, plain_session: requests.Session, collection: Any) -> None:
        """One that is none of requests' is asked each time for TMDB's own hosts, and nothing is stored."""
        adapter = Canned()
        plain_session.mount(TMDB, adapter)
        with enabled(cache):
            for count in (1, 2):
                found = plain_session.get(TMDB + MOVIE, params=ANY_KEY)
                assert (status_of(found), adapter.calls) == ({"fwd": "bypass"}, count)
        assert collection.count_documents({}) == 0

    @pytest.mark.parametrize("kind", [Canned, CannedHTTP])
    def test_for_a_host_of_ones_own(
        self, cache: TMDBCache, tmdb: StandIn, plain_session: requests.Session, kind: Callable[[], Any]
    ) -> None:
        """One that serves a host in ``hosts`` from this process is cached like a server elsewhere."""
        adapter = kind()
        plain_session.mount(tmdb.url, adapter)
        with enabled(cache):
            assert [plain_session.get(tmdb.url + MOVIE, params=ANY_KEY).from_cache for _ in range(2)] == [False, True]
        assert adapter.calls == 1

    def test_tmdb_as_a_host_of_ones_own(
        self, make_cache: Callable[..., TMDBCache], plain_session: requests.Session
    ) -> None:
        """TMDB's own host counts as one's own where it is named in ``hosts``."""
        plain_session.mount(TMDB, Canned())
        with enabled(make_cache(hosts=["api.themoviedb.org"])):
            assert [plain_session.get(TMDB + MOVIE, params=ANY_KEY).from_cache for _ in range(2)] == [False, True]

    def test_made_by_hand(self, cache: TMDBCache, plain_session: requests.Session, collection: Any) -> None:
        """What a subclass of requests' own makes up for TMDB is passed on, and not stored."""
        plain_session.mount(TMDB, CannedHTTP())
        with enabled(cache):
            assert [plain_session.get(TMDB + MOVIE, params=ANY_KEY).from_cache for _ in range(2)] == [False, False]
        assert collection.count_documents({}) == 0

    def test_a_recorded_http_response(self, cache: TMDBCache, plain_session: requests.Session, collection: Any) -> None:
        """What only looks like urllib3's, with nothing of ``http.client`` below it, is not stored."""
        for original in (None, urllib3.HTTPResponse(io.BytesIO(), msg=HTTPMessage(), preload_content=False)):
            raw = urllib3.HTTPResponse(io.BytesIO(b'{"id": 550}'), preload_content=False, original_response=original)
            adapter = CannedHTTP()
            adapter._canned = Canned(raw=raw)
            plain_session.mount(TMDB, adapter)
            with enabled(cache):
                assert plain_session.get(TMDB + MOVIE, params=ANY_KEY).json() == {"id": 550}
        assert collection.count_documents({}) == 0

    @pytest.mark.parametrize("kind", [CacheControlAdapter, OfItsOwn, functools.partial(HTTPAdapter, max_retries=3)])
    def test_derived_from_requests_own(
        self, cache: TMDBCache, tmdb: StandIn, plain_session: requests.Session, kind: Callable[[], Any]
    ) -> None:
        """One that is derived from requests' own, and calls the network, is cached as that is."""
        plain_session.mount("http://", kind())
        with enabled(cache):
            assert [plain_session.get(tmdb.url + MOVIE, params=ANY_KEY).from_cache for _ in range(2)] == [False, True]
        assert tmdb.count == 1

    def test_one_for_something_else(self, cache: TMDBCache, tmdb: StandIn, plain_session: requests.Session) -> None:
        """An adapter that is mounted for something else is no reason to leave TMDB's calls alone."""
        plain_session.mount("file://", Canned())
        plain_session.mount("https://example.org", Canned())
        with enabled(cache):
            assert [plain_session.get(tmdb.url + MOVIE, params=ANY_KEY).from_cache for _ in range(2)] == [False, True]


def by_wrapt() -> None:
    wrapt.wrap_function_wrapper(
        "requests.adapters", "HTTPAdapter.send", lambda do, _, args, kwargs: do(*args, **kwargs)
    )


def by_wraps() -> None:
    real = HTTPAdapter.send
    HTTPAdapter.send = functools.wraps(real)(lambda self, *args, **kwargs: real(self, *args, **kwargs))  # type: ignore


def by_a_closure() -> None:
    real = HTTPAdapter.send
    HTTPAdapter.send = lambda self, *args, **kwargs: real(self, *args, **kwargs)  # type: ignore[assignment, misc]


def by_a_default() -> None:
    def send(self: Any, request: Any, real: Any = HTTPAdapter.send, **kwargs: Any) -> Any:
        return real(self, request, **kwargs)

    HTTPAdapter.send = send  # type: ignore[method-assign]


def by_a_global() -> None:
    HTTPAdapter.send = lambda self, *args, **kwargs: _REAL(self, *args, **kwargs)  # type: ignore[assignment, misc]


def by_an_object() -> None:
    class Patch:
        saved = staticmethod(HTTPAdapter.send)

        def __init__(self) -> None:
            self.before = HTTPAdapter.send

        def put_on(self) -> None:
            HTTPAdapter.send = lambda adapter, *args, **kwargs: self.before(adapter, *args, **kwargs)  # type: ignore

    Patch().put_on()


def by_partialmethod() -> None:
    def timed(self: Any, request: Any, limit: float, **kwargs: Any) -> Any:
        return _REAL(self, request, **{**kwargs, "timeout": limit})

    HTTPAdapter.send = functools.partialmethod(timed, limit=5.0)  # type: ignore[assignment]


def of_urlopen() -> None:
    wrapt.wrap_function_wrapper(
        "urllib3.connectionpool", "HTTPConnectionPool.urlopen", lambda do, _, args, kwargs: do(*args, **kwargs)
    )


def several() -> None:
    for put_on in (by_wrapt, by_a_closure, by_wraps, of_urlopen, by_wrapt):
        put_on()


_REAL = HTTPAdapter.send
WRAPPERS = [
    by_wrapt,
    by_wraps,
    by_a_closure,
    by_a_default,
    by_a_global,
    by_an_object,
    by_partialmethod,
    of_urlopen,
    several,
]


@pytest.fixture
def put_back() -> Iterator[None]:
    before = [(kind, name, vars(kind)[name]) for kind, name in ((HTTPAdapter, "send"), (HTTPConnectionPool, "urlopen"))]
    yield
    for kind, name, value in before:
        setattr(kind, name, value)


@pytest.mark.usefixtures("put_back")
@pytest.mark.parametrize("put_on", WRAPPERS)
def test_wrappers_are_no_mocks(cache: TMDBCache, tmdb: StandIn, put_on: Callable[[], None]) -> None:
    """What wraps HTTPAdapter.send or urlopen and calls it in the end changes nothing: answers are stored and served."""
    url = tmdb.url + MOVIE
    with enabled(cache):
        put_on()
        assert [requests.get(url, params=ANY_KEY).from_cache for _ in range(2)] == [False, True]
        assert tmdb.count == 1


def test_warming_under_a_mock(cache: TMDBCache, tmdb: StandIn, collection: Any) -> None:
    """What the cache fetches by itself is not stored either where a mock answers, or calls the network in the end."""
    with mock.patch.object(HTTPAdapter, "send", autospec=True, side_effect=_REAL) as send:
        cache.warm([550], api_key="0" * 32, base_url=tmdb.url)
        assert send.call_count == tmdb.count == 1
    with responses.RequestsMock() as mocked:
        mocked.get(tmdb.url + MOVIE, json={"id": 550, "title": "mine"})
        cache.warm([550], api_key="0" * 32, base_url=tmdb.url)
    assert collection.count_documents({}) == 0


def test_a_session_of_ours(session: TMDBSession, tmdb: StandIn, collection: Any) -> None:
    """A TMDBSession leaves a mock's calls alone as well."""
    url = tmdb.url + MOVIE
    stored = session.get(url).content
    for title in ("first", "second"):
        with responses.RequestsMock() as mocked:
            mocked.get(url, json={"id": 550, "title": title})
            assert session.get(url).json()["title"] == title
    assert [document["body"] for document in collection.find()] == [stored]
    assert session.get(url).from_cache  # type: ignore[attr-defined]


@pytest.mark.parametrize("ask", [by_responses, by_requests_mock, "adapter", "canned"])
def test_backend(
    make_session: Callable[..., Any], tmdb: StandIn, monkeypatch: pytest.MonkeyPatch, collection: Any, ask: Any
) -> None:
    """A session on MongoBackend neither stores a mock's answer as TMDB's nor answers in a mock's place."""
    monkeypatch.setenv("TMDB_CACHE_HOSTS", tmdb.host)
    monkeypatch.setenv("TMDB_CACHE_STORE_TIMEOUT", "10")
    session = make_session()
    session.get(tmdb.url + MOVIE, params=ANY_KEY)
    monkeypatch.setattr(requests, "get", session.get)
    if callable(ask):
        for text in ("first", "second"):
            for url in (tmdb.url, TMDB):
                assert ask(url + MOVIE, text).json()["title"] == text
    else:
        adapter = requests_mock.Adapter() if ask == "adapter" else CannedHTTP()
        if ask == "adapter":
            adapter.register_uri("GET", TMDB + MOVIE, json={"id": 550})
        session.mount(TMDB, adapter)
        session.get(TMDB + MOVIE, params=ANY_KEY)
        session.get(TMDB + "/3/movie/1", params=ANY_KEY) if ask == "canned" else None
    assert [document["data"]["id"] for document in collection.find()] == [550]
    assert collection.find_one()["data"].get("title") != "second"
    assert session.get(tmdb.url + MOVIE, params=ANY_KEY).from_cache
