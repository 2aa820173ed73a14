"""Documents of others, damaged ones, and responses that MongoDB cannot hold whole."""

import contextlib
import random

import bson
import pytest
from bson.raw_bson import RawBSONDocument

from tmdb_mongo_cache import enabled

from .flowkit import KEY, get, replaced

pytestmark = pytest.mark.any_database


class TestForeignDocuments:
    @pytest.mark.parametrize("document", [{}, {"value": b"\x80\x05pickle"}, {"a": {"b": {"c": 1}}}])
    def test_anything(self, tmdb, cache, collection, document):
        """A document of another program under our key is a miss."""
        collection.insert_one({"_id": KEY, **document})
        assert replaced(tmdb, cache, collection)

    def test_requests_cache(self, tmdb, cache, collection, mongo, mongo_uri, database):
        """A document that requests-cache's own backend wrote under our key is a miss."""
        from requests_cache import CachedSession, MongoCache

        with CachedSession(backend=MongoCache(database, host=mongo_uri)) as session:
            get(tmdb, session=session)
        document = mongo[database]["responses"].find_one({})
        collection.insert_one({**document, "_id": KEY})
        assert replaced(tmdb, cache, collection)

    def test_never_unpickled(self, tmdb, cache, collection, superseded, tmp_path):
        """Nothing in a document is ever executed."""
        import pickle

        class Bomb:
            def __reduce__(self):
                return (open, (str(tmp_path / "bang"), "w"))

        for name in ("body", "value", "data", "response"):
            collection.update_one({}, {"$set": {name: pickle.dumps(Bomb())}})
            with enabled(cache):
                get(tmdb)
        assert not (tmp_path / "bang").exists()

    def test_listed(self, tmdb, cache, collection, superseded):
        """entries() lists what is an entry and passes over the rest; clear() takes it all."""
        collection.insert_many(
            [{"_id": 1}, {"_id": "x", "schema": 2}, {"_id": {"a": 1}}, {**superseded, "_id": "y", "status": "200"}]
        )
        assert [entry.key for entry in cache.entries()] == [KEY]
        assert cache.clear() == 5


class TestBytes:
    @pytest.mark.parametrize("name", ["reason", "media_type", "endpoint", "headers.X"])
    def test_invalid_utf8(self, tmdb, cache, collection, superseded, name):
        """A text that is not UTF-8 makes the document a miss."""
        head, _, tail = name.partition(".")
        marked = {**superseded, head: {**superseded["headers"], tail: "MARKED"} if tail else "MARKED"}
        encoded = bson.encode(marked).replace(b"MARKED", b"\xff\xfe\xc0\xaf\xed\xa0")
        collection.delete_many({})
        collection.insert_one(RawBSONDocument(encoded))
        assert replaced(tmdb, cache, collection)
        assert cache.clear() == 1

    def test_fuzzed(self, tmdb, make_cache, mongo, database, collection, superseded):
        """Random damage to a document's bytes never raises and never changes a response's status or length."""
        cache, dice = make_cache(), random.Random(550)
        small = {**superseded, "body": b'{"id": 550}', "data": {}, "headers": {"ETag": '"1"'}}
        encoded = bson.encode(small)
        for _ in range(60):
            damaged = bytearray(encoded)
            for _ in range(dice.randint(1, 4)):
                damaged[dice.randrange(30, len(damaged) - 1)] = dice.randrange(256)
            collection.delete_many({})
            with contextlib.suppress(Exception):
                collection.insert_one(RawBSONDocument(bytes(damaged)))
            with enabled(cache):
                assert get(tmdb).status_code in (200, 404)
