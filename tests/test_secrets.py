"""No credential reaches the database, a log line, an error, a key or a repr."""

import base64
import json
import logging
import traceback

import pytest
import requests
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument

from tmdb_mongo_cache import CacheConfig, OfflineError, TMDBCache, TMDBSession, cached_tmdb, enabled, install

from .flowkit import MOVIE, START, expire

pytestmark = pytest.mark.any_database

KEY = "5ec2e7a91c0d4f6b8a3e2d1c0b9a8f7e"
TOKEN = "eyJhbGciOiJIUzI1NiJ9.c2VjcmV0LXBheWxvYWQ.c2lnbmF0dXJlLXNlY3JldA"
COOKIE = "cookie-value-5ec2e7"
PASSWORD = "hunter2-passw0rd"
SESSION = "session5ec2e7session5ec2e7session5ec2e7"
SECRETS = (KEY, TOKEN, COOKIE, PASSWORD, SESSION)

CALLS = {
    "query": {"params": {"api_key": KEY}},
    "upper case": {"params": {"API_KEY": KEY, "api_key": KEY}},
    "bearer": {"headers": {"Authorization": f"Bearer {TOKEN}"}},
    "both": {"params": {"api_key": KEY}, "headers": {"Authorization": f"Bearer {TOKEN}"}},
    "cookie": {"params": {"api_key": KEY}, "headers": {"Cookie": f"sid={COOKIE}"}},
    "cookie jar": {"params": {"api_key": KEY}, "cookies": {"sid": COOKIE}},
    "basic": {"params": {"api_key": KEY}, "auth": ("user", PASSWORD)},
    "login": {"params": {"api_key": KEY, "username": "somebody-5ec2e7", "password": PASSWORD}},
    "token": {"params": {"api_key": KEY, "request_token": SESSION, "access_token": TOKEN}},
}
SPELLINGS = {text for secret in SECRETS for text in (secret, base64.b64encode(f"user:{secret}".encode()).decode())}


@pytest.fixture
def everything(mongo, database):
    """Return the bytes of every document in the test's database; leases are looked at, and left out."""

    def dump():
        found = mongo.get_database(database, codec_options=CodecOptions(document_class=RawBSONDocument))
        names = set(found.list_collection_names())
        assert clean(b"\n".join(document.raw for document in found["tmdb_cache_leases"].find()))
        names.discard("tmdb_cache_leases")
        return b"\n".join(document.raw for name in names for document in found[name].find())

    return dump


def clean(text):
    """Say whether a text is free of all the credentials, in any spelling."""
    found = text.encode() if isinstance(text, str) else text
    return [spelling for spelling in SPELLINGS if spelling.encode() in found] == []


def logged(caplog):
    """Return all that this package has logged, with arguments and exceptions."""
    found = []
    for record in caplog.records:
        if record.name.startswith("tmdb_mongo_cache"):
            found += [record.getMessage(), repr(record.args), str(vars(record))]
            found += traceback.format_exception(*record.exc_info) if record.exc_info else []
    return "\n".join(found)


@pytest.fixture(autouse=True)
def _all_levels(caplog):
    caplog.set_level(logging.DEBUG)


class TestSent:
    @pytest.mark.parametrize("call", CALLS.values(), ids=list(CALLS))
    def test_in_whatever_way(self, tmdb, cache, everything, caplog, call):
        """A credential sent with a call is in no document, key, log line or repr, whatever comes of the call."""
        with enabled(cache):
            url = tmdb.url + MOVIE
            live = requests.get(url, timeout=5, **call)
            cached = requests.get(url, timeout=5, **call)
            assert cached.from_cache
            tmdb.fail("503", times=2)
            requests.get(
                url, timeout=5, **{**call, "headers": {**call.get("headers", {}), "Cache-Control": "no-cache"}}
            )
            requests.get(f"{tmdb.url}/3/movie/1", timeout=5, **call)
            requests.get(f"{tmdb.url}/3/account", timeout=5, **call)
            requests.get(f"{tmdb.url}/3/movie/999000001", timeout=5, **call)
        assert f"{START}/3/movie/550".encode() in everything()
        assert clean(everything())
        assert clean(logged(caplog))
        assert clean(repr(cache) + repr(cache.config) + repr(cache.stats()) + repr(list(cache.entries())))
        assert clean(live.cache_key + cached.cache_key + str(cached.headers) + repr(cached))
        assert clean(cache.key(url, call.get("params")))

    def test_userinfo(self, tmdb, cache, everything, caplog):
        """A user and password in the URL are nowhere to be found."""
        with enabled(cache):
            for _ in range(2):
                response = requests.get(
                    tmdb.url.replace("//", f"//user:{PASSWORD}@") + MOVIE, params={"api_key": KEY}, timeout=5
                )
        assert response.from_cache
        assert clean(everything())
        assert clean(logged(caplog))

    def test_stale(self, tmdb, cache, collection, everything, caplog):
        """The warning about a stale answer names the call, without a credential."""
        with enabled(cache):
            for name in ("refuse", "503", "not-json", "reset"):
                requests.get(tmdb.url + MOVIE, params={"api_key": KEY}, timeout=5)
                expire(collection)
                tmdb.fail(name)
                assert requests.get(tmdb.url + MOVIE, params={"api_key": KEY}, timeout=5).from_cache
                tmdb.heal()
        assert "TMDB failed" in caplog.text
        assert clean(logged(caplog))
        assert clean(everything())

    def test_offline(self, tmdb, make_cache, caplog):
        """The error of an offline miss names the call, without a credential."""
        for path in (MOVIE, "/3/account"):
            with enabled(make_cache(offline=True)), pytest.raises(OfflineError) as caught:
                requests.get(tmdb.url + path, params={"api_key": KEY, "language": "de"}, timeout=5)
            assert clean(str(caught.value) + repr(caught.value))
        assert clean(logged(caplog))

    def test_private(self, tmdb, cache, everything, caplog):
        """A private call leaves no answer in the database and no credential in the log."""
        with enabled(cache):
            requests.get(f"{tmdb.url}/3/movie/1?session_id={SESSION}&api_key={KEY}", timeout=5)
            requests.get(f"{tmdb.url}/3/guest_session/{SESSION}/rated/movies?api_key={KEY}", timeout=5)
            requests.post(f"{tmdb.url}/3/authentication/session/new", json={"request_token": SESSION}, timeout=5)
        assert b"GET " not in everything()  # counts may be there
        assert clean(everything())
        assert clean(logged(caplog))

    def test_long_key(self, tmdb, cache, everything):
        """An over-long key holds no credential either, not even in its digest."""
        params = [{"api_key": key, "query": "x" * 600} for key in (KEY, "f" * 32)]
        assert cache.key(tmdb.url + "/3/search/movie", params[0]) == cache.key(tmdb.url + "/3/search/movie", params[1])
        with enabled(cache):
            requests.get(tmdb.url + "/3/search/movie", params=params[0], timeout=5)
        assert clean(everything())


class TestEchoed:
    @pytest.mark.parametrize(
        "headers",
        [
            {"Set-Cookie": f"session={COOKIE}"},
            {"X-Echo": KEY},
            {"X-Request-Url": f"https://api.themoviedb.org/3/movie/550?api_key={KEY}&x=1"},
            {"X-Auth": f"Bearer {TOKEN}"},
            {"Link": f'<https://api.themoviedb.org/3/movie/550?page=2&api_key={KEY}>; rel="next"'},
            {"Authorization": f"Bearer {TOKEN}", "Cookie": COOKIE},
            {"Location": f"/3/movie/551?api_key={KEY}"},
            {"Content-Location": f"/3/movie/551?session_id={SESSION}"},
            {"ETag": f'W/"{KEY}"'},
        ],
    )
    def test_in_headers(self, tmdb, cache, everything, caplog, headers):
        """A credential that upstream repeats in its headers is not kept; the caller gets the headers as they are."""
        tmdb.answer(MOVIE, headers=headers, body=b'{"id": 550}')
        with enabled(cache):
            given = {"params": {"api_key": KEY}, "headers": {"Authorization": f"Bearer {TOKEN}"}, "timeout": 5}
            live = requests.get(tmdb.url + MOVIE, **given)
            requests.get(tmdb.url + MOVIE, **given)
        assert {name: live.headers[name] for name in headers} == headers
        assert clean(everything())
        assert clean(logged(caplog))

    @pytest.mark.parametrize("secret", [KEY, TOKEN])
    def test_in_body(self, tmdb, cache, everything, secret):
        """An answer whose body repeats a credential of the caller is passed on and not stored."""
        body = json.dumps({"id": 550, "request": f"/3/movie/550?api_key={secret}"}).encode()
        tmdb.answer(MOVIE, body=body)
        with enabled(cache):
            for _ in range(2):
                given = {"params": {"api_key": KEY}, "headers": {"Authorization": f"Bearer {TOKEN}"}, "timeout": 5}
                response = requests.get(tmdb.url + MOVIE, **given)
                assert (response.content, response.from_cache) == (body, False)
        assert b"GET " not in everything()  # counts may be there
        assert clean(everything())

    @pytest.mark.parametrize("headers", [{}, {"Set-Cookie": f"s={COOKIE}"}, {"X-Echo": f"api_key={KEY}"}])
    def test_in_redirect(self, tmdb, cache, everything, headers):
        """A redirect whose Location has the caller's key is kept without it."""
        location = f"/3/movie/550?api_key={KEY}&request_token={SESSION}"
        tmdb.answer("/3/movie/1", status=301, headers={"Location": location, **headers}, body=b"")
        with enabled(cache):
            for _ in range(2):
                response = requests.get(f"{tmdb.url}/3/movie/1", params={"api_key": KEY}, timeout=5)
        assert response.from_cache
        assert b"history" in everything()
        assert clean(everything())

    def test_in_redirects_body(self, tmdb, cache, everything):
        """A redirect whose page repeats the caller's key is not kept."""
        location = f"/3/movie/550?api_key={KEY}"
        tmdb.answer("/3/movie/1", status=301, headers={"Location": location}, body=f"see {location}".encode())
        with enabled(cache):
            requests.get(f"{tmdb.url}/3/movie/1", params={"api_key": KEY}, timeout=5)
        assert clean(everything())

    def test_in_304(self, tmdb, cache, collection, everything):
        """The headers of a 304 bring no credential into the entry."""
        tmdb.answer(MOVIE, headers={"ETag": '"1"'}, body=b'{"id": 550}')
        with enabled(cache):
            requests.get(tmdb.url + MOVIE, params={"api_key": KEY}, timeout=5)
            expire(collection)
            headers = {"ETag": '"1"', "X-Echo": KEY, "Set-Cookie": f"a={COOKIE}"}
            tmdb.answer(MOVIE, status=304, headers=headers)
            assert requests.get(tmdb.url + MOVIE, params={"api_key": KEY}, timeout=5).from_cache
        assert clean(everything())


class TestDoors:
    def test_each(self, tmdb, cache, everything, caplog):
        """Through install, session and decorator alike, nothing of a credential is left behind."""
        given = {"params": {"api_key": KEY}, "headers": {"Authorization": f"Bearer {TOKEN}"}, "timeout": 5}

        @cached_tmdb(cache=cache)
        def decorated(path):
            return requests.get(tmdb.url + path, **given)

        with TMDBSession(cache) as session:
            session.get(tmdb.url + MOVIE, **given)
            session.get(tmdb.url + "/3/account", **given)
            assert clean(repr(session))
        decorated("/3/movie/1")
        decorated("/3/account")
        install(cache)
        requests.get(tmdb.url + "/3/movie/2", **given)
        assert everything().count(f"{START}/3/movie/".encode()) == 3
        assert clean(everything())
        assert clean(logged(caplog))


class TestMongoPassword:
    URI = f"mongodb://somebody:{PASSWORD}@127.0.0.1:1/?authMechanismProperties=AWS_SESSION_TOKEN:{SESSION}"

    def test_reprs(self):
        """A repr of config or cache shows no password of the URI."""
        config = CacheConfig(uri=self.URI)
        with TMDBCache(config) as cache:
            assert clean(repr(config) + str(config) + repr(cache))
            assert "127.0.0.1:1" in repr(cache)
