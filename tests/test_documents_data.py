"""What BSON cannot hold is cached by its body; what MongoDB cannot hold is returned and not stored."""

import json

import pytest

from tmdb_mongo_cache import enabled
from tmdb_mongo_cache.core.memory import forget_everything
from tmdb_mongo_cache.mongo.document import checksum

from .flowkit import KEY, MOVIE, ODD, get, status_of


def nested(depth, inner="1"):
    return ('{"a":' * depth + inner + "}" * depth).encode()


def cached(tmdb, cache, body):
    """Make two calls; say whether both give the body, and the second one from the cache."""
    tmdb.answer(ODD, body=body)
    with enabled(cache):
        first, second = get(tmdb, ODD), get(tmdb, ODD)
    assert (first.content, second.content) == (body, body)
    assert (cache.stats().store_errors, "stored" in status_of(first)) == (0, second.from_cache)
    return (second.from_cache, tmdb.count) == (True, 1)


class TestNotForBson:
    @pytest.mark.parametrize(
        "body",
        [
            b'{"id": 9223372036854775808}',
            b'{"id": -9223372036854775809}',
            b'{"id": 1' + b"0" * 400 + b"}",
            b'{"a\\u0000b": 1}',
            b'{"x": {"\\u0000": 1}}',
            b'{"title": "\\ud800"}',
            b'{"\\udfff": 1}',
            b'[{"a\\u0000": 1}]',
            nested(150, "9223372036854775808"),
            nested(250),
        ],
        ids=["large", "small", "huge", "nul", "nul-inside", "surrogate", "surrogate-key", "list", "150", "250"],
    )
    def test_by_body(self, tmdb, cache, collection, body):
        """A response that BSON or MongoDB cannot hold natively is cached by its body, without data."""
        assert cached(tmdb, cache, body)
        document = collection.find_one({}, {"_id": 0, "body": 1, "data": 1, "schema": 1})
        assert document == {"body": body, "schema": 1}

    def test_deep(self, tmdb, cache, collection):
        """A response at the edge of what MongoDB nests is cached, with data if it takes it."""
        for depth in (80, 95, 98, 99, 100, 101, 102, 150, 179, 180):
            cache.clear()
            tmdb.reset()
            assert cached(tmdb, cache, nested(depth)), depth
            data = collection.find_one({}).get("data")
            assert data is None or json.dumps(data, separators=(",", ":")).encode() == nested(depth)
            assert data is not None or depth > 95

    def test_deeper_than_python_reads(self, tmdb, cache):
        """JSON too deep for Python's own parser comes through as it is, is not stored, and raises nothing."""
        body = b"[" * 200_000 + b"]" * 200_000
        tmdb.answer(MOVIE, body=body)
        with enabled(cache):
            found = [get(tmdb) for _ in range(2)]
        assert [(one.content == body, one.from_cache) for one in found] == [(True, False)] * 2

    def test_one_that_was_kept_earlier(self, tmdb, cache, collection):
        """What an earlier version has stored of such a response is served: its body belongs to the caller."""
        body = b"[" * 200_000 + b"]" * 200_000
        with enabled(cache):
            get(tmdb)
            kept = collection.find_one({})
            sums = {"body": body, "checksum": checksum(kept["_id"], 200, body)}
            collection.update_one({}, {"$set": sums, "$unset": {"data": 1}})
            forget_everything()
            found = get(tmdb)
        assert (found.from_cache, found.content) == (True, body)

    @pytest.mark.parametrize(
        "body",
        [
            b'{"$set": 1, "a.b": {"$gt": 0}, "$where": "x"}',
            b'{"x": [{"$oid": "5f"}, {"$ref": 1, "$id": 2}, {"$date": 0}]}',
            b'{"": {"": 1}}',
            b'{"$ref": "a", "$id": 1, "$db": "c"}',
            b'{"_id": 1, "schema": 9, "body": "x", "expires_at": 0}',
            '{"schöner.schlüssel": "\U0001f600"}'.encode(),
        ],
    )
    def test_names(self, tmdb, cache, collection, body):
        """Keys with $ and dots, empty ones and those of the document itself are held natively."""
        assert cached(tmdb, cache, body)
        with_plain_types = collection.find_one({})
        assert json.dumps(with_plain_types["data"], default=lambda ref: dict(ref.as_doc())) == json.dumps(
            json.loads(body)
        )

    @pytest.mark.parametrize(
        ("body", "data"),
        [
            (b'{"n": 9223372036854775807}', {"n": 2**63 - 1}),
            (b'{"n": 1.10, "m": 1e5}', {"n": 1.1, "m": 1e5}),
            (b'{"n": 1e400, "m": -1e400}', {"n": float("inf"), "m": float("-inf")}),
            (b'{"t": "a\\u0000b"}', {"t": "a\0b"}),
            (b'{"x": {"a": 1, "a": 2}}', {"x": {"a": 2}}),
            (b"[[]]", [[]]),
            (b"[{}]", [{}]),
            (b'[1, null, true, "x"]', [1, None, True, "x"]),
        ],
    )
    def test_native(self, tmdb, cache, collection, body, data):
        """What BSON can hold is data, and the body stays as it came."""
        assert cached(tmdb, cache, body)
        assert collection.find_one({})["data"] == data


class TestSize:
    def test_over_16_mb(self, tmdb, cache, collection):
        """A response over 16 MB is returned and not stored, and harms nothing."""
        body = b'{"id": 550, "x": "' + b"x" * 17_000_000 + b'"}'
        tmdb.answer(MOVIE, body=body)
        with enabled(cache):
            for _ in range(2):
                response = get(tmdb)
                assert response.content == body
                assert not response.from_cache
                assert response.expires is None
                assert "stored" not in status_of(response)
        assert tmdb.count == 2
        assert collection.count_documents({}) == 0
        assert cache.stats().store_errors == 0

    def test_9_mb(self, tmdb, cache, collection):
        """A body that is too large together with data is cached without data."""
        body = b'{"id": 550, "x": "' + b"x" * 9_000_000 + b'"}'
        assert cached(tmdb, cache, body)
        assert "data" not in collection.find_one({}, {"body": 0})

    def test_large_replaces(self, tmdb, cache, collection):
        """A response that has grown too large leaves the entry that was there."""
        with enabled(cache):
            get(tmdb)
            before = collection.find_one({})
            body = b'{"id": 550, "x": "' + b"x" * 17_000_000 + b'"}'
            tmdb.answer(MOVIE, body=body)
            assert get(tmdb, headers={"Cache-Control": "no-cache"}).content == body
        assert collection.find_one({}) == before


class TestCollection:
    def test_ttl_index(self, tmdb, cache, collection):
        """MongoDB itself deletes what is past its purge_at: a TTL index with expireAfterSeconds 0."""
        with enabled(cache):
            get(tmdb)
        indexes = collection.index_information()
        assert [index["expireAfterSeconds"] for index in indexes.values() if index["key"] == [("purge_at", 1)]] == [0]
        assert sum("expireAfterSeconds" in index for index in indexes.values()) == 1

    def test_by_id_only(self, tmdb, cache, collection, mongo, database):
        """A hit is one look-up by _id, with a projection that leaves data out, and no write."""
        with enabled(cache):
            get(tmdb)
            mongo[database].command("profile", 2)
            assert get(tmdb).from_cache
            mongo[database].command("profile", 0)
        operations = [
            operation
            for operation in mongo[database]["system.profile"].find()
            if operation["ns"] == f"{database}.tmdb_cache"
        ]
        assert [operation["op"] for operation in operations] == ["query"]
        assert operations[0]["command"]["filter"] == {"_id": KEY}
        assert operations[0]["command"]["projection"] == {"data": 0}
        assert operations[0]["planSummary"] == "IDHACK"

    def test_miss(self, tmdb, cache, mongo, database):
        """A miss is one look-up and one write, both by _id."""
        with enabled(cache):
            get(tmdb)
            mongo[database].command("profile", 2)
            get(tmdb, "/3/movie/1")
            mongo[database].command("profile", 0)
        operations = [
            operation
            for operation in mongo[database]["system.profile"].find()
            if operation["ns"] == f"{database}.tmdb_cache"
        ]
        assert [operation["op"] for operation in operations] == ["query", "update"]
        assert all("_id" in str(operation["command"]) for operation in operations)

    def test_titles_by_index(self, tmdb, cache, collection):
        """invalidate() by title uses an index."""
        with enabled(cache):
            get(tmdb)
        plan = collection.find({"media_type": "movie", "tmdb_id": 550}).explain()["queryPlanner"]["winningPlan"]
        assert "IXSCAN" in str(plan)
