"""cached_tmdb on each kind of callable; only what runs within is cached."""

import functools

import pytest
import requests

from tmdb_mongo_cache import cached_tmdb, enabled, is_installed

from .flowkit import ANY_KEY

pytestmark = [pytest.mark.usefixtures("unchanged"), pytest.mark.any_database]


SETTINGS = ["plain", "empty", "cache", "settings"]


def check(call, ask, tmdb):
    """Check that a call is cached, and that nothing of it holds outside."""
    assert ask() is None
    assert [call(), call()] == [False, True]
    assert ask() is None
    assert tmdb.count == 3
    assert not is_installed()


@pytest.mark.parametrize("how", SETTINGS)
def test_with_and_without_arguments(cache, ask, tmdb, how):
    """@cached_tmdb, @cached_tmdb(), @cached_tmdb(cache=...) and @cached_tmdb(expire_after=...) all decorate."""
    with enabled(cache):  # the cache in force is the one taken when none is named
        way = {
            "plain": cached_tmdb,
            "empty": cached_tmdb(),
            "cache": cached_tmdb(cache=cache),
            "settings": cached_tmdb(expire_after=60),
        }[how]

        @way
        def program():
            return ask()

        assert [program(), program()] == [False, True]
    assert tmdb.count == 1


def test_a_function(decorate, ask, tmdb):
    """The calls of a function are cached, those outside are not, arguments and result pass unchanged."""

    @decorate
    def program(*args, **kwargs):
        assert (args, kwargs) == ((), {})
        return ask()

    @decorate
    def echo(a, /, b, *args, c, **kwargs):
        return a, b, args, c, kwargs

    check(program, ask, tmdb)
    assert echo(1, 2, 3, c=4, d=5) == (1, 2, (3,), 4, {"d": 5})
    with pytest.raises(TypeError):
        echo(1)


def test_arguments_with_awkward_names(decorate):
    """Arguments called self, instance, wrapped, args, kwargs and cache reach the function."""

    @decorate
    def program(**kwargs):
        return kwargs

    names = dict.fromkeys(("self", "instance", "wrapped", "args", "kwargs", "cache", "call", "function"), 1)
    assert program(**names) == names


def test_methods(decorate, ask, tmdb):
    """Methods, classmethods and staticmethods, the decorator above or below the other, get what they got before."""

    class Client:
        @decorate
        def method(self, number):
            return type(self) is Client and ask(number)

        @decorate
        @classmethod
        def class_above(cls, number):
            return cls is Client and ask(number)

        @classmethod
        @decorate
        def class_below(cls, number):
            return cls is Client and ask(number)

        @decorate
        @staticmethod
        def static_above(number):
            return ask(number)

        @staticmethod
        @decorate
        def static_below(number):
            return ask(number)

    client = Client()
    names = ("method", "class_above", "class_below", "static_above", "static_below")
    for number, name in enumerate(names, 1):
        assert [getattr(client, name)(number) for _ in range(2)] == [False, True], name
        if name == "method":
            assert Client.method(client, number) is True
            assert Client.method(self=client, number=number) is True
        else:
            assert getattr(Client, name)(number) is True
            assert getattr(Client, name)(number=number) is True
        assert ask(number) is None


def test_a_property(decorate, ask, tmdb):
    """A property is cached, the decorator above or below, with its setter, deleter and docstring."""

    class Client:
        set_to = None

        @decorate
        @property
        def above(self):
            """What it is."""
            return ask()

        @property
        @decorate
        def below(self):
            """What it is."""
            return ask()

        @above.setter
        def above(self, value):
            self.set_to = value

        @functools.cached_property
        @decorate
        def kept(self):
            return ask()

    client = Client()
    assert [client.above, client.below, client.kept, client.kept] == [False, True, True, True]
    client.above = 3
    assert client.set_to == 3
    assert Client.above.__doc__ == Client.below.__doc__ == "What it is."
    with pytest.raises(AttributeError):
        del client.above
    assert ask() is None


def test_a_property_with_setter_below(decorate, ask):
    """A whole property that is decorated has its setter and deleter cached too."""

    class Client:
        def _set(self, value):
            self.seen = (value, ask())

        def _delete(self):
            self.seen = ("deleted", ask())

        prop = decorate(property(None, _set, _delete, "doc"))

    client = Client()
    client.prop = 1
    assert client.seen == (1, False)
    del client.prop
    assert client.seen == ("deleted", True)


def test_a_cached_property_below(decorate, ask, tmdb):
    """@cached_tmdb above @functools.cached_property is cached once per object, as before."""

    class Client:
        @decorate
        @functools.cached_property
        def data(self):
            return ask()

    one, two = Client(), Client()
    assert [one.data, one.data, two.data] == [False, False, True]
    assert tmdb.count == 1


def test_a_lambda(decorate, ask, tmdb):
    """A lambda."""
    check(decorate(lambda: ask()), ask, tmdb)


def test_a_partial(decorate, ask, tmdb):
    """A functools.partial of a function, and a partial of a decorated one."""
    check(decorate(functools.partial(ask, 1)), ask, tmdb)
    assert functools.partial(decorate(ask), 1)() is True


def test_a_callable_object(decorate, ask, tmdb):
    """An object with __call__, whose attributes can still be read and set."""

    class Program:
        name = "program"

        def __call__(self):
            return ask()

    program = Program()
    decorated = decorate(program)
    check(decorated, ask, tmdb)
    decorated.name = "other"
    assert program.name == decorated.name == "other"


def test_a_builtin_and_a_bound_method(decorate, ask, tmdb):
    """A bound method and a builtin can be decorated where they are."""
    with requests.Session() as session:
        get = decorate(session.get)
        assert [get(tmdb.url + "/3/movie/1", params=ANY_KEY).from_cache for _ in range(2)] == [False, True]
        assert not hasattr(session.get(tmdb.url + "/3/movie/1", params=ANY_KEY), "from_cache")
    assert decorate(len)([1, 2]) == 2


def test_other_decorators(decorate, ask, tmdb):
    """lru_cache above and below, and a decorator of the user's own around a decorated function."""
    assert functools.lru_cache(decorate(ask))(1) is False
    below = decorate(functools.lru_cache(ask))
    assert [below(1), below(1)] == [True, True]
    assert below.cache_info().hits == 1
