"""account_states that are appended where nobody is logged in: kept where they say nothing of anybody, and only then."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import quote

import pytest
import requests
import requests_cache
from hypothesis import given, settings
from hypothesis import strategies as st
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict

from tmdb_mongo_cache import TMDBCache, TMDBSession, cached_tmdb, enabled, install
from tmdb_mongo_cache.standin import StandIn
from tmdb_mongo_cache.tmdb.calls import classify, may_be_for_a_user
from tmdb_mongo_cache.tmdb.entry import Reply
from tmdb_mongo_cache.tmdb.policy import Ask, Policy, Verdict, judge

from .flowkit import API_KEY, KEY, MOVIE, get, now, status_of

STATES = {"append_to_response": "account_states,credits"}
STATES_KEY = f"{KEY}?append_to_response=account_states,credits"
TOKEN = "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhYmMifQ.c2lnbmF0dXJl"
FORMS = ["error", "false", "missing"]
PATHS = ["/3/movie/550", "/3/tv/1399", "/3/tv/1399/season/1", "/3/tv/1399/season/1/episode/1"]
fast = settings(max_examples=200, deadline=None)


@pytest.fixture(params=["install", "session", "decorator"])
def door(request: pytest.FixtureRequest, cache: TMDBCache) -> Iterator[Callable[..., requests.Response]]:
    """A function that makes a call through one of the doors."""
    if request.param == "install":
        install(cache)
        yield get
    elif request.param == "session":
        with TMDBSession(cache) as session:
            yield lambda *args, **options: get(*args, session=session, **options)
    else:
        yield cached_tmdb(cache=cache)(get)


@pytest.fixture
def make_backed(
    tmdb: StandIn, make_session: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., requests_cache.CachedSession]:
    """Make requests-cache sessions on MongoBackend that take the stand-in for TMDB."""
    monkeypatch.setenv("TMDB_CACHE_HOSTS", tmdb.host)
    monkeypatch.setenv("TMDB_CACHE_STORE_TIMEOUT", "10")
    return make_session


def body_with(states: Any) -> bytes:
    return json.dumps({"id": 550, "title": "Film", "credits": {"cast": []}, "account_states": states}).encode()


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
    def test_kept(self, tmdb: StandIn, door: Callable[..., Any], collection: Any, form: str, path: str) -> None:
        """With an api_key alone account_states are looked up and stored, whatever form TMDB gives them, to the byte."""
        tmdb.states_of_nobody = form
        first = door(tmdb, path, params=STATES)
        second = door(tmdb, path, params=STATES)
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

    def test_backend(self, tmdb: StandIn, make_backed: Callable[..., Any], collection: Any) -> None:
        """A requests-cache session on MongoBackend keeps them by the same rule."""
        session = make_backed()
        calls = [session.get(tmdb.url + MOVIE, params={"api_key": API_KEY, **STATES}) for _ in range(2)]
        assert [call.from_cache for call in calls] == [False, True]
        assert collection.count_documents({"_id": STATES_KEY}) == 1


class TestSomebody:
    """Something of a user is sent, or comes back."""

    def test_not_kept(self, tmdb: StandIn, door: Callable[..., Any], collection: Any) -> None:
        """An answer that says something of somebody reaches the caller, and is not stored."""
        body = body_with({"favorite": True, "rated": {"value": 8}, "watchlist": False})
        tmdb.answer(MOVIE, body=body)
        for count in (1, 2):
            found = door(tmdb, params=STATES)
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

    def test_backend(self, tmdb: StandIn, make_backed: Callable[..., Any], collection: Any) -> None:
        """A session on MongoBackend stores none of it, and serves no token what an api_key has stored."""
        session, params = make_backed(), {"api_key": API_KEY, **STATES}
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
        self, tmdb: StandIn, make_backed: Callable[..., Any], collection: Any, adds: type[HTTPAdapter]
    ) -> None:
        """A session on MongoBackend whose adapter has added a token stores nothing."""
        with make_backed() as session:
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


def kept(body: bytes) -> bool:
    """Say whether an answer to a call with an api_key alone may be stored."""
    ask = Ask(appended=("account_states",))
    return judge(Reply(200, body=body), ask, None, Policy(), False, now()).verdict is Verdict.STORE


nothing = st.sampled_from([None, False])
numbers = st.integers(0, 10**6)
of_nobody = st.fixed_dictionaries(
    {},
    optional={
        "id": numbers,
        "episode_number": numbers,
        "favorite": nothing,
        "watchlist": nothing,
        "rated": nothing,
        "unheard_of": st.sampled_from([None, False, 0, "", [], {}]),
    },
)
of_seasons = st.fixed_dictionaries({"id": numbers, "results": st.lists(of_nobody)})
errors = st.fixed_dictionaries(
    {"status_code": st.sampled_from([3, 7, 14, 17]), "status_message": st.text()},
    optional={"success": st.just(False)},
)
harmless = st.one_of(of_nobody, of_seasons, errors, nothing)
affirmative = st.one_of(
    st.sampled_from([True, 1, -1, 0.5, "yes", "false", [0], [None], {"value": 8}, {"value": None}, {"x": {}}]),
    st.text(min_size=1),
    st.integers(min_value=1),
)

WHERE = ["there", "in results", "in a result", "in a season", "twice", "within what is there twice"]
WHERE += ["in capitals", "beside what is nested too deeply", "escaped", "an underscore escaped", "a value of its own"]


@fast
@given(states=harmless)
def test_what_says_nothing_is_kept(states: Any) -> None:
    """Any mixture of False, null, ids, empty values and errors is kept."""
    assert kept(body_with(states))


@fast
@given(
    states=st.one_of(of_nobody, errors),
    name=st.sampled_from(["favorite", "watchlist", "rated", "success", "lists", "note", "account", "name"]),
    value=affirmative,
    where=st.sampled_from(WHERE),
)
def test_what_says_something_is_not_kept(states: dict[str, Any], name: str, value: Any, where: str) -> None:
    """One affirmative or unknown value anywhere in account_states, of the title or a season, keeps an answer out."""
    states.pop(name, None)
    said = {**states, name: value}
    text = {
        "there": {"id": 1, "account_states": said},
        "in results": {"id": 1, "account_states": {"results": [states, said]}},
        "in a result": {"id": 1, "account_states": {"results": [{"results": [said]}]}},
        "in a season": {"id": 1, "season/1": {"account_states": said}},
        "a value of its own": {"id": 1, "account_states": said if isinstance(value, dict) else value},
    }.get(where, {"id": 1, "season/1/account_states": said})
    body = json.dumps(text)
    if where == "twice":
        body = f'{{"account_states": {json.dumps(said)}, "account_states": {json.dumps(states)}, "id": 1}}'
    if where == "within what is there twice":
        body = f'{{"id": 1, "season/1": {{"account_states": {json.dumps(said)}}}, "season/1": {{}}}}'
    if where == "in capitals":
        body = body.replace("account_states", "ACCOUNT_STATES")
    if where == "beside what is nested too deeply":
        body = f'{body[:-1]}, "x": {"[" * 10**5}{"]" * 10**5}}}'
    if where == "an underscore escaped":
        body = body.replace("account_states", "account\\u005fstates")
    if where == "escaped":
        body = body.replace("account_states", "\\u0061ccount\\u005Fstates")
    assert not kept(body.encode())
    assert not kept(body.encode("utf-16"))


@pytest.mark.parametrize("name", ["favorite", "rated", "watchlist"])
@pytest.mark.parametrize("value", [0, 0.0, "", [], {}])
def test_neither_false_nor_null(name: str, value: Any) -> None:
    """What TMDB says of a user in favorite, rated and watchlist says nothing only where it is False or null."""
    assert not kept(body_with({name: value}))
    assert kept(body_with({"unheard_of": value}))


@pytest.mark.parametrize("code", [1, 12, 13])
def test_a_code_of_success(code: int) -> None:
    """A status_code of TMDB's for what has succeeded is no error, and says something."""
    assert not kept(body_with({"status_code": code, "status_message": "The item was updated."}))
    assert kept(body_with({"status_code": 3, "status_message": "Authentication failed."}))


@pytest.mark.parametrize(("success", "says_nothing"), [(False, True), (True, False), (None, False)])
def test_a_message_of_a_failure(success: bool | None, says_nothing: bool) -> None:
    """A message says nothing of anybody where "success" is false, whether there is a status_code or not."""
    assert kept(body_with({"success": success, "status_message": "Authentication failed."})) is says_nothing


MARKS = ["session_id", "guest_session_id", "access_token", "request_token", "username", "password", "user", "token"]
MARKS += ["sess", "sid", "uid", "email", "profile", "member", "identity", "pwd"]


def straight(query: str, headers: dict[str, str] | None = None) -> bool:
    url = f"https://api.themoviedb.org/3/movie/550?api_key=k&append_to_response=account_states{query}"
    call = classify("GET", requests.Request("GET", url).prepare().url, CaseInsensitiveDict(headers or {}))
    assert call is not None
    return bool(call.straight)


@fast
@given(name=st.sampled_from(MARKS), data=st.data(), value=st.sampled_from(["", "x", "0123456789abcdef"]))
def test_a_user_in_the_query(name: str, data: st.DataObject, value: str) -> None:
    """A user's param, whatever letters of it are escaped or in capitals, makes account_states private."""
    spelt = "".join(
        data.draw(st.sampled_from([char, char.upper(), f"%{ord(char):02x}", f"%25{ord(char):02X}"])) for char in name
    )
    assert straight(f"&{data.draw(st.sampled_from(['', 'x_', '%20']))}{spelt}={value}")


@fast
@given(
    name=st.sampled_from(
        [
            "Authorization",
            "Cookie",
            "X-Authorization",
            "X-Auth-Token",
            "Session-Id",
            "X-Session",
            "Account",
            "X-User-Id",
            "From",
            "X-Forwarded-Email",
            "DPoP",
            "X-Client-Cert",
        ]
    ),
    value=st.sampled_from(["", "x", TOKEN, "session_id=abc"]),
    upper=st.sampled_from([str.upper, str.lower, str.title, str]),
)
def test_a_user_in_the_headers(name: str, value: str, upper: Callable[[str], str]) -> None:
    """A header that may say who asks makes account_states private, in whatever case and with whatever value."""
    assert straight("", {upper(name): value})


@pytest.mark.parametrize(
    ("url", "headers", "may_be"),
    [
        ("https://api.themoviedb.org/3/movie/550?api_key=k&language=de", {"Accept": "*/*"}, False),
        ("https://api.themoviedb.org/3/movie/550", {"Cookie": "a=b"}, True),
        ("https://api.themoviedb.org/3/movie/550?session_id=s", {}, True),
        (None, {"Cookie": "a=b"}, True),
        (None, {}, False),
    ],
)
def test_a_user_in_what_was_sent(url: str | None, headers: dict[str, str], may_be: bool) -> None:
    """A request as it was sent may say who asks in its headers or its query."""
    assert may_be_for_a_user(url, headers) is may_be


@pytest.mark.parametrize(
    "value",
    [TOKEN, TOKEN.split()[1], "Token abcdef", "Basic bmFtZTp3b3Jk", "session_id=abc", "a=1; request_token=abc"],
)
def test_a_user_in_any_value(value: str) -> None:
    """A token or a session in a header or a param of any name makes account_states private."""
    assert straight("", {"X-Forwarded": value})
    assert straight(f"&x={quote(value)}")
    assert straight(f"&api_key={quote(value)}")


@pytest.mark.parametrize(
    "query",
    [
        "append_to_response=credits%2Caccount_states,%20images",
        "append_to_response=account%5Fstates",
        "append%5Fto_response=%61ccount_states",
        "append_to_response=season/1,season/1/account_states",
    ],
)
def test_other_spellings(query: str) -> None:
    """What TMDB's edge decodes to the same param is the same call."""
    call = classify("GET", f"https://api.themoviedb.org/3/tv/1399?{query}", {})
    assert call is not None
    assert "account_states" in call.key


@pytest.mark.parametrize("name", ["User-Agent", "Accept", "Accept-Language", "Connection", "X-Api-Key", "traceparent"])
def test_what_every_client_sends(name: str) -> None:
    """The headers that clients and tracers send, and further params, say nothing of a user."""
    assert not straight("&language=en-US&include_image_language=en,null", {name: "python-requests/2.32.5"})


def test_from_another_cache(make_backed: Callable[..., Any], tmdb: StandIn, collection: Any) -> None:
    """MongoBackend takes no answer with somebody's account_states from another requests-cache cache."""
    tmdb.answer(MOVIE, body=body_with({"favorite": True}))
    with requests_cache.CachedSession(backend="memory") as theirs:
        theirs.get(tmdb.url + MOVIE, params={"api_key": API_KEY, **STATES})
        theirs.get(tmdb.url + "/3/movie/1", params={"api_key": API_KEY, **STATES})
        make_backed().cache.update(theirs.cache)
    assert [document["tmdb_id"] for document in collection.find({}, {"tmdb_id": 1})] == [1]
