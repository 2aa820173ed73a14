"""What an adapter of the program's own returns, however odd, reaches the program as it is."""

import io

import pytest
import requests
from requests.adapters import HTTPAdapter

from tmdb_mongo_cache import enabled

from .flowkit import get, warnings

# requests leaves a connection to the garbage collector where it stumbles over a response.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.any_database,
]


class Odd(HTTPAdapter):
    """An adapter that changes each response."""

    def __init__(self, change):
        super().__init__()
        self.change = change

    def build_response(self, req, resp):
        response = super().build_response(req, resp)
        self.change(response)
        return response


class Refusing(requests.Response):
    """A response that takes no attribute it does not know."""

    def __setattr__(self, name, value):
        if name in ("from_cache", "cache_key"):
            raise AttributeError(name)
        super().__setattr__(name, value)


def set_to(**values):
    return lambda response: vars(response).update(values)


ODD = {
    "headers that are a dict": lambda r: setattr(r, "headers", dict(r.headers)),
    "headers that are a list": lambda r: setattr(r, "headers", list(r.headers.items())),
    "no headers at all": set_to(headers=None),
    "a header that is no text": lambda r: r.headers.update({"X-A": 1}),
    "no raw": set_to(raw=None),
    "raw that is a file": lambda r: setattr(r, "raw", io.BytesIO(r.raw.read())),
    "raw that was read": lambda r: r.raw.read(),
    "raw that was begun": lambda r: r.raw.read(2),
    "content that is there": set_to(_content=b'{"id": 550}', _content_consumed=True),
    "content that is text": set_to(_content='{"id": 550}', _content_consumed=True),
    "no history": set_to(history=None),
    "history that is a tuple": set_to(history=()),
    "history of something": set_to(history=["before"]),
    "url of bytes": lambda r: setattr(r, "url", r.url.encode()),
    "no url": set_to(url=None),
    "no request": set_to(request=None),
    "status that is text": set_to(status_code="200"),
    "no status": set_to(status_code=None),
    "reason of bytes": set_to(reason=b"OK"),
    "no reason": set_to(reason=None),
    "no connection": lambda r: delattr(r, "connection"),
    "refusing": lambda r: setattr(r, "__class__", Refusing),
}


def outcome(call, **options):
    """Return what a program sees of a call, or what it ends in."""
    try:
        with call(**options) as response:
            seen = {name: getattr(response, name, "none") for name in ("status_code", "reason", "url", "history")}
            headers = response.headers
            names = sorted(headers or ()) if not isinstance(headers, list) else [name for name, _ in headers]
            seen["headers"] = [type(headers), [name for name in names if name not in ("Age", "Cache-Status", "Date")]]
            seen["raw"], seen["consumed"] = type(response.raw), response._content_consumed
            seen["request"] = getattr(response.request, "url", None)
            seen["content"] = response.content
            return seen
    except Exception as error:
        return type(error), str(error)


@pytest.mark.parametrize("hooked", [False, True], ids=["", "hooked"])
@pytest.mark.parametrize("stream", [False, True], ids=["", "stream"])
@pytest.mark.parametrize("name", ODD)
def test_odd(tmdb, cache, plain_session, caplog, name, stream, hooked):
    """An odd response is not taken for a fault of TMDB's or the caller's: it comes as it is, each time."""
    plain_session.mount(tmdb.url, Odd(ODD[name]))
    options = {"stream": stream, **({"hooks": {"response": lambda *_, **__: None}} if hooked else {})}

    def call(**options):
        return get(tmdb, session=plain_session, **options)

    outcome(call)  # the stand-in's own cache is warm now
    plain = outcome(call, **options)
    with enabled(cache):
        assert outcome(call, **options) == plain
        before = len(warnings(caplog))
        # From the cache or not: what an adapter has done to it is done to it.
        again = outcome(call, **options)
        if isinstance(plain, dict):
            assert again == plain
        assert len(warnings(caplog)) - before <= 1
    assert before <= 1
    assert tmdb.count <= 4


@pytest.mark.parametrize("name", ODD)
def test_private(tmdb, cache, plain_session, name):
    """The same holds for calls that are none of the cache's business."""
    plain_session.mount(tmdb.url, Odd(ODD[name]))

    def call(**options):
        return get(tmdb, "/3/account", session=plain_session, **options)

    outcome(call)
    plain = outcome(call)
    with enabled(cache):
        assert outcome(call) == plain
