"""With the cache or without, the caller sees the same: generated calls, and answers such as no TMDB has ever given.

Each call is made without the cache, with it (live), once more (a hit where it was stored), and with what was stored
stale while TMDB fails. The upstream writes bytes as they are, so headers come twice, in any charset, or broken.
"""

import contextlib
import gzip
import http.server
import json
import socketserver
import threading
import zlib
from datetime import timedelta

import pytest
import requests
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from tmdb_mongo_cache import disabled, enabled
from tmdb_mongo_cache.httpcache.storable_headers import storable

from .flowkit import now

SETTINGS = settings(
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
    # What is found is small already, and each call takes its time.
    phases=[Phase.explicit, Phase.generate],
)
# requests leaves a connection to the garbage collector where a redirect leads nowhere.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
ADDED = {"age", "cache-status", "date", "set-cookie"}


class Upstream(socketserver.ThreadingTCPServer):
    """Answers each path with the bytes it was given, and says what arrived."""

    daemon_threads, allow_reuse_address, request_queue_size = True, True, 64

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answering)
        self.answers, self.arrived, self.failing = {}, [], None
        self.host = f"127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def handle_error(self, request, client_address):
        """Say nothing: clients go away."""


class Answering(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 10

    def do_GET(self):
        server = self.server
        server.arrived.append(self.path)
        path = self.path.partition("?")[0]
        answer = server.answers.get(path, server.answers.get("*"))
        if server.failing is not None:
            answer = server.failing
        self.wfile.write(answer)
        self.close_connection = True

    def log_message(self, *_):
        """Print nothing."""


@pytest.fixture
def upstream():
    with Upstream() as server:
        yield server
        server.shutdown()


def hop_of(response):
    kept = storable(response.headers).items()
    headers = [(name.lower(), value) for name, value in kept if name.lower() not in ADDED]
    return (response.status_code, response.reason, response.url, sorted(headers), response.content)


def seen(response):
    """Return all that the caller of a call sees of its answer."""
    found = {"hop": hop_of(response), "history": [hop_of(hop) for hop in response.history]}
    found["text"] = _try(lambda: response.text)
    found["encoding"] = (response.encoding, response.apparent_encoding)
    # As text, for NaN is not equal to itself.
    found["json"] = _try(lambda: repr(response.json()))
    found["ok"] = (response.ok, response.is_redirect, response.is_permanent_redirect, _try(lambda: response.links))
    found["raise"] = _try(response.raise_for_status)
    found["lines"] = list(response.iter_lines())
    found["chunks"] = list(response.iter_content(7))[:50]
    return found


def _try(use):
    try:
        return use()
    except Exception as error:
        return type(error)


def outcome(call):
    """Return what came of a call: what is seen of the answer, or the exception's type; and where it came from."""
    try:
        response = call()
    except Exception as error:
        return {"error": type(error)}, None
    return seen(response), getattr(response, "from_cache", None)


FAILURES = [
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n<htm>",
    b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"id": 1}',
    b"nonsense\r\n\r\n",
    b"",
]


@pytest.fixture
def same(upstream, make_cache, collection):
    """Make a call in all ways; return how often it came from the cache."""
    caches = [make_cache(hosts=[upstream.host], memory_ttl=ttl) for ttl in (0, 30)]
    hits = []

    def same(call, failure=0):
        with disabled():
            plain, _ = outcome(call)
        for cache in caches:
            collection.delete_many({})
            upstream.failing = None
            cache.clear()
            with enabled(cache):
                live, _ = outcome(call)
                again, hit = outcome(call)
                assert live == plain
                assert again == plain
                if not hit:
                    continue
                hits.append(1)
                moment = now() - timedelta(seconds=30)
                collection.update_many({}, {"$set": {"expires_at": moment}})
                cache.engine.core.memory and cache.engine.core.memory.forget_all()
                upstream.failing = FAILURES[failure]
                stale, from_cache = outcome(call)
                upstream.failing = None
                assert from_cache
                assert stale == plain
        return plain

    same.hits = hits
    return same


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(["id", "success", "status_code", "status_message", "$ref", "$id", "_id", "a.b", "", "results"])
OBJECTS = st.dictionaries(NAMES | st.text(max_size=5), JSON, max_size=4)
DUMPS = st.tuples(st.booleans(), st.sampled_from([None, 2]))
ENCODINGS = st.sampled_from(["utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "utf-32-be", "latin-1"])


def dumped(value, how, encoding):
    return json.dumps(value, ensure_ascii=how[0], indent=how[1]).encode(encoding, "replace")


BODIES = st.one_of(
    st.builds(dumped, OBJECTS, DUMPS, ENCODINGS),
    st.builds(dumped, OBJECTS, DUMPS, ENCODINGS),
    st.builds(dumped, JSON, DUMPS, st.just("utf-8")),
    st.binary(max_size=40),
    st.sampled_from(
        [
            *(
                b"",
                b"null",
                b'{"a":1,"a":2}',
                b'{"a":NaN,"b":-Infinity}',
                b'{"a":1e999}',
                b'{"n":' + b"9" * 5000 + b"}",
            ),
            *(
                b'{"a":' + b"[" * 400 + b"]" * 400 + b"}",
                b"[" * 9000 + b"]" * 9000,
                b'{"a":"\\ud800"}',
                b'{"\\u0000":1}',
            ),
            *(
                b'{"a":"\xff"}',
                b"\xef\xbb\xbf",
                b'\xef\xbb\xbf{"a":1}',
                b'{"status_code":34,"success":false}',
                b"\r\n{}",
            ),
            *(
                b'{"a":"' + b"x" * 70_000 + b'"}',
                b'{"a":1}\x00',
                b"1",
                b'"x"',
                b"[1,2]\n\n",
                b'{"a":' + b"1" * 30 + b"}",
            ),
        ]
    ),
)
# Without control characters: see test_headers_that_are_not_kept.
TOKENS = st.binary(max_size=12).map(lambda text: bytes(b for b in text if b >= 0x20 and b != 0x7F))
TYPES = st.one_of(
    st.sampled_from(
        [
            *(
                b"application/json;charset=utf-8",
                b"application/json",
                b"text/html",
                b"text/plain",
                b"",
                b"nonsense",
                b";",
            ),
            *(b"application/json; charset=nonsense", b"application/json; charset=utf-16", b"text/x; charset=idna"),
            *(b'application/json; charset="latin-1"', b"application/json;CHARSET=UTF-8", b"a/b; charset=undefined"),
            *(b"a/b; charset=", b"a/b; charset=\xe9", b"a/b;charset", b"a/b; charset=rot13", b"a/b; charset=utf-7"),
        ]
    ),
    TOKENS,
)
HEADERS = st.lists(
    st.one_of(
        st.tuples(st.just(b"Content-Type"), TYPES),
        st.tuples(
            st.sampled_from(
                [
                    *(b"X-One", b"x-one", b"ETag", b"Link", b"Vary", b"Cache-Control", b"Expires", b"Location", b"X.Y"),
                    *(b"Date", b"Age", b"Server", b"Warning", b"Cache-Status", b"$ref", b"Via"),
                    *(b"Retry-After", b"X-RateLimit-Remaining", b"Connection", b"Upgrade", b"X-Request-Id"),
                ]
            ),
            st.one_of(
                TOKENS, st.sampled_from([b"a, b", b"no-store", b"\xe2\x82\xac", b"<x>; rel=next", b' "a" ', b"0"])
            ),
        ),
    ),
    max_size=5,
)
STATUS = st.one_of(
    *(st.just(b"200 OK"), st.just(b"200 OK"), st.just(b"200"), st.just(b"200 "), st.just(b"404 Not Found")),
    st.sampled_from([b"200 \xe9t\xe9", b"200 a\x00b", b"201 Created", b"204 No", b"206 Part", b"304 Same", b"400 x"]),
    st.sampled_from(
        [b"401 x", b"403 x", b"422 x", b"500 x", b"503 x", b"429 x", b"999 x", b"099 x", b"20 x", b"300 x"]
    ),
)


def coded(body, coding):
    """Return a body as it is sent, and its Content-Encoding."""
    if coding in ("gzip", "x-gzip", "broken gzip", "cut gzip"):
        sent = gzip.compress(body, mtime=0)
        sent = b"\x1f\x8b" + sent[12:] if coding == "broken gzip" else sent[:-9] if coding == "cut gzip" else sent
        return sent, b"x-gzip" if coding == "x-gzip" else b"gzip"
    if coding in ("deflate", "raw deflate"):
        return zlib.compress(body)[2:-4] if coding == "raw deflate" else zlib.compress(body), b"deflate"
    if coding == "twice":
        return gzip.compress(zlib.compress(body), mtime=0), b"deflate, gzip"
    return body, coding.encode()


CODINGS = st.sampled_from(
    [
        *[""] * 6,
        "gzip",
        "gzip",
        "x-gzip",
        "deflate",
        "raw deflate",
        "twice",
        "identity",
        "zz",
        "broken gzip",
        "cut gzip",
    ]
)
FRAMES = st.sampled_from(["length", "length", "length", "chunked", "close", "short", "chunks broken", "long"])


def wire(status, headers, body, coding="", frame="length"):
    """Return an answer as the bytes that are sent."""
    sent, named = coded(body, coding)
    lines = [b"HTTP/1.1 " + status, b"Connection: close", *(name + b": " + value for name, value in headers)]
    if named:
        lines.append(b"Content-Encoding: " + named)
    if frame.startswith("chunk"):
        lines.append(b"Transfer-Encoding: chunked")
        parts = [sent[:9], sent[9:]]
        sent = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts if part) + b"0\r\n\r\n"
        sent = sent[:-7] if frame == "chunks broken" else sent
    elif frame != "close":
        lines.append(b"Content-Length: %d" % (len(sent) + {"length": 0, "short": 3, "long": -1}[frame]))
    return b"\r\n".join(lines) + b"\r\n\r\n" + sent


GOOD = wire(b"200 OK", [(b"Content-Type", b"application/json;charset=utf-8"), (b"ETag", b'"a"')], b'{"id":550}')


def get(upstream, path="/3/movie/550", **options):
    return requests.get(f"http://{upstream.host}{path}", **{"timeout": 10, **options})


@settings(SETTINGS, max_examples=35)
@given(status=STATUS, headers=HEADERS, body=BODIES, coding=CODINGS, frame=FRAMES, failure=st.integers(0, 5))
@example(b"200 OK", [(b"$x", b"x")], b"{}", "", "length", 0)
@example(b"200 OK", [(b"Content-Type", b"a/b; charset=idna")], b'{"a":1}', "", "length", 0)
@example(b"200 OK", [(b"Content-Encoding", b"gzip")], b'{"a":1}', "gzip", "length", 3)
def test_any_answer(upstream, same, status, headers, body, coding, frame, failure):
    """Whatever TMDB answers, the caller sees that, live, from the cache, and stale while TMDB fails."""
    upstream.answers["*"] = wire(status, headers, body, coding, frame)
    same(lambda: get(upstream), failure)


@settings(SETTINGS, max_examples=15)
@given(headers=HEADERS, body=st.builds(dumped, OBJECTS, DUMPS, ENCODINGS), coding=CODINGS, failure=st.integers(0, 5))
def test_any_good_answer(upstream, same, headers, body, coding, failure):
    """A good answer is the same in all ways, whatever its headers, its JSON and its encoding are."""
    upstream.answers["*"] = wire(b"200 OK", headers, body, coding)
    same(lambda: get(upstream), failure)


# A key that is not the caller's own is taken out of what is stored, and an URL is written anew.
LOCATIONS = st.sampled_from(
    [
        *(
            b"/3/movie/2",
            b"/3/movie/2?api_key=secret-of-mine",
            b"3",
            b"../movie/2",
            b"http://127.0.0.1:1/",
            b"http://[",
        ),
        *(b"?language=de", b"/3/movie/2#there", b"//{host}/3/movie/2", b"http://{host}/3/movie/2", b"mailto:x", b""),
        *(
            b"/3/movie/2?a=b&api_key=secret-of-mine&c=d",
            b"/3/movie/2?language=%65n",
            b"/3/movie/\xc3\xa9",
            b"/3/movie/\xe9",
        ),
        *(b"/3/movie/2?x=a b", b"/3/account/1", b"/3/movie/550", b"/3/movie/2;x?a&b&&", b"/3//movie/2", b"/3/tv/3"),
    ]
)
MOVED = st.sampled_from([b"301 Moved", b"302 Found", b"303 x", b"307 x", b"308 x", b"300 x"])


@settings(SETTINGS, max_examples=20)
@given(
    moves=st.lists(st.tuples(MOVED, LOCATIONS, st.sampled_from([b"", b"{}", b"moved"])), min_size=1, max_size=3),
    follows=st.sampled_from([True, True, True, False]),
    params=st.sampled_from([{"api_key": "secret-of-mine"}, {"api_key": "secret-of-mine", "language": "de"}]),
)
def test_redirects(upstream, same, moves, follows, params):
    """Wherever redirects lead, url, history and answer are the same in all ways."""
    upstream.answers = {"*": GOOD}
    for path, (status, location, body) in zip(("/3/movie/550", "/3/movie/2", "/3/tv/3"), moves, strict=False):
        there = location.replace(b"{host}", upstream.host.encode())
        upstream.answers[path] = wire(status, [(b"Location", there), (b"X-Hop", path.encode())], body)
    same(lambda: get(upstream, params=params, allow_redirects=follows))


TEXTS = st.one_of(st.text(max_size=6), st.sampled_from(["de", "a b", "é", "%41", "%", "+", "a&b=c", "#", "1", "\x00"]))
PARAMS = st.one_of(
    st.none(),
    st.dictionaries(
        st.sampled_from(["language", "page", "query", "api_key", "append_to_response", "é", "session_id"]) | TEXTS,
        st.one_of(TEXTS, st.none(), st.integers(), st.booleans(), st.lists(TEXTS, max_size=2), st.binary(max_size=3)),
        max_size=3,
    ),
    st.lists(st.tuples(TEXTS, TEXTS), max_size=3),
    st.sampled_from(["", "a=1", b"b=%e9", "language=de&language=fr", 0, "é=ü"]),
)
PATHS = st.one_of(
    st.sampled_from(["/3/movie/550", "/3/search/movie", "/3/movie/%35", "//3/movie/1", "/3/./tv/1", "/3/account", "/"]),
    TEXTS.map(lambda text: f"/3/movie/{text}"),
    TEXTS.map(lambda text: f"/3/movie/550?query={text}"),
)
SENT = st.dictionaries(
    st.sampled_from(["Accept", "X-A", "Authorization", "Cache-Control", "Pragma", "Range", "Cookie", "Origin", "Host"]),
    st.sampled_from(
        ["x", "", "no-cache", "max-age=0", "max-stale", "Bearer abcdefgh", b"x", None, "a\nb", "é", "bytes=0-"]
    ),
    max_size=2,
)


@settings(SETTINGS, max_examples=25)
@given(path=PATHS, params=PARAMS, headers=SENT)
def test_any_call(upstream, same, path, params, headers):
    """Whatever is asked for, the caller sees the same in all ways, and TMDB is asked for the same."""
    upstream.answers = {"*": GOOD}
    del upstream.arrived[:]
    same(lambda: get(upstream, path, params=params, headers=headers))
    assert len(set(upstream.arrived)) <= 1


def test_these_are_hits(upstream, same, cache):
    """What is compared here includes hits and stale answers."""
    upstream.answers["*"] = GOOD
    with contextlib.suppress(KeyError):
        del upstream.answers["/3/movie/550"]
    found = same(lambda: get(upstream))
    assert (len(same.hits), found["json"]) == (2, "{'id': 550}")


@pytest.mark.parametrize("location", [b"/3/movie/2?", b"HTTP://{host}/3/movie/2"])
def test_locations(upstream, same, location):
    """The Location of a redirect is in history as it was sent."""
    there = location.replace(b"{host}", upstream.host.encode())
    upstream.answers = {"*": GOOD, "/3/movie/550": wire(b"301 x", [(b"Location", there)], b"")}
    same(lambda: get(upstream))


@pytest.mark.parametrize("headers", [[(b"X", b"a\x01b")], [(b"$ref", b"x"), (b"$id", b"y")]], ids=["control", "ref"])
def test_headers_that_are_not_kept(upstream, same, headers):
    """An answer with a header that no document may have is a hit without it, or is not stored at all."""
    upstream.answers["*"] = wire(b"200 OK", headers, b'{"id":550}')
    same(lambda: get(upstream))
