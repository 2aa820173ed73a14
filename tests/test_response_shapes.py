"""The answer fits the question: what is no answer to a path is passed on as it came, and neither stored nor taken."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
import requests_cache

from tmdb_mongo_cache import ConfigError, MongoBackend, TMDBCache, enabled
from tmdb_mongo_cache.standin import StandIn
from tmdb_mongo_cache.testing.recording import Recording

from .flowkit import API_KEY, MOVIE, expire, get, status_of
from .rules.test_response_shapes import FAILED, PORTALS, TEMPLATES, dump, filled, unfitting
from .transferkit import file_fixture, rewrite  # noqa: F401 - the fixture is used by its name

pytestmark = pytest.mark.any_database


class TestCalls:
    def test_passed_on(self, tmdb: StandIn, cache: TMDBCache, collection: Any) -> None:
        """At every path what does not fit reaches the caller byte for byte and leaves nothing; what fits is kept."""
        with enabled(cache), requests.Session() as session:
            for number, template in enumerate(TEMPLATES):
                path = filled(template)
                wrong = [*unfitting(template)]
                body = wrong[7 * number % len(wrong)]
                tmdb.answer(path, headers={"Content-Type": "text/html"}, body=body)
                found = get(tmdb, path, session=session)
                assert (found.content, found.from_cache, "stored" in status_of(found)) == (body, False, False)
            assert collection.count_documents({}) == 0
            tmdb.reset()
            for template in TEMPLATES[::7]:
                assert "stored" in status_of(get(tmdb, filled(template)))
                assert get(tmdb, filled(template)).from_cache

    @pytest.mark.parametrize("data", [{}, [], PORTALS[0], FAILED[1], {"id": 551, "title": "another"}])
    def test_older_answer(self, tmdb: StandIn, cache: TMDBCache, collection: Any, data: Any) -> None:
        """An older answer is not replaced: it is there when TMDB fails afterwards."""
        body = dump(data)
        with enabled(cache):
            whole = get(tmdb).content
            expire(collection)
            before = collection.find_one({})
            tmdb.answer(MOVIE, body=body)
            assert get(tmdb).content == body
            assert collection.find_one({}) == before
            tmdb.fail("503")
            assert get(tmdb).content == whole

    @pytest.mark.parametrize(("number", "is_kept"), [(550, True), (1, False)])
    def test_redirects(self, tmdb: StandIn, cache: TMDBCache, collection: Any, number: int, is_kept: bool) -> None:
        """After a redirect the question is where it led."""
        tmdb.answer("/3/movie/1", status=301, headers={"Location": f"{MOVIE}?api_key={API_KEY}"})
        tmdb.answer(MOVIE, body=dump({"id": number}))
        with enabled(cache):
            assert get(tmdb, "/3/movie/1").json() == {"id": number}
        assert collection.count_documents({}) == is_kept


class TestOtherWays:
    @pytest.mark.parametrize("template", ["/3/movie/{movie_id}", "/3/tv/{series_id}/images", "/3/genre/movie/list"])
    def test_imports(self, template: str, tmdb: StandIn, cache: TMDBCache, collection: Any, file: Path) -> None:
        """An import refuses what does not fit its key, and says so in one sentence."""
        path = filled(template)
        with enabled(cache):
            get(tmdb, path)
        cache.export_entries(file)
        collection.delete_many({})
        whole = file.read_text("utf-8").splitlines()
        wrong = [body.decode() for body in unfitting(template)]
        lines = [json.dumps(json.loads(whole[1]) | {"body": body}) for body in wrong]
        file.write_text("\n".join([whole[0], *lines]) + "\n", encoding="utf-8")
        report = cache.import_entries(file)
        assert [number for number, _ in report.refused] == [*range(2, len(wrong) + 2)]
        assert all(re.fullmatch(r"its response cannot be cached: [^{}\"]+", why) for _, why in report.refused)
        assert collection.count_documents({}) == 0

    def test_recordings(self, tmdb: StandIn, cache: TMDBCache, file: Path) -> None:
        """A recording with such an answer is not played: one sentence names the line."""
        with enabled(cache):
            get(tmdb)
        cache.export_entries(file)
        cache.clear()
        rewrite(file, lambda line: line.update(body='{"id": 551}'))
        with pytest.raises(ConfigError, match="line 2: its response cannot be cached: its id is not that"):
            Recording(file, cache, "pytest").play()

    def test_imports_of_redirects(self, tmdb: StandIn, cache: TMDBCache, file: Path) -> None:
        """An entry that redirects led to is held against where they led."""
        tmdb.answer("/3/movie/1", status=301, headers={"Location": f"{MOVIE}?api_key={API_KEY}"})
        with enabled(cache):
            get(tmdb, "/3/movie/1")
        cache.export_entries(file)
        cache.clear()
        assert cache.import_entries(file).imported == 1
        cache.clear()
        rewrite(file, lambda line: line.update(body='{"id": 1}'))
        assert len(cache.import_entries(file).refused) == 1

    def test_requests_cache(
        self, tmdb: StandIn, make_session: Callable[..., Any], collection: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A session of requests-cache on MongoBackend passes it on and stores nothing, nor does ``update``."""
        monkeypatch.setenv("TMDB_CACHE_HOSTS", tmdb.host)
        session = make_session()
        tmdb.answer(MOVIE, body=b'{"id": 551}')
        assert [session.get(tmdb.url + MOVIE).json() for _ in range(2)] == [{"id": 551}] * 2
        own = requests_cache.CachedSession(backend="memory")
        own.get(tmdb.url + MOVIE)
        tmdb.reset()
        own.get(f"{tmdb.url}/3/movie/1?api_key=any")
        session.cache.update(own.cache)
        assert isinstance(session.cache, MongoBackend)
        assert [document["tmdb_id"] for document in collection.find({})] == [1]

    def test_warm(self, tmdb: StandIn, make_cache: Callable[..., TMDBCache], collection: Any) -> None:
        """Warming counts it as a failure of that title, and goes on."""
        tmdb.answer("/3/movie/2", body=b'{"id": 1}')
        report = make_cache().warm([1, 2, 3], api_key="any", base_url=tmdb.url, rate=5000)
        assert (report.fetched, [name for name, _ in report.failed]) == (2, ["movie 2"])
        assert collection.count_documents({}) == 2

    def test_reuse(self, tmdb: StandIn, make_cache: Callable[..., TMDBCache], collection: Any) -> None:
        """No part is cut out of an answer that does not fit, as an older version may have stored it."""
        cache = make_cache(reuse_appended=True)
        with enabled(cache):
            get(tmdb, params={"append_to_response": "credits"})
            body = collection.find_one({})["body"].replace(b'"id":550,', b'"id":551,', 1)
            collection.update_one({}, {"$set": {"body": body}, "$unset": {"checksum": 1}})
            assert not get(tmdb, f"{MOVIE}/credits").from_cache
            assert "reused" not in get(tmdb, f"{MOVIE}/credits").headers["Cache-Status"]
