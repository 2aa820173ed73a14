"""What came by a channel that nobody has verified serves such callers alone; what was verified serves all."""

from __future__ import annotations

import pickle
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import deepcopy
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import requests
import requests_cache
from requests.adapters import HTTPAdapter

from tmdb_mongo_cache import MongoBackend, TMDBCache, TMDBSession, cached_tmdb, enabled
from tmdb_mongo_cache.tmdb.hosts import HOST, OWN_HOSTS

from .channelkit import FILM, FORGED, TRUE, UNVERIFIED_KEY, VERIFIED_KEY, Asked, World, to_http, to_https
from .flowkit import ANY_KEY, expire, status_of
from .processkit import Runner

pytestmark = [pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning"), pytest.mark.any_database]

CREDITS = f"{FILM}/credits"
ALIAS = next(host for host in OWN_HOSTS if host != HOST)
SECURE, CLEAR, OTHER_NAME = f"https://{HOST}{FILM}", f"http://{HOST}{FILM}", f"https://{ALIAS}{FILM}"


@pytest.fixture(scope="session")
def shared_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("world"))
    yield world
    world.close()


@pytest.fixture
def world(shared_world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """TMDB by every channel, as the environment leads to it."""
    shared_world.reset()
    for name, value in shared_world.env.items():
        monkeypatch.setenv(name, value)
    return shared_world


@pytest.fixture
def cache(make_cache: Callable[..., TMDBCache]) -> TMDBCache:
    return make_cache(hosts=[])


class Lenient(HTTPAdapter):
    """As it is found in many programs."""

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        super().cert_verify(conn, url, False, cert)


class Switching(HTTPAdapter):
    """Another that is found in many."""

    def send(self, request: Any, **options: Any) -> requests.Response:  # type: ignore[override]
        return super().send(request, **{**options, "verify": False})


class Logging(HTTPAdapter):
    """One that looks at answers, and reads them."""

    def send(self, request: Any, *args: Any, **options: Any) -> requests.Response:
        response = super().send(request, *args, **options)
        assert response.content
        return response


class Pooled(HTTPAdapter):
    """One whose connections are made with arguments of its own."""

    def __init__(self, **pool: Any) -> None:
        self._pool = pool
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options, **self._pool)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        return super().proxy_manager_for(proxy, **options, **self._pool)


class Unchecked(requests.Session):
    """A session as the well-known recipes have it."""

    def merge_environment_settings(self, *args: Any, **options: Any) -> Any:
        return {**super().merge_environment_settings(*args, **options), "verify": False}


def context() -> ssl.SSLContext:
    """Return one that checks nothing by itself; requests makes it check certificates, and urllib3 names."""
    found = ssl.create_default_context()
    found.check_hostname, found.verify_mode = False, ssl.CERT_NONE
    return found


Call = Callable[[], requests.Response]
Way = Callable[[World, TMDBCache], AbstractContextManager[Call]]


def by(
    url: str = SECURE,
    *,
    kind: type[requests.Session] = requests.Session,
    adapter: Callable[[], HTTPAdapter] | None = None,
    prepared: bool = False,
    of_session: Any = None,
    **options: Any,
) -> Way:
    """Return a way that leads through a session, of which the environment is left out."""

    @contextmanager
    def way(world: World, cache: TMDBCache) -> Iterator[Call]:
        def call() -> requests.Response:
            if not prepared:
                return session.get(url, params=ANY_KEY, **options)
            request = session.prepare_request(requests.Request("GET", url, params=ANY_KEY))
            return session.send(request, proxies=session.proxies, **options)

        with world.session(kind) as session, enabled(cache):
            session.verify = world.bundle if of_session is None else of_session
            if adapter is not None:
                session.mount("https://", adapter())
            yield call

    return way


def by_function(url: str = SECURE, **options: Any) -> Way:
    @contextmanager
    def way(_: World, cache: TMDBCache) -> Iterator[Call]:
        with enabled(cache):
            yield lambda: requests.get(url, params=ANY_KEY, **options)

    return way


def decorated(**options: Any) -> Way:
    return lambda _, cache: nullcontext(lambda: cached_tmdb(cache=cache)(requests.get)(SECURE, ANY_KEY, **options))


def through(make: Callable[[TMDBCache], Any], url: str = SECURE, **options: Any) -> Way:
    @contextmanager
    def way(_: World, cache: TMDBCache) -> Iterator[Call]:
        with make(cache) as session:
            yield lambda: session.get(url, params=ANY_KEY, **options)

    return way


def cached_session(cache: TMDBCache) -> requests_cache.CachedSession:
    database = cache.collection.database
    return requests_cache.CachedSession(backend=MongoBackend(database.name, connection=database.client))


VERIFIED: dict[str, Way] = {
    "requests.get": by_function(),
    "verify=True": by_function(verify=True),
    "the other name": by_function(OTHER_NAME),
    "a session with a bundle": by(),
    "a prepared request": by(prepared=True),
    "stream": by(stream=True),
    "hooks": by(hooks={"response": [lambda response, **_: None]}),
    "a reading adapter": by(adapter=Logging),
    "a context that checks nothing": by(adapter=lambda: Pooled(ssl_context=context())),
    "the name itself": by(adapter=lambda: Pooled(assert_hostname=HOST, server_hostname=HOST)),
    "the decorator": decorated(),
    "a TMDBSession": through(TMDBSession),
    "requests-cache": through(cached_session),
}
UNVERIFIED: dict[str, Way] = {
    "http": by_function(CLEAR),
    "http, the other name": by_function(f"http://{ALIAS}{FILM}"),
    "http, a session": by(CLEAR),
    "http, a TMDBSession": through(TMDBSession, CLEAR),
    "http, requests-cache": through(cached_session, CLEAR),
    "verify=False": by_function(verify=False),
    "verify=False, the other name": by_function(OTHER_NAME, verify=False),
    "verify=0": by_function(verify=0),
    "a session's False": by(of_session=False),
    "a session's 0": by(of_session=0),
    "a session's nothing": by(of_session=""),
    "a prepared request": by(prepared=True, of_session=False),
    "a prepared request, sent so": by(prepared=True, verify=False),
    "a session that merges so": by(kind=Unchecked),
    "stream": by(verify=False, stream=True),
    "hooks": by(verify=False, hooks={"response": [lambda response, **_: None]}),
    "a lenient adapter": by(adapter=Lenient),
    "a switching adapter": by(adapter=Switching),
    "no name": by(adapter=lambda: Pooled(assert_hostname=False)),
    "another name": by(adapter=lambda: Pooled(assert_hostname="evil.example")),
    "another name for the server": by(adapter=lambda: Pooled(server_hostname="evil.example")),
    "the decorator": decorated(verify=False),
    "a TMDBSession": through(TMDBSession, verify=False),
    "requests-cache": through(cached_session, verify=False),
}
LEARNT = {"a lenient adapter", "a switching adapter", "no name", "another name", "another name for the server"}
"""What is seen of an adapter when it has sent something, and not before."""


FAST = {
    "http",
    "verify=False",
    "a session's 0",
    "a prepared request",
    "a TMDBSession",
    "requests.get",
    "requests-cache",
}
"""What there is to see of the tier in memory."""


def told(response: requests.Response) -> tuple[str, bool]:
    """Return what came, and whether it was in the cache."""
    return response.json()["title"], response.from_cache  # type: ignore[attr-defined]


def keys(cache: TMDBCache) -> set[str]:
    return {document["_id"] for document in cache.collection.find({}, {"_id": True})}


@pytest.mark.parametrize(
    ("name", "memory_ttl"), [*product(UNVERIFIED, [0]), *product(sorted(FAST & {*UNVERIFIED}), [30])]
)
def test_what_nobody_has_verified_serves_such_callers_alone(
    world: World, make_cache: Callable[..., TMDBCache], name: str, memory_ttl: float
) -> None:
    """By whatever door and switch: it is kept under its own key, shared with such callers, and none other gets it."""
    cache = make_cache(hosts=[], memory_ttl=memory_ttl)
    forged = "other" if "name" in name and "the other name" not in name else "forged"
    with UNVERIFIED[name](world, cache) as call, by_function()(world, cache) as verified:
        world.certificate = forged
        if name in LEARNT:
            assert told(call()) == (FORGED, False)
            assert not keys(cache)
        assert told(call()) == (FORGED, False)
        assert keys(cache) == {UNVERIFIED_KEY}
        found = call()
        assert (*told(found), found.cache_key) == (FORGED, True, UNVERIFIED_KEY)  # type: ignore[attr-defined]
        with by_function(CLEAR)(world, cache) as in_the_clear:
            assert told(in_the_clear()) == (FORGED, True)
        world.certificate = "good"
        assert told(verified()) == (TRUE, False)
        assert told(verified()) == (TRUE, True)
        assert keys(cache) == {UNVERIFIED_KEY, VERIFIED_KEY}
        cache.clear()
        verified()
        world.certificate = forged
        found = call()
        assert (*told(found), found.cache_key) == (TRUE, True, VERIFIED_KEY)  # type: ignore[attr-defined]
    assert keys(cache) == {VERIFIED_KEY}


@pytest.mark.parametrize(("name", "memory_ttl"), [*product(VERIFIED, [0]), *product(sorted(FAST & {*VERIFIED}), [30])])
def test_a_verified_caller_gets_what_was_verified_and_it_serves_all(
    world: World, make_cache: Callable[..., TMDBCache], name: str, memory_ttl: float
) -> None:
    """By whatever door: what came by http before is none of its answers, and its answers serve http from then on."""
    cache = make_cache(hosts=[], memory_ttl=memory_ttl)
    with VERIFIED[name](world, cache) as call, by_function(CLEAR)(world, cache) as in_the_clear:
        assert told(in_the_clear()) == (FORGED, False)
        assert told(call()) == (TRUE, False)
        found = call()
        assert (*told(found), found.cache_key) == (TRUE, True, VERIFIED_KEY)  # type: ignore[attr-defined]
        assert keys(cache) == {UNVERIFIED_KEY, VERIFIED_KEY}
        cache.clear()
        call()
        assert told(in_the_clear()) == (TRUE, True)


@pytest.mark.parametrize("make", [by_function, by, lambda url: through(TMDBSession, url)])
@pytest.mark.parametrize("leads", [to_https, lambda asked: to_https(asked._replace(host=ALIAS))])
def test_what_http_leads_to_by_https_is_a_verified_answer(
    world: World, cache: TMDBCache, make: Callable[[str], Way], leads: Callable[[Asked], Any]
) -> None:
    """Who asks by https has it from the cache, and who asks by http the next time is there at once."""
    world.answer = leads
    with make(CLEAR)(world, cache) as call, by_function()(world, cache) as verified:
        first = call()
        assert told(first) == (TRUE, False)
        assert [hop.status_code for hop in first.history] == [301]
        assert (first.cache_key, "stored" in status_of(first)) == (VERIFIED_KEY, True)  # type: ignore[attr-defined]
        assert keys(cache) == {VERIFIED_KEY}
        again = call()
        assert (told(again), again.history, again.url.partition("?")[0]) == ((TRUE, True), [], CLEAR)
        assert told(verified()) == (TRUE, True)
    assert len(world.calls) == 2


def test_what_http_leads_to_in_requests_cache_is_a_verified_answer(world: World, cache: TMDBCache) -> None:
    """By the backend as by every other door."""
    world.answer = to_https
    with through(cached_session, CLEAR)(world, cache) as call, by_function()(world, cache) as verified:
        assert told(call()) == (TRUE, False)
        assert keys(cache) == {VERIFIED_KEY}
        assert told(call()) == told(verified()) == (TRUE, True)


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("make", [by_function, lambda *url, **options: through(cached_session, *url, **options)])
def test_what_https_leads_to_by_http_is_none(
    world: World, cache: TMDBCache, make: Callable[..., Way], verify: bool
) -> None:
    """What comes in the clear in the end is the answer of who does not verify; who does gets it from TMDB alone."""
    world.answer = to_http
    options = {} if verify else {"verify": False}
    with make(**options)(world, cache) as call:
        assert call().json()["title"] == FORGED
        assert VERIFIED_KEY not in keys(cache)
        assert call().json()["title"] == FORGED
        world.answer = None
        assert call().json()["title"] == (TRUE if verify else FORGED)
    assert (VERIFIED_KEY in keys(cache)) == verify


def elsewhere(asked: Asked) -> Any:
    """Lead from one film to another: from https by http, and from there by https."""
    if asked.path.startswith("/3/movie/1?"):
        return 302, {"Location": f"http://{HOST}/3/movie/2"}, b""
    return (302, {"Location": f"https://{HOST}/3/movie/3"}, b"") if asked.path == "/3/movie/2" else None


def test_a_way_by_http_leads_to_no_verified_answer(world: World, cache: TMDBCache) -> None:
    """Though it ends at another film by https: by http somebody chose which."""
    world.answer = elsewhere
    with by_function(f"https://{HOST}/3/movie/1")(world, cache) as verified:
        found = verified()
        assert (told(found), len(found.history)) == ((TRUE, False), 2)
        assert not keys(cache)
    with by_function(f"http://{HOST}/3/movie/1")(world, cache) as in_the_clear:
        in_the_clear()
        assert keys(cache) == {f"GET http://{HOST}/3/movie/1"}
        found = in_the_clear()
        assert (told(found), len(found.history)) == ((TRUE, True), 2)


def test_a_verified_way_to_another_film_is_followed_by_who_verifies(world: World, cache: TMDBCache) -> None:
    """It is stored with its redirect; who asks by http gets what his own way leads to."""
    world.answer = lambda asked: (302, {"Location": "/3/movie/2"}, b"") if "/1" in asked.path else None
    with by_function(f"https://{HOST}/3/movie/1")(world, cache) as verified:
        verified()
        assert told(verified()) == (TRUE, True)
    with by_function(f"http://{HOST}/3/movie/1")(world, cache) as in_the_clear:
        assert told(in_the_clear()) == (FORGED, False)
        assert told(in_the_clear()) == (FORGED, True)


def test_an_etag_goes_by_the_channel_by_which_it_came(world: World, cache: TMDBCache, collection: Any) -> None:
    """Who is not verified is neither asked about a verified answer, nor believed that one has not changed."""
    with by_function()(world, cache) as verified, by_function(CLEAR)(world, cache) as in_the_clear:
        in_the_clear()
        verified()
        for key in (VERIFIED_KEY, UNVERIFIED_KEY):
            expire(collection, key)
        assert told(in_the_clear()) == (FORGED, False)
        assert "if-none-match" not in world.calls[-1].headers
        expire(collection, UNVERIFIED_KEY)
        collection.delete_one({"_id": VERIFIED_KEY})
        assert told(verified()) == (TRUE, False)
        assert "if-none-match" not in world.calls[-1].headers
        expire(collection, VERIFIED_KEY)
        assert "fwd-status=304" in verified().headers["Cache-Status"]
        collection.delete_one({"_id": VERIFIED_KEY})
        assert "fwd-status=304" in in_the_clear().headers["Cache-Status"]


def test_a_304_that_nobody_has_verified_renews_nothing(world: World, cache: TMDBCache, collection: Any) -> None:
    """A lenient adapter's connection: what is verified is not confirmed by it."""
    with by_function()(world, cache) as verified, by(adapter=Lenient)(world, cache) as call:
        verified()
        before = expire(collection, VERIFIED_KEY)
        world.certificate = "forged"
        assert call().json()["title"] == FORGED
        assert collection.find_one({"_id": VERIFIED_KEY}) == before


@pytest.mark.parametrize("closes", [False, True])
@pytest.mark.parametrize("make", [lambda _: requests.Session(), cached_session])
def test_a_connection_is_used_again_by_who_verifies(
    world: World, cache: TMDBCache, make: Callable[[TMDBCache], requests.Session], closes: bool
) -> None:
    """Requests gives a verifying call a connection that was made without a check: what comes by it is not verified."""
    with make(cache) as session, enabled(cache):
        session.trust_env, session.proxies = False, {"https": world.url}
        session.verify = None  # type: ignore[assignment]
        world.certificate = "forged"
        assert session.get(f"https://{HOST}/3/movie/1").json()["title"] == FORGED
        session.verify = True
        world.closes = closes
        assert session.get(SECURE).json()["title"] == FORGED
    assert keys(cache) == {f"GET http://{HOST}/3/movie/1"}
    with by_function()(world, cache) as verified:
        world.certificate = "good"
        assert told(verified()) == (TRUE, False)


@pytest.mark.parametrize("closes", [False, True])
@pytest.mark.parametrize("way", [by_function(), by(adapter=Logging), through(cached_session)])
def test_a_connection_that_ends_with_its_answer_was_verified(
    world: World, cache: TMDBCache, way: Way, closes: bool
) -> None:
    """urllib3 forgets that when it is closed; the answer is stored nevertheless."""
    world.closes = closes
    with way(world, cache) as call:
        call()
        assert told(call()) == (TRUE, True)


@pytest.mark.parametrize("closes", [False, True])
@pytest.mark.parametrize("by_https", [False, True])
@pytest.mark.parametrize("host", [HOST, "127.0.0.1"])
def test_a_proxy_on_the_way(
    world: World, make_cache: Callable[..., TMDBCache], host: str, by_https: bool, closes: bool
) -> None:
    """By a proxy that is reached by http or by https, and to an address: it is the server whose certificate counts."""
    world.closes = closes
    session = world.session()
    session.proxies["https"] = world.by_https() if by_https else world.url
    cache = make_cache(hosts=["127.0.0.1"])
    with enabled(cache):
        assert told(session.get(f"https://{host}{FILM}", timeout=5)) == (TRUE, False)
        assert told(session.get(f"https://{host}{FILM}", timeout=5)) == (TRUE, True)
    assert keys(cache) == {VERIFIED_KEY if host == HOST else f"GET https://{host}{FILM}"}


class Copying(HTTPAdapter):
    """One that keeps copies of what it sends, and can be none itself."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()
        self.sent: list[requests.PreparedRequest] = []

    __getstate__ = None  # type: ignore[assignment]

    def send(self, request: Any, *args: Any, **options: Any) -> requests.Response:
        self.sent += [deepcopy(request), pickle.loads(pickle.dumps(request))]
        return super().send(request, *args, **options)


def test_an_adapter_may_copy_what_it_sends(world: World, cache: TMDBCache) -> None:
    """What looks at the connection comes with the request, and has hold of nothing of the session's."""
    world.answer = to_https
    session, adapter = world.session(), Copying()
    session.adapters.update(dict.fromkeys(session.adapters, adapter))
    with enabled(cache):
        assert session.get(CLEAR, timeout=5).json()["title"] == TRUE
    assert keys(cache) == {VERIFIED_KEY}
    assert [request.url for request in adapter.sent] == [CLEAR, CLEAR, SECURE, SECURE]


class Elsewhere(HTTPAdapter):
    """One that sends what is asked of TMDB to a server of its own, which has a certificate, too."""

    def send(self, request: Any, *args: Any, **options: Any) -> requests.Response:
        request.url = request.url.replace(HOST, "127.0.0.1")
        return super().send(request, *args, **options)


def test_the_certificate_is_that_of_who_was_asked(world: World, cache: TMDBCache) -> None:
    """Not that of another host, to which an adapter of the program's own has sent the call."""
    with by(adapter=Elsewhere)(world, cache) as call:
        call()
        assert not keys(cache)


def test_a_part_is_taken_from_no_answer_of_another_channel(world: World, make_cache: Callable[..., TMDBCache]) -> None:
    """``reuse_appended`` answers http from what was verified, and https from nothing else."""
    cache = make_cache(hosts=[], reuse_appended=True)
    whole, part = f"{FILM}?append_to_response=credits", f"{FILM}/credits"
    with enabled(cache):
        requests.get(f"http://{HOST}{whole}", params=ANY_KEY)
        assert requests.get(f"http://{HOST}{part}", params=ANY_KEY).json()["cast"][0]["name"] == FORGED
        assert len(world.calls) == 1
        assert requests.get(f"https://{HOST}{part}", params=ANY_KEY).json()["cast"][0]["name"] == TRUE
        assert len(world.calls) == 2
        cache.clear()
        requests.get(f"https://{HOST}{whole}", params=ANY_KEY)
        assert requests.get(f"http://{HOST}{part}", params=ANY_KEY).json()["cast"][0]["name"] == TRUE
    assert len(world.calls) == 3


def test_a_stale_answer_goes_by_channel(world: World, cache: TMDBCache, collection: Any) -> None:
    """Where TMDB fails http gets the verified answer before its own, and https never that of http."""
    with by_function()(world, cache) as verified, by_function(CLEAR)(world, cache) as in_the_clear:
        in_the_clear()
        expire(collection, UNVERIFIED_KEY)
        world.answer = lambda _: (503, {}, b"")
        assert verified().status_code == 503
        assert told(in_the_clear()) == (FORGED, True)
        world.answer = None
        verified()
        expire(collection, VERIFIED_KEY)
        world.answer = lambda _: (503, {}, b"")
        assert told(in_the_clear()) == told(verified()) == (TRUE, True)


def test_a_stale_verified_answer_in_requests_cache(world: World, cache: TMDBCache, collection: Any) -> None:
    """It stands in for http where TMDB fails; else TMDB is asked anew, with no ETag of it."""
    with by_function()(world, cache) as verified, through(cached_session, CLEAR, timeout=5)(world, cache) as call:
        verified()
        before = expire(collection, VERIFIED_KEY)
        assert told(call()) == (FORGED, False)
        assert "if-none-match" not in world.calls[-1].headers
        assert collection.find_one({"_id": VERIFIED_KEY}) == before
        assert told(call()) == (FORGED, True)


def test_what_a_session_of_requests_cache_refreshes_by_http(world: World, cache: TMDBCache, collection: Any) -> None:
    """It asks about the verified answer, which it has: what it is told renews neither that nor anything else."""
    with by_function()(world, cache) as verified, cached_session(cache) as session:
        verified()
        before = collection.find_one({})
        assert session.get(CLEAR, params=ANY_KEY, refresh=True).status_code == 200
        assert [asked.scheme for asked in world.calls] == ["https", "http"]
        assert list(collection.find()) == [before]


@pytest.mark.parametrize("options", [{}, {"verify": False}])
def test_a_session_of_requests_cache_with_keys_of_its_own(
    world: World, cache: TMDBCache, options: dict[str, Any]
) -> None:
    """What its function makes of an URL serves who does not verify and who does, each with his own."""
    with cached_session(cache) as session:
        session.settings.key_fn = lambda request, **_: "the film"
        url = SECURE if options else CLEAR
        assert told(session.get(url, params=ANY_KEY, **options)) == (TRUE if options else FORGED, False)
        assert told(session.get(url, params=ANY_KEY, **options)) == (TRUE if options else FORGED, True)
        assert told(session.get(SECURE, params=ANY_KEY)) == (TRUE, False)
        assert told(session.get(SECURE, params=ANY_KEY)) == (TRUE, True)
        assert keys(cache) == {"the film", "the film#unverified"}


def test_explain_and_events_tell_of_the_channel(world: World, make_cache: Callable[..., TMDBCache]) -> None:
    """The key is in what is told of a call, and whose answer serves it."""
    events: list[Any] = []
    cache = make_cache(hosts=[], on_event=events.append)
    for about in (cache.explain(CLEAR), cache.explain(SECURE, verify=False)):
        assert (about.key, about.found, about.step) == (UNVERIFIED_KEY, "nothing", "fetch")
        assert any("verified" in note for note in about.notes)
    assert cache.explain(SECURE).key == VERIFIED_KEY
    with by_function()(world, cache) as verified, by_function(CLEAR)(world, cache) as in_the_clear:
        in_the_clear()
        assert cache.explain(CLEAR).found == "fresh"
        assert cache.explain(SECURE).found == "nothing"
        verified()
        in_the_clear()
    about = cache.explain(CLEAR)
    assert (about.key, about.found) == (VERIFIED_KEY, "fresh")
    told_of = [(event.outcome, event.key) for event in events]
    assert told_of == [("miss", UNVERIFIED_KEY), ("miss", VERIFIED_KEY), ("hit", UNVERIFIED_KEY)]
    expire(cache.collection, VERIFIED_KEY)
    cache.collection.delete_one({"_id": UNVERIFIED_KEY})
    about = cache.explain(CLEAR)
    assert (about.found, about.step) == ("stale", "fetch")


PROGRAM = """
import requests, urllib3
urllib3.disable_warnings()
for url, verify in ((%r, True), (%r, False), (%r, True)):
    print(requests.get(url, params={"api_key": "any"}, verify=verify).json()["title"])
"""


def test_a_program_that_is_run(world: World, cache: TMDBCache, mongo_uri: str, database: str, tmp_path: Path) -> None:
    """Nothing of this needs a change to a program."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM % (CLEAR, SECURE, SECURE), encoding="utf-8")
    env = {"TMDB_CACHE_URI": mongo_uri, "TMDB_CACHE_DATABASE": database, "TMDB_CACHE_STORE_TIMEOUT": "10"}
    assert Runner({**world.env, **env}).run(program).stdout.splitlines() == [FORGED, FORGED, TRUE]
    assert keys(cache) == {VERIFIED_KEY, UNVERIFIED_KEY}
