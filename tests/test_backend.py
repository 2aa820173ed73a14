"""``MongoBackend`` under requests-cache's own session: TMDB's responses, and the backend's construction."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import bson
import pymongo
import pytest
import requests
import requests_cache

import tmdb_mongo_cache
from tmdb_mongo_cache import ConfigError, MongoBackend, TMDBCache
from tmdb_mongo_cache.standin import StandIn

from .flowkit import API_KEY, KEY, START

pytestmark = pytest.mark.versions


@pytest.fixture
def make_session(
    make_session: Callable[..., requests_cache.CachedSession], tmdb: StandIn, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., requests_cache.CachedSession]:
    """Make requests-cache sessions that take the stand-in for TMDB."""
    monkeypatch.setenv("TMDB_CACHE_HOSTS", tmdb.host)
    return make_session


def test_what_the_backend_stored_every_door_finds(
    make_session: Callable[..., Any], cache: TMDBCache, tmdb: StandIn
) -> None:
    """A response that came through requests-cache is served to install(), byte for byte."""
    live = make_session().get(f"{tmdb.url}/3/movie/550?language=de&api_key={API_KEY}")
    with tmdb_mongo_cache.enabled(cache):
        found = requests.get(f"{tmdb.url}/3/movie/550", params={"api_key": "another-key", "language": "de"}, timeout=5)
    assert found.from_cache  # type: ignore[attr-defined]
    assert found.content == live.content
    assert tmdb.count == 1


def test_what_another_door_stored_the_backend_finds(
    make_session: Callable[..., Any], cache: TMDBCache, tmdb: StandIn
) -> None:
    """A response that came through install() is served to requests-cache, fresh until the same moment."""
    with tmdb_mongo_cache.enabled(cache):
        live = requests.get(f"{tmdb.url}/3/movie/550?api_key={API_KEY}", timeout=5)
    found = make_session().get(f"{tmdb.url}/3/movie/550?page=1&api_key=another-key")
    assert found.from_cache
    assert found.content == live.content
    assert found.json() == live.json()
    assert found.cache_key == f"{START}/3/movie/550"
    assert abs((found.expires - live.expires).total_seconds()) < 0.01  # type: ignore[attr-defined]
    assert tmdb.count == 1


def test_documents_are_the_same(make_session: Callable[..., Any], tmdb: StandIn, collection: Any) -> None:
    """The backend writes TMDB's responses as documents of the design, data and all."""
    live = make_session(expire_after=60).get(f"{tmdb.url}/3/movie/550?api_key={API_KEY}")
    document = collection.find_one()
    assert document["_id"] == f"{START}/3/movie/550"
    assert (document["media_type"], document["tmdb_id"], document["endpoint"]) == ("movie", 550, "/3/movie/{movie_id}")
    assert document["data"] == live.json()
    assert document["body"] == live.content
    assert document["schema"] == 1
    assert abs((document["expires_at"] - document["timestamp"]).total_seconds() - 60) < 2
    assert API_KEY.encode() not in bson.encode(document)


@pytest.mark.parametrize(
    "path",
    [
        "/3/account/1",
        "/3/authentication/token/new",
        "/3/movie/550/account_states",
        "/3/movie/550?append_to_response=credits,account_states&access_token=abcdef",
        "/3/movie/550?session_id=abcdef",
        "/3/list/1",
        "/4/list/1",
        "/3/movie/550?callback=f",
    ],
)
def test_private_is_refused(make_session: Callable[..., Any], tmdb: StandIn, collection: Any, path: str) -> None:
    """What is private at TMDB is never stored and never found, however often it is requested."""
    session = make_session(allowable_codes=range(200, 600))
    for _ in range(2):
        assert not session.get(f"{tmdb.url}{path}", params={"api_key": API_KEY}).from_cache
    assert tmdb.count == 2
    assert collection.count_documents({}) == 0


def test_writes_are_refused(make_session: Callable[..., Any], tmdb: StandIn, collection: Any) -> None:
    """Only GETs of TMDB are stored, whatever methods the session allows."""
    session = make_session(allowable_methods=requests_cache.ALL_METHODS, allowable_codes=range(200, 600))
    for _ in range(2):
        session.post(f"{tmdb.url}/3/movie/550/rating", params={"api_key": API_KEY}, json={"value": 8})
        session.head(f"{tmdb.url}/3/movie/550", params={"api_key": API_KEY})
    assert tmdb.count == 4
    assert collection.count_documents({}) == 0


@pytest.mark.parametrize("fault", ["not-json", "success-false", "empty", "503", "401"])
def test_broken_answers_are_not_stored(
    make_session: Callable[..., Any], tmdb: StandIn, collection: Any, fault: str
) -> None:
    """A response that no integration may store is not stored by this one, even if the session allows its code."""
    session = make_session(allowable_codes=range(200, 600))
    tmdb.fail(fault)
    session.get(f"{tmdb.url}/3/movie/550?api_key={API_KEY}")
    assert collection.count_documents({}) == 0


def test_expired_is_validated(make_session: Callable[..., Any], tmdb: StandIn) -> None:
    """requests-cache validates an expired entry with its ETag, and a 304 makes it fresh again."""
    session = make_session(expire_after=0)
    session.get(f"{tmdb.url}/3/movie/550?api_key={API_KEY}")
    found = session.get(f"{tmdb.url}/3/movie/550?api_key={API_KEY}")
    assert found.from_cache
    assert [call.status for call in tmdb.calls] == [200, 304]


def test_stale_if_error(make_session: Callable[..., Any], tmdb: StandIn) -> None:
    """stale_if_error serves the stored response when TMDB fails, where it does with requests-cache's own backends."""
    for fault in ("reset", "503"):
        found = []
        own = requests_cache.CachedSession(backend="memory", expire_after=0, stale_if_error=True)
        for session in (make_session(expire_after=0, stale_if_error=True), own):
            url = f"{tmdb.url}/3/movie/550?api_key={API_KEY}"
            live = session.get(url)
            tmdb.fail(fault)
            try:
                found.append(session.get(url).content == live.content)
            except requests.ConnectionError:
                found.append(False)
            tmdb.heal()
        own.close()
        assert found[0] == found[1]
        assert found[0] or tuple(map(int, version("requests-cache").split(".")[:2])) < (1, 3)


def test_settings_of_the_session_stay_its_own_keys(
    make_session: Callable[..., Any], tmdb: StandIn, cache: TMDBCache
) -> None:
    """What a session matches by its own rules is found by that session, and by no session that does not share them."""
    session = make_session(match_headers=["X-Flavour"], ignored_parameters=["language"])
    url = f"{tmdb.url}/3/movie/550?api_key={API_KEY}&language="
    assert not session.get(url + "de", headers={"X-Flavour": "a"}).from_cache
    assert session.get(url + "fr", headers={"X-Flavour": "a"}).from_cache
    assert not session.get(url + "fr", headers={"X-Flavour": "b"}).from_cache
    with tmdb_mongo_cache.enabled(cache):
        assert not requests.get(url + "de", timeout=5).from_cache  # type: ignore[attr-defined]


def test_key_fn(make_session: Callable[..., Any], tmdb: StandIn) -> None:
    """A key_fn of the user's makes the keys, but for what is private."""
    session = make_session(key_fn=lambda request, **_: "mine")
    session.get(f"{tmdb.url}/3/movie/550?api_key={API_KEY}")
    assert session.get(f"{tmdb.url}/3/movie/551?api_key={API_KEY}").from_cache
    assert not session.get(f"{tmdb.url}/3/account/1?api_key={API_KEY}").from_cache


def test_redirects_keep_no_credential(
    make_session: Callable[..., Any], tmdb: StandIn, mongo: pymongo.MongoClient[dict[str, Any]], database: str
) -> None:
    """After a redirect neither the entry nor its history nor the table of redirects holds a credential."""
    session = make_session()
    tmdb.answer("/3/movie/1", status=301, headers={"Location": f"/3/movie/2?api_key={API_KEY}"}, body=b"")
    for _ in range(2):
        found = session.get(f"{tmdb.url}/3/movie/1?api_key={API_KEY}", headers={"Authorization": f"Bearer {API_KEY}"})
    assert found.from_cache
    assert tmdb.count == 2
    for name in mongo[database].list_collection_names():
        for document in mongo[database][name].find():
            assert API_KEY.encode() not in bson.encode(document)


def test_unknown_option() -> None:
    """An option that neither library knows is a TypeError that names it."""
    with pytest.raises(TypeError, match="expire_afterr"):
        MongoBackend(expire_afterr=60)


def test_client_options_arrive(mongo_uri: str, database: str) -> None:
    """Every option of MongoClient is passed on, and a bad one is a ConfigError without the password."""
    backend = MongoBackend(database, host=mongo_uri, serverSelectionTimeoutMS=321, appname="mine", maxPoolSize=7)
    options = backend.responses.connection.options
    assert (options.server_selection_timeout, options.pool_options.max_pool_size) == (0.321, 7)
    assert options.pool_options.appname == "mine"
    backend.close()
    with pytest.raises(ConfigError) as caught:
        MongoBackend(database, host="mongodb://me:s3cr3t@localhost:notaport")
    assert "s3cr3t" not in str(caught.value)


def test_settings_given_to_the_backend_hold(make_session: Callable[..., Any], tmdb: StandIn) -> None:
    """Settings of requests-cache given to the backend hold where the session has only its defaults."""
    session = make_session(backend={"expire_after": 60})
    assert session.settings.expire_after == 60
    assert make_session(backend={"expire_after": 60}, expire_after=7).settings.expire_after == 7


def test_a_client_that_was_given_stays_open(make_session: Callable[..., Any], mongo: Any) -> None:
    """Closing a session leaves a MongoClient open that was given to its backend."""
    make_session().close()
    assert mongo.admin.command("ping")["ok"] == 1


def test_lost_database(tmdb: StandIn, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Without MongoDB the session's calls go to TMDB: no exception, and no 30 seconds."""
    monkeypatch.setenv("TMDB_CACHE_STORE_TIMEOUT", "0.05")
    session = requests_cache.CachedSession(backend=MongoBackend(host="mongodb://127.0.0.1:9/"))
    assert session.get(f"{tmdb.url}/3/movie/550?api_key={API_KEY}").status_code == 200
    assert API_KEY not in caplog.text
    session.close()


def test_a_file_of_the_backend(tmp_path: Path) -> None:
    """A file that MongoBackend's own arguments name and that cannot be read is named."""
    with pytest.raises(ConfigError, match=r"tlsCAFile names a file that cannot be read: '.*not there'"):
        MongoBackend(host="mongodb://127.0.0.1:9", tls=True, tlsCAFile=str(tmp_path / "not there"))


@pytest.mark.parametrize(
    ("name", "value"),
    [("maxPoolSize", "x"), ("w", 1.5), ("readPreference", "film"), ("compressors", "film"), ("tlsCAFile", 5),
     ("tz_aware", "maybe"), ("document_class", 5), ("authMechanism", "FOO"), ("tls", "s3cr3t")],
)  # fmt: skip
def test_an_option_given_beside_the_uri(name: str, value: object) -> None:
    """An option that is given by itself and cannot be used is named, and its value is not repeated."""
    with pytest.raises(ConfigError) as caught:
        MongoBackend("films", host="mongodb://127.0.0.1:9/", connect=False, **{name: value})
    assert str(caught.value).endswith(f"MongoDB's option {name} cannot be used with the value that is given")


def test_a_document_of_no_schema(make_session: Callable[..., Any], collection: Any) -> None:
    """A document that is no entry, whatever is in it, is not found under a key of TMDB's."""
    found = make_session().cache.responses
    collection.insert_one({"_id": KEY, "data": {"id": 550}})
    with pytest.raises(KeyError):
        found[KEY]
