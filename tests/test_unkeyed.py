"""What a request may say that chooses the answer and is not in the key: such a call goes straight through."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict

from tmdb_mongo_cache import OfflineError, TMDBCache, TMDBSession, cached_tmdb, enabled
from tmdb_mongo_cache.standin import StandIn
from tmdb_mongo_cache.tmdb.calls import classify

from .flowkit import ANY_KEY, KEY, MOVIE, get, status_of

fast = settings(max_examples=100, deadline=None)

ROUTING = [
    *("Forwarded", "X-Forwarded-Host", "X-Forwarded-Server", "X-Forwarded-Path", "X-Forwarded-Prefix"),
    *("X-Forwarded-Uri", "X-Forwarded-Proto", "X-Forwarded-Scheme", "X-Forwarded-Port", "X-Forwarded-For"),
    *("X-Original-URL", "X-Original-URI", "X-Original-Host", "X-Rewrite-URL", "X-Override-URL", "X-Replaced-Path"),
    *("X-Envoy-Original-Path", "X-Host", "X-HTTP-Host-Override", "X-Real-Host", "X-Proxy-URL", "X-Scheme"),
    *("X-Url-Scheme", "X-Script-Name"),
]
OTHER_ANSWER = [
    *("If-Match", "If-Modified-Since", "If-None-Match", "If-Range", "If-Unmodified-Since", "Range", "Origin"),
    *("X-HTTP-Method", "X-HTTP-Method-Override", "X-Method-Override", "X-Session-Id", "Guest-Session-ID", "Host"),
]
HARMLESS = [
    *("Accept", "Accept-Charset", "Accept-Encoding", "Accept-Language", "Connection", "Content-Type", "Cookie", "DNT"),
    *("Referer", "User-Agent", "Via", "X-Api-Key", "X-Client", "X-Datadog-Origin", "X-Request-ID", "X-Requested-With"),
    *("X-Amzn-Trace-Id", "Traceparent", "X-Correlation-Host", "Ghost", "X-Ghost-Host", "Arrange", "Orig"),
]
WIDE = {chr(code): chr(code + 0xFEE0) for code in range(0x21, 0x7F)}


def straight(headers: dict[Any, Any], url: str = f"https://api.themoviedb.org{MOVIE}") -> bool:
    """Say whether a call with these headers goes straight through; it has no key then."""
    call = classify("GET", url, CaseInsensitiveDict(headers))
    assert call is not None
    assert bool(call.straight) is not bool(call.key)
    return bool(call.straight)


SPELLINGS: dict[str, Callable[[str], Any]] = {
    "plain": str,
    "lower": str.lower,
    "upper": str.upper,
    "bytes": str.encode,
    "underscores": lambda name: name.replace("-", "_"),
    "dots": lambda name: name.replace("-", "."),
    "together": lambda name: name.replace("-", ""),
    "blank": lambda name: name + " ",
    "tab": lambda name: name + "\t",
    "wide": lambda name: "".join(WIDE[char] for char in name),
}


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS)
@pytest.mark.parametrize("value", ["evil.example", b"/3/account"], ids=["text", "bytes"])
def test_every_spelling_of_what_chooses_the_answer(spell: Callable[[str], Any], value: str | bytes) -> None:
    """What chooses the host, the path, the method or a part sends a call straight, however its name is spelt."""
    assert [name for name in [*ROUTING, *OTHER_ANSWER] if not straight({"Accept": "x", spell(name): value})] == []


@fast
@given(name=st.sampled_from([*ROUTING, *OTHER_ANSWER]), data=st.data())
def test_any_mixture_of_spellings(name: str, data: st.DataObject) -> None:
    """No mixture of cases, of punctuation and of blanks makes another header of it."""
    drawn = [
        data.draw(st.sampled_from(["-", "_", ".", "", "--"] if char == "-" else [char.lower(), char.upper()]))
        for char in name
    ]
    assert straight({"".join(drawn) + data.draw(st.sampled_from(["", " ", "\t "])): "x"})


@pytest.mark.parametrize("length", [65, 1_000_000])
def test_a_long_name(length: int) -> None:
    """A header's name that is longer than any is not looked through: the call goes straight."""
    assert straight({"X" * length: "x"})


def test_what_says_nothing_of_the_answer() -> None:
    """Headers that programs and their tracing send with every call keep nothing from being cached."""
    assert [name for name in HARMLESS if straight({name: "evil.example"})] == []


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("https://api.themoviedb.org", ["api.themoviedb.org", "api.themoviedb.org:443"]),
        ("http://api.themoviedb.org", ["api.themoviedb.org", "api.themoviedb.org:80"]),
        ("https://api.themoviedb.org:443", ["api.themoviedb.org", "api.themoviedb.org:443"]),
        ("https://api.themoviedb.org:80", ["api.themoviedb.org:80"]),
        ("https://api.tmdb.org", ["api.tmdb.org", "api.tmdb.org:443"]),
    ],
)
def test_the_host_that_is_sent_anyway(url: str, hosts: list[str]) -> None:
    """A Host that says what requests would say changes nothing; any other one does, alias and empty one included."""
    others = ["api.themoviedb.org:8080", "evil.example", "", "API.themoviedb.org", "api.themoviedb.org.", "localhost"]
    both = ["api.themoviedb.org", "api.tmdb.org", "api.themoviedb.org:443", "api.themoviedb.org:80"]
    for host in [*hosts, *others, *both]:
        for value in (host, host.encode()):
            assert straight({"host": value}, url + MOVIE) is (host not in hosts), (url, host)


def test_an_address_of_ones_own() -> None:
    """A host of one's own is known with its port, and an IPv6 address in its brackets."""
    for name in ("127.0.0.1:4000", "[::1]:4000"):
        hosts = frozenset({name})
        for host, expected in ((name, False), (name.removesuffix(":4000"), True), ("api.themoviedb.org", True)):
            call = classify("GET", f"http://{name}{MOVIE}", CaseInsensitiveDict({"Host": host}), hosts=hosts)
            assert call is not None
            assert bool(call.straight) is expected, (name, host)


def test_two_of_them() -> None:
    """Two Hosts are never the one that would be sent anyway."""
    call = classify("GET", f"https://api.tmdb.org{MOVIE}", {"Host": "api.tmdb.org", "HOST": "api.tmdb.org"})
    assert call is not None
    assert call.straight


def with_headers(session: Any, headers: dict[str, Any]) -> Any:
    session.headers.update(headers)
    return session


@pytest.fixture(params=["get", "session", "send", "stream", "TMDBSession", "decorator", "backend"])
def door(
    request: pytest.FixtureRequest,
    tmdb: StandIn,
    cache: TMDBCache,
    make_session: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[dict[str, Any]], Any]:
    """Make a call with headers through one of the doors."""
    if request.param == "backend":
        monkeypatch.setenv("TMDB_CACHE_HOSTS", tmdb.host)
        cached = make_session(expire_after=3600)
        return lambda headers: get(tmdb, session=cached, headers=headers)
    if request.param == "TMDBSession":
        return lambda headers: get(tmdb, session=with_headers(TMDBSession(cache), headers))
    if request.param == "decorator":
        return cached_tmdb(cache=cache)(lambda headers: get(tmdb, headers=headers))

    def call(headers: dict[str, Any]) -> Any:
        session = requests.Session()
        with enabled(cache):
            if request.param == "session":
                return get(tmdb, session=with_headers(session, headers))
            if request.param == "send":
                made = requests.Request("GET", tmdb.url + MOVIE, params=ANY_KEY, headers=headers)
                return session.send(session.prepare_request(made), timeout=5)
            return get(tmdb, headers=headers, stream=request.param == "stream")

    return call


class TestDoors:
    def test_both_ways(self, tmdb, door, collection):
        """Through every door such a call gets no stored answer, leaves none, and arrives as it was made."""
        for headers in ({"Host": "evil.example"}, {"X-Forwarded-Host": "evil.example"}, {"X_Original_URL": b"/3/x"}):
            assert not door(headers).from_cache
            assert collection.count_documents({}) == 0
        stored = door({"Host": tmdb.host})
        assert (stored.from_cache, collection.count_documents({"_id": KEY})) == (False, 1)
        before = collection.find_one({})
        for name in ("Host", "host", b"HOST", "X-Forwarded-Host", "x-rewrite-url"):
            for value in ("evil.example", b"evil.example"):
                tmdb.calls.clear()
                assert not door({name: value}).from_cache
                (arrived,) = tmdb.calls
                said = {key.lower(): text for key, text in arrived.headers.items()}
                assert said[name.lower() if isinstance(name, str) else "host"] == "evil.example"
        assert collection.find_one({}) == before
        assert door({"Host": tmdb.host}).from_cache
        assert door({}).from_cache

    def test_what_an_answer_is_made_for(self, tmdb, door):
        """Accept-Language is no part of a key: where an answer depends on it, it says so, and is not stored."""
        tmdb.on_call = lambda call: tmdb.answer(
            MOVIE,
            headers={"Vary": "Origin, Accept-Language"},
            body=b'{"id": 550, "title": "%s"}' % call.headers["Accept-Language"].encode(),
        )
        found = [door({"Accept-Language": language}).json()["title"] for language in ("de", "fr", "de")]
        assert found == ["de", "fr", "de"]


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"X-Forwarded-Host": "evil.example"}])
def test_without_tmdb(tmdb: StandIn, make_cache: Callable[..., TMDBCache], headers: dict[str, str]) -> None:
    """Offline there is no answer to such a call, and only-if-cached does not keep it from its host."""
    with enabled(make_cache()):
        get(tmdb)
        response = get(tmdb, headers={**headers, "Cache-Control": "only-if-cached"})
        assert (response.status_code, status_of(response)) == (200, {"fwd": "bypass"})
    with enabled(make_cache(offline=True)), pytest.raises(OfflineError, match="never cached"):
        get(tmdb, headers=headers)


def test_explained(cache: TMDBCache, tmdb: StandIn) -> None:
    """explain() says why, and repeats nothing of what the header says."""
    for headers in ({"Host": "evil.example"}, {"x-forwarded-host": "evil.example"}):
        about = cache.explain(tmdb.url + MOVIE, headers=headers)
        assert (about.step, "host" in about.straight.lower()) == ("bypass", True)
        assert "evil" not in str(about)


class Adding(HTTPAdapter):
    """An adapter that says another host than is called."""

    def add_headers(self, request: requests.PreparedRequest, **_: Any) -> None:
        request.headers["Host"] = "evil.example"


def test_what_an_adapter_adds(cache: TMDBCache, tmdb: StandIn, collection: Any) -> None:
    """An answer to a request that got a Host while it was sent is not stored."""
    session = requests.Session()
    session.mount("http://", Adding())
    with enabled(cache):
        assert get(tmdb, session=session).status_code == 200
    assert collection.count_documents({}) == 0


@pytest.mark.parametrize("target", ["/3/\ud800", "/3/movie/550?query=\ud800"])
def test_what_has_no_encoding_stays_offline(tmdb: StandIn, make_cache: Callable[..., TMDBCache], target: str) -> None:
    """Half of a surrogate pair in an URL put there by hand, which urllib3 sends, is TMDB's call as any other."""
    session, request = requests.Session(), requests.Request("GET", tmdb.url + MOVIE).prepare()
    request.url = tmdb.url + target
    with enabled(make_cache(offline=True)), pytest.raises(OfflineError):
        session.send(request)
    with enabled(make_cache()):
        assert status_of(session.send(request)) == {"fwd": "bypass"}
    assert tmdb.count == 1
