"""Next to another wrapper of Session.send: above and below ours, taken off in either order."""

import functools

import pytest
import requests
import wrapt

from tmdb_mongo_cache import TMDBSession, cached_tmdb, enabled, install, is_installed, uninstall

from .flowkit import ANY_KEY

pytestmark = [pytest.mark.versions, pytest.mark.any_database]


class Wrapt:
    """Wraps and unwraps the way OpenTelemetry does."""

    def __init__(self):
        self.calls = 0

    def put_on(self):
        def send(wrapped, instance, args, kwargs):
            self.calls += 1
            return wrapped(*args, **kwargs)

        wrapt.wrap_function_wrapper("requests", "Session.send", send)

    def take_off(self):
        requests.Session.send = requests.Session.send.__wrapped__


class Closure:
    """Wraps with a closure, and restores the original it saved."""

    def __init__(self, wraps):
        self.calls, self.wraps = 0, wraps

    def put_on(self):
        self.saved = original = requests.Session.send

        def send(session, request, **kwargs):
            self.calls += 1
            return original(session, request, **kwargs)

        requests.Session.send = functools.wraps(original)(send) if self.wraps else send

    def take_off(self):
        requests.Session.send = self.saved


WRAPPERS = {"wrapt": Wrapt, "wraps": lambda: Closure(True), "plain": lambda: Closure(False)}


@pytest.fixture(params=WRAPPERS)
def other(request):
    """Another tool; the class is put right at the end, whatever it left there."""
    before = vars(requests.Session)["send"]
    yield WRAPPERS[request.param]()
    uninstall()
    requests.Session.send = before


@pytest.fixture
def works(tmdb):
    """Check that calls work, whether the other's wrapper sees them, and whether they are cached."""
    numbers = iter(range(1, 100))

    def check(other, *, seen, cached):
        path, count, calls = f"/3/movie/{next(numbers)}", tmdb.count, other.calls
        found = [requests.get(tmdb.url + path, params=ANY_KEY) for _ in range(3)]
        with requests.Session() as session:
            prepared = requests.Request("GET", tmdb.url + path, params=ANY_KEY).prepare()
            found.append(session.send(prepared))
        assert [response.json()["id"] for response in found] == [int(path.rpartition("/")[2])] * 4
        assert tmdb.count - count == (1 if cached else 4)
        if cached:
            assert [response.from_cache for response in found] == [False, True, True, True]
        else:
            assert not any(hasattr(response, "from_cache") for response in found)
            assert all("Cache-Status" not in response.headers for response in found)
        # A call that goes out passes the other's wrapper exactly once; a hit may or may not.
        least, most = ((1, 4) if cached else (4, 4)) if seen else (0, 0)
        assert least <= other.calls - calls <= most

    return check


def test_above_ours_and_ours_goes_first(cache, other, works):
    """Ours, theirs on top; uninstall() leaves theirs at work; theirs goes: plain requests; install() works again."""
    install(cache)
    other.put_on()
    works(other, seen=True, cached=True)
    uninstall()
    works(other, seen=True, cached=False)
    other.take_off()
    works(other, seen=False, cached=False)
    install(cache)
    works(other, seen=False, cached=True)
    uninstall()
    works(other, seen=False, cached=False)


def test_above_ours_and_theirs_goes_first(cache, other, works):
    """Ours, theirs on top; theirs goes: ours caches on; uninstall(): plain requests."""
    install(cache)
    other.put_on()
    works(other, seen=True, cached=True)
    other.take_off()
    works(other, seen=False, cached=True)
    uninstall()
    works(other, seen=False, cached=False)


def test_below_ours_and_ours_goes_first(cache, other, works):
    """Theirs, ours on top; uninstall() leaves exactly theirs; theirs goes: plain requests."""
    before = vars(requests.Session)["send"]
    other.put_on()
    theirs = vars(requests.Session)["send"]
    install(cache)
    works(other, seen=True, cached=True)
    uninstall()
    assert vars(requests.Session)["send"] is theirs
    works(other, seen=True, cached=False)
    other.take_off()
    assert vars(requests.Session)["send"] is before
    works(other, seen=False, cached=False)
    install(cache)
    works(other, seen=False, cached=True)


def test_below_ours_and_theirs_goes_first(cache, other, works):
    """Theirs, ours on top; their removal takes ours along, and ours comes back at the next Session.request."""
    other.put_on()
    install(cache)
    works(other, seen=True, cached=True)
    other.take_off()
    assert is_installed()
    works(other, seen=False, cached=True)
    uninstall()
    works(other, seen=False, cached=False)
    install(cache)
    works(other, seen=False, cached=True)


def test_put_on_again(cache, other, works):
    """Theirs put on and taken off again and again under install() changes nothing for ours."""
    install(cache)
    for _ in range(3):
        other.put_on()
        works(other, seen=True, cached=True)
        other.take_off()
        works(other, seen=False, cached=True)


def test_install_and_uninstall_under_theirs(cache, other, works):
    """install() and uninstall() again and again under their wrapper pile up nothing: one call is one call."""
    install(cache)
    other.put_on()
    for _ in range(5):
        uninstall()
        works(other, seen=True, cached=False)
        install(cache)
        works(other, seen=True, cached=True)
    uninstall()
    other.take_off()
    works(other, seen=False, cached=False)


def test_theirs_within_enabled(cache, other, works):
    """enabled() around their wrapper, which outlives it, leaves theirs at work and nothing of ours acts."""
    with enabled(cache):
        other.put_on()
        works(other, seen=True, cached=True)
    works(other, seen=True, cached=False)
    other.take_off()
    works(other, seen=False, cached=False)


def test_enabled_within_theirs(cache, other, works):
    """enabled() and a decorated call within their wrapper leave exactly theirs behind."""
    other.put_on()
    theirs = vars(requests.Session)["send"]
    with enabled(cache):
        works(other, seen=True, cached=True)
    cached_tmdb(cache=cache)(works)(other, seen=True, cached=True)
    assert vars(requests.Session)["send"] is theirs


def test_a_tmdb_session_and_theirs(cache, other, tmdb):
    """What a TMDBSession sends passes their wrapper, with and without install()."""
    other.put_on()
    for number, both in ((1, False), (2, True)):
        if both:
            install(cache)
        with TMDBSession(cache) as session:
            found = [session.get(f"{tmdb.url}/3/movie/{number}", params=ANY_KEY).from_cache for _ in range(2)]
        assert found == [False, True]
        assert (tmdb.count, other.calls) == (number, number)


def test_two_others(cache, works):
    """One wrapper below and one above ours: both see what goes out, and ours goes from between them."""
    before = vars(requests.Session)["send"]
    below, above = Wrapt(), Closure(True)
    below.put_on()
    install(cache)
    above.put_on()
    works(above, seen=True, cached=True)
    works(below, seen=True, cached=True)
    uninstall()
    works(above, seen=True, cached=False)
    works(below, seen=True, cached=False)
    above.take_off()
    below.take_off()
    requests.Session.send = before


def test_a_wrapper_of_request(cache, works, tmdb):
    """Another tool's wrapper of Session.request, on ours or under it, sees each call and survives uninstall()."""
    before = vars(requests.Session)["request"]
    seen = []

    def request(wrapped, instance, args, kwargs):
        seen.append(1)
        return wrapped(*args, **kwargs)

    try:
        install(cache)
        wrapt.wrap_function_wrapper("requests", "Session.request", request)
        assert [requests.get(tmdb.url + "/3/movie/1", params=ANY_KEY).from_cache for _ in range(2)] == [False, True]
        uninstall()
        requests.get(tmdb.url + "/3/movie/1", params=ANY_KEY)
        assert (len(seen), tmdb.count) == (3, 2)
        requests.Session.request = requests.Session.request.__wrapped__
        requests.get(tmdb.url + "/3/movie/1", params=ANY_KEY)
        assert (len(seen), tmdb.count) == (3, 3)
        install(cache)
        assert requests.get(tmdb.url + "/3/movie/1", params=ANY_KEY).from_cache
    finally:
        uninstall()
        requests.Session.request = before
