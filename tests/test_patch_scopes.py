"""enabled(), disabled(), install() and uninstall() among each other, in threads and in tasks."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tmdb_mongo_cache import ConfigError, TMDBCache, disabled, enabled, install, is_installed, uninstall

from .flowkit import ANY_KEY

pytestmark = pytest.mark.any_database


@pytest.fixture
def is_cached(tmdb):
    """Say whether a call made here and now is cached."""

    def ask(number=550):
        url = f"{tmdb.url}/3/movie/{number}"
        with requests.Session() as session:
            session.get(url, params=ANY_KEY)
            return getattr(session.get(url, params=ANY_KEY), "from_cache", None) is True

    return ask


def test_enabled_holds_within(cache, is_cached):
    """enabled() caches the calls within, gives the cache, and nothing is left afterwards."""
    before = dict(vars(requests.Session))
    assert not is_cached()
    with enabled(cache) as found:
        assert found is cache
        assert is_cached()
    assert not is_cached()
    assert dict(vars(requests.Session)) == before


def test_enabled_makes_and_closes_a_cache_of_settings(mongo_uri, database, tmdb, is_cached):
    """enabled(**settings) makes a cache for the time being."""
    with enabled(uri=mongo_uri, database=database, hosts=[tmdb.host], store_timeout=10) as found:
        assert isinstance(found, TMDBCache)
        assert is_cached()
    assert not is_cached()


def test_enabled_leaves_a_given_cache_open(cache, is_cached):
    """A cache given to enabled() can be used again afterwards."""
    for _ in range(2):
        with enabled(cache):
            assert is_cached()
    assert len(list(cache.entries())) == 1


def test_enabled_restores_after_an_exception(cache, is_cached):
    """An exception within passes through enabled() and disabled(), and what was before holds again."""
    before = dict(vars(requests.Session))
    with pytest.raises(KeyError, match="mine"), enabled(cache):
        raise KeyError("mine")
    assert dict(vars(requests.Session)) == before
    install(cache)
    with pytest.raises(KeyError, match="mine"), disabled():
        raise KeyError("mine")
    assert is_cached()


def test_enabled_refuses_what_it_does_not_know(cache):
    """enabled() with an unknown setting is a TypeError, with a bad value a ConfigError; nothing is patched."""
    before = dict(vars(requests.Session))
    with pytest.raises(TypeError), enabled(expire_afterr=1):
        pass
    with pytest.raises(ConfigError), enabled(expire_after="soon"):
        pass
    with pytest.raises(TypeError), enabled(cache, expire_after=1):
        pass
    assert dict(vars(requests.Session)) == before


def test_enabled_inside_install_does_not_uninstall(make_cache, is_cached):
    """After enabled() inside install() the installed cache is at work again, where requests-cache uninstalls it."""
    outer, inner = make_cache(), make_cache(collection="inner")
    install(outer)
    with enabled(inner):
        assert is_cached(1)
    assert is_installed()
    assert is_cached(2)
    assert (inner.stats().calls, outer.stats().calls) == (2, 2)


def test_enabled_without_arguments_takes_the_installed_cache(cache, is_cached):
    """enabled() inside install() takes the installed cache."""
    install(cache)
    with enabled() as found:
        assert found is cache
    with disabled(), enabled() as found:
        assert found is cache
        assert is_cached()


def test_scopes_nest_and_restore(make_cache, is_cached):
    """enabled() and disabled() nest in any order, each end restoring what was before it."""
    one, two = make_cache(collection="one"), make_cache(collection="two")
    with enabled(one):
        assert is_cached(1)
        with disabled():
            assert not is_cached(2)
            with enabled(two):
                assert is_cached(3)
                with disabled(), disabled():
                    assert not is_cached(4)
                assert is_cached(5)
            assert not is_cached(6)
        with enabled(two), enabled(one):
            assert is_cached(7)
        assert is_cached(8)
    assert not is_cached(9)
    assert [one.stats().calls, two.stats().calls] == [6, 4]


def test_uninstall_inside_enabled(cache, make_cache, is_cached):
    """uninstall() inside enabled() ends the installation, not the context."""
    before = dict(vars(requests.Session))
    install(make_cache(collection="other"))
    with enabled(cache):
        uninstall()
        assert not is_installed()
        assert is_cached()
    assert not is_cached()
    assert dict(vars(requests.Session)) == before


def test_install_inside_enabled(cache, make_cache, is_cached):
    """install() inside enabled() outlives it."""
    other = make_cache(collection="other")
    with enabled(cache):
        install(other)
        assert is_cached(1)
    assert is_cached(2)
    assert (cache.stats().calls, other.stats().calls) == (2, 2)


def test_disabled_inside_install(cache, is_cached, collection):
    """disabled() caches nothing and stores nothing, under install() too."""
    install(cache)
    with disabled():
        assert not is_cached()
    assert collection.count_documents({}) == 0
    assert is_cached()


def test_install_inside_disabled(cache, is_cached):
    """install() inside disabled() acts after it."""
    with disabled():
        install(cache)
        assert not is_cached()
    assert is_cached()


def test_enabled_is_for_its_thread_alone(cache, is_cached):
    """While a thread is in enabled(), the same request in another thread is not cached."""
    with enabled(cache), ThreadPoolExecutor(1) as pool:
        assert is_cached()
        assert not pool.submit(is_cached).result()


def test_disabled_is_for_its_thread_alone(cache, is_cached):
    """While a thread is in disabled(), the installed cache works in another."""
    install(cache)
    with disabled(), ThreadPoolExecutor(1) as pool:
        assert pool.submit(is_cached).result()
        assert not is_cached()


def test_install_is_for_every_thread(cache, is_cached):
    """install() in one thread holds in all, those started before included."""
    with ThreadPoolExecutor(1) as pool:
        assert not pool.submit(is_cached).result()
        install(cache)
        assert pool.submit(is_cached).result()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(uninstall).result()
    assert not is_cached()


def in_a_task_and_beside_it(scope, is_cached):
    """Say whether a call within the scope in one task is cached, and one made meanwhile in another task."""

    async def main():
        inside, done = asyncio.Event(), asyncio.Event()

        async def one():
            with scope:
                inside.set()
                await done.wait()
                return is_cached(1)

        async def two():
            await inside.wait()
            try:
                return is_cached(2)
            finally:
                done.set()

        return await asyncio.gather(one(), two())

    return asyncio.run(main())


def test_enabled_is_for_its_task_alone(cache, is_cached):
    """While an asyncio task is in enabled() or disabled(), its neighbours on the same thread are not."""
    assert in_a_task_and_beside_it(enabled(cache), is_cached) == [True, False]


def test_disabled_is_for_its_task_alone(cache, is_cached):
    """While one task is in disabled(), its neighbour's calls are cached by install()."""
    install(cache)
    assert in_a_task_and_beside_it(disabled(), is_cached) == [False, True]


def test_many_threads_at_once(cache, is_cached):
    """install, uninstall, enabled and disabled from many threads at once leave the class as it was."""
    before = dict(vars(requests.Session))
    start, wrong = threading.Barrier(8), []

    def toggle():
        start.wait()
        for _ in range(60):
            install(cache)
            uninstall()

    def enable(number):
        start.wait()
        for _ in range(6):
            with enabled(cache):
                if not is_cached(number):
                    wrong.append(f"{number} was not cached in enabled()")
                with disabled():
                    if is_cached(number):
                        wrong.append(f"{number} was cached in disabled()")

    with ThreadPoolExecutor(8) as pool:
        work = [pool.submit(toggle) for _ in range(4)] + [pool.submit(enable, n) for n in range(1, 5)]
        for one in work:
            one.result()
    uninstall()
    assert wrong == []
    assert dict(vars(requests.Session)) == before


def test_ends_out_of_order(make_cache, is_cached):
    """Contexts of two threads that end in the order they began each hold to their end."""
    before = dict(vars(requests.Session))
    first, second, done = threading.Event(), threading.Event(), threading.Event()
    seen = []

    def early():
        with enabled(make_cache()):
            first.set()
            second.wait()
        done.set()

    def late():
        first.wait()
        with enabled(make_cache()):
            second.set()
            done.wait()
            seen.append(is_cached())

    with ThreadPoolExecutor(2) as pool:
        for work in [pool.submit(early), pool.submit(late)]:
            work.result()
    assert seen == [True]
    assert dict(vars(requests.Session)) == before
