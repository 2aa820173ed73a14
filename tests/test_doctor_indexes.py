"""The doctor and indexes: what it mends, and what is not its own."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from pymongo import IndexModel

from tmdb_mongo_cache import TMDBCache, Verdict, enabled
from tmdb_mongo_cache.mongo.indexes import INDEXES
from tmdb_mongo_cache.standin import StandIn

from .flowkit import get
from .test_doctor import examine

__all__ = ["examine"]

TITLE = [("media_type", 1), ("tmdb_id", 1)]
PURGE_AT = [("purge_at", 1)]

Examine = Callable[..., dict[str, Verdict]]


def options_of(collection: Any) -> dict[str, Any]:
    return {
        name: {k: v for k, v in found.items() if k != "v"} for name, found in collection.index_information().items()
    }


def drop_as_advised(mongo: Any, advice: str) -> None:
    """Do what the lines for mongosh do."""
    lines = re.findall(r'db\.getSiblingDB\("(.+?)"\)\.getCollection\("(.+?)"\)\.dropIndex\("(.+?)"\)', advice)
    assert lines
    for database, collection, name in lines:
        mongo[database][collection].drop_index(name)


def test_indexes(stored: Any, collection: Any, examine: Examine) -> None:
    """What is missing, or ours and different, is named and repaired; with mend=False it is only named."""
    right = options_of(collection)
    leases = collection.database[f"{collection.name}_leases"]
    leases.drop_index("purge_at")
    collection.drop_index("title")
    collection.drop_index("purge_at")
    collection.create_index(PURGE_AT, name="purge_at")  # it deletes nothing
    collection.create_index([("changed_at", -1)], name="somebodys")
    wrong = options_of(collection)
    for _ in range(2):
        found = examine(mend=False)["indexes"]
        assert found.level == "problem"
        assert "tmdb_cache.purge_at is different" in found.text
        assert "tmdb_cache.title is missing" in found.text
        assert "tmdb_cache_leases.purge_at is missing" in found.text
        assert options_of(collection) == wrong
    found = examine()["indexes"]
    assert (found.level, found.text.count("now made")) == ("ok", 2)
    assert "purge_at was different, now " in found.text
    assert options_of(collection) == {**right, "somebodys": {"key": [("changed_at", -1)]}}
    assert leases.index_information()["purge_at"]["expireAfterSeconds"] == 0
    assert " now " not in examine()["indexes"].text


def test_an_index_by_another_name(stored: Any, collection: Any, examine: Examine) -> None:
    """One that does the same under another name is as good."""
    collection.drop_indexes()
    for model in INDEXES:
        options = {name: value for name, value in model.document.items() if name not in ("name", "key")}
        collection.create_index(list(model.document["key"].items()), name=f"my_{model.document['name']}", **options)
    before = options_of(collection)
    assert " now " not in examine()["indexes"].text
    assert options_of(collection) == before


@pytest.mark.parametrize(
    ("replaced", "theirs"),
    [
        ("title", IndexModel([("data.title", 1)], name="title")),
        ("title", IndexModel(TITLE, name="mine", unique=True, collation={"locale": "de"})),
        ("title", IndexModel(TITLE, name="mine", hidden=True)),
        ("purge_at", IndexModel(PURGE_AT, name="mine_purge")),
        ("purge_at", IndexModel(PURGE_AT, name="mine", expireAfterSeconds=3600)),
        ("purge_at", IndexModel([("purge_at", -1)], name="purge_at")),
        ("changed_at", IndexModel([("changed_at", 1)], name="mine", partialFilterExpression={"a": 1}, sparse=False)),
    ],
)
def test_an_index_of_the_users(
    stored: Any, collection: Any, mongo: Any, examine: Examine, replaced: str, theirs: IndexModel
) -> None:
    """None of the user's is ever dropped or changed: ours stands beside it, or the line to drop it with is shown."""
    collection.drop_index(replaced)
    collection.create_indexes([theirs])
    name = theirs.document["name"]
    before = options_of(collection)
    examine(mend=False)
    assert options_of(collection) == before
    found = examine()["indexes"]
    after = options_of(collection)
    assert after[name] == before[name]
    if found.level == "ok":  # MongoDB has both
        assert set(after) == {*before, replaced}
        return
    assert (found.level, repr(name) in found.text, after) == ("problem", True, before)
    drop_as_advised(mongo, found.advice)
    assert examine()["indexes"].level == "ok"
    assert replaced in options_of(collection)


def test_which_of_them_is_ours(stored: Any, collection: Any, examine: Examine) -> None:
    """Ours that differs is replaced, and that is said; the user's with the same fields stays beside it."""
    right = options_of(collection)
    collection.drop_index("title")
    collection.create_index(TITLE, name="mine_partial", partialFilterExpression={"tmdb_id": 1})
    collection.create_index(TITLE, name="title", sparse=True)
    theirs = options_of(collection)["mine_partial"]
    found = examine()["indexes"]
    assert "tmdb_cache.title was different, now dropped and made" in found.text
    assert options_of(collection) == {**right, "mine_partial": theirs}


@pytest.mark.parametrize("options", [{"expireAfterSeconds": 3600}, {"expireAfterSeconds": 0, "hidden": True}, {}])
def test_changed_in_place(stored: Any, collection: Any, examine: Examine, options: dict[str, Any]) -> None:
    """When it deletes, and whether it is hidden, is changed without dropping it: there is no moment without one."""
    right = options_of(collection)
    collection.drop_index("purge_at")
    collection.create_index(PURGE_AT, name="purge_at", **options)
    assert "purge_at was different, now changed" in examine()["indexes"].text
    assert options_of(collection) == right


def test_what_was_dropped_comes_back(stored: Any, collection: Any, mongo: Any, examine: Examine) -> None:
    """Where ours cannot be made after the old one was dropped, the old one is made again."""
    collection.drop_index("title")
    collection.create_index(TITLE, name="title", partialFilterExpression={"tmdb_id": 1})
    collection.create_index(TITLE, name="mine", hidden=True)
    before = options_of(collection)
    found = examine()["indexes"]
    assert (found.level, options_of(collection)) == ("problem", before)
    drop_as_advised(mongo, found.advice)
    assert "title was different, now dropped and made" in examine()["indexes"].text


def test_no_room_for_another(stored: Any, collection: Any, examine: Examine) -> None:
    """Where the collection has as many indexes as MongoDB allows, that is said, and nothing of rights."""
    collection.drop_index("title")
    names = [f"field{number}" for number in range(64 - len(collection.index_information()))]
    collection.create_indexes([IndexModel(name) for name in names])
    found = examine()["indexes"]
    assert (found.level, "64" in found.advice, "user" in found.advice) == ("note", True, False)


def test_a_collation_of_the_collection(
    mongo: Any, make_cache: Callable[..., TMDBCache], database: str, examine: Examine, tmdb: StandIn
) -> None:
    """Indexes that have their collection's own collation are as they should be, however often one looks."""
    mongo[database].create_collection("tmdb_cache", collation={"locale": "de"})
    with enabled(make_cache()):
        get(tmdb)
    for _ in range(2):
        verdict = examine()["indexes"]
        assert (verdict.level, "different" in verdict.text) == ("ok", False)
