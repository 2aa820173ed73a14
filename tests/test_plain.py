"""The fast way: for which calls it is taken, what it looks up, and that no two callers see each other's."""

import functools
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pymongo
import pymongo.monitoring
import pytest
import requests
import tmdbsimple

from tmdb_mongo_cache import OfflineError, TMDBSession, cached_tmdb, install, uninstall
from tmdb_mongo_cache.standin import StandIn

from .flowkit import ANY_KEY, MOVIE, START, expire

pytestmark = pytest.mark.any_database

PREPARE = requests.PreparedRequest.prepare.__code__


def prepares(call):
    """Say whether requests prepares a request while a call is made, and check that it is a hit."""
    ran = []
    sys.setprofile(lambda frame, event, _: ran.append(1) if event == "call" and frame.f_code is PREPARE else None)
    try:
        response = call()
    finally:
        sys.setprofile(None)
    assert response is None or response.from_cache
    return bool(ran)


class OwnRequest(requests.Session):
    def request(self, method, url, *args, **kwargs):
        kwargs.setdefault("timeout", 5)
        return super().request(method, url, *args, **kwargs)


class OwnInit(requests.Session):
    def __init__(self):
        super().__init__()
        self.headers["X-Program"] = "mine"
        self.params = {"language": "de"}


def with_session(kind, url):
    with kind() as session:
        return session.get(url, params=ANY_KEY)


@pytest.fixture
def warm(installed, film):
    """A cache that is installed, and has the film in two languages."""
    for language in ({}, {"language": "de"}):
        requests.get(film, params={**ANY_KEY, **language})
    return installed


PLAIN = {
    "requests.get": lambda url: requests.get(url, params=ANY_KEY),
    "requests.request": lambda url: requests.request("get", url=url, params=dict(ANY_KEY), timeout=5, verify=False),
    "query in the URL": lambda url: requests.get(url + "?api_key=any"),
    "session": lambda url: with_session(requests.Session, url),
    "own request": lambda url: with_session(OwnRequest, url),
    "own init": lambda url: with_session(OwnInit, url),
    "bearer": lambda url: requests.get(url, headers={"Authorization": "Bearer abcdefgh"}, params={"page": 1}),
    "says nothing": lambda url: requests.get(
        url, params=ANY_KEY, data=None, json=None, auth=None, cookies={}, hooks={}
    ),
    "by position": lambda url: requests.Session().request("GET", url, ANY_KEY, None, {"X-A": "b"}),
}


@pytest.mark.parametrize("name", PLAIN)
def test_taken(warm, film, name):
    """A plain hit is answered before requests prepares anything, and the request is prepared when it is read."""
    responses = []
    assert not prepares(lambda: responses.append(PLAIN[name](film)))
    assert responses[0].from_cache
    assert prepares(lambda: responses[0].request and None)


def test_taken_by_tmdb_session(session, film):
    """A plain hit of a TMDBSession, and of a subclass that overrides request, is answered without preparing."""
    session.get(film)
    assert not prepares(lambda: session.get(film))
    assert not prepares(lambda: session.get(film, expire_after=1000))
    session.__class__ = type(
        "Own", (TMDBSession,), {"request": lambda self, *a, **k: TMDBSession.request(self, *a, **k)}
    )
    assert not prepares(lambda: session.get(film))


def test_taken_under_the_decorator(cache, film):
    """A plain hit in a decorated function is answered without preparing."""
    load = cached_tmdb(cache=cache)(lambda: requests.get(film, params=ANY_KEY))
    load()
    assert not prepares(load)


def test_taken_by_tmdbsimple(installed, tmdb, monkeypatch):
    """A plain hit of tmdbsimple is answered without preparing."""
    monkeypatch.setattr(tmdbsimple, "API_KEY", "any")
    film, second = tmdbsimple.Movies(550), []
    film.base_uri = tmdb.url + "/3"
    first = film.info(language="en")
    assert not prepares(lambda: second.append(film.info(language="en")))
    assert (second, tmdb.count) == ([first], 1)


class OwnPrepare(requests.Session):
    def prepare_request(self, request):
        request.params = {**request.params, "language": "de"}
        return super().prepare_request(request)


class OwnSend(requests.Session):
    def send(self, request, **kwargs):
        request.prepare_url(request.url, {"language": "de"})
        return super().send(request, **kwargs)


class OwnAttributes(requests.Session):
    def __getattribute__(self, name):
        return OwnPrepare().prepare_request if name == "prepare_request" else super().__getattribute__(name)


def instance(name):
    session = requests.Session()
    kind = OwnPrepare if name == "prepare_request" else OwnSend
    other = kind()
    setattr(session, name, getattr(other, name))
    return session


GERMAN = {
    "own prepare_request": OwnPrepare,
    "own send": OwnSend,
    "own attributes": OwnAttributes,
    "a subclass of its subclass": type("Further", (OwnRequest, OwnSend), {}),
    "an instance's prepare_request": lambda: instance("prepare_request"),
    "an instance's send": lambda: instance("send"),
}


@pytest.mark.parametrize("name", GERMAN)
def test_not_taken(warm, film, name):
    """A session that changes its calls on the way to send is asked for every one."""
    assert prepares(lambda: with_session(GERMAN[name], film))
    response = with_session(GERMAN[name], film)
    assert "language=de" in response.url
    assert response.cache_key.endswith("?language=de")


def german(below):
    """Wrap Session.request or Session.prepare_request, so that every call is for German."""

    @functools.wraps(below)
    def wrapper(self, *args, **kwargs):
        if args and isinstance(args[0], requests.Request):
            args[0].params = {**args[0].params, "language": "de"}
        else:
            kwargs["params"] = {**(kwargs.get("params") or {}), "language": "de"}
        return below(self, *args, **kwargs)

    return wrapper


@pytest.mark.parametrize("name", ["request", "prepare_request"])
@pytest.mark.parametrize("where", ["below", "above"])
def test_wrapped_methods_are_passed(cache, film, monkeypatch, name, where):
    """Another tool's wrapper of request or prepare_request, below ours or above, changes every call, hits included."""
    with monkeypatch.context() as patches:
        if where == "above":
            install(cache)
            requests.get(film, params=ANY_KEY)
        patches.setattr(requests.Session, name, german(vars(requests.Session)[name]))
        install(cache)
        for hit in (False, True):
            response = requests.get(film, params=ANY_KEY)
            assert (response.from_cache, "language=de" in response.url) == (hit, True)
        if where == "below":
            uninstall()


def test_a_wrapper_on_send_sees_every_hit(warm, film, monkeypatch):
    """Another tool's wrapper on top of send sees the hits, prepared, as long as it is there."""
    calls, below = [], vars(requests.Session)["send"]
    with monkeypatch.context() as patches:
        patches.setattr(
            requests.Session, "send", functools.wraps(below)(lambda s, r, **k: calls.append(r.url) or below(s, r, **k))
        )
        assert [PLAIN["session"](film).from_cache for _ in range(2)] == [True, True]
    assert calls == [film + "?api_key=any"] * 2
    assert not prepares(lambda: PLAIN["session"](film))


@pytest.fixture
def count_finds(mongo_uri, make_cache, tmdb):
    """Make a cache whose look-ups are counted; return it and the function that counts those of a call."""
    names = []

    class Listener(pymongo.monitoring.CommandListener):
        def started(self, event):
            names.append(event.command_name)

        def succeeded(self, event):
            pass

        failed = succeeded

    with pymongo.MongoClient(mongo_uri, event_listeners=[Listener()]) as client:

        def make(**settings):
            install(make_cache(uri=None, client=client, **settings))
            # What opening takes is not counted.
            requests.get(tmdb.url + "/3/movie/99", params=ANY_KEY)

            def count(call):
                before = len(names)
                call()
                return names[before:].count("find")

            return count

        yield make


FINDS = {
    "miss": (lambda url: requests.get(url + "/3/movie/1", params=ANY_KEY), 1),
    "miss, not plain": (lambda url: requests.get(url + "/3/movie/1", params=[("api_key", "any")]), 1),
    "404": (lambda url: requests.get(url + "/3/movie/0", params=ANY_KEY), 1),
    "hit": (lambda url: requests.get(url + MOVIE, params=ANY_KEY), 1),
    "hit, not plain": (lambda url: requests.get(url + MOVIE, params=ANY_KEY, stream=True).close(), 1),
    "stale": (lambda url: requests.get(url + "/3/movie/2", params=ANY_KEY), 1),
    "no-cache": (lambda url: requests.get(url + MOVIE, params=ANY_KEY, headers={"Cache-Control": "no-cache"}), 1),
    "redirect, new": (lambda url: requests.get(url + "/3/movie/4", params=ANY_KEY), 1),
    "redirect, hit": (lambda url: requests.get(url + "/3/movie/3", params=ANY_KEY), 1),
    "redirect, not followed": (lambda url: requests.get(url + "/3/movie/3", params=ANY_KEY, allow_redirects=False), 1),
    "POST": (lambda url: requests.post(url + MOVIE + "/rating", params=ANY_KEY, json={"value": 5}), 0),
    "private": (lambda url: requests.get(url + "/3/account/1", params=ANY_KEY), 0),
    "a session": (lambda url: requests.get(url + MOVIE, params={**ANY_KEY, "session_id": "abcdef"}), 0),
    "no-store": (lambda url: requests.get(url + MOVIE, params=ANY_KEY, headers={"Cache-Control": "no-store"}), 0),
}


@pytest.mark.parametrize("name", FINDS)
def test_one_look_up(count_finds, collection, tmdb, name):
    """A call that may be cached is looked up once, whatever comes of it; one that may not, never."""
    count = count_finds()
    for number in (3, 4):
        to = {"Location": f"{tmdb.url}/3/movie/{number + 10}?api_key=any"}
        tmdb.answer(f"/3/movie/{number}", status=301, headers=to)
    for path in (MOVIE, "/3/movie/2", "/3/movie/3"):
        requests.get(tmdb.url + path, params=ANY_KEY)
    expire(collection, f"{START}/3/movie/2")
    time.sleep(0.02)  # a look-up that began before another call's end is repeated
    call, wanted = FINDS[name]
    assert count(lambda: call(tmdb.url)) == wanted


def test_one_look_up_elsewhere(count_finds, make_cache, tmdb):
    """A hit in memory and another host's call are not looked up in MongoDB; a call offline is, once."""
    count = count_finds(memory_ttl=30)
    film = functools.partial(requests.get, tmdb.url + MOVIE, params=ANY_KEY)
    assert [count(film) for _ in range(3)] == [1, 0, 0]
    assert film().headers["Cache-Status"].endswith("detail=memory")
    with StandIn() as other:
        assert count(lambda: requests.get(other.url + MOVIE, params=ANY_KEY)) == 0

    def missed():
        with pytest.raises(OfflineError):
            cached_tmdb(offline=True)(requests.get)(tmdb.url + "/3/movie/8", params=ANY_KEY)

    assert count(missed) == 1


def test_one_look_up_of_a_tmdb_session(count_finds, tmdb):
    """A TMDBSession looks a call up once, found or missed, with settings of its own too."""
    count = count_finds()
    with TMDBSession() as session:
        session.params = dict(ANY_KEY)
        assert [count(lambda: session.get(tmdb.url + MOVIE)) for _ in range(2)] == [1, 1]
        assert count(lambda: session.get(tmdb.url + MOVIE, force_refresh=True)) == 1
        assert count(lambda: session.get(tmdb.url + "/3/movie/7", only_if_cached=True)) == 1


def test_each_call_is_counted_once(warm, film, tmdb):
    """A hit of the fast way is one hit in the statistics, a miss one miss."""
    before = warm.stats()
    requests.get(film, params=ANY_KEY)
    requests.get(tmdb.url + "/3/movie/5", params=ANY_KEY)
    after = warm.stats()
    assert (after.hits - before.hits, after.misses - before.misses) == (1, 1)


@pytest.mark.parametrize("memory_ttl", [0, 30])
def test_changes_stay_the_callers(make_cache, film, memory_ttl):
    """What a caller does to its arguments, session or response changes neither its request nor another's answer."""
    install(make_cache(memory_ttl=memory_ttl))
    session, params, headers = requests.Session(), {**ANY_KEY, "language": "de"}, {"X-One": "1"}
    with session:
        call = functools.partial(session.get, film, params=params, headers=headers)
        call()
        first, second = call(), call()
        wanted, sent, url = dict(second.headers), dict(second.request.headers), second.url
        film_before = second.json()
        params["language"], headers["X-One"], session.headers["X-Two"], session.params["a"] = "fr", "2", "2", "b"
        session.trust_env = False
        second.headers["ETag"] = second.request.headers["X-One"] = "changed"
        second.json()["title"] = "changed"
        second.request.url, second.encoding = "elsewhere", "utf-16"
        second.request.hooks["response"].append(print)
        second.history.append(first)
        assert (first.url, first.request.url, dict(first.request.headers)) == (url, url, sent)
        assert first.request.hooks == {"response": []}
    with requests.Session() as session:
        third = session.get(film, params={**ANY_KEY, "language": "de"}, headers={"X-One": "1"})
    for name in ("Age", "Cache-Status"):
        assert third.headers.pop(name)
        wanted.pop(name)
    assert (dict(third.headers), dict(third.request.headers), third.request.url) == (wanted, sent, url)
    assert (third.json(), third.encoding, third.history) == (film_before, first.encoding, [])
    assert third.request.hooks == {"response": []}


@pytest.mark.parametrize("memory_ttl", [0, 30])
def test_everyone_sees_their_own_credentials(make_cache, film, memory_ttl):
    """Users in one process, in threads of one session or of none, see their own key or token, and nobody else's."""
    install(make_cache(memory_ttl=memory_ttl))
    requests.get(film, params=ANY_KEY)
    with requests.Session() as shared:

        def ask(number):
            key, door = f"key{number:029}", (shared, requests)[number % 2]
            if number % 3:
                return key, door.get(film, params={"api_key": key})
            return key, door.get(film, headers={"Authorization": f"Bearer {key}"})

        with ThreadPoolExecutor(8) as pool:
            for key, response in list(pool.map(ask, [number % 20 for number in range(200)])):
                assert response.from_cache
                found = f"{response.url} {response.request.url} {response.request.headers}"
                # Its own key is in both addresses, or once in the headers.
                assert found.count(key) == (2 if "api_key=" in found else 1)
                assert found.count("key0") == found.count(key)
                assert response.raw._request_url == response.request.path_url


VALUES = [1, True, 1.0, "1", "True", "1.0", 0, False, 0.0, -0.0, "0", "", 10**20, 1e20]


@pytest.mark.parametrize("values", [VALUES, VALUES[::-1]], ids=["forwards", "backwards"])
def test_equal_values_are_not_the_same(installed, tmdb, film, values):
    """Values that are equal in Python but written differently make calls of their own."""
    for value in values * 2:
        for params in ({**ANY_KEY, "query": value}, {**ANY_KEY, "query": value, "other": None}):
            response = requests.get(film, params=params)
            assert response.url == response.request.url == f"{film}?api_key=any&query={value}".replace("+", "%2B")
    assert tmdb.count == len({str(value) for value in values})


def test_threads_get_the_same_objects(warm, film):
    """Threads that read one response at once all get the same headers, request, raw and cookies."""
    names, before = ("headers", "request", "raw", "cookies", "url", "encoding"), sys.getswitchinterval()
    barrier = threading.Barrier(8)

    def read(response):
        barrier.wait(10)
        return [getattr(response, name) for name in names]

    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            for _ in range(25):
                found = list(pool.map(read, [requests.get(film, params=ANY_KEY)] * 8))
                assert [len({id(values[index]) for values in found}) for index in range(len(names))] == [1] * len(names)
    finally:
        sys.setswitchinterval(before)
