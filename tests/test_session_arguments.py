"""The arguments for single calls that a TMDBSession takes, by requests-cache's names."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone

import pytest
import requests

from tmdb_mongo_cache import ConfigError

pytestmark = pytest.mark.any_database


def test_it_is_cached(call, tmdb):
    """A second call comes from the cache, by get, request and send."""
    first, second = call(), call()
    assert (first.from_cache, second.from_cache, tmdb.count) == (False, True, 1)
    assert first.content == second.content


def test_expire_after(call, collection):
    """expire_after= is for this answer."""
    for wanted in (60, timedelta(minutes=1), datetime.now(timezone.utc) + timedelta(minutes=1)):
        collection.delete_many({})
        call(expire_after=wanted)
        found = collection.find_one()
        assert 55 <= (found["expires_at"] - found["timestamp"]).total_seconds() <= 61


def test_expire_after_shorter_than_the_stored(call, collection, tmdb):
    """expire_after= shorter than the age of the stored answer asks TMDB again, as in requests-cache."""
    call()
    past = datetime.now(timezone.utc) - timedelta(minutes=2)
    collection.update_one({}, {"$set": {"timestamp": past}})
    assert call(expire_after=300).from_cache
    assert tmdb.count == 1
    call(expire_after=60)
    assert [found.status for found in tmdb.calls] == [200, 304]


def test_do_not_cache(call, collection, tmdb):
    """expire_after=DO_NOT_CACHE (requests-cache's constant) neither looks up nor stores."""
    from requests_cache import DO_NOT_CACHE

    call(expire_after=DO_NOT_CACHE)
    assert collection.count_documents({}) == 0
    call()
    assert not call(expire_after=DO_NOT_CACHE).from_cache
    assert tmdb.count == 3


def test_refresh(call, tmdb, film):
    """refresh=True asks TMDB whether a fresh answer has changed, and takes a changed one."""
    call()
    assert call(refresh=True).from_cache
    tmdb.change("/3/movie/550")
    assert not call(refresh=True).from_cache
    assert call().from_cache
    assert [found.status for found in tmdb.calls] == [200, 304, 200]


def test_force_refresh(call, tmdb):
    """force_refresh=True fetches anew and replaces what was stored."""
    call()
    tmdb.change("/3/movie/550")
    fetched = call(force_refresh=True)
    assert not fetched.from_cache
    assert [found.status for found in tmdb.calls] == [200, 200]
    assert call().content == fetched.content


def test_only_if_cached(call, tmdb):
    """only_if_cached=True gives a 504 instead of a call, and what is in the cache."""
    missing = call(only_if_cached=True)
    assert (missing.status_code, tmdb.count) == (504, 0)
    assert not missing.ok
    with pytest.raises(requests.HTTPError):
        missing.raise_for_status()
    call()
    assert call(only_if_cached=True).status_code == 200
    assert tmdb.count == 1


def test_arguments_hold_for_one_call(call, tmdb):
    """An argument of one call does nothing to the next, also after an exception."""
    call(only_if_cached=True)
    assert call().status_code == 200
    tmdb.fail("reset", times=1)
    with pytest.raises(requests.ConnectionError):
        call(force_refresh=True)
    assert call().from_cache


def test_arguments_in_threads(session, film, tmdb):
    """Arguments of calls in threads of one session do not mix."""
    session.get(film)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda n: session.get(f"{film}{n % 7}", only_if_cached=n % 2 == 0), range(28)))
    assert all(response.status_code in (200, 504 if n % 2 == 0 else 200) for n, response in enumerate(found))


def test_no_argument_reaches_tmdb(session, film, tmdb):
    """None of the arguments shows in what is sent."""
    session.get(film)
    session.get(film, refresh=True, expire_after=60)
    plain, conditional = (set(call.headers) for call in tmdb.calls)
    assert conditional - plain == {"If-None-Match"}
    assert tmdb.calls[0].query == tmdb.calls[1].query == [("api_key", "any")]


@pytest.mark.parametrize("options", [{"expire_after": "soon"}, {"expire_after": -7}, {"refresh": "yes"}])
def test_bad_arguments(session, film, options, tmdb):
    """A bad value of an argument is a ConfigError before anything is sent; an unknown name a TypeError."""
    with pytest.raises(ConfigError):
        session.get(film, **options)
    with pytest.raises(TypeError):
        session.get(film, expire_afterr=3)
    assert tmdb.count == 0
