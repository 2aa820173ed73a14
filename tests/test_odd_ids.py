"""Documents whose ``_id`` is no text, of whatever type BSON has, in the way of nothing that goes through the keys."""

from __future__ import annotations

import uuid
from datetime import datetime, timezone

import bson
import pytest
from bson.datetime_ms import DatetimeMS
from bson.raw_bson import RawBSONDocument

from tmdb_mongo_cache import MongoBackend, enabled

from .flowkit import KEY, MOVIE, START, expire, get, status_of
from .transferkit import lines_of

OTHER, OTHER_KEY = "/3/movie/1", f"{START}/3/movie/1"

TEXTS = ("", "x", "Zorro", "GET api.themoviedb.org", "GET api.themoviedb.org0", "GET example.org/3/movie/550")
HASHED = [
    *(1, bson.Int64(2**40), 2.5, float("nan"), None, True, b"x", *TEXTS),
    *(bson.Binary(b"1" * 16, 3), bson.Binary.from_uuid(uuid.UUID(int=1)), bson.Binary(b"q", 128), bson.ObjectId()),
    *(datetime(2020, 1, 1, tzinfo=timezone.utc), DatetimeMS(2**60), bson.Timestamp(1, 1), bson.MinKey(), bson.MaxKey()),
    bson.DBRef("x", 1),
]
UNHASHABLE = [
    *(
        {"a": 1},
        {},
        {"a": {"b": [1]}},
        bson.Decimal128("1.5"),
        bson.Code("GET api.themoviedb.org/3/movie/550"),
        bson.Code("x", {"a": 1}),
    ),
]
ODD = [*HASHED, *UNHASHABLE]


@pytest.fixture
def remembering(make_cache, tmdb, collection):
    """A cache with a memory tier, which remembers two films of which MongoDB says that they have expired."""
    cache = make_cache(memory_ttl=60)
    with enabled(cache):
        for path in (MOVIE, OTHER):
            get(tmdb, path)
        assert is_remembered(tmdb)
        yield cache


def is_remembered(tmdb, path: str = MOVIE) -> bool:
    return status_of(get(tmdb, path)).get("detail") == "memory"


class TestRequestsCache:
    @pytest.mark.parametrize("odd", UNHASHABLE, ids=repr)
    @pytest.mark.parametrize("by", ["delete", "bulk_delete", "keys"])
    def test_forgotten(self, tmdb, remembering, collection, make_session, odd, by):
        """What a session's cache deletes is forgotten in memory, whatever other keys are deleted with it."""
        collection.insert_one({"_id": odd})
        for key in (KEY, OTHER_KEY):
            expire(collection, key)
        cache = make_session().cache
        if by == "delete":
            cache.delete(expired=True, invalid=True)
        elif by == "bulk_delete":
            cache.responses.bulk_delete([odd, *cache.responses])
        else:
            for key in [odd, *cache.responses]:
                cache.responses.pop(key, None)
        assert list(collection.find()) == []
        assert not is_remembered(tmdb)
        assert not is_remembered(tmdb, OTHER)

    def test_gone_through(self, tmdb, remembering, collection, make_session, caplog):
        """A session's cache is gone through as if it held its answers alone, and nothing is said of the rest."""
        collection.insert_many([*({"_id": one} for one in ODD), unreadable({}, f"{KEY}?MARKED")])
        cache = make_session().cache
        assert len(cache.responses) == 2 + len(ODD) + 1
        assert len(list(cache.responses)) == 2 + len(ODD)
        assert len(list(cache.filter())) == 2
        assert len(cache.urls()) == 2
        assert [response.status_code for response in cache.filter(valid=False, invalid=True)].count(504) == len(ODD)
        cache.recreate_keys()
        assert collection.count_documents({}) == 2 + len(ODD) + 1
        assert caplog.records == []

    def test_contained(self, collection, make_session):
        """A key of any type is asked for and deleted as any other."""
        cache = make_session().cache
        for odd in ODD:
            assert not cache.contains(odd)
            collection.insert_one({"_id": odd, "url": "x"})
            del cache.responses[odd]
            with pytest.raises(KeyError):
                del cache.responses[odd]
        assert collection.count_documents({}) == 0

    def test_taken_over(self, tmdb, remembering, collection, make_session, mongo, database, monkeypatch):
        """Another cache's answers are taken over from among documents of any kind, which stay what they are."""
        monkeypatch.setenv("TMDB_CACHE_HOSTS", tmdb.host)
        collection.insert_many([{"_id": one} for one in ODD])
        MongoBackend(f"{database}_2", connection=mongo).update(make_session().cache)
        taken = mongo[f"{database}_2"]["tmdb_cache"]
        assert {document["_id"] for document in taken.find({"schema": 1}, {"_id": 1})} == {KEY, OTHER_KEY}
        mongo.drop_database(f"{database}_2")

    def test_redirects(self, collection, make_session):
        """Redirects that lead nowhere are removed from among documents of any kind."""
        redirects = collection.database["tmdb_cache_redirects"]
        redirects.insert_many(
            [*({"_id": one} for one in ODD), {"_id": "a", "data": {"a": 1}}, {"_id": "b", "data": "c"}]
        )
        make_session().cache.delete("x")
        assert redirects.find_one({"_id": "b"}) is None


class TestTMDBCache:
    def test_by_hand(self, tmdb, remembering, collection, make_cache, tmp_path):
        """Entries are listed, counted, exported, found to be changed, and purged among documents of any kind."""
        some = collection.find_one({"_id": KEY})
        collection.insert_many([{**some, "_id": one, "changed_at": some["timestamp"]} for one in ODD])
        keys = {KEY, OTHER_KEY}
        assert {entry.key for entry in remembering.entries()} == keys | {*TEXTS}
        assert remembering.count_entries() == 2 + len(TEXTS)
        remembering.export_entries(tmp_path / "all")
        assert len(lines_of(tmp_path / "all")) == 1 + 2
        other = make_cache(collection="other")
        other.import_entries(tmp_path / "all")
        assert {entry.key for entry in other.entries()} == keys
        assert remembering.purge(everything=True) == 2 + len(ODD)

    def test_purged(self, remembering, collection):
        """purge() deletes what lies under TMDB's keys or is marked as ours, and nothing of others."""
        collection.insert_many(
            [
                *({"_id": one} for one in ODD),
                {"_id": f"GET api.themoviedb.org{MOVIE}?damaged"},
                {"_id": "z", "schema": 2},
            ]
        )
        assert remembering.purge(everything=True) == 2 + 2
        assert collection.count_documents({}) == len(ODD)

    def test_changed(self, tmdb, remembering, collection):
        """What a change made stale is fetched again from among documents of any kind."""
        mark_changed(collection, KEY)
        report = remembering.refresh_changes(api_key="any", base_url=tmdb.url, rate=5000, prefetch=True)
        assert (report.fetched, report.failed) == (1, ())
        assert "changed_at" not in collection.find_one({"_id": KEY})

    def test_near(self, tmdb, make_cache, collection):
        """An answer that contains another is found beside a key that cannot be read."""
        cache = make_cache(reuse_appended=True)
        with enabled(cache):
            get(tmdb, params={"append_to_response": "credits"})
            collection.insert_one(unreadable(collection.find_one({}), f"{KEY}?append_to_response=credits,MARKED"))
            assert status_of(get(tmdb, f"{MOVIE}/credits"))["detail"] == "reused"


def mark_changed(collection, key):
    """Write what the change feed writes about an entry, and the same under keys of every kind."""
    some = {**collection.find_one({"_id": key}), "changed_at": datetime.now(timezone.utc)}
    ends = datetime.now(timezone.utc)
    collection.replace_one({"_id": key}, {**some, "expires_at": ends})
    collection.insert_many([*({**some, "_id": one} for one in ODD if one not in TEXTS)])
    collection.insert_one(unreadable(some, f"{key}?MARKED"))


def unreadable(document, key):
    """Return a document under a key that is not UTF-8."""
    return RawBSONDocument(bson.encode({**document, "_id": key}).replace(b"MARKED", b"\xff\xfe\xc0\xaf\xed\xa0"))
