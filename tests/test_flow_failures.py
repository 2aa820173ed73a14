"""TMDB failing in each way it can: the last good answer, or exactly what there is without the cache."""

import pytest
import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from tmdb_mongo_cache import disabled, enabled

from .flowkit import API_KEY, MOVIE, START, expire, get, status_of, warnings

pytestmark = pytest.mark.any_database

ERRORS = ["refuse", "reset", "timeout", "truncated"]
STATUSES = ["429", "500", "502", "503", "504"]
BROKEN = ["not-json", "gzip-unlabelled", "empty"]
FAILURES = ERRORS + STATUSES + BROKEN


def patience(name):
    """Return the timeout for a call under a fault: short only where it is what the fault is about."""
    return 0.04 if name == "timeout" else 10


def attempt(tmdb, name, **options):
    """Return what a program gets: the type of the exception, or status and body."""
    try:
        response = get(tmdb, timeout=patience(name), **options)
    except requests.RequestException as error:
        return type(error), str(error).replace(str(id(error)), "").split("object at")[0]
    return response.status_code, response.content


def shown(outcome):
    """Return an outcome without the addresses in memory and times that differ from call to call."""
    first, second = outcome
    return (first, second) if isinstance(first, int) else first


class TestStale:
    @pytest.mark.parametrize("name", FAILURES)
    def test_served(self, tmdb, cache, collection, expired, name, caplog):
        """However TMDB fails, the last good answer is served, with one warning, and stays as it was."""
        tmdb.fail(name)
        with enabled(cache):
            response = get(tmdb, timeout=patience(name))
        assert (response.status_code, response.content) == (200, expired["body"])
        assert (response.from_cache, response.is_expired) == (True, True)
        assert "stored" not in status_of(response)
        assert len(warnings(caplog)) == 1
        assert expired["_id"] in caplog.text
        assert collection.find_one({}) == expired

    @pytest.mark.parametrize("name", FAILURES)
    def test_lapsed(self, tmdb, make_cache, collection, expired, name, caplog):
        """When stale_if_error has lapsed a failure looks as it does without the cache, and the entry survives."""
        tmdb.fail(name)
        plain = attempt(tmdb, name)
        with enabled(make_cache(stale_if_error=30)):
            assert shown(attempt(tmdb, name)) == shown(plain)
        assert collection.find_one({}) == expired
        assert warnings(caplog) == []

    @pytest.mark.parametrize("name", FAILURES)
    def test_nothing_stored(self, tmdb, cache, collection, name, caplog):
        """With nothing stored a failure looks as it does without the cache, and the next good answer is kept."""
        tmdb.fail(name)
        plain = attempt(tmdb, name)
        with enabled(cache):
            assert shown(attempt(tmdb, name)) == shown(plain)
            assert collection.count_documents({}) == 0
            tmdb.heal()
            get(tmdb)
            assert get(tmdb).from_cache
        assert warnings(caplog) == []

    def test_off(self, tmdb, make_cache, expired):
        """stale_if_error=0 and False serve nothing stale."""
        tmdb.fail("503")
        for value in (0, False):
            with enabled(make_cache(stale_if_error=value)):
                assert get(tmdb).status_code == 503

    def test_for_ever(self, tmdb, make_cache, collection):
        """stale_if_error=True serves an answer until the terms of TMDB end it."""
        with enabled(make_cache(stale_if_error=True)):
            get(tmdb)
            expire(collection, since=150 * 86400)
            tmdb.fail("503")
            assert get(tmdb).from_cache
            expire(collection, since=180 * 86400)
            assert get(tmdb).status_code == 503

    def test_caller_says(self, tmdb, cache, expired):
        """A caller's own stale-if-error goes before the setting (RFC 5861)."""
        tmdb.fail("503")
        with enabled(cache):
            assert get(tmdb, headers={"Cache-Control": "stale-if-error=10"}).status_code == 503
            assert get(tmdb, headers={"Cache-Control": "stale-if-error=3600"}).from_cache

    def test_stale_not_found(self, tmdb, cache, collection):
        """A stored 404 stands in for a failing TMDB, too."""
        missing = "/3/movie/999000001"
        with enabled(cache):
            get(tmdb, missing)
            expire(collection, f"{START}{missing}")
            tmdb.fail("503")
            response = get(tmdb, missing)
        assert (response.status_code, response.from_cache) == (404, True)

    def test_retries_used_up(self, tmdb, cache, expired):
        """A session whose own retries end in RetryError gets the last good answer."""
        tmdb.fail("503")
        with requests.Session() as session, enabled(cache):
            session.mount("http://", HTTPAdapter(max_retries=Retry(1, status_forcelist=[503], backoff_factor=0)))
            with disabled(), pytest.raises(requests.exceptions.RetryError):
                get(tmdb, session=session)
            assert get(tmdb, session=session).content == expired["body"]

    def test_recovers(self, tmdb, cache, expired):
        """After a failure the next call asks TMDB again."""
        tmdb.fail("500", times=1)
        with enabled(cache):
            assert get(tmdb).is_expired
            assert not get(tmdb).is_expired
            assert get(tmdb).from_cache
        assert [call.status for call in tmdb.calls] == [200, 500, 304]

    def test_streamed(self, tmdb, cache, expired):
        """A body that breaks off is covered by the last good answer also where the caller streams."""
        tmdb.fail("truncated")
        with enabled(cache), get(tmdb, stream=True) as response:
            assert b"".join(response.iter_content(100)) == expired["body"]


class TestAsWithout:
    @pytest.mark.parametrize("name", ["refuse", "reset", "timeout"])
    def test_request_of_error(self, tmdb, cache, name):
        """An exception's request is the caller's own."""
        tmdb.fail(name)
        request = requests.Request("GET", tmdb.url + MOVIE, params={"api_key": API_KEY}).prepare()
        with requests.Session() as session, enabled(cache):
            with pytest.raises(requests.ConnectionError if name != "timeout" else requests.Timeout) as caught:
                session.send(request, timeout=patience(name))
            assert caught.value.request is request

    def test_retry_after(self, tmdb, cache):
        """A 429 that is passed on keeps its Retry-After."""
        tmdb.fail("429", retry_after=7)
        with enabled(cache):
            assert get(tmdb).headers["Retry-After"] == "7"

    def test_callers_own_mistake(self, tmdb, cache, expired):
        """What requests refuses to send raises as always; a stored answer does not hide it."""
        with enabled(cache), requests.Session() as session:
            with pytest.raises(requests.exceptions.InvalidHeader):
                get(tmdb, session=session, headers={"X": "a\nb"})
            with pytest.raises(ValueError, match="soon"):
                get(tmdb, session=session, timeout="soon", headers={"Cache-Control": "no-cache"})

    def test_too_many_redirects(self, tmdb, cache, collection):
        """A loop of redirects ends as without the cache, and nothing is stored."""
        tmdb.answer(MOVIE, status=302, headers={"Location": MOVIE})
        with enabled(cache), requests.Session() as session:
            session.max_redirects = 3
            with pytest.raises(requests.TooManyRedirects) as caught:
                get(tmdb, session=session)
        assert len(caught.value.response.history) == 3
        assert collection.count_documents({}) == 0


class TestBroken200:
    @pytest.mark.parametrize("name", [*BROKEN, "success-false"])
    def test_not_stored(self, tmdb, cache, collection, name):
        """A 200 that is broken or says it failed is passed on byte for byte and never stored."""
        tmdb.fail(name)
        plain = get(tmdb)
        with enabled(cache):
            for _ in range(2):
                response = get(tmdb)
                assert (response.status_code, response.content) == (200, plain.content)
        assert tmdb.count == 3
        assert collection.count_documents({}) == 0

    @pytest.mark.parametrize("name", ["success-false", "no-append"])
    def test_entry_survives(self, tmdb, cache, collection, name):
        """A 200 that is not what was asked for does not replace a good entry."""
        options = {"params": {"append_to_response": "credits,images"}}
        with enabled(cache):
            key = get(tmdb, **options).cache_key
            before = expire(collection, key)
            tmdb.fail(name)
            response = get(tmdb, **options)
            assert "credits" not in response.json() or response.from_cache
        assert collection.find_one({}) == before

    def test_no_append(self, tmdb, cache, collection):
        """A 200 without what was to be appended is passed on and never stored."""
        tmdb.fail("no-append")
        options = {"params": {"append_to_response": "credits,watch/providers"}}
        with enabled(cache):
            for _ in range(2):
                assert "credits" not in get(tmdb, **options).json()
            assert collection.count_documents({}) == 0
            tmdb.heal()
            assert "watch/providers" in get(tmdb, **options).json()
            assert get(tmdb, **options).from_cache

    def test_one_missing(self, tmdb, cache, collection):
        """One appended key that is missing is enough not to store an answer."""
        tmdb.answer(MOVIE, body=b'{"id": 550, "credits": {}}')
        with enabled(cache):
            get(tmdb, params={"append_to_response": "credits,images"})
            assert collection.count_documents({}) == 0
            get(tmdb, params={"append_to_response": "credits"})
        assert collection.count_documents({}) == 1

    @pytest.mark.parametrize("body", [b"null", b"1", b'"text"', b"true", b"{", b'{"a": }', b"\xff\xfe", b" "])
    def test_no_answer(self, tmdb, cache, collection, body):
        """A 200 whose body is no JSON object or list is passed on and never stored."""
        tmdb.answer(MOVIE, body=body)
        with enabled(cache):
            assert [get(tmdb).content for _ in range(2)] == [body, body]
        assert tmdb.count == 2
        assert collection.count_documents({}) == 0
