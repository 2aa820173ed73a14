"""Fixtures: one mongod for the whole run, a stand-in TMDB for each test, caches on both, and nothing of the user's."""

from __future__ import annotations

import gc
import logging
import os
import shutil
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import pymongo
import pytest
import requests
import requests_cache

import tmdb_mongo_cache
from tmdb_mongo_cache import EmbeddedServerError, MongoBackend, TMDBCache, TMDBSession, cached_tmdb, enabled, install
from tmdb_mongo_cache.mongo.embedded import server as embedded_server
from tmdb_mongo_cache.mongo.embedded.server import EmbeddedServer
from tmdb_mongo_cache.standin import StandIn

from .flowkit import ANY_KEY, MOVIE, STANDIN, expire, get
from .mongokit import Commands
from .processkit import Programs, Runner

# What is tidied up while other tests run (`later`) would log into those that listen to every level.
logging.getLogger("pymongo").setLevel(logging.WARNING)

# Bytecode is written even where the environment says not to: compiling everything again triples the start of each
# program that the tests run, and costs each worker 6 s.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A run in the background of a shell script: the programs that tests interrupt would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "any_database: its database may have collections and indexes, but no document")


def _mongod_folder(base: Path) -> Path:
    """Return where the mongod of a run lies: in memory where there is a place for that, it is twice as fast there."""
    root = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    if not os.access("/dev/shm", os.W_OK):
        return root / "mongod"
    return Path("/dev/shm", f"tmdb-mongo-cache-{sha256(bytes(root)).hexdigest()[:12]}")


@pytest.fixture(scope="session")
def mongo_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URI of one mongod for all workers of a run; the last to leave stops it."""
    if "TESTS_MONGO_URI" in os.environ:  # of several runs: tests/mutants
        yield os.environ["TESTS_MONGO_URI"]
        return
    with EmbeddedServer(_mongod_folder(tmp_path_factory.getbasetemp())) as server:
        yield server.uri


def pytest_collection_finish() -> None:
    """Take what is there before the first test out of garbage collections: each would look at all of it again."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Remove the mongod's folder, when the workers are gone."""
    factory = getattr(session.config, "_tmp_path_factory", None)
    if factory is not None and not os.environ.get("PYTEST_XDIST_WORKER"):
        shutil.rmtree(_mongod_folder(factory.getbasetemp()), ignore_errors=True)


@pytest.fixture(scope="session")
def later() -> Iterator[Callable[..., Future[Any]]]:
    """Do something while the next tests run: to wait for what thousands of tests tidy up takes half a minute."""
    done: list[Future[Any]] = []

    def later(what: Callable[..., Any], *args: Any) -> Future[Any]:
        done.append(pool.submit(what, *args))
        return done[-1]

    with ThreadPoolExecutor(1) as pool:
        yield later
    for one in done:
        one.result()


@pytest.fixture(scope="session")
def mongo(mongo_uri: str, later: Callable[..., Future[Any]]) -> Iterator[pymongo.MongoClient[dict[str, Any]]]:
    """A plain client, to look at what is in the database."""
    with pymongo.MongoClient(mongo_uri) as client:
        yield client
        later(int).result()  # one after the other: what was to be dropped has been


@pytest.fixture(scope="session")
def used_databases(mongo: pymongo.MongoClient[dict[str, Any]]) -> Iterator[deque[str]]:
    """Databases that tests have left as they were."""
    names: deque[str] = deque()
    yield names
    for name in names:
        mongo.drop_database(name)


@pytest.fixture
def database(
    request: pytest.FixtureRequest,
    mongo: pymongo.MongoClient[dict[str, Any]],
    later: Callable[..., Future[Any]],
    used_databases: deque[str],
) -> Iterator[str]:
    """The name of a database that is this test's own.

    It is a new one, or in modules that are marked with ``any_database`` one that is emptied: to make and drop
    collections and their indexes takes MongoDB three times as long as all that most tests do.
    """
    if request.node.get_closest_marker("any_database") is None:
        name = f"test_{uuid4().hex}"
        yield name
        later(mongo.drop_database, name)
        return
    # The one that was left first, and emptied now: what caches write just after their tests is gone, too.
    name = used_databases.popleft() if len(used_databases) > 9 else f"test_{uuid4().hex}"
    for collection in mongo[name].list_collection_names():
        mongo[name][collection].delete_many({})
    yield name
    used_databases.append(name)


@pytest.fixture
def collection(mongo: pymongo.MongoClient[dict[str, Any]], database: str) -> Any:
    """The collection that this test's caches use, by a plain client."""
    return mongo[database]["tmdb_cache"]


@pytest.fixture
def tmdb() -> StandIn:
    """A stand-in TMDB over plain HTTP."""
    STANDIN.reset()
    return STANDIN


@pytest.fixture(scope="session")
def shared_tls() -> Iterator[StandIn]:
    with StandIn(tls=True) as standin:
        yield standin


@pytest.fixture
def tls_tmdb(shared_tls: StandIn) -> StandIn:
    """A stand-in TMDB behind a proxy, to be reached as https://api.themoviedb.org with its ``env``."""
    shared_tls.reset()
    return shared_tls


@pytest.fixture
def make_cache(mongo_uri: str, database: str, tmdb: StandIn) -> Iterator[Callable[..., TMDBCache]]:
    """Make caches on this test's database which take the stand-in for TMDB."""
    made: list[TMDBCache] = []

    def make(**settings: Any) -> TMDBCache:
        # Without the memory tier: tests change documents under the cache.
        usual = {"uri": mongo_uri, "database": database, "hosts": [tmdb.host], "store_timeout": 10, "memory_ttl": 0}
        cache = TMDBCache(**{**usual, **settings})
        made.append(cache)
        return cache

    yield make
    for cache in made:
        cache.close()


@pytest.fixture
def cache(make_cache: Callable[..., TMDBCache]) -> TMDBCache:
    """A cache with the default settings."""
    return make_cache()


@pytest.fixture
def film(tmdb: StandIn) -> str:
    """The URL of a film."""
    return tmdb.url + MOVIE


@pytest.fixture
def ask(tmdb: StandIn) -> Callable[..., bool | None]:
    """Make a call and say whether it came from the cache; None where it was not cached at all."""

    def ask(number: int = 1, **options: Any) -> bool | None:
        response = requests.get(f"{tmdb.url}/3/movie/{number}", params=ANY_KEY, **options)
        assert response.json()["id"] == number
        return getattr(response, "from_cache", None)

    return ask


@pytest.fixture
def installed(cache: TMDBCache) -> TMDBCache:
    """The cache that every session of the program takes."""
    install(cache)
    return cache


@pytest.fixture
def decorate(cache: TMDBCache) -> Callable[..., Any]:
    """cached_tmdb with this test's cache."""
    return cached_tmdb(cache=cache)


@pytest.fixture
def session(cache: TMDBCache) -> Iterator[TMDBSession]:
    """A TMDBSession with this test's cache."""
    with TMDBSession(cache) as session:
        session.params = dict(ANY_KEY)
        yield session


@pytest.fixture(params=["get", "request", "send"])
def call(session: TMDBSession, film: str, request: pytest.FixtureRequest) -> Callable[..., Any]:
    """One way to ask the TMDBSession for the film, as a function of the arguments for one call."""

    def send(**options: Any) -> requests.Response:
        return session.send(session.prepare_request(requests.Request("GET", film)), **options)

    return {
        "get": lambda **options: session.get(film, **options),
        "request": lambda **options: session.request("GET", film, **options),
        "send": send,
    }[request.param]


@pytest.fixture
def plain_session() -> Iterator[requests.Session]:
    """A session of requests."""
    with requests.Session() as session:
        yield session


@pytest.fixture
def make_session(
    mongo: pymongo.MongoClient[dict[str, Any]], database: str
) -> Iterator[Callable[..., requests_cache.CachedSession]]:
    """Make requests-cache sessions on this test's database; the stand-in is any other host to them."""
    made: list[requests_cache.CachedSession] = []

    def make(*, backend: dict[str, Any] | None = None, **settings: Any) -> requests_cache.CachedSession:
        found = MongoBackend(database, connection=mongo, **(backend or {}))
        session = requests_cache.CachedSession(backend=found, **settings)
        made.append(session)
        return session

    yield make
    for session in made:
        session.close()


@pytest.fixture
def make_tmdb_session(
    tmdb: StandIn, make_session: Callable[..., requests_cache.CachedSession], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., requests_cache.CachedSession]:
    """Make requests-cache sessions on this test's database that take the stand-in for TMDB."""
    monkeypatch.setenv("TMDB_CACHE_HOSTS", tmdb.host)
    monkeypatch.setenv("TMDB_CACHE_STORE_TIMEOUT", "10")
    return make_session


@pytest.fixture
def commands() -> Commands:
    """What `client` sends to MongoDB."""
    return Commands()


@pytest.fixture
def client(mongo_uri: str, commands: Commands) -> Iterator[pymongo.MongoClient[Any]]:
    """A client for a cache, whose commands are recorded."""
    with pymongo.MongoClient(mongo_uri, event_listeners=[commands]) as found:
        yield found


@pytest.fixture(params=["install", "session", "decorator"])
def entry_point(request: pytest.FixtureRequest, cache: TMDBCache) -> Iterator[Callable[..., requests.Response]]:
    """A function that makes a call through one of the entry points, as `flowkit.get` does."""
    if request.param == "install":
        install(cache)
        yield get
    elif request.param == "session":
        with TMDBSession(cache) as session:
            yield lambda *args, **options: get(*args, session=session, **options)
    else:
        yield cached_tmdb(cache=cache)(get)


@pytest.fixture
def fetch(cache: TMDBCache) -> Callable[..., requests.Response]:
    """Make a call with the cache, in whatever thread."""
    return cached_tmdb(cache=cache)(get)


@pytest.fixture
def stored(tmdb: StandIn, cache: TMDBCache, collection: Any) -> dict[str, Any]:
    """Store a fresh entry; return its document."""
    with enabled(cache):
        get(tmdb)
    return collection.find_one({})


@pytest.fixture
def superseded(tmdb: StandIn, stored: dict[str, Any]) -> dict[str, Any]:
    """Store a fresh entry and change TMDB's response; return the entry's document."""
    tmdb.change(MOVIE)
    return stored


@pytest.fixture
def expired(collection: Any, stored: dict[str, Any]) -> dict[str, Any]:
    """Store an entry that has expired; return its document."""
    return expire(collection, stored["_id"])


@pytest.fixture
def unchanged() -> Iterator[None]:
    """The classes of sessions, threads and pools are at the end what they were at the start."""
    kinds = (requests.Session, threading.Thread, threading.Timer, ThreadPoolExecutor)
    before = {(kind, name): id(value) for kind in kinds for name, value in vars(kind).items()}
    yield
    # By identity: wrapt's wrappers are equal to what they wrap.
    assert {(kind, name): id(value) for kind in kinds for name, value in vars(kind).items()} == before


@pytest.fixture
def collected(unchanged: None) -> Iterator[None]:
    """What a test leaves to the garbage collector is gone when the classes are looked at."""
    yield
    gc.collect()


@pytest.fixture
def runner(mongo_uri: str, database: str, tls_tmdb: StandIn) -> Runner:
    """Run programs in processes of their own, on this test's database and the stand-in behind its proxy."""
    return Runner(
        {
            **tls_tmdb.env,
            "TMDB_CACHE_URI": mongo_uri,
            "TMDB_CACHE_DATABASE": database,
            "TMDB_CACHE_STORE_TIMEOUT": "10",
        }
    )


@pytest.fixture
def programs(mongo_uri: str, database: str, tmdb: StandIn) -> Iterator[Programs]:
    """Programs with the cache installed, in processes of their own."""
    with Programs(mongo_uri, database, tmdb.host) as found:
        yield found


@pytest.fixture
def env(mongo_uri: str, database: str, tmdb: StandIn) -> dict[str, str]:
    """The settings of a user on this test's database and its stand-in."""
    settings = {"URI": mongo_uri, "DATABASE": database, "HOSTS": tmdb.host, "STORE_TIMEOUT": "10"}
    return {f"TMDB_CACHE_{name}": value for name, value in settings.items()}


def _patched() -> tuple[Any, Any]:
    return vars(requests.Session)["send"], vars(requests.Session)["request"]


@pytest.fixture(autouse=True)
def _nothing_of_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No setting, no server and no patch comes into a test from outside or leaves it."""
    for name in list(os.environ):
        if name.startswith("TMDB_") or name.lower() in ("http_proxy", "https_proxy", "no_proxy", "requests_ca_bundle"):
            monkeypatch.delenv(name)
    # A folder that is not there: to make one for each of thousands of tests takes seconds.
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path_factory.getbasetemp() / "data" / uuid4().hex[:8]))
    before, logger = _patched(), logging.getLogger("tmdb_mongo_cache")
    level, handlers = logger.level, list(logger.handlers)
    yield
    logger.setLevel(level)  # a command that is run in this process, and TMDB_CACHE_LOG, set it for good
    logger.handlers[:] = handlers
    tmdb_mongo_cache.uninstall()
    if embedded_server._shared is not None:  # of a command that ran in this process; the next test has another folder
        with suppress(EmbeddedServerError, OSError):
            embedded_server._shared.stop()
        embedded_server._shared = None
    assert all(now is then for now, then in zip(_patched(), before, strict=True))
