"""Answers that say of themselves that they are not for everyone are passed on and not stored."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
import requests_cache
from hypothesis import given, settings
from hypothesis import strategies as st
from requests.structures import CaseInsensitiveDict
from urllib3._collections import HTTPHeaderDict  # where it is in urllib3 1.26, too

from tmdb_mongo_cache import CacheConfig, ImportReport, TMDBCache, enabled
from tmdb_mongo_cache.standin import StandIn
from tmdb_mongo_cache.tmdb.calls import classify, kept_form
from tmdb_mongo_cache.tmdb.endpoints import SAID_PRIVATE
from tmdb_mongo_cache.tmdb.entry import Hop, Reply
from tmdb_mongo_cache.tmdb.policy import Verdict, judge
from tmdb_mongo_cache.tmdb.sharing import why_not_shared

from .entrykit import DAY, ETAG, NOW, OK, entry
from .flowkit import ANY_KEY, API_KEY, KEY, MOVIE, expire, get, status_of
from .transferkit import Other, other_fixture, rewrite  # noqa: F401  a fixture

fast = settings(max_examples=60, deadline=None)

CERTIFICATIONS = "/3/certification/movie/list"
AS_TMDB_SAYS = "must-revalidate, max-age=0, private"
RECORDINGS = Path(__file__).parents[2] / "shared" / "recordings" / "exchanges.jsonl"

WITH_KEY = f"{MOVIE}?api_key={API_KEY}"
BODY = b'{"id": 550, "title": "Fight Club"}'
NOT_SHARED: list[dict[str, str]] = [
    {"Vary": "Accept-Language"},
    {"vary": "accept-encoding, Origin, Cookie"},
    {"VARY": "*"},
    {"Cache-Control": "no-store"},
    {"cache-control": "public, max-age=600, Private"},
    {"CACHE-CONTROL": 'max-age=600, private="set-cookie"'},
]


def spelt(words: list[str]) -> st.SearchStrategy[list[str]]:
    """Spell each word with some of its letters in capitals, and with blanks around it."""
    blanks = st.sampled_from(["", " ", "\t", "  "])
    upper = st.sampled_from([str.lower, str.upper, str.title, str.swapcase])
    one = [st.tuples(blanks, upper, blanks).map(lambda t, w=word: t[0] + t[1](w) + t[2]) for word in words]  # type: ignore[misc]
    return st.tuples(*one).map(list)


def in_lines(draw: Callable[..., Any], words: list[str]) -> list[str]:
    """Put the elements of a list into one line of a header or several."""
    lines: list[str] = [""]
    for word in draw(spelt(words)):
        new = draw(st.sampled_from(["line", "element"]))
        lines = [*lines, word] if new == "line" else [*lines[:-1], f"{lines[-1]},{word}"]
    return lines


def received(name: str, lines: list[str]) -> CaseInsensitiveDict[str]:
    """Return the header that requests makes of its lines."""
    return CaseInsensitiveDict(HTTPHeaderDict([(name, line.strip(" \t")) for line in lines]))


NAMES = st.sampled_from(["Vary", "vary", "VARY", "vAry"])
KEYED = st.lists(st.sampled_from(["accept-encoding", "origin", ""]), max_size=5)
OTHERS = st.sampled_from(
    [
        *("*", "accept", "accept-language", "authorization", "cookie", "host", "user-agent", "x-forwarded-host"),
        *("accept-encodings", "origin;q=1", '"origin"', "accept encoding", "origin:", "accept-encoding\x0borigin"),
    ]
)


@fast
@given(name=NAMES, words=KEYED, data=st.data())
def test_vary_on_what_makes_no_difference(name: str, words: list[str], data: st.DataObject) -> None:
    """Accept-Encoding and Origin, in whatever case, with blanks, empty elements and lines, are no reason."""
    assert why_not_shared(received(name, in_lines(data.draw, words)), None) == ""


@fast
@given(name=NAMES, words=KEYED, other=OTHERS, place=st.integers(0, 5), data=st.data())
def test_vary_on_anything_else(name: str, words: list[str], other: str, place: int, data: st.DataObject) -> None:
    """One other name, wherever it stands in whichever of the lines, keeps an answer from being stored."""
    words = [*words[:place], other, *words[place:]]
    headers = received(name, in_lines(data.draw, words))
    assert why_not_shared(headers, None) == "its Vary names more than Accept-Encoding and Origin"
    assert why_not_shared(headers, "/3/certification/tv/list")


HARMLESS = st.lists(
    st.sampled_from(
        ["public", "max-age=0", "no-cache", "must-revalidate", "no-transform", "x-private", "no-store-x", "x=private"]
    ),
    max_size=4,
)
FORBIDDING = st.sampled_from(["private", "no-store", 'private="set-cookie"', '"private"', "no-store=1", "private;"])
TEMPLATES = st.sampled_from([None, "/3/movie/{movie_id}", *sorted(SAID_PRIVATE)])


@fast
@given(words=HARMLESS, template=TEMPLATES, data=st.data())
def test_cache_control_that_speaks_of_time(words: list[str], template: str | None, data: st.DataObject) -> None:
    """no-cache, max-age=0 and what only looks like private say nothing of who may have the answer."""
    headers = {**received("Cache-Control", in_lines(data.draw, words)), "Pragma": "no-cache, private, no-store"}
    assert why_not_shared(headers, template) == ""


@fast
@given(words=HARMLESS, said=FORBIDDING, place=st.integers(0, 4), template=TEMPLATES, data=st.data())
def test_private_and_no_store(
    words: list[str], said: str, place: int, template: str | None, data: st.DataObject
) -> None:
    """Private and no-store, however spelt, keep an answer from being stored, but for what TMDB marks so for all."""
    headers = received("cache-Control", in_lines(data.draw, [*words[:place], said, *words[place:]]))
    everyone = template in SAID_PRIVATE and "private" in said
    assert bool(why_not_shared(headers, template)) is not everyone


def test_every_other_spelling_of_the_name_counts() -> None:
    """Where a file has a header twice, in different cases, both are obeyed."""
    assert why_not_shared({"Vary": "Origin", "VARY": "Cookie"}, None)
    assert why_not_shared({"cache-control": "public", "Cache-Control ": "private"}, None)


@pytest.mark.parametrize("cache_control", [False, True])
@pytest.mark.parametrize("headers", NOT_SHARED)
@pytest.mark.parametrize("status", [200, 404])
def test_whatever_the_setting(headers: dict[str, str], status: int, cache_control: bool) -> None:
    """What is not for everyone is passed on whether or not cache_control is on, TMDB's 404 included."""
    ask = classify("GET", f"https://api.themoviedb.org{MOVIE}", {}).ask  # type: ignore[union-attr]
    body = OK if status == 200 else b'{"success": false, "status_code": 34, "status_message": "-"}'
    rules = CacheConfig(cache_control=cache_control).policy
    for found in (None, entry(-60, 20 * DAY)):
        judged = judge(Reply(status, headers=headers, body=body), ask, found, rules, False, NOW)
        assert judged.verdict is Verdict.PASS_ON
        assert judged.why.startswith("its ")


@pytest.mark.parametrize("headers", NOT_SHARED)
def test_a_304_is_judged_as_an_answer_is(headers: dict[str, str]) -> None:
    """A 304 that says so, or comes for an entry that does, renews nothing: the whole answer is fetched."""
    ask = classify("GET", f"https://api.themoviedb.org{MOVIE}", {}).ask  # type: ignore[union-attr]
    rules = CacheConfig().policy
    for said, kept in ((headers, {}), ({}, headers), ({}, {})):
        found = entry(-60, 20 * DAY)._replace(headers={"ETag": ETAG, **kept})
        judged = judge(Reply(304, headers={"ETag": ETAG, **said}), ask, found, rules, True, NOW)
        assert judged.verdict is (Verdict.FETCH_AGAIN if said or kept else Verdict.RENEW)


@pytest.fixture(params=["install", "backend"])
def ask_for(
    request: pytest.FixtureRequest,
    cache: TMDBCache,
    tmdb: StandIn,
    make_session: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Any]:
    """Make a call through install() or through requests-cache's own session."""
    if request.param == "install":

        def ask_for(path: str = MOVIE) -> Any:
            with enabled(cache):
                return get(tmdb, path)

        return ask_for
    monkeypatch.setenv("TMDB_CACHE_HOSTS", tmdb.host)
    session = make_session(expire_after=3600, stale_if_error=True)
    return lambda path=MOVIE: get(tmdb, path, session=session)


class TestWholeCalls:
    def test_passed_on(self, ask_for, tmdb, collection):
        """The caller gets such an answer as it came, each time from TMDB, and nothing is stored."""
        for headers in NOT_SHARED:
            tmdb.answer(MOVIE, headers={"Content-Type": "application/json", **headers}, body=BODY)
            before = tmdb.count
            for _ in range(2):
                response = ask_for()
                assert (response.content, response.from_cache) == (BODY, False)
                assert headers.items() <= dict(response.headers).items()
            assert tmdb.count == before + 2
        assert collection.count_documents({}) == 0

    def test_the_older_answer_stays(self, ask_for, tmdb, collection):
        """What was stored before stays, and stands in when TMDB fails: what is said of the new answer is not of it."""
        older = ask_for().content
        kept = expire(collection)
        tmdb.answer(MOVIE, headers={"Cache-Control": "no-store"}, body=BODY)
        assert ask_for().content == BODY
        assert collection.find_one({"_id": KEY}) == kept
        tmdb.fail("503")
        assert ask_for().content == older

    def test_a_304(self, ask_for, tmdb, collection):
        """A 304 that says so leaves the entry as it was, and the caller gets an answer all the same."""
        older = ask_for().content
        kept = expire(collection)
        headers = {"ETag": kept["headers"]["ETag"], "Vary": "Cookie"}

        def answer(call):
            conditional = "if-none-match" in {name.lower() for name in call.headers}
            tmdb.answer(MOVIE, status=304 if conditional else 200, headers=headers, body=b"" if conditional else BODY)

        tmdb.on_call = answer
        for _ in range(2):
            response = ask_for()
            assert response.status_code == 200
            assert response.content in (older, BODY)
        assert collection.find_one({"_id": KEY}) == kept

    def test_a_redirect(self, ask_for, tmdb, collection):
        """A redirect that says so is not stored, nor what it leads to under its key."""
        key = KEY.replace("550", "1")
        for headers in NOT_SHARED:
            tmdb.answer("/3/movie/1", status=301, headers={"Location": WITH_KEY, **headers})
            tmdb.calls.clear()
            for _ in range(2):
                assert ask_for("/3/movie/1").status_code == 200
            assert [call.path for call in tmdb.calls].count("/3/movie/1") == 2
            assert collection.count_documents({"_id": key}) == 0
        tmdb.answer("/3/movie/1", status=301, headers={"Location": WITH_KEY, "Cache-Control": "no-cache"})
        assert ask_for("/3/movie/1").history
        assert collection.count_documents({"_id": key}) == 1

    def test_certifications(self, ask_for, tmdb):
        """The lists of certifications are stored, though TMDB calls them private."""
        for path in sorted(SAID_PRIVATE):
            tmdb.answer(path, headers={"Cache-Control": AS_TMDB_SAYS}, body=b'{"certifications": {"DE": []}}')
            assert [ask_for(path).from_cache for _ in range(2)] == [False, True]

    def test_no_reading_of_it_in_the_log(self, cache, tmdb, caplog):
        """One line at DEBUG says why; it repeats nothing that the header says."""
        tmdb.answer(MOVIE, headers={"Vary": "0123456789abcdef0123456789abcdef"}, body=BODY)
        with caplog.at_level(logging.DEBUG, "tmdb_mongo_cache"), enabled(cache):
            assert "stored" not in status_of(get(tmdb))
        lines = [r.getMessage() for r in caplog.records if "not stored" in r.getMessage()]
        assert lines == [f"{KEY}: not stored: its Vary names more than Accept-Encoding and Origin"]
        assert "0123456789abcdef" not in caplog.text


def test_taken_over_from_another_store(
    make_session: Callable[..., Any], tmdb: StandIn, collection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MongoBackend.update() leaves such answers where they are."""
    monkeypatch.setenv("TMDB_CACHE_HOSTS", tmdb.host)
    with requests_cache.CachedSession(backend="memory") as other:
        for number, headers in enumerate([{"Vary": "Origin"}, *NOT_SHARED]):
            tmdb.answer(f"/3/movie/{number}", headers=headers, body=b'{"id": %d}' % number)
            get(tmdb, f"/3/movie/{number}", session=other)
        assert len(other.cache.responses) == 1 + len(NOT_SHARED)
        make_session().cache.update(other.cache)
    assert [document["tmdb_id"] for document in collection.find()] == [0]


def test_certifications_with_cache_control(make_cache: Callable[..., TMDBCache], tmdb: StandIn) -> None:
    """With cache_control=True they are stored too, are never fresh, and stand in when TMDB fails."""
    tmdb.answer(CERTIFICATIONS, headers={"Cache-Control": AS_TMDB_SAYS}, body=b'{"certifications": {"DE": []}}')
    with enabled(make_cache(cache_control=True)):
        assert [get(tmdb, CERTIFICATIONS).from_cache for _ in range(2)] == [False, False]
        tmdb.fail("503")
        assert get(tmdb, CERTIFICATIONS).from_cache


def test_certifications_are_imported(cache: TMDBCache, tmdb: StandIn, other: Other, tmp_path: Path) -> None:
    """A copy of what TMDB calls private for everyone is taken back."""
    tmdb.answer(CERTIFICATIONS, headers={"Cache-Control": AS_TMDB_SAYS}, body=b'{"certifications": {"DE": []}}')
    with enabled(cache):
        get(tmdb, CERTIFICATIONS)
    cache.export_entries(tmp_path / "copy.jsonl")
    assert other[0].import_entries(tmp_path / "copy.jsonl") == ImportReport(imported=1)


def test_a_redirect_in_a_copy(cache: TMDBCache, tmdb: StandIn, other: Other, tmp_path: Path) -> None:
    """A copy whose redirect says that it is not for everyone is refused."""
    file = tmp_path / "copy.jsonl"
    tmdb.answer("/3/movie/1", status=301, headers={"Location": WITH_KEY})
    with enabled(cache):
        requests.get(f"{tmdb.url}/3/movie/1", params=ANY_KEY, timeout=5)
    cache.export_entries(file)
    assert '"history"' in file.read_text()
    rewrite(file, lambda line: line["history"][0]["headers"].update(Vary="Cookie"))
    report = other[0].import_entries(file)
    assert [why for _, why in report.refused] == ["its Vary names more than Accept-Encoding and Origin"]


@pytest.mark.skipif(not RECORDINGS.exists(), reason="the recordings are not beside the checkout")
def test_every_recorded_answer_is_stored() -> None:
    """Nothing in the headers of TMDB's own answers keeps one of them from being stored."""
    seen = 0
    for line in RECORDINGS.read_text(encoding="utf-8").splitlines():
        exchange = json.loads(line)
        headers = {k: ", ".join(v) if isinstance(v, list) else v for k, v in exchange["headers"].items()}
        query = "&".join(f"{name}={value}" for name, value in exchange["query"])
        call = classify("GET", f"https://api.themoviedb.org{exchange['path']}?{query}", {})
        assert call is not None
        if exchange["status"] != 200 or call.straight:
            continue
        reply = Reply(200, headers=headers, body=json.dumps(exchange["body"]).encode())
        assert judge(reply, call.ask, None, CacheConfig().policy, False, NOW).verdict is Verdict.STORE
        seen += 1
    assert seen >= 40


def test_a_hop_alone() -> None:
    """A redirect to the same call by another scheme is not kept, so what it says does not matter."""
    url = f"https://api.themoviedb.org{MOVIE}"
    call = classify("GET", url.replace("https", "http"), {})
    assert call is not None
    hop = Hop(call.url, 301, "", {"Location": url, "Cache-Control": "no-store", "Vary": "Upgrade"}, b"")
    kept = kept_form(call, Reply(200, body=OK, url=url, history=(hop,)))
    assert (kept.keepable, kept.history) == (True, ())
