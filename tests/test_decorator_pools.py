"""cached_tmdb and the thread pools that a decorated function makes or uses."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.pool import ThreadPool

import pytest
import requests

from tmdb_mongo_cache import cached_tmdb, install, uninstall

from .flowkit import ANY_KEY

pytestmark = [pytest.mark.usefixtures("unchanged"), pytest.mark.any_database]


def test_a_pool_made_within(decorate, ask, tmdb):
    """Submit and map of a pool made within are cached, and results come back in order."""

    @decorate
    def program():
        with ThreadPoolExecutor(4) as pool:
            found = pool.submit(ask, 1)
            assert isinstance(found, Future)
            assert found.result() is False
            return list(pool.map(ask, [1, 2, 3, 1])), pool.submit(ask, number=2).result()

    assert program() == ([True, False, False, True], True)
    assert tmdb.count == 3


def test_a_pool_made_outside(decorate, ask):
    """Work given within to a pool made before is cached; what the pool's threads do for others is not."""
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(ask).result() is None
        assert decorate(lambda: [pool.submit(ask).result(), *pool.map(ask, [1])])() == [False, True]
        assert pool.submit(ask).result() is None
        assert list(pool.map(ask, [1])) == [None]


def test_a_pool_whose_threads_start_within(decorate, ask):
    """A pool made before whose threads first start within does not keep the scope for later work."""
    with ThreadPoolExecutor(2) as pool:
        assert decorate(lambda: pool.submit(ask).result())() is False
        assert [pool.submit(ask).result() for _ in range(3)] == [None] * 3


def test_a_pool_that_outlives_the_function(decorate, ask):
    """A pool made within and used after it serves the program without the scope."""
    pool = decorate(lambda: ThreadPoolExecutor(1))()
    with pool:
        assert pool.submit(ask).result() is None
        assert decorate(lambda: pool.submit(ask).result())() is False


def test_work_that_ends_after_the_function(decorate, ask):
    """Work submitted within that runs after the function has returned is cached."""
    go = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(go.wait)
        later = decorate(lambda: pool.submit(ask))()
        other = pool.submit(ask)
        go.set()
        assert (later.result(), other.result()) == (False, None)


def test_what_the_pool_gets_and_gives(decorate):
    """Exceptions, arguments and callbacks of work in a pool are as they were."""
    error, seen = KeyError("mine"), []

    def fail():
        raise error

    @decorate
    def program():
        with ThreadPoolExecutor(1) as pool:
            failed = pool.submit(fail)
            assert failed.exception() is error
            pool.submit(dict, a=1, fn=2, self=3).add_done_callback(lambda done: seen.append(done.result()))
        with pytest.raises(TypeError), ThreadPoolExecutor(1) as pool:
            pool.submit()
        with pytest.raises(RuntimeError):
            pool.submit(print)

    program()
    assert seen == [{"a": 1, "fn": 2, "self": 3}]


def test_a_pool_of_multiprocessing(decorate, ask):
    """Multiprocessing's ThreadPool made within is cached."""

    @decorate
    def program():
        with ThreadPool(1) as pool:
            return pool.map(ask, [1, 1])

    assert program() == [False, True]


def test_settings_reach_threads(cache, tmdb):
    """The settings of the decorator hold in the threads."""

    @cached_tmdb(cache=cache, only_if_cached=True)
    def program():
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(requests.get, tmdb.url + "/3/movie/1", params=ANY_KEY).result().status_code

    assert program() == 504


def test_own_cache_in_threads_under_install(make_cache, ask):
    """Under install() the threads of a decorated function use the decorator's cache, other threads the installed."""
    installed, own = make_cache(collection="installed"), make_cache(collection="own")
    install(installed)
    try:
        with ThreadPoolExecutor(1) as pool:
            assert cached_tmdb(cache=own)(lambda: pool.submit(ask).result())() is False
            assert [pool.submit(ask).result() for _ in range(2)] == [False, True]
    finally:
        uninstall()
    assert (own.stats().calls, installed.stats().calls) == (1, 2)


def test_many_decorated_functions_at_once(make_cache, tmdb):
    """Decorated functions in many threads at once keep their caches apart, in the threads they start too."""
    caches = [make_cache(collection=f"of_{number}") for number in range(4)]

    def program(number):
        @cached_tmdb(cache=caches[number])
        def run():
            url = f"{tmdb.url}/3/movie/{number + 1}"
            with ThreadPoolExecutor(2) as pool:
                return [pool.submit(requests.get, url, params=ANY_KEY).result().from_cache for _ in range(3)]

        return [run() for _ in range(3)]

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(program, range(4)))
    assert found == [[[False, True, True], [True] * 3, [True] * 3]] * 4
    assert [cache.stats().calls for cache in caches] == [9] * 4
