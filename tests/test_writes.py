"""Writes: who rates a film, through whatever door, sees its public answers asked for again, and nothing else."""

import copy
import os
import pickle
import signal
import socket
import threading
import time

import pymongo
import pytest
import requests
import requests_cache
from requests.adapters import HTTPAdapter

from tmdb_mongo_cache import MongoBackend, TMDBSession, cached_tmdb, disabled, enabled, install
from tmdb_mongo_cache.mongo.embedded.server import EmbeddedServer

from .fidelitykit import comparable
from .flowkit import ANY_KEY, KEY, MOVIE, START, expire, get, now, sent, status_of, warnings
from .mongokit import Commands

pytestmark = pytest.mark.any_database

RATING = f"{MOVIE}/rating"
HOUR = 3600
OK = b'{"success":true,"status_code":1,"status_message":"Success."}'


@pytest.fixture
def write(tmdb):
    """Make a call that writes, as a program would."""

    def write(path=RATING, method="POST", *, session=requests, **options):
        url = path if "://" in path else tmdb.url + path
        given = {"params": {**ANY_KEY, "session_id": "s"}, "json": {"value": 8.5}, "timeout": 5, **options}
        return session.request(method, url, **given)

    return write


@pytest.fixture
def remembering(make_cache):
    """A cache with a tier in memory."""
    return make_cache(memory_ttl=HOUR)


DOORS = ["install", "enabled", "session", "send", "decorator", "requests-cache"]


@pytest.fixture(params=DOORS)
def through(request, cache, write, make_tmdb_session, tmdb):
    """Write through one of the doors."""

    def by_enabled(*args, **options):
        with enabled(cache):
            return write(*args, **options)

    def by_install(*args, **options):
        install(cache)
        return write(*args, **options)

    def by_session(*args, **options):
        with TMDBSession(cache) as session:
            return write(*args, session=session, **options)

    def by_send(path=RATING, method="POST", **options):
        with TMDBSession(cache) as session:
            given = {name: options.pop(name, None) for name in ("json", "params", "hooks")}
            made = requests.Request(method, tmdb.url + path, **{**given, "params": ANY_KEY})
            return session.send(session.prepare_request(made), **options)

    return {
        "enabled": by_enabled,
        "install": by_install,
        "session": by_session,
        "send": by_send,
        "decorator": cached_tmdb(cache=cache)(write),
        "requests-cache": lambda *args, **options: write(*args, session=make_tmdb_session(), **options),
    }[request.param]


BOTH_WAYS = pytest.mark.parametrize("through", ["enabled", "requests-cache"], indirect=True)


def ask(tmdb, cache, path=MOVIE, **options):
    with enabled(cache):
        return get(tmdb, path, **options)


def validated(tmdb, cache, path=MOVIE):
    """Say whether the next call asks TMDB by its ETag; if not it is a hit."""
    before = tmdb.count
    response = ask(tmdb, cache, path)
    asked = tmdb.count - before
    assert (asked, response.from_cache, response.status_code) == (asked, True, 200)
    if asked:
        assert (asked, sent(tmdb)["if-none-match"][:2], status_of(response)["fwd"]) == (1, "W/", "stale")
    return bool(asked)


def stale(collection):
    """Return the paths and queries of what is stale."""
    found = collection.find({"expires_at": {"$lte": now()}}, {"_id": 1})
    return {document["_id"].removeprefix(START) for document in found}


EPISODE = "/3/tv/1399/season/1/episode/2"
FILM = {MOVIE, f"{MOVIE}?language=de", f"{MOVIE}?append_to_response=credits", f"{MOVIE}-fight-club", f"{MOVIE}-x?a=b"}
SHOW = {"/3/tv/1399", "/3/tv/1399-x?language=de"}
OF_THE_EPISODE = {EPISODE, f"{EPISODE}?language=de", f"{EPISODE}?append_to_response=credits"}
OTHERS = {
    *(f"{MOVIE}/credits", f"{MOVIE}/credits?language=de", f"{MOVIE}0", f"{MOVIE}0?language=de", "/3/movie/55"),
    *("/3/tv/550", "/3/person/550", "/3/movie/popular", "/3/movie/551-550", f"{MOVIE}_x", "/3/search/movie?query=550"),
    *("/3/tv/1399/credits", "/3/tv/1399/season/1", "/3/tv/1399/season/1/episode/20", "/3/tv/13990"),
    *(f"{EPISODE}/credits", "/3/tv/1399/season/2/episode/2", "/3/tv/1398/season/1/episode/2", "/3/configuration"),
}

WRITTEN = {
    RATING: FILM,
    f"{MOVIE}-fight-club/rating": FILM,
    f"{RATING}/": FILM,
    f"{RATING}?guest_session_id=x": FILM,
    "/3/movie/%35%350/rating": FILM,
    "//3/movie/550/rating": FILM,
    MOVIE: FILM,
    "/3/tv/1399/rating": SHOW,
    f"{EPISODE}/rating": OF_THE_EPISODE,
    f"{MOVIE}/credits": {f"{MOVIE}/credits", f"{MOVIE}/credits?language=de"},
    "/3/movie/popular": {"/3/movie/popular"},
    "/3/account/1/favorite": set(),
    "/3/movie/77/rating": set(),
    "/3/list/550/add_item": set(),
    "/4/list/550/items": set(),
}


class TestStale:
    @pytest.mark.parametrize("method", ["POST", "DELETE"])
    def test_doors(self, tmdb, make_cache, remembering, through, method):
        """After a rating through any door every cache asks TMDB whether the film has changed, those with memory too."""
        caches = [remembering, make_cache(memory_ttl=HOUR), make_cache()]
        for cache in caches:
            ask(tmdb, cache)
        assert not any(validated(tmdb, cache) for cache in caches)
        response = through(method=method)
        assert (response.status_code, response.json()["success"], response.from_cache) == (200, True, False)
        assert validated(tmdb, remembering)
        assert not any(validated(tmdb, cache) for cache in caches)

    @pytest.mark.parametrize("door", ["enabled", "requests-cache"])
    def test_what(self, tmdb, cache, write, make_tmdb_session, collection, door):
        """What is stale is what was written to and what a rating is about, in every language and spelling, alone."""
        session = make_tmdb_session() if door == "requests-cache" else requests
        for path in FILM | SHOW | OF_THE_EPISODE | OTHERS:
            ask(tmdb, cache, path)
        before = {document["_id"]: document for document in collection.find()}
        assert (len(before), stale(collection)) == (len(FILM | SHOW | OF_THE_EPISODE | OTHERS), set())
        for path, touched in WRITTEN.items():
            tmdb.answer(path.partition("?")[0], body=OK)
            if door == "enabled":
                with enabled(cache):
                    assert write(path).status_code == 200
            else:
                assert write(path, session=session).status_code == 200
            assert stale(collection) == touched, path
            for document in collection.find():
                was = before[document["_id"]]
                assert {**document, "expires_at": was["expires_at"]} == was
                collection.replace_one({"_id": was["_id"]}, was)

    @pytest.mark.parametrize("method", ["PUT", "PATCH", "post"])
    def test_methods(self, tmdb, cache, write, collection, method):
        """Every method that is not safe is a write."""
        ask(tmdb, cache)
        tmdb.answer(RATING, body=OK)
        with enabled(cache):
            write(method=method)
        assert stale(collection) == {MOVIE}

    def test_another_host(self, tmdb, make_cache, write, collection):
        """What was written to one of TMDB's hosts is stale for all of them; to another host it is nobody's business."""
        port = tmdb.host.partition(":")[2]
        ask(tmdb, make_cache())
        with enabled(make_cache()):
            write(f"http://localhost:{port}{RATING}")
        assert stale(collection) == set()
        with enabled(make_cache(hosts=[tmdb.host, f"localhost:{port}"])):
            write(f"http://localhost:{port}{RATING}")
        assert stale(collection) == {MOVIE}

    def test_by_another_databases_id(self, tmdb, cache, write, collection):
        """A film that was asked for by its IMDb id is stale with the others."""
        tmdb.answer("/3/movie/tt0137523", body=b'{"id":550,"title":"x"}')
        ask(tmdb, cache, "/3/movie/tt0137523")
        with enabled(cache):
            write()
        assert stale(collection) == {"/3/movie/tt0137523"}

    def test_another_spelling_of_an_episode(self, tmdb, cache, write, collection):
        """An episode is the same one with its show's name in the path."""
        ask(tmdb, cache, EPISODE.replace("1399", "1399-x"))
        with enabled(cache):
            write(f"{EPISODE}/rating")
        assert len(stale(collection)) == 1

    @pytest.mark.parametrize("path", [MOVIE, EPISODE])
    def test_of_a_session_with_rules_of_its_own(self, tmdb, cache, write, make_tmdb_session, collection, path):
        """What a requests-cache session keeps under a key of its own is stale, too."""
        get(tmdb, path, session=make_tmdb_session(ignored_parameters=["language"]), params={"language": "de"})
        assert collection.find_one()["_id"].endswith(f"{path}#without=language")
        with enabled(cache):
            write(f"{path}/rating")
        assert len(stale(collection)) == 1

    @BOTH_WAYS
    def test_stands_in(self, tmdb, cache, through, collection):
        """What a write made stale has been so since then, and is still served when TMDB fails."""
        first = ask(tmdb, cache)
        assert through().ok
        assert (now() - collection.find_one({"_id": KEY})["expires_at"]).total_seconds() < 60
        tmdb.fail("503")
        found = ask(tmdb, cache)
        assert (found.from_cache, found.is_expired, found.content) == (True, True, first.content)

    def test_what_was_stale_is_no_younger(self, tmdb, cache, write, collection):
        """What had expired before the write has expired when it had."""
        ask(tmdb, cache)
        was = expire(collection, since=HOUR)["expires_at"]
        with enabled(cache):
            write()
        assert collection.find_one({"_id": KEY})["expires_at"] == was

    def test_contained(self, tmdb, make_cache, write):
        """What a written film's answer contains is not reused."""
        cache = make_cache(reuse_appended=True, memory_ttl=HOUR)
        ask(tmdb, cache, f"{MOVIE}?append_to_response=credits")
        assert status_of(ask(tmdb, cache, f"{MOVIE}/credits"))["detail"] == "reused"
        with enabled(cache):
            write()
        assert not ask(tmdb, cache, f"{MOVIE}/credits").from_cache

    def test_a_client_library(self, tls_tmdb, runner, tmp_path):
        """A program's rating by tmdbsimple is known to the programs that come after it."""
        ask, rate = tmp_path / "ask.py", tmp_path / "rate.py"
        head = "import tmdbsimple\ntmdbsimple.API_KEY = 'any'\nfilm = tmdbsimple.Movies(550)\nfilm.info()\n"
        ask.write_text(f"{head}film.info()\n")
        rate.write_text(f"{head}print(film.rating(guest_session_id='g', value=8.5)['success'])\n")
        assert [runner.run(rate).stdout, runner.run(ask).stdout] == ["True\n", ""]
        assert [(call.method, call.status) for call in tls_tmdb.calls] == [("GET", 200), ("POST", 200), ("GET", 304)]


class TestNothing:
    @BOTH_WAYS
    def test_failed(self, tmdb, remembering, through):
        """A write that failed makes nothing stale, and its failure is the caller's."""
        ask(tmdb, remembering)
        for failure in ("401", "404", "429", "500", "503", "reset"):
            tmdb.fail(failure, 1)
            if failure == "reset":
                with pytest.raises(requests.ConnectionError):
                    through()
            else:
                assert through().status_code == int(failure)
            assert not validated(tmdb, remembering), failure

    @BOTH_WAYS
    def test_safe(self, tmdb, cache, through, collection):
        """What only reads makes nothing stale."""
        ask(tmdb, cache)
        tmdb.answer(RATING, body=OK)
        for method in ("HEAD", "OPTIONS", "GET"):
            assert through(method=method).status_code == 200
            assert stale(collection) == set(), method

    @pytest.mark.parametrize("how", ["disabled", "setting", "without"])
    def test_disabled(self, tmdb, cache, make_cache, write, collection, how):
        """What is written with the cache turned off, or without one, changes nothing."""
        ask(tmdb, cache)
        with enabled(make_cache(disabled=how == "setting")):
            if how == "disabled":
                with disabled():
                    write()
            elif how == "setting":
                write()
        if how == "without":
            write()
        assert (tmdb.count, stale(collection)) == (2, set())

    def test_strange_paths(self, tmdb, cache, write, caplog):
        """A write to a path that is no text costs nobody an exception, and MongoDB is used afterwards."""
        for path in ("/3/movie/%FF/rating", "/3/movie/%00/rating", "/3/movie/%ED%A0%80/rating", "/3", "/", "/3/x?%FF"):
            tmdb.answer(path.partition("?")[0], body=OK)
            with enabled(cache):
                write(path)
        assert (warnings(caplog), cache.stats().store_errors) == ([], 0)
        ask(tmdb, cache)
        assert not validated(tmdb, cache)


class TestCaller:
    @BOTH_WAYS
    def test_response(self, tmdb, through, write):
        """The response of a write is what it is without the cache."""
        tmdb.answer(RATING, status=201, headers={"Content-Type": "application/json", "X-A": "1, 2"}, body=OK)
        plain, found = write(json=None, params=ANY_KEY), through(json=None, params=ANY_KEY)
        with_it, without = comparable(found), comparable(plain)
        for each in (with_it, without):
            each["headers"] = [pair for pair in each["headers"] if pair[0] != "Date"]
        assert with_it == without

    @BOTH_WAYS
    def test_stream(self, tmdb, through):
        """A streamed response of a write is not read for the caller."""
        tmdb.answer(RATING, body=OK)
        response = through(stream=True)
        assert response.raw.read(7) == OK[:7]
        assert response.raw.read() == OK[7:]
        response.close()

    def test_hooks(self, request, through, write):
        """The caller's hooks see the write as often as without us."""
        seen = []
        hooks = {"response": lambda response, **_: seen.append(response.status_code)}
        if request.node.callspec.params["through"] == "requests-cache":
            with requests_cache.CachedSession(backend="memory") as session:
                write(session=session, hooks=hooks)
        else:
            write(hooks=hooks)
        without, seen[:] = [*seen], []
        assert through(hooks=hooks).ok
        assert seen == without

    def test_a_hook_that_gives_another(self, cache, write):
        """What a hook gives in place of the response is the caller's, whatever it lacks."""
        blank = requests.Response()
        with enabled(cache):
            assert write(hooks={"response": lambda *_, **__: blank}) is blank

    @BOTH_WAYS
    def test_a_hook_that_raises(self, tmdb, cache, through, collection):
        """What the caller's hook raises after a write is the caller's, and the film is stale all the same."""
        ask(tmdb, cache)

        def raises(*_, **__):
            raise LookupError("the caller's own")

        with pytest.raises(LookupError):
            through(hooks={"response": raises})
        assert stale(collection) == {MOVIE}

    def test_request(self, tmdb, make_tmdb_session, mongo):
        """A requests-cache session shows no hook of ours: not in its own, the caller's request or the response's."""
        session = make_tmdb_session()
        made = requests.Request("POST", tmdb.url + RATING, params=ANY_KEY)
        prepared = session.prepare_request(made)
        response = session.send(prepared)
        assert (session.hooks, made.hooks) == ({"response": []}, {"response": []})
        assert prepared.hooks == {"response": []}
        assert response.request.hooks == {"response": []}

    def test_pickle(self, make_tmdb_session, write):
        """The response of a write through a requests-cache session can be pickled and copied as without us."""
        response = write(session=make_tmdb_session())
        assert pickle.loads(pickle.dumps(response)).content == response.content
        assert copy.deepcopy(response).content == response.content


class TestRedirected:
    def redirected(self, tmdb, cache, collection, write, session, status, to, **options):
        """Write to a place that redirects; return what is stale."""
        for path in (MOVIE, "/3/movie/551"):
            ask(tmdb, cache, path)
        tmdb.answer(RATING, status=status, headers={"Location": f"{to}?api_key=any"}, body=b"")
        with enabled(cache):
            write(session=session or requests, **options)
        return stale(collection)

    @pytest.fixture(params=["enabled", "requests-cache"])
    def session(self, request, make_tmdb_session):
        return make_tmdb_session() if request.param == "requests-cache" else None

    def test_to_a_page(self, tmdb, cache, collection, write, session):
        """What was written to is stale where the answer to it is a redirect to another page."""
        assert self.redirected(tmdb, cache, collection, write, session, 302, "/3/configuration") == {MOVIE}

    def test_not_followed(self, tmdb, cache, collection, write, session):
        """What was written to is stale where the caller follows no redirect."""
        found = self.redirected(tmdb, cache, collection, write, session, 303, MOVIE, allow_redirects=False)
        assert found == {MOVIE}

    @pytest.mark.parametrize("session", ["enabled", "requests-cache"], indirect=True)
    @pytest.mark.parametrize(
        ("status", "to", "touched"),
        [
            (303, "/3/movie/999000001", {MOVIE}),
            (307, "/3/movie/551/rating", {MOVIE, "/3/movie/551"}),
            (308, "/3/movie/999000001/x", {MOVIE}),
        ],
    )
    def test_on_and_on(self, tmdb, cache, collection, write, session, status, to, touched):
        """A write has touched every place that it was sent to and that did not refuse it, whatever came next."""
        assert self.redirected(tmdb, cache, collection, write, session, status, to) == touched


class Held(HTTPAdapter):
    """Keeps back one answer that has come, until it is released."""

    def __init__(self):
        super().__init__()
        self.came, self.released = threading.Event(), threading.Event()

    def send(self, *args, **options):
        response = super().send(*args, **options)
        self.came.set()
        assert self.released.wait(10)
        return response


class TestUnderWay:
    @pytest.fixture
    def held(self, tmdb, remembering):
        """A call for the film that has TMDB's answer, and whose caller has it when it is released."""
        adapter = Held()
        with requests.Session() as session:
            session.mount("http://", adapter)
            call = cached_tmdb(cache=remembering)(lambda: get(tmdb, session=session, timeout=15))
            thread = threading.Thread(target=call)
            thread.start()
            try:
                assert adapter.came.wait(10)
                yield lambda: (adapter.released.set(), thread.join(10))
            finally:
                adapter.released.set()
                thread.join(10)

    @pytest.mark.parametrize("door", ["enabled", "requests-cache"])
    def test_fetched(self, tmdb, remembering, write, make_tmdb_session, held, door):
        """What TMDB said of a film before it was written to is not fresh afterwards, though it is stored later."""
        tmdb.change(MOVIE)
        if door == "enabled":
            with enabled(remembering):
                write()
        else:
            write(session=make_tmdb_session())
        held()
        assert ask(tmdb, remembering).content == get(tmdb).content

    def test_nobody_waits_for_an_older_call(self, tmdb, remembering, write, held):
        """Who asks after a write gets what TMDB says now, and does not wait for a call that was begun before it."""
        tmdb.change(MOVIE)
        with enabled(remembering):
            write()
        found = ask(tmdb, remembering, timeout=8)
        assert found.content == get(tmdb).content
        assert "collapsed" not in status_of(found)
        held()


class TestMongoDB:
    def test_by_indexes(self, tmdb, make_cache, mongo_uri, collection, write):
        """Making stale is one command, which looks at what is stale then and hardly at anything else."""
        commands = Commands()
        with pymongo.MongoClient(mongo_uri, event_listeners=[commands]) as client:
            cache = make_cache(uri=None, client=client)
            ask(tmdb, cache)
            document = collection.find_one()
            others = [{**document, "_id": f"{KEY}{number}", "tmdb_id": number} for number in range(1000, 2000)]
            collection.insert_many(others)
            commands.seen.clear()
            with enabled(cache):
                write()
            assert [next(iter(command)) for command in commands.seen] == ["update"]
            (update,) = commands.seen[0]["updates"]
        collection.update_one({"_id": KEY}, {"$set": {"expires_at": document["expires_at"]}})
        command = {"update": "tmdb_cache", "updates": [update]}
        told = collection.database.command("explain", command, verbosity="executionStats")
        assert told["executionStats"]["totalDocsExamined"] <= 4
        assert told["executionStats"]["totalKeysExamined"] <= 12

    @pytest.mark.parametrize("door", ["enabled", "requests-cache"])
    def test_away(self, tmdb, make_cache, write, monkeypatch, door):
        """With MongoDB away a write is answered, at once and without an exception."""
        monkeypatch.setenv("TMDB_CACHE_HOSTS", tmdb.host)
        monkeypatch.setenv("TMDB_CACHE_STORE_TIMEOUT", "0.1")
        with socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))
            uri = f"mongodb://127.0.0.1:{bound.getsockname()[1]}"
            began = time.monotonic()
            if door == "enabled":
                with enabled(make_cache(uri=uri, store_timeout=0.1)):
                    found = [write() for _ in range(5)]
            else:
                backend = MongoBackend("x", host=uri)
                with requests_cache.CachedSession(backend=backend) as session:
                    found = [write(session=session) for _ in range(5)]
        assert [response.status_code for response in found] == [200] * 5
        assert time.monotonic() - began < 4

    @pytest.mark.parametrize("door", ["enabled", "requests-cache"])
    def test_hangs(self, tmdb, make_cache, write, tmp_path, monkeypatch, door):
        """A MongoDB that hangs costs a write store_timeout, and the next ones nothing."""
        monkeypatch.setenv("TMDB_CACHE_HOSTS", tmdb.host)
        monkeypatch.setenv("TMDB_CACHE_STORE_TIMEOUT", "1")
        with EmbeddedServer(tmp_path / "mongod") as server:
            cache = make_cache(uri=server.uri, store_timeout=1)
            session = requests_cache.CachedSession(backend=MongoBackend("x", host=server.uri))
            with enabled(cache), session:
                chosen = session if door == "requests-cache" else requests
                get(tmdb, session=chosen)
                write(session=chosen)
                pid = server.pid
                os.kill(pid, signal.SIGSTOP)
                try:
                    began = time.monotonic()
                    found = [write(session=chosen) for _ in range(10)]
                    took = time.monotonic() - began
                finally:
                    os.kill(pid, signal.SIGCONT)
            assert [response.status_code for response in found] == [200] * 10
            assert 0.8 < took < 6
            cache.close()
