"""The six months: nothing is kept or served 180 days after its fetch, whatever the settings, through every door."""

import json
import time
from datetime import datetime, timedelta, timezone

import pytest

from tmdb_mongo_cache import OfflineError, TMDBSession, cached_tmdb, enabled

from .flowkit import MOVIE, get, now, sent, status_of

pytestmark = pytest.mark.any_database

SIX_MONTHS = timedelta(days=180)
FAR = datetime(2099, 1, 1, tzinfo=timezone.utc)
OLD = {"id": 550, "status": "Released", "release_date": "1999-10-15"}


SETTINGS = [
    {"expire_after": -1},
    {"expire_after": timedelta(days=175)},
    {"expire_after": timedelta(days=9999)},
    {"expire_after": FAR},
    {"expire_after": "adaptive"},
    {"expire_after": {"details": -1}},
    {"expire_after": {"details": FAR}},
    {"expire_after": 60, "urls_expire_after": {"*": -1}},
    {"cache_control": True},
    {"stale_while_revalidate": True},
    {"memory_ttl": timedelta(days=400), "expire_after": -1},
    {"offline": False, "reuse_appended": True, "expire_after": -1},
]


@pytest.mark.parametrize("config", SETTINGS, ids=repr)
class TestSixMonths:
    @pytest.fixture
    def cache(self, tmdb, make_cache, config):
        headers = {"Cache-Control": "public, max-age=1000000000", "ETag": '"1"'}
        tmdb.answer(MOVIE, headers=headers, body=json.dumps(OLD).encode())
        return make_cache(**{"stale_if_error": True, **config})

    def test_stored(self, cache, tmdb, collection):
        """Whatever the settings, what is stored ends 180 days after its fetch, confirmed or not."""
        with enabled(cache):
            get(tmdb)
            for days in (0, 100, 179.9):
                fetched = now() - timedelta(days=days)
                changes = {"timestamp": fetched, "expires_at": now() - timedelta(seconds=5)}
                if days:
                    collection.update_one({}, {"$set": changes})
                    if cache.engine.core.memory:
                        cache.engine.core.memory.forget_all()
                    tmdb.answer(MOVIE, status=304, headers={"ETag": '"1"', "Cache-Control": "max-age=1000000000"})
                    cached_tmdb(cache=cache, refresh=True)(get)(tmdb)
                    assert tmdb.calls[-1].status == 304
                document = collection.find_one({})
                assert abs(document["timestamp"] - fetched) < timedelta(seconds=10)
                assert document["expires_at"] <= document["purge_at"] <= document["timestamp"] + SIX_MONTHS
                assert document["expires_at"] > now()

    def test_served(self, cache, tmdb, collection):
        """What was fetched 180 days ago is not served, not to who is offline and not for a TMDB that fails."""
        later = {
            "expires_at": now() + timedelta(days=90),
            "purge_at": now() + timedelta(days=90),
            "validated_at": now(),
        }
        with enabled(cache):
            get(tmdb)
            offline = cached_tmdb(cache=cache, offline=True)(get)
            younger = {**later, "timestamp": now() - SIX_MONTHS + timedelta(hours=1)}
            collection.update_one({}, {"$set": younger})
            if cache.engine.core.memory:
                cache.engine.core.memory.forget_all()
            assert offline(tmdb).from_cache
            collection.update_one({}, {"$set": {**later, "timestamp": now() - SIX_MONTHS}})
            if cache.engine.core.memory:
                cache.engine.core.memory.forget_all()
            with pytest.raises(OfflineError):
                offline(tmdb)
            with TMDBSession(cache) as session:
                assert get(tmdb, session=session, only_if_cached=True).status_code == 504
            tmdb.fail("503")
            assert get(tmdb).status_code == 503
            tmdb.heal()
            assert not get(tmdb).from_cache
            assert "if-none-match" not in sent(tmdb)  # a 304 would confirm what must not be kept
            assert get(tmdb).from_cache
        assert now() - collection.find_one({})["timestamp"] < timedelta(seconds=60)


def test_six_months_in_memory(tmdb, make_cache, collection):
    """What this process remembers is served no later than 180 days after its fetch."""
    cache = make_cache(memory_ttl=timedelta(days=400), expire_after=-1, stale_if_error=True)
    with enabled(cache):
        get(tmdb)
        end = now() + timedelta(seconds=2)
        later = {"expires_at": end + timedelta(days=9), "purge_at": end + timedelta(days=9)}
        collection.update_one({}, {"$set": {**later, "timestamp": end - SIX_MONTHS}})
        cache.engine.core.memory.forget_all()
        places = []
        for _ in range(2000):
            before = now()
            found = get(tmdb)
            if not found.from_cache:
                break
            assert before < end
            places.append(status_of(found)["detail"])
            time.sleep(0.01)
        assert set(places[1:]) <= {"memory"}
        assert not found.from_cache
        assert now() >= end
        assert tmdb.count == 2


@pytest.mark.parametrize("wanted", [-1, timedelta(days=400), FAR, None], ids=str)
@pytest.mark.parametrize("own_keys", [False, True])
def test_requests_cache(tmdb, collection, make_tmdb_session, monkeypatch, wanted, own_keys):
    """Under requests-cache, too, nothing outlasts 180 days from its fetch, and no 304 restarts them."""
    monkeypatch.setenv("TMDB_CACHE_EXPIRE_AFTER", "-1")
    own = {"match_headers": ["X-Flavour"]} if own_keys else {}
    headers = {"X-Flavour": "a"}
    expire_after = {} if wanted is None else {"expire_after": wanted}
    session = make_tmdb_session(stale_if_error=True, **expire_after, **own)
    get(tmdb, session=session, headers=headers)
    fetched = now() - timedelta(days=179.9)
    collection.update_one({}, {"$set": {"timestamp": fetched, "expires_at": now() - timedelta(seconds=5)}})
    get(tmdb, session=session, headers=headers)
    assert tmdb.calls[-1].status == 304
    document = collection.find_one({})
    assert abs(document["timestamp"] - fetched) < timedelta(seconds=1)
    assert document["expires_at"] <= document["purge_at"] <= document["timestamp"] + SIX_MONTHS
    later = now() + timedelta(days=90)
    changes = {"timestamp": now() - SIX_MONTHS, "expires_at": later, "purge_at": later}
    collection.update_one({}, {"$set": changes})
    found = get(tmdb, session=session, headers=headers)
    assert (found.from_cache, tmdb.calls[-1].status, "if-none-match" in sent(tmdb)) == (False, 200, False)
