"""``entries()`` and ``count_entries()``: filters, orders and pages, beside whatever else lies in the collection."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta, timezone
from typing import Any

import pytest
from bson.raw_bson import RawBSONDocument

from tmdb_mongo_cache import ConfigError, TMDBCache
from tmdb_mongo_cache.mongo.document import checksum
from tmdb_mongo_cache.tmdb.endpoint_names import MEDIA_TYPES, TEMPLATES, parts, templates_with
from tmdb_mongo_cache.tmdb.endpoints import find

from .flowkit import START, now

pytestmark = pytest.mark.any_database

HOST = START
HOUR = timedelta(hours=1)


def document(path: str, *, hours: float = 0, left: float = 24, size: int = 100, **changes: Any) -> dict[str, Any]:
    """Make the document of a response that was fetched some hours ago."""
    key, body = HOST + path, b"[" + b" " * (size - 2) + b"]"
    endpoint, _, media_type, tmdb_id = find(path.partition("?")[0])
    made = {"_id": key, "schema": 1, "status": 200, "reason": "OK", "headers": {}, "body": body}
    about = {"endpoint": endpoint, "media_type": media_type, "tmdb_id": tmdb_id}
    times = {"timestamp": now() - hours * HOUR, "expires_at": now() + left * HOUR, "purge_at": now() + 200 * HOUR}
    return {**made, **about, **times, "checksum": checksum(key, 200, body), **changes}


DOCUMENTS = [
    document("/3/movie/550", hours=5, size=500),
    document("/3/movie/550?language=de", hours=30, left=-6, size=400),
    document("/3/movie/550/credits", hours=2, size=9000),
    document("/3/movie/603/credits", hours=50, left=-26, size=8000),
    document("/3/person/819/movie_credits", hours=1, size=50),
    document("/3/search/movie?query=x", hours=3, left=3, size=2),
    document("/3/tv/550", hours=4, status=404, size=100),
]


def foreign() -> list[Mapping[str, Any]]:
    """Make documents that are no entries, each at another place in every order."""
    good = document("/3/movie/1")
    wrong = [
        {"schema": 2},
        {"status": "200"},
        {"status": 500},
        {"status": 200.0},
        {"timestamp": "2026"},
        {"expires_at": None},
        {"purge_at": 1.5},
        {"_id": 17},
        {"_id": {"a": 1}},
    ]
    made = [{**good, "_id": f"{HOST}/3/movie/5{number}", **changes} for number, changes in enumerate(wrong)]
    return [*made, {"_id": "", "value": b"pickle"}, {"_id": f"{HOST}/3/movie/550#x"}]


@pytest.fixture
def filled(cache: TMDBCache, collection: Any) -> TMDBCache:
    """A cache with some entries, and what is none in between."""
    collection.insert_many([*DOCUMENTS, *foreign()])
    return cache


def keys(cache: TMDBCache, **filters: Any) -> list[str]:
    """List keys without their host; as many are counted."""
    found = [entry.key.removeprefix(HOST) for entry in cache.entries(**filters)]
    counted = {name: value for name, value in filters.items() if name not in ("sort", "reverse", "skip", "limit")}
    if counted == filters:
        assert cache.count_entries(**filters) == len(found)
    return found


ALL = [item["_id"].removeprefix(HOST) for item in DOCUMENTS]


FILTERS: list[tuple[dict[str, Any], list[int]]] = [
    ({}, [0, 2, 1, 3, 4, 5, 6]),
    ({"media_type": "movie"}, [0, 2, 1, 3]),
    ({"media_type": "movie", "tmdb_id": "550"}, [0, 2, 1]),
    ({"tmdb_id": 550}, [0, 2, 1, 6]),
    ({"endpoint": "/3/movie/{movie_id}"}, [0, 1]),
    ({"endpoint": "credits"}, [2, 3]),
    ({"endpoint": "/movie/{movie_id}/"}, [0, 2, 1, 3]),
    ({"endpoint": "nothing"}, []),
    ({"status": 404}, [6]),
    ({"expired": True}, [1, 3]),
    ({"expired": False, "media_type": "movie"}, [0, 2]),
    ({"older_than": 4.5 * 3600}, [0, 1, 3]),
    ({"newer_than": 2.5 * HOUR}, [2, 4]),
    ({"older_than": 2.5 * HOUR, "newer_than": 24 * HOUR, "status": 200}, [0, 5]),
    ({"older_than": -1}, []),
    ({"newer_than": 1e15}, [0, 2, 1, 3, 4, 5, 6]),
]


def test_filters(filled):
    """Each filter leaves what it says, alone and with others, in the order of the keys."""
    for filters, numbers in FILTERS:
        assert keys(filled, **filters) == [ALL[number] for number in numbers], filters


def test_times(filled):
    """Times are aware, with the standard library's own UTC."""
    for found in filled.entries():
        assert {found.timestamp.tzinfo, found.expires_at.tzinfo, found.purge_at.tzinfo} == {timezone.utc}
        assert type(found.timestamp.tzinfo) is timezone


@pytest.mark.parametrize(
    ("sort", "numbers"), [("age", [4, 2, 5, 6, 0, 1, 3]), ("expires", [3, 1, 5]), ("size", [5, 4, 6, 1, 0, 3, 2])]
)
def test_orders(filled, sort, numbers):
    """Entries are sorted by what is said, the smallest first or last."""
    wanted = [ALL[number] for number in numbers]
    assert keys(filled, sort=sort)[: len(wanted)] == wanted
    assert keys(filled, sort=sort, reverse=True)[::-1][: len(wanted)] == wanted


@pytest.mark.parametrize("sort", ["key", "age", "expires", "size"])
def test_pages(filled, collection, sort):
    """Pages have no gap and no overlap, also where many entries are equal."""
    collection.insert_many([document(f"/3/collection/{number}", size=100) for number in range(40)])
    everything = keys(filled, sort=sort)
    pages = [keys(filled, sort=sort, skip=skip, limit=7) for skip in range(0, 56, 7)]
    assert [key for page in pages for key in page] == everything
    assert len(everything) == filled.count_entries() == 47


def test_sizes(filled, collection):
    """An entry's size is that of its response; what has no body has none, and hides no other."""
    collection.update_one({"_id": HOST + ALL[0]}, {"$set": {"body": 5}})
    collection.update_one({"_id": HOST + ALL[2]}, {"$set": {"body": "text"}})
    sizes = {entry.key.removeprefix(HOST): entry.size for entry in filled.entries()}
    assert sizes == {path: len(item["body"]) for path, item in zip(ALL, DOCUMENTS, strict=True)} | {
        ALL[0]: None,
        ALL[2]: None,
    }


def test_a_damaged_document(filled, collection):
    """A document whose text is no UTF-8 hides no other one, in any order."""
    import bson

    encoded = bson.encode(document("/3/movie/2", reason="OK", endpoint="MARKED"))
    collection.insert_one(RawBSONDocument(encoded.replace(b"MARKED", b"\xff\xfe\xc0\xaf\xed\xa0")))
    for sort in ("key", "age", "size"):
        assert sorted(entry.key.removeprefix(HOST) for entry in filled.entries(sort=sort)) == sorted(ALL)


WRONG: list[dict[str, Any]] = [
    {"sort": "_id"},
    {"skip": -1},
    {"limit": -1},
    {"older_than": "1h"},
    {"newer_than": -5},
    {"media_type": {"$ne": ""}},
    {"tmdb_id": {"$gt": 0}},
    {"endpoint": 5},
    {"skip": 10**22},
    {"limit": 2**63},
    {"skip": 1.5},
    {"limit": True},
    {"media_type": "film"},
    {"media_type": "movi\udcff"},
    {"tmdb_id": "5\udcff"},
    {"tmdb_id": 10**22},
]


def test_wrong(cache):
    """What is no filter is an error in one sentence, and no operator of MongoDB's gets through."""
    for wrong in WRONG:
        with pytest.raises(ConfigError, match=r"\w"):
            list(cache.entries(**wrong))


def test_the_types_are_named(cache):
    """A type that does not exist is refused with those that exist; the largest page that there can be is empty."""
    with pytest.raises(ConfigError, match=r"one of movie, person, tv, .*not 'film'"):
        cache.count_entries(media_type="film")
    assert list(cache.entries(skip=2**62, limit=2**62)) == []


def test_an_unknown_filter(cache):
    """A filter that is none is a TypeError."""
    with pytest.raises(TypeError):
        cache.count_entries(colour="red")


def test_invalidate_by_key(filled, collection):
    """invalidate(key=…) forgets the entry under a key, and takes nothing beside it."""
    assert filled.invalidate(key=HOST + ALL[1]) == 1
    assert collection.find_one({"_id": HOST + ALL[1]}) is None
    assert filled.invalidate(key=HOST + ALL[1]) == 0
    for wrong in (
        {"key": {"$gt": ""}},
        {"key": "x", "url": "y"},
        {"key": "x", "tmdb_id": 1},
        {"media_type": "movie"},
        {},
    ):
        with pytest.raises(TypeError):
            filled.invalidate(**wrong)


def test_names():
    """Every template has a name that leads to it, and every media type is one of the table's."""
    assert all(template in templates_with(template) for template in TEMPLATES)
    assert all(templates_with(name) for name in parts())
    assert {"movie", "tv", "person", "collection", "company", "network", "keyword"} <= set(MEDIA_TYPES)
    assert templates_with("/") == ()
