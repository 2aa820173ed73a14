"""Leases: whose turn it is to fetch, for how long, and what becomes of one that is held."""

from __future__ import annotations

import threading
import time
from datetime import datetime, timedelta, timezone

import pymongo
import pytest
from pymongo import monitoring

from tmdb_mongo_cache.core.lease import Lease
from tmdb_mongo_cache.errors import StoreUnavailable
from tmdb_mongo_cache.mongo.document import CODEC
from tmdb_mongo_cache.mongo.executor import execute
from tmdb_mongo_cache.mongo.leases import Leases

from .flowkit import KEY
from .processkit import FORKS, in_a_child
from .test_breaker import no_thread_can_be_started
from .waitkit import eventually

LEASE = 3.0


class Tried:
    """Some leases on a collection, with what is to fail on the way there."""

    def __init__(self, collection) -> None:
        self.entries = collection
        self.failures = 0
        self.leases = Leases(self.run)
        self.owner = self.leases.owner

    def run(self, commands, *, writing: bool = False, probing: bool = False):
        if probing and self.failures:
            self.failures -= 1
            raise StoreUnavailable("away")
        return execute(commands, self.entries)

    def acquire(self, key, refreshing):
        return self.run(self.leases.acquire(key, refreshing))

    def release(self, key, failed, backoff):
        self.run(self.leases.release(key, failed, backoff))

    def open(self, key):
        self.run(self.leases.open(key))


@pytest.fixture
def documents(collection):
    """The documents of the leases."""
    return collection.database.get_collection(
        "tmdb_cache_leases", codec_options=CODEC, write_concern=pymongo.WriteConcern(1)
    )


@pytest.fixture
def make(collection):
    """Make leases as a process of its own has them."""
    made = []

    def make(entries=None):
        made.append(Tried(collection if entries is None else entries))
        return made[-1]

    yield make
    for one in made:
        one.leases.close()


@pytest.fixture
def mine(make):
    return make()


@pytest.fixture
def other(make):
    return make()


def settled(documents, **wanted):
    """Wait until the lease is as wanted: a release waits for no reply."""
    assert eventually(lambda: documents.find_one({"_id": KEY, **wanted}) is not None, 10)


def prolong(documents, field="until", seconds=5.0):
    """Let a lease last longer than this machine, however busy, takes to ask for it."""
    documents.update_one({"_id": KEY}, {"$set": {field: datetime.now(timezone.utc) + timedelta(seconds=seconds)}})


def seconds_left(documents, field="until"):
    return (documents.find_one({"_id": KEY})[field] - datetime.now(timezone.utc)).total_seconds()


class TestTaking:
    def test_one(self, mine, other, documents):
        """The first cache has it for three seconds, and all others wait."""
        assert mine.acquire(KEY, False) == Lease(is_mine=True)
        document = documents.find_one({"_id": KEY})
        assert document["purge_at"] - document["until"] == timedelta(seconds=60 - LEASE)
        prolong(documents)
        assert other.acquire(KEY, False) == other.acquire(KEY, True) == Lease(is_anothers=True)
        assert documents.find_one({"_id": KEY})["owner"] == mine.leases.owner

    def test_twice(self, mine, documents):
        """A cache that has it already neither acquires it nor waits for it, but may find the response stored."""
        mine.acquire(KEY, False)
        prolong(documents)
        assert mine.acquire(KEY, False) == Lease(after=0.0)

    def test_kept(self, mine, documents):
        """A lease's document is deleted a minute after it was taken, by an index."""
        mine.acquire(KEY, False)
        assert 55 < seconds_left(documents, "purge_at") <= 60.1
        assert documents.index_information()["purge_at"]["expireAfterSeconds"] == 0

    @pytest.mark.parametrize("ago", [0.2, 30, 59])
    def test_after(self, mine, documents, ago):
        """A cache that acquires one that ended is told how long ago that was."""
        ended = datetime.now(timezone.utc) - timedelta(seconds=ago)
        documents.insert_one({"_id": KEY, "owner": "x", "until": ended})
        lease = mine.acquire(KEY, False)
        assert lease.is_mine
        assert ago <= lease.after < ago + 5

    @pytest.mark.parametrize("ago", [61, 10**6])
    def test_long_after(self, mine, documents, ago):
        """What ended more than a minute ago is not spoken of."""
        documents.insert_one({"_id": KEY, "owner": "x", "until": datetime.now(timezone.utc) - timedelta(seconds=ago)})
        assert mine.acquire(KEY, False) == Lease(is_mine=True)

    @pytest.mark.parametrize(("ahead", "is_mine"), [(1.5, False), (5.5, False), (6.6, True), (10**9, True)])
    def test_ahead(self, mine, documents, ahead, is_mine):
        """What ends later than two leases could is nonsense, and acquired."""
        documents.insert_one({"_id": KEY, "owner": "x", "until": datetime.now(timezone.utc) + timedelta(seconds=ahead)})
        assert mine.acquire(KEY, False).is_mine is is_mine

    def test_lost_the_race(self, make, collection, mongo_uri, documents):
        """The second of two caches that insert a lease tries once more."""

        class Racing(monitoring.CommandListener):
            def started(self, event):
                pass

            def succeeded(self, event):
                pass

            def failed(self, event):
                if event.command_name == "findAndModify":
                    documents.drop_index("race")

        # MongoDB itself repeats most inserts that lose; this one it cannot.
        documents.insert_one({"_id": "other", "taken": True})
        documents.create_index("taken", name="race", unique=True)
        with pymongo.MongoClient(mongo_uri, event_listeners=[Racing()]) as client:
            mine = make(client[collection.database.name][collection.name])
            assert mine.acquire(KEY, False) == Lease(is_mine=True)
            mine.leases.close()

    def test_refused(self, make, collection, documents, mongo_uri):
        """What MongoDB refuses for another reason is an error, and not tried again."""

        class Attempts(monitoring.CommandListener):
            def started(self, event):
                if event.command_name == "findAndModify":
                    attempts.append(event.request_id)

            def succeeded(self, event):
                pass

            def failed(self, event):
                pass

        attempts: list[int] = []
        documents.create_index([("owner", "text")])
        documents.database.command("collMod", documents.name, validator={"owner": "nobody"})
        with pymongo.MongoClient(mongo_uri, event_listeners=[Attempts()]) as client:
            leases = make(client[collection.database.name][collection.name])
            with pytest.raises(pymongo.errors.OperationFailure):
                leases.acquire(KEY, False)
        assert len(attempts) == 1


class TestGivingBack:
    def test_good(self, mine, other, documents):
        """A lease that is released with a response can be acquired at once, and says that it has just ended."""
        mine.acquire(KEY, False)
        mine.leases.abandon(KEY)
        mine.release(KEY, False, 0.0)
        settled(documents, open_until=None)
        lease = other.acquire(KEY, False)
        assert lease.is_mine
        assert 0 <= lease.after < 5

    def test_failed(self, mine, other, documents):
        """Where there is no new response no cache waits for another, for a second."""
        mine.acquire(KEY, False)
        mine.leases.abandon(KEY)
        mine.release(KEY, True, 0.0)
        settled(documents, open_until={"$ne": None})
        document = documents.find_one({"_id": KEY})
        assert document["open_until"] - document["until"] == timedelta(seconds=1)
        prolong(documents, "open_until", 1.9)
        assert other.acquire(KEY, False) == Lease()
        assert other.acquire(KEY, True) == Lease()
        assert eventually(lambda: other.acquire(KEY, False).is_mine, 10)

    def test_rest(self, mine, other, documents):
        """Another process is told for how many seconds a key backs off, where it has a stale response."""
        mine.acquire(KEY, True)
        mine.leases.abandon(KEY)
        mine.release(KEY, False, 20.0)
        settled(documents, rest_until={"$ne": None})
        lease = other.acquire(KEY, True)
        assert (lease.is_mine, lease.is_anothers, lease.after) == (False, False, None)
        assert 10 < lease.backoff <= 20
        assert other.acquire(KEY, False).is_mine

    def test_another_owner(self, mine, other, documents):
        """The lease of another cache is not released."""
        mine.acquire(KEY, False)
        other.release(KEY, False, 0.0)
        mine.open(KEY)
        settled(documents, open_until={"$ne": None})
        assert documents.find_one({"_id": KEY})["until"] > datetime.now(timezone.utc)

    def test_open(self, mine, other, documents):
        """One that took too long for a cache that waited is not waited for, for a second."""
        mine.acquire(KEY, False)
        other.open(KEY)
        settled(documents, open_until={"$ne": None})
        prolong(documents, "open_until", 1.9)
        assert other.acquire(KEY, False) == Lease()
        assert eventually(lambda: other.acquire(KEY, False).is_anothers, 10)

    @pytest.mark.parametrize("field", ["open_until", "rest_until"])
    def test_nonsense(self, mine, documents, field):
        """A back-off that is longer than any can be is ignored."""
        documents.insert_one({"_id": KEY, field: datetime.now(timezone.utc) + timedelta(days=1)})
        assert mine.acquire(KEY, True).is_mine

    def test_probing(self, mine, documents):
        """What is acquired to find out whether that works is released at once, and not renewed."""
        mine.run(mine.leases.probe(KEY, False))
        settled(documents, open_until=None)
        time.sleep(0.55)
        assert mine.leases.due() == []
        assert mine.acquire(KEY, False).is_mine

    def test_not_waited_for(self, make, collection, mongo_uri):
        """No reply to a release or an opening is waited for."""

        class Writes(monitoring.CommandListener):
            def started(self, event):
                if event.command_name == "update":
                    concerns.append(event.command["writeConcern"]["w"])

            def succeeded(self, event):
                pass

            def failed(self, event):
                pass

        concerns: list[int] = []
        with pymongo.MongoClient(mongo_uri, event_listeners=[Writes()]) as client:
            leases = make(client[collection.database.name][collection.name])
            leases.open(KEY)
            leases.release(KEY, False, 0.0)
        assert concerns == [0, 0]


class TestRenewing:
    def test_after_a_failure(self, mine, documents):
        """One renewal that fails does not end the renewing."""
        mine.failures = 1
        mine.acquire(KEY, False)
        before = documents.find_one({"_id": KEY})
        assert eventually(lambda: documents.find_one({"_id": KEY})["until"] > before["until"], 10)
        assert mine.failures == 0
        assert documents.find_one({"_id": KEY})["purge_at"] > before["purge_at"]
        assert {key: documents.find_one({"_id": KEY})[key] for key in ("owner", "taken")} == {
            "owner": mine.leases.owner,
            "taken": True,
        }

    def test_due(self, mine):
        """A lease is renewed when it is half a second old, and until it is dropped."""
        began = time.monotonic()
        mine.acquire(KEY, False)
        assert eventually(lambda: mine.leases.due() == [KEY], 10)
        assert time.monotonic() - began >= 0.5
        mine.leases.abandon(KEY)
        mine.leases.abandon(KEY)
        assert mine.leases.due() == []

    def test_anothers(self, mine, other, documents):
        """A lease that another has meanwhile is not renewed."""
        mine.acquire(KEY, False)
        documents.update_one({"_id": KEY}, {"$set": {"owner": other.owner}})
        before = documents.find_one({"_id": KEY})
        mine.leases.renew([KEY])
        assert documents.find_one({"_id": KEY}) == before

    def test_these_alone(self, mine, documents):
        """The leases that are named are renewed, and no other."""
        for key in (KEY, "another"):
            mine.acquire(key, False)
            mine.leases.abandon(key)
        before = {key: documents.find_one({"_id": key})["until"] for key in (KEY, "another")}
        time.sleep(0.01)
        mine.leases.renew([KEY])
        assert documents.find_one({"_id": KEY})["until"] > before[KEY]
        assert documents.find_one({"_id": "another"})["until"] == before["another"]

    def test_idle(self, mine):
        """After ten rounds without a lease no thread is needed any more."""
        mine.acquire(KEY, False)
        mine.leases.abandon(KEY)
        found = [mine.leases.due() for _ in range(10)]
        assert found == [[]] * 9 + [None]

    def test_no_thread(self, mine, documents):
        """Where no thread can be started a lease is taken all the same, and the next one is renewed."""
        with no_thread_can_be_started():
            assert mine.acquire(KEY, False).is_mine
        assert mine.acquire("another", False).is_mine
        before = documents.find_one({"_id": "another"})["until"]
        assert eventually(lambda: documents.find_one({"_id": "another"})["until"] > before, 10)

    def test_one_thread(self, make):
        """One thread renews all leases of a cache, and ends when that is closed."""
        before = set(threading.enumerate())
        made = make()
        for number in range(3):
            made.acquire(str(number), False)

        def new():
            return [
                thread for thread in set(threading.enumerate()) - before if thread.name == "tmdb-mongo-cache-leases"
            ]

        assert len(new()) == 1
        made.leases.close()
        assert eventually(lambda: new() == [], 10)
        made.acquire("more", False)
        assert new() == []

    @FORKS
    def test_forked(self, mine):
        """A child has an owner of its own, and none of its parent's leases."""
        mine.acquire(KEY, False)
        owner = mine.leases.owner
        assert in_a_child(lambda: mine.leases.owner != owner and mine.leases.due() == [])
        mine.leases.after_fork()
        assert mine.leases.owner != owner
        time.sleep(0.55)
        assert mine.leases.due() == []
        assert mine.acquire(KEY, False) == Lease(is_anothers=True)


@pytest.mark.parametrize("value", ["text", 1, None, True, [1], {"a": 1}, float("nan")])
@pytest.mark.parametrize("field", ["until", "rest_until", "open_until", "owner", "purge_at"])
def test_written_by_others(mine, documents, field, value):
    """Whatever is written into a lease, it is taken, or waited for no longer than one lasts."""
    documents.insert_one({"_id": KEY, field: value})
    lease = mine.acquire(KEY, True)
    assert isinstance(lease, Lease)
    assert lease.backoff <= 60
