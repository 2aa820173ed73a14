"""Clocks that are wrong: fresh never lasts longer than expire_after by the clock of the one who reads.

What a machine with another clock would have written is written as documents; a clock that jumps is, for what is
stored, the same as documents that jump.
"""

import time
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tmdb_mongo_cache import TMDBSession, enabled
from tmdb_mongo_cache.core import clock, policy
from tmdb_mongo_cache.core.backoff import Backoff
from tmdb_mongo_cache.core.entries import make_entry, renewed_entry
from tmdb_mongo_cache.core.policy import Step
from tmdb_mongo_cache.core.settings import Policy
from tmdb_mongo_cache.httpcache.models import Reply
from tmdb_mongo_cache.tmdb.call import Request, classify

from .entrykit import NOW, OK
from .flowkit import ANY_KEY, KEY, START, get, now

pytestmark = pytest.mark.any_database

SETTINGS = settings(max_examples=60, deadline=None, derandomize=True, database=None)
URL = "https://api.themoviedb.org/3/movie/550"
TOLERANCE = policy.SAME_TIME.total_seconds()
MINUTE, DAY = 60, 86400

seconds = st.one_of(
    st.integers(-1200, 1200),
    st.floats(-5, 5),
    st.sampled_from([-DAY, DAY, -(10**7), 10**7, 2, -2, 2.001, 900, 900.001, -600, 600, 0]),
)
lifetimes = st.sampled_from([0.0, 1.0, 60.0, 3600.0, float(DAY), 30.0 * DAY, float("inf")])


def later(by):
    return NOW + timedelta(seconds=by)


def made(rules, at):
    """Make the entry that a machine makes whose clock shows this."""
    reply = Reply(status=200, reason="OK", headers={"ETag": '"a"'}, body=OK)
    return make_entry(classify("GET", URL, {}), rules, reply, {"id": 550}, at)


def renewed(entry, rules, at):
    """Renew it as a machine does whose clock shows this."""
    return renewed_entry(classify("GET", URL, {}), rules, Reply(status=304), entry, at)


def is_served(entry, rules, at):
    """Say whether a reader whose clock shows this serves the entry without asking TMDB."""
    return policy.decide(policy.usable(entry, Request(), at), Request(), rules, at) is Step.SERVE


class TestRules:
    @SETTINGS
    @given(expire_after=lifetimes, written=seconds, renewals=st.lists(seconds, max_size=3), moments=st.lists(seconds))
    def test_how_long(self, expire_after, written, renewals, moments):
        """Whatever the clocks of those who wrote it showed, an entry is fresh no longer than expire_after."""
        rules = Policy(expire_after=expire_after)
        entry = made(rules, later(written))
        for at in renewals:
            entry = renewed(entry, rules, later(at))
        last = entry.validated_at or entry.timestamp
        # Where anything can change, and wherever else.
        edges = [last, entry.expires_at, last - policy.SAME_TIME, last - policy.CLOCKS_APART, entry.timestamp]
        edges += [edge + timedelta(milliseconds=by) for edge in edges for by in (-1, 1)]
        fresh = [at for at in [*edges, *map(later, moments)] if is_served(entry, rules, at)]
        for at in fresh:
            # By the reader's clock: neither before it was fetched nor past its time.
            assert -TOLERANCE <= (at - last).total_seconds() <= expire_after
            assert at - entry.timestamp < timedelta(days=180)
        if fresh:
            assert (max(fresh) - min(fresh)).total_seconds() <= expire_after + TOLERANCE

    @SETTINGS
    @given(expire_after=lifetimes, jumps=st.lists(st.tuples(seconds, st.integers(0, 100)), max_size=12))
    def test_a_clock_that_jumps(self, expire_after, jumps):
        """A program whose clock jumps is served nothing that by its clock is older than expire_after, or to come."""
        rules, at, entry = Policy(expire_after=expire_after), NOW, None
        for jump, passes in [(0.0, 0), *jumps]:
            at += timedelta(seconds=jump + passes)
            if is_served(entry, rules, at):
                said = (at - (entry.validated_at or entry.timestamp)).total_seconds()
                assert -TOLERANCE <= said <= expire_after
                continue
            step = policy.decide(policy.usable(entry, Request(), at), Request(), rules, at)
            entry = renewed(entry, rules, at) if step is Step.VALIDATE else made(rules, at)
            # What has just been fetched or confirmed is fresh, and for no longer than it should be.
            assert is_served(entry, rules, at) is (expire_after > 0)
            assert (entry.expires_at - at).total_seconds() <= expire_after
            assert not is_served(entry, rules, at + (entry.expires_at - at))

    @SETTINGS
    @given(expire_after=lifetimes, ahead=seconds, passes=st.floats(0, 2000))
    def test_two_machines(self, expire_after, ahead, passes):
        """What one machine stores the other serves as fresh no longer than expire_after, by either clock."""
        rules = Policy(expire_after=expire_after)
        for writer, reader in ((ahead, 0), (0, ahead)):
            entry = made(rules, later(writer))
            at = later(reader + passes)
            if is_served(entry, rules, at):
                assert -TOLERANCE <= (at - entry.timestamp).total_seconds() < expire_after
            # Whoever then asks TMDB has a fresh answer by its own clock.
            at = at + timedelta(milliseconds=1)
            usable = policy.usable(entry, Request(), at)
            again = made(rules, at) if usable is None else renewed(usable, rules, at)
            assert is_served(again, rules, at) is (expire_after > 0 and (again.expires_at > at))

    @pytest.mark.parametrize("name", ["max_age", "call_expire_after"])
    def test_a_limit_of_the_call(self, name):
        """An entry from the future has no negative age: a call's own limit is not stretched by it."""
        rules = Policy(expire_after=3600.0)
        entry = made(rules, later(600))
        for age in (0, 300, 590, 597, 600, 609, 611, 700):
            asked = Request(directives=Request().directives._replace(max_age=10.0)) if name == "max_age" else Request()
            own = rules if name == "max_age" else rules._replace(call_expire_after=10.0)
            served = policy.decide(policy.usable(entry, asked, later(age)), asked, own, later(age)) is Step.SERVE
            assert served is (598 <= age < 610)

    def test_far_ahead(self):
        """What a clock beyond reason wrote is no entry, not even for a TMDB that fails; ten minutes are."""
        rules = Policy(offline=True)
        for ahead, wanted in ((600, True), (900, True), (901, False), (DAY, False)):
            assert is_served(made(rules, later(ahead)), rules, NOW) is wanted
        assert not is_served(made(rules, NOW)._replace(validated_at=later(901)), rules, NOW)


def write(collection, number, fetched, expire_after, **more):
    """Write a film's entry as a machine would at a moment of its own clock."""
    document = collection.find_one({"_id": KEY})
    document |= {"_id": f"{START}/3/movie/{number}", "timestamp": fetched}
    document |= {"expires_at": fetched + timedelta(seconds=expire_after), "purge_at": fetched + timedelta(days=8)}
    del document["checksum"]  # of the other key; the body is whole all the same
    collection.replace_one({"_id": document["_id"]}, document | more, upsert=True)


@pytest.fixture(params=[0, 30], ids=["mongodb", "memory"])
def memory_ttl(request):
    return request.param


@pytest.mark.soak
def test_measured(tmdb, cache, make_cache, collection):
    """By the reader's clock what other machines stored is fresh from their time, less two seconds, for expire_after."""
    with enabled(cache):
        get(tmdb)
    readers = {ttl: TMDBSession(make_cache(memory_ttl=ttl, stale_if_error=0)) for ttl in (0, 30)}
    for session in readers.values():
        assert session.get(tmdb.url + "/3/movie/550", params=ANY_KEY).from_cache  # and so connected
    began = now()
    # (its clock is ahead by, expire_after)
    machines = [(ahead, life) for ahead in (-600, -2, -1, 0, 0.5, 1, 2.5, 3, 3.5, 600) for life in (1, 2)]
    for number, (ahead, life) in enumerate(machines):
        write(collection, number, began + timedelta(seconds=ahead), life)
    seen = {(number, memory_ttl): [] for number in range(len(machines)) for memory_ttl in (0, 30)}
    while now() - began < timedelta(seconds=4):
        for (number, memory_ttl), moments in seen.items():
            before = now()
            url = f"{tmdb.url}/3/movie/{number}"
            served = readers[memory_ttl].get(url, params=ANY_KEY, only_if_cached=True).status_code == 200
            moments.append((before, now(), served))
        time.sleep(0.02)
    for (number, memory_ttl), moments in seen.items():
        ahead, life = machines[number]
        fetched = began + timedelta(seconds=ahead)
        first, end, cut = fetched - policy.SAME_TIME, fetched + timedelta(seconds=life), timedelta(milliseconds=2)
        for before, after, served in moments:
            if served:
                assert before < end, (ahead, life, memory_ttl)
                assert after >= first - cut, (ahead, life, memory_ttl)
            else:  # a look that lay wholly within its time finds it, however slow the machine
                assert before < first + cut or after > end - cut, (ahead, life, memory_ttl)
        found = [moment for moment in moments if moment[2]]
        if found:
            assert found[-1][0] - found[0][1] <= timedelta(seconds=life) + policy.SAME_TIME
    assert any(served for moments in seen.values() for *_, served in moments)
    for session in readers.values():
        session.close()


AHEAD = [5, 600, 899]


@pytest.mark.parametrize("ahead", AHEAD)
def test_from_the_future(tmdb, cache, make_cache, collection, memory_ttl, ahead):
    """An entry from the future is asked about once; from then on it is fresh for expire_after by the reader's clock."""
    with enabled(cache):
        get(tmdb)
    write(collection, 550, now() + timedelta(seconds=ahead), 3600)
    reader = make_cache(memory_ttl=memory_ttl, expire_after=100)
    before, calls = now(), tmdb.count
    with enabled(reader):
        first, second = get(tmdb), get(tmdb)
    assert (tmdb.count - calls, tmdb.calls[-1].status) == (1, 304)
    assert (first.revalidated, second.from_cache, second.content) == (True, True, first.content)
    document = collection.find_one({"_id": KEY})
    assert before - timedelta(seconds=1) <= document["validated_at"] <= now()
    assert (document["expires_at"] - document["validated_at"]).total_seconds() == 100
    assert int(second.headers["Age"]) < 60


@pytest.mark.parametrize("ahead", AHEAD)
def test_renewed_in_the_future(tmdb, cache, make_cache, collection, memory_ttl, ahead):
    """An entry that another machine renewed in the future is asked about as well."""
    with enabled(cache):
        get(tmdb)
    moment = now() + timedelta(seconds=ahead)
    write(collection, 550, now() - timedelta(days=3), 4 * DAY, validated_at=moment)
    calls = tmdb.count
    with enabled(make_cache(memory_ttl=memory_ttl)):
        get(tmdb)
        get(tmdb)
    assert tmdb.count == calls + 1
    assert collection.find_one({"_id": KEY})["validated_at"] < moment


def test_back_and_forth(tmdb, make_cache, collection, memory_ttl):
    """However the clock jumps, a call is answered, and from the cache only what is neither too old nor to come."""
    cache = make_cache(expire_after=100)
    for jump in (-50, 0, 50, -101, 1000, -850, -950, 10**6, -(10**6), -(10**7), 95, 3):
        with enabled(cache):
            get(tmdb)
        document = collection.find_one({"_id": KEY})
        # The clock jumps forward: by it, all that is stored was stored earlier.
        moved = {
            name: document[name] - timedelta(seconds=jump)
            for name in ("timestamp", "expires_at", "purge_at", "validated_at")
            if name in document
        }
        collection.update_one({"_id": KEY}, {"$set": moved})
        age = (now() - moved.get("validated_at", moved["timestamp"])).total_seconds()
        reader, calls = make_cache(expire_after=100, memory_ttl=memory_ttl), tmdb.count
        with enabled(reader):
            found = [get(tmdb), get(tmdb)]
        asked = tmdb.count - calls
        assert [one.status_code for one in found] == [200, 200]
        if age > 101 or age < -TOLERANCE - 1:
            assert asked >= 1, jump
        elif 0 <= age < 90:
            assert asked == 0, jump
        left = (collection.find_one({"_id": KEY})["expires_at"] - now()).total_seconds()
        assert left <= 100 + TOLERANCE, jump
        reader.close()


@pytest.mark.parametrize("ahead", [5, 600])
def test_requests_cache(tmdb, cache, collection, make_tmdb_session, ahead):
    """Under a session of requests-cache an entry from the future is not fresh either."""
    with enabled(cache):
        get(tmdb)
    write(collection, 550, now() + timedelta(seconds=ahead), 100)
    calls = tmdb.count
    get(tmdb, session=make_tmdb_session(expire_after=100))
    assert tmdb.count == calls + 1


def test_a_clock_that_a_test_sets(tmdb, cache, monkeypatch):
    """Expirations and back-off follow the time that a test sets as freezegun does, by another class and function."""
    later = timedelta(days=3)

    class Later(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + later

    backoff, real = Backoff(), time.monotonic
    backoff.back_off(KEY, 60.0)
    with enabled(cache):
        get(tmdb)
        assert get(tmdb).from_cache
        monkeypatch.setattr(clock, "datetime", Later)
        monkeypatch.setattr(time, "monotonic", lambda: real() + later.total_seconds())
        assert get(tmdb).revalidated
    assert not backoff.is_on(KEY)
