"""What is decorated looks as it did: name, signature, source, kind, pickling, copying."""

import asyncio
import copy
import functools
import importlib
import inspect
import os
import pickle
import pydoc
import subprocess
import sys
import typing
import warnings

import pytest
import requests

from tmdb_mongo_cache import cached_tmdb


@cached_tmdb
def plain(a: int, b: "str" = "x", /, *args: float, c: bool = True, **kwargs: dict[str, int]) -> list[int]:
    """Say what it does."""
    return [a, c]


@cached_tmdb(expire_after=60)
async def coroutine(a: int) -> int:
    """Say what it does."""
    return a


@cached_tmdb
def generator(a: int) -> typing.Iterator[int]:
    """Say what it does."""
    yield a


@cached_tmdb
async def async_generator(a: int) -> typing.AsyncIterator[int]:
    """Say what it does."""
    yield a


class Holder:
    @cached_tmdb
    def method(self, a: int) -> int:
        """Say what it does."""
        return a

    @cached_tmdb
    @classmethod
    def class_above(cls, a: int) -> int:
        """Say what it does."""
        return a

    @classmethod
    @cached_tmdb
    def class_below(cls, a: int) -> int:
        """Say what it does."""
        return a

    @cached_tmdb
    @staticmethod
    def static_above(a: int) -> int:
        """Say what it does."""
        return a

    @staticmethod
    @cached_tmdb
    def static_below(a: int) -> int:
        """Say what it does."""
        return a

    def __eq__(self, other):
        return type(self) is type(other)

    __hash__ = object.__hash__


FUNCTIONS = [plain, coroutine, generator, async_generator]
METHODS = ["method", "class_above", "class_below", "static_above", "static_below"]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_names(function):
    """Name, qualified name, module, docstring, signature, annotations, defaults, code and source stay."""
    original = inspect.unwrap(function)
    assert original is not function
    assert inspect.isfunction(original)
    for name in ("__name__", "__qualname__", "__module__", "__doc__", "__annotations__", "__defaults__"):
        assert getattr(function, name) == getattr(original, name)
    assert function.__kwdefaults__ == original.__kwdefaults__
    assert function.__code__ is original.__code__
    assert function.__name__ == function.__qualname__
    assert function.__module__ == __name__
    assert function.__doc__ == "Say what it does."
    assert inspect.signature(function) == inspect.signature(original)
    assert inspect.getsource(function) == inspect.getsource(original)
    assert inspect.getfile(function) == __file__
    assert inspect.getdoc(function) == "Say what it does."
    assert typing.get_type_hints(function) == typing.get_type_hints(original)
    assert pydoc.render_doc(function) == pydoc.render_doc(original)


def test_the_signature():
    """The signature is the function's own, kinds of parameters and defaults included."""
    text = "(a: int, b: 'str' = 'x', /, *args: float, c: bool = True, **kwargs: dict[str, int]) -> list[int]"
    assert str(inspect.signature(plain)) == text
    assert typing.get_type_hints(plain)["b"] is str
    assert str(inspect.signature(Holder().method)) == "(a: int) -> int"
    assert str(inspect.signature(Holder.method)) == "(self, a: int) -> int"
    for name in METHODS[1:]:
        assert str(inspect.signature(getattr(Holder, name))) == "(a: int) -> int"


def is_coroutine_function_of_asyncio(function: object) -> bool:
    # Deprecated since Python 3.14, and still what many programs ask.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return asyncio.iscoroutinefunction(function)


def test_kinds():
    """Inspect and asyncio tell coroutines, generators and async generators as before."""
    kinds = [
        (inspect.iscoroutinefunction, [coroutine]),
        (is_coroutine_function_of_asyncio, [coroutine]),
        (inspect.isgeneratorfunction, [generator]),
        (inspect.isasyncgenfunction, [async_generator]),
        (inspect.isroutine, [*FUNCTIONS]),
        (inspect.isfunction, [*FUNCTIONS]),
        (callable, [*FUNCTIONS]),
        (inspect.isclass, []),
        (inspect.isbuiltin, []),
        (inspect.ismethod, []),
    ]
    for kind, those in kinds:
        assert [kind(function) for function in FUNCTIONS] == [function in those for function in FUNCTIONS], kind


def test_kinds_of_methods():
    """inspect.ismethod and ismethoddescriptor, __self__ and __func__ of methods are as before."""
    holder = Holder()
    assert inspect.ismethod(holder.method)
    assert holder.method.__self__ is holder
    for name in ("class_above", "class_below"):
        assert inspect.ismethod(getattr(holder, name))
        assert getattr(Holder, name).__self__ is Holder
    for name in ("static_above", "static_below"):
        assert not inspect.ismethod(getattr(holder, name))
        assert inspect.isfunction(getattr(holder, name))
    kinds = {attribute.name: attribute.kind for attribute in inspect.classify_class_attrs(Holder)}
    assert [kinds[name] for name in METHODS[::2]] == ["method", "class method", "static method"]


@pytest.mark.parametrize("name", METHODS)
def test_names_of_methods(name):
    """Methods keep name, qualified name, module, docstring and source, from the class and from an object."""
    for found in (getattr(Holder, name), getattr(Holder(), name)):
        assert (found.__name__, found.__qualname__, found.__module__) == (name, f"Holder.{name}", __name__)
        assert found.__doc__ == "Say what it does."
        assert f"def {name}" in inspect.getsource(found)
        assert typing.get_type_hints(found) == {"a": int, "return": int}


def test_attributes():
    """Attributes can be set on a decorated function and are read from the function below."""

    def function():
        pass

    function.before = 1
    decorated = cached_tmdb(function)
    decorated.after = 2
    assert (decorated.before, decorated.after, function.after) == (1, 2, 2)
    assert decorated == function
    assert hash(decorated) == hash(function)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_pickling_functions(function, protocol):
    """A decorated function pickles by its name, as functions do, and comes back as itself."""
    assert pickle.loads(pickle.dumps(function, protocol)) is function
    assert pickle.loads(pickle.dumps({"f": [function]}, protocol))["f"][0] is function


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_pickling_methods(name, protocol):
    """Methods, classmethods and staticmethods pickle from an object, and work afterwards."""
    made = pickle.loads(pickle.dumps(getattr(Holder(), name), protocol))
    assert made(3) == 3
    if name == "method":
        assert made.__self__ == Holder()


@pytest.mark.parametrize("name", METHODS)
def test_pickling_methods_of_the_class(name):
    """Methods pickle from the class too."""
    made = pickle.loads(pickle.dumps(getattr(Holder, name)))
    assert made(*([Holder()] if name == "method" else []), 3) == 3


def test_pickling_of_what_functions_cannot():
    """What does not pickle undecorated, a lambda or a local function, does not decorated: the same exceptions."""

    def local():
        pass

    for one in (local, lambda: 1):
        for function in (one, cached_tmdb(one)):
            with pytest.raises((pickle.PicklingError, AttributeError)):
                pickle.dumps(function)


def test_pickling_to_another_process():
    """A pickled function can be called in a process of another interpreter (multiprocessing's way)."""
    folder = os.path.dirname(os.path.dirname(__file__))
    name = "tests.test_decorator_looks" if "." in __name__ else __name__
    module = importlib.import_module(name)
    data = pickle.dumps((module.Holder.static_below, 7))
    program = "import pickle,sys; f, a = pickle.loads(bytes.fromhex(sys.argv[1])); print(f.__name__, f.__wrapped__(a))"
    paths = os.pathsep.join([folder, os.path.dirname(__file__)])
    ran = subprocess.run(
        [sys.executable, "-c", program, data.hex()],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (ran.stdout.strip(), ran.stderr) == ("static_below 7", "")


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy])
def test_copying(way):
    """Copy and deepcopy give a function itself, as with functions, and objects that hold one copy."""
    for function in FUNCTIONS:
        assert way(function) is function
        assert way({"f": function})["f"] is function
    holder = Holder()
    assert way(holder.method)(3) == 3
    assert way(functools.partial(plain, 1)).func is plain


def test_singledispatch():
    """functools.singledispatch takes decorated functions, as dispatcher and as registered ones."""

    @functools.singledispatch
    @cached_tmdb
    def show(value):
        return "any"

    @show.register
    @cached_tmdb
    def _(value: int):
        return "int"

    assert [show("x"), show(1)] == ["any", "int"]
    assert show.__name__ == "show"


def test_as_keys_and_in_wraps():
    """Decorated functions go into sets and dicts, and functools.wraps copies from them."""

    @functools.wraps(plain)
    def outer(*args):
        return plain(*args)

    assert len({plain, coroutine, plain}) == 2
    assert outer.__name__ == "plain"
    assert inspect.unwrap(outer) is inspect.unwrap(plain)


def test_the_environment_is_asked_for_a_cache(mongo_uri, database, tmdb, tmp_path):
    """Where no cache is named and none installed, the decorator makes one from the environment, for the process."""
    program = tmp_path / "program.py"
    program.write_text(
        "import requests, sys\n"
        "from tmdb_mongo_cache import cached_tmdb\n"
        "@cached_tmdb\n"
        "def one(): return requests.get(sys.argv[1]).from_cache\n"
        "@cached_tmdb(expire_after=60)\n"
        "def two(): return requests.get(sys.argv[1]).from_cache\n"
        "print(one(), one(), two(), hasattr(requests.get(sys.argv[1]), 'from_cache'))\n"
    )
    settings = {"URI": mongo_uri, "DATABASE": database, "HOSTS": tmdb.host, "STORE_TIMEOUT": "10"}
    ran = subprocess.run(
        [sys.executable, program, tmdb.url + "/3/movie/1?api_key=any"],
        env={**os.environ, **{f"TMDB_CACHE_{name}": value for name, value in settings.items()}},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (ran.stdout, ran.stderr) == ("False True True False\n", "")
    assert tmdb.count == 2
    assert type(requests.Session.send).__name__ == "function"
