"""Hostile texts of any length, every function that takes a text, and how the time it takes grows with that."""

from __future__ import annotations

import gc
import importlib
import inspect
import itertools
import pkgutil
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from http.client import HTTPException
from types import GeneratorType
from typing import Any

import click
from requests import RequestException

import tmdb_mongo_cache
from tmdb_mongo_cache import CacheError
from tmdb_mongo_cache.core.settings import Policy
from tmdb_mongo_cache.httpcache.models import Entry, Hop, Reply
from tmdb_mongo_cache.mongo import bulk
from tmdb_mongo_cache.tmdb import appended, urls
from tmdb_mongo_cache.tmdb import call as calls
from tmdb_mongo_cache.tmdb.call import Request
from tmdb_mongo_cache.tmdb.secret_search import needles_of

NAME = "tmdb_mongo_cache"
NOW = datetime(2026, 11, 22, tzinfo=timezone.utc)
BASE = "https://api.themoviedb.org"
URL = f"{BASE}/3/movie/550"
KEY = "GET api.themoviedb.org/3/movie/550"

TOKENS = (
    *("x", "\xe4", "\xdf", "\u0130", "\ufdfa", "\u0300", "\u0315\u0300\u0323\u0321", "\U0001f600", "\ud800", "\x00"),
    *("\x1f", "\u3000", " ", "\t", "\n", "\r\n", "!", '"', "#", "$", "%", "&", "'", "(", "*", "+", ",", "-", "."),
    *("/", "0", "9", ":", ";", "<", "=", ">", "?", "@", "[", "\\", "]", "^", "_", "`", "{", "|", "}", "~", ".."),
    *("//", "/.", "/..", "a.", "a-", "a/", "%25", "%2525", "%2e", "%2F", "%00", "%C3", "a=", "=&", "a=b&", "&a"),
    *("&a[", "&amp;", "a,", ",a", "a:", "a@", "://", "a://", "http://", "mongodb://", "eyJ.", "eyJhbGciOiJ9."),
    *("0123456789abcdef", "Bearer ", "bearer", "Basic ", "token:", "&callback", "&callback[", "callback=", "api_key"),
    *("api_key=", "api_key%3d", '"api_key": "', "session_id", "user", "append_to_response", "append_to_response="),
    *("&append_to_response=a", "account_states", "season/1/", "language=&", "[]", "{}", "[],", '{"a":', "[[", '\\"'),
    *('"a",', '"\\', "\\u0061", "\\u00", "1.", "1e", "-1", "1 s", "null,", '{"a":1},', "max-age=1,", "max-age="),
    *('no-cache="', 'a="\\",', 'W/"', "gzip;q=1,", "gzip,", "<a>;rel=x,", "a=b; ", "r=0,", "r = ", "remaining="),
    *("ratelimit", "request-id", "a*", "**", "[a", "?*", "password", "&password", "?secret", "a_", "1-"),
)
"""What is repeated. Each is what some reader looks for, or what makes another look again from its beginning."""

_KNOWN = ("a.", "\u0315\u0300\u0323\u0321", "&callback", "&callback[", " ", "[", "{")
FEW = tuple(dict.fromkeys([*TOKENS[::2], *_KNOWN]))
"""Half of them, and what was once found to take time that grows with its square."""

HEADERS = (
    *("Age", "Cache-Control", "Connection", "Content-Encoding", "ETag", "Expires", "Link", "Location", "Pragma"),
    *("Retry-After", "Vary", "X-RateLimit-Remaining", "Accept-Encoding", "Authorization", "Cookie", "Accept"),
)

_count = itertools.count()


def text_of(token: str, length: int) -> str:
    """Return a token again and again, with an end unlike any before: what is remembered of a text is not measured."""
    return token * (length // len(token)) + str(next(_count))


def _pieces(text: str) -> list[str]:
    return [f"{text[at : at + 9]}{next(_count)}" for at in range(0, len(text), 9)]


def _headers(make: Callable[[str], Any] = str) -> tuple[Callable[[str], Any], ...]:
    return (
        lambda text: {name: make(text) for name in HEADERS},
        lambda text: {"X": make(text)},
        lambda text: {text: make("x")},
        lambda text: {piece: make("x") for piece in _pieces(text)},
    )


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


_DAY = timedelta(days=1)
ENTRY = Entry(KEY, 200, "OK", {}, b'{"id":550}', NOW, NOW + _DAY, NOW + 2 * _DAY, 550, "movie", "/3/movie/{movie_id}")
HOP = Hop(URL, 302, "Found", {}, b"")
REPLY = Reply(200, "OK", {}, b'{"id":550}', url=URL)


def _parts(make: Callable[..., Any]) -> tuple[Callable[[str], Any], ...]:
    """Return what makes entries, or replies, each with the text in another place."""
    return (
        lambda text: make(body=_bytes(text)),
        lambda text: make(body=b'{"id":550,"x":' + _bytes(text)),
        lambda text: make(body=b'{"account_states":"' + _bytes(text)),
        lambda text: make(reason=text),
        *(lambda text, put=put: make(headers=put(text)) for put in _headers()),
        lambda text: make(url=f"{URL}?{text}"),
        lambda text: make(url=URL, history=(HOP._replace(headers={"Location": text}),)),
        lambda text: make(url=URL, history=(HOP._replace(url=f"{URL}?{text}"),)),
    )


_ENTRIES = (
    *_parts(ENTRY._replace),
    lambda text: ENTRY._replace(key=f"{KEY}?{text}", url=f"{URL}?{text}"),
    lambda text: ENTRY._replace(key=f"{KEY}#{text}", url=f"{URL}?{text}"),
)
_URLS = (
    str,
    lambda text: f"{URL}?{text}",
    lambda text: f"{URL}?query={text}",
    lambda text: f"{BASE}/3/{text}",
    # Python's own urlsplit() folds the letters of a host, in time that grows with the square of some.
    lambda text: f"https://{text if text.isascii() else 'x'}",
    lambda text: f"mongodb://localhost/?{text}",
)
_PAIRS = (
    lambda text: [("query", text)],
    lambda text: [(text, "x")],
    lambda text: [("append_to_response", text)],
    lambda text: [(piece, "x") for piece in _pieces(text)],
)
_LISTS = (lambda text: (text,), lambda text: tuple(_pieces(text)))


def _target(url: str) -> urls.Target | None:
    with suppress(ValueError):
        return urls.split(url) or urls.split(URL)
    return urls.split(URL)


FED: dict[str, tuple[Callable[[str], Any], ...]] = {
    "str": (str,),
    "bytes": (
        _bytes,
        lambda text: b'{"id":550,"x":' + _bytes(text),
        lambda text: b'{"tmdb-mongo-cache":"' + _bytes(text),
    ),
    "Any": (str,),
    "object": (str,),
    "Mapping[str, str]": _headers(),
    "Mapping[str, str | bytes]": (*_headers(), lambda text: {"Cache-Control": text.encode("latin-1", "replace")}),
    "Mapping[str, str | None]": _headers(),
    "Mapping[str, Any]": _headers(),
    "dict[str, Any]": _headers(),
    "Iterable[tuple[str, str]]": _PAIRS,
    "Iterable[tuple[str, str | bytes]]": _PAIRS,
    "Sequence[tuple[str, str]]": _PAIRS,
    "Iterable[str]": _LISTS,
    "Sequence[str]": _LISTS,
    "tuple[str, ...]": _LISTS,
    "list[str]": (_pieces,),
    "urls.Params": (str, lambda text: {"query": text}, lambda text: {text: "x"}),
    "Entry": _ENTRIES,
    "Hop": _parts(lambda **changes: HOP._replace(**{k: v for k, v in changes.items() if k in Hop._fields})),
    "Reply": _parts(REPLY._replace),
    "Copy": tuple(lambda text, make=make: bulk.Copy(make(text)) for make in _ENTRIES),
    "urls.Target": tuple(lambda text, make=make: _target(make(text)) for make in _URLS[1:4]),
}
"""How a text gets into an argument, by its annotation."""

FED_BY_NAME: dict[str, tuple[Callable[[str], Any], ...]] = {
    "url": _URLS,
    "uri": _URLS,
    "stripped": _URLS,
    "location": _URLS,
    "text": _URLS,
    "query": (str, lambda text: f"query={text}", lambda text: f"append_to_response={text}"),
    "path": (str, lambda text: f"/3/{text}", lambda text: f"/3/movie/{text}"),
    "key": (str, lambda text: f"{KEY}?{text}", lambda text: f"GET api.themoviedb.org/3/{text}"),
}
"""The same, where the name of a ``str`` says more."""

_CALL = calls.classify("GET", URL, {})
assert _CALL is not None
USUAL: dict[str, Any] = {
    "bool": False,
    "int": 200,
    "float": 1.0,
    "datetime": NOW,
    "frozenset[str]": frozenset(),
    "Request": Request(),
    "Call": _CALL,
    "Callable[[str], Any]": str,
    "Endpoint": _CALL.endpoint,
    "Entry": ENTRY,
    "Hop": HOP,
    "Needles": needles_of(["0123456789abcdef"]),
    "Policy": Policy(),
    "Reply": REPLY,
    "RequestHeaders": calls.parse_headers({}),
    "Source": appended.sources(KEY)[0],
    "urls.Target": urls.split(URL),
    "Mapping[str, str]": {},
    "Mapping[str, str | bytes]": {},
    "Mapping[str, Any]": {},
    "bytes": b'{"id":550}',
    "Any": None,
    "Sequence[tuple[str, str]]": (),
    "Iterable[tuple[str, str]]": (),
    "Iterable[str]": ("a-secret-of-somebody",),
    "Sequence[str]": ("a-secret-of-somebody",),
}
"""What the other arguments are meanwhile, by their annotations."""

USUAL_BY_NAME = {"method": "GET", "url": URL, "key": KEY, "path": "/3/movie/550", "kind": "details", "query": ""}

_EXPECTED = (
    ValueError,
    HTTPException,
    OverflowError,
    RecursionError,
    OSError,
    CacheError,
    click.ClickException,
    RequestException,
)


def modules() -> Iterator[Any]:
    """Import every module of the package, but for what only its own tests and its demonstration run."""
    for found in pkgutil.walk_packages(tmdb_mongo_cache.__path__, f"{NAME}."):
        if not found.name.startswith(
            (f"{NAME}.standin", f"{NAME}.demo", f"{NAME}.activation.site", f"{NAME}.__main__")
        ):
            yield importlib.import_module(found.name)


def functions() -> dict[str, Callable[..., Any]]:
    """Return every public function of the package, by its module and name."""
    found: dict[str, Callable[..., Any]] = {}
    for module in modules():
        for name, thing in vars(module).items():
            function = inspect.unwrap(thing) if callable(thing) and not isinstance(thing, type) else None
            if inspect.isfunction(function) and not name.startswith("_") and function.__module__ == module.__name__:
                found[f"{module.__name__.removeprefix(f'{NAME}.')}.{name}"] = function
    return found


def _annotation(parameter: inspect.Parameter) -> str:
    text = str(parameter.annotation).removesuffix(" | None")
    aliases = {
        **{"str | bytes": "str", "int | str": "str", "str | PathLike[str]": "str", "str | re.Pattern[str]": "str"},
        **{"str | Sequence[str]": "str", "Params": "urls.Params", "Target": "urls.Target", "ExpirationSetting": "str"},
        **{"Entry | Hop | Reply": "Entry", "Entry | Reply": "Entry"},
    }
    return aliases.get(text, text)


def takes_text(function: Callable[..., Any]) -> bool:
    """Say whether any argument of a function may hold a text."""
    return any(_annotation(one) in FED or "str" in str(one.annotation) for one in _parameters(function))


NO_TEXT_IN = {"tmdb.url_patterns.matches": "pattern"}
"""Arguments that nobody types: a setting of the program's own."""


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [one for one in inspect.signature(function).parameters.values() if one.kind not in kinds]


def ways(function: Callable[..., Any]) -> dict[str, Callable[[str], Callable[[], Any]]]:
    """Return how a text is put into each argument of a function in turn: given the text, what is to be called.

    Raises:
        LookupError: it is not known how.
    """
    parameters = _parameters(function)
    usual: dict[str, Any] = {}
    for one in parameters:
        if one.default is inspect.Parameter.empty:
            if one.name in USUAL_BY_NAME:
                usual[one.name] = USUAL_BY_NAME[one.name]
            elif _annotation(one) in USUAL:
                usual[one.name] = USUAL[_annotation(one)]
            elif _annotation(one) in FED:
                usual[one.name] = FED[_annotation(one)][0]("x")
            else:
                raise LookupError(f"{one.name}: {one.annotation}")
    found: dict[str, Callable[[str], Callable[[], Any]]] = {}
    name_of = f"{function.__module__.removeprefix(f'{NAME}.')}.{function.__name__}"
    for one in parameters:
        if NO_TEXT_IN.get(name_of) == one.name:
            continue
        kind = _annotation(one)
        made = FED_BY_NAME.get(one.name, FED["str"]) if kind == "str" else FED.get(kind, ())
        for number, make in enumerate(made):

            def bound(text: str, name: str = one.name, make: Callable[[str], Any] = make) -> Callable[[], Any]:
                given = {**usual, name: make(text)}
                positional = [given.pop(one.name) for one in parameters if one.kind is one.POSITIONAL_ONLY]
                return lambda: function(*positional, **given)

            found[f"{one.name}#{number}"] = bound
    return found


def seconds(call: Callable[[], Any]) -> float:
    """Return how long a call takes; an error for its argument counts as a return."""
    gc.disable()  # what it takes grows with all that is in memory
    try:
        began = time.thread_time()
        with suppress(*_EXPECTED):
            result = call()
            if isinstance(result, GeneratorType):
                deque(result, maxlen=0)
        return time.thread_time() - began
    finally:
        gc.enable()


def grows_too_fast(make: Callable[[str], Callable[[], Any]], token: str, length: int, first: float) -> str:
    """Say by how much more a text of four times the length takes, where that is more than in proportion; else empty.

    Once more where it seems so: another process may have had the machine. ``first`` is what a text of the length took.
    """
    if first < _PROPORTION * _least(make, token, length // 4):
        return ""
    said = ""
    for _ in range(3):
        took = [_least(make, token, length // 4)]
        for longer in (length, 4 * length):
            took.append(_least(make, token, longer))
            if took[-1] > _MOST * max(took[-2], 1e-5):
                said = " -> ".join(f"{1000 * one:.1f} ms" for one in took)
                break
            if took[-1] < _PROPORTION * took[-2]:
                return ""
        else:
            return ""
    return said


def _least(make: Callable[[str], Callable[[], Any]], token: str, length: int) -> float:
    return min(seconds(make(text_of(token, length))) for _ in range(2))


_MOST = 10
"""How much longer four times the text may take: 4 times is in proportion, 16 its square; a limit may be a step."""

_PROPORTION = 5
"""What is below that needs no longer text to be measured as well."""


def found_in(function: Callable[..., Any], tokens: Sequence[str], length: int, floor: float) -> list[str]:
    """Return what takes too long in a function, by argument and token.

    Args:
        function: which.
        tokens: what the texts are made of.
        length: of the texts that are tried first.
        floor: what takes fewer seconds for such a text is not looked at more closely.
    """
    found = []
    for way, make in ways(function).items():
        for token in tokens:
            first = seconds(make(text_of(token, length)))
            if first > floor and (said := grows_too_fast(make, token, length, first)):
                found.append(f"{way} {token!r}: {said}")
                break
    return found
