"""What all of it runs on: an embedded MongoDB, a stand-in TMDB with responses of given sizes, and the contenders."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pymongo
import requests
import requests_cache
from cachecontrol import CacheControl
from cachecontrol.caches import FileCache
from requests.adapters import BaseAdapter
from urllib3 import HTTPResponse

import tmdb_mongo_cache
from tmdb_mongo_cache import TMDBCache
from tmdb_mongo_cache.mongo.embedded.server import EmbeddedServer

from .measuring import Contender
from .upstream import Upstream, upstream

KEY = {"api_key": "0123456789abcdef0123456789abcdef", "language": "en-US"}
HEADERS = {
    "Content-Type": "application/json;charset=utf-8",
    "Cache-Control": "public, max-age=28800",
    "ETag": 'W/"8aef9e5e39bad33084e5a4c1bd929b6a"',
    "Vary": "accept-encoding, Origin",
    "Server": "openresty",
    "X-Cache": "Miss from cloudfront",
    "Via": "1.1 0123456789abcdef.cloudfront.net (CloudFront)",
}
DATABASE = "tmdb_cache_db"

FIND = "bare find_one"
OURS = "tmdb-mongo-cache, MongoDB"
MEMORY = "tmdb-mongo-cache, memory"
PEER_MONGODB = "requests-cache, MongoDB"
PEER_BYTES = "requests-cache, MongoDB, decode_content=False"
PEER_SQLITE = "requests-cache, SQLite"
PEER_MEMORY = "requests-cache, memory"
CONTROL_FILE = "CacheControl, file"
CONTROL_DICT = "CacheControl, dict"
NOTHING = "requests, an adapter that does nothing"
NO_CACHE = "no cache"


def body_of(size: int, number: int = 550) -> bytes:
    """Make a film's details with as many in its cast as it takes to be about so many bytes."""
    film = {
        "adult": False,
        "budget": 63_000_000,
        "genres": [{"id": 18, "name": "Drama"}, {"id": 53, "name": "Thriller"}],
        "id": number,
        "imdb_id": f"tt{number:07}",
        "overview": "A made up film, of which more is said here than anybody wants to know. " * 8,
        "popularity": 61.416,
        "production_companies": [{"id": n, "logo_path": f"/{n:027}.png", "name": f"Made Up {n}"} for n in range(4)],
        "release_date": "1999-10-15",
        "runtime": 139,
        "title": f"Film {number}",
        "vote_average": 8.433,
        "vote_count": 26_280,
    }
    cast: list[dict[str, Any]] = []
    room = size - len(json.dumps({**film, "credits": {"cast": []}}, separators=(",", ":")))
    while room > 200:
        n = len(cast)
        cast.append(
            {
                "adult": False,
                "cast_id": n,
                "character": f"Character {n}",
                "credit_id": f"{n:024x}",
                "id": 10_000 + n,
                "known_for_department": "Acting",
                "name": f"Person {n}",
                "popularity": n / 7,
                "profile_path": f"/{n:027}.jpg",
            }
        )
        room -= len(json.dumps(cast[-1], separators=(",", ":"))) + 1
    if cast:
        film["credits"] = {"cast": cast}
    return json.dumps(film, separators=(",", ":")).encode()


class NoAdapter(BaseAdapter):
    """An adapter that has the response already: what requests itself costs."""

    def __init__(self, body: bytes) -> None:
        super().__init__()
        self._body = body

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        response = requests.Response()
        response.status_code, response.request, response.url = 200, request, request.url or ""
        response.encoding = "utf-8"
        response._content, response.raw = self._body, HTTPResponse(b"")
        return response

    def close(self) -> None:
        pass


@dataclass
class Bench:
    """A running MongoDB and a running stand-in; what is made on them goes with the stack."""

    uri: str
    tmdb: Upstream
    stack: ExitStack
    folder: Path
    client: pymongo.MongoClient[dict[str, Any]]

    def cache(self, **settings: Any) -> TMDBCache:
        """Make a cache that takes the stand-in for TMDB."""
        return self.stack.enter_context(TMDBCache(uri=self.uri, hosts=[self.tmdb.host], **settings))

    def session(self) -> requests.Session:
        return self.stack.enter_context(requests.Session())

    def peer(self, backend: Any, **settings: Any) -> requests_cache.CachedSession:
        """Make a session of requests-cache."""
        return self.stack.enter_context(requests_cache.CachedSession(backend=backend, **settings))

    def answer(self, number: int, size: int) -> str:
        """Make the stand-in respond with a film of this size; return its URL."""
        path = f"/3/movie/{number}"
        self.tmdb.answer(path, headers=HEADERS, body=body_of(size, number))
        return self.tmdb.url + path


@contextmanager
def running() -> Iterator[Bench]:
    """Start what the benchmarks run on."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        uri = stack.enter_context(EmbeddedServer(folder / "mongodb")).uri
        tmdb = stack.enter_context(upstream())
        client: pymongo.MongoClient[dict[str, Any]] = stack.enter_context(pymongo.MongoClient(uri))
        yield Bench(uri, tmdb, stack, folder, client)


def contenders(bench: Bench, size: int, read: Callable[[requests.Response], object]) -> list[Contender]:
    """Make all contenders for a response of one size, each with it in its cache already.

    A call ends when its response has been read. What is not ours runs without our
    patch in place.
    """

    def getting(session: requests.Session) -> Callable[[], object]:
        return lambda: read(session.get(url, params=KEY))

    number = 1_000_000 + size  # another film for each size
    url = bench.answer(number, size)
    session, direct, nothing = bench.session(), bench.session(), bench.session()
    nothing.mount("http://", NoAdapter(body_of(size, number)))
    caches = {OURS: bench.cache(memory_ttl=0), MEMORY: bench.cache(memory_ttl=3600)}
    peers = {
        PEER_MONGODB: bench.peer(requests_cache.MongoCache(f"peer_{size}", host=bench.uri)),
        PEER_BYTES: bench.peer(requests_cache.MongoCache(f"peer_bytes_{size}", host=bench.uri, decode_content=False)),
        PEER_SQLITE: bench.peer(requests_cache.SQLiteCache(bench.folder / f"peer_{size}.sqlite")),
        PEER_MEMORY: bench.peer("memory"),
        CONTROL_FILE: CacheControl(bench.session(), cache=FileCache(bench.folder / f"control_{size}")),
        CONTROL_DICT: CacheControl(bench.session()),
    }
    ours = [
        Contender(name, getting(session), partial(tmdb_mongo_cache.enabled, cache)) for name, cache in caches.items()
    ]
    theirs = [Contender(name, getting(peer)) for name, peer in peers.items()]
    collection, key = bench.client[DATABASE]["tmdb_cache"], caches[OURS].key(url, KEY)
    found = [
        Contender(FIND, lambda: collection.find_one({"_id": key}, {"data": 0})),
        *ours,
        *theirs,
        Contender(NOTHING, getting(nothing)),
        Contender(NO_CACHE, getting(direct)),
    ]
    for contender in found:
        with contender.around():
            contender.call()
    for name, cache in caches.items():
        with tmdb_mongo_cache.enabled(cache):
            status = session.get(url, params=KEY).headers["Cache-Status"]
        assert "; hit;" in status, status
        assert status.endswith(f"detail={name.rpartition(' ')[2].lower()}"), status
    document = found[0].call()
    assert isinstance(document, dict)
    assert document["body"] == body_of(size, number)
    _check(bench, found, read(direct.get(url, params=KEY)))
    return found


def _check(bench: Bench, found: list[Contender], expected: object) -> None:
    """Check that every contender but the last responds without a call, and all of them with the same."""
    for contender in found:
        before = bench.tmdb.count
        with contender.around():
            response = contender.call()
        assert (bench.tmdb.count == before) is (contender.name != NO_CACHE), contender.name
        assert contender.name == FIND or _parsed(response) == _parsed(expected), contender.name


def _parsed(response: object) -> object:
    # requests-cache serializes JSON again by default: not the same bytes, but the same response.
    return json.loads(response) if isinstance(response, bytes) else response
