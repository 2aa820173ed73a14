"""cached_tmdb on classes: every kind of method."""

import functools

import pytest

from tmdb_mongo_cache import cached_tmdb


def test_every_kind_of_method(decorate, ask):
    """Methods of every kind of a decorated class are cached, and the class is the class."""

    class Client:
        """A client."""

        def __init__(self):
            self.made = ask()

        def __call__(self):
            return ask()

        def __enter__(self):
            return self, ask()

        def __exit__(self, *_):
            pass

        def __getitem__(self, number):
            return ask(number)

        def method(self):
            return ask()

        def _private(self):
            return ask()

        def __hidden(self):
            return ask()

        def hidden(self):
            return self.__hidden()

        @classmethod
        def of_class(cls):
            return cls is Client and ask()

        @staticmethod
        def static():
            return ask()

        @property
        def prop(self):
            return ask()

        @functools.cached_property
        def kept(self):
            return ask()

        def __iter__(self):
            yield ask()

        async def later(self):
            return ask()

    decorated = decorate(Client)
    assert decorated is Client
    client = Client()
    assert client.made is False
    with client as (same, entered):
        assert same is client
        assert entered
    found = [client(), client[1], client.method(), client._private(), client.hidden(), client.of_class()]
    found += [Client.of_class(), client.static(), Client.static(), client.prop, client.kept, *client]
    with pytest.raises(StopIteration) as stop:
        client.later().send(None)
    assert [*found, stop.value.value] == [True] * 13
    assert ask() is None
    assert isinstance(client, Client)
    assert Client.__doc__ == "A client."


def test_attributes_of_a_class_stay(decorate):
    """Constants, nested classes, slots and __dict__ order of a decorated class stay."""

    class Client:
        __slots__ = ("a",)
        number = 3

        class Inner:
            pass

        def method(self):
            return self.a

    inner, names = Client.Inner, list(vars(Client))
    decorate(Client)
    assert (Client.number, Client.Inner, list(vars(Client))) == (3, inner, names)
    client = Client()
    client.a = 5
    assert client.method() == 5


def test_wrapped_methods(decorate, ask):
    """Methods under lru_cache, partialmethod and a decorator of the user's own are cached too."""

    def own(function):
        @functools.wraps(function)
        def inner(*args):
            return function(*args)

        return inner

    @decorate
    class Client:
        @functools.lru_cache  # noqa: B019
        def kept(self, number):
            return ask(number)

        def method(self, number):
            return ask(number)

        one = functools.partialmethod(method, 1)

        @own
        def mine(self, number):
            return ask(number)

    client = Client()
    assert [client.kept(1), client.kept(1), client.one(), client.mine(1)] == [False, False, True, True]
    assert Client.kept.cache_info().hits == 1


def test_class_hooks(decorate):
    """__init_subclass__, __class_getitem__, __set_name__, __new__ and __eq__ of a decorated class work."""
    seen = []

    class Named:
        def __set_name__(self, owner, name):
            seen.append(name)

    @decorate
    class Client:
        attribute = Named()

        def __new__(cls, *args):
            made = super().__new__(cls)
            made.args = args
            return made

        def __init__(self, *args):
            pass

        def __init_subclass__(cls, **kwargs):
            seen.append((cls.__name__, kwargs))

        def __class_getitem__(cls, item):
            return cls, item

        def __eq__(self, other):
            return self.args == other.args

        __hash__ = None

    class Derived(Client, option=1):
        pass

    assert seen == ["attribute", ("Derived", {"option": 1})]
    assert Client["x"] == (Client, "x")
    assert Client(1, 2).args == (1, 2)
    assert Client(1) == Client(1)


def test_decorated_twice(decorate, ask, make_cache):
    """A class decorated twice, and a decorated class's decorated method, work; the inner decorator holds."""
    inner = make_cache(collection="inner")

    @decorate
    @cached_tmdb
    class Client:
        @cached_tmdb(cache=inner)
        def method(self):
            return ask()

        def other(self):
            return ask()

    assert [Client().method(), Client().method(), Client().other(), Client().other()] == [False, True, False, True]
    assert inner.stats().calls == 2
