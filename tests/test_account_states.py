"""account_states that are appended where nobody is logged in: kept where they say nothing of anybody, and only then."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import requests
import requests_cache
from requests.adapters import HTTPAdapter

from tmdb_mongo_cache import TMDBCache, TMDBSession, enabled
from tmdb_mongo_cache.standin import StandIn

from .flowkit import API_KEY, KEY, MOVIE, get, now, status_of
from .rules.test_account_states import TOKEN, body_with

pytestmark = pytest.mark.any_database

STATES = {"append_to_response": "account_states,credits"}
STATES_KEY = f"{KEY}?append_to_response=account_states,credits"
FORMS = ["error", "false", "missing"]
PATHS = ["/3/movie/550", "/3/tv/1399", "/3/tv/1399/season/1", "/3/tv/1399/season/1/episode/1"]


class AddsHeaders(HTTPAdapter):
    """An adapter by which a program says who asks, in one of the ways that there are."""


class AddsByMethod(AddsHeaders):
    def add_headers(self, request: Any, **_: Any) -> None:
        request.headers["Authorization"] = TOKEN


class AddsAsItSends(AddsHeaders):
    def send(self, request: Any, *args: Any, **options: Any) -> requests.Response:
        request.headers["Authorization"] = TOKEN
        return super().send(request, *args, **options)


class AddsByAnAttribute(AddsHeaders):
    def __init__(self) -> None:
        super().__init__()
        self.add_headers = lambda request, **_: request.headers.update(Authorization=TOKEN)


class TestNobody:
    """Only an api_key asks."""

    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize("path", PATHS)
    def test_kept(self, tmdb: StandIn, entry_point: Callable[..., Any], collection: Any, form: str, path: str) -> None:
        """With an api_key alone account_states are looked up and stored, whatever form TMDB gives them, to the byte."""
        tmdb.states_of_nobody = form
        first = entry_point(tmdb, path, params=STATES)
        second = entry_point(tmdb, path, params=STATES)
        assert (first.from_cache, second.from_cache, tmdb.count) == (False, True, 1)
        assert second.content == first.content == collection.find_one({})["body"]
        assert ("account_states" in second.json()) is (form != "missing")

    @pytest.mark.parametrize(
        "appended", ["account_states", "credits,account_states", "account_states,account_states", "x,account_states"]
    )
    def test_appended_in_any_company(self, tmdb: StandIn, installed: TMDBCache, appended: str) -> None:
        """account_states are no part that an answer needs, alone or beside others."""
        tmdb.states_of_nobody = "missing"
        assert [get(tmdb, params={"append_to_response": appended}).from_cache for _ in range(2)] == [
            False,
            "x" not in appended,
        ]

    def test_of_a_season(self, tmdb: StandIn, installed: TMDBCache) -> None:
        """Those of a season that is appended to a show are kept like those of the show."""
        params = {"append_to_response": "season/1,season/1/account_states"}
        tmdb.states_of_nobody = "false"
        assert [get(tmdb, "/3/tv/1399", params=params).from_cache for _ in range(2)] == [False, True]

    def test_other_parts_are_needed(self, tmdb: StandIn, installed: TMDBCache) -> None:
        """An answer that lacks what was appended besides is not kept."""
        tmdb.fail("no-append")
        assert [get(tmdb, params=STATES).from_cache for _ in range(2)] == [False, False]

    def test_by_itself(self, tmdb: StandIn, installed: TMDBCache, collection: Any) -> None:
        """account_states that are asked for by themselves stay private."""
        for _ in range(2):
            assert status_of(get(tmdb, f"{MOVIE}/account_states"))["fwd"] == "bypass"
        assert collection.count_documents({}) == 0

    def test_nothing_is_taken_out(self, tmdb: StandIn, make_cache: Callable[..., TMDBCache]) -> None:
        """With reuse_appended they are no answer to another call, and nothing beside them is."""
        tmdb.states_of_nobody = "false"
        with enabled(make_cache(reuse_appended=True)):
            get(tmdb, params=STATES)
            for path in (f"{MOVIE}/account_states", MOVIE, f"{MOVIE}/credits"):
                assert not get(tmdb, path).from_cache

    def test_explained(self, tmdb: StandIn, cache: TMDBCache) -> None:
        """explain() says of such a call what is done with it, and why one with a session goes straight."""
        url = f"{tmdb.url}{MOVIE}?append_to_response=account_states"
        assert cache.explain(url).key == f"{KEY}?append_to_response=account_states"
        assert "private" in cache.explain(f"{url}&request_token=abcdefgh").straight

    def test_exported_and_imported(
        self, tmdb: StandIn, cache: TMDBCache, make_cache: Callable[..., TMDBCache], tmp_path: Path, database: str
    ) -> None:
        """What was kept goes through a file into another database."""
        tmdb.states_of_nobody = "false"
        with enabled(cache):
            live = get(tmdb, params=STATES)
        cache.export_entries(tmp_path / "films.jsonl")
        other = make_cache(database=f"{database}_other")
        try:
            assert other.import_entries(tmp_path / "films.jsonl").imported == 1
            with enabled(other):
                found = get(tmdb, params=STATES)
        finally:
            other.collection.database.client.drop_database(f"{database}_other")
        assert (found.from_cache, found.content) == (True, live.content)

    def test_backend(self, tmdb: StandIn, make_tmdb_session: Callable[..., Any], collection: Any) -> None:
        """A requests-cache session on MongoBackend keeps them by the same rule."""
        session = make_tmdb_session()
        calls = [session.get(tmdb.url + MOVIE, params={"api_key": API_KEY, **STATES}) for _ in range(2)]
        assert [call.from_cache for call in calls] == [False, True]
        assert collection.count_documents({"_id": STATES_KEY}) == 1


class TestSomebody:
    """Something of a user is sent, or comes back."""

    def test_not_kept(self, tmdb: StandIn, entry_point: Callable[..., Any], collection: Any) -> None:
        """An answer that says something of somebody reaches the caller, and is not stored."""
        body = body_with({"favorite": True, "rated": {"value": 8}, "watchlist": False})
        tmdb.answer(MOVIE, body=body)
        for count in (1, 2):
            found = entry_point(tmdb, params=STATES)
            assert (found.content, found.from_cache, tmdb.count) == (body, False, count)
        assert collection.count_documents({}) == 0

    def test_a_stored_one_is_no_answer(self, tmdb: StandIn, installed: TMDBCache) -> None:
        """Who sends a token, a session or a cookie is not served what was stored for an api_key, and stores nothing."""
        get(tmdb, params=STATES)
        for marks in (
            {"headers": {"Authorization": TOKEN}},
            {"params": {"session_id": "s"}},
            {"params": {"guest_session_id": "s"}},
            {"params": {"access_token": "t"}},
            {"cookies": {"a": "b"}},
            {"auth": ("name", "word")},
        ):
            asked = {**marks, "params": {**STATES, **marks.get("params", {})}}
            before = tmdb.count
            found = [status_of(get(tmdb, **asked))["fwd"] for _ in range(2)]
            assert (found, tmdb.count - before) == (["bypass"] * 2, 2), marks
        assert get(tmdb, params=STATES).json()["account_states"]["status_code"] == 3

    @pytest.mark.parametrize("where", ["headers", "cookies", "auth", "params", "netrc"])
    def test_a_sessions_own(
        self, tmdb: StandIn, installed: TMDBCache, where: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """What the session itself sends (headers, a jar, auth, params, a .netrc) counts as what a call sends."""
        get(tmdb, params=STATES, stream=True)  # not by the fast way, which looks into a .netrc every five seconds
        with requests.Session() as session:
            if where == "headers":
                session.headers["authorization"] = TOKEN
            elif where == "cookies":
                session.cookies.set("a", "b")
            elif where == "auth":
                session.auth = ("name", "word")
            elif where == "params":
                session.params = {"session_id": "s"}
            else:
                (tmp_path / "netrc").write_text("machine 127.0.0.1 login name password word\n")
                monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
            assert status_of(get(tmdb, session=session, params=STATES))["fwd"] == "bypass"
        assert tmdb.count == 2

    def test_a_cookie_on_the_way(self, tmdb: StandIn, installed: TMDBCache, collection: Any) -> None:
        """An answer for which a redirect has set a cookie that was sent on is not stored."""
        location = f"{MOVIE}?api_key={API_KEY}&append_to_response=account_states"
        tmdb.answer("/3/movie/1", status=302, headers={"Location": location, "Set-Cookie": "a=b"})
        for _ in range(2):
            assert not get(tmdb, "/3/movie/1", params={"append_to_response": "account_states"}).from_cache
        assert collection.count_documents({}) == 0

    @pytest.mark.parametrize("status", [200, 403, 404])
    def test_no_json(self, tmdb: StandIn, installed: TMDBCache, caplog: Any, status: int) -> None:
        """An answer that mentions account_states and is no JSON is passed on, and nothing fails."""
        tmdb.answer(MOVIE, status=status, body=b"<p>account_states</p>")
        assert get(tmdb, params=STATES).content == b"<p>account_states</p>"
        assert "cache failed" not in caplog.text

    def test_callers_at_once(self, tmdb: StandIn, installed: TMDBCache) -> None:
        """What says something of somebody is not shared with a caller of another key who waits for the same call."""
        tmdb.latency = 0.3
        tmdb.answer(MOVIE, body=body_with({"favorite": True}))
        keys = ["first", "second", "third"]
        threads = [Thread(target=get, args=(tmdb,), kwargs={"params": {**STATES, "api_key": key}}) for key in keys]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(dict(call.query)["api_key"] for call in tmdb.calls) == sorted(keys)

    def test_backend(self, tmdb: StandIn, make_tmdb_session: Callable[..., Any], collection: Any) -> None:
        """A session on MongoBackend stores none of it, and serves no token what an api_key has stored."""
        session, params = make_tmdb_session(), {"api_key": API_KEY, **STATES}
        session.get(tmdb.url + MOVIE, params=params)
        for _ in range(2):
            assert not session.get(tmdb.url + MOVIE, params=params, headers={"Authorization": TOKEN}).from_cache
        tmdb.answer("/3/movie/1", body=body_with({"favorite": True}))
        assert not [session.get(tmdb.url + "/3/movie/1", params=params).from_cache for _ in range(2)][1]
        assert [document["_id"] for document in collection.find({}, {"_id": 1})] == [STATES_KEY]

    @pytest.mark.parametrize("adds", AddsHeaders.__subclasses__())
    def test_what_an_adapter_adds(
        self, tmdb: StandIn, cache: TMDBCache, collection: Any, adds: type[HTTPAdapter]
    ) -> None:
        """An adapter that may add a token gets no stored answer, and its answers are not stored; other calls are."""
        with enabled(cache):
            get(tmdb, params=STATES)
        for session in (requests.Session(), TMDBSession(cache)):
            with session, enabled(cache):
                session.mount("http://", adds())
                assert [get(tmdb, path, session=session, params=STATES).from_cache for path in PATHS[:2]] == [False] * 2
                assert "bypass" in status_of(get(tmdb, session=session, params=STATES)).values()
                get(tmdb, "/3/person/287", session=session)
        assert sorted(found["tmdb_id"] for found in collection.find({}, {"tmdb_id": 1})) == [287, 550]

    @pytest.mark.parametrize("adds", AddsHeaders.__subclasses__())
    def test_what_an_adapter_adds_below_the_backend(
        self, tmdb: StandIn, make_tmdb_session: Callable[..., Any], collection: Any, adds: type[HTTPAdapter]
    ) -> None:
        """A session on MongoBackend whose adapter has added a token stores nothing."""
        with make_tmdb_session() as session:
            session.mount("http://", adds())
            assert [get(tmdb, session=session, params=STATES).from_cache for _ in range(2)] == [False, False]
        assert collection.count_documents({}) == 0

    def test_other_adapters(self, tmdb: StandIn, installed: TMDBCache) -> None:
        """An adapter that has its own connections, and nothing to say of a request, is as good as requests' own."""
        with requests.Session() as session:
            session.mount(
                "http://", type("Pooled", (HTTPAdapter,), {"init_poolmanager": HTTPAdapter.init_poolmanager})()
            )
            assert [get(tmdb, session=session, params=STATES).from_cache for _ in range(2)] == [False, True]

    @pytest.mark.parametrize(("api_key", "fetched"), [("0" * 32, 1), (TOKEN.split()[1], 0)])
    def test_fetched_again(self, tmdb: StandIn, cache: TMDBCache, collection: Any, api_key: str, fetched: int) -> None:
        """What a change has made stale is not fetched again with a token, which is no failure."""
        with enabled(cache):
            get(tmdb, params=STATES)
        collection.update_one({}, {"$set": {"changed_at": now(), "expires_at": now()}})
        report = cache.refresh_changes(prefetch=True, api_key=api_key, base_url=tmdb.url, rate=5000)
        assert (report.fetched, report.failed) == (fetched, ())

    def test_imported(self, tmdb: StandIn, cache: TMDBCache, tmp_path: Path) -> None:
        """A stranger's file brings none of it in."""
        with enabled(cache):
            get(tmdb, params=STATES)
        cache.export_entries(tmp_path / "films.jsonl")
        header, line = (tmp_path / "films.jsonl").read_text().splitlines()
        entry = {**json.loads(line), "body": body_with({"rated": {"value": 8}}).decode()}
        (tmp_path / "films.jsonl").write_text(f"{header}\n{json.dumps(entry)}\n")
        cache.clear()
        [(number, why)] = cache.import_entries(tmp_path / "films.jsonl").refused
        assert (number, "private" in why) == (2, True)


def test_from_another_cache(make_tmdb_session: Callable[..., Any], tmdb: StandIn, collection: Any) -> None:
    """MongoBackend takes no answer with somebody's account_states from another requests-cache cache."""
    tmdb.answer(MOVIE, body=body_with({"favorite": True}))
    with requests_cache.CachedSession(backend="memory") as theirs:
        theirs.get(tmdb.url + MOVIE, params={"api_key": API_KEY, **STATES})
        theirs.get(tmdb.url + "/3/movie/1", params={"api_key": API_KEY, **STATES})
        make_tmdb_session().cache.update(theirs.cache)
    assert [document["tmdb_id"] for document in collection.find({}, {"tmdb_id": 1})] == [1]
