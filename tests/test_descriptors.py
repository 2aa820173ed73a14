"""What stands in Session.send and Session.request: any descriptor or object, put there and taken off at any time."""

from __future__ import annotations

import functools
import inspect
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import pytest
import requests
import wrapt

from tmdb_mongo_cache import TMDBCache, enabled, install, is_installed, uninstall
from tmdb_mongo_cache.standin import StandIn

from .flowkit import ANY_KEY

pytestmark = pytest.mark.any_database

ELSEWHERE = requests.Session()
"""Sends what those send that are not told by which session."""

Seen = Callable[..., None]
Below = Callable[..., Any]


class Callable_:  # noqa: N801
    """A callable object that is no descriptor."""

    def __init__(self, seen: Seen, below: Below) -> None:
        self.seen, self.below = seen, below

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.seen(*args, **kwargs)
        return self.below(ELSEWHERE, *args, **kwargs)


class Descriptor(Callable_):
    """A callable object that is bound in a way of its own."""

    def __get__(self, instance: Any, owner: Any) -> Any:
        def bound(*args: Any, **kwargs: Any) -> Any:
            self.seen(instance, owner, *args, **kwargs)
            return self.below(instance, *args, **kwargs)

        return bound


class Touchy(Descriptor):
    """A descriptor that does not like to be asked for what it has not."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


def told(seen: Seen, below: Below) -> Callable[..., Any]:
    """Make a function that is told the session."""

    def function(self: Any, *args: Any, **kwargs: Any) -> Any:
        seen(self, *args, **kwargs)
        return below(self, *args, **kwargs)

    return function


def wrapt_(seen: Seen, below: Below) -> Any:
    def wrapper(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        seen(instance, *args, **kwargs)
        return wrapped(*args, **kwargs)

    return wrapt.FunctionWrapper(below, wrapper)


def of_class(seen: Seen, below: Below) -> Any:
    return classmethod(lambda cls, *args, **kwargs: (seen(cls, *args, **kwargs), below(ELSEWHERE, *args, **kwargs))[1])


def autospec(seen: Seen, below: Below) -> Any:
    return mock.create_autospec(below, side_effect=told(seen, below))


KINDS: dict[str, Callable[[Seen, Below], Any]] = {
    "function": told,
    "wraps": lambda seen, below: functools.wraps(below)(told(seen, below)),
    "partialmethod": lambda seen, below: functools.partialmethod(told(seen, below), timeout=5),
    "partialmethod of a descriptor": lambda seen, below: functools.partialmethod(Descriptor(seen, below)),
    "wrapt": wrapt_,
    "wrapt on a partialmethod": lambda seen, below: wrapt_(seen, functools.partialmethod(below)),
    "mock": lambda seen, below: mock.Mock(side_effect=Callable_(seen, below)),
    "mock with a spec": lambda seen, below: mock.Mock(spec=requests.Session.send, side_effect=Callable_(seen, below)),
    "autospec": autospec,
    "staticmethod": lambda seen, below: staticmethod(Callable_(seen, below)),
    "classmethod": of_class,
    "callable": Callable_,
    "descriptor": Descriptor,
    "touchy descriptor": Touchy,
}
if not hasattr(functools.partial, "__get__"):  # it is on its way to become a method
    KINDS["partial"] = lambda seen, below: functools.partial(Callable_(seen, below))


class Other:
    """Puts something in the place of a method, and takes it away again as mock.patch and monkeypatch do."""

    def __init__(self, kind: str, name: str) -> None:
        self.kind, self.name, self.seen = kind, name, []

    def see(self, *args: Any, **kwargs: Any) -> None:
        self.seen.append(([type(arg).__name__ for arg in args], sorted(kwargs)))

    def put(self) -> None:
        self._saved = vars(requests.Session)[self.name]
        setattr(requests.Session, self.name, KINDS[self.kind](self.see, self._saved))

    def remove(self) -> None:
        setattr(requests.Session, self.name, self._saved)


class Own(requests.Session):
    """A program's own class of sessions."""

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> Any:
        return super().send(request, **kwargs)


@pytest.fixture(params=["send", "request"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=KINDS)
def other(request: pytest.FixtureRequest, name: str) -> Other:
    return Other(request.param, name)


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[StandIn]:
    """A host that is not TMDB's."""
    with StandIn() as found:
        yield found


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """The class is put right at the end of a test that fails."""
    before = dict(vars(requests.Session))
    yield
    uninstall()
    for name in ("send", "request"):
        setattr(requests.Session, name, before[name])


def trusting_nothing(kind: type[requests.Session]) -> requests.Session:
    session = kind()
    session.trust_env = False
    return session


def prepared(url: str) -> requests.PreparedRequest:
    return requests.Request("GET", url).prepare()


WAYS: list[Callable[[str], Any]] = [
    requests.get,
    *(lambda url, kind=kind: trusting_nothing(kind).get(url) for kind in (requests.Session, Own)),
    *(lambda url, kind=kind: trusting_nothing(kind).send(prepared(url)) for kind in (requests.Session, Own)),
    lambda url: requests.Session().send(request=prepared(url)),
    lambda url: requests.Session.request(trusting_nothing(Own), "GET", url),
    lambda url: requests.Session.send(trusting_nothing(Own), prepared(url)),
]
LOOKS: list[Callable[[], Any]] = [
    lambda: pickle.loads(pickle.dumps(requests.Session())).headers == Own().headers,
    *(lambda name=name: getattr(Own(), name).__name__ for name in ("send", "request")),
    *(
        lambda name=name, owner=owner: str(inspect.signature(getattr(owner(), name)))
        for name in ("send", "request")
        for owner in (lambda: requests.Session, Own)
    ),
]


@pytest.fixture
def program(tmdb: StandIn, elsewhere: StandIn) -> Callable[[Other], list[Any]]:
    """Make calls of every form to TMDB and to another host; return what came of each, and what the other saw."""
    numbers = iter(range(1, 1000))

    def run(other: Other) -> list[Any]:
        found: list[Any] = []
        calls = [(host, way) for host in (tmdb, elsewhere) for way in WAYS] + [(None, look) for look in LOOKS]
        for number, (host, way) in enumerate(calls):
            movie = next(numbers)
            given = [f"{host.url}/3/movie/{movie}?api_key=any"] if host else []
            other.seen.clear()
            try:
                answer = way(*given)
            except Exception as error:
                answer = type(error).__name__
            if isinstance(answer, mock.Mock):
                answer = "a mock"
            if isinstance(answer, requests.Response):
                answer = (answer.status_code, answer.json()["id"] == movie)
            found.append((number, answer, list(other.seen)))
        return found

    return run


@pytest.fixture(scope="module")
def uncached() -> dict[str, list[Any]]:
    """What came of the program without the cache, by what was put there: the same each time."""
    return {}


@contextmanager
def as_installed(cache: Any) -> Iterator[None]:
    install(cache)
    yield
    uninstall()


def cached(tmdb: StandIn) -> bool:
    """Say whether a call is cached."""
    url = f"{tmdb.url}/3/movie/999"
    return [getattr(requests.get(url, params=ANY_KEY), "from_cache", None) for _ in range(2)][1] is True


@pytest.mark.parametrize("put", ["before", "within"])
@pytest.mark.parametrize("removed", ["within", "after"])
def test_called_as_without_the_cache(
    other: Other,
    program: Callable[[Other], list[Any]],
    uncached: dict[str, list[Any]],
    cache: Any,
    tmdb: StandIn,
    put: str,
    removed: str,
) -> None:
    """Whatever stands in the class, since before the cache or later, gets and gives what it does without the cache."""
    door = as_installed if (put == "before") == (removed == "after") else enabled
    before = dict(vars(requests.Session))
    if "" not in uncached:
        uncached[""] = program(other)
    if (key := f"{other.kind} {other.name}") not in uncached:
        other.put()
        uncached[key] = program(other)
        other.remove()
    plain, without = uncached[""], uncached[key]
    if put == "before":
        other.put()
    with door(cache):
        if put == "within":
            other.put()
        assert program(other) == without
        if removed == "within":
            other.remove()
            assert program(other) == plain
            assert cached(tmdb)
    if removed == "after":
        assert program(other) == without
        other.remove()
    assert program(other) == plain
    assert not cached(tmdb)
    assert all(vars(requests.Session)[name] is before[name] for name in ("send", "request"))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "mock" not in kind and kind != "autospec"])
def test_cached_nevertheless(kind: str, name: str, cache: Any, tmdb: StandIn) -> None:
    """Calls are cached with anything but a mock in the class."""
    other = Other(kind, name)
    other.put()
    install(cache)
    assert cached(tmdb)
    uninstall()
    other.remove()


@pytest.mark.parametrize("kind", ["mock", "mock with a spec", "autospec"])
@pytest.mark.parametrize("first", ["mock", "cache"])
def test_a_mock_stays_where_it_is(kind: str, name: str, cache: Any, first: str) -> None:
    """A mock in the class is the test's own object, before and after install(), and counts its calls."""
    other = Other(kind, name)
    for step in (other.put, lambda: install(cache)) if first == "mock" else (lambda: install(cache), other.put):
        step()
        if step == other.put:
            mine = vars(requests.Session)[name]
    assert vars(requests.Session)[name] is mine
    assert is_installed()
    uninstall()
    assert vars(requests.Session)[name] is mine
    other.remove()


@pytest.mark.parametrize("undone", ["within", "after"])
def test_deleted(cache: Any, tmdb: StandIn, monkeypatch: pytest.MonkeyPatch, name: str, undone: str) -> None:
    """A method that a test has deleted is missed as it is without the cache, and put back afterwards."""
    own = vars(requests.Session)[name]

    def attempt() -> Any:
        try:
            return requests.get(tmdb.url)
        except AttributeError as error:
            return type(error)

    with monkeypatch.context() as patched:
        patched.delattr(requests.Session, name)
        without = attempt()
    install(cache)
    with monkeypatch.context() as patched:
        patched.delattr(requests.Session, name)
        assert attempt() == without
        if undone == "within":
            uninstall()
    if undone == "after":
        assert cached(tmdb)
        uninstall()
    assert not cached(tmdb)
    assert vars(requests.Session)[name] is own


@pytest.mark.parametrize("kind", KINDS)
def test_in_a_subclass(kind: str, name: str, cache: Any, tmdb: StandIn) -> None:
    """A subclass whose own method is any of these is called as without the cache."""
    found = []
    for with_cache in (False, True):
        if with_cache:
            install(cache)
        seen = Other(kind, name)
        session = type("Sub", (requests.Session,), {name: KINDS[kind](seen.see, getattr(requests.Session, name))})()
        answer = session.get(f"{tmdb.url}/3/movie/1", params=ANY_KEY)
        prepared = session.prepare_request(requests.Request("GET", f"{tmdb.url}/3/movie/2", params=ANY_KEY))
        found.append((answer.json()["id"], session.send(prepared).json()["id"], seen.seen))
    assert found[0] == found[1]


def of_module(seen: Seen, below: Below) -> Any:
    """Make a function that knows what it calls by a global name, as scripts have it."""
    names = {"seen": seen, "original": below}
    exec("def send(self, *args, **kwargs):\n seen()\n return original(self, *args, **kwargs)", names)
    return names["send"]


@pytest.mark.parametrize(
    "kind", [*(kind for kind in KINDS if "mock" not in kind and kind != "autospec"), "of a module"]
)
def test_sees_hits(tmdb: StandIn, cache: TMDBCache, name: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is put there after install() sees every call, hits included, and stays on top."""
    monkeypatch.setitem(KINDS, "of a module", of_module)
    url = f"{tmdb.url}/3/movie/1?api_key=any"
    install(cache)
    other = Other(kind, name)
    other.put()
    top = vars(requests.Session)[name]
    for number in range(1, 4):
        assert requests.get(url).json()["id"] == 1
        assert len(other.seen) == number
        assert vars(requests.Session)[name] is top
    assert tmdb.count == 1
    other.remove()
    assert requests.get(url).from_cache  # type: ignore[attr-defined]
    assert len(other.seen) == 3
