"""The patch of requests: install, uninstall, what stays as it was."""

import contextlib
import io

import pytest
import requests
from requests import Session as ImportedSession

import tmdb_mongo_cache
from tmdb_mongo_cache import CacheConfig, ConfigError, TMDBCache, install, is_installed, uninstall
from tmdb_mongo_cache.standin import StandIn

from .flowkit import ANY_KEY

pytestmark = [pytest.mark.versions, pytest.mark.any_database]


def test_install_returns_the_cache_it_was_given(cache):
    """install(cache) returns that cache and is_installed() turns True."""
    assert not is_installed()
    assert install(cache) is cache
    assert is_installed()


def test_install_again_changes_nothing(cache):
    """A second install() without arguments returns the cache in use and wraps nothing twice."""
    install(cache)
    patched = dict(vars(requests.Session))
    assert install() is cache
    assert install(cache) is cache
    assert dict(vars(requests.Session)) == patched


def test_one_uninstall_undoes_many_installs(cache):
    """install() three times needs one uninstall()."""
    before = dict(vars(requests.Session))
    for _ in range(3):
        install(cache)
    uninstall()
    assert not is_installed()
    assert dict(vars(requests.Session)) == before


def test_uninstall_leaves_the_class_as_it_was(installed, film):
    """uninstall() leaves vars(requests.Session) exactly as it was, the same objects in the same order."""
    uninstall()
    before = list(vars(requests.Session).items())
    for _ in range(2):
        install(installed)
        requests.get(film, params=ANY_KEY)
        uninstall()
        after = list(vars(requests.Session).items())
        assert [name for name, _ in after] == [name for name, _ in before]
        assert all(old is new for (_, old), (_, new) in zip(before, after, strict=True))


def test_only_the_two_methods_change(cache):
    """install() changes Session.request and Session.send and nothing else of the class or the module."""
    before, module = dict(vars(requests.Session)), dict(vars(requests.sessions))
    install(cache)
    changed = {name for name, value in vars(requests.Session).items() if value is not before.get(name)}
    assert changed == {"request", "send"}
    assert dict(vars(requests.sessions)) == module


def test_uninstall_without_install():
    """uninstall() where nothing is installed does nothing."""
    before = dict(vars(requests.Session))
    uninstall()
    uninstall()
    assert dict(vars(requests.Session)) == before


def test_install_takes_settings(mongo_uri, database, tmdb, film):
    """install(**settings) makes a cache of the settings and returns it."""
    with install(uri=mongo_uri, database=database, hosts=[tmdb.host], store_timeout=10) as cache:
        assert isinstance(cache, TMDBCache)
        assert cache.config.database == database
        assert not requests.get(film, params=ANY_KEY).from_cache
        assert requests.get(film, params=ANY_KEY).from_cache
        assert install(uri=mongo_uri, database=database, hosts=[tmdb.host], store_timeout=10) is cache
        uninstall()


def test_install_takes_a_config(mongo_uri, database, tmdb, film):
    """install(CacheConfig(...)) makes a cache of it."""
    config = CacheConfig(uri=mongo_uri, database=database, hosts=[tmdb.host], store_timeout=10)
    with install(config) as cache:
        assert cache.config == config
        requests.get(film, params=ANY_KEY)
        assert requests.get(film, params=ANY_KEY).from_cache
        uninstall()


def test_install_with_other_settings_switches(make_cache, film, tmdb):
    """install() with another cache switches to it, and one uninstall() still undoes it."""
    first, second = make_cache(), make_cache(collection="other")
    before = dict(vars(requests.Session))
    install(first)
    requests.get(film, params=ANY_KEY)
    assert install(second) is second
    assert not requests.get(film, params=ANY_KEY).from_cache
    assert install(first) is first
    assert requests.get(film, params=ANY_KEY).from_cache
    uninstall()
    assert dict(vars(requests.Session)) == before


def test_install_refuses_what_it_does_not_know(cache):
    """An unknown setting is a TypeError, a bad value a ConfigError, and neither patches anything."""
    before = dict(vars(requests.Session))
    with pytest.raises(TypeError):
        install(expire_afterr=60)
    with pytest.raises(ConfigError):
        install(expire_after="tomorrow")
    with pytest.raises(TypeError):
        install(cache, expire_after=60)
    with pytest.raises(TypeError):
        install("mongodb://localhost")
    assert not is_installed()
    assert dict(vars(requests.Session)) == before


def test_a_failed_install_keeps_the_one_in_force(installed, film):
    """install() with a bad setting leaves the installed cache at work."""
    with pytest.raises(ConfigError):
        install(stale_if_error="long")
    assert install() is installed
    requests.get(film, params=ANY_KEY)
    assert requests.get(film, params=ANY_KEY).from_cache


def test_a_disabled_cache_sends_every_call(make_cache, film, tmdb):
    """install(disabled=True) is the off switch: every call goes to TMDB, as without the package."""
    install(make_cache(disabled=True))
    for _ in range(2):
        assert not hasattr(requests.get(film, params=ANY_KEY), "from_cache")
    assert tmdb.count == 2


def test_the_class_stays_the_class(cache):
    """isinstance, subclassing and Session(**wrong) behave under install() as they did."""
    before = requests.Session()
    kind, name = requests.Session, requests.Session.__init__
    install(cache)
    assert requests.Session is kind is requests.sessions.Session is ImportedSession
    assert isinstance(before, requests.Session)
    assert type(requests.Session()) is kind
    assert requests.Session.__init__ is name
    assert isinstance(requests.session(), ImportedSession)
    with pytest.raises(TypeError):
        requests.Session(unknown=1)


def test_a_wrong_call_fails_as_it_did(installed, plain_session):
    """A wrong argument raises the same kind of exception as without the cache."""
    with pytest.raises(TypeError):
        plain_session.get()
    with pytest.raises(TypeError):
        plain_session.send()
    with pytest.raises(ValueError, match=r"\w"):
        plain_session.send(requests.Request("GET", "https://api.themoviedb.org/3/movie/1"))
    with pytest.raises(requests.exceptions.MissingSchema):
        requests.get("api.themoviedb.org/3/movie/1")


def test_other_hosts_are_untouched(installed, plain_session, collection):
    """A call to another host goes as always: no attribute, no header, nothing stored, the same class."""
    with StandIn() as other:
        for _ in range(2):
            for response in (
                plain_session.get(other.url + "/3/movie/1", params=ANY_KEY),
                requests.get(other.url + "/x"),
            ):
                assert type(response) is requests.Response
                assert not hasattr(response, "from_cache")
                assert "Cache-Status" not in response.headers
        assert other.count == 4
        plain = {"host", "user-agent", "accept-encoding", "accept", "connection"}
        assert all({name.lower() for name in call.headers} == plain for call in other.calls)
    assert collection.count_documents({}) == 0
    assert installed.stats().calls == 0


def test_what_goes_to_tmdb_is_what_went_before(cache, film, tmdb):
    """A miss sends the same request as without the cache: no header of ours is on the wire."""
    requests.get(film, params=ANY_KEY, headers={"X-Own": "1"})
    install(cache)
    requests.get(film, params=ANY_KEY, headers={"X-Own": "1"})
    without, with_cache = tmdb.calls
    assert (without.path, without.query, without.headers) == (with_cache.path, with_cache.query, with_cache.headers)


def test_nothing_is_printed(installed, film):
    """A miss and a hit print nothing."""
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(out):
        requests.get(film, params=ANY_KEY)
        requests.get(film, params=ANY_KEY)
    assert out.getvalue() == ""


def test_is_installed_is_about_install_alone(cache):
    """enabled() is not install(): is_installed() stays False within."""
    with tmdb_mongo_cache.enabled(cache):
        assert not is_installed()
