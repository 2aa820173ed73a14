"""The headers of the stand-in TMDB, and what it records of the calls."""

import hashlib
import http.client
import json
import re
import threading
import time

import pytest
import requests

from tmdb_mongo_cache.standin import Call

from ..flowkit import ANY_KEY


class TestHeaders:
    def test_headers(self, get):
        """The headers are TMDB's; the ETag is weak and made from the body."""
        answer = get("/3/movie/550")
        headers = answer.headers
        assert headers["Content-Type"] == "application/json;charset=utf-8"
        assert re.fullmatch(r"public, max-age=\d{4,5}", headers["Cache-Control"])
        assert headers["ETag"] == f'W/"{hashlib.md5(answer.content).hexdigest()}"'
        assert headers["Vary"] == "accept-encoding, Origin"
        assert headers["Content-Encoding"] == "gzip"
        assert {"Server", "Date", "X-Cache", "Content-Length"} <= set(headers)
        assert json.dumps(answer.json(), ensure_ascii=False, separators=(",", ":")) == answer.text

    @pytest.mark.parametrize(
        ("path", "age"),
        [
            ("/3/movie/latest", 0), ("/3/movie/5/changes", 600), ("/3/movie/5/account_states", 0),
            ("/3/trending/all/day", range(292, 455)), ("/3/tv/changes", range(284, 582)),
        ],
    )  # fmt: skip
    def test_max_age(self, get, path, age):
        """max-age is plausible for the path."""
        found = int(get(path).headers["Cache-Control"].removeprefix("public, max-age="))
        assert found in (age if isinstance(age, range) else [age])

    def test_plain(self, get):
        """A client that does not take gzip gets none."""
        answer = get("/3/movie/550", headers={"Accept-Encoding": "identity"})
        assert "Content-Encoding" not in answer.headers
        assert answer.json()["id"] == 550
        assert "Content-Encoding" not in get("/3/movie/550", headers={"Accept-Encoding": "gzip;q=0"}).headers

    def test_not_modified(self, tmdb, get):
        """The current ETag, strong or weak, in a list or as a star, gives 304 without a body."""
        etag = get("/3/movie/550").headers["ETag"]
        for value in (etag, etag.removeprefix("W/"), f'"other", {etag}', "*"):
            answer = get("/3/movie/550", headers={"If-None-Match": value})
            assert (answer.status_code, answer.content) == (304, b"")
            assert answer.headers["ETag"] == etag
        assert get("/3/movie/550", headers={"If-None-Match": '"other"'}).status_code == 200
        tmdb.change("/3/movie/550")
        assert get("/3/movie/550", headers={"If-None-Match": etag}).status_code == 200

    def test_head(self, tmdb, http_session):
        """HEAD has the headers of GET and no body."""
        answer = http_session.head(tmdb.url + "/3/movie/550")
        assert (answer.status_code, answer.content) == (200, b"")
        assert int(answer.headers["Content-Length"]) > 500

    def test_keep_alive(self, tmdb):
        """Many calls go over one connection."""
        connection = http.client.HTTPConnection(tmdb.host, timeout=5)
        for _ in range(3):
            connection.request("GET", "/3/movie/550?api_key=k")
            connection.getresponse().read()
            connected = connection.sock.getsockname()
        assert connected == connection.sock.getsockname()
        connection.close()

    def test_speed(self, tmdb, get):
        """An answer that was made before takes less than a millisecond to make."""
        get("/3/movie/550", append_to_response="credits,images")
        call = tmdb.calls[0]
        start = time.perf_counter()
        for _ in range(50):
            tmdb.respond(call)
        assert (time.perf_counter() - start) / 50 < 0.001


class TestCalls:
    def test_calls(self, tmdb, get):
        """A call is recorded as it arrived, with the status of its answer."""
        get("/3/movie/550%2Fcredits", headers={"X-Mine": "yes"}, language="de-DE")
        get("/3/movie/0")
        assert tmdb.count == 2
        call = tmdb.calls[0]
        assert isinstance(call, Call)
        assert (call.method, call.path, call.status) == ("GET", "/3/movie/550%2Fcredits", 200)
        assert call.query == [("api_key", "any"), ("language", "de-DE")]
        assert call.headers["X-Mine"] == "yes"
        assert tmdb.calls[1].status == 404

    def test_answer(self, tmdb, get):
        """answer() is given exactly as it is, until reset()."""
        tmdb.answer("/3/movie/1", status=418, headers={"X-Only": "this"}, body=b"tea")
        answer = get("/3/movie/1")
        assert (answer.status_code, answer.content, answer.headers["X-Only"]) == (418, b"tea", "this")
        assert "ETag" not in answer.headers
        tmdb.reset()
        assert get("/3/movie/1").status_code == 200

    def test_latency(self, tmdb, get):
        """Latency is in seconds and comes before each answer."""
        tmdb.latency = 0.1
        start = time.monotonic()
        get("/3/movie/1")
        assert time.monotonic() - start >= 0.1

    def test_reset(self, tmdb, get):
        """reset() forgets calls, faults, changes and latency."""
        before = get("/3/movie/1").content
        tmdb.change("/3/movie/1")
        tmdb.fail("503")
        tmdb.latency = 0.01
        tmdb.reset()
        assert (tmdb.count, tmdb.latency) == (0, 0.0)
        assert get("/3/movie/1").content == before

    def test_threads(self, tmdb):
        """Sixteen threads get right answers, and every call is counted."""
        wrong = []

        def work(number):
            with requests.Session() as session:
                for _ in range(10):
                    answer = session.get(f"{tmdb.url}/3/movie/{number}", params=ANY_KEY, timeout=5)
                    if answer.json()["id"] != number:
                        wrong.append(number)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 17)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (wrong, tmdb.count) == ([], 160)
