"""The fast way against the slow one: generated calls, made both ways, have the same outcome to the last attribute."""

import contextlib
import copy
import functools
import io
import pickle
import re
from datetime import datetime

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from requests.cookies import RequestsCookieJar, cookiejar_from_dict, create_cookie
from requests.structures import CaseInsensitiveDict

from tmdb_mongo_cache import install
from tmdb_mongo_cache.integrations.requests import fast_path

from .fidelitykit import HEADERS, comparable

pytestmark = pytest.mark.any_database

SETTINGS = settings(
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
BOTH = pytest.mark.parametrize("ways", [0, 30], ids=["mongodb", "memory"], indirect=True)
OURS = ["from_cache", "created_at", "expires", "cache_key", "is_expired", "revalidated"]


@contextlib.contextmanager
def slow_way():
    """Put another tool's harmless wrapper on ``Session.send``: every call then passes through it."""
    below = vars(requests.Session)["send"]

    @functools.wraps(below)
    def send(self, *args, **kwargs):
        return below(self, *args, **kwargs)

    requests.Session.send = send
    try:
        yield
    finally:
        requests.Session.send = below


def _headers(response):
    """Return the headers in their order and case, without what a second more changes."""
    # Two live answers are of two moments.
    varies = ("Age",) if getattr(response, "from_cache", False) else ("Date",)
    items = [(name, value) for name, value in response.headers.items() if name not in varies]
    return [(name, re.sub(r"ttl=\d+", "ttl", value) if name == "Cache-Status" else value) for name, value in items]


def _request(request):
    headers = [(type(name), name, type(value), value) for name, value in request.headers.items()]
    jar = request._cookies
    kept = {
        "hooks": request.hooks,
        "body": re.sub("0x[0-9a-f]+", "0x", repr(request.body)),
        "position": request._body_position,
    }
    return {
        **kept,
        **{"method": request.method, "url": request.url, "path_url": request.path_url, "headers": headers},
        **{"types": (type(request), type(request.headers), type(jar), type(request.url)), "jar": repr(jar)},
        **{"attributes": set(vars(request)), "pickle": pickle.loads(pickle.dumps(request)).headers},
    }


def _late(response):
    """Return what can be done to a response after all has been read."""
    response.encoding = "latin-1"
    found = {"latin": response.text}
    response.url, response.new = "elsewhere", 1
    response.headers["X-New"] = "1"
    response.close()
    found["changed"] = (response.url, response.new, response.headers["x-new"], response.content, response.ok)
    with pytest.raises(AttributeError) as caught:
        response.nothing_of_the_kind  # noqa: B018
    return {**found, "no such": str(caught.value)}


def seen(response):
    """Return all that a program can see of a response; a live one's own times are left out."""
    found = {"prepared": _request(response.request), "class": type(response), "dir": dir(response)}
    if getattr(response, "_content", None) is False:
        found["stream"] = (response.raw.read(10), response.raw.closed)
    raw = response.raw
    found["raw"] = (raw.status, raw.reason, raw.version, raw.headers.items(), raw.read(), raw.closed, raw._request_url)
    found.update(comparable(response))
    del found["request"]  # a body that is a file is another each time
    found["headers"] = _headers(response)
    for way, other in (("copy", copy.copy(response)), ("pickle", pickle.loads(pickle.dumps(response)))):
        found[way] = {"class": type(other), "content": other.content, "headers": _headers(other), "url": other.url}
        found[way] |= {name: getattr(other, name) for name in OURS if hasattr(other, name)}
        found[way] |= {"request": _request(other.request), "history": len(other.history)}
    found["ours"] = {name: getattr(response, name, None) for name in OURS}
    found["repr"] = (repr(response), response.elapsed.total_seconds() >= 0, response._next)
    found.update(_late(response))
    if not getattr(response, "from_cache", False):
        for one in (found["ours"], found["copy"], found["pickle"]):
            one |= {"created_at": None, "expires": None}
    assert isinstance(response.elapsed.total_seconds(), float)
    return found


def outcome(tmdb, call, own):
    """Return what came of a call: everything seen of the response, or the error; and what arrived upstream."""
    before = tmdb.count
    with session_of(own) as session:
        try:
            response = call(session)
        except Exception as error:
            found = {"error": type(error), "text": re.sub("0x[0-9a-f]+", "0x", str(error))}
        else:
            found = seen(response)
    arrived = [(one.method, one.path, one.query, one.headers, one.body) for one in tmdb.calls[before:]]
    return {**found, "upstream": arrived}


def compare(tmdb, call, own=()):
    """Make a call until all that may be stored is stored, then the slow and the fast way; return the outcome."""
    with slow_way():
        outcome(tmdb, call, own)
        slow = outcome(tmdb, call, own)
    fast = outcome(tmdb, call, own)
    differences = {
        name: (slow.get(name), fast.get(name)) for name in {*slow, *fast} if slow.get(name) != fast.get(name)
    }
    assert differences == {}
    return fast


@pytest.fixture
def ways(request, tmdb, make_cache):
    """Compare both ways, with the memory tier or without."""
    tmdb.answer("/3/movie/550", headers=HEADERS, body='{"id":550,"title":"Amélie"}'.encode())
    install(make_cache(memory_ttl=getattr(request, "param", 0)))
    for params in ({}, {"language": "de"}, {"a": "b"}):
        # So that a call which is refused the slow way would be a hit.
        requests.get(tmdb.url + "/3/movie/550", params=params)
    return functools.partial(compare, tmdb)


def nothing(response, **_):
    """Look at a response, as a hook."""


TEXTS = st.one_of(st.sampled_from(["de", "é ü", "a&b=c#d", "", "%41", "千", "1", "a+b", "\ud800", "x\n"]), st.text())
VALUES = st.one_of(
    TEXTS, st.none(), st.booleans(), st.integers(), st.floats(), st.binary(max_size=3), st.lists(TEXTS, max_size=2)
)
NAMES = st.sampled_from(["language", "page", "query", "api_key", "append_to_response", "a b", "é", "", "session_id"])
PARAMS = st.one_of(
    st.none(),
    st.dictionaries(NAMES, VALUES, max_size=3),
    st.dictionaries(NAMES, TEXTS, max_size=3).map(CaseInsensitiveDict),
    st.lists(st.tuples(NAMES, VALUES), max_size=3),
    st.sampled_from(["", "a=1", "a=%c3&b=é", b"a=1", (), 0, 1, [("a", "b", "c")], {"a": {"b": 1}}, {1: 2, None: 3}]),
)
PATHS = st.sampled_from(
    [
        *("/3/movie/550", "/3/movie/550", "/3/movie/550?", "/3/movie/550?a=b&", "/3/movie/550#there", "//3/movie/550"),
        *("/3/movie/550/", "/3/movie/550?query=a b", "/3/./movie/550", "/3/movie/550?q=é", "/3/tv/../movie/550"),
        *(
            "/3/movie/550 ",
            "/3/movie/550;x",
            "/3/movie/550?language=de",
            "/3/movie/550?api_key=abcdef0",
            "/3/account/1",
        ),
        *("/3/movie/[550]", "/4/list/1", "/3/movie/550\n", "", "/3/movie/0", "/3/movie/550?a=%zz", "/3/movie/a\\b"),
    ]
)
HEADER = st.one_of(
    st.sampled_from(["x", b"x", "é", "千", None, 1, True, " lead", "a\nb", "", "no-cache", "bytes=0-1", "gzip", "[x"]),
    st.sampled_from(["max-age=0", "max-age=1000", "only-if-cached", "no-store", "Bearer abcdefgh", "other.example"]),
)
HEADER_NAMES = st.sampled_from(
    [
        *("X-One", "x-one", "User-Agent", "accept", "Cache-Control", "Pragma", "Range", "Authorization", "COOKIE"),
        *("Origin", "Accept-Encoding", "Content-Type", "If-None-Match", "bad name:", "", b"X-Bytes", 5),
    ]
)
PAIRS = st.dictionaries(HEADER_NAMES, HEADER, max_size=3)
CALL_HEADERS = st.one_of(st.none(), PAIRS, PAIRS.filter(lambda d: all(isinstance(k, str) for k in d)))
# Each is a value, or a function that makes one: what is read once cannot be given twice.
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "timeout": st.sampled_from([None, 5, (3, 5), 0.5]),
        "stream": st.sampled_from([None, False, True, 0]),
        "allow_redirects": st.sampled_from([True, False, None]),
        "verify": st.sampled_from([None, True, False, "/nowhere.pem"]),
        "cert": st.sampled_from([None, "/nowhere.pem"]),
        "proxies": st.sampled_from([None, {}, {"https": "http://127.0.0.1:1"}, {"no_proxy": "*"}]),
        "data": st.sampled_from(
            [None, {}, b"", "", "x", {"a": 1}, [], (), 0, lambda: io.BytesIO(b"x"), lambda: iter([])]
        ),
        "json": st.sampled_from([None, {}, {"a": 1}, False, float("nan")]),
        "files": st.sampled_from([None, {}, [], ""]),
        "auth": st.sampled_from([None, (), ("user", "pass"), ["a"], requests.auth.HTTPDigestAuth("a", "b"), 1]),
        "cookies": st.sampled_from([None, {}, {"a": "b"}, [], lambda: cookiejar_from_dict({}), "x"]),
        "hooks": st.sampled_from([None, {}, {"response": []}, {"response": None}, {"other": print}]),
        "expire_after": st.just(5),
    },
)
FEW = st.sampled_from([{}]) | OPTIONS.filter(lambda options: len(options) < 3)
SESSIONS = st.fixed_dictionaries(
    {},
    optional={
        "headers": PAIRS | st.sampled_from([None, {}, [], "", [("A", "b")]]) | PAIRS.map(lambda d: ("update", d)),
        "params": st.sampled_from([None, {}, [], {"language": "de"}, {"a": None}, {"a": ["b"]}, [("a", 1)], "a=b"]),
        "auth": st.sampled_from([None, (), ("user", "pass")]),
        "cookies": st.sampled_from([lambda: cookiejar_from_dict({}), lambda: cookiejar_from_dict({"a": "b"})]),
        "hooks": st.sampled_from([{}, {"response": []}, {"response": None}, {"response": [nothing]}, None]),
        "trust_env": st.booleans(),
        "stream": st.sampled_from([True, False, None]),
        "proxies": st.sampled_from([{}, {"ftp": "x"}, None]),
        "max_redirects": st.just(0),
    },
)


class LazyJar(RequestsCookieJar):
    """A jar that reads its cookies from somewhere when they are wanted."""

    def __iter__(self):
        return iter([create_cookie("a", "b")])

    def __len__(self):
        return 1


def made(value):
    return value() if type(value) is type(made) or value is LazyJar else copy.deepcopy(value)


def session_of(changes):
    """Make a session that is set up in some way."""
    session = requests.Session()
    for name, value in dict(changes).items():
        if isinstance(value, tuple) and value[:1] == ("update",):
            session.headers = CaseInsensitiveDict(session.headers)
            session.headers._store.update(
                {k.lower() if hasattr(k, "lower") else k: (k, v) for k, v in value[1].items()}
            )
        else:
            setattr(session, name, made(value))
    return session


@BOTH
@settings(SETTINGS, max_examples=40)
@given(path=PATHS, params=PARAMS, method=st.sampled_from(["GET", "GET", "get", "Get", "POST", "HEAD", b"GET", "GET "]))
def test_any_url_params_and_method(ways, tmdb, path, params, method):
    """However the URL, the params and the method are written, both ways give the same."""
    headers = {"Authorization": "Bearer abcdefgh"}
    ways(lambda _: requests.request(method, tmdb.url + path, params=params, headers=headers, timeout=5))


@BOTH
@settings(SETTINGS, max_examples=40)
@given(headers=CALL_HEADERS, own=SESSIONS)
def test_any_headers_and_session(ways, tmdb, headers, own):
    """Whatever the headers and the session's own settings are, both ways give the same."""
    ways(lambda session: session.get(tmdb.url + "/3/movie/550", headers=headers), own)


@BOTH
@settings(SETTINGS, max_examples=40)
@given(params=st.none() | st.just({"language": "de"}), options=FEW, own=st.just({}) | SESSIONS)
def test_any_options(ways, tmdb, params, options, own):
    """Whatever else the call is given, wrong arguments included, both ways give the same."""
    url = tmdb.url + "/3/movie/550"
    given = {"params": params, **options}
    ways(lambda session: session.request("GET", url, **{name: made(value) for name, value in given.items()}), own)


POSITIONAL = [None, None, {"X-A": "b"}, None, None, None, 5, True, None, None, None, None, None, None, None]


@BOTH
@settings(SETTINGS, max_examples=20)
@given(count=st.integers(0, len(POSITIONAL)), named=st.sets(st.sampled_from(["method", "url", "params", "timeout"])))
def test_any_positions(ways, tmdb, count, named):
    """However many arguments are given by position, too many and twice the same included, both ways give the same."""
    given = ["GET", tmdb.url + "/3/movie/550", {"language": "de"}, *POSITIONAL][:count]
    names = {"method": "GET", "url": tmdb.url + "/3/movie/550", "params": {"a": "b"}, "timeout": 4}
    ways(lambda session: session.request(*given, **{name: names[name] for name in named}))


def test_the_comparison_sees_hits_and_calls(ways, tmdb):
    """The comparison is of real hits, with a request and a time, and of calls that go out where they must."""
    hit = ways(lambda _: requests.get(tmdb.url + "/3/movie/550"))
    assert (hit["ours"]["from_cache"], hit["upstream"], hit["prepared"]["method"]) == (True, [], "GET")
    assert isinstance(hit["ours"]["created_at"], datetime)
    assert len(ways(lambda _: requests.get(tmdb.url + "/3/account/1"))["upstream"]) == 1
    assert ways(lambda _: requests.get(tmdb.url + "/3/movie/550", headers={"a": None}, params=[1]))["error"] is not None


ODD = {
    "false headers": [({}, {"headers": value}) for value in ([], (), "", 0, False)],
    "hooks": [
        *(({}, {"hooks": value}) for value in ([], (), False)),
        *(({"hooks": {"bogus": value}}, {}) for value in ([], None)),
    ],
    "no_proxy": [({}, {"proxies": {"no_proxy": value}}) for value in (5, ["a"])],
    "a jar of its own": [({"cookies": LazyJar}, {})],
    "data": [({}, {"data": value}) for value in (bytearray(), set(), range(0))],
    "Host": [({}, {"headers": {"Host": value}}) for value in ("[", "a b", "", b"x")],
    "false settings": [
        ({name: value}, {}) for name, value in [("params", 0), ("cookies", {}), ("cookies", None), ("auth", {})]
    ],
    "two spellings": [
        ({"headers": {"a": "x", "A": "y"}}, {}),
        ({"headers": {"X-One": "1"}}, {"headers": {"x-one": None}}),
    ],
    "params": [({"params": {"language": "de"}}, {"params": value}) for value in ({"language": None}, "", [], {})],
    "no URL": [({}, {"url": None})],
}


@pytest.mark.parametrize("name", list(ODD))
def test_odd_arguments(ways, tmdb, name):
    """Settings and arguments that a program has by mistake do the same both ways."""
    for own, options in ODD[name]:
        given = {"url": tmdb.url + "/3/movie/550", **options}
        ways(lambda session, given=given: session.get(**{name: made(value) for name, value in given.items()}), own)


SPELLINGS = ["/3/movie/%35%35%30", "/3/movie/550?a=%7e", "/3/tv/%2e%2e/movie/550", "/3/movie/550%2f"]


def test_escapes(ways, tmdb):
    """An URL with escapes that requests writes otherwise is the same in the response, both ways."""
    for path in SPELLINGS:
        ways(lambda session, path=path: session.get(tmdb.url + path))


@pytest.mark.parametrize("port", ["443", "0443"])
def test_ports(ways, port):
    """The port in an URL is written as requests does, both ways."""
    ways(lambda session: session.get(f"https://API.TheMovieDB.org:{port}/3/movie/550"))


FIRST = {
    "pickle": lambda r: pickle.loads(pickle.dumps(r)).url,
    "copy": lambda r: (copy.deepcopy(r).request.url, copy.copy(r).request.headers),
    "dir": lambda r: ([name in dir(r) for name in ("request", "raw", "url", "headers")], "request" in dir(r)),
    "raw": lambda r: (r.raw.read(), r.raw._request_url, r.raw.headers["ETag"]),
    "close": lambda r: (r.close(), r.url, r.content, r.request.url),
    "with": lambda r: (r.__enter__() is r, r.__exit__(), r.text),
    "raise_for_status": lambda r: (r.raise_for_status(), r.links, r.next, r.apparent_encoding),
    "set": lambda r: (setattr(r, "url", "x"), setattr(r, "request", None), r.url, r.request, r.raise_for_status()),
    "delete": lambda r: (r.headers.clear(), delattr(r, "headers"), r.headers["ETag"]),
    "missing": lambda r: (hasattr(r, "connection"), hasattr(r, "_nothing"), getattr(r, "raw", None) is not None),
}


@BOTH
def test_first_use(ways, tmdb):
    """Whatever is done first to an answer from the cache, of which nothing has been read yet, is the same both ways."""
    for use in FIRST.values():
        found = []
        for way in (slow_way(), contextlib.nullcontext()):
            with way, requests.Session() as session:
                response = session.get(tmdb.url + "/3/movie/550", params={"language": "de"})
            assert response.from_cache
            found.append(use(response))
        assert found[0] == found[1]


@pytest.fixture
def netrc(tmp_path, monkeypatch):
    """A file with the user's password for the stand-in."""
    file = tmp_path / "netrc"
    file.write_text("machine 127.0.0.1 login me password abcdefgh\n")
    file.chmod(0o600)
    monkeypatch.setenv("NETRC", str(file))
    fast_path.forget()  # or it would be looked at in five seconds
    yield file
    fast_path.forget()


def test_netrc(ways, tmdb, netrc):
    """The user's .netrc goes before the call's own Authorization, and not where trust_env is off, both ways."""
    headers = {"Authorization": "Bearer abcdefgh"}
    for trusted, start in ((True, "Basic"), (False, "Bearer")):
        seen = ways(lambda session: session.get(tmdb.url + "/3/movie/550", headers=headers), {"trust_env": trusted})
        assert seen["sent"]["Authorization"].startswith(start)


def test_netrc_as_it_was(ways, tmdb, netrc):
    """response.request is what was sent, though .netrc has changed since."""
    response = requests.get(tmdb.url + "/3/movie/550")
    netrc.unlink()
    assert "Authorization" in response.request.headers


@pytest.mark.parametrize("name", ["prepare_url", "prepare"])
def test_patched_preparation(ways, tmdb, monkeypatch, name):
    """Where a program has patched how requests prepares, its patch decides what is asked for."""
    below = vars(requests.PreparedRequest)[name]

    def prepare(self, *args, **kwargs):
        below(self, *args, **kwargs)
        self.url += "?language=de" if "?" not in self.url else ""

    monkeypatch.setattr(requests.PreparedRequest, name, prepare)
    assert "language=de" in ways(lambda session: session.get(tmdb.url + "/3/movie/550"))["url"]


class German(requests.Request):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.params = {"language": "de"}


@pytest.mark.parametrize(("name", "new"), [("Request", German), ("get_netrc_auth", lambda *_: None)])
def test_patched_names(ways, tmdb, netrc, monkeypatch, name, new):
    """Where a program has replaced a name in requests.sessions, that is used both ways."""
    monkeypatch.setattr(requests.sessions, name, new)
    ways(lambda session: session.get(tmdb.url + "/3/movie/550"))


def test_tmdb_session_under_a_wrapper(session, film, monkeypatch):
    """Another tool's wrapper of Session.request changes the calls of a TMDBSession too, hits included."""
    session.get(film)
    below = vars(requests.Session)["request"]

    def request(self, method, url, **options):
        return below(self, method, url, **{**options, "params": {"language": "de"}})

    with monkeypatch.context() as patches:
        patches.setattr(requests.Session, "request", request)
        found = [session.get(film).url for _ in range(2)]
    assert found == [film + "?api_key=any&language=de"] * 2


PROGRAM = """
import requests
seen = []
def wrap(name):
    below = getattr(requests.Session, name)
    setattr(requests.Session, name, lambda self, *args, **options: seen.append(name) or below(self, *args, **options))
for name in ("request", "prepare_request", "merge_environment_settings"):
    wrap(name)
import tmdb_mongo_cache
tmdb_mongo_cache.install()
for _ in range(3):
    assert requests.get("https://api.themoviedb.org/3/movie/550?api_key=any").ok
print(*seen)
"""


def test_wrapped_before_the_import(runner):
    """A wrapper that was there before this package was imported is passed by every call."""
    assert runner.start("-c", PROGRAM).stdout.split() == 3 * [
        "request",
        "prepare_request",
        "merge_environment_settings",
    ]
