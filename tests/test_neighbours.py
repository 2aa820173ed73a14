"""Next to libraries that mock or cache requests: responses, requests-mock, requests-cache, unittest.mock."""

from unittest import mock

import pytest
import requests
import requests_cache
import requests_mock
import responses

from tmdb_mongo_cache import cached_tmdb, enabled, install, is_installed, uninstall

from .flowkit import ANY_KEY, START

pytestmark = [pytest.mark.versions, pytest.mark.any_database]

URL = "https://api.themoviedb.org/3/movie/550"
BODY = {"id": 550, "title": "Made up"}


@pytest.fixture
def uninstalled(unchanged):
    """After uninstall() the class holds what it held at the start."""
    yield
    uninstall()


@pytest.mark.usefixtures("uninstalled")
class TestResponses:
    """The library `responses`, which patches HTTPAdapter.send."""

    def test_activated_after_install(self, cache):
        """A mocked TMDB answer is asked for each time when `responses` is activated after install()."""
        install(cache)
        with responses.RequestsMock() as mocked:
            mocked.get(URL, json=BODY)
            first, second = requests.get(URL, params=ANY_KEY), requests.get(URL, params=ANY_KEY)
            assert len(mocked.calls) == 2
        assert (first.from_cache, second.from_cache) == (False, False)
        assert first.json() == second.json() == BODY

    def test_activated_before_install(self, cache):
        """So it is when `responses` is activated before install(), and after uninstall() within."""
        with responses.RequestsMock() as mocked:
            mocked.get(URL, json=BODY)
            install(cache)
            assert [requests.get(URL, params=ANY_KEY).from_cache for _ in range(2)] == [False, False]
            uninstall()
            assert not hasattr(requests.get(URL, params=ANY_KEY), "from_cache")
            assert len(mocked.calls) == 3

    def test_removed_while_installed(self, cache, tmdb):
        """After `responses` is gone the installed cache goes on, with real calls."""
        install(cache)
        with responses.RequestsMock(assert_all_requests_are_fired=False):
            pass
        url = tmdb.url + "/3/movie/1"
        assert [requests.get(url, params=ANY_KEY).from_cache for _ in range(2)] == [False, True]

    def test_its_decorator_and_ours(self, cache):
        """@responses.activate and @cached_tmdb work on one function, in either order."""

        def program(url):
            responses.get(url, json=BODY)
            return [requests.get(url, params=ANY_KEY).from_cache for _ in range(2)]

        assert responses.activate(cached_tmdb(cache=cache)(program))(URL) == [False, False]
        assert cached_tmdb(cache=cache)(responses.activate(program))(URL + "1") == [False, False]

    def test_mocked_errors(self, cache):
        """A mocked 401, a mocked exception and an unmocked URL reach the program, and nothing is stored."""
        install(cache)
        with responses.RequestsMock() as mocked:
            mocked.get(URL, json={"status_code": 7}, status=401)
            mocked.get(URL + "1", body=requests.ConnectTimeout("mine"))
            assert requests.get(URL, params=ANY_KEY).status_code == 401
            with pytest.raises(requests.ConnectTimeout, match="mine"):
                requests.get(URL + "1", params=ANY_KEY)
            with pytest.raises(requests.ConnectionError):
                requests.get(URL + "2", params=ANY_KEY)
        assert cache.stats().stored == 0

    def test_mocked_post(self, cache):
        """A mocked POST to TMDB goes through."""
        install(cache)
        with responses.RequestsMock() as mocked:
            mocked.post(URL + "/rating", json={"success": True}, status=201)
            assert requests.post(URL + "/rating", json={"value": 8}).status_code == 201


@pytest.mark.usefixtures("uninstalled")
class TestRequestsMock:
    """The library requests-mock, which puts its own Session.send and get_adapter in place."""

    def test_started_after_install(self, cache):
        """A mocked TMDB answer comes back as mocked, every time, when requests-mock starts after install()."""
        install(cache)
        with requests_mock.Mocker() as mocked:
            mocked.get(URL, json=BODY)
            assert [requests.get(URL, params=ANY_KEY).json() for _ in range(3)] == [BODY] * 3
            assert mocked.called
        uninstall()

    def test_started_before_install(self, cache):
        """A mocked TMDB answer is asked for each time when requests-mock starts before install()."""
        with requests_mock.Mocker() as mocked:
            mocked.get(URL, json=BODY)
            install(cache)
            assert [requests.get(URL, params=ANY_KEY).from_cache for _ in range(2)] == [False, False]
            assert mocked.call_count == 2
            uninstall()
            assert requests.get(URL, params=ANY_KEY).json() == BODY

    @pytest.mark.parametrize("order", ["ours first", "theirs first"])
    def test_stopped_while_installed(self, cache, tmdb, order):
        """After requests-mock is gone the installed cache goes on with real calls, whichever came first."""
        url = tmdb.url + "/3/movie/1"
        mocker = requests_mock.Mocker()
        if order == "ours first":
            install(cache)
            mocker.start()
        else:
            mocker.start()
            install(cache)
        mocker.stop()
        assert [requests.get(url, params=ANY_KEY).from_cache for _ in range(2)] == [False, True]
        assert tmdb.count == 1

    def test_uninstalled_while_it_is_on(self, cache):
        """uninstall() within requests-mock leaves its mocks at work; what it puts back goes at the next one."""
        install(cache)
        with requests_mock.Mocker() as mocked:
            mocked.get(URL, json=BODY)
            requests.get(URL, params=ANY_KEY)
            uninstall()
            assert requests.get(URL, params=ANY_KEY).json() == BODY
            assert not hasattr(requests.get(URL, params=ANY_KEY), "from_cache")
        install(cache)

    def test_unmocked_and_failing(self, cache):
        """requests-mock's own exceptions reach the program."""
        install(cache)
        with requests_mock.Mocker() as mocked:
            mocked.get(URL, exc=requests.ReadTimeout("mine"))
            with pytest.raises(requests.ReadTimeout, match="mine"):
                requests.get(URL, params=ANY_KEY)
            with pytest.raises(requests_mock.NoMockAddress):
                requests.get(URL + "1", params=ANY_KEY)

    def test_an_adapter_of_it(self, cache):
        """requests-mock's adapter mounted on a session is asked each time."""
        install(cache)
        adapter = requests_mock.Adapter()
        adapter.register_uri("GET", URL, json=BODY)
        with requests.Session() as session:
            session.mount("https://", adapter)
            assert [session.get(URL, params=ANY_KEY).from_cache for _ in range(2)] == [False, False]
        assert adapter.call_count == 2


@pytest.mark.usefixtures("uninstalled")
class TestRequestsCache:
    """requests-cache, whose sessions have their own cache."""

    @pytest.mark.parametrize("first", ["ours", "theirs"])
    @pytest.mark.parametrize("last", ["ours", "theirs"])
    def test_install_cache(self, cache, tmdb, first, last):
        """requests_cache.install_cache() before or after ours, removed in either order: each does its own."""
        url, kind = tmdb.url + "/3/movie/1", requests.Session
        older = requests.Session()

        def theirs():
            requests_cache.install_cache(backend="memory")

        try:
            for step in [lambda: install(cache), theirs] if first == "ours" else [theirs, lambda: install(cache)]:
                step()
            hits = [requests.get(url, params=ANY_KEY) for _ in range(2)]
            assert isinstance(hits[1], requests_cache.CachedResponse)
            assert older.get(url, params=ANY_KEY).cache_key == f"{START}/3/movie/1"
            assert tmdb.count == 1
            if last == "theirs":
                uninstall()
                assert requests.get(url, params=ANY_KEY).from_cache
                assert not hasattr(older.get(url, params=ANY_KEY), "from_cache")
                requests_cache.uninstall_cache()
            else:
                requests_cache.uninstall_cache()
                assert requests.get(url, params=ANY_KEY).cache_key == f"{START}/3/movie/1"
                uninstall()
            assert requests.Session is kind
            assert not hasattr(requests.get(url, params=ANY_KEY), "from_cache")
        finally:
            requests_cache.uninstall_cache()
            older.close()


@pytest.mark.usefixtures("uninstalled")
class TestMocks:
    """unittest.mock, in a user's test."""

    @pytest.mark.parametrize("options", [{}, {"autospec": True}])
    @pytest.mark.parametrize("known", [False, True])
    def test_a_mock_of_send_gets_the_call(self, cache, tmdb, options, known):
        """mock.patch.object(Session, "send") under install() gets every call, cached or not, and is restored."""
        url = tmdb.url + "/3/movie/1"
        install(cache)
        if known:
            requests.get(url, params=ANY_KEY)
        held = vars(requests.Session)["send"]
        with mock.patch.object(requests.Session, "send", **options) as send:
            send.return_value = "mine"
            assert [requests.get(url, params=ANY_KEY) for _ in range(2)] == ["mine"] * 2
            assert send.call_count == 2
        assert vars(requests.Session)["send"] is held
        requests.get(url, params=ANY_KEY)
        assert requests.get(url, params=ANY_KEY).from_cache

    def test_install_within_a_mock(self, cache, tmdb):
        """install() while Session.send is a mock: what the mock returns reaches the program; then all is well."""
        with mock.patch.object(requests.Session, "send", return_value="mine"):
            install(cache)
            assert requests.get(URL, params=ANY_KEY) == "mine"
        url = tmdb.url + "/3/movie/1"
        assert [requests.get(url, params=ANY_KEY).from_cache for _ in range(2)] == [False, True]

    @pytest.mark.parametrize("path", ["/3/movie/1", "/3/account"])
    def test_a_fake_send(self, cache, tmdb, path, monkeypatch):
        """A function put in the place of Session.send gets the call, and what it returns reaches the program."""
        install(cache)
        with monkeypatch.context() as patched:
            patched.setattr(requests.Session, "send", lambda self, request, **_: ("mine", request.method))
            assert requests.get(tmdb.url + path, params=ANY_KEY) == ("mine", "GET")
        assert tmdb.count == 0
        assert requests.get(tmdb.url + path, params=ANY_KEY).status_code == 200

    @pytest.mark.parametrize("target", ["requests.get", "requests.Session.request", "requests.Session.get"])
    def test_other_mocks(self, cache, target):
        """Mocks of requests.get, Session.request and Session.get are called and restored."""
        with enabled(cache), mock.patch(target, return_value="mine"):
            call = requests.Session().get if target.endswith("Session.get") else requests.get
            assert call(URL, params=ANY_KEY) == "mine"

    @pytest.mark.parametrize("target", ["requests.Session", "requests.sessions.Session", "requests.sessions"])
    def test_mocks_of_the_class(self, cache, target, tmdb):
        """With a mock in the place of the class of sessions, or of its module, every door opens and closes."""
        with mock.patch(target):
            install(cache)
            assert isinstance(is_installed(), bool)
            with enabled(cache):
                cached_tmdb(cache=cache)(int)()
            uninstall()
        with enabled(cache):
            url = tmdb.url + "/3/movie/1"
            assert [requests.get(url, params=ANY_KEY).from_cache for _ in range(2)] == [False, True]

    @pytest.mark.parametrize("name", ["requests", "requests.sessions", "requests.adapters"])
    def test_mocks_of_modules(self, cache, name, tmdb):
        """With something else in sys.modules in the place of requests, every door opens and closes."""
        for fake in (mock.MagicMock(), None):
            with mock.patch.dict("sys.modules", {name: fake}):
                install(cache)
                assert isinstance(is_installed(), bool)
                with enabled(cache):
                    cached_tmdb(cache=cache)(int)()
                uninstall()

    def test_mock_adapter_send(self, cache):
        """A mock of HTTPAdapter.send is asked each time."""
        answer = requests.Response()
        answer.status_code, answer._content, answer.url = 200, b'{"id":1}', URL
        with enabled(cache), mock.patch.object(requests.adapters.HTTPAdapter, "send", return_value=answer) as send:
            assert [requests.get(URL, params=ANY_KEY).json() for _ in range(2)] == [{"id": 1}] * 2
        assert send.call_count == 2
