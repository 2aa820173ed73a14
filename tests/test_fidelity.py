"""An answer without the cache, a live one with it and a cached one are the same, attribute by attribute."""

import copy
import gzip
import json
import pickle
import subprocess
import sys
import zlib
from datetime import timedelta

import pytest
import requests

from tmdb_mongo_cache import enabled

from .fidelitykit import BODIES, HEADERS, comparable, three
from .flowkit import API_KEY, MOVIE, ODD, get

pytestmark = [pytest.mark.versions, pytest.mark.any_database]


class TestSame:
    @pytest.mark.parametrize("body", BODIES.values(), ids=list(BODIES))
    def test_body(self, tmdb, cache, body):
        """The body is the same byte for byte, and so is all that is made of it."""
        tmdb.answer(ODD, headers=HEADERS, body=body)
        plain, live, cached = three(tmdb, cache, path=ODD)
        assert plain.content == body
        assert comparable(live) == comparable(plain)
        assert comparable(cached) == comparable(plain)

    @pytest.mark.parametrize(
        "kind",
        [None, "application/json", "text/plain", "text/html; charset=latin-1", "application/json;charset=x-none"],
    )
    def test_encoding(self, tmdb, cache, kind):
        """The encoding is guessed as without the cache, and a caller may set it afterwards."""
        headers = {"Date": HEADERS["Date"], **({"Content-Type": kind} if kind else {})}
        tmdb.answer(MOVIE, headers=headers, body=BODIES["non-ascii"])
        for response in (answers := three(tmdb, cache)):
            assert comparable(response) == comparable(answers[0])
        for response in answers:
            response.encoding = "utf-8"
            assert response.text == BODIES["non-ascii"].decode()

    @pytest.mark.parametrize("coding", ["gzip", "deflate"])
    def test_compressed(self, tmdb, cache, collection, coding):
        """A compressed answer is the same, its header Content-Encoding included, and is kept decoded."""
        body = BODIES["non-ascii"]
        packed = gzip.compress(body) if coding == "gzip" else zlib.compress(body)
        tmdb.answer(MOVIE, headers={**HEADERS, "Content-Encoding": coding}, body=packed)
        plain, live, cached = three(tmdb, cache)
        assert comparable(live) == comparable(plain)
        assert comparable(cached) == comparable(plain)
        assert cached.headers["Content-Encoding"] == coding
        assert collection.find_one({})["body"] == body

    def test_real(self, tmdb, cache):
        """An answer of the stand-in is the same but for the headers of another moment."""
        get(tmdb)  # the stand-in's own cache is warm now
        results = []
        for response in three(tmdb, cache):
            result = comparable(response)
            result["headers"] = [(k, v) for k, v in result["headers"] if k != "Date"]
            results.append(result)
        assert results[1] == results[0] == results[2]

    def test_not_found(self, tmdb, cache):
        """A 404 is the same, its reason and raise_for_status() included."""
        body = b'{"status_code":34, "success":false}'
        tmdb.answer(MOVIE, status=404, headers=HEADERS, body=body)
        texts = []
        for response in (answers := three(tmdb, cache)):
            assert comparable(response) == comparable(answers[0])
            with pytest.raises(requests.HTTPError) as caught:
                response.raise_for_status()
            assert caught.value.response is response
            texts.append(str(caught.value))
        assert len(set(texts)) == 1

    def test_headers(self, tmdb, cache):
        """Headers are found whatever their case, and may be changed without changing what is stored."""
        tmdb.answer(MOVIE, headers=HEADERS, body=b'{"id": 550}')
        with enabled(cache):
            for _ in range(3):
                response = get(tmdb)
                assert response.headers["etag"] == response.headers["ETAG"] == HEADERS["ETag"]
                assert response.headers["X-LOWER"] == "yes"
                response.headers["ETag"] = "changed"
                response.headers.clear()

    def test_elapsed(self, tmdb, cache):
        """Elapsed is the time that this call took."""
        tmdb.latency = 0.05
        _, live, cached = three(tmdb, cache)
        assert live.elapsed >= timedelta(seconds=0.05)
        assert timedelta(0) < cached.elapsed < timedelta(seconds=5)

    def test_close(self, tmdb, cache):
        """close() and `with` do no harm, and leave the content."""
        for response in three(tmdb, cache):
            with response as same:
                assert same is response
            response.close()
            assert response.json()["id"]

    def test_json_arguments(self, tmdb, cache):
        """json() takes the arguments it takes without the cache."""
        from decimal import Decimal

        tmdb.answer(ODD, body=b'{"a": 1.10}')
        for response in three(tmdb, cache, path=ODD):
            assert response.json(parse_float=Decimal) == {"a": Decimal("1.10")}
            assert response.json(object_pairs_hook=list) == [("a", 1.1)]

    def test_mutable_json(self, tmdb, cache):
        """What a program does to the parsed answer is its own business."""
        with enabled(cache):
            for _ in range(3):
                assert get(tmdb).json().pop("title")


class TestOwnRequest:
    def test_url(self, tmdb, cache):
        """Url and request are as this caller sent them: its key, its order, its fragment."""
        urls = [
            f"{tmdb.url}{MOVIE}?api_key={'a' * 32}&language=de&region=US",
            f"{tmdb.url}{MOVIE}?region=US&language=de&api_key={'b' * 32}",
            f"{tmdb.url}/3/movie/%3550?api_key={'c' * 32}&&language=de&region=US&page=1#part",
        ]
        plain = [requests.get(url, timeout=5) for url in urls]
        with enabled(cache):
            found = [requests.get(url, timeout=5) for url in urls]
        assert [response.from_cache for response in found] == [False, True, True]
        for ours, theirs in zip(found, plain, strict=True):
            assert (ours.url, ours.request.url) == (theirs.url, theirs.request.url)
            assert ours.request.path_url == theirs.request.path_url

    def test_request(self, tmdb, cache, collection):
        """The request is the caller's own object, without the condition that was added to it."""

        def hook(response, **_):
            return None

        with requests.Session() as session, enabled(cache):
            for key in ("a" * 32, "b" * 32, "c" * 32):
                collection.update_many({}, [{"$set": {"expires_at": {"$subtract": ["$timestamp", 1]}}}])
                request = requests.Request("GET", tmdb.url + MOVIE, params={"api_key": key}, hooks={"response": hook})
                prepared = session.prepare_request(request)
                before = dict(prepared.headers)
                response = session.send(prepared, timeout=5)
                assert response.request is prepared
                assert dict(prepared.headers) == before
                assert prepared.hooks["response"] == [hook]
                assert key in response.url
        assert [call.status for call in tmdb.calls] == [200, 304, 304]

    def test_bearer(self, tmdb, cache):
        """The headers of the request are this caller's, not those of whoever filled the cache."""
        with enabled(cache):
            for token in ("x" * 40, "y" * 40):
                response = requests.get(tmdb.url + MOVIE, headers={"Authorization": f"Bearer {token}"}, timeout=5)
                assert response.request.headers["Authorization"] == f"Bearer {token}"
        assert response.from_cache

    def test_cookies(self, tmdb, cache):
        """A live answer's cookies reach the caller and its session; a cached answer has none of another's."""
        tmdb.answer(MOVIE, headers={"Set-Cookie": "mine=secret-cookie; Path=/"}, body=b'{"id": 550}')
        with enabled(cache), requests.Session() as one, requests.Session() as two:
            assert get(tmdb, session=one).cookies["mine"] == "secret-cookie"
            assert one.cookies["mine"] == "secret-cookie"
            cached = get(tmdb, session=two)
            assert cached.from_cache
            assert (dict(cached.cookies), dict(two.cookies)) == ({}, {})
            assert "Set-Cookie" not in cached.headers

    def test_session_subclass(self, tmdb, cache):
        """A subclass of Session with its own send() and request() stays in charge."""

        class Mine(requests.Session):
            seen = 0

            def request(self, method, url, **kwargs):
                kwargs.setdefault("timeout", 5)
                return super().request(method, tmdb.url + url, **kwargs)

            def send(self, request, **kwargs):
                Mine.seen += 1
                response = super().send(request, **kwargs)
                response.mine = True
                return response

        with enabled(cache), Mine() as session:
            session.params = {"api_key": API_KEY}
            assert [session.get(MOVIE).mine for _ in range(2)] == [True, True]
        assert (Mine.seen, tmdb.count) == (2, 1)


class TestCopies:
    def test_pickle(self, tmdb, cache):
        """A response survives pickle and copy, live and cached, with what the cache says of it."""
        tmdb.answer(MOVIE, headers=HEADERS, body=BODIES["non-ascii"])
        for response in three(tmdb, cache):
            for other in (pickle.loads(pickle.dumps(response)), copy.copy(response), copy.deepcopy(response)):
                other._next = None  # which requests itself loses
                assert comparable(other) == comparable(response)
                assert other.elapsed == response.elapsed
                for name in ("from_cache", "created_at", "expires", "is_expired", "cache_key"):
                    assert getattr(other, name, None) == getattr(response, name, None)

    def test_elsewhere(self, tmdb, cache):
        """A pickled answer can be read where this package cannot be imported."""
        program = (
            "import sys, pickle, json; sys.modules['tmdb_mongo_cache'] = None\n"
            "r = pickle.loads(sys.stdin.buffer.read())\n"
            "print(json.dumps([r.json()['id'], r.from_cache, r.status_code, r.url, r.headers['Content-Type']]))"
        )
        for response in three(tmdb, cache)[1:]:
            done = subprocess.run(
                [sys.executable, "-c", program], input=pickle.dumps(response), capture_output=True, check=True
            )
            kind = response.headers["Content-Type"]
            assert json.loads(done.stdout) == [response.json()["id"], response.from_cache, 200, response.url, kind]
