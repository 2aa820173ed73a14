"""What a request may say that chooses the answer and is not in the key: such a call goes straight through."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter

from tmdb_mongo_cache import OfflineError, TMDBCache, TMDBSession, cached_tmdb, enabled
from tmdb_mongo_cache.standin import StandIn

from .flowkit import ANY_KEY, KEY, MOVIE, get, status_of

pytestmark = pytest.mark.any_database


def with_headers(session: Any, headers: dict[str, Any]) -> Any:
    session.headers.update(headers)
    return session


@pytest.fixture(params=["get", "session", "send", "stream", "TMDBSession", "decorator", "backend"])
def door(
    request: pytest.FixtureRequest,
    tmdb: StandIn,
    cache: TMDBCache,
    make_session: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[dict[str, Any]], Any]:
    """Make a call with headers through one of the doors."""
    if request.param == "backend":
        monkeypatch.setenv("TMDB_CACHE_HOSTS", tmdb.host)
        cached = make_session(expire_after=3600)
        return lambda headers: get(tmdb, session=cached, headers=headers)
    if request.param == "TMDBSession":
        return lambda headers: get(tmdb, session=with_headers(TMDBSession(cache), headers))
    if request.param == "decorator":
        return cached_tmdb(cache=cache)(lambda headers: get(tmdb, headers=headers))

    def call(headers: dict[str, Any]) -> Any:
        session = requests.Session()
        with enabled(cache):
            if request.param == "session":
                return get(tmdb, session=with_headers(session, headers))
            if request.param == "send":
                made = requests.Request("GET", tmdb.url + MOVIE, params=ANY_KEY, headers=headers)
                return session.send(session.prepare_request(made), timeout=5)
            return get(tmdb, headers=headers, stream=request.param == "stream")

    return call


class TestDoors:
    def test_both_ways(self, tmdb, door, collection):
        """Through every door such a call gets no stored answer, leaves none, and arrives as it was made."""
        for headers in ({"Host": "evil.example"}, {"X-Forwarded-Host": "evil.example"}, {"X_Original_URL": b"/3/x"}):
            assert not door(headers).from_cache
            assert collection.count_documents({}) == 0
        stored = door({"Host": tmdb.host})
        assert (stored.from_cache, collection.count_documents({"_id": KEY})) == (False, 1)
        before = collection.find_one({})
        for name in ("Host", "host", b"HOST", "X-Forwarded-Host", "x-rewrite-url"):
            for value in ("evil.example", b"evil.example"):
                tmdb.calls.clear()
                assert not door({name: value}).from_cache
                (arrived,) = tmdb.calls
                said = {key.lower(): text for key, text in arrived.headers.items()}
                assert said[name.lower() if isinstance(name, str) else "host"] == "evil.example"
        assert collection.find_one({}) == before
        assert door({"Host": tmdb.host}).from_cache
        assert door({}).from_cache

    def test_what_an_answer_is_made_for(self, tmdb, door):
        """Accept-Language is no part of a key: where an answer depends on it, it says so, and is not stored."""
        tmdb.on_call = lambda call: tmdb.answer(
            MOVIE,
            headers={"Vary": "Origin, Accept-Language"},
            body=b'{"id": 550, "title": "%s"}' % call.headers["Accept-Language"].encode(),
        )
        found = [door({"Accept-Language": language}).json()["title"] for language in ("de", "fr", "de")]
        assert found == ["de", "fr", "de"]


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"X-Forwarded-Host": "evil.example"}])
def test_without_tmdb(tmdb: StandIn, make_cache: Callable[..., TMDBCache], headers: dict[str, str]) -> None:
    """Offline there is no answer to such a call, and only-if-cached does not keep it from its host."""
    with enabled(make_cache()):
        get(tmdb)
        response = get(tmdb, headers={**headers, "Cache-Control": "only-if-cached"})
        assert (response.status_code, status_of(response)) == (200, {"fwd": "bypass"})
    with enabled(make_cache(offline=True)), pytest.raises(OfflineError, match="never cached"):
        get(tmdb, headers=headers)


def test_explained(cache: TMDBCache, tmdb: StandIn) -> None:
    """explain() says why, and repeats nothing of what the header says."""
    for headers in ({"Host": "evil.example"}, {"x-forwarded-host": "evil.example"}):
        about = cache.explain(tmdb.url + MOVIE, headers=headers)
        assert (about.step, "host" in about.straight.lower()) == ("bypass", True)
        assert "evil" not in str(about)


class Adding(HTTPAdapter):
    """An adapter that says another host than is called."""

    def add_headers(self, request: requests.PreparedRequest, **_: Any) -> None:
        request.headers["Host"] = "evil.example"


def test_what_an_adapter_adds(cache: TMDBCache, tmdb: StandIn, collection: Any) -> None:
    """An answer to a request that got a Host while it was sent is not stored."""
    session = requests.Session()
    session.mount("http://", Adding())
    with enabled(cache):
        assert get(tmdb, session=session).status_code == 200
    assert collection.count_documents({}) == 0


class Posting(HTTPAdapter):
    """An adapter that sends a GET as something else."""

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        request.method = "POST"
        return super().send(request, *args, **options)


def test_what_an_adapter_makes_of_a_method(cache: TMDBCache, tmdb: StandIn, collection: Any) -> None:
    """A response to a request that was no GET when it was sent is not stored."""
    tmdb.answer(MOVIE, body=b'{"id": 550}')
    session = requests.Session()
    session.mount("http://", Posting())
    with enabled(cache):
        assert get(tmdb, session=session).status_code == 200
    assert collection.count_documents({}) == 0


@pytest.mark.parametrize("target", ["/3/\ud800", "/3/movie/550?query=\ud800"])
def test_what_has_no_encoding_stays_offline(tmdb: StandIn, make_cache: Callable[..., TMDBCache], target: str) -> None:
    """Half of a surrogate pair in an URL put there by hand, which urllib3 sends, is TMDB's call as any other."""
    session, request = requests.Session(), requests.Request("GET", tmdb.url + MOVIE).prepare()
    request.url = tmdb.url + target
    with enabled(make_cache(offline=True)), pytest.raises(OfflineError):
        session.send(request)
    with enabled(make_cache()):
        assert status_of(session.send(request)) == {"fwd": "bypass"}
    assert tmdb.count == 1
