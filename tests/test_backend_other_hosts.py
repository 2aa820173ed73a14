"""``MongoBackend`` for hosts that are not TMDB: all that requests-cache's own backend does."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import bson
import pytest
import requests
import requests_cache

from tmdb_mongo_cache.standin import StandIn

pytestmark = pytest.mark.versions


def test_keys_and_collection(make_session: Callable[..., Any], tmdb: StandIn, collection: Any) -> None:
    """Responses of other hosts are stored in the same collection under requests-cache's own keys."""
    url = f"{tmdb.url}/3/movie/550?api_key=k"
    session = make_session()
    session.get(url)
    assert session.get(url).from_cache
    expected = requests_cache.create_key(
        requests.Request("GET", url),
        ignored_parameters=session.settings.ignored_parameters,
        serializer=session.cache.responses.serializer,
    )
    assert [document["_id"] for document in collection.find()] == [expected]


def test_body_byte_for_byte(make_session: Callable[..., Any], tmdb: StandIn) -> None:
    """A body comes back as it was: white space, 1.10, 1e400, duplicate keys."""
    body = b'{ "a" : 1.10,\n "b": 1e400, "b": 2 , "big": 123456789012345678901234567890, "nul\\u0000": "\\ud800" }'
    tmdb.answer("/other", status=200, headers={"Content-Type": "application/json"}, body=body)
    session = make_session()
    session.get(f"{tmdb.url}/other")
    found = session.get(f"{tmdb.url}/other")
    assert found.from_cache
    assert found.content == body


def test_decode_content_is_there(make_session: Callable[..., Any], tmdb: StandIn, collection: Any) -> None:
    """decode_content=True keeps JSON as a native document, as requests-cache's backend does."""
    tmdb.answer("/other", status=200, headers={"Content-Type": "application/json"}, body=b'{"a": [1, 2]}')
    session = make_session(backend={"decode_content": True})
    session.get(f"{tmdb.url}/other")
    assert session.get(f"{tmdb.url}/other").json() == {"a": [1, 2]}
    assert collection.find_one({"_decoded_content.a": 2}) is not None


@pytest.mark.parametrize("serializer", ["pickle", "json", "bson"])
def test_serializers(make_session: Callable[..., Any], tmdb: StandIn, serializer: str) -> None:
    """requests-cache's serializers work."""
    session = make_session(backend={"serializer": serializer})
    live = session.get(f"{tmdb.url}/3/movie/1?api_key=k")
    found = session.get(f"{tmdb.url}/3/movie/1?api_key=k")
    assert found.from_cache
    assert found.content == live.content


def test_delete_and_filter(make_session: Callable[..., Any], tmdb: StandIn, collection: Any) -> None:
    """filter, delete by URL, by expiry and by age, urls, contains and clear work on MongoDB."""
    session = make_session()
    urls = [f"{tmdb.url}/3/movie/{number}?api_key=k" for number in range(1, 6)]
    for url in urls:
        session.get(url)
    assert len(session.cache.responses) == 5
    assert session.cache.contains(url=urls[0])
    session.cache.delete(urls=urls[:1])
    assert not session.cache.contains(url=urls[0])
    old = datetime.now(timezone.utc) - timedelta(days=10)
    collection.update_one(
        {"_id": session.cache.create_key(requests.Request("GET", urls[1]))}, {"$set": {"created_at": old}}
    )
    session.cache.delete(older_than=timedelta(days=5))
    assert not session.cache.contains(url=urls[1])
    session.get(urls[2], force_refresh=True, expire_after=timedelta(microseconds=1))
    session.cache.delete(expired=True)
    assert sorted(session.cache.urls()) == sorted(url.replace("=k", "=REDACTED") for url in urls[3:])
    assert len(list(session.cache.filter())) == 2
    session.cache.clear()
    assert len(session.cache.responses) == 0


def test_redirects_are_pruned_in_one_query(
    make_session: Callable[..., Any], tmdb: StandIn, mongo: Any, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """delete() prunes the redirects whose response is gone without a query for each."""
    monkeypatch.setenv("TMDB_CACHE_STORE_TIMEOUT", "10")  # all of them are to be stored
    session = make_session()
    for number in range(10):
        tmdb.answer(f"/from/{number}", status=302, headers={"Location": f"/to/{number}"}, body=b"")
        tmdb.answer(f"/to/{number}", status=200, headers={}, body=b"there")
        session.get(f"{tmdb.url}/from/{number}")
    assert len(session.cache.redirects) == 10
    mongo[database].command("profile", 2)
    session.cache.delete(urls=[f"{tmdb.url}/from/3"])
    mongo[database].command("profile", 0)
    asked = mongo[database]["system.profile"].count_documents({"command.find": "tmdb_cache"})
    assert len(session.cache.redirects) == 9
    assert asked <= 2


def test_history_is_redacted(make_session: Callable[..., Any], tmdb: StandIn, collection: Any) -> None:
    """The redirects of a response are redacted as the response is."""
    tmdb.answer("/from", status=302, headers={"Location": "/to?api_key=abcdef012345"}, body=b"")
    tmdb.answer("/to", status=200, headers={}, body=b"there")
    session = make_session()
    session.get(f"{tmdb.url}/from?api_key=abcdef012345", headers={"Authorization": "Bearer abcdef012345"})
    assert b"abcdef012345" not in b"".join(bson.encode(document) for document in collection.find())
    assert session.get(f"{tmdb.url}/from?api_key=abcdef012345").from_cache


@pytest.mark.parametrize(
    "document", [{}, {"data": 7}, {"content": 1, "headers": []}, {"schema": 99}, {"created_at": "x"}]
)
def test_corrupt_documents(
    make_session: Callable[..., Any], tmdb: StandIn, collection: Any, document: dict[str, Any]
) -> None:
    """A document that is none is a miss that the next response replaces, never an exception."""
    url = f"{tmdb.url}/3/movie/550?api_key=k"
    session = make_session()
    key = session.cache.create_key(requests.Request("GET", url))
    collection.insert_one({"_id": key, **document})
    assert session.get(url).json()["id"] == 550
    assert session.get(url).from_cache


def test_too_large(make_session: Callable[..., Any], tmdb: StandIn, collection: Any) -> None:
    """A response over MongoDB's limit is returned and not stored."""
    body = json.dumps("x" * 17_000_000).encode()
    tmdb.answer("/large", status=200, headers={"Content-Type": "application/json"}, body=body)
    assert make_session().get(f"{tmdb.url}/large").content == body
    assert collection.count_documents({}) == 0


def test_ttl(make_session: Callable[..., Any], collection: Any) -> None:
    """set_ttl and get_ttl work as on requests-cache's backend."""
    backend = make_session().cache
    collection.insert_one({"_id": "x"})
    assert backend.get_ttl() is None
    backend.set_ttl(60)
    backend.set_ttl(360)
    assert backend.get_ttl() == 60
    backend.set_ttl(360, overwrite=True)
    assert backend.get_ttl() == 360
    backend.set_ttl(None, overwrite=True)
    assert backend.get_ttl() is None


def test_update_takes_over_another_cache(make_session: Callable[..., Any], tmdb: StandIn, monkeypatch: Any) -> None:
    """update() takes over another requests-cache cache, TMDB's responses under this package's keys, nothing private."""
    with requests_cache.CachedSession(backend="memory") as other:
        other.get(f"{tmdb.url}/3/movie/550?api_key=k")
        other.get(f"{tmdb.url}/3/account/1?api_key=k")
        monkeypatch.setenv("TMDB_CACHE_HOSTS", tmdb.host)
        session = make_session()
        session.cache.update(other.cache)
    assert list(session.cache.responses) == [f"GET {tmdb.host}/3/movie/550"]
    assert session.get(f"{tmdb.url}/3/movie/550?api_key=another").from_cache
