"""Redirects on a hit go the way that the session goes without the cache, and errors say what they say there."""

import threading

import pytest
import requests
from requests.auth import AuthBase

from tmdb_mongo_cache import enabled, install
from tmdb_mongo_cache.standin import StandIn

from .flowkit import API_KEY, MOVIE, get

pytestmark = pytest.mark.any_database

OLD, OLDER = "/3/movie/1", "/3/movie/2"
OF_A_MOMENT = ("age", "cache-status", "date")


def told_of(request):
    return request and (request.method, request.url, dict(request.headers), request.hooks)


def told(response):
    """Return what a program can tell of a response and of what led to it."""
    return [
        (
            one.status_code,
            one.url,
            [(k, v) for k, v in one.headers.items() if k.lower() not in OF_A_MOMENT],
            told_of(one.request),
            told_of(one.next),
            [before.url for before in one.history],
            one.elapsed.total_seconds() > 0,
            one.content,
        )
        for one in [*response.history, response]
    ]


def outcome(call):
    """Return what came of a call."""
    try:
        return told(call())
    except requests.RequestException as error:
        response = error.response
        return type(error), str(error), told_of(error.request), None if response is None else told(response)


def alike(found, wanted):
    """Check part by part, so that a failure is read in one line."""
    assert type(found) is type(wanted)
    if isinstance(wanted, list | tuple):
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            alike(one, other)
    else:
        assert found == wanted


@pytest.fixture
def same(tmdb, make_cache):
    """Compare a call without the cache with two that have it; say whether the second came from it."""

    def same(call, fill=None, hosts=()):
        outcome(call)  # the stand-in's own cache is warm now
        plain = outcome(call)
        with enabled(make_cache(hosts=[tmdb.host, *hosts])):
            if fill is None:
                alike(outcome(call), plain)
            else:
                fill()
            before = tmdb.count
            alike(outcome(call), plain)
            return tmdb.count == before

    return same


LOCATIONS = {
    "absolute": "{url}{movie}?api_key={key}",
    "relative": "{movie}?api_key={key}",
    "without a scheme": "//{host}{movie}?api_key={key}",
    "with a fragment": "{movie}?api_key={key}#part",
    "with an empty fragment": "{movie}?api_key={key}#",
    "with a fragment like a query": "{movie}?api_key={key}#a=b&c=d?e",
    "without the key": "{movie}",
    "with a question mark": "{movie}?",
    "with what is not ASCII": "{movie}?api_key={key}&a=é",
    "with a space": "{movie}?api_key={key}&a=b c",
    "in capitals": "HTTP://{host}{movie}?api_key={key}",
}


@pytest.mark.parametrize("fragment", ["", "#mine"])
@pytest.mark.parametrize("location", LOCATIONS)
def test_locations(tmdb, same, location, fragment):
    """Whatever a Location looks like, a hit has the URL, the hops and the requests of a live answer."""
    there = LOCATIONS[location].format(url=tmdb.url, host=tmdb.host, movie=MOVIE, key=API_KEY)
    tmdb.answer(OLD, status=301, headers={"X-1": "1", "lOcAtIoN": there.encode().decode("latin-1"), "X-2": "2"})
    tmdb.answer(MOVIE, body=b'{"id": 550}')
    assert same(lambda: requests.get(f"{tmdb.url}{OLD}?api_key={API_KEY}{fragment}", timeout=5))


@pytest.mark.parametrize("location", ["http://somebody:secret@{host}{movie}", "{movie}#session_id=0123456789"])
def test_somebodys_location(tmdb, same, collection, location):
    """Where a redirect leads to a place with a password or a credential in it, nothing is kept."""
    tmdb.answer(OLD, status=302, headers={"Location": location.format(host=tmdb.host, movie=MOVIE)})
    tmdb.answer(MOVIE, body=b'{"id": 550}')
    assert not same(lambda: get(tmdb, OLD))
    assert collection.count_documents({}) == 0


@pytest.fixture
def chain(tmdb):
    """Let one path lead to a second, and that to the film."""
    tmdb.answer(OLDER, status=302, headers={"Location": f"{OLD}?api_key={API_KEY}#a"}, body=b"older")
    tmdb.answer(OLD, status=308, headers={"Location": f"{MOVIE}?api_key={API_KEY}"}, body=b"old")


@pytest.mark.parametrize("stream", [False, True], ids=["", "stream"])
@pytest.mark.parametrize("most", [0, 1, 2, 3])
def test_max_redirects(tmdb, chain, same, plain_session, most, stream):
    """max_redirects holds on a hit, with the error that it is without the cache."""
    plain_session.max_redirects = most
    hit = same(lambda: get(tmdb, OLDER, session=plain_session, stream=stream), lambda: get(tmdb, OLDER))
    assert hit


def test_too_many(tmdb, same):
    """A redirect to itself is TooManyRedirects, and the error has the last request."""
    tmdb.answer(OLD, status=302, headers={"Location": f"{OLD}?api_key={API_KEY}&language=de"})
    assert not same(lambda: get(tmdb, OLD))


def bearer(request):
    request.headers["Authorization"] = "Bearer " + "t" * 40
    return request


class Keeping(requests.Session):
    """A session that keeps its credentials wherever it is sent."""

    def rebuild_auth(self, prepared_request, response):
        """Leave them."""


class Staying(requests.Session):
    """A session that follows no redirect with a 308."""

    def get_redirect_target(self, resp):
        return None if resp.status_code == 308 else super().get_redirect_target(resp)


class Leading(requests.Session):
    """A session that follows redirects to another place."""

    def get_redirect_target(self, resp):
        found = super().get_redirect_target(resp)
        return found and found.replace(MOVIE, "/3/movie/551")


@pytest.mark.parametrize("kind", [requests.Session, Keeping])
@pytest.mark.parametrize("to", ["the same", "another port", "localhost"])
def test_authorization(tmdb, same, kind, to):
    """What a session does with Authorization on the way to another port or host it does on a hit."""
    with StandIn() as other, kind() as session:
        places = {
            "the same": tmdb.url,
            "another port": other.url,
            "localhost": other.url.replace("127.0.0.1", "localhost"),
        }
        hosts = [other.host, other.host.replace("127.0.0.1", "localhost")]
        for standin in (tmdb, other):
            standin.answer(MOVIE, body=b'{"id": 550}')
        tmdb.answer(OLD, status=301, headers={"Location": places[to] + MOVIE})
        assert same(lambda: get(tmdb, OLD, session=session, auth=bearer), hosts=hosts)


@pytest.mark.parametrize("kind", [Staying, Leading])
def test_sessions_own_way(tmdb, chain, same, kind):
    """A session that follows redirects in its own way is not served what others were led to."""
    with kind() as session:
        same(lambda: get(tmdb, OLDER, session=session), lambda: get(tmdb, OLDER))


def test_nothing_in_common(tmdb, cache, chain):
    """Requests and lists of a hit's history belong to one response each."""
    with enabled(cache):
        get(tmdb, OLDER)
        one, two = get(tmdb, OLDER), get(tmdb, OLDER)
    everything = [one, *one.history, two, *two.history]
    for name in ("history", "request", "headers"):
        assert len({id(getattr(each, name)) for each in everything}) == 6
    assert len({id(each.request.headers) for each in everything}) == 6


def test_cookies_on_the_way(tmdb, cache, chain, plain_session):
    """A cookie that a redirect sets reaches the session of the one who was redirected, and nobody else."""
    tmdb.answer(OLD, status=301, headers={"Location": MOVIE, "Set-Cookie": "a=secret-cookie; Path=/"})
    tmdb.answer(MOVIE, body=b'{"id": 550}')
    with enabled(cache), requests.Session() as other:
        live = get(tmdb, OLD, session=plain_session)
        assert live.request.headers["Cookie"] == "a=secret-cookie"
        assert plain_session.cookies["a"] == "secret-cookie"
        hit = get(tmdb, OLD, session=other)
        assert hit.from_cache
        assert (dict(other.cookies), "Cookie" in hit.request.headers) == ({}, False)


FORMS = {
    "callable": lambda hook: {"response": hook},
    "list": lambda hook: {"response": [hook, hook]},
    "tuple": lambda hook: {"response": (hook,)},
    "empty list": lambda _: {"response": []},
    "none for it": lambda _: {"response": None},
    "nothing": lambda _: {},
    "None": lambda _: None,
    "of something else": lambda hook: {"other": [hook]},
}


class TestHooks:
    """Hooks see what they see without the cache, at the moment at which they see it."""

    @pytest.mark.parametrize("path", [MOVIE, OLDER], ids=["straight", "redirected"])
    @pytest.mark.parametrize("stream", [False, True], ids=["", "stream"])
    @pytest.mark.parametrize("follow", [True, False], ids=["", "unfollowed"])
    @pytest.mark.parametrize("form", FORMS)
    def test_forms(self, tmdb, chain, same, plain_session, form, stream, follow, path):
        """A prepared request takes hooks in every form, and each is called when it is without the cache."""
        seen, stories = [], []

        def hook(response, *args, **kwargs):
            first = response.raw.read(0), response._content_consumed, len(response.history), response.raw.tell()
            kinds = type(response.connection), response.raw._connection is None, args, sorted(kwargs.items())
            seen.append((response.status_code, response.url, first, kinds, told_of(response.next)))

        def call():
            seen.clear()
            request = plain_session.prepare_request(requests.Request("GET", f"{tmdb.url}{path}?api_key={API_KEY}"))
            request.hooks = FORMS[form](hook)
            response = plain_session.send(request, timeout=5, stream=stream, allow_redirects=follow)
            stories.append((response._content_consumed, response.content, seen[:]))
            return response

        same(call)
        assert all(story == stories[0] for story in stories[1:])

    @pytest.mark.parametrize("where", ["session", "request"])
    def test_led_elsewhere(self, tmdb, chain, same, plain_session, where):
        """A hook that changes where a redirect leads has its way."""

        def lead(response, **_):
            if response.is_redirect:
                response.headers["Location"] = "/3/movie/551"

        hooks = {"response": lead}
        if where == "session":
            plain_session.hooks["response"].append(lead)
        same(lambda: get(tmdb, OLDER, session=plain_session, **({"hooks": hooks} if where == "request" else {})))

    def test_another_response(self, tmdb, same, plain_session):
        """A hook's own response takes the place of TMDB's, with its history and cookies."""
        other, before = requests.Response(), requests.Response()
        for one in (other, before):
            one.status_code, one._content, one.url = 200, b"mine", "http://127.0.0.1/mine"
            one.request = requests.Request("GET", one.url).prepare()
        other.history = [before]
        same(lambda: get(tmdb, session=plain_session, hooks={"response": lambda *_, **__: other}))

    def test_reading(self, tmdb, same):
        """A hook may read the body, in whatever way, and what is left of it is what is left without the cache."""
        for read in (lambda r: r.raw.read(), lambda r: r.raw.read(5), lambda r: r.content, lambda r: r.close()):

            def hook(response, read=read, **_):
                read(response)

            same(lambda hook=hook: get(tmdb, hooks={"response": hook}))

    def test_raises(self, tmdb, cache):
        """What a hook raises is raised."""

        def hook(response, **_):
            raise KeyError("mine")

        with enabled(cache):
            for _ in range(2):
                with pytest.raises(KeyError):
                    get(tmdb, hooks={"response": hook})
        assert tmdb.count == 1

    def test_a_call_of_its_own(self, tmdb, cache, chain):
        """Where a redirect that hooks have seen leads is a call of its own, and cached as such."""
        with enabled(cache):
            found = [get(tmdb, OLDER, hooks={"response": lambda *_, **__: None}).from_cache for _ in range(2)]
        assert found == [False, True]
        assert [call.path for call in tmdb.calls] == [OLDER, OLD, MOVIE, OLDER, OLD]


FAULTS = {"reset": 5, "refuse": 5, "truncated": 5, "timeout": 0.4, "nowhere": 5}


class TestErrors:
    """Errors hold what they hold without the cache."""

    @pytest.mark.parametrize("waits", [False, True], ids=["own call", "another's"])
    @pytest.mark.parametrize("fault", FAULTS)
    def test_held(self, tmdb, cache, fault, waits):
        """Type, text, arguments, request and response are those of requests, for who waited too."""
        if fault == "nowhere":
            tmdb.answer(MOVIE, status=302, headers={"Location": f"http://127.0.0.1:9{MOVIE}"})
        else:
            tmdb.fail(fault)

        def call():
            try:
                get(tmdb, timeout=FAULTS[fault])
            except requests.RequestException as error:
                return error

        def held(error):
            if error is None:
                return None  # urllib3 1.26 does not notice that a body is cut off
            inner = error.args[0]
            reason = getattr(inner, "reason", None)
            pool = getattr(inner, "pool", None)
            request = error.request and (error.request.url, dict(error.request.headers), error.request.hooks)
            text = str(error).partition(" object at ")[0]
            return type(error), text, type(inner), type(reason), str(pool), request, error.response

        plain = held(call())
        install(cache)
        found = []
        tmdb.latency = 0.2 if fault != "timeout" else 0
        both = [threading.Thread(target=lambda: found.append(call())) for _ in range(1 + waits)]
        for one in both:
            one.start()
        for one in both:
            one.join()
        assert [held(error) for error in found] == [plain] * (1 + waits)
        assert plain is None or len({id(error) for error in found}) == 1 + waits


class Signing(AuthBase):
    """An authentication that signs each request anew, as OAuth 1 does."""

    def __call__(self, request):
        request.headers["Authorization"] = "OAuth signed=" + "x" * 30
        return request


def test_signed(tmdb, same):
    """A request that is signed when it is prepared shows its signature."""
    assert same(lambda: get(tmdb, auth=Signing()))
