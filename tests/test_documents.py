"""Documents read from the database are not trusted: what is not right is a miss that the next response replaces."""

import contextlib
from datetime import datetime, timedelta
from itertools import product

import bson
import pytest
from bson import Binary, Decimal128, Int64, ObjectId, Regex, Timestamp
from bson.datetime_ms import DatetimeMS

from tmdb_mongo_cache import enabled

from .flowkit import KEY, expire, get, replaced

pytestmark = pytest.mark.any_database

FAR = datetime(9999, 12, 31, 23, 59, 59)
WRONG = {
    "null": None,
    "true": True,
    "number": 7,
    "negative": -1,
    "long": Int64(2**63 - 1),
    "float": 200.5,
    "nan": float("nan"),
    "infinity": float("inf"),
    "decimal": Decimal128("200"),
    "text": "hostile\x00\r\nX: y",
    "bytes": b"\xff",
    "binary": Binary(b"x", 4 + 1),
    "list": [1, [2]],
    "mapping": {"$where": "1"},
    "object-id": ObjectId(b"123456789012"),
    "regex": Regex("(a+)+$"),
    "timestamp": Timestamp(1, 1),
    "early": datetime(1, 1, 1),
}
REQUIRED = ("schema", "status", "headers", "body", "timestamp", "expires_at", "purge_at")


class TestFields:
    @pytest.mark.parametrize("name", REQUIRED)
    def test_wrong(self, tmdb, cache, collection, superseded, name):
        """A field of a wrong type makes the document a miss, whatever the type."""
        allowed = {
            "body": ("bytes",),
            "headers": ("mapping",),
            "timestamp": ("early",),  # a date like another: the entry is too old
            "expires_at": ("early",),
        }
        for label, value in WRONG.items():
            if label in allowed.get(name, ()):
                continue
            with contextlib.suppress(bson.errors.InvalidDocument):
                collection.replace_one({"_id": KEY}, {**superseded, name: value}, upsert=True)
                assert replaced(tmdb, cache, collection), label

    @pytest.mark.parametrize("name", REQUIRED)
    def test_missing(self, tmdb, cache, collection, superseded, name):
        """A document without a field is a miss."""
        collection.update_one({}, {"$unset": {name: ""}})
        assert replaced(tmdb, cache, collection)

    def test_schema(self, tmdb, cache, collection, superseded):
        """An unknown schema is a miss."""
        for value in (0, 2, 99, -1, 1.5, "1", True, [1], None):
            collection.replace_one({"_id": KEY}, {**superseded, "schema": value})
            assert replaced(tmdb, cache, collection), value

    def test_status(self, tmdb, cache, collection, superseded):
        """A status that is never stored is a miss."""
        for value in (0, 1, 99, 100, 204, 301, 304, 401, 503, 2**40, "200", 200.0, True, [200]):
            collection.replace_one({"_id": KEY}, {**superseded, "status": value})
            assert replaced(tmdb, cache, collection), value

    def test_headers(self, tmdb, cache, collection, superseded):
        """Headers that are not texts by name are a miss."""
        for value in ({"X": 1}, {"X": ["a"]}, {"X": {"$a": 1}}, {"X": None}, [["X", "y"]], "X: y"):
            collection.replace_one({"_id": KEY}, {**superseded, "headers": value})
            assert replaced(tmdb, cache, collection), value

    @pytest.mark.parametrize(
        "name", ["tmdb_id", "media_type", "endpoint", "data", "reason", "validated_at", "history", "url"]
    )
    def test_of_no_weight(self, tmdb, cache, collection, superseded, name):
        """A field that no response is made of may hold anything: the response is right, or fetched again."""
        for value in WRONG.values():
            with contextlib.suppress(bson.errors.InvalidDocument):
                collection.replace_one({"_id": KEY}, {**superseded, name: value}, upsert=True)
                with enabled(cache):
                    response = get(tmdb)
                    assert response.json()["id"]
                    assert not response.history
                    assert isinstance(response.reason, str)
                    assert int(response.headers.get("Age", 0)) >= 0
                    expire(collection)
                    assert get(tmdb).json()["id"]

    @pytest.mark.parametrize(
        "value",
        [
            [1],
            [{}],
            [{"url": 1}],
            [{"url": "http://x/", "status": "301", "reason": "", "headers": {}, "body": b""}],
            [{"url": "http://x/", "status": 301, "reason": "", "headers": {"Location": 1}, "body": b""}],
            [{"url": "http://x/", "status": 301, "reason": "", "headers": {"Location": "http://["}, "body": b""}],
            [{"url": "http://[", "status": 301, "reason": "", "headers": {}, "body": b""}],
            [{"url": "http://x:99999999/", "status": 301, "reason": "", "headers": {}, "body": b""}],
            [{"url": "", "status": True, "reason": "", "headers": {}, "body": b""}],
        ],
    )
    def test_history(self, tmdb, cache, collection, superseded, value):
        """A made-up history raises nothing."""
        for url in (None, 1, "http://[", "\x00", "http://evil.example/3/movie/550", "http://x/"):
            collection.replace_one({"_id": KEY}, {**superseded, "history": value, "url": url})
            with enabled(cache):
                response = get(tmdb)
            assert response.json()["id"], url
            assert all(isinstance(hop.status_code, int) for hop in response.history), url


class TestHostileValues:
    @pytest.mark.parametrize(
        "tag", ['"a"\r\nX-Injected: yes', "\x00", "é" * 10, "\u2028", " leading", "x" * 100_000, "", '"\U0001f600"']
    )
    def test_etag(self, tmdb, cache, collection, superseded, tag):
        """An ETag that cannot be sent is not sent; the response is fetched without it."""
        expire(collection, headers={**superseded["headers"], "ETag": tag})
        with enabled(cache):
            assert get(tmdb).json()["id"]
        assert all("x-injected" not in (name.lower() for name in call.headers) for call in tmdb.calls)

    @pytest.mark.parametrize("value", ["-1", "9" * 400, "١٢", "NaN", "\x00", ";;;===,,,", "é\r\nX: y", "charset="])
    def test_header(self, tmdb, make_cache, collection, superseded, value):
        """A header with a hostile value raises nothing, whether or not TMDB's Cache-Control decides."""
        names = ("Age", "Cache-Control", "Expires", "Content-Type", "Content-Encoding", "Link")
        for cache, name in product((make_cache(), make_cache(cache_control=True)), names):
            collection.replace_one({"_id": KEY}, {**superseded, "headers": {name: value}}, upsert=True)
            with enabled(cache):
                response = get(tmdb)
                assert response.status_code == 200
                assert response.json()["id"]
                assert response.links is not None

    @pytest.mark.parametrize("name", ["timestamp", "expires_at", "purge_at"])
    def test_dates(self, tmdb, make_cache, collection, superseded, name):
        """Dates at the ends of time raise nothing."""
        asked = ({}, {"Cache-Control": "max-stale"}, {"Cache-Control": "min-fresh=99999999999"})
        for value in (datetime(1, 1, 1), FAR, datetime(1970, 1, 1)):
            with enabled(make_cache(stale_while_revalidate=60)) as cache:
                collection.replace_one({"_id": KEY}, {**superseded, name: value}, upsert=True)
                for headers in asked:
                    response = get(tmdb, headers=headers)
                    assert response.json()["id"]
                    assert response.is_expired in (True, False)
                    assert int(response.headers.get("Age", 0)) >= 0
                cache.close()

    @pytest.mark.parametrize("name", ["timestamp", "expires_at", "purge_at", "validated_at"])
    def test_dates_out_of_range(self, tmdb, cache, collection, superseded, name):
        """A date that Python cannot hold makes the document a miss."""
        for milliseconds in (2**63 - 1, -(2**63), 253402300800000, -62135596800001):
            collection.replace_one({"_id": KEY}, {**superseded, name: DatetimeMS(milliseconds)})
            with enabled(cache):
                assert get(tmdb).json()["id"]
                assert get(tmdb).from_cache, milliseconds

    def test_from_the_future(self, tmdb, cache, collection, superseded):
        """However far off an entry's dates are, what is older than the terms allow is not served."""
        old = superseded["timestamp"] - timedelta(days=181)
        collection.update_one({}, {"$set": {"timestamp": old, "expires_at": FAR, "purge_at": FAR}})
        assert replaced(tmdb, cache, collection)
