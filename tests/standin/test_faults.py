"""The stand-in TMDB failing in each way it can."""

import gzip
import json
import threading

import pytest
import requests

from tmdb_mongo_cache.standin.faults import BROKEN, NAMES


def behind(error):
    """Return the classes of the errors that led to one."""
    found = set()
    while error is not None:
        found.add(type(error))
        error = error.__cause__ or error.__context__
    return found


class TestFaults:
    @pytest.mark.parametrize(("name", "code"), [("500", 11), ("503", 9), ("504", 24), ("401", 7), ("404", 34)])
    def test_status(self, tmdb, get, name, code):
        """A status comes with TMDB's error body, lasts until heal(), and is counted."""
        tmdb.fail(name)
        for _ in range(2):
            answer = get("/3/movie/1")
            assert (answer.status_code, answer.json()["status_code"]) == (int(name), code)
        tmdb.heal()
        assert get("/3/movie/1").status_code == 200
        assert [call.status for call in tmdb.calls] == [int(name), int(name), 200]

    def test_rate(self, tmdb, get):
        """429 has a Retry-After only when it is asked for."""
        tmdb.fail("429", times=1)
        tmdb.fail("429", times=1, retry_after=3)
        assert "Retry-After" not in get("/3/movie/1").headers
        assert get("/3/movie/1").headers["Retry-After"] == "3"

    def test_times_and_path(self, tmdb, get):
        """A fault may last for some calls, and for some paths."""
        tmdb.fail("502", times=2, path="/credits")
        answers = [get(path).status_code for path in ("/3/movie/1", *["/3/movie/1/credits"] * 3)]
        assert answers == [200, 502, 502, 200]

    def test_broken_bodies(self, tmdb, get):
        """The broken 200s: not JSON, an error inside, nothing at all."""
        for name in ("not-json", "success-false", "empty"):
            tmdb.fail(name, times=1)
        broken = [get("/3/movie/1") for _ in range(3)]
        assert {answer.status_code for answer in broken} == {200}
        assert {answer.headers["Content-Type"] for answer in broken} == {"application/json;charset=utf-8"}
        assert broken[0].text.startswith("<html>")
        assert broken[1].json()["status_code"] == 21
        assert broken[2].content == b""

    @pytest.mark.parametrize("accept", ["gzip", "identity"])
    def test_unlabelled(self, tmdb, get, accept):
        """A gzip body without its label comes whether or not the client takes gzip, also to If-None-Match."""
        tmdb.fail("gzip-unlabelled")
        answer = get("/3/movie/1", headers={"Accept-Encoding": accept, "If-None-Match": "*"})
        assert "Content-Encoding" not in answer.headers
        assert json.loads(gzip.decompress(answer.content))["id"] == 1

    def test_no_append(self, tmdb, get):
        """append_to_response can be ignored, as it once was."""
        tmdb.fail("no-append")
        assert "credits" not in get("/3/movie/1", append_to_response="credits").json()
        tmdb.heal()
        assert "credits" in get("/3/movie/1", append_to_response="credits").json()

    def test_reset_connection(self, tmdb, get):
        """A reset is a reset, not an end."""
        tmdb.fail("reset")
        with pytest.raises(requests.ConnectionError) as caught:
            get("/3/movie/1")
        assert ConnectionResetError in behind(caught.value)
        assert [call.status for call in tmdb.calls] == [0]

    def test_truncated(self, tmdb, get):
        """A body can end before its Content-Length."""
        tmdb.fail("truncated")
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            get("/3/movie/1")

    def test_timeout(self, tmdb, http_session):
        """A call hangs as long as the fault lasts and is let go by heal()."""
        tmdb.fail("timeout")
        url = tmdb.url + "/3/movie/1"
        with pytest.raises(requests.ReadTimeout):
            http_session.get(url, timeout=0.1)
        threading.Timer(0.1, tmdb.heal).start()
        with pytest.raises(requests.ConnectionError):
            http_session.get(url, timeout=5)
        assert http_session.get(url, timeout=5).status_code == 200
        assert tmdb.count == 3

    def test_refuse(self, tmdb, get):
        """Refused is refused, also for connections that were open; heal() opens the same port."""
        get("/3/movie/1")
        tmdb.fail("refuse")
        tmdb.fail("refuse")
        for _ in range(2):
            with pytest.raises(requests.ConnectionError) as caught:
                get("/3/movie/1")
            assert ConnectionRefusedError in behind(caught.value)
        tmdb.heal()
        assert get("/3/movie/1").status_code == 200
        assert tmdb.count == 2

    @pytest.mark.parametrize("arguments", [("nonsense",), ("refuse", 2), ("reset", 0)])
    def test_unknown(self, tmdb, arguments):
        """A fault that cannot be is a ValueError; an unknown name is answered with the known ones."""
        with pytest.raises(ValueError, match=r".*") as caught:
            tmdb.fail(*arguments)
        assert arguments != ("nonsense",) or all(name in str(caught.value) for name in NAMES)
        assert set(BROKEN) <= set(NAMES)
