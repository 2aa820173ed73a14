"""stream=True: bytes and exceptions come where they come without the cache, whatever reads them."""

import contextlib
import functools
import gzip
import io
import json
import shutil
import socket
import threading
import time
import zlib

import pytest
import requests

from tmdb_mongo_cache import enabled, install

from .flowkit import expire, get, status_of

pytestmark = pytest.mark.any_database

FILM = json.dumps({"id": 550, "title": "x" * 300, "lines": "a\nb\r\nc"}).encode()
PACKED = gzip.compress(FILM, 1, mtime=0)
TEXT, CODED = b"Content-Type: application/json\r\n", b"Content-Type: application/json\r\nContent-Encoding: gzip\r\n"


def sized(body, headers=TEXT, length=None):
    return headers + b"Content-Length: %d\r\n\r\n" % (len(body) if length is None else length) + body


def chunked(body, headers=TEXT, end=b"0\r\n\r\n", size=50):
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return (
        headers + b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces) + end
    )


WHOLE = {
    "length": sized(FILM),
    "length, gzip": sized(PACKED, CODED),
    "length, deflate": sized(zlib.compress(FILM), CODED.replace(b"gzip", b"deflate")),
    "length, an unknown coding": sized(FILM, CODED.replace(b"gzip", b"x-none")),
    "length, identity": sized(FILM, CODED.replace(b"gzip", b"identity")),
    "chunks": chunked(FILM),
    "chunks, gzip": chunked(PACKED, CODED),
    "chunks with a trailer": chunked(FILM, end=b"0\r\nX-A: 1\r\n\r\n"),
    "chunks with an extension": chunked(FILM).replace(b"\r\n32\r\n", b"\r\n32;a=b\r\n"),
    "until the end": TEXT + b"\r\n" + FILM,
}
BROKEN = {
    "too short": sized(FILM, length=len(FILM) + 50),
    "too short, gzip": sized(PACKED[:60], CODED, length=len(PACKED)),
    "half of gzip": sized(PACKED[:60], CODED),
    "gzip that is none": sized(FILM, CODED),
    "nothing at all": sized(b"", length=20),
    "chunks without an end": chunked(FILM, end=b""),
    "half a chunk": chunked(FILM, end=b"ff\r\nabc"),
    "a chunk without a size": chunked(FILM, end=b"zz\r\nabc"),
    "chunks, half of gzip": chunked(PACKED[:100], CODED),
    "it hangs": sized(FILM, length=len(FILM) + 1),
    "a chunk hangs": chunked(FILM, end=b"5\r\nab"),
}
HANGS = {"it hangs", "a chunk hangs"}


def _pieces(response, size):
    yield from response.iter_content(size)


def _reads(response, size):
    while piece := response.raw.read(size):
        yield piece


def _copied(response):
    file = io.BytesIO()
    try:
        shutil.copyfileobj(response.raw, file, 40)
    finally:
        yield file.getvalue()


def _filled(response):
    space = bytearray(30)
    while size := response.raw.readinto(space):
        yield bytes(space[:size])


def _closed(response):
    yield response.raw.read(5)
    response.close()
    yield response.raw.read(5)
    yield response.raw.read()


READERS = {
    "content": lambda r: iter([r.content]),
    "text, json": lambda r: iter([r.text, r.json()]),
    "iter_content": lambda r: _pieces(r, 7),
    "iter_content all": lambda r: _pieces(r, 10**6),
    "iter_content as it comes": lambda r: [b"".join(_pieces(r, None))],
    "iter_lines": lambda r: r.iter_lines(20),
    "iter": iter,
    "read": lambda r: iter([r.raw.read(), r.raw.read()]),
    "read some": lambda r: _reads(r, 33),
    "read decoded": lambda r: iter([r.raw.read(decode_content=True)]),
    "read some decoded": lambda r: iter([r.raw.read(5, decode_content=True), r.raw.read(decode_content=True)]),
    "stream": lambda r: r.raw.stream(64),
    "stream undecoded": lambda r: r.raw.stream(64, decode_content=False),
    "data": lambda r: iter([r.raw.data]),
    "copyfileobj": _copied,
    "readinto": _filled,
    "lines of raw": lambda r: iter([b"".join(r.raw)]),
    "closed before its end": _closed,
    "nothing": lambda _: iter(()),
}


class Upstream:
    """Answers every call with the same bytes, then closes, or keeps quiet."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.answer, self.hangs, self.delay, self.count = b"", False, 0, 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self.answer_one, args=[self.listener.accept()[0]]).start()

    def answer_one(self, one):
        with contextlib.suppress(OSError), one:
            asked = b""
            while b"\r\n\r\n" not in asked and (came := one.recv(4096)):
                asked += came
            self.count += bool(asked)
            time.sleep(self.delay)
            one.sendall(b"HTTP/1.1 200 OK\r\n" + self.answer)
            if self.hangs:
                self.over.wait(3)

    def close(self):
        self.over.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()


@pytest.fixture
def upstream():
    server = Upstream()
    yield server
    server.close()


def kind(error):
    """Return what a program sees of an exception and of what it holds."""
    inner = error.args[0] if error.args else None
    return type(error), type(inner), getattr(error, "request", None) is None, getattr(error, "response", None)


def story(ask, reader):
    """Return all that happens to a program, in its order."""
    told = []
    try:
        with ask() as response:
            told.append((response.status_code, response._content_consumed, response.raw.tell()))
            told.append(isinstance(response.raw.fileno(), int) if hasattr(response.raw, "_fp") else None)
            told.append(response.raw.connection is None)
            try:
                told.extend(READERS[reader](response))
            except Exception as error:
                told.append(kind(error))
            told.append((response._content_consumed, response.raw.tell(), response.raw.closed))
            told.append(response.raw.connection is None)
    except Exception as error:
        told.append(("the call", kind(error)))
    return told


class NoSocket(requests.Session):
    """A session in whose responses nobody looks for a socket."""

    def get(self, url, **options):
        response = super().get(url, **options)
        response.raw.fileno = lambda: 1
        return response


def stories(ask):
    """Return all that happens to programs that read in any way, each at a URL of its own."""
    return {reader: story(lambda reader=reader: ask(params={"query": reader}), reader) for reader in READERS}


@pytest.mark.parametrize("body", [*WHOLE, *BROKEN])
def test_first_call(upstream, make_cache, body):
    """A streamed response that is fetched is read as it came and breaks off where it broke off, by any reader."""
    upstream.answer, upstream.hangs = {**WHOLE, **BROKEN}[body], body in HANGS
    url = f"http://{upstream.host}/3/movie/550"
    ask = functools.partial(requests.get, url, stream=True, timeout=(5, 0.1 if body in HANGS else 5))
    plain = stories(ask)
    with enabled(make_cache(hosts=[upstream.host])):
        assert stories(ask) == plain
    assert upstream.count == 2 * len(READERS)


@pytest.mark.parametrize("body", WHOLE)
def test_hit(upstream, make_cache, body):
    """A streamed hit is read like a live response, by any reader; only a socket it has not."""
    upstream.answer = WHOLE[body]
    url = f"http://{upstream.host}/3/movie/550"

    def ask(params):
        with NoSocket() as session:
            return session.get(url, params=params, stream=True, timeout=5)

    plain = stories(ask)
    with enabled(make_cache(hosts=[upstream.host])) as cache:
        for reader in READERS:
            requests.get(url, params={"query": reader}, timeout=5)
        assert cache.count_entries() == len(READERS)
        hits = stories(ask)
    if "chunks" in body:  # a hit has no chunks
        plain, hits = (
            {reader: b"".join(item for item in told if isinstance(item, bytes)) for reader, told in all_told.items()}
            for all_told in (plain, hits)
        )
    assert hits == plain
    assert upstream.count == 2 * len(READERS)


def shape(told):
    pieces = b"".join(item for item in told if isinstance(item, bytes))
    return pieces, [item for item in told[3:-2] if not isinstance(item, bytes)]


# Who waits for what hangs has waited as long as it would.
@pytest.mark.parametrize("body", sorted(BROKEN.keys() - HANGS))
def test_two_at_once(upstream, make_cache, body):
    """Of two who stream an answer that breaks off, each reads what came before it does."""
    upstream.answer = BROKEN[body]
    url = f"http://{upstream.host}/3/movie/550"

    def ask():
        with NoSocket() as session:
            return session.get(url, stream=True, timeout=5)

    plain = story(ask, "iter_content")
    upstream.delay, found = 0.15, []
    install(make_cache(hosts=[upstream.host]))
    both = [threading.Thread(target=lambda: found.append(story(ask, "iter_content"))) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    # How it is cut into chunks is for one of them alone.
    assert [shape(told) for told in found] == [shape(plain)] * 2


def test_stale(upstream, make_cache, collection):
    """A streamed answer that breaks off is covered by a stale one, if there is one."""
    upstream.answer = WHOLE["length"]
    url = f"http://{upstream.host}/3/movie/550"
    with enabled(make_cache(hosts=[upstream.host])):
        requests.get(url, timeout=5)
        collection.update_one({}, [{"$set": {"expires_at": {"$subtract": ["$timestamp", 1]}}}])
        upstream.answer = BROKEN["half a chunk"]
        with requests.get(url, stream=True, timeout=5) as response:
            assert response.raw.read() == FILM
            assert response.from_cache


GZIP = ["gzip", "gzip, deflate", "GZIP;q=0.5", "*", b"gzip"]
ACCEPTS = [None, "", "identity", "gzip;q=0", "*;q=0.0", "deflate", "br", *GZIP]


@pytest.mark.parametrize("length", [0, 1, 700, 100_000])
@pytest.mark.parametrize("accept", ACCEPTS)
def test_negotiated(tmdb, cache, accept, length):
    """A hit's raw is packed as its Content-Encoding says, which the caller accepts, and as long as it says."""
    tmdb.answer(
        "/3/movie/550",
        headers={"Content-Encoding": "gzip", "Content-Type": "application/json", "Vary": "Accept-Encoding"},
        body=gzip.compress(json.dumps({"id": 550, "a": "é" * length}).encode(), 1),
    )
    body = requests.get(f"{tmdb.url}/3/movie/550", timeout=5).content
    takes_gzip = accept in GZIP
    with enabled(cache):
        requests.get(f"{tmdb.url}/3/movie/550", timeout=5)
        for stream in (True, False):
            with requests.get(
                f"{tmdb.url}/3/movie/550", headers={"Accept-Encoding": accept}, stream=stream, timeout=5
            ) as response:
                assert "hit" in status_of(response)
                assert response.headers.get("Content-Encoding") == ("gzip" if takes_gzip else None)
                assert response.headers.get("Content-Encoding") == response.raw.headers.get("Content-Encoding")
                if stream:
                    data = response.raw.read()
                    assert (gzip.decompress(data) if takes_gzip else data) == body
                    assert len(data) == int(response.headers["Content-Length"])
                else:
                    assert response.content == body


def test_as_long_as_it_was(tmdb, cache):
    """A hit's Content-Length is TMDB's own, and raw has that many bytes, though they are packed anew."""
    for level in (1, 6, 9):
        path = f"/3/movie/{level}"
        packed = gzip.compress(json.dumps({"id": level, "a": list(range(3000))}).encode(), level)
        tmdb.answer(path, headers={"Content-Encoding": "gzip", "Content-Type": "application/json"}, body=packed)
        with enabled(cache):
            requests.get(tmdb.url + path, timeout=5)
            with requests.get(tmdb.url + path, stream=True, timeout=5) as response:
                assert int(response.headers["Content-Length"]) == len(packed)
                data = response.raw.read()
                assert (len(data), json.loads(gzip.decompress(data))["id"]) == (len(packed), level)


def test_connections_are_used_again(tmdb, cache, collection, plain_session):
    """Answers that nobody reads (a 304, a failure that a stale one covers) leave their connection for the next call."""
    with enabled(cache):
        for stream in (False, True):
            for fault in (None, "304", "503", None):
                if fault:
                    expire(collection)
                if fault == "503":
                    tmdb.fail(fault)
                with get(tmdb, session=plain_session, stream=stream) as response:
                    assert response.json()["id"] == 550
                tmdb.heal()
            cache.clear()
    assert [call.status for call in tmdb.calls] == [200, 304, 503, 304] * 2
    pools = response.connection.poolmanager.pools
    assert [pools[key].num_connections for key in pools.keys()] == [1]  # noqa: SIM118  no mapping


def test_large(tmdb, cache):
    """A large hit is packed once, however TMDB's own compression was: its length is what its headers say."""
    films = json.dumps(
        [{"id": number, "name": f"Film {number * 7919 % 100_003}"} for number in range(100_000)]
    ).encode()
    tmdb.answer(
        "/3/movie/550",
        headers={"Content-Encoding": "gzip", "Content-Type": "application/json"},
        body=gzip.compress(films, 9),
    )
    with enabled(cache):
        get(tmdb)
        with get(tmdb, stream=True) as response:
            started = time.process_time()
            data = response.raw.read()
            took = time.process_time() - started
    started = time.process_time()
    gzip.compress(films, 9)
    assert took < time.process_time() - started
    assert gzip.decompress(data) == films
    assert len(data) == int(response.headers["Content-Length"])
