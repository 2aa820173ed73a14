"""TMDBSession: a session whose TMDB calls are cached."""

import pickle
import subprocess
import sys

import pytest
import requests
from requests.adapters import HTTPAdapter
from requests.auth import HTTPBasicAuth

from tmdb_mongo_cache import CacheConfig, ConfigError, TMDBSession, disabled, enabled, install, uninstall
from tmdb_mongo_cache.standin import StandIn

from .flowkit import ANY_KEY

pytestmark = [pytest.mark.versions, pytest.mark.any_database]


def test_it_is_a_session(session):
    """A TMDBSession is a requests.Session and not patched: nothing outside it is cached."""
    assert isinstance(session, requests.Session)
    assert TMDBSession.__mro__[1] is requests.Session


def test_others_are_not_cached(session, film, tmdb):
    """What other sessions and requests.get ask for is not cached because of a TMDBSession."""
    before = dict(vars(requests.Session))
    session.get(film)
    for _ in range(2):
        assert not hasattr(requests.get(film, params=ANY_KEY), "from_cache")
    assert tmdb.count == 3
    assert dict(vars(requests.Session)) == before


@pytest.mark.parametrize("method", ["post", "put", "delete", "head", "options", "patch"])
def test_other_verbs_pass(session, film, tmdb, method):
    """Other verbs go through every time, with the arguments accepted."""
    for _ in range(2):
        response = getattr(session, method)(film + "/rating", expire_after=60)
        assert response.from_cache is False
    assert [call.method for call in tmdb.calls] == [method.upper()] * 2


def test_other_hosts_are_untouched(session):
    """A call to another host goes as always: no attribute, no header."""
    with StandIn() as other:
        for options in ({}, {"expire_after": 60}, {"refresh": True}, {"only_if_cached": False}):
            response = session.get(other.url + "/3/movie/1", **options)
            assert type(response) is requests.Response
            assert "Cache-Status" not in response.headers
        assert other.count == 4
        assert all("if-none-match" not in map(str.lower, call.headers) for call in other.calls)


@pytest.mark.parametrize("same", [True, False])
def test_together_with_install(make_cache, film, tmdb, same):
    """Under install() a call of a TMDBSession is handled once, by the session's cache."""
    own = make_cache(collection="own")
    installed = own if same else make_cache(collection="installed")
    install(installed)
    with TMDBSession(own) as session:
        found = [session.get(film, params=ANY_KEY) for _ in range(2)]
        assert [response.from_cache for response in found] == [False, True]
        assert [response.headers["Cache-Status"].count("tmdb-mongo-cache") for response in found] == [1, 1]
        assert session.get(film, params=ANY_KEY, refresh=True).from_cache
        session.post(film + "/rating", params=ANY_KEY, json={"value": 1})
    assert own.stats().calls == 4
    assert tmdb.count == 3
    if not same:
        assert installed.stats().calls == 0


def test_without_a_cache_it_takes_the_one_in_force(cache, make_cache, film):
    """TMDBSession() takes the cache of install() or enabled()."""
    install(cache)
    other = make_cache()
    with TMDBSession() as session:
        assert session.cache is cache
    with enabled(other), TMDBSession() as session:
        assert session.cache is other
    uninstall()
    assert len(list(cache.entries())) == 0


def test_redirects(session, tmdb):
    """A redirect is one call, with and without install()."""
    tmdb.answer("/3/movie/1", status=301, headers={"Location": "/3/movie/2?api_key=any"})
    for first in (True, False):
        assert session.get(tmdb.url + "/3/movie/1").from_cache is not first
        install(session.cache)
    assert session.cache.stats().calls == 2
    assert session.get(tmdb.url + "/3/movie/1", allow_redirects=False).status_code == 301


def test_disabled(session, film, tmdb):
    """Under disabled() a TMDBSession caches nothing, its arguments accepted."""
    session.get(film)
    with disabled():
        assert not hasattr(session.get(film), "from_cache")
        assert not hasattr(session.get(film, expire_after=60, refresh=True), "from_cache")
    assert session.get(film).from_cache
    assert tmdb.count == 3


def test_a_disabled_cache(make_cache, film, tmdb):
    """TMDBSession(disabled=True) is a plain session."""
    with TMDBSession(make_cache(disabled=True)) as session:
        for _ in range(2):
            assert not hasattr(session.get(film, params=ANY_KEY), "from_cache")
    assert tmdb.count == 2


def test_what_a_session_has(session, film, tmdb):
    """Mounts, auth, hooks, params, headers and cookies of the session are at work."""
    seen = []

    class Adapter(HTTPAdapter):
        def send(self, request, **kwargs):
            seen.append(request.url)
            return super().send(request, **kwargs)

    session.mount("http://127.0.0.1", Adapter())
    session.params["language"] = "de"
    session.headers["X-Own"] = "1"
    session.cookies["c"] = "2"
    session.auth = HTTPBasicAuth("user", "word")
    session.hooks["response"].append(lambda response, **_: seen.append(response.from_cache))
    response = session.get(film)
    assert seen == [film + "?api_key=any&language=de", False]
    sent = tmdb.calls[0]
    assert (sent.header("x-own"), sent.header("cookie")) == ("1", "c=2")
    assert sent.header("authorization").startswith("Basic ")
    assert response.request.headers["X-Own"] == "1"
    session.auth, session.cookies = None, requests.cookies.cookiejar_from_dict({})
    session.get(film)
    assert session.get(film).from_cache
    assert seen[-1] is True


def test_pickling(mongo_uri, database, tmdb, film):
    """A session pickles with its settings, and works afterwards with the same database."""
    settings = {"uri": mongo_uri, "database": database, "hosts": [tmdb.host], "store_timeout": 10, "expire_after": 60}
    with TMDBSession(**settings) as session:
        session.headers["X-Own"] = "1"
        session.get(film, params=ANY_KEY)
        with pickle.loads(pickle.dumps(session)) as other:
            assert type(other) is TMDBSession
            assert other.cache.config == session.cache.config
            assert other.headers == session.headers
            assert other.get(film, params=ANY_KEY).from_cache


def test_close(mongo_uri, database, tmdb, film, cache):
    """close() closes a cache made for the session, leaves a given one open, and may come twice."""
    settings = {"uri": mongo_uri, "database": database, "hosts": [tmdb.host], "store_timeout": 10}
    for given in (TMDBSession(**settings), TMDBSession(CacheConfig(**settings)), TMDBSession(cache)):
        with given as session:
            assert session is given
            assert session.get(film, params=ANY_KEY).status_code == 200
        session.close()
    assert len(list(cache.entries())) == 1


def test_bad_settings(cache):
    """An unknown setting is a TypeError, a bad value a ConfigError, a cache and settings a TypeError."""
    with pytest.raises(TypeError):
        TMDBSession(expire_afterr=60)
    with pytest.raises(ConfigError):
        TMDBSession(expire_after="soon")
    with pytest.raises(TypeError):
        TMDBSession(cache, expire_after=60)
    with pytest.raises(TypeError):
        TMDBSession("tmdb.sqlite")


def test_a_subclass(cache, film, tmdb):
    """A subclass of TMDBSession that overrides request and send is cached."""

    class Client(TMDBSession):
        def request(self, *args, **kwargs):
            return super().request(*args, **{"timeout": 5, **kwargs})

        def send(self, request, **kwargs):
            return super().send(request, **kwargs)

    with Client(cache) as session:
        assert [session.get(film, params=ANY_KEY).from_cache for _ in range(2)] == [False, True]
        assert session.get(film, params=ANY_KEY, refresh=True).from_cache


def test_imported_after_install_cache():
    """Imported while requests_cache.install_cache() is on, TMDBSession is still a plain requests.Session's child."""
    program = (
        "import requests, requests_cache\n"
        "plain = requests.Session\n"
        "requests_cache.install_cache(backend='memory')\n"
        "from tmdb_mongo_cache import TMDBSession\n"
        "print(TMDBSession.__mro__[1] is plain)\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    assert (ran.stdout, ran.stderr) == ("True\n", "")
