"""Fresh, expired, missing: what a call gets, what TMDB is asked and what is kept."""

import json
from datetime import datetime, timedelta

import pytest
import requests

import tmdb_mongo_cache
from tmdb_mongo_cache import enabled, install

from .flowkit import DAY, KEY, MOVIE, expire, get, near, now, sent, spread_time

pytestmark = pytest.mark.any_database


class TestFresh:
    def test_second_call(self, tmdb, cache):
        """A fresh answer is served without a call to TMDB."""
        with enabled(cache):
            first, second = get(tmdb), get(tmdb)
        assert (tmdb.count, first.from_cache, second.from_cache) == (1, False, True)
        assert second.content == first.content

    def test_install(self, tmdb, cache):
        """After install() every call of the process is served from the cache."""
        assert install(cache) is cache
        get(tmdb)
        with requests.Session() as session:
            assert get(tmdb, session=session).from_cache
        assert tmdb.count == 1
        tmdb_mongo_cache.uninstall()
        assert not hasattr(get(tmdb), "from_cache")
        assert tmdb.count == 2

    def test_another_process(self, tmdb, make_cache):
        """What one cache stored, another one on the same database serves without a call."""
        with enabled(make_cache()):
            first = get(tmdb)
        with enabled(make_cache()):
            second = get(tmdb)
        assert tmdb.count == 1
        assert second.content == first.content

    def test_another_key(self, tmdb, cache):
        """A caller with another api_key, or a Bearer token, shares the entry."""
        with enabled(cache):
            get(tmdb)
            assert get(tmdb, params={"api_key": "f" * 32}).from_cache
            token = {"Authorization": "Bearer " + "t" * 40}
            assert requests.get(tmdb.url + MOVIE, headers=token, timeout=5).from_cache
        assert tmdb.count == 1

    @pytest.mark.parametrize("params", [{"language": "de"}, {"append_to_response": "credits"}, {"page": "2"}])
    def test_another_question(self, tmdb, cache, params):
        """Another language, appendix or page is another entry."""
        with enabled(cache):
            get(tmdb)
            assert not get(tmdb, params=params).from_cache
            assert get(tmdb, params=params).from_cache
        assert tmdb.count == 2

    def test_not_tmdb(self, tmdb, cache, collection):
        """A call to a host that is not TMDB's gets nothing added and leaves nothing behind."""
        with enabled(cache):
            for _ in range(2):
                response = requests.get(tmdb.url.replace("127.0.0.1", "localhost") + "/3/movie/1", timeout=5)
        assert type(response) is requests.Response
        assert not hasattr(response, "from_cache")
        assert "Cache-Status" not in response.headers
        assert tmdb.count == 2
        assert collection.count_documents({}) == 0


class TestMissing:
    def test_document(self, tmdb, cache, collection):
        """A missing answer is stored with the documented fields and types."""
        before = now() - timedelta(milliseconds=1)
        with enabled(cache):
            response = get(tmdb, params={"language": "de"})
        document = collection.find_one({})
        types = {
            "_id": str,
            "tmdb_id": int,
            "media_type": str,
            "endpoint": str,
            "data": dict,
            "timestamp": datetime,
            "expires_at": datetime,
            "purge_at": datetime,
            "status": int,
            "headers": dict,
            "body": bytes,
            "checksum": int,
            "schema": int,
        }
        assert {name: type(document[name]) for name in types} == types
        assert document["_id"] == KEY + "?language=de" == response.cache_key
        assert (document["tmdb_id"], document["media_type"]) == (550, "movie")
        assert (document["endpoint"], document["status"], document["schema"]) == ("/3/movie/{movie_id}", 200, 1)
        assert document["body"] == response.content
        assert document["data"] == response.json()
        assert before <= document["timestamp"] <= now()
        assert near(document["expires_at"] - document["timestamp"], spread_time(DAY, document["_id"]))
        assert document["purge_at"] - document["expires_at"] == timedelta(days=7)
        assert document["headers"]["ETag"] == response.headers["ETag"]

    def test_list_answer(self, tmdb, cache, collection):
        """An answer that is a list is stored natively, too."""
        with enabled(cache):
            response = get(tmdb, "/3/configuration/languages")
            assert get(tmdb, "/3/configuration/languages").json() == response.json()
        assert collection.find_one({})["data"] == response.json()
        assert tmdb.count == 1

    def test_native_query(self, tmdb, cache, collection):
        """Anyone's own MongoDB query finds an answer by what is in it."""
        with enabled(cache):
            title = get(tmdb).json()["title"]
        assert collection.find_one({"data.title": title})["_id"] == KEY

    def test_never_longer_than_terms(self, tmdb, make_cache, collection):
        """However long the settings say, an entry is deleted 180 days after its fetch."""
        with enabled(make_cache(expire_after=-1, stale_if_error=True)):
            get(tmdb)
        document = collection.find_one({})
        assert document["purge_at"] - document["timestamp"] == timedelta(days=180)
        assert document["expires_at"] <= document["purge_at"]

    def test_post(self, tmdb, cache, collection):
        """Anything but a GET goes straight through."""
        with enabled(cache):
            for method in ("POST", "DELETE", "HEAD"):
                assert requests.request(method, tmdb.url + MOVIE + "?api_key=any", timeout=5).status_code
        assert [call.method for call in tmdb.calls] == ["POST", "DELETE", "HEAD"]
        assert collection.count_documents({}) == 0


class TestExpired:
    def test_304(self, tmdb, cache, collection):
        """An expired entry is validated with its ETag, and a 304 renews it and keeps its body."""
        with enabled(cache):
            first = get(tmdb)
            before = expire(collection)
            second = get(tmdb)
            after = collection.find_one({})
            assert sent(tmdb)["if-none-match"] == first.headers["ETag"]
            assert [call.status for call in tmdb.calls] == [200, 304]
            assert (second.status_code, second.content) == (200, first.content)
            assert (second.from_cache, second.is_expired) == (True, False)
            assert after["timestamp"] == before["timestamp"]
            assert near(after["expires_at"] - after["validated_at"], spread_time(DAY))
            assert after["purge_at"] - after["expires_at"] == timedelta(days=7)
            assert abs(after["validated_at"] - now()) < timedelta(seconds=30)
            assert (after["body"], after["data"]) == (before["body"], before["data"])
            assert get(tmdb).from_cache
        assert tmdb.count == 2

    def test_304_headers(self, tmdb, cache, collection):
        """The headers of a 304 replace the stored ones, but for those about the body."""
        headers = {"Content-Type": "application/json", "ETag": '"1"', "X-Seen": "one", "X-Kept": "yes"}
        tmdb.answer(MOVIE, headers=headers, body=b'{"id": 550}')
        with enabled(cache):
            get(tmdb)
            expire(collection)
            tmdb.answer(MOVIE, status=304, headers={"ETag": '"1"', "X-Seen": "two"})
            get(tmdb)
            third = get(tmdb)
        assert (third.headers["X-Seen"], third.headers["X-Kept"]) == ("two", "yes")
        assert third.headers["Content-Length"] == "11"
        assert tmdb.count == 2

    def test_200(self, tmdb, cache, collection):
        """A 200 replaces the expired entry whole."""
        with enabled(cache):
            first = get(tmdb)
            before = expire(collection, validated_at=now())
            tmdb.change(MOVIE)
            second, third = get(tmdb), get(tmdb)
        after = collection.find_one({})
        assert [call.status for call in tmdb.calls] == [200, 200]
        assert second.content == third.content == after["body"] != first.content
        assert after["headers"]["ETag"] != before["headers"]["ETag"]
        assert after["timestamp"] > before["timestamp"]
        assert after.get("validated_at") is None
        assert (second.from_cache, third.from_cache) == (False, True)

    def test_no_etag(self, tmdb, cache, collection):
        """An expired entry without an ETag is fetched anew, unconditionally."""
        tmdb.answer(MOVIE, body=b'{"id": 550}')
        with enabled(cache):
            get(tmdb)
            expire(collection)
            assert not get(tmdb).from_cache
        assert "if-none-match" not in sent(tmdb)
        assert collection.find_one({})["timestamp"] > now() - timedelta(seconds=30)

    def test_304_for_another(self, tmdb, cache, collection):
        """A 304 that names another ETag confirms nothing: the answer is fetched unconditionally."""
        tmdb.answer(MOVIE, headers={"ETag": '"one"'}, body=b'{"id": 550}')
        with enabled(cache):
            get(tmdb)
            before = expire(collection)
            tmdb.answer(MOVIE, status=304, headers={"ETag": '"other"'})
            get(tmdb)
        assert sent(tmdb, 1)["if-none-match"] == '"one"'
        assert "if-none-match" not in sent(tmdb, 2)
        assert collection.find_one({}) == before

    def test_purged(self, tmdb, cache, collection):
        """What is past its purge is a miss, also before MongoDB has deleted it."""
        with enabled(cache):
            get(tmdb)
            collection.update_one({}, {"$set": {"purge_at": now() - timedelta(milliseconds=1)}})
            tmdb.fail("503")
            assert get(tmdb).status_code == 503
        assert "if-none-match" not in sent(tmdb)


class TestNotFound:
    MISSING = "/3/movie/999000001"

    def test_kept(self, tmdb, make_cache, collection):
        """TMDB's 404 is kept for not_found_expire_after, and served as the 404 it is."""
        with enabled(make_cache(not_found_expire_after=120)):
            first, second = get(tmdb, self.MISSING), get(tmdb, self.MISSING)
        document = collection.find_one({})
        assert (first.status_code, second.status_code, second.from_cache) == (404, 404, True)
        assert (second.content, second.reason) == (first.content, first.reason)
        assert json.loads(second.content)["status_code"] == 34
        assert document["expires_at"] - document["timestamp"] == timedelta(seconds=120)
        with pytest.raises(requests.HTTPError):
            second.raise_for_status()
        assert tmdb.count == 1

    def test_default(self, tmdb, cache, collection):
        """TMDB's 404 is kept for one hour unless the settings say otherwise."""
        with enabled(cache):
            get(tmdb, self.MISSING)
        document = collection.find_one({})
        assert document["expires_at"] - document["timestamp"] == timedelta(hours=1)

    def test_replaced(self, tmdb, cache, collection):
        """When the time of a 404 is up, the title that has come to be replaces it."""
        tmdb.fail("404", times=1)
        with enabled(cache):
            assert get(tmdb).status_code == 404
            expire(collection)
            assert (get(tmdb).status_code, get(tmdb).status_code) == (200, 200)
        assert tmdb.count == 2

    @pytest.mark.parametrize("body", [b"<html>nginx</html>", b"", b"[]", b'{"status_code": 7}'])
    def test_not_tmdbs(self, tmdb, cache, collection, body):
        """A 404 that is not TMDB's own is passed on and never stored."""
        tmdb.answer(MOVIE, status=404, body=body)
        with enabled(cache):
            assert [get(tmdb).content for _ in range(2)] == [body, body]
        assert tmdb.count == 2
        assert collection.count_documents({}) == 0


class TestRefused:
    @pytest.mark.parametrize("name", ["400", "401", "403", "405", "406", "422"])
    def test_passed_on(self, tmdb, cache, collection, name):
        """A 4xx that blames the caller is passed on and never stored."""
        tmdb.fail(name)
        plain = get(tmdb)
        with enabled(cache):
            for _ in range(2):
                response = get(tmdb)
                assert (response.status_code, response.content) == (plain.status_code, plain.content)
                assert not response.from_cache
        assert (response.status_code, tmdb.count) == (int(name), 3)
        assert collection.count_documents({}) == 0

    @pytest.mark.parametrize("name", ["401", "403", "422"])
    def test_entry_survives(self, tmdb, cache, collection, name):
        """A 4xx on an expired entry is passed on, and the entry stays as it was."""
        with enabled(cache):
            get(tmdb)
            before = expire(collection)
            tmdb.fail(name)
            assert get(tmdb).status_code == int(name)
        assert collection.find_one({}) == before

    def test_invalid_key(self, tmdb, cache):
        """A wrong api_key gets TMDB's 401 for what is not cached, whatever max-age it claims."""
        with enabled(cache):
            for _ in range(2):
                assert get(tmdb, params={"api_key": "invalid"}).status_code == 401
        assert tmdb.count == 2

    @pytest.mark.parametrize("status", [201, 202, 203, 206, 300, 418])
    def test_unusual_status(self, tmdb, cache, collection, status):
        """An answer of any other status is passed on and never stored."""
        tmdb.answer(MOVIE, status=status, body=b'{"id": 550}')
        with enabled(cache):
            assert [get(tmdb).status_code for _ in range(2)] == [status, status]
        assert tmdb.count == 2
        assert collection.count_documents({}) == 0
