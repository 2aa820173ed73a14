"""The last gate: nothing that is written, logged or told has a credential in it, wherever somebody has put one."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import requests_cache
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from click.testing import CliRunner
from requests.adapters import HTTPAdapter

import tmdb_mongo_cache
from tmdb_mongo_cache import CacheEvent, MongoBackend, TMDBCache, TMDBSession, enabled
from tmdb_mongo_cache.cli.main import cli
from tmdb_mongo_cache.testing.recording import Recording
from tmdb_mongo_cache.tmdb import redaction

from .secretkit import BODIES, HEX, JWT, PASSWORD, TEXTS, percent

pytestmark = pytest.mark.any_database

SEEN = ("as it is", "large", "percent, twice", "Base64, of a pair")
"""Spellings in each place; in the body there are all of them."""


class Hostile:
    """A server that answers each path with the bytes it is given, ``film`` with a film."""

    def __init__(self) -> None:
        self.answers: dict[str, bytes] = {}
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.host = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self.url = f"http://{self.host}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as file:
                path = file.readline().split()[1].decode().partition("?")[0]
                while file.readline().strip():
                    pass
                number = int(path.rpartition("/")[2]) if path.rpartition("/")[2].isdigit() else 550
                connection.sendall(self.answers.get(path) or said(b'{"id": %d}' % number))

    def close(self) -> None:
        self._socket.close()


def said(body: bytes = b"", status: str = "200 OK", *headers: str) -> bytes:
    """Return an answer as it goes over the wire."""
    head = [f"HTTP/1.1 {status}", "Content-Type: application/json", f"Content-Length: {len(body)}", "Connection: close"]
    return "\r\n".join([*head, *headers, "", ""]).encode("utf-8") + body


def film(number: int, spelt: str = "") -> bytes:
    return b'{"id": %d, "e": "%b"}' % (number, spelt.encode())


Put = Callable[[int, str], dict[int, bytes]]
PLACES: dict[str, Put] = {
    "reason": lambda n, x: {n: said(film(n), f"200 {x}")},
    "a header": lambda n, x: {n: said(film(n), "200 OK", f"X-Echo: {x}")},
    "a header's name": lambda n, x: {n: said(film(n), "200 OK", f"X-{x.translate(_TOKEN)}: 1")},
    "ETag": lambda n, x: {n: said(film(n), "200 OK", f'ETag: "{x.translate(_TOKEN)}"')},
    "Set-Cookie": lambda n, x: {n: said(film(n), "200 OK", f"Set-Cookie: sid={x}")},
    "Link": lambda n, x: {n: said(film(n), "200 OK", f"Link: </3/movie/1?apikey={x}>; rel=next")},
    "Location, where none leads": lambda n, x: {n: said(film(n), "200 OK", f"Location: /3/movie/1?x={x}")},
    "the body": lambda n, x: {n: said(film(n, x))},
    "the body of a 404": lambda n, x: {n: said(b'{"status_code": 34, "x": "%b"}' % x.encode(), "404 Not Found")},
    "an error": lambda n, x: {n: said(film(n, x), f"500 {x}", f"X-Echo: {x}")},
    "a refusal": lambda n, x: {n: said(b'{"status_code": 7, "status_message": "%b"}' % x.encode(), f"401 {x}")},
    "where it leads": lambda n, x: {n: _to(f"/3/movie/{n + 1}?t={x}")},
    "where it leads, known": lambda n, x: {n: _to(f"/3/movie/{n + 1}?language={x}")},
    "the path it leads to": lambda n, x: {n: _to(f"/3/keyword/{x}")},
    "a fragment": lambda n, x: {n: _to(f"/3/movie/{n + 1}#{x}")},
    "a redirect's reason": lambda n, x: {n: _to(f"/3/movie/{n + 1}", f"302 {x}")},
    "a redirect's header": lambda n, x: {n: _to(f"/3/movie/{n + 1}", "302 Found", f"X-Echo: {x}")},
    "a redirect's header's name": lambda n, x: {
        n: _to(f"/3/movie/{n + 1}", "302 Found", f"X-{x.translate(_TOKEN)}: 1")
    },
    "a redirect's body": lambda n, x: {n: _to(f"/3/movie/{n + 1}", body=x.encode())},
    "behind a redirect": lambda n, x: {n: _to(f"/3/movie/{n + 1}"), n + 1: said(film(n + 1, x), f"200 {x}")},
}
"""Where an answer may have a credential."""

_TOKEN = str.maketrans(dict.fromkeys('"\\&;=/+, %#', "-"))  # what is in no name of a header


def _to(place: str, status: str = "302 Found", *headers: str, body: bytes = b"") -> bytes:
    return said(body, status, f"Location: {place}", *headers)


@pytest.fixture(scope="module")
def server() -> Iterator[Hostile]:
    server = Hostile()
    yield server
    server.close()


@pytest.fixture
def hostile(server: Hostile) -> Hostile:
    server.answers.clear()
    return server


class Seen:
    """All that one cache has written, logged and told."""

    def __init__(self, cache: TMDBCache, mongo: Any, caplog: pytest.LogCaptureFixture, folder: Path) -> None:
        self._cache, self._mongo, self._caplog, self._folder = cache, mongo, caplog, folder
        self.events: list[CacheEvent] = []
        self.texts: list[str] = []

    def all(self) -> bytes:
        """Return it in one piece."""
        cache, config = self._cache, self._cache.config
        if cache.engine.recorder.flusher is not None:
            cache.engine.recorder.flusher.flush()  # the counts, now
        found = self._mongo.get_database(config.database, codec_options=CodecOptions(document_class=RawBSONDocument))
        names = found.list_collection_names()
        assert {"tmdb_cache", "tmdb_cache_leases", "tmdb_cache_stats"} <= {*names}
        parts = [document.raw for name in names for document in found[name].find()]
        cache.export_entries(self._folder / "export.jsonl", force=True)
        Recording(self._folder / "recording.jsonl", cache, "").save()
        parts += [(self._folder / f"{name}.jsonl").read_bytes() for name in ("export", "recording")]
        entries = list(cache.entries())
        parts += [repr(item).encode() for item in (cache, config, cache.stats(), entries, cache.usage(), *self.events)]
        uri = ["--uri", config.uri or "", "--database", config.database]
        for line in (["ls", "--limit", "0"], ["ls", "--json"], *(["show", entry.key] for entry in entries[:3])):
            parts.append(CliRunner().invoke(cli, [*line, *uri]).output.encode())
        ours = [record for record in self._caplog.records if record.name.startswith("tmdb_mongo_cache")]
        parts += [f"{record.getMessage()} {vars(record)}".encode() for record in ours]
        parts += [text.encode() for text in self.texts]
        return b"\n".join(parts)


@pytest.fixture
def seen(
    hostile: Hostile, make_cache: Any, mongo: Any, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> Iterator[Seen]:
    caplog.set_level(logging.DEBUG)
    told: list[CacheEvent] = []
    cache = make_cache(hosts=[hostile.host], on_event=told.append, memory_ttl=30)
    seen = Seen(cache, mongo, caplog, tmp_path)
    seen.events = told
    with enabled(cache):
        yield seen


def spelt(*values: str) -> list[tuple[str, bytes]]:
    """Return what must be nowhere: the values in all their spellings."""
    found = [(f"{value[:8]}: {name}", spell(value)) for value in values for name, spell in BODIES.items()]
    return [(name, body.lower().removeprefix(b'{"id": 550, "e": "').removesuffix(b'"}')) for name, body in found]


def is_clean(everything: bytes, *values: str) -> bool:
    low = everything.lower()
    places = {name: low.index(spelling) for name, spelling in spelt(*values) if spelling in low}
    assert not places, {name: everything[max(place - 60, 0) : place + 60] for name, place in places.items()}
    return True


def _quietly(session: Any, url: str, **options: Any) -> Any:
    try:
        return session.get(url, timeout=5, **options)
    except requests.RequestException:
        return None


CARRIED: dict[str, dict[str, Any]] = {
    "hex": {"params": {"api_key": HEX}},
    "jwt": {"headers": {"Authorization": f"Bearer {JWT}"}},
    "password": {"auth": ("u", PASSWORD)},
}
SECRETS = {"hex": HEX, "jwt": JWT, "password": PASSWORD}


@pytest.mark.parametrize("kind", SECRETS)
def test_an_echo_of_the_callers_own(seen: Seen, hostile: Hostile, kind: str) -> None:
    """What a server repeats of a caller's credential, anywhere, in any spelling, is kept, logged and told nowhere."""
    value = SECRETS[kind]
    number, numbers = 1000, []
    for place, put in PLACES.items():
        for spelling in TEXTS if place == "the body" else SEEN:
            answers = put(number, TEXTS[spelling](value).replace('"', "'"))
            hostile.answers |= {f"/3/movie/{path}": answer for path, answer in answers.items()}
            numbers.append(number)
            number += 10
    for name in ("UTF-16", "UTF-16, big", "UTF-32", "as a name"):
        hostile.answers[f"/3/movie/{number}"] = said(BODIES[name](value))
        numbers.append(number)
        number += 10
    with requests.Session() as session:
        for number in numbers:
            live = _quietly(session, f"{hostile.url}/3/movie/{number}", **CARRIED[kind])
            assert live is None or not live.from_cache
        clean = [_quietly(session, f"{hostile.url}/3/movie/7", **CARRIED[kind]) for _ in range(2)]
    assert clean[1].from_cache
    assert is_clean(seen.all(), value)


class _Adds(HTTPAdapter):
    """Adds a key to what it sends, where nobody sees it before."""

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        request.headers["X-Gateway-Key"] = HEX
        return super().send(request, *args, **options)


@pytest.mark.parametrize("spelling", SEEN)
def test_an_echo_of_what_an_adapter_adds(seen: Seen, hostile: Hostile, spelling: str) -> None:
    """What a program's adapter, or a redirect's cookie, adds to what is sent is a credential as well."""
    spelt = TEXTS[spelling](HEX)
    hostile.answers["/3/movie/8"] = said(film(8, spelt))
    hostile.answers["/3/movie/10"] = _to("/3/movie/11", "302 Found", f"Set-Cookie: sid={HEX}; Path=/")
    hostile.answers["/3/movie/11"] = said(film(11, spelt))
    with requests.Session() as session:
        _quietly(session, f"{hostile.url}/3/movie/10")
        session.mount("http://", _Adds())
        for _ in range(2):
            assert not _quietly(session, f"{hostile.url}/3/movie/8").from_cache
    _quietly(requests, f"{hostile.url}/3/movie/7")
    assert is_clean(seen.all(), HEX)


POSITIONS = [
    *("/3/movie/550?apikey={}", "/3/movie/550?x={}", "/3/movie/550?{}", "/3/movie/550?language={}", "/3/movie/550/{}"),
    *("/3/search/movie?query={}", "/3/movie/550?api-key={}&language=de", "/3/movie/550?API.KEY={}", "/3/review/{}"),
    "/3/movie/550?a=" + "q" * 600 + "&zz={}",
    *("/3/movie/550?token={}", "/3/movie/550&api_key={}", "/3/movie/550?language=de&amp;api_key={}", "/3/list/{}"),
]
SENT = {
    "get": lambda url: _quietly(requests, url),
    "with its key": lambda url: _quietly(requests, url, params={"api_key": HEX, "page": 2}),
    "a session": lambda url: _quietly(TMDBSession(), url),
    "a header": lambda url: _quietly(requests, url, headers={"X-Api-Key": HEX}),
    "a stream": lambda url: _quietly(requests, url, stream=True, headers={"Authorization": f"Bearer {JWT}"}),
    "POST": lambda url: requests.post(url, timeout=5),
}


@pytest.mark.parametrize("sent", SENT)
def test_a_credential_where_none_belongs(seen: Seen, hostile: Hostile, sent: str) -> None:
    """A call with a credential in the wrong place, by whatever slip, leaves no trace: no answer, no lease, no line."""
    for position in POSITIONS:
        for value in (HEX, JWT, percent(HEX), HEX.upper()):
            response = SENT[sent](hostile.url + position.replace("{}", value))
            assert not getattr(response, "from_cache", False), position
    _quietly(requests, f"{hostile.url}/3/movie/7", params={"api_key": "any"})
    everything = seen.all()
    assert is_clean(everything, HEX, JWT)
    assert everything.count(b"/3/movie/7") > 3
    assert b"straight" in everything


def test_told_by_hand(seen: Seen, hostile: Hostile, make_cache: Any) -> None:
    """What the cache says of such a call when it is asked, and what its errors say, repeats no credential."""
    cache = seen._cache
    for position in POSITIONS:
        url = hostile.url + position.replace("{}", HEX)
        seen.texts += [str(cache.explain(url)), repr(cache.explain(url, {"api_key": HEX}))]
        uri = ["--uri", cache.config.uri or "", "--database", cache.config.database]
        for command in ("explain", "show", "invalidate"):
            done = CliRunner(env={"TMDB_CACHE_HOSTS": hostile.host}).invoke(cli, [command, url, *uri])
            seen.texts += [done.output, str(done.exception)]
        with enabled(make_cache(offline=True, hosts=[hostile.host])), pytest.raises(requests.ConnectionError) as caught:
            requests.get(url, timeout=5)
        seen.texts.append(str(caught.value))
    for wrong in ({"ids": [HEX]}, {"ids": [1], "params": {HEX: "1"}}, {"ids": [1], "append": HEX}, {"ids": HEX}):
        with pytest.raises(tmdb_mongo_cache.ConfigError) as refused:
            cache.warm(**wrong, api_key=JWT, base_url=hostile.url)
        seen.texts.append(f"{refused.value} {refused.value!r}")
    _quietly(requests, f"{hostile.url}/3/movie/7", params={"api_key": "any"})
    assert is_clean(seen.all(), HEX, JWT)


TYPED = [
    f"https://api.themoviedb.org/3/movie/550?apikey={HEX}&x=1",
    f"https://somebody:{HEX}@api.themoviedb.org/",
    *(f"token={HEX}", f'"client_secret": "{HEX}"', f"Bearer {JWT}", f"the token {JWT} is none", f"{HEX} is no id"),
]


@pytest.mark.parametrize("text", TYPED)
def test_texts_for_people(text: str, caplog: pytest.LogCaptureFixture) -> None:
    """Every error of this package, and every line of its log, is without what looks like a credential."""
    logging.getLogger("tmdb_mongo_cache").warning("not cached: %s (%d)", text, 1)
    kinds = [tmdb_mongo_cache.CacheError, *tmdb_mongo_cache.CacheError.__subclasses__()]
    shown = [str(kind(text)) for kind in kinds] + [repr(kind(text)) for kind in kinds] + [caplog.text]
    assert is_clean("\n".join([*shown, redaction.redact(text)]).encode(), HEX, JWT)
    assert "not cached: " in caplog.text
    assert caplog.text.rstrip().endswith("(1)")


def test_what_is_no_secret_is_shown() -> None:
    """The digest of a long key, ids, and words stay in texts for people."""
    for text in ("GET api.themoviedb.org/3/search/movie?query=x#" + HEX * 2, "key: GET /3/movie/550", "token of nobody",
                 "credit 52fe4250c3a36847f80149f3", "the database tmdb_cache_test_" + HEX, "auth: none"):  # fmt: skip
        assert redaction.redact(text) == text


@pytest.fixture
def backend_session(mongo: Any, database: str, hostile: Hostile, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    monkeypatch.setenv("TMDB_CACHE_HOSTS", hostile.host)
    return lambda **options: requests_cache.CachedSession(
        backend=MongoBackend(database, connection=mongo), expire_after=60, **options
    )


def _at_rest(mongo: Any, database: str) -> bytes:
    found = mongo.get_database(database, codec_options=CodecOptions(document_class=RawBSONDocument))
    return b"\n".join(document.raw for name in found.list_collection_names() for document in found[name].find())


@pytest.mark.parametrize("kind", SECRETS)
def test_by_way_of_requests_cache(backend_session: Any, hostile: Hostile, mongo: Any, database: str, kind: str) -> None:
    """A session of requests-cache with our backend stores none of it either."""
    value = SECRETS[kind]
    with backend_session() as session:
        for number, (place, put) in enumerate(PLACES.items()):
            for path, answer in put(1000 + 10 * number, value if "body" in place else value.upper()).items():
                hostile.answers[f"/3/movie/{path}"] = answer
            _quietly(session, f"{hostile.url}/3/movie/{1000 + 10 * number}", **CARRIED[kind])
        for position in POSITIONS:
            _quietly(session, hostile.url + position.replace("{}", HEX), **CARRIED[kind])
        assert [session.get(f"{hostile.url}/3/movie/7", **CARRIED[kind]).from_cache for _ in range(2)] == [False, True]
    assert is_clean(_at_rest(mongo, database), value, HEX)


@pytest.mark.parametrize(
    "options",
    [{"key_fn": lambda request, **_: request.url}, {"match_headers": ["X-Api-Key"]}, {"match_headers": ["X-Of-Ours"]}],
)
def test_keys_of_a_sessions_own(
    backend_session: Any, hostile: Hostile, mongo: Any, database: str, options: dict[str, Any]
) -> None:
    """A key that a session makes by rules of its own has no credential in it: such a call is not cached."""
    with backend_session(**options) as session:
        given = {"params": {"api_key": HEX}, "headers": {"X-Api-Key": JWT, "X-Of-Ours": HEX[::-1]}}
        assert not any(session.get(f"{hostile.url}/3/movie/7", **given).from_cache for _ in range(2))
    assert is_clean(_at_rest(mongo, database), HEX, JWT, HEX[::-1])
