"""A program's own requests-cache session under the cache: filled from it, and no time counted twice."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import requests
import requests_cache

import tmdb_mongo_cache
from tmdb_mongo_cache import TMDBCache, enabled, install, uninstall
from tmdb_mongo_cache.standin import StandIn

from .flowkit import API_KEY, KEY, MOVIE, get, now, warnings

pytestmark = pytest.mark.any_database

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
Make = Callable[..., requests_cache.CachedSession]


@pytest.fixture(name="make", params=["sqlite", "memory", "filesystem"])
def make_fixture(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    """Make sessions as programs do, each with a store of its own unless it is named."""
    made: list[requests_cache.CachedSession] = []

    def make(name: str | None = None, **settings: Any) -> requests_cache.CachedSession:
        path = str(tmp_path / (name or f"own{len(made)}"))
        made.append(requests_cache.CachedSession(path, backend=request.param, **settings))
        return made[-1]

    yield make
    for session in made:
        session.close()


def aged(collection: Any, age: timedelta, life: timedelta = DAY, **changes: Any) -> datetime:
    """Have the stored answer come so long ago; return when it expires."""
    came = now() - age
    collection.update_one({"_id": KEY}, {"$set": {"timestamp": came, "expires_at": came + life, **changes}})
    return (came + life).replace(tzinfo=timezone.utc)


def kept(session: requests_cache.CachedSession) -> requests_cache.CachedResponse:
    """Return what a session has in its own store."""
    (found,) = session.cache.responses.values()
    return found


def left(moment: datetime) -> timedelta:
    return moment - datetime.now(timezone.utc)


def about(found: timedelta, wanted: timedelta) -> bool:
    return abs(found - wanted) < timedelta(seconds=20)


def test_its_misses_are_stored_and_served(tmdb: StandIn, cache: TMDBCache, collection: Any, make: Make) -> None:
    """What one session has fetched another program's session with an empty store gets without a call."""
    with enabled(cache):
        first, again, other = (get(tmdb, session=session) for session in [*[make("a")] * 2, make("b")])
    assert tmdb.count == 1
    assert collection.count_documents({"_id": KEY}) == 1
    assert [r.from_cache for r in (first, again, other)] == [False, True, False]
    assert first.content == other.content
    assert first.json() == again.json()
    assert type(first) is type(other)
    assert int(other.headers["Age"]) < 20


@pytest.mark.parametrize(
    ("mine", "age", "life", "wanted"),
    [
        (DAY, 20 * HOUR, DAY, 4 * HOUR),  # counted from when TMDB sent it
        (DAY, 20 * HOUR, 30 * DAY, 4 * HOUR),
        (6 * DAY, 20 * HOUR, DAY, 4 * HOUR),  # no longer than it is fresh here
        (6 * DAY, 20 * HOUR, 30 * DAY, 5 * DAY + 4 * HOUR),
        (-1, 20 * HOUR, DAY, 4 * HOUR),
        (None, 20 * HOUR, DAY, 4 * HOUR),
    ],
)
def test_times_are_not_added_up(
    tmdb: StandIn, cache: TMDBCache, collection: Any, make: Make, mine: Any, age: Any, life: Any, wanted: Any
) -> None:
    """A hit stays in the session's store from when TMDB sent it, and no longer than it is fresh here."""
    with enabled(cache):
        get(tmdb)
        aged(collection, age, life)
        session = make(expire_after=mine)
        got = get(tmdb, session=session)
    assert tmdb.count == 1
    assert about(left(kept(session).expires), wanted)
    assert about(left(got.expires), wanted)
    assert about(timedelta(seconds=int(got.headers["Age"])), age)


@pytest.mark.parametrize("how", ["url", "call", "datetime"])
def test_however_its_time_is_given(tmdb: StandIn, cache: TMDBCache, collection: Any, make: Make, how: str) -> None:
    """The same holds for an expiration by URL, for one call, and for a moment, which no age makes earlier."""
    until = datetime.now(timezone.utc) + 10 * HOUR
    settings: dict[str, dict[str, Any]] = {
        "url": {"urls_expire_after": {"*/3/movie": 24 * 3600}, "expire_after": 60},
        "call": {"expire_after": 60},
        "datetime": {"expire_after": until},
    }
    session = make(**settings[how])
    with enabled(cache):
        get(tmdb)
        aged(collection, 20 * HOUR if how != "datetime" else HOUR, 30 * DAY)
        get(tmdb, session=session, **({"expire_after": DAY} if how == "call" else {}))
    assert tmdb.count == 1
    assert about(left(kept(session).expires), 10 * HOUR if how == "datetime" else 4 * HOUR)


def test_by_its_headers(tmdb: StandIn, cache: TMDBCache, collection: Any, make: Make) -> None:
    """With cache_control the answer's max-age counts from when TMDB's own caches had it."""
    tmdb.answer(MOVIE, headers={"Cache-Control": "public, max-age=7200", "Age": "600"}, body=b'{"id": 550}')
    session = make(cache_control=True)
    with enabled(cache):
        get(tmdb)
        aged(collection, HOUR)
        get(tmdb, session=session)
    assert tmdb.count == 1
    assert about(left(kept(session).expires), timedelta(seconds=7200 - 3600 - 600))


def test_what_it_would_not_keep_it_does_not_get(tmdb: StandIn, cache: TMDBCache, collection: Any, make: Make) -> None:
    """An answer that is older than a session keeps any is confirmed by TMDB first, and then new."""
    session = make(expire_after=3600)
    with enabled(cache):
        get(tmdb)
        aged(collection, 2 * HOUR)
        got = get(tmdb, session=session)
    assert [call.status for call in tmdb.calls] == [200, 304]
    assert (got.status_code, int(got.headers["Age"])) == (200, 0)
    assert about(left(kept(session).expires), HOUR)


@pytest.mark.parametrize("mine", [DAY, 6 * DAY, -1])
def test_what_is_new_is_kept_as_without_us(tmdb: StandIn, cache: TMDBCache, make: Make, mine: Any) -> None:
    """TMDB's own answer stays in the session's store for as long as without the cache."""
    alone, session = make(expire_after=mine), make(expire_after=mine)
    get(tmdb, session=alone)
    with enabled(cache):
        get(tmdb, session=session)
    without, found = kept(alone).expires, kept(session).expires
    assert found is without is None or about(found - without, timedelta(0))


def test_what_it_keeps_is_its_own(tmdb: StandIn, cache: TMDBCache, make: Make) -> None:
    """A stored response is the same as without the cache, but for its Age; it knows nothing of this package."""
    alone, session, other = make("x"), make("y"), make("z")
    plain = get(tmdb, session=alone)
    with enabled(cache):
        live, hit = get(tmdb, session=session), get(tmdb, session=other)
    for found, one in ((live, session), (hit, other)):
        assert type(found) is type(plain)
        assert (found.from_cache, found.is_expired, found.history) == (False, False, [])
        assert set(vars(found)) == set(vars(plain))
        assert {*found.headers} - {"Age"} == {*plain.headers} - {"Age"}
        stored = kept(one)
        for pickled in (pickle.dumps(found), pickle.dumps(stored)):
            assert b"tmdb_mongo_cache" not in pickled.replace(b"own", b"")
        assert (stored.content, stored.status_code, stored.url) == (kept(alone).content, 200, kept(alone).url)
        assert (stored.request.method, stored.request.url) == ("GET", kept(alone).request.url)
    assert tmdb.count == 2


def test_its_store_without_us(tmdb: StandIn, cache: TMDBCache, collection: Any, tmp_path: Path) -> None:
    """Another process that does not know this package reads what the session has stored."""
    path = str(tmp_path / "store")
    with enabled(cache):
        get(tmdb)
        aged(collection, HOUR)
        with requests_cache.CachedSession(path, backend="sqlite", expire_after=DAY) as session:
            get(tmdb, session=session)
    script = (
        "import sys; sys.modules['tmdb_mongo_cache'] = None\n"
        "import requests_cache\n"
        f"s = requests_cache.CachedSession({path!r}, backend='sqlite', expire_after=1)\n"
        f"r = s.get({tmdb.url + MOVIE!r}, params={{'api_key': 'other'}}); "
        "print(r.from_cache, r.is_expired, r.json()['id'])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.split() == ["True", "False", "550"]


@pytest.mark.parametrize("stream", [False, True])
def test_streams(tmdb: StandIn, cache: TMDBCache, make: Make, stream: bool) -> None:
    """A body is read as without the cache, and stored whole, however the session's program reads it."""
    alone = make()
    wanted = [get(tmdb, session=alone, stream=stream).raw.read(decode_content=True) for _ in range(2)]
    with enabled(cache):
        for session in (make(), make()):
            assert [get(tmdb, session=session, stream=stream).raw.read(decode_content=True) for _ in range(2)] == wanted
            assert kept(session).content == kept(alone).content


def test_redirects(tmdb: StandIn, cache: TMDBCache, make: Make, caplog: Any) -> None:
    """A redirected answer is stored and served with its history."""
    tmdb.answer("/3/movie/1", status=301, headers={"Location": f"{MOVIE}?api_key=any"})
    found = []
    with enabled(cache):
        for session in (make(), make()):
            found += [get(tmdb, "/3/movie/1", session=session) for _ in range(2)]
    assert tmdb.count == 2
    assert {(r.json()["id"], r.history[0].status_code, len(r.history)) for r in found} == {(550, 301, 1)}
    assert warnings(caplog) == []


def test_what_a_redirect_finds_in_its_store_is_not_ours(
    tmdb: StandIn, cache: TMDBCache, collection: Any, make: Make
) -> None:
    """Where a redirect ends in the session's own store its answer, of whatever age, does not get into MongoDB."""
    tmdb.answer("/3/movie/1", status=301, headers={"Location": f"{MOVIE}?api_key={API_KEY}"})
    session = make()
    get(tmdb, session=session)
    with enabled(cache):
        assert get(tmdb, "/3/movie/1", session=session).json()["id"] == 550
    assert tmdb.count == 2
    assert collection.count_documents({}) == 0


@pytest.mark.parametrize(
    ("settings", "options"),
    [({}, {"force_refresh": True}), ({}, {"refresh": True}), ({"expire_after": 0}, {}), ({}, {"expire_after": 0})],
)
def test_who_wants_tmdbs_word_gets_it(
    tmdb: StandIn, cache: TMDBCache, make: Make, settings: dict[str, Any], options: dict[str, Any]
) -> None:
    """A session that is told to ask TMDB asks TMDB, though the answer is here."""
    with enabled(cache):
        get(tmdb)
        session = make(**settings)
        get(tmdb, session=session, **options)
        assert tmdb.count == 2
        get(tmdb, session=session, **options)
    assert tmdb.count == 3


def end(session: requests_cache.CachedSession) -> None:
    """Let the time be up of what a session has stored."""
    (key,) = session.cache.responses.keys()
    stored = session.cache.responses[key]
    stored.expires = datetime.now(timezone.utc) - HOUR
    session.cache.responses[key] = stored


@pytest.mark.parametrize("fresh", [True, False])
@pytest.mark.parametrize("changed", [True, False])
def test_when_its_time_is_up(
    tmdb: StandIn, cache: TMDBCache, collection: Any, make: Make, fresh: bool, changed: bool
) -> None:
    """What has expired in the session's store is confirmed or replaced from MongoDB, and TMDB is asked for both."""
    session = make(expire_after=DAY)
    with enabled(cache):
        before = get(tmdb, session=session).json()
        end(session)
        if changed:
            tmdb.change(MOVIE)
            collection.delete_many({})
            cache.clear()
            get(tmdb)
        aged(collection, 20 * HOUR if fresh else 30 * HOUR)
        calls = tmdb.count
        got = get(tmdb, session=session)
        again = get(tmdb, session=session)
    assert [call.status for call in tmdb.calls[calls:]] == ([] if fresh else [304])
    assert got.from_cache is not changed
    assert (got.json() != before) is changed
    assert again.json() == got.json()
    assert about(left(kept(session).expires), 4 * HOUR if fresh else DAY)
    if not fresh:
        assert collection.find_one({"_id": KEY})["expires_at"] > now() + 20 * HOUR


def test_its_condition_and_nothing_in_mongodb(tmdb: StandIn, cache: TMDBCache, collection: Any, make: Make) -> None:
    """Where MongoDB has nothing the answer is stored there, and the session hears that its own is as good."""
    session = make(expire_after=DAY)
    get(tmdb, session=session)
    end(session)
    with enabled(cache):
        got = get(tmdb, session=session)
    assert (got.from_cache, tmdb.count, collection.count_documents({})) == (True, 2, 1)
    assert about(left(kept(session).expires), DAY)


def test_its_condition_and_tmdb_failing(tmdb: StandIn, cache: TMDBCache, collection: Any, make: Make) -> None:
    """A stale answer is no confirmation: what the session has stays expired."""
    session = make(expire_after=DAY)
    with enabled(cache):
        get(tmdb, session=session)
        end(session)
        aged(collection, 2 * DAY)
        tmdb.fail("503")
        assert get(tmdb, session=session).status_code == 200
    assert kept(session).is_expired


@pytest.mark.parametrize("way", ["disabled", "do not cache", "always revalidate"])
def test_left_alone(tmdb: StandIn, cache: TMDBCache, collection: Any, make: Make, way: str) -> None:
    """What a session does not cache, and what it asks TMDB to confirm, goes to TMDB as without us."""
    settings: dict[str, Any] = {"always revalidate": {"always_revalidate": True}}
    settings["do not cache"] = {"expire_after": requests_cache.DO_NOT_CACHE}
    session = make(**settings.get(way, {}))
    with enabled(cache):
        if way == "disabled":
            with session.cache_disabled():
                assert [get(tmdb, session=session).status_code for _ in range(2)] == [200, 200]
        else:
            get(tmdb, session=session)
            found = get(tmdb, session=session)
            assert found.from_cache is (way != "do not cache")
    assert [call.status for call in tmdb.calls] == [200, 304 if way == "always revalidate" else 200]
    assert collection.count_documents({}) == (0 if way in ("disabled", "do not cache") else 1)


@pytest.mark.parametrize("mine", [False, True])
def test_when_tmdb_fails(tmdb: StandIn, cache: TMDBCache, collection: Any, make: Make, mine: bool) -> None:
    """What stands in for a failing TMDB is given to the session, which does not keep it as anything fresh."""
    session = make(expire_after=10 * DAY, stale_if_error=mine)
    with enabled(cache):
        get(tmdb)
        aged(collection, 2 * DAY)
        tmdb.fail("503")
        got = get(tmdb, session=session)
        assert (got.status_code, got.json()["id"]) == (200, 550)
        assert kept(session).is_expired
        tmdb.heal()
        get(tmdb, session=session)
    assert about(left(kept(session).expires), 10 * DAY)


def test_stale_while_revalidate(tmdb: StandIn, cache: TMDBCache, collection: Any, make: Make) -> None:
    """What a session refreshes behind an answer is TMDB's own word."""
    session = make(expire_after=DAY, stale_while_revalidate=True)
    with enabled(cache):
        get(tmdb)
        expires = aged(collection, 23 * HOUR)
        get(tmdb, session=session)
    assert abs(kept(session).expires - expires) < HOUR


class Mixed(requests_cache.CacheMixin, requests.Session):
    """A session as programs mix it themselves."""


def _mixed(path: str) -> Any:
    return Mixed(path, backend="sqlite", expire_after=DAY)


def _wrapped(path: str) -> Any:
    return requests_cache.CachedSession.wrap(requests.Session(), cache_name=path, backend="sqlite", expire_after=DAY)


@pytest.mark.parametrize("build", [_mixed, _wrapped])
def test_other_sessions(tmdb: StandIn, cache: TMDBCache, collection: Any, tmp_path: Path, build: Any) -> None:
    """A session of one's own that mixes in requests-cache's, and one that was wrapped, are served alike."""
    with enabled(cache), build(str(tmp_path / "x")) as session:
        get(tmdb)
        aged(collection, 20 * HOUR)
        assert [get(tmdb, session=session).from_cache for _ in range(2)] == [False, True]
        assert about(left(kept(session).expires), 4 * HOUR)
    assert tmdb.count == 1


@pytest.mark.parametrize("whole", [False, True])
def test_requests_itself(tmdb: StandIn, cache: TMDBCache, collection: Any, tmp_path: Path, whole: bool) -> None:
    """Under install_cache() and requests_cache.enabled() too, for they make a session of every call."""
    settings: dict[str, Any] = {"cache_name": str(tmp_path / "x"), "backend": "sqlite", "expire_after": DAY}
    install(cache)
    try:
        get(tmdb, session=requests)
        aged(collection, 20 * HOUR)
        if whole:
            requests_cache.install_cache(**settings)
            try:
                found = [get(tmdb) for _ in range(2)]
            finally:
                requests_cache.uninstall_cache()
        else:
            with requests_cache.enabled(**settings):
                found = [get(tmdb) for _ in range(2)]
    finally:
        uninstall()
    assert [r.from_cache for r in found] == [False, True]
    assert all(about(left(r.expires), 4 * HOUR) for r in found)
    assert tmdb.count == 1


def test_a_mongo_backend_goes_its_own_way(
    tmdb: StandIn, cache: TMDBCache, mongo: Any, database: str, collection: Any, monkeypatch: Any
) -> None:
    """A session on MongoBackend looks in the database by itself, and is counted by nobody twice."""
    monkeypatch.setenv("TMDB_CACHE_HOSTS", tmdb.host)
    backend = tmdb_mongo_cache.MongoBackend(database, connection=mongo)
    with enabled(cache), requests_cache.CachedSession(backend=backend) as session:
        assert [get(tmdb, session=session).from_cache for _ in range(2)] == [False, True]
    assert (tmdb.count, cache.stats().calls) == (1, 0)


def test_private_calls(tmdb: StandIn, cache: TMDBCache, collection: Any, make: Make) -> None:
    """What is private goes to TMDB and comes back as without us: the session's business, and never in MongoDB."""
    alone, session = make(), make()
    path, params = "/3/account", {"session_id": "0123456789abcdef"}
    plain = get(tmdb, path, session=alone, params=params)
    with enabled(cache):
        found = get(tmdb, path, session=session, params=params)
    assert (type(found), set(vars(found))) == (type(plain), set(vars(plain)))
    assert {*found.headers} - {"Age"} == {*plain.headers} - {"Age"}  # the stand-in's own, of its second answer
    assert (tmdb.count, collection.count_documents({})) == (2, 0)


def test_its_writes_are_seen(tmdb: StandIn, cache: TMDBCache, collection: Any, make: Make) -> None:
    """A rating that is sent by such a session makes the film stale, as any other does."""
    with enabled(cache):
        get(tmdb)
        session = make()
        url, params = f"{tmdb.url}{MOVIE}/rating", {"api_key": API_KEY, "session_id": "0123456789abcdef"}
        assert session.post(url, params=params, json={"value": 8}, timeout=5).ok
    assert collection.find_one({"_id": KEY})["expires_at"] <= now()


def test_offline(tmdb: StandIn, make_cache: Callable[..., TMDBCache], cache: TMDBCache, make: Make) -> None:
    """With offline set such a session calls TMDB no more than any other, and gets what is here."""
    with enabled(cache):
        get(tmdb)
    with enabled(make_cache(offline=True)):
        session = make()
        assert get(tmdb, session=session).json()["id"] == 550
        with pytest.raises(tmdb_mongo_cache.OfflineError):
            get(tmdb, "/3/movie/1", session=session)
    assert tmdb.count == 1


@pytest.mark.parametrize("fault", ["refuse", "timeout", "503", "429"])
def test_failures_are_those_of_requests(tmdb: StandIn, cache: TMDBCache, make: Make, fault: str) -> None:
    """Where TMDB fails and nothing is here the session gets the error or the answer that it gets without us."""
    tmdb.fail(fault)

    def outcome(session: requests_cache.CachedSession) -> Any:
        try:
            found = get(tmdb, session=session, timeout=0.2)
        except requests.RequestException as error:
            return type(error)
        return found.status_code, found.content, found.from_cache, len(session.cache.responses)

    without = outcome(make())
    with enabled(cache):
        assert outcome(make()) == without


def test_other_hosts_are_none_of_it(tmdb: StandIn, make_cache: Any, collection: Any, make: Make) -> None:
    """Another host's answers are the session's alone."""
    cache = make_cache(hosts=[])
    with enabled(cache):
        session = make()
        assert [get(tmdb, session=session).from_cache for _ in range(2)] == [False, True]
    assert (tmdb.count, collection.count_documents({}), cache.stats().calls) == (1, 0, 0)


def test_it_is_undone() -> None:
    """When the last cache is taken off, requests-cache is what it was."""
    actions: Any = vars(sys.modules["requests_cache.session"])["CacheActions"]
    before = dict(vars(actions))
    with StandIn() as tmdb, enabled(hosts=[tmdb.host], uri="mongodb://127.0.0.1:1"):
        with requests_cache.CachedSession(backend="memory") as session:
            assert get(tmdb, session=session).status_code == 200
        assert dict(vars(actions)) != before
    assert dict(vars(actions)) == before


@pytest.mark.parametrize("seconds", [0.5, 1.5, 2.5])
def test_a_moment_that_is_over(
    tmdb: StandIn, cache: TMDBCache, collection: Any, stored: Any, make: Make, seconds: float
) -> None:
    """A session that keeps answers until a moment which has just passed gets none of any age, but TMDB's own."""
    aged(collection, 10 * HOUR, 30 * DAY)
    with enabled(cache):
        get(tmdb, session=make(expire_after=datetime.now(timezone.utc) - timedelta(seconds=seconds)))
    assert tmdb.count == 2
