"""The stand-in TMDB that everything else is tested against."""

import gzip
import hashlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import requests

from tmdb_mongo_cache.standin import Call, StandIn
from tmdb_mongo_cache.standin.faults import BROKEN, NAMES
from tmdb_mongo_cache.standin.shapes import OPERATIONS, resolve, route

KEY = {"api_key": "any"}
OPENAPI = Path(__file__).parents[2] / "shared" / "reference" / "tmdb-openapi.json"
GETS = [operation.removeprefix("GET ") for operation in OPERATIONS if operation.startswith("GET ")]


def example(template):
    """Return a path of the template, with an id that exists in each place."""
    path = template.replace("{time_window}", "week").replace("{external_id}", "tt0000001")
    return re.sub(r"\{\w+\}", "7", path)


@pytest.fixture(scope="module")
def shared():
    with StandIn() as standin:
        yield standin


@pytest.fixture
def tmdb(shared):
    yield shared
    shared.reset()


@pytest.fixture(scope="module")
def proxy():
    with StandIn(tls=True) as standin:
        yield standin


@pytest.fixture
def http_session():
    with requests.Session() as session:
        session.trust_env = False
        session.params = dict(KEY)
        yield session


@pytest.fixture
def get(tmdb, http_session):
    def call(path, headers=None, **query):
        return http_session.get(tmdb.url + path, params=query, headers=headers, timeout=5)

    return call


class TestPaths:
    def test_openapi(self):
        """Every operation of TMDB's description is served; the description is not part of the project."""
        described = json.loads(OPENAPI.read_text("utf-8"))["paths"] if OPENAPI.exists() else {}
        operations = {f"{method.upper()} {path}" for path, methods in described.items() for method in methods}
        assert operations - set(OPERATIONS) == set()
        assert len(OPERATIONS) >= 152

    @pytest.mark.parametrize("operation", OPERATIONS)
    def test_keys(self, tmdb, http_session, operation):
        """An operation answers 200 and JSON with the keys of its shape."""
        method, template = operation.split(" ")
        answer = http_session.request(method, tmdb.url + example(template))
        assert answer.status_code == 200
        shape = resolve(route(method, example(template)).shape)
        if isinstance(shape, list):
            assert answer.json()
        else:
            assert set(answer.json()) >= set(shape)
            assert method != "GET" or list(answer.json()) == list(shape)

    @pytest.mark.parametrize("template", [path for path in GETS if "authentication" not in path])
    def test_change(self, tmdb, get, template):
        """change() gives any path another answer and another ETag, each time; the keys stay."""
        path = example(template)
        if template.endswith("/changes") and "{" not in template:
            path = path.replace("/changes", "/550/changes")
        answers = [get(path)]
        for _ in range(2):
            tmdb.change(path)
            answers.append(get(path))
        first, second, third = (answer.headers["ETag"] for answer in answers)
        assert first != second != third
        if isinstance(answers[0].json(), dict):
            assert {tuple(answer.json()) for answer in answers} == {tuple(answers[0].json())}

    def test_deterministic(self, get):
        """Another stand-in gives the same answer to the same request."""
        with StandIn() as other:
            again = requests.get(f"{other.url}/3/tv/1396", params=KEY, timeout=5)
        assert again.content == get("/3/tv/1396").content

    def test_same_film(self, get):
        """A film has the same title in a list as in its details."""
        row = get("/3/movie/popular").json()["results"][3]
        assert get(f"/3/movie/{row['id']}").json()["title"] == row["title"]

    def test_sizes(self, get):
        """A film is about 2 kB, and with six parts about 20 kB."""
        assert 1_500 < len(get("/3/movie/550").content) < 3_000
        parts = "credits,images,videos,keywords,release_dates,recommendations"
        assert 15_000 < len(get("/3/movie/550", append_to_response=parts).content) < 40_000


class TestRules:
    def test_id(self, get):
        """The id that was asked for is in the answer, also behind a slug."""
        assert get("/3/movie/550").json()["id"] == get("/3/movie/550-fight/credits").json()["id"] == 550
        assert get("/3/list/77").json()["id"] == "77"

    @pytest.mark.parametrize(
        "path",
        [
            "/3/movie/0",
            "/3/movie/999999999",
            "/3/tv/5/season/999999999",
            "/3/movie/abc",
            "/3/nothing",
            "/3/trending/tv/year",
            "/",
        ],
    )
    def test_missing(self, get, path):
        """What does not exist is 404 with code 34, without Cache-Control and ETag."""
        answer = get(path)
        assert answer.status_code == 404
        message = "The resource you requested could not be found."
        assert answer.json() == {"success": False, "status_code": 34, "status_message": message}
        assert not {"Cache-Control", "ETag"} & set(answer.headers)

    def test_huge_id(self, get):
        """A number with 5,000 digits is an id that does not exist."""
        assert get("/3/movie/" + "9" * 5_000).status_code == 404
        assert get("/3/movie/popular", page="9" * 5_000).json()["status_code"] == 22

    def test_method(self, tmdb, http_session):
        """A path that exists does not take every method."""
        assert http_session.post(tmdb.url + "/3/movie/550").json()["status_code"] == 42

    @pytest.mark.parametrize(
        ("query", "headers"),
        [
            ({}, {}),
            ({"api_key": ""}, {}),
            ({"api_key": "invalid"}, {}),
            ({}, {"Authorization": "Bearer invalid"}),
        ],
    )
    def test_no_key(self, tmdb, query, headers):
        """Without a key, or with the word "invalid", the answer is 401 with code 7 and a Cache-Control."""
        answer = requests.get(tmdb.url + "/3/movie/550", params=query, headers=headers, timeout=5)
        assert (answer.status_code, answer.json()["status_code"]) == (401, 7)
        assert answer.headers["Cache-Control"] == "public, max-age=300"

    def test_bearer(self, tmdb, get):
        """A Bearer token gives the same answer as a key."""
        headers = {"Authorization": "Bearer token"}
        assert (
            requests.get(tmdb.url + "/3/movie/550", headers=headers, timeout=5).content == get("/3/movie/550").content
        )

    def test_append(self, get):
        """Appended parts come in the order asked, without their id; unknown names are ignored."""
        names = ["watch/providers", "credits", "images"]
        whole = get("/3/movie/550", append_to_response="watch/providers,nonsense,credits,,images").json()
        assert list(whole)[-3:] == names
        assert list(whole)[:-3] == list(get("/3/movie/550").json())
        for name in names:
            alone = get(f"/3/movie/550/{name}").json()
            assert alone.pop("id") == 550
            assert whole[name] == alone

    def test_append_season(self, get):
        """A season can be appended to a series and keeps its own id; one that is not there is ignored."""
        whole = get("/3/tv/1396", append_to_response="season/1,season/999999999").json()
        assert list(whole)[-1] == "season/1"
        assert whole["season/1"] == get("/3/tv/1396/season/1").json()
        assert whole["season/1"]["episodes"][1]["id"] == get("/3/tv/1396/season/1/episode/2").json()["id"]

    def test_append_too_much(self, get):
        """More than 20 parts are 400 with code 27."""
        assert get("/3/movie/550", append_to_response=",".join(["credits"] * 20)).status_code == 200
        answer = get("/3/movie/550", append_to_response=",".join(["credits"] * 21))
        assert (answer.status_code, answer.json()["status_code"]) == (400, 27)

    def test_language(self, get):
        """Each language has its own texts; without one they are English."""
        titles = {
            language: get("/3/movie/550", language=language).json()["title"]
            for language in ("en-US", "de-DE", "fr", "es", "it", "ja-JP", "nl")
        }
        assert len(set(titles.values())) == 7
        assert get("/3/movie/550").json()["title"] == titles["en-US"]

    def test_images(self, get):
        """A language filters images, include_image_language adds others to it."""
        every = get("/3/movie/550/images").json()["posters"]
        some = get("/3/movie/550/images", language="de", include_image_language="fr,null").json()["posters"]
        assert some == [image for image in every if image["iso_639_1"] in ("de", "fr", None)]
        assert len(some) < len(every)

    def test_pages(self, get):
        """Pages have 20 rows each, no two the same; the first is what comes without a page."""
        first, second = get("/3/movie/popular", page=1), get("/3/movie/popular", page=2)
        assert first.headers["ETag"] == get("/3/movie/popular").headers["ETag"] != second.headers["ETag"]
        assert first.json()["total_results"] == 20 * first.json()["total_pages"]
        rows = first.json()["results"] + second.json()["results"]
        assert len({row["id"] for row in rows}) == 40
        assert second.json()["page"] == 2
        assert get("/3/movie/popular", page=499).json()["results"] == []

    @pytest.mark.parametrize("page", ["0", "501", "-1", "x", "²"])
    def test_page_outside(self, get, page):
        """A page outside 1 to 500 is 400 with code 22."""
        answer = get("/3/search/movie", query="x", page=page)
        assert (answer.status_code, answer.json()["status_code"]) == (400, 22)

    def test_search(self, get):
        """Another search finds something else."""
        assert get("/3/search/movie", query="a").json() != get("/3/search/movie", query="b").json()

    def test_find(self, get):
        """/find gives one result, a person for an IMDb name."""
        found = get("/3/find/nm0000001", external_source="imdb_id").json()
        assert {name: len(rows) for name, rows in found.items() if rows} == {"person_results": 1}

    def test_reference(self, get):
        """The genres of a film are in the list of genres, its countries in the list of countries."""
        film = get("/3/movie/550", language="de").json()
        genres = get("/3/genre/movie/list", language="de").json()["genres"]
        codes = [country["iso_3166_1"] for country in get("/3/configuration/countries").json()]
        assert all(genre in genres for genre in film["genres"])
        assert all(country["iso_3166_1"] in codes for country in film["production_countries"])

    def test_path_is_decoded_once(self, get):
        """TMDB's edge decodes a path once and resolves `..`."""
        assert get("/3/credit/x%2F..%2F..%2Faccount%2F5").json()["username"]
        assert get("/3/movie/550/watch%2Fproviders").json() == get("/3/movie/550/watch/providers").json()
        assert get("/3/movie%252F550").status_code == 404


class TestFeed:
    def test_feed(self, get):
        """A feed has pages of 100 ids."""
        page = get("/3/movie/changes", page=2).json()
        assert list(page) == ["results", "page", "total_pages", "total_results"]
        assert len(page["results"]) == 100
        assert page["total_pages"] == 68
        assert get("/3/movie/changes", page=69).json()["results"] == []

    def test_changed(self, tmdb, get):
        """What change() changed comes first, the latest first, in the feed of its kind alone."""
        for path in ("/3/movie/1", "/3/movie/550/credits", "/3/tv/3"):
            tmdb.change(path)
        assert [row["id"] for row in get("/3/movie/changes").json()["results"][:2]] == [550, 1]
        assert get("/3/tv/changes").json()["results"][0]["id"] == 3
        past = get("/3/tv/changes", start_date="2020-01-01", end_date="2020-01-08").json()
        assert past["results"][0]["id"] != 3
        assert past["total_pages"] == 7 * 28

    @pytest.mark.parametrize(
        ("start", "end", "code"),
        [("2024-01-01", "2024-01-16", 20), ("2024-01-02", "2024-01-01", 20), ("nonsense", "2024-01-01", 5)],
    )
    def test_range(self, get, start, end, code):
        """More than 14 days are 422 with code 20."""
        answer = get("/3/person/changes", start_date=start, end_date=end)
        assert (answer.status_code, answer.json()["status_code"]) == (422, code)
        assert get("/3/person/changes", start_date="2024-01-01", end_date="2024-01-15").status_code == 200


class TestPrivate:
    def test_tokens(self, get):
        """Every call gets a new token, and `public` beside it, as with TMDB."""
        first, second = get("/3/authentication/token/new"), get("/3/authentication/token/new")
        assert first.json()["request_token"] != second.json()["request_token"]
        assert first.headers["Cache-Control"] == "public, max-age=0"

    def test_users(self, get):
        """Two users have two accounts' worth of answers."""
        one, two = (get("/3/account/5/favorite/movies", session_id=user).json() for user in "ab")
        assert one != two

    def test_writing(self, tmdb, http_session):
        """POST and DELETE succeed with TMDB's codes."""
        url = tmdb.url + "/3/movie/550/rating"
        assert http_session.post(url, json={"value": 8}).json()["status_code"] == 1
        assert http_session.delete(url).json()["status_code"] == 13
        assert http_session.post(tmdb.url + "/3/list/1/add_item", json={}).json()["status_code"] == 12
        assert tmdb.calls[0].body == b'{"value": 8}'

    def test_version_four(self, get):
        """Any path of the v4 API answers, never twice the same where tokens are made."""
        assert get("/4/account/abc/lists").json()["results"] == []
        assert get("/4/auth/request_token").content != get("/4/auth/request_token").content


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
            tmdb.answer_call(call)
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
                    answer = session.get(f"{tmdb.url}/3/movie/{number}", params=KEY, timeout=5)
                    if answer.json()["id"] != number:
                        wrong.append(number)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 17)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (wrong, tmdb.count) == ([], 160)


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
        with pytest.raises(requests.ConnectionError, match="reset"):
            get("/3/movie/1")
        assert [call.status for call in tmdb.calls] == [0]

    def test_truncated(self, tmdb, get):
        """A body can end before its Content-Length."""
        tmdb.fail("truncated")
        with pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead"):
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
            with pytest.raises(requests.ConnectionError, match="refused"):
                get("/3/movie/1")
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


class TestLife:
    @pytest.mark.parametrize("fault", ["timeout", "refuse", None])
    def test_close(self, fault):
        """close() takes no half second, whatever is open or hangs, and may come twice."""
        standin = StandIn()
        idle = socket.create_connection(("127.0.0.1", int(standin.host.split(":")[1])))
        if fault:
            standin.fail(fault)
        if fault == "timeout":
            idle.sendall(b"GET /3/movie/1 HTTP/1.1\r\nHost: x\r\n\r\n")
            while not standin.count:
                time.sleep(0.005)
        start = time.monotonic()
        standin.close()
        standin.close()
        assert time.monotonic() - start < 0.5
        idle.close()
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", int(standin.host.split(":")[1])))

    def test_port_in_use(self, tmdb):
        """A port that is taken is an OSError at the start."""
        with pytest.raises(OSError, match="in use"):
            StandIn(port=int(tmdb.host.split(":")[1]))

    def test_process(self):
        """`python -m tmdb_mongo_cache.standin` says its address, serves, and ends without a word at Ctrl-C."""
        command = [sys.executable, "-W", "error", "-m", "tmdb_mongo_cache.standin", "--tls"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            url = process.stdout.readline().strip()
            assert requests.get(url + "/3/movie/1", params=KEY, timeout=5).status_code == 200
            process.send_signal(signal.SIGINT)
            output, errors = process.stdout.read(), process.stderr.read()
        assert f"curl '{url}/3/movie/550?api_key=any'" in output
        assert f"export HTTPS_PROXY={url}" in output
        assert (process.returncode, errors) == (0, "")


class TestTLS:
    @pytest.fixture
    def session(self, proxy):
        with requests.Session() as session:
            session.trust_env = False
            session.params = dict(KEY)
            session.proxies = {"https": proxy.env["HTTPS_PROXY"], "http": proxy.env["HTTP_PROXY"]}
            session.verify = proxy.env["REQUESTS_CA_BUNDLE"]
            yield session
        proxy.reset()

    @pytest.mark.parametrize(
        "base", ["https://api.themoviedb.org", "https://api.tmdb.org", "http://api.themoviedb.org"]
    )
    def test_tmdb(self, proxy, session, base):
        """TMDB's own addresses lead to the stand-in, many calls over one tunnel."""
        for number in (1, 2):
            assert session.get(f"{base}/3/movie/{number}", timeout=5).json()["id"] == number
        assert [call.path for call in proxy.calls] == ["/3/movie/1", "/3/movie/2"]

    def test_others(self, session):
        """No other host is reached."""
        with pytest.raises(requests.exceptions.ProxyError, match="403"):
            session.get("https://example.org/", timeout=5)
        assert session.get("http://example.org/", timeout=5).status_code == 403

    def test_untrusted(self, session):
        """A program that does not know the test's CA refuses the certificate, and the stand-in goes on."""
        session.verify = True
        with pytest.raises(requests.exceptions.SSLError):
            session.get("https://api.themoviedb.org/3/movie/1", timeout=5)

    @pytest.mark.parametrize("name", ["reset", "truncated", "refuse"])
    def test_faults(self, proxy, session, name):
        """Connections break in the tunnel as they do without one."""
        session.get("https://api.themoviedb.org/3/movie/1", timeout=5)
        proxy.fail(name)
        with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
            session.get("https://api.themoviedb.org/3/movie/1", timeout=5)
        proxy.heal()
        assert session.get("https://api.themoviedb.org/3/movie/1", timeout=5).status_code == 200

    def test_program(self, proxy):
        """A program started with `env` calls TMDB and gets the stand-in."""
        code = "import requests; print(requests.get('https://api.themoviedb.org/3/movie/7?api_key=k').json()['id'])"
        environment = {**os.environ, **proxy.env}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
        assert (done.stdout, done.stderr) == ("7\n", "")

    def test_files(self):
        """The CA's file is gone after close(); without tls there is no env."""
        with StandIn(tls=True) as standin:
            bundle = Path(standin.env["SSL_CERT_FILE"])
            assert bundle.exists()
        assert not bundle.parent.exists()
        with StandIn() as plain, pytest.raises(RuntimeError, match="tls=True"):
            plain.env  # noqa: B018 - the property raises
