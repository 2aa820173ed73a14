"""Answers that say of themselves that they are not for everyone are passed on and not stored."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
import requests_cache

from tmdb_mongo_cache import ImportReport, TMDBCache, enabled
from tmdb_mongo_cache.standin import StandIn
from tmdb_mongo_cache.tmdb.endpoints import MARKED_PRIVATE

from .flowkit import ANY_KEY, API_KEY, KEY, MOVIE, expire, get, status_of
from .rules.test_sharing import NOT_SHARED
from .transferkit import Other, other_fixture, rewrite  # noqa: F401  a fixture

CERTIFICATIONS = "/3/certification/movie/list"
AS_TMDB_SAYS = "must-revalidate, max-age=0, private"
WITH_KEY = f"{MOVIE}?api_key={API_KEY}"
BODY = b'{"id": 550, "title": "Fight Club"}'


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
        for path in sorted(MARKED_PRIVATE):
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
