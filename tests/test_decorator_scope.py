"""How far cached_tmdb reaches: nesting, recursion, exceptions, and what is around it."""

import threading

import pytest
import requests

from tmdb_mongo_cache import cached_tmdb, disabled, enabled, install

pytestmark = [pytest.mark.usefixtures("unchanged"), pytest.mark.any_database]


def test_nested_decorators(make_cache, ask, tmdb):
    """The innermost cache and settings hold for a call, and the outer ones again after it."""
    outer, inner = make_cache(collection="outer"), make_cache(collection="inner")

    @cached_tmdb(cache=inner)
    def below():
        return ask(1)

    @cached_tmdb(cache=outer)
    def above():
        return [ask(1), below(), ask(1), below()]

    assert above() == [False, False, True, True]
    assert cached_tmdb(cached_tmdb(cache=outer)(ask))(1) is True
    assert (outer.stats().calls, inner.stats().calls) == (3, 2)


def test_a_decorator_without_a_cache_within_another(decorate, ask, tmdb):
    """@cached_tmdb without a cache, called by a function with one, takes that one."""

    @cached_tmdb
    def below():
        return ask()

    assert decorate(lambda: [below(), below()])() == [False, True]


def test_recursion(decorate, ask, tmdb):
    """A decorated function that calls itself is cached all the way down and back up."""

    @decorate
    def program(depth):
        found = [ask(depth)]
        return found + (program(depth - 1) if depth > 1 else []) + [ask(depth)]

    assert program(3) == [False] * 3 + [True] * 3
    assert ask(2) is None


def test_exceptions_pass_unchanged(decorate, ask):
    """What a function raises, also BaseException, is the same object, without a cause; then nothing is cached."""
    for error in (KeyError("mine"), SystemExit(3), KeyboardInterrupt(), StopIteration(1), GeneratorExit()):

        @decorate
        def program(error=error):
            ask()
            raise error

        with pytest.raises(type(error)) as caught:
            program()
        assert caught.value is error
        assert error.__cause__ is None
        assert error.__context__ is None
        assert ask() is None


def test_requests_exceptions_pass_unchanged(decorate, ask, tmdb):
    """A connection error of TMDB reaches the caller of the function as it would without the cache."""
    tmdb.fail("reset")
    with pytest.raises(requests.ConnectionError):
        decorate(ask)(1)


def test_under_disabled(decorate, ask, cache):
    """Under disabled() nothing is cached, and disabled() within a decorated function works too."""
    with disabled():
        assert [decorate(ask)(1), decorate(ask)(1)] == [None, None]

    @decorate
    def program():
        with disabled():
            inner = ask(), decorate(ask)(1)
        return inner, ask()

    assert program() == ((None, None), False)
    assert cache.stats().calls == 1


def test_enabled_within(decorate, make_cache, ask, cache):
    """enabled(other) within a decorated function holds within."""
    other = make_cache(collection="other")

    def program():
        with enabled(other):
            return ask(), ask()

    assert decorate(program)() == (False, True)
    assert (cache.stats().calls, other.stats().calls) == (0, 2)


def test_together_with_install(make_cache, ask, tmdb, request):
    """Under install() a decorated function uses its own cache, one without a cache the installed one."""
    installed, own = make_cache(collection="installed"), make_cache(collection="own")
    patched = install(installed)
    try:
        assert ask() is False
        assert cached_tmdb(ask)(1) is True
        assert cached_tmdb(cache=own)(ask)(1) is False
        assert ask() is True
    finally:
        from tmdb_mongo_cache import uninstall

        uninstall()
    assert patched is installed
    assert (installed.stats().calls, own.stats().calls) == (3, 1)


def test_the_same_request_in_another_thread(decorate, ask):
    """While a decorated function runs, the same request in a thread of the program's own is not cached."""
    running, done, seen = threading.Event(), threading.Event(), []

    def outside():
        running.wait()
        seen.extend([ask(), ask()])
        done.set()

    @decorate
    def program():
        first = ask()
        running.set()
        done.wait()
        return first, ask()

    thread = threading.Thread(target=outside)
    thread.start()
    assert program() == (False, True)
    thread.join()
    assert seen == [None, None]
